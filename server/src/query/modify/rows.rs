//! The rows that UPDATE and DELETE change.

use std::sync::Arc;

use tholos_grammar::ast::relation::Relation;
use tholos_storage::schema::Table;

use super::attributes::Attributes;
use super::operations::Writes;
use super::{ModifyKind, ModifyPlan};
use crate::error::QueryError;
use crate::query::expression::Binder;
use crate::query::restriction::Clustering;
use crate::query::restriction::plan::restrict;
use crate::query::restriction::relation;

/// A statement before its WHERE.
pub(super) struct Change {
    pub(super) table: Arc<Table>,
    pub(super) kind: ModifyKind,
    pub(super) writes: Writes,
    pub(super) attributes: Attributes,
}

impl Change {
    /// The plan, of the rows that WHERE names.
    pub(super) fn of_rows(
        self,
        relations: &[Relation],
        binder: &mut Binder<'_>,
    ) -> Result<ModifyPlan, QueryError> {
        let Change { table, kind, writes, attributes } = self;
        let relations = relation::bind(relations, &table, binder)?;
        let (partitions, clustering) = restrict(relations, &table)?.into_keys(&table)?;
        match kind {
            ModifyKind::Insert | ModifyKind::DeleteRows => {}
            ModifyKind::Update => check_rows(&clustering, &writes, &table, "UPDATE")?,
            ModifyKind::DeleteColumns => check_rows(&clustering, &writes, &table, "DELETE")?,
        }
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
}

/// Writing columns takes whole rows; writing static columns alone takes no row at all.
fn check_rows(
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
