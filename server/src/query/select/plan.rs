//! What a SELECT comes to: the way to the rows, what is left out, in which order, how many, and what is shown of them.
//!
//! Columns that the statement touches are *slots*: [`SelectPlan::slots`] lists them once, and filters, selectors and
//! groups name them by index. Executing fills the slots of one row at a time.

use std::ops::Range;
use std::sync::Arc;

use tholos_storage::model::entry::Direction;
use tholos_storage::schema::Table;

use crate::query::column::ColumnSpec;
use crate::query::expression::{Aggregate, Expr};
use crate::query::restriction::{Access, Clustering, Test};
use crate::query::slots::Slot;

/// A planned SELECT.
#[derive(Debug)]
pub struct SelectPlan {
    /// The table.
    pub table: Arc<Table>,
    /// Whether the rows of the table are made up at each read.
    pub virtual_table: bool,
    /// Which partitions are read.
    pub access: Access,
    /// Which parts of each partition are read.
    pub clustering: Clustering,
    /// What rows must also meet.
    pub filters: Vec<Filter>,
    /// Whether any restriction names a clustering or regular column: then a partition with only a static row has no
    /// row to show.
    pub restricts_rows: bool,
    /// Which way partitions are walked.
    pub direction: Direction,
    /// How rows of several partitions follow each other.
    pub across: Across,
    /// DISTINCT: one row for each partition.
    pub distinct: bool,
    /// GROUP BY: expressions whose values make a group, of columns of the key; `None` without GROUP BY.
    pub group_by: Option<Vec<Expr>>,
    /// PER PARTITION LIMIT
    pub per_partition_limit: Option<Expr>,
    /// LIMIT
    pub limit: Option<Expr>,
    /// USING TIMEOUT
    pub timeout: Option<Expr>,
    /// Columns that are touched, each once.
    pub slots: Vec<Slot>,
    /// What is shown of a row.
    pub projection: Projection,
    /// The result's columns, as clients are told.
    pub columns: Arc<[ColumnSpec]>,
    /// Tells paging states of this statement from those of others: made of the table and the way to the rows.
    pub fingerprint: u32,
    /// The markers of WHERE: paging states are also told apart by their values.
    pub where_markers: Range<usize>,
}

impl SelectPlan {
    /// A warning for an aggregate that reads many partitions, which grows slower with the table.
    pub fn wide_aggregate(&self) -> Option<String> {
        if !matches!(self.projection, Projection::Aggregates { .. }) && self.group_by.is_none() {
            return None;
        }
        let table = format!("{}.{}", self.table.keyspace, self.table.name);
        match &self.access {
            Access::Scan(tokens) if tokens.are_all() => Some(format!(
                "Aggregation query used without partition key: it reads all of {table}, however large that is; restrict the partition key, or ranges of token() one after the other"
            )),
            Access::Keys(keys) if !keys.is_one() => Some(format!(
                "Aggregation query used on multiple partition keys (IN restriction): it reads several partitions of {table} one after the other; send a query for each"
            )),
            _ => None,
        }
    }
}

/// A condition that each row is tested for. A null column meets none.
#[derive(Debug)]
pub struct Filter {
    /// The columns: several for tuples.
    pub slots: Vec<usize>,
    /// What must hold of them.
    pub test: Test,
}

/// How what is shown of several partitions follows each other. ORDER BY names the first so many clustering columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across {
    /// One partition after the other.
    InTurn,
    /// ORDER BY: rows are merged by these columns.
    Merged(usize),
    /// ORDER BY beside GROUP BY: each partition makes its groups, which are sorted by these columns of their first rows.
    SortedGroups(usize),
}

/// What is shown of rows.
#[derive(Debug)]
pub enum Projection {
    /// Columns as they are: slots in the order of the result.
    Columns(Vec<usize>),
    /// An expression for each column of the result.
    Expressions(Vec<Expr>),
    /// One row for all rows or for each group.
    Aggregates {
        /// What is gathered of the rows.
        aggregates: Vec<Aggregate>,
        /// An expression over that for each column of the result.
        items: Vec<Expr>,
    },
}
