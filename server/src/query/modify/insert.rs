//! Planning INSERT.

use tholos_grammar::ast::modify::{Insert, InsertSource};
use tholos_grammar::ast::term::Term;
use tholos_grammar::name::Name;
use tholos_storage::schema::{ColumnKind, Table};

use super::attributes::Attributes;
use super::operations::{Write, Writes};
use super::restrictions::{Keys, Points, Slice, defined};
use super::{ModifyKind, ModifyPlan, changed_table};
use crate::error::QueryError;
use crate::query::plan::ColumnSpec;
use crate::query::term::{Binder, Expr};

/// Plans an INSERT.
///
/// # Errors
/// [`QueryError::Invalid`]: an unknown or doubled column, a missing key column, a term of the wrong type.
pub fn plan(statement: &Insert, binder: &mut Binder<'_>) -> Result<ModifyPlan, QueryError> {
    let table = changed_table(&statement.table, binder.context)?;
    if table.is_counter() {
        return Err(QueryError::invalid(format!(
            "INSERT statements are not allowed on counter tables, use UPDATE instead: {}.{} is one",
            table.keyspace, table.name
        )));
    }
    let InsertSource::Values(values) = &statement.source else {
        return Err(QueryError::NotSupportedYet("INSERT JSON: list columns and VALUES".to_owned()));
    };
    if statement.if_not_exists {
        return Err(QueryError::NotSupportedYet(
            "IF NOT EXISTS of INSERT (lightweight transactions)".to_owned(),
        ));
    }
    let (keys, mut writes) = columns(values, &table, binder)?;
    check_clustering(&keys, &writes, &table)?;
    writes.sort();
    let attributes = Attributes::bind_for(&statement.using, &table, binder)?;
    let Writes { statics, regulars } = writes;
    Ok(ModifyPlan { table, kind: ModifyKind::Insert, keys, statics, regulars, attributes })
}

/// Binds the values in the order of the text and sorts them into keys and writes.
fn columns(
    values: &[(Name, Term)],
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<(Keys, Writes), QueryError> {
    let mut partition: Vec<Option<Expr>> = vec![None; table.partition_key.len()];
    let mut clustering: Vec<Option<Expr>> = vec![None; table.clustering.len()];
    let mut writes = Writes::default();
    for (position, (name, term)) in values.iter().enumerate() {
        let column = defined(table, name)?;
        if values.iter().take(position).any(|(earlier, _)| earlier == name) {
            return Err(QueryError::invalid(format!(
                "multiple definitions found for column {name}: list it once"
            )));
        }
        let value = binder.bind(term, &ColumnSpec::of(table, column))?;
        let at = |columns: &[tholos_storage::schema::Column]| {
            columns.iter().position(|other| other.id == column.id)
        };
        match column.kind {
            ColumnKind::PartitionKey => set(&mut partition, at(&table.partition_key), value),
            ColumnKind::Clustering => set(&mut clustering, at(&table.clustering), value),
            ColumnKind::Static | ColumnKind::Regular => writes.add(column, Write::Value(value))?,
        }
    }
    let missing = table.partition_key.iter().zip(&partition).filter(|(_, value)| value.is_none());
    let missing: Vec<String> = missing.map(|(column, _)| column.name.to_string()).collect();
    if !missing.is_empty() {
        return Err(QueryError::invalid(format!(
            "some partition key parts are missing: {}; INSERT names all of them",
            missing.join(", ")
        )));
    }
    let points = |values: Vec<Option<Expr>>| {
        let given = values.into_iter().enumerate();
        given.filter_map(|(at, value)| Some(Points::single(at, value?))).collect()
    };
    let keys = Keys {
        partition: points(partition),
        clustering: points(clustering),
        slice: Slice::default(),
    };
    Ok((keys, writes))
}

fn set(values: &mut [Option<Expr>], at: Option<usize>, value: Expr) {
    if let Some(slot) = at.and_then(|at| values.get_mut(at)) {
        *slot = Some(value);
    }
}

/// All clustering columns are there, or none and only static columns are written.
fn check_clustering(keys: &Keys, writes: &Writes, table: &Table) -> Result<(), QueryError> {
    let only_statics = !writes.statics.is_empty() && writes.regulars.is_empty();
    if keys.clustering.len() == table.clustering.len()
        || (keys.clustering.is_empty() && only_statics)
    {
        return Ok(());
    }
    let given = |at: usize| keys.clustering.iter().any(|points| points.columns.start == at);
    let missing = table.clustering.iter().enumerate().filter(|(at, _)| !given(*at));
    let missing: Vec<String> = missing.map(|(_, column)| column.name.to_string()).collect();
    Err(QueryError::invalid(format!(
        "some clustering keys are missing: {}; INSERT names all of them",
        missing.join(", ")
    )))
}
