//! Planning DELETE.

use tholos_grammar::ast::modify::Delete;

use super::attributes::Attributes;
use super::operations::{Writes, deletion};
use super::restrictions::restrict;
use super::update::check_rows;
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
        let (column, write) = deletion(target, &table, binder)?;
        writes.add(&column, write)?;
    }
    writes.sort();
    let attributes = Attributes::bind_for(&statement.using, &table, binder)?;
    let keys = restrict(&statement.relations, &table, binder)?;
    let kind = match statement.targets.is_empty() {
        true => ModifyKind::DeleteRows,
        false => {
            check_rows(&keys, &writes, &table, "DELETE")?;
            ModifyKind::DeleteColumns
        }
    };
    let Writes { statics, regulars } = writes;
    Ok(ModifyPlan { table, kind, keys, statics, regulars, attributes, json: None })
}
