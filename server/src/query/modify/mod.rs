//! INSERT, UPDATE and DELETE: planned once, then turned into mutations by pure functions of values and time.
//!
//! - [`insert`], [`update`], [`delete`]: the planners.
//! - [`restriction`](crate::query::restriction): WHERE, reduced to partitions, rows and a slice of rows.
//! - [`operations`]: what is written to each column; [`elements`]: to the elements of a multi-cell column.
//! - [`attributes`]: USING; [`mutation`]: plan and values to [`Mutation`]s.
//!
//! What each statement writes is section 5 of the reconciliation spec. A plan is a tree of [`Expr`]s over a table:
//! column writes are sorted by column id, so that a row is encoded in one pass. Nothing here reads or writes storage;
//! what must be read first (lists by index or value, counters) comes through [`Existing`].
//!
//! [`Mutation`]: tholos_storage::model::mutation::Mutation
//! [`Expr`]: crate::query::expression::Expr
//! [`Existing`]: mutation::Existing

pub mod attributes;
pub mod cells;
pub mod delete;
mod display;
pub mod document;
pub mod elements;
pub mod insert;
pub mod mutation;
pub mod operations;
mod rows;
pub mod update;

use std::sync::Arc;

use tholos_grammar::ast::TableName;
use tholos_grammar::ast::modify::Modification;
use tholos_grammar::name::Name;
use tholos_storage::schema::Table;

use self::attributes::Attributes;
use self::operations::ColumnWrite;
use crate::error::{At, QueryError};
use crate::query::context::PlanContext;
use crate::query::expression::Binder;
use crate::query::modify::document::InsertDocument;
use crate::query::restriction::{Clustering, PartitionKeys};

/// A planned INSERT, UPDATE or DELETE.
#[derive(Clone, Debug)]
pub struct ModifyPlan {
    /// The table.
    pub table: Arc<Table>,
    /// Which statement it is.
    pub kind: ModifyKind,
    /// Which partitions.
    pub partitions: PartitionKeys,
    /// Which of their rows; a slice only in DELETE.
    pub clustering: Clustering,
    /// What is written to static columns, sorted by column id.
    pub statics: Vec<ColumnWrite>,
    /// What is written to regular columns, sorted by column id.
    pub regulars: Vec<ColumnWrite>,
    /// USING.
    pub attributes: Attributes,
    /// INSERT JSON: keys and writes are bound to the values of this document instead of the statement's markers.
    pub json: Option<Box<InsertDocument>>,
}

/// What a modification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModifyKind {
    /// INSERT: writes columns and the row's liveness.
    Insert,
    /// UPDATE: writes columns only.
    Update,
    /// DELETE of columns or elements.
    DeleteColumns,
    /// DELETE of rows, ranges of rows or partitions.
    DeleteRows,
}

impl ModifyPlan {
    /// Marker positions of the partition key, in key order; empty unless each column is one marker.
    pub fn pk_indexes(&self) -> Vec<u16> {
        if self.json.is_some() { Vec::new() } else { self.partitions.marker_indexes() }
    }

    /// Whether current values must be read before it can be written: lists by index or by value, and counters.
    pub fn reads(&self) -> bool {
        self.statics.iter().chain(&self.regulars).any(ColumnWrite::reads)
    }

    /// Whether it writes counters.
    pub fn is_counter(&self) -> bool {
        self.table.is_counter()
    }
}

/// Plans a modification, by itself or within a batch: `binder` numbers markers through the whole batch.
///
/// # Errors
/// [`QueryError::Invalid`], [`QueryError::NotSupportedYet`].
pub fn plan(statement: &Modification, binder: &mut Binder<'_>) -> Result<ModifyPlan, QueryError> {
    match statement {
        Modification::Insert(statement) => insert::plan(statement, binder),
        Modification::Update(statement) => update::plan(statement, binder),
        Modification::Delete(statement) => delete::plan(statement, binder),
    }
    .at(statement.table().span())
}

/// The table that a statement changes: it must exist and be a user's.
///
/// # Errors
/// [`QueryError::Invalid`]: no keyspace is in use, the keyspace or table does not exist, or it is a system table.
pub fn changed_table(name: &TableName, context: PlanContext<'_>) -> Result<Arc<Table>, QueryError> {
    table_of(name, context).at(name.span())
}

fn table_of(name: &TableName, context: PlanContext<'_>) -> Result<Arc<Table>, QueryError> {
    let keyspace = keyspace_of(name, context)?;
    if context.catalogue.is_system(keyspace) {
        return Err(QueryError::Unauthorized(format!(
            "{keyspace}.{} is a system table: it can be read and not changed",
            name.name
        )));
    }
    let Some(known) = context.catalogue.keyspace(keyspace.as_str()) else {
        return Err(QueryError::invalid(format!(
            "keyspace {keyspace} does not exist: DESCRIBE KEYSPACES lists those that do"
        )));
    };
    match known.tables.get(name.name.as_str()) {
        Some(table) => Ok(Arc::clone(table)),
        None => Err(QueryError::invalid(format!(
            "table {keyspace}.{} does not exist: DESCRIBE TABLES lists those that do",
            name.name
        ))
        .at(name.name.span)),
    }
}

/// The keyspace that a name means: its own, or the session's.
///
/// # Errors
/// [`QueryError::Invalid`] when neither is there.
pub fn keyspace_of<'n>(
    name: &'n TableName,
    context: PlanContext<'n>,
) -> Result<&'n Name, QueryError> {
    name.keyspace.as_deref().or(context.keyspace).ok_or_else(|| {
        QueryError::invalid(format!(
            "no keyspace has been specified for {}: USE a keyspace, or write keyspace.{}",
            name.name, name.name
        ))
    })
}
