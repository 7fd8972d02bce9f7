//! Sets a server up for the load: schema, and prepared statements.

use std::net::SocketAddr;

use tholos_grammar::protocol::header::Version;
use tholos_shell::client::{ClientError, ConnectOptions, Connection, RequestOptions};

use super::workload::{INSERT, INSERT_SERIES, Prepared, SCHEMA, SELECT, SELECT_SLICE};

/// Creates the tables and prepares the statements.
///
/// # Errors
/// What the client says.
pub fn set_up(address: SocketAddr) -> Result<Prepared, ClientError> {
    let mut connection = connect(address)?;
    for statement in SCHEMA {
        connection.query(statement, &RequestOptions::default())?;
    }
    prepare(address)
}

/// Prepares the statements. They are the node's, not the connection's, so every connection of the load may execute them.
///
/// # Errors
/// What the client says.
pub fn prepare(address: SocketAddr) -> Result<Prepared, ClientError> {
    let mut connection = connect(address)?;
    let mut id = |statement: &str| connection.prepare(statement).map(|prepared| prepared.id);
    Ok(Prepared {
        insert: id(INSERT)?,
        select: id(SELECT)?,
        insert_series: id(INSERT_SERIES)?,
        select_slice: id(SELECT_SLICE)?,
    })
}

/// Executes a statement.
///
/// # Errors
/// What the client says.
pub fn execute(address: SocketAddr, statement: &str) -> Result<(), ClientError> {
    connect(address)?.query(statement, &RequestOptions::default()).map(drop)
}

fn connect(address: SocketAddr) -> Result<Connection, ClientError> {
    let options = ConnectOptions { versions: vec![Version::V4], ..ConnectOptions::default() };
    Connection::connect(&address.to_string(), &options)
}
