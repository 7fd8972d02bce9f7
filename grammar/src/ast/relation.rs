//! Relations of WHERE, and conditions of IF.

use crate::ast::ident::Ident;
use crate::ast::term::{Marker, Term};

/// One of the relations that AND joins in a WHERE clause.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// `column op term`, such as `a = 1`, `m[k] = 2`, `tags CONTAINS 'x'`.
    Single {
        /// The left side.
        column: ColumnPath,
        operator: Comparison,
        /// The right side.
        term: Term,
    },
    /// `column IN (...)`, `column IN ?`
    In {
        /// The left side.
        column: ColumnPath,
        /// `NOT IN`
        negated: bool,
        /// The candidates.
        values: InValues,
    },
    /// `column BETWEEN low AND high`
    Between {
        /// The left side.
        column: ColumnPath,
        /// The lower bound, inclusive.
        low: Term,
        /// The upper bound, inclusive.
        high: Term,
    },
    /// `column IS NOT NULL`: only in views.
    IsNotNull(Ident),
    /// `(a, b) > (1, 2)`, `(a, b) = ?`
    Tuple {
        /// The columns on the left.
        columns: Vec<Ident>,
        operator: Comparison,
        /// A tuple literal or a marker.
        term: Term,
    },
    /// `(a, b) IN ((1, 2), (3, 4))`, `(a, b) IN (?, ?)`, `(a, b) IN ?`
    TupleIn {
        /// The columns on the left.
        columns: Vec<Ident>,
        /// The candidates, each a tuple literal or a marker.
        values: InValues,
    },
    /// `token(a, b) > term`
    Token {
        /// The columns inside `token()`.
        columns: Vec<Ident>,
        operator: Comparison,
        /// The right side, often a literal or `token(1, 2)`.
        term: Term,
    },
}

/// What a relation or condition compares, or an assignment sets: a column or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnPath {
    /// `a`
    Column(Ident),
    /// `a[term]`
    Element(Ident, Term),
    /// `a.field`
    Field(Ident, Ident),
}

/// The right side of IN.
#[derive(Clone, Debug, PartialEq)]
pub enum InValues {
    /// `(a, b, ...)`, possibly empty.
    List(Vec<Term>),
    /// `IN ?`
    Marker(Marker),
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    ContainsKey,
    NotContains,
    NotContainsKey,
    Like,
}

/// What must hold for a conditional statement to apply.
#[derive(Clone, Debug, PartialEq)]
pub enum Conditions {
    Exists,
    NotExists,
    /// `IF a = 1 AND m[k] IN (2, 3)`: only [`Relation::Single`] and [`Relation::In`]. At least one.
    All(Vec<Relation>),
}
