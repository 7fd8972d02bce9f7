//! Plans: statements reduced to what executing needs. Every plan prints itself, for golden tests and EXPLAIN later.

use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::{Column, SchemaChange, Table};

use crate::query::batch::BatchPlan;
use crate::query::describe::DescribePlan;
use crate::query::modify::ModifyPlan;

/// A column of a result, or a bind marker, as the protocol's metadata describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Keyspace of the table it belongs to.
    pub keyspace: Name,
    /// The table.
    pub table: Name,
    /// The column's or marker's name.
    pub name: String,
    /// Its type.
    pub cql_type: CqlType,
}

impl ColumnSpec {
    /// A column of a table.
    pub fn of(table: &Table, column: &Column) -> Self {
        ColumnSpec {
            keyspace: table.keyspace.clone(),
            table: table.name.clone(),
            name: column.name.as_str().to_owned(),
            cql_type: column.cql_type.clone(),
        }
    }

    /// Something of this one's table with a name and type of its own: `key(m)`, `[ttl]`, ...
    pub fn part(&self, name: impl Into<String>, cql_type: CqlType) -> Self {
        ColumnSpec { name: name.into(), cql_type, ..self.clone() }
    }
}

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
