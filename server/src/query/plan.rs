//! Plans: statements reduced to what executing needs. Every plan prints itself, for golden tests and EXPLAIN later.

use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_storage::schema::{SchemaChange, Table};

use crate::query::batch::BatchPlan;
use crate::query::column::ColumnSpec;
use crate::query::describe::DescribePlan;
use crate::query::modify::ModifyPlan;

/// A planned statement with what clients are told of it.
#[derive(Debug)]
pub struct Planned {
    /// What to do.
    pub plan: Plan,
    /// Bind markers by position.
    pub markers: Vec<ColumnSpec>,
    /// Marker positions that are the partition key, in key order; empty if they don't cover it.
    pub pk_indexes: Vec<u16>,
    /// The tables that it is about: plans are made again when the definition of one of them changed.
    pub tables: SmallVec<[Arc<Table>; 1]>,
    /// `USING CONSISTENCY`
    pub consistency: Option<Consistency>,
}

impl Planned {
    /// Columns of the rows that it gives; none if it gives no rows.
    pub fn result_columns(&self) -> Option<&[ColumnSpec]> {
        match &self.plan {
            Plan::Select(plan) => Some(&plan.columns),
            Plan::Describe(plan) => Some(&plan.columns),
            Plan::Use(_)
            | Plan::Modify(_)
            | Plan::Batch(_)
            | Plan::Truncate(_)
            | Plan::Schema(_) => None,
        }
    }
}

/// What to do.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Plan {
    /// `USE keyspace`
    Use(Name),
    /// INSERT, UPDATE or DELETE.
    Modify(Box<ModifyPlan>),
    /// BATCH, as text.
    Batch(Box<BatchPlan>),
    /// TRUNCATE
    Truncate(Arc<Table>),
    /// DESCRIBE: answered from the catalogue of the moment of execution.
    Describe(Box<DescribePlan>),
    /// SELECT
    Select(Box<crate::query::select::plan::SelectPlan>),
    /// A schema statement: validated and turned into changes at execution, against the catalogue of that moment.
    Schema(Box<tholos_grammar::ast::Statement>),
}

/// What a schema statement comes to against one catalogue.
#[derive(Debug)]
pub struct SchemaEffect {
    /// The changes, in order; empty when `IF [NOT] EXISTS` makes it a no-op.
    pub changes: Vec<SchemaChange>,
    /// What clients are told (SCHEMA_CHANGE result and event); none for a no-op.
    pub event: Option<SchemaEvent>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// A schema change as the protocol tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaEvent {
    /// CREATED, UPDATED or DROPPED.
    pub change: &'static str,
    /// KEYSPACE, TABLE or TYPE.
    pub target: &'static str,
    /// The keyspace.
    pub keyspace: Name,
    /// The table's or type's name; none for a keyspace.
    pub object: Option<Name>,
}
