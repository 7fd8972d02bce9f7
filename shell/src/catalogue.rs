//! Names that completion offers: keyspaces, tables, columns, types, functions, as system_schema lists them.

use std::collections::BTreeMap;

use tholos_grammar::name::Name;

use crate::client::{ClientError, Connection, RequestOptions};

/// Names of a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Catalogue {
    pub(crate) keyspaces: BTreeMap<String, Keyspace>,
}

/// Names in a keyspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keyspace {
    /// Tables and views, each with its columns.
    pub(crate) tables: BTreeMap<String, Vec<Column>>,
    pub(crate) types: Vec<String>,
    pub(crate) functions: Vec<String>,
    pub(crate) indexes: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
    /// Its place among the columns of its kind, from 0; -1 where they have no order.
    pub(crate) position: i32,
    /// Its type, as CQL writes it.
    pub(crate) ty: String,
}

/// What a column is to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    PartitionKey,
    Clustering,
    Static,
    Regular,
}

/// A cell of a text column; `None` if it is null or not there.
pub(crate) fn text_cell(row: &[Option<Vec<u8>>], index: usize) -> Option<&str> {
    row.get(index)?.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok())
}

impl Catalogue {
    /// Reads the names. What a server lacks or refuses is left out.
    pub(crate) fn load(connection: &mut Connection) -> Result<Catalogue, ClientError> {
        let mut catalogue = Catalogue::default();
        let schema = "system_schema";
        for schema in [schema, "system_virtual_schema"] {
            for (keyspace, _) in pairs(connection, schema, "keyspaces", "keyspace_name")? {
                catalogue.keyspaces.entry(keyspace).or_default();
            }
            for (keyspace, table, column) in columns(connection, schema)? {
                let tables = &mut catalogue.keyspaces.entry(keyspace).or_default().tables;
                tables.entry(table).or_default().push(column);
            }
        }
        for (keyspace, [name, _]) in pairs(connection, schema, "types", "type_name")? {
            catalogue.keyspaces.entry(keyspace).or_default().types.push(name);
        }
        for (keyspace, [name, _]) in pairs(connection, schema, "functions", "function_name")? {
            catalogue.keyspaces.entry(keyspace).or_default().functions.push(name);
        }
        for (keyspace, [name, _]) in pairs(connection, schema, "indexes", "index_name")? {
            catalogue.keyspaces.entry(keyspace).or_default().indexes.push(name);
        }
        Ok(catalogue)
    }

    /// The columns of a table; `keyspace` is the one in use where the table is named without.
    pub(crate) fn columns(&self, keyspace: &str, table: &str) -> &[Column] {
        self.keyspaces
            .get(keyspace)
            .and_then(|keyspace| keyspace.tables.get(table))
            .map_or(&[], Vec::as_slice)
    }
}

/// The columns of all tables, with their keyspaces and tables.
fn columns(
    connection: &mut Connection,
    schema: &str,
) -> Result<Vec<(String, String, Column)>, ClientError> {
    let names = "keyspace_name, table_name, column_name, kind, type, position";
    let text = format!("SELECT {names} FROM {schema}.columns");
    let reply = match connection.query(&text, &RequestOptions::default()) {
        Err(ClientError::Server(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let rows = reply.into_rows().map(|rows| rows.rows).unwrap_or_default();
    let column = |row: &Vec<Option<Vec<u8>>>| {
        let cell = |index| text_cell(row, index).unwrap_or_default().to_string();
        let position = row.get(5).and_then(|cell| cell.as_deref()?.try_into().ok());
        let kind = match text_cell(row, 3).unwrap_or_default() {
            "partition_key" => ColumnKind::PartitionKey,
            "clustering" => ColumnKind::Clustering,
            "static" => ColumnKind::Static,
            _ => ColumnKind::Regular,
        };
        let position = position.map_or(-1, i32::from_be_bytes);
        (cell(0), cell(1), Column { name: cell(2), kind, position, ty: cell(4) })
    };
    Ok(rows.iter().map(column).collect())
}

/// Rows of a schema table: the keyspace, and up to two names.
fn pairs(
    connection: &mut Connection,
    schema: &str,
    table: &str,
    columns: &str,
) -> Result<Vec<(String, [String; 2])>, ClientError> {
    let text = format!("SELECT keyspace_name, {columns} FROM {schema}.{table}");
    let reply = match connection.query(&text, &RequestOptions::default()) {
        Err(ClientError::Server(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let rows = reply.into_rows().map(|rows| rows.rows).unwrap_or_default();
    let cell =
        |row: &[Option<Vec<u8>>], index| text_cell(row, index).unwrap_or_default().to_string();
    Ok(rows.iter().map(|row| (cell(row, 0), [cell(row, 1), cell(row, 2)])).collect())
}

/// A name as CQL would read it back.
pub(crate) fn quoted(name: &str) -> String {
    Name::exact(name).to_string()
}
