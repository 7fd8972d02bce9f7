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
    pub(crate) tables: BTreeMap<String, Vec<String>>,
    pub(crate) types: Vec<String>,
    pub(crate) functions: Vec<String>,
    pub(crate) indexes: Vec<String>,
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
        let keyspaces = pairs(connection, schema, "keyspaces", "keyspace_name")?;
        for (keyspace, _) in keyspaces {
            catalogue.keyspaces.entry(keyspace).or_default();
        }
        let columns = pairs(connection, schema, "columns", "table_name, column_name")?;
        for (keyspace, [table, column]) in columns {
            let tables = &mut catalogue.keyspaces.entry(keyspace).or_default().tables;
            tables.entry(table).or_default().push(column);
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
    pub(crate) fn columns(&self, keyspace: &str, table: &str) -> &[String] {
        self.keyspaces
            .get(keyspace)
            .and_then(|keyspace| keyspace.tables.get(table))
            .map_or(&[], Vec::as_slice)
    }
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
