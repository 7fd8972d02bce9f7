//! Sets a server up for the load: schema, and prepared statements.

use std::net::SocketAddr;

use tholos_grammar::protocol::header::Version;
use tholos_shell::client::{ClientError, ConnectOptions, Connection, RequestOptions};

use super::workload::{INSERT, INSERT_SERIES, Prepared, SCHEMA, SELECT, SELECT_SLICE};

/// Creates the tables and prepares the statements. Prepared statements are the node's, not the connection's, so every
/// connection of the load may execute them.
///
/// # Errors
/// What the client says.
pub fn set_up(address: SocketAddr) -> Result<Prepared, ClientError> {
    let options = ConnectOptions { versions: vec![Version::V4], ..ConnectOptions::default() };
    let mut connection = Connection::connect(&address.to_string(), &options)?;
    for statement in SCHEMA {
        connection.query(statement, &RequestOptions::default())?;
    }
    let mut id = |statement: &str| connection.prepare(statement).map(|prepared| prepared.id);
    Ok(Prepared {
        insert: id(INSERT)?,
        select: id(SELECT)?,
        insert_series: id(INSERT_SERIES)?,
        select_slice: id(SELECT_SLICE)?,
    })
}
