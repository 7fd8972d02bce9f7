//! Columns of results and bind markers, as clients are told of them.

use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::{Column, Table};

/// A column of a result, or a bind marker, as the protocol's metadata describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Keyspace of the table it belongs to.
    pub keyspace: Name,
    /// The table.
    pub table: Name,
    /// The column's or marker's name.
    pub name: String,
    /// Its type.
    pub cql_type: CqlType,
}

impl ColumnSpec {
    /// A column of a table.
    pub fn of(table: &Table, column: &Column) -> Self {
        ColumnSpec {
            keyspace: table.keyspace.clone(),
            table: table.name.clone(),
            name: column.name.as_str().to_owned(),
            cql_type: column.cql_type.clone(),
        }
    }

    /// Something of this one's table with a name and type of its own: `key(m)`, `[ttl]`, ...
    pub fn part(&self, name: impl Into<String>, cql_type: CqlType) -> Self {
        ColumnSpec { name: name.into(), cql_type, ..self.clone() }
    }
}
