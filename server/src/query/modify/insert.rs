//! Planning INSERT.

use std::collections::BTreeSet;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::modify::{Insert, InsertSource};
use tholos_grammar::ast::term::Term;
use tholos_grammar::types::Native;
use tholos_storage::schema::{Column, ColumnKind, Table};

use super::attributes::Attributes;
use super::operations::{Write, Writes};
use super::{ModifyKind, ModifyPlan, changed_table};
use crate::error::{At, QueryError};
use crate::query::column::ColumnSpec;
use crate::query::expression::{Binder, Expr, ExprKind};
use crate::query::modify::document::InsertDocument;
use crate::query::restriction::{Clustering, PartitionKeys, Points, Slice};
use crate::query::suggest::defined;

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
    if statement.if_not_exists {
        return Err(QueryError::NotSupportedYet(
            "IF NOT EXISTS of INSERT (lightweight transactions)".to_owned(),
        ));
    }
    let (json, inserted) = match &statement.source {
        InsertSource::Values(values) => (None, columns(values, &table, binder)?),
        InsertSource::Json { json, default_unset } => {
            let receiver = ColumnSpec {
                keyspace: table.keyspace.clone(),
                table: table.name.clone(),
                name: "[json]".to_owned(),
                cql_type: Native::Text.into(),
            };
            let text = binder.bind(json, &receiver)?;
            let document = InsertDocument::new(&table, text, *default_unset);
            (Some(Box::new(document)), of_document(&table)?)
        }
    };
    let Inserted { partitions, clustering, writes } = inserted;
    check_clustering(&clustering, &writes, &table)?;
    let attributes = Attributes::bind_for(&statement.using, &table, binder)?;
    let (statics, regulars) = writes.sorted();
    Ok(ModifyPlan {
        table,
        kind: ModifyKind::Insert,
        partitions,
        clustering,
        statics,
        regulars,
        attributes,
        json,
    })
}

/// The columns of an INSERT.
struct Inserted {
    partitions: PartitionKeys,
    clustering: Clustering,
    writes: Writes,
}

/// Binds the values in the order of the text and sorts them into keys and writes.
fn columns(
    values: &[(Ident, Term)],
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<Inserted, QueryError> {
    let mut values_of = Values::new(table);
    let mut seen = BTreeSet::new();
    for (name, term) in values {
        let column = defined(table, name)?;
        if !seen.insert(column.id) {
            let error = QueryError::invalid(format!(
                "multiple definitions found for column {name}: list it once"
            ));
            return Err(error.at(name.span));
        }
        let value = binder.bind(term, &ColumnSpec::of(table, column))?;
        values_of.set(column, value).at(name.span)?;
    }
    values_of.sorted()
}

/// All columns of the table, each bound to the value of that number of an INSERT JSON's document.
fn of_document(table: &Table) -> Result<Inserted, QueryError> {
    let mut values_of = Values::new(table);
    for (place, column) in table.columns().enumerate() {
        let index = u16::try_from(place).map_err(|_| {
            QueryError::invalid("INSERT JSON takes tables of at most 65,536 columns")
        })?;
        let name = column.name.as_str().into();
        let kind = ExprKind::Marker { index, name };
        values_of.set(column, Expr { cql_type: column.cql_type.clone(), kind })?;
    }
    values_of.sorted()
}

/// The values of an INSERT's columns.
struct Values<'t> {
    table: &'t Table,
    partition: Vec<Option<Expr>>,
    clustering: Vec<Option<Expr>>,
    writes: Writes,
}

impl<'t> Values<'t> {
    fn new(table: &'t Table) -> Self {
        Values {
            table,
            partition: vec![None; table.partition_key.len()],
            clustering: vec![None; table.clustering.len()],
            writes: Writes::default(),
        }
    }

    fn set(&mut self, column: &Column, value: Expr) -> Result<(), QueryError> {
        let at = |columns: &[Column]| columns.iter().position(|other| other.id == column.id);
        match column.kind {
            ColumnKind::PartitionKey => {
                set(&mut self.partition, at(&self.table.partition_key), value);
            }
            ColumnKind::Clustering => {
                set(&mut self.clustering, at(&self.table.clustering), value);
            }
            ColumnKind::Static | ColumnKind::Regular => {
                self.writes.add(column, Write::Value(value))?;
            }
        }
        Ok(())
    }

    /// As keys and writes.
    fn sorted(self) -> Result<Inserted, QueryError> {
        let columns = self.table.partition_key.iter().zip(&self.partition);
        let missing = columns.filter(|(_, value)| value.is_none());
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
        let partitions = PartitionKeys::of(points(self.partition));
        let clustering = Clustering { points: points(self.clustering), slice: Slice::default() };
        Ok(Inserted { partitions, clustering, writes: self.writes })
    }
}

fn set(values: &mut [Option<Expr>], at: Option<usize>, value: Expr) {
    if let Some(slot) = at.and_then(|at| values.get_mut(at)) {
        *slot = Some(value);
    }
}

/// All clustering columns are there, or none and only static columns are written.
fn check_clustering(
    clustering: &Clustering,
    writes: &Writes,
    table: &Table,
) -> Result<(), QueryError> {
    let only_statics = !writes.statics.is_empty() && writes.regulars.is_empty();
    if clustering.points.len() == table.clustering.len()
        || (clustering.points.is_empty() && only_statics)
    {
        return Ok(());
    }
    let given = |at: usize| clustering.points.iter().any(|points| points.columns.start == at);
    let missing = table.clustering.iter().enumerate().filter(|(at, _)| !given(*at));
    let missing: Vec<String> = missing.map(|(_, column)| column.name.to_string()).collect();
    Err(QueryError::invalid(format!(
        "some clustering keys are missing: {}; INSERT names all of them",
        missing.join(", ")
    )))
}
