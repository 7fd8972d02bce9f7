//! A client of a server under test. What goes wrong fails the test.

use tholos_shell::client::{ConnectOptions, Connection, RequestOptions};

use crate::server::Server;

/// Connects.
pub fn connect(server: &Server) -> Connection {
    let address = server.address.to_string();
    let client = Connection::connect(&address, &ConnectOptions::default());
    client.unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// Runs a statement and says how many rows its answer has.
pub fn run(client: &mut Connection, cql: &str) -> usize {
    let reply = client.query(cql, &RequestOptions::default());
    let reply = reply.unwrap_or_else(|error| panic!("{cql}: {error}"));
    reply.into_rows().map_or(0, |rows| rows.rows.len())
}
