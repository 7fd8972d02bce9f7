//! Rules for columns that CREATE TABLE and ALTER TABLE share.

use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::Table;

use crate::error::QueryError;
use crate::query::types::holds_duration;

/// Whether a type can be that of a column that is not in the key.
///
/// # Errors
/// [`QueryError::Invalid`] for a user type that is not frozen and has collections that are not.
pub(super) fn check_column_type(name: &Name, cql_type: &CqlType) -> Result<(), QueryError> {
    let CqlType::Udt { definition, frozen: false } = cql_type else { return Ok(()) };
    match definition.fields.iter().find(|(_, field)| field.is_multi_cell()) {
        None => Ok(()),
        Some((field, _)) => Err(QueryError::invalid(format!(
            "non-frozen UDTs with nested non-frozen collections are not supported: column {name} has type {}, whose field {field} is one; write frozen<{}>",
            definition.name, definition.name
        ))),
    }
}

/// Whether a type can be that of a key column.
///
/// # Errors
/// [`QueryError::Invalid`] for counters, durations, and what is kept as several cells.
pub(super) fn check_key_type(name: &Name, cql_type: &CqlType) -> Result<(), QueryError> {
    if cql_type.is_counter() {
        return Err(QueryError::invalid(format!(
            "counter type is not supported for PRIMARY KEY column {name}"
        )));
    }
    if holds_duration(cql_type) {
        return Err(QueryError::invalid(format!(
            "duration type is not supported for PRIMARY KEY column {name}: durations have no order"
        )));
    }
    if cql_type.is_multi_cell() {
        let kind = if cql_type.is_collection() { "collection" } else { "user-defined" };
        return Err(QueryError::invalid(format!(
            "invalid non-frozen {kind} type {cql_type} for PRIMARY KEY column {name}: write frozen<{cql_type}>"
        )));
    }
    Ok(())
}

/// Whether the columns of a table go together: counters only with counters, static columns only beside clustering ones.
///
/// # Errors
/// [`QueryError::Invalid`] that says which do not.
pub(super) fn check_table(table: &Table) -> Result<(), QueryError> {
    if table.is_counter() {
        let mut values = table.statics.iter().chain(&table.regulars);
        if let Some(other) = values.find(|column| !column.cql_type.is_counter()) {
            return Err(QueryError::invalid(format!(
                "cannot mix counter and non counter columns in the same table: {} of {}.{} is no counter",
                other.name, table.keyspace, table.name
            )));
        }
        if table.options.default_time_to_live > 0 {
            return Err(QueryError::invalid(format!(
                "cannot set default_time_to_live on a table with counters: {}.{} has some",
                table.keyspace, table.name
            )));
        }
    }
    if table.clustering.is_empty() && !table.statics.is_empty() {
        return Err(QueryError::invalid(format!(
            "static columns are only useful (and thus allowed) if the table has at least one clustering column: {}.{} has none",
            table.keyspace, table.name
        )));
    }
    Ok(())
}
