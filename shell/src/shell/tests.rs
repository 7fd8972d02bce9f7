//! Tests of messages, and of the exit codes of failures.

use std::io;
use std::time::Duration;

use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};

use super::*;
use crate::client::ClientError;
use crate::copy::CopyError;
use crate::exit;

fn server(kind: ErrorKind) -> ClientError {
    ClientError::Server(ErrorMessage::new(kind, "no"))
}

/// The message of an error in the `index`th item of a text.
fn told(text: &str, index: usize, error: impl FnOnce(Source<'_>, &Item) -> ShellError) -> String {
    let source = Source { name: "a.cql", text };
    let mut offset = 0;
    let mut item = next_item(text, 0).expect("an item");
    for _ in 0..=index {
        item = next_item(text, offset).expect("an item");
        offset = item.next;
    }
    failure::render(source, &item, &error(source, &item), Drawing::default())
}

#[test]
fn a_failure_shows_its_place() {
    let text = "USE k;\n  INSERT INTO t (a)\n  VALUES (1); SELECT * FORM t;\n";
    let refused = told(text, 1, |_, _| server(ErrorKind::Invalid).into());
    assert_eq!(
        refused.lines().collect::<Vec<_>>(),
        [
            "error: Invalid query (0x2200): no",
            " --> a.cql:2:3",
            "  |",
            "2 |   INSERT INTO t (a)",
            "  |   ^^^^^^"
        ]
    );
    let no_cql = told(text, 2, |source, item| {
        let error = parse_statement_at(source.text, item.span.clone()).expect_err("a mistake");
        ShellError::Parse(Box::new(error))
    });
    assert!(no_cql.contains(" --> a.cql:3:24\n"), "{no_cql}");
    assert!(no_cql.contains("\n  |                        ^^^^"), "{no_cql}");
    assert!(no_cql.contains("did you mean `FROM`?"), "{no_cql}");
}

/// The server counts in the statement that was sent, the shell tells where that is in the script.
#[test]
fn an_error_of_the_server_has_a_caret_under_the_culprit() {
    let text = "USE k;\n  SELECT 'é', /* ö */ nmae\n  FROM t WHERE kiy = 1;\n";
    let refused = |place: &str| {
        let message = format!("{place} no such column");
        told(text, 1, |_, _| {
            ClientError::Server(ErrorMessage::new(ErrorKind::Invalid, message)).into()
        })
    };
    let first = refused("line 1:21");
    assert!(first.starts_with("error: Invalid query (0x2200): no such column\n"), "{first}");
    assert!(first.contains("a.cql:2:23\n"), "{first}");
    assert!(first.contains("\n  |                       ^^^^"), "{first}");
    let second = refused("line 2:16");
    assert!(second.contains("a.cql:3:16\n"), "{second}");
    assert!(second.contains("\n  |                ^^^"), "{second}");
    // A place that is not there is none.
    assert!(refused("line 7:1").contains("a.cql:2:3\n"));
    assert!(refused("line one").contains("line one no such column"));
}

#[test]
fn the_parser_is_told_of_what_the_shell_knows() {
    let advice = |text: &str| {
        let item = next_item(text, 0).expect("an item");
        let error = parse_statement_at(text, item.span.clone()).expect_err("a mistake");
        let ShellError::Parse(error) = failure::advised(text, &item, error) else {
            panic!("another error")
        };
        error.hint.unwrap_or_default()
    };
    assert_eq!(advice("HLEP"), "did you mean `HELP`?");
    assert_eq!(
        advice("\nSELECT * FROM t\n\n  INSERT INTO t (a) VALUES (1);"),
        "is a ; missing at the end of line 2?"
    );
    assert_eq!(advice("SELECT *\n  FORM t;"), "did you mean `FROM`?");
    assert!(advice(".tables").contains("backslash"));
}

#[test]
fn the_exit_code_says_what_kind_of_failure_it_was() {
    let timeout = ClientError::Timeout { after: Duration::from_secs(1) };
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let address = || "a:1".to_string();
    for (error, code) in [
        (server(ErrorKind::Syntax).into(), exit::STATEMENT_FAILED),
        (server(ErrorKind::BadCredentials).into(), exit::CANNOT_CONNECT),
        (timeout.into(), exit::TIMEOUT),
        (ClientError::Closed.into(), exit::CANNOT_CONNECT),
        (
            ClientError::Connect { address: address(), source: refused() }.into(),
            exit::CANNOT_CONNECT,
        ),
        (ClientError::Host { address: address(), source: refused() }.into(), exit::CANNOT_CONNECT),
        (
            ClientError::Handshake {
                address: address(),
                source: Box::new(ClientError::Timeout { after: Duration::from_secs(5) }),
            }
            .into(),
            exit::CANNOT_CONNECT,
        ),
        (ClientError::Cancelled.into(), exit::INTERRUPTED),
        (ShellError::Interrupted, exit::INTERRUPTED),
        (CopyError::Interrupted.into(), exit::INTERRUPTED),
        (CopyError::Client(ClientError::Closed).into(), exit::CANNOT_CONNECT),
        (ShellError::Script("a.cql".into(), exit::TIMEOUT), exit::TIMEOUT),
        (ShellError::Declined, exit::STATEMENT_FAILED),
    ] {
        assert_eq!(error.exit_code(), code, "{error}");
    }
}
