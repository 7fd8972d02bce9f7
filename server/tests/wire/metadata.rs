//! What columns and markers are told to be.

use std::net::TcpStream;

use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::prepare::Prepare;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::result::QueryResult;

use crate::KEYSPACE;
use crate::client::{Running, query};

/// The whole answer that comes next, as v4 has it; it is still to be read.
fn coming(stream: &TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    loop {
        let peeked = stream.peek(&mut bytes).unwrap();
        let whole = match bytes[..peeked].get(5..9) {
            Some(length) => 9 + u32::from_be_bytes(length.try_into().unwrap()) as usize,
            None => usize::MAX,
        };
        if peeked >= whole {
            return bytes[..whole].to_vec();
        }
    }
}

#[test]
fn a_duration_is_a_custom_type_before_v5() {
    let running = Running::start(|_| ());
    let mut client = running.client(Version::V4);
    client.effect(KEYSPACE);
    client.effect(
        "CREATE TABLE k.d (a int PRIMARY KEY, b duration, c list<frozen<tuple<int, duration>>>)",
    );
    let prepare = Prepare { text: "UPDATE k.d SET b = ?, c = ? WHERE a = ?", keyspace: None };
    let types = |message: Response<'_>| -> Vec<String> {
        let columns = match message {
            Response::Result(QueryResult::Rows(rows)) => rows.metadata().columns.clone(),
            Response::Result(QueryResult::Prepared(prepared)) => prepared.markers.columns,
            other => panic!("{other:?}"),
        };
        columns.iter().map(|column| column.column_type.to_string()).collect()
    };
    for request in [query("SELECT b, c, a FROM k.d"), Request::Prepare(prepare)] {
        client.send(1, &request);
        let bytes = String::from_utf8_lossy(&coming(&client.stream)).into_owned();
        assert_eq!(bytes.matches("org.apache.cassandra.db.marshal.DurationType").count(), 2);
        let told = client.answer(|_, message| types(message.response));
        assert_eq!(told, ["duration", "list<frozen<tuple<int, duration>>>", "int"]);
        let mut newer = running.client(Version::V5);
        newer.send(1, &request);
        assert_eq!(newer.answer(|_, message| types(message.response)), told);
    }
}
