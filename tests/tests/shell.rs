//! The shell as a process: exit codes, what goes to which stream, COPY there and back.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tholos_tests::server::{Start, binary};

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', \
                        'replication_factor': 1};\nUSE k;\n";

fn tholos(arguments: &[&str], input: &str) -> Output {
    // Where rows go that COPY could not write.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(binary().expect("the program"))
        .args(arguments)
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that ends on its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let fine = tholos(&["--memory"], "SELECT key FROM system.local;\n");
    assert_eq!((code(&fine), text(&fine.stderr)), (0, String::new()));
    assert_eq!(text(&fine.stdout), " key\n-------\n local\n\n(1 row)\n");

    let script = format!(
        "{KEYSPACE}CREATE TABLE t (a int PRIMARY KEY);\n  SELECT * FORM t;\nSELECT * FROM t;"
    );
    let failed = tholos(&["--memory"], &script);
    assert_eq!((code(&failed), text(&failed.stdout)), (1, String::new()));
    let told = text(&failed.stderr);
    assert!(told.contains("\n --> <stdin>:4:12\n"), "{told}");
    assert!(told.contains("\n4 |   SELECT * FORM t;\n  |            ^^^^\n"), "{told}");

    let goes_on = tholos(&["--memory", "--on-error", "continue", "--format", "csv"], &script);
    assert_eq!((code(&goes_on), text(&goes_on.stdout)), (1, "a\n".to_string()));

    for usage in [&["--memroy"][..], &["run", "/no/such/file.cql"], &["shell", "localhost:x"]] {
        assert_eq!(code(&tholos(usage, "")), 2, "{usage:?}");
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let nobody = port.expect("a free port").to_string();
    let refused = tholos(&["shell", &nobody, "-e", "USE k"], "");
    assert_eq!(code(&refused), 3);
    assert!(text(&refused.stderr).contains(&format!("cannot connect to {nobody}")));
}

/// A row with a value of every type and hard ones among them, a row of nulls, and rows of text that CSV must quote.
const EVERY_TYPE: &str = "\
CREATE TYPE address (street text, zip int);
CREATE TABLE every (id int PRIMARY KEY, asci ascii, big bigint, bin blob, bit boolean, day date, dec decimal,
  dbl double, dur duration, flt float, ip inet, sml smallint, txt text, at time, ts timestamp, tu timeuuid,
  tny tinyint, uid uuid, vi varint, l list<text>, s set<int>, m map<text, frozen<list<int>>>,
  tup tuple<int, text>, adr frozen<address>, adrs list<frozen<address>>, v vector<float, 3>);
INSERT INTO every (id, asci, big, bin, bit, day, dec, dbl, dur, flt, ip, sml, txt, at, ts, tu, tny, uid, vi, l, s, m,
  tup, adr, adrs, v) VALUES (1, 'a,b', -9223372036854775808, 0x00ff, true, '-0044-03-15', -12.3400, 1e-300,
  -1mo2d3ns, 3.4e38, '::1', -32768, 'it''s \"one\", two', '23:59:59.999999999', '1969-12-31 23:59:59.999+0000',
  8bd55720-0d5a-11ee-be56-0242ac120002, -128, 123e4567-e89b-12d3-a456-426655440000,
  -123456789012345678901234567890, ['it''s', '', 'a,\"b\"'], {3, -1}, {'k,': [1, 2], '': []}, (7, null),
  {street: 'Öl''s', zip: null}, [{street: 'x', zip: 1}], [1.5, -0.0, 3.0E10]);
INSERT INTO every (id) VALUES (2);
INSERT INTO every (id, txt, dbl, flt) VALUES (3, 'two
lines', NaN, -Infinity);
INSERT INTO every (id, txt, dbl) VALUES (4, '日本語 👩‍👩‍👧 \\n', Infinity);
";

#[test]
fn copy_there_and_back_keeps_values_of_every_type() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("every.csv");
    let copy = |direction: &str| {
        format!(
            "COPY every {direction} '{}' WITH HEADER = true AND NULL = '<null>';\n",
            file.display()
        )
    };
    let select = "SELECT * FROM every;\n";
    let script = [
        KEYSPACE,
        EVERY_TYPE,
        select,
        &copy("TO"),
        "TRUNCATE every;\n",
        "SELECT id FROM every;\n",
        &copy("FROM"),
        select,
    ]
    .concat();
    let output = tholos(&["--memory", "--format", "expanded"], &script);
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    let shown = text(&output.stdout);
    let parts: Vec<&str> = shown.split("rows)\n").collect();
    assert_eq!(parts.len(), 4, "{shown}");
    let first_rows = parts[0].trim_start().to_string();
    assert!(first_rows.contains("-123456789012345678901234567890"), "{first_rows}");
    assert!(parts[1].contains("4 rows of") && parts[1].ends_with("(0 "), "{shown}");
    let back = parts[2].split_once('\n').expect("the summary of COPY").1;
    assert_eq!(back, first_rows);
}

#[test]
fn copy_tells_bad_rows_with_their_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let (rows, rejected) = (directory.path().join("rows.csv"), directory.path().join("rows.err"));
    fs::write(&rows, "1|a\r\n2|\"two\r\nlines\"\r\nx|c\r\n4\r\n5|e\r\n").expect("a file");
    let script = format!(
        "{KEYSPACE}CREATE TABLE t (id int PRIMARY KEY, b text);\n\
         COPY t (id, b) FROM '{}' WITH DELIMITER = '|' AND ERRFILE = '{}';",
        rows.display(),
        rejected.display()
    );
    let output = tholos(&["--memory"], &script);
    let told = text(&output.stderr);
    assert_eq!(code(&output), 1, "{told}");
    assert!(told.contains("rows.csv:4: column id: x is no value of type int"), "{told}");
    assert!(told.contains("rows.csv:5: 1 field where 2 are expected"), "{told}");
    assert!(told.contains("2 of 5 rows were not written"), "{told}");
    assert_eq!(fs::read_to_string(&rejected).expect("the rejected rows"), "x|c\n4\n");
}

#[test]
fn copy_to_replaces_a_file_only_by_the_whole_of_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.csv");
    fs::write(&file, "kept\n").expect("a file");
    let script = |table: &str| {
        format!(
            "{KEYSPACE}CREATE TABLE t (a int PRIMARY KEY, b text);\n\
             INSERT INTO t (a, b) VALUES (1, 'x');\nCOPY {table} TO '{}';\n",
            file.display()
        )
    };
    let failed = tholos(&["--memory"], &script("typo"));
    assert_eq!(code(&failed), 1);
    assert!(text(&failed.stderr).contains("typo"), "{}", text(&failed.stderr));
    assert_eq!(fs::read_to_string(&file).expect("the file"), "kept\n");
    assert_eq!(code(&tholos(&["--memory"], &script("t"))), 0);
    assert_eq!(fs::read_to_string(&file).expect("the file"), "1,x\n");
    let beside = fs::read_dir(directory.path()).expect("the directory").count();
    assert_eq!(beside, 1, "nothing is left beside it");
    // What is no plain file is written as it is.
    let to_null = script("t").replace(&file.display().to_string(), "/dev/null");
    assert_eq!(code(&tholos(&["--memory"], &to_null)), 0);
    assert!(!Path::new("/dev/null").is_file());
}

#[test]
fn an_open_quote_is_refused_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let (rows, rejected) = (directory.path().join("rows.csv"), directory.path().join("rows.err"));
    fs::write(&rows, "id,name\n8,\"O\"Brien\"\n9,\"unclosed\n10,x\n").expect("a file");
    let script = format!(
        "{KEYSPACE}CREATE TABLE t (id int PRIMARY KEY, name text);\n\
         COPY t FROM '{}' WITH HEADER = true AND ERRFILE = '{}';",
        rows.display(),
        rejected.display()
    );
    let output = tholos(&["--memory"], &script);
    let told = text(&output.stderr);
    assert_eq!(code(&output), 1, "{told}");
    assert!(told.contains("rows.csv:2: text behind a closing quote at line 2"), "{told}");
    assert!(told.contains("rows.csv:3: the quote opened at line 3 is never closed"), "{told}");
    let kept = fs::read_to_string(&rejected).expect("the rejected rows");
    assert_eq!(kept, "8,\"O\"Brien\"\n9,\"unclosed\n10,x\n\n");
}

#[test]
fn empty_text_and_null_are_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("t.csv");
    let path = file.display();
    let script = format!(
        "{KEYSPACE}CREATE TABLE t (a int PRIMARY KEY, b text, c text);\n\
         INSERT INTO t (a, b) VALUES (1, '');\nSELECT * FROM t;\nCOPY t TO '{path}';\n\
         TRUNCATE t;\nCOPY t FROM '{path}';\nSELECT * FROM t;\n\
         COPY t TO '{path}' WITH NULL = 'NULL';\nTRUNCATE t;\n\
         COPY t FROM '{path}' WITH NULL = 'NULL';\nSELECT * FROM t;\n"
    );
    let output = tholos(&["--memory", "--format", "csv"], &script);
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    let shown = text(&output.stdout);
    assert_eq!(shown.matches("a,b,c\n1,\"\",\n").count(), 3, "{shown}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "1,\"\",NULL\n");
}

/// The file is what cqlsh 6.2 writes.
#[test]
fn files_of_cqlsh_are_read_and_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let (theirs, ours) = (directory.path().join("theirs.csv"), directory.path().join("ours.csv"));
    let written = "1,,say \\\"hi\\\"\r\n2,,two\\\\nlines\\\\ttab\r\n\
                   4,\"['a\\\"b', 'c''d', 'e\\\\\\\\f', 'g\\\\nh', '']\",\r\n3,,back\\\\\\\\slash \\\\\\\\n\r\n\
                   6,,\"comma, \\\"q\\\" \\\\\\\\ end\"\r\n";
    fs::write(&theirs, written).expect("a file");
    let table = format!("{KEYSPACE}CREATE TABLE t (id int PRIMARY KEY, l list<text>, t text);\n");
    let select = "SELECT JSON id, t, l FROM t;\n";
    let script = format!(
        "{table}COPY t FROM '{}' WITH DIALECT = 'cqlsh';\n{select}\
         COPY t TO '{}' WITH DIALECT = cqlsh;\nTRUNCATE t;\n\
         COPY t FROM '{}' WITH DIALECT = cqlsh;\n{select}",
        theirs.display(),
        ours.display(),
        ours.display()
    );
    let output = tholos(&["--memory", "--format", "ndjson"], &script);
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    let shown = text(&output.stdout);
    for value in [
        r#"say \\\"hi\\\""#,
        r#"two\\nlines\\ttab"#,
        r#"back\\\\slash \\\\n"#,
        r#"comma, \\\"q\\\" \\\\ end"#,
        r#"\"e\\\\f\", \"g\\nh\", \"\""#,
    ] {
        assert_eq!(shown.matches(value).count(), 2, "{value}: {shown}");
    }
    let script = format!("{table}COPY t FROM '{}';", theirs.display());
    let told = text(&tholos(&["--memory"], &script).stderr);
    assert!(told.contains("import it WITH DIALECT = 'cqlsh'"), "{told}");
}

#[test]
fn what_is_asked_is_answered_in_scripts_too() {
    let asked = tholos(
        &["--memory", "-e", "CONSISTENCY; SHOW HOST\nSHOW VERSION", "-e", "\\echo hello"],
        "",
    );
    let shown = text(&asked.stdout);
    assert_eq!(code(&asked), 0, "{}", text(&asked.stderr));
    for part in ["Current consistency level is ONE.\n", "Connected to ", "| CQL ", "hello\n"] {
        assert!(shown.contains(part), "{shown}");
    }
    let asked =
        tholos(&["--memory"], "EXPAND; TRACING; PAGING; PAGING 7; PAGING; EXPAND ON; EXPAND;");
    assert_eq!(
        text(&asked.stdout),
        "Expanded output is currently disabled. Use EXPAND ON to enable.\n\
         Tracing is currently disabled. Use TRACING ON to enable.\n\
         Query paging is currently enabled. Use PAGING OFF to disable.\nPage size: 5000\n\
         Query paging is currently enabled. Use PAGING OFF to disable.\nPage size: 7\n\
         Expanded output is currently enabled. Use EXPAND OFF to disable.\n"
    );
    // What is set needs no answer.
    let set = tholos(&["--memory"], "CONSISTENCY QUORUM; TRACING OFF; PAGING 10;");
    assert_eq!((code(&set), text(&set.stdout)), (0, String::new()));
}

#[test]
fn the_shell_finds_the_node_that_uses_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let server = Start::new(&data).run().expect("a server");
    let data = data.display().to_string();
    let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
    let script = directory.path().join("s.cql");
    fs::write(&script, "USE system\nSELECT key FROM local;").expect("a script");
    let script = script.display().to_string();
    for line in [
        vec!["shell", "--data", &data, "--format", "csv", "-f", &script],
        vec!["run", "--data", &data, "--format", "csv", &script],
        vec![
            "shell",
            &host,
            &port,
            "--format",
            "csv",
            "-e",
            "USE system",
            "-e",
            "SELECT key FROM local",
        ],
    ] {
        let output = tholos(&line, "");
        assert_eq!(text(&output.stdout), "key\nlocal\n", "{line:?}: {}", text(&output.stderr));
    }
    server.stop().expect("it stops");
    let gone = tholos(&["shell", "--data", &data, "-e", "USE system"], "");
    assert_eq!(code(&gone), 2);
    assert!(text(&gone.stderr).contains("no running node"), "{}", text(&gone.stderr));
}

#[test]
fn the_log_has_no_colours_in_files_and_is_json_if_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, arguments) in
        [("text", &["--log", "debug"][..]), ("json", &["--log", "debug", "--log-format", "json"])]
    {
        let start = Start { arguments, ..Start::new(directory.path()) };
        let server = start.run().expect("a server");
        let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::TERM).expect("a signal");
        // What it says of its end goes through a pipe, and is not here at once.
        let mut said = server.errors();
        for _ in 0..3000 {
            if said.contains("stopping") && said.ends_with('\n') {
                break;
            }
            sleep(Duration::from_millis(10));
            said = server.errors();
        }
        server.wait().expect("it stops");
        assert!(said.contains("stopping") && !said.contains('\u{1b}'), "{said}");
        if name == "json" {
            for line in said.lines() {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON");
            }
        }
    }
}
