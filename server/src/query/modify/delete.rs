//! Planning DELETE.

use tholos_grammar::ast::modify::Delete;

use super::attributes::Attributes;
use super::operations::{Writes, delete};
use super::update::check_rows;
use super::{ModifyKind, ModifyPlan, changed_table};
use crate::error::QueryError;
use crate::query::expression::Binder;
use crate::query::restriction::plan::restrict;
use crate::query::restriction::relation;

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
    let relations = relation::bind(&statement.relations, &table, binder)?;
    let (partitions, clustering) = restrict(relations, &table)?.into_keys(&table)?;
    let kind = match statement.targets.is_empty() {
        true => ModifyKind::DeleteRows,
        false => {
            check_rows(&clustering, &writes, &table, "DELETE")?;
            ModifyKind::DeleteColumns
        }
    };
    let (statics, regulars) = writes.sorted();
    Ok(ModifyPlan {
        table,
        kind,
        partitions,
        clustering,
        statics,
        regulars,
        attributes,
        json: None,
    })
}
