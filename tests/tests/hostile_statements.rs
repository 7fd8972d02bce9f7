//! Statements of one line that once took a node away: each is answered, by QUERY and by PREPARE, and everybody else is
//! served meanwhile. A node that plans one of them for ever answers nothing at all here: the client's own limit is the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tholos_shell::client::{ConnectOptions, Connection, RequestOptions};
use tholos_tests::server::{Server, Start};

/// As much as any of these statements may take, many times over.
const LIMIT: Duration = Duration::from_secs(30);

fn connect(server: &Server) -> Connection {
    let options = ConnectOptions { request_timeout: LIMIT, ..ConnectOptions::default() };
    Connection::connect(&server.address.to_string(), &options)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What an HTTP request for a path is answered.
fn get(admin: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).expect("the admin port is open");
    socket.set_read_timeout(Some(LIMIT)).expect("a socket has time limits");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
        .expect("a request is taken");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("a request is answered");
    answer
}

fn around(n: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(n), close.repeat(n))
}

fn hostile() -> Vec<String> {
    let select = |what: String| format!("SELECT {what} FROM ks.t");
    let insert = |what: String| format!("INSERT INTO ks.t (k, a) VALUES (1, {what})");
    let chain = |first: &str, link: &str, n| format!("{first}{}", link.repeat(n));
    vec![
        select(chain("a", " + a", 14)),
        select(chain("a", " + a", 256)),
        select(chain("a", " * a - a / a", 85)),
        select(chain("1", " + 1", 256)),
        select(around(60, "abs(", "a", ")")),
        select(around(60, "- ", "a", "")),
        select(around(60, "(", "a", ")")),
        select(around(60, "to_json(", "a", ")")),
        select(around(30, "CAST(CAST(", "a", " AS double) AS int)")),
        select(around(30, "abs(a + (", "a", "))")),
        select(around(30, "max(abs(", "a", "))")),
        select(around(60, "[", "a", "]")),
        select(around(60, "(a, ", "a", ")")),
        select(around(60, "{a: ", "a", "}")),
        select(around(30, "token(abs(", "a", "))")),
        select(around(60, "(int) ", "1", "")),
        insert(chain("1", " + 1", 256)),
        insert(chain("(int) 1", " + (int) 1", 256)),
        insert(around(60, "abs(", "1", ")")),
        insert(around(60, "- ", "(int) 1", "")),
        insert(around(30, "abs((int) ", "1", ")")),
        insert(around(30, "CAST(CAST(", "1", " AS double) AS int)")),
        insert(around(60, "(", "1", ")")),
        insert(around(60, "(int) ", "1", "")),
        insert(around(60, "[", "1", "]")),
        insert(around(60, "(int) - ", "1", "")),
        format!("INSERT INTO ks.t (k, b) VALUES (1, {})", around(60, "to_json(", "'\"'", ")")),
        format!("INSERT INTO ks.t (k, b) VALUES (1, {})", around(20, "to_json(", "'\"'", ")")),
        format!("SELECT {} FROM ks.t", vec!["a + a"; 20_000].join(", ")),
        format!("SELECT a FROM ks.t WHERE k IN ({})", vec!["1 + 1"; 60_000].join(", ")),
        format!(
            "BEGIN BATCH {} APPLY BATCH",
            "INSERT INTO ks.t (k, a) VALUES (1, -(-(-(1 + 1)))); ".repeat(5_000)
        ),
    ]
}

#[test]
fn hostile_statements_are_answered_and_nobody_waits() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Start::new(&dir.path().join("data")).run();
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let mut one = connect(&server);
    let mut other = connect(&server);
    let options = RequestOptions::default();
    for cql in [
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE ks.t (k int PRIMARY KEY, a int, b text)",
        "INSERT INTO ks.t (k, a) VALUES (7, 1)",
    ] {
        one.query(cql, &options).unwrap_or_else(|error| panic!("{cql}: {error}"));
    }
    for cql in hostile() {
        let shown = cql.get(..80).unwrap_or(&cql).to_string();
        let answers = [one.query(&cql, &options).err(), one.prepare(&cql).err()];
        for error in answers.into_iter().flatten() {
            // Rows, or an error that the server finds in the statement: anything but silence.
            assert!(error.server_kind().is_some(), "{shown}: {error}");
        }
        other.query("SELECT a FROM ks.t WHERE k = 7", &options).unwrap_or_else(|error| {
            panic!("beside {shown}: {error}");
        });
    }
    let health = get(server.admin, "/health");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    server.stop().unwrap_or_else(|error| panic!("{error}"));
}
