//! Planning UPDATE.

use tholos_grammar::ast::modify::Update;
use tholos_storage::schema::Table;

use super::attributes::Attributes;
use super::operations::{Writes, assign};
use super::{ModifyKind, ModifyPlan, changed_table};
use crate::error::QueryError;
use crate::query::expression::Binder;
use crate::query::restriction::Clustering;
use crate::query::restriction::plan::restrict;
use crate::query::restriction::relation;

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
    let relations = relation::bind(&statement.relations, &table, binder)?;
    let (partitions, clustering) = restrict(relations, &table)?.into_keys(&table)?;
    check_rows(&clustering, &writes, &table, "UPDATE")?;
    let (statics, regulars) = writes.sorted();
    Ok(ModifyPlan {
        table,
        kind: ModifyKind::Update,
        partitions,
        clustering,
        statics,
        regulars,
        attributes,
        json: None,
    })
}

/// Writing columns takes whole rows; writing static columns alone takes no row at all.
pub(super) fn check_rows(
    clustering: &Clustering,
    writes: &Writes,
    table: &Table,
    statement: &str,
) -> Result<(), QueryError> {
    if !clustering.slice.is_full() {
        return Err(QueryError::invalid(format!(
            "slice restrictions are not supported on the clustering columns in {statement} statements{}: name rows by = or IN",
            if statement == "DELETE" { " of specific columns" } else { "" }
        )));
    }
    let given = clustering.width();
    if writes.regulars.is_empty() && given > 0 && !table.clustering.is_empty() {
        return Err(QueryError::invalid(format!(
            "invalid restrictions on clustering columns since the {statement} statement modifies only static columns: leave them out of WHERE"
        )));
    }
    if !writes.regulars.is_empty() && given < table.clustering.len() {
        let missing: Vec<String> =
            table.clustering.iter().skip(given).map(|column| column.name.to_string()).collect();
        return Err(QueryError::invalid(format!(
            "some clustering keys are missing: {}; {statement} of columns names all of them",
            missing.join(", ")
        )));
    }
    Ok(())
}
