//! Planning UPDATE.

use tholos_grammar::ast::modify::Update;

use super::attributes::Attributes;
use super::operations::{Writes, assign};
use super::rows::Change;
use super::{ModifyKind, ModifyPlan, changed_table};
use crate::error::QueryError;
use crate::query::expression::Binder;

/// Plans an UPDATE.
///
/// # Errors
/// [`QueryError::Invalid`]: an unknown column, a key column in SET, a missing key column in WHERE, wrong types.
pub fn plan(statement: &Update, binder: &mut Binder<'_>) -> Result<ModifyPlan, QueryError> {
    let table = changed_table(&statement.table, binder.context)?;
    if statement.conditions.is_some() {
        return Err(QueryError::NotSupportedYet(
            "IF of UPDATE (lightweight transactions)".to_owned(),
        ));
    }
    let attributes = Attributes::bind_for(&statement.using, &table, binder)?;
    let mut writes = Writes::default();
    for written in &statement.assignments {
        assign(written, &table, binder, &mut writes)?;
    }
    let change = Change { table, kind: ModifyKind::Update, writes, attributes };
    change.of_rows(&statement.relations, binder)
}
