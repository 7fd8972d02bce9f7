//! Planning DELETE.

use tholos_grammar::ast::modify::Delete;

use super::attributes::Attributes;
use super::operations::{Writes, delete};
use super::rows::Change;
use super::{ModifyKind, ModifyPlan, changed_table};
use crate::error::QueryError;
use crate::query::expression::Binder;

/// Plans a DELETE: of columns or elements of rows, of rows, of ranges of rows, of partitions.
///
/// # Errors
/// [`QueryError::Invalid`]: an unknown column, a key column as target, a missing key column in WHERE, wrong types.
pub fn plan(statement: &Delete, binder: &mut Binder<'_>) -> Result<ModifyPlan, QueryError> {
    let table = changed_table(&statement.table, binder.context)?;
    if statement.conditions.is_some() {
        return Err(QueryError::NotSupportedYet(
            "IF of DELETE (lightweight transactions)".to_owned(),
        ));
    }
    let mut writes = Writes::default();
    for target in &statement.targets {
        delete(target, &table, binder, &mut writes)?;
    }
    let attributes = Attributes::bind_for(&statement.using, &table, binder)?;
    let kind = match statement.targets.is_empty() {
        true => ModifyKind::DeleteRows,
        false => ModifyKind::DeleteColumns,
    };
    Change { table, kind, writes, attributes }.of_rows(&statement.relations, binder)
}
