//! What a SELECT comes to: the way to the rows, what is left out, in which order, how many, and what is shown of them.
//!
//! Columns that the statement touches are *slots*: [`SelectPlan::slots`] lists them once, and filters, selectors and
//! groups name them by index. Executing fills the slots of one row at a time.

use std::ops::Range;
use std::sync::Arc;

use tholos_grammar::types::CqlType;
use tholos_storage::model::ColumnId;
use tholos_storage::model::entry::Direction;
use tholos_storage::schema::Table;

use crate::query::expression::{Aggregate, Expr};
use crate::query::plan::ColumnSpec;

/// A planned SELECT.
#[derive(Debug)]
pub struct SelectPlan {
    /// The table.
    pub table: Arc<Table>,
    /// Whether the table is a system table, made up at each read.
    pub virtual_table: bool,
    /// Which partitions are read.
    pub access: Access,
    /// Which parts of each partition are read; empty for all of it. All steps hold together.
    pub clustering: Vec<ClusteringStep>,
    /// What rows must also meet.
    pub filters: Vec<Filter>,
    /// Whether any restriction names a clustering or regular column: then a partition with only a static row has no
    /// row to show.
    pub restricts_rows: bool,
    /// Which way partitions are walked.
    pub direction: Direction,
    /// ORDER BY over several partitions: their rows are merged in clustering order.
    pub merge_partitions: bool,
    /// DISTINCT: one row for each partition.
    pub distinct: bool,
    /// GROUP BY: slots of the key columns whose values make a group; `None` without GROUP BY.
    pub group_by: Option<Vec<usize>>,
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
            Access::Scan { lower: None, upper: None } => Some(format!(
                "Aggregation query used without partition key: it reads all of {table}, however large that is; restrict the partition key, or ranges of token() one after the other"
            )),
            Access::Partitions(keys) if keys.iter().any(Candidates::may_be_several) => {
                Some(format!(
                    "Aggregation query used on multiple partition keys (IN restriction): it reads several partitions of {table} one after the other; send a query for each"
                ))
            }
            _ => None,
        }
    }
}

impl Candidates {
    fn may_be_several(&self) -> bool {
        match self {
            Candidates::One(_) => false,
            Candidates::Many(values) => values.len() > 1,
            Candidates::List { .. } => true,
        }
    }
}

/// Which partitions.
#[derive(Debug)]
pub enum Access {
    /// Those with these keys: for each partition key column its candidates; all combinations are read.
    Partitions(Vec<Candidates>),
    /// Those of one token.
    Token(TokenTerm),
    /// Those in a range of tokens: all, when it has no bounds.
    Scan {
        /// From here.
        lower: Option<TokenBound>,
        /// To here.
        upper: Option<TokenBound>,
    },
}

/// The values that one column may have.
#[derive(Debug)]
pub enum Candidates {
    /// `= a`
    One(Expr),
    /// `IN (a, b)`
    Many(Vec<Expr>),
    /// `IN ?`: a list.
    List {
        /// The list.
        list: Expr,
        /// Type of its elements.
        element: CqlType,
    },
}

/// One end of a token range.
#[derive(Debug)]
pub struct TokenBound {
    /// The token.
    pub token: TokenTerm,
    /// Whether it belongs to the range.
    pub inclusive: bool,
}

/// Where a token comes from.
#[derive(Debug)]
pub enum TokenTerm {
    /// A number.
    Number(Expr),
    /// `token(a, b)`: values of the partition key columns.
    Key(Vec<Expr>),
}

/// A restriction of consecutive clustering columns that narrows what is read.
#[derive(Debug)]
pub enum ClusteringStep {
    /// `width` columns from `first` on have one of these values.
    Points {
        /// Index of the first column.
        first: usize,
        /// How many columns.
        width: usize,
        /// The values.
        values: Tuples,
    },
    /// The columns from `first` on lie between two bounds; the last step.
    Slice {
        /// Index of the first column.
        first: usize,
        /// From here.
        lower: Option<SliceBound>,
        /// To here.
        upper: Option<SliceBound>,
    },
}

/// The candidates of several columns together; of one column when the tuples have one element.
#[derive(Debug)]
pub enum Tuples {
    /// `c IN (...)`, `c = ...`
    Single(Candidates),
    /// `(c, d) IN ((1, 2), ?)`, `(c, d) = (1, 2)`
    Many(Vec<TupleTerm>),
    /// `(c, d) IN ?`: a list of tuples.
    List(Expr),
}

/// The values of several columns.
#[derive(Debug)]
pub enum TupleTerm {
    /// `(1, ?)`: one term for each column.
    Elements(Vec<Expr>),
    /// `?`: a tuple.
    Whole(Expr),
}

/// One end of a slice.
#[derive(Debug)]
pub struct SliceBound {
    /// How many columns it bounds.
    pub width: usize,
    /// The values of these columns.
    pub values: TupleTerm,
    /// Whether rows with these values belong to the slice.
    pub inclusive: bool,
}

/// A condition that each row is tested for.
#[derive(Debug)]
pub enum Filter {
    /// `column op value`
    Compare {
        /// The column.
        slot: usize,
        /// How.
        operator: FilterOperator,
        /// With what.
        value: Expr,
    },
    /// `column IN (...)`, `column NOT IN (...)`
    In {
        /// The column.
        slot: usize,
        /// `NOT IN`
        negated: bool,
        /// The candidates.
        values: Candidates,
    },
    /// `column CONTAINS value`: an element of a list or set, a value of a map.
    Contains {
        /// The column.
        slot: usize,
        /// `NOT CONTAINS`
        negated: bool,
        /// The element.
        value: Expr,
        /// Its type.
        element: CqlType,
    },
    /// `column CONTAINS KEY key`
    ContainsKey {
        /// The column.
        slot: usize,
        /// `NOT CONTAINS KEY`
        negated: bool,
        /// The key.
        key: Expr,
        /// Its type.
        element: CqlType,
    },
    /// `column[key] op value`
    Entry {
        /// The column: a map.
        slot: usize,
        /// The key.
        key: Expr,
        /// How.
        operator: FilterOperator,
        /// With what.
        value: Expr,
    },
    /// `(a, b) op (1, 2)`: in lexicographic order.
    Tuple {
        /// The columns.
        slots: Vec<usize>,
        /// How.
        operator: FilterOperator,
        /// With what.
        value: TupleTerm,
    },
    /// `(a, b) IN (...)`
    TupleIn {
        /// The columns.
        slots: Vec<usize>,
        /// The candidates.
        values: Tuples,
    },
}

/// Comparisons of filters. A null column meets none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FilterOperator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A column that the statement touches.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Where its value is.
    pub place: Place,
    /// Its name, for messages.
    pub name: tholos_grammar::name::Name,
    /// Its type.
    pub cql_type: CqlType,
}

/// Where a column's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Component of the partition key.
    PartitionKey(usize),
    /// Component of the clustering key.
    Clustering(usize),
    /// In the static row.
    Static(ColumnId),
    /// In the row.
    Regular(ColumnId),
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
