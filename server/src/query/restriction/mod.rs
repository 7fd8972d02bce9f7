//! WHERE: names looked up and terms bound once, then sorted into the way to the rows and what rows must also meet.
//!
//! ```text
//! PRIMARY KEY (k, a, b, c)     WHERE k = 1 AND a IN (1, 2) AND (b, c) > (?, 5) AND v = 'x'
//!
//! relation   columns with a test each, in the order of the text
//! plan       partitions: k = 1                          the whole partition key, or token(), leads to partitions
//!            clustering: a IN (1, 2), (b, c) > (?, 5)   a prefix of the clustering columns and a slice behind it
//!            rest: v = 'x'                              SELECT filters by it, UPDATE and DELETE refuse it
//! keys       with values: partition prefixes, positions of rows, intervals of positions, ranges of tokens
//! ```
//!
//! - [`relation`]: relations with names looked up and terms bound.
//! - [`plan`]: what leads to the rows; the reasons why something doesn't.
//! - [`evaluate`], [`keys`]: from bound values to keys; [`display`]: how all this prints.
//!
//! The same serves SELECT, UPDATE and DELETE; INSERT makes [`PartitionKeys`] and [`Clustering`] from its columns.
//!
//! Invariant: work grows with the number of relations and values, not with its square.

pub mod display;
pub mod evaluate;
pub mod keys;
pub mod plan;
pub mod relation;
mod steps;
#[cfg(test)]
mod tests;

use std::ops::Range;

use tholos_grammar::types::CqlType;

use crate::query::expression::Expr;

/// Which partitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Those with these keys.
    Keys(PartitionKeys),
    /// Those whose token lies in a range.
    Scan(Tokens),
}

/// Partitions by key: every combination of the values of the key's columns whose token lies in a range.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PartitionKeys {
    /// One entry for each column of the partition key, in its order.
    pub columns: Vec<Points>,
    /// `token()` beside them.
    pub tokens: Tokens,
}

/// A range of tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Tokens {
    /// `token(k) = t`
    At(TokenTerm),
    /// Between two bounds: all, when it has none.
    Between {
        /// `>` or `>=`
        lower: Option<TokenBound>,
        /// `<` or `<=`
        upper: Option<TokenBound>,
    },
}

/// One end of a range of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenBound {
    /// The token.
    pub token: TokenTerm,
    /// Whether it belongs to the range.
    pub inclusive: bool,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenTerm {
    /// A number.
    Number(Expr),
    /// `token(a, b)`: values of the partition key columns.
    Key(Vec<Expr>),
}

/// Which rows of a partition: those whose first clustering columns have some values (every combination), and what
/// follows lies in a slice. All of them, when nothing is restricted.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Clustering {
    /// Values of a prefix of the clustering columns, in their order and without gaps.
    pub points: Vec<Points>,
    /// What follows that prefix.
    pub slice: Slice,
}

/// Values that some consecutive columns of a key have: `=` and IN.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// Which columns, by position in the partition key or among the clustering columns.
    pub columns: Range<usize>,
    /// Their values.
    pub values: Candidates,
}

/// Values of which some columns have one.
#[derive(Clone, Debug, PartialEq)]
pub enum Candidates {
    /// `c = 1`, `(c, d) = (1, 2)`, and IN with one value.
    One(Tuple),
    /// `c IN (1, 2)`, `(c, d) IN ((1, 2), ?)`; none for `IN ()`.
    Many(Vec<Tuple>),
    /// `c IN ?`, `(c, d) IN ?`
    List {
        /// A list.
        list: Expr,
        /// Whether its elements are tuples of values.
        of_tuples: bool,
    },
}

/// A value for each of some columns.
#[derive(Clone, Debug, PartialEq)]
pub enum Tuple {
    /// `1`, `(1, ?)`: one term for each column.
    Elements(Vec<Expr>),
    /// `?` for several columns: a tuple.
    Whole(Expr),
}

/// Rows between two bounds, by the order of CQL (not that of storage). Both bounds begin with the same column.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Slice {
    /// `>` or `>=`
    pub lower: Option<SliceBound>,
    /// `<` or `<=`
    pub upper: Option<SliceBound>,
}

/// One end of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceBound {
    /// Which clustering columns.
    pub columns: Range<usize>,
    /// Their values.
    pub values: Tuple,
    /// Whether rows with these values belong to the slice.
    pub inclusive: bool,
}

/// What a relation says of its columns.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `c > 1`; `(c, d) > (1, 2)` in lexicographic order.
    Compare(Operator, Tuple),
    /// `c IN (1, 2)`, `(c, d) IN ((1, 2), (3, 4))`
    In {
        /// `NOT IN`
        negated: bool,
        /// The candidates.
        values: Candidates,
    },
    /// `c CONTAINS value`: an element of a list or set, a value of a map.
    Contains {
        /// `NOT CONTAINS`
        negated: bool,
        /// The element.
        value: Expr,
        /// Its type.
        element: CqlType,
    },
    /// `c CONTAINS KEY key`
    ContainsKey {
        /// `NOT CONTAINS KEY`
        negated: bool,
        /// The key.
        key: Expr,
        /// Its type.
        element: CqlType,
    },
    /// `c[key] > value`: an entry of a map.
    Entry {
        /// The key.
        key: Expr,
        /// How.
        operator: Operator,
        /// With what.
        value: Expr,
    },
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl PartitionKeys {
    /// Those with these values.
    pub fn of(columns: Vec<Points>) -> Self {
        PartitionKeys { columns, tokens: Tokens::default() }
    }

    /// Whether each column has one value, so that there is one partition at most.
    pub fn is_one(&self) -> bool {
        self.columns.iter().all(|points| matches!(points.values, Candidates::One(_)))
    }

    /// Marker positions of the partition key, in key order; empty unless each column is one marker.
    pub fn marker_indexes(&self) -> Vec<u16> {
        let indexes = self.columns.iter().map(|points| points.values.single()?.marker());
        indexes.collect::<Option<Vec<u16>>>().unwrap_or_default()
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens::Between { lower: None, upper: None }
    }
}

impl Tokens {
    /// Whether no token is left out.
    pub fn are_all(&self) -> bool {
        matches!(self, Tokens::Between { lower: None, upper: None })
    }
}

impl Clustering {
    /// How many clustering columns have points.
    pub fn width(&self) -> usize {
        self.points.last().map_or(0, |points| points.columns.end)
    }

    /// Whether no row is left out.
    pub fn is_all(&self) -> bool {
        self.points.is_empty() && self.slice.is_full()
    }

    /// Whether a clustering column has one value, so that ORDER BY and GROUP BY may leave it out.
    pub fn is_single(&self, column: usize) -> bool {
        self.points.iter().any(|points| {
            points.columns.contains(&column) && matches!(points.values, Candidates::One(_))
        })
    }
}

impl Points {
    /// One column with one value.
    pub fn single(column: usize, expr: Expr) -> Self {
        let values = Candidates::One(Tuple::Elements(vec![expr]));
        Points { columns: column..column + 1, values }
    }
}

impl Candidates {
    /// The one value of one column, if it is that.
    pub fn single(&self) -> Option<&Expr> {
        match self {
            Candidates::One(Tuple::Elements(exprs)) => match exprs.as_slice() {
                [single] => Some(single),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Slice {
    /// Whether neither end is given.
    pub fn is_full(&self) -> bool {
        self.lower.is_none() && self.upper.is_none()
    }
}

impl Operator {
    /// `<`, `<=`, `>` or `>=`.
    pub fn is_slice(self) -> bool {
        !matches!(self, Operator::Equal | Operator::NotEqual)
    }

    /// Whether values that are equal meet it.
    pub fn is_inclusive(self) -> bool {
        matches!(self, Operator::Equal | Operator::LessOrEqual | Operator::GreaterOrEqual)
    }
}
