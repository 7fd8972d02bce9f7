//! Which names keyspaces and tables may have.

use tholos_grammar::name::Name;

use crate::error::QueryError;

/// The most characters that a keyspace's name may have, as in Cassandra.
const MAX_KEYSPACE_CHARS: usize = 48;

/// The most characters that a table's name may have: its directory is named after it and its identity.
const MAX_TABLE_CHARS: usize = 222;

/// Letters, digits and underscores, as in Cassandra.
///
/// # Errors
/// [`QueryError::Invalid`] that says what the name may hold.
pub(super) fn check_keyspace_name(name: &Name) -> Result<(), QueryError> {
    check("keyspace", name, MAX_KEYSPACE_CHARS).map_err(QueryError::Invalid)
}

/// As [`check_keyspace_name`], for tables.
///
/// # Errors
/// [`QueryError::Config`]
pub(super) fn check_table_name(name: &Name) -> Result<(), QueryError> {
    check("table", name, MAX_TABLE_CHARS).map_err(QueryError::Config)
}

fn check(what: &str, name: &Name, most: usize) -> Result<(), String> {
    let text = name.as_str();
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!(
            "{what} name must not be empty or contain non-alphanumeric-underscore characters (got {name})"
        ));
    }
    if text.len() > most {
        return Err(format!(
            "{what} name must not be more than {most} characters long (got {} characters for {name})",
            text.len()
        ));
    }
    Ok(())
}
