//! Commands and their errors, as text.

use std::path::PathBuf;
use std::time::Duration;

use tholos_grammar::consistency::Consistency;

use super::*;

fn error(text: &str) -> String {
    parse(text).expect_err("a command with a mistake").to_string()
}

#[test]
fn settings_are_switched_told_and_refused() {
    assert_eq!(
        parse("consistency local_quorum"),
        Ok(Command::Consistency(Some(Consistency::LocalQuorum)))
    );
    assert_eq!(parse("CONSISTENCY"), Ok(Command::Consistency(None)));
    assert_eq!(
        parse("Serial Consistency local_serial"),
        Ok(Command::SerialConsistency(Some(Consistency::LocalSerial)))
    );
    assert_eq!(parse("TRACING on"), Ok(Command::Tracing(Some(true))));
    assert_eq!(parse("PAGING 50"), Ok(Command::Paging(Some(Paging::Size(50)))));
    assert_eq!(parse("EXPAND auto"), Ok(Command::Expand(Some(Expand::Auto))));
    assert_eq!(parse("EXPAND"), Ok(Command::Expand(None)));
    assert_eq!(parse("\\x"), Ok(Command::SwitchExpand));
    assert!(error("CONSISTENCY QORUM").ends_with("not \"QORUM\"; did you mean QUORUM?"));
    assert_eq!(
        error("SERIAL CONSISTENCY QUORUM"),
        "SERIAL CONSISTENCY takes SERIAL or LOCAL_SERIAL, not \"QUORUM\""
    );
    assert_eq!(error("PAGING -1"), "PAGING takes ON, OFF or a number of rows, not \"-1\"");
    assert_eq!(error("TRACING ON OFF"), "TRACING takes nothing behind ON, found \"OFF\"");
    assert_eq!(
        error("SHOW VERSIO"),
        "SHOW takes VERSION, HOST or SESSION, not \"VERSIO\"; did you mean VERSION?"
    );
    assert!(parse("SHOW SESSION 8bd55720-0d5a-11ee-be56-0242ac120002").is_ok());
}

#[test]
fn files_may_stand_in_quotes() {
    assert_eq!(parse("SOURCE 'it''s.cql'"), Ok(Command::Source(PathBuf::from("it's.cql"))));
    assert_eq!(parse("\\i a.cql"), Ok(Command::Source(PathBuf::from("a.cql"))));
    assert_eq!(parse("CAPTURE OFF"), Ok(Command::CaptureOff));
    assert_eq!(parse("CAPTURE 'OFF'"), Ok(Command::Capture(PathBuf::from("OFF"))));
    assert_eq!(parse("\\o"), Ok(Command::CaptureOff));
    assert_eq!(error("SOURCE"), "SOURCE lacks the file: SOURCE 'file.cql'");
    assert_eq!(error("SOURCE 'a"), "this text has no closing '");
}

#[test]
fn short_forms_stand_for_statements() {
    let statement = |text: &str| Ok(Command::Statement(text.to_string()));
    assert_eq!(parse("\\d"), statement("DESCRIBE TABLES"));
    assert_eq!(parse("\\d ks.t"), statement("DESCRIBE ks.t"));
    assert_eq!(parse("\\d \"T\""), statement("DESCRIBE \"T\""));
    assert_eq!(parse("\\dt Ks"), Ok(Command::Tables(Some("ks".into()))));
    assert_eq!(parse("\\dt"), Ok(Command::Tables(None)));
    assert_eq!(error("\\z"), "no command \\z (\\? lists them)");
    assert_eq!(parse("\\! ls 'a b"), Ok(Command::System("ls 'a b".to_string())));
    assert_eq!(parse("\\echo it's"), Ok(Command::Echo("it's".to_string())));
    assert_eq!(parse("\\echo 'a  b'"), Ok(Command::Echo("a  b".to_string())));
    assert_eq!(parse("\\d+ t"), statement("DESCRIBE t"));
    assert_eq!(parse("\\dn"), statement("DESCRIBE KEYSPACES"));
    assert!(matches!(parse("\\copy t to 'x.csv'"), Ok(Command::Copy(_))));
    assert!(error("\\set a 1").contains("there are no variables"));
    assert_eq!(parse("\\watch 0.5"), Ok(Command::Watch(Duration::from_millis(500))));
    assert_eq!(error("\\timin"), "no command \\timin (\\? lists them); did you mean \\timing?");
    assert_eq!(error("\\q now"), "\\q takes nothing behind \\q, found \"now\"");
    assert!(parse("\\watch 0").is_err());
    assert_eq!(parse("\\h select"), Ok(Command::Help(Some("select".to_string()))));
}

#[test]
fn every_short_form_in_the_list_exists() {
    for (name, _, _) in backslash::FORMS {
        let argument = match name {
            "c" | "i" => " a",
            "copy" => " a TO STDOUT",
            _ => "",
        };
        assert!(parse(&format!("\\{name}{argument}")).is_ok(), "\\{name}");
    }
}
