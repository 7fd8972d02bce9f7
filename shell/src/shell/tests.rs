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
    failure(source, &item, &error(source, &item), false)
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
            "  |   ^^^^^^^^^^^^^^^^^"
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
