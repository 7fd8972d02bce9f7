//! Expressions: what stands for a value in a statement, with its type settled and its markers numbered.
//!
//! - [`Binder`]: the terms of one statement, in the order of the text, and its markers.
//! - [`planner`]: one pass over a term, which gives a [`draft`] of it; [`settle`]: a draft becomes an [`Expr`] of the type
//!   that receives it; [`of_rows`]: what only a select list has; [`name`]: what a result's column is called.
//! - [`Expr`]: a planned term. What needs no marker, no row and no impure function is encoded when it is planned.
//! - [`evaluate`]: from values, and perhaps a [`Row`](row::Row), to bytes; [`gather`]: expressions over groups of rows.
//!
//! Invariants: what [`Expr::evaluate`] yields is a valid value of the expression's type, with sets and maps inside it in
//! their order and without duplicates. Planning is linear in the statement: no term is planned twice. No clock is read
//! here.

mod binder;
mod display;
mod draft;
mod evaluate;
pub mod gather;
mod literal;
mod name;
mod of_rows;
pub(in crate::query) mod planner;
pub mod row;
mod settle;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use tholos_grammar::types::CqlType;

pub use self::binder::Binder;
pub use self::display::Shown;
use crate::query::functions::Function;

/// A planned term: what gives a value of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// The type of its values.
    pub cql_type: CqlType,
    /// How they come about.
    pub kind: ExprKind,
}

/// How an expression's value comes about.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// Known when planned: the protocol's bytes, or null.
    Constant(Option<Box<[u8]>>),
    /// A bound value.
    Marker {
        /// Which: the position among the statement's markers.
        index: u16,
        /// What it is bound to, for messages: a column's name, `[ttl]`, ...
        name: Box<str>,
    },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{a, b}`
    Set(Vec<Expr>),
    /// `{k: v}`
    Map(Vec<(Expr, Expr)>),
    /// `(a, b)`: fields left out at the end are null.
    Tuple(Vec<Expr>),
    /// `{field: v}`: all fields in the order of the type.
    Udt(Vec<Expr>),
    /// `[a, b]` of a vector: as many as it has dimensions.
    Vector(Vec<Expr>),
    /// `f(a, b)`, arithmetic and CAST.
    Call {
        /// The function.
        function: Box<Function>,
        /// Its arguments, of the function's argument types.
        arguments: Vec<Expr>,
    },
    /// A column of the row, by slot.
    Column(usize),
    /// `writetime(column)` and the like.
    OfCells(Box<OfCells>),
    /// `token(partition key)` of the row.
    Token,
    /// `token()` of other values: that of the partition whose key they would be.
    TokenOf(Vec<Expr>),
    /// `value.field`: of a user type.
    Field {
        /// The user type's value.
        of: Box<Expr>,
        /// The field's number.
        index: usize,
    },
    /// `map[key]`, `set[element]`
    Element {
        /// The collection.
        of: Box<Expr>,
        /// The key.
        key: Box<Expr>,
    },
    /// `map[from..to]`, `set[from..to]`, both ends inclusive.
    Slice {
        /// The collection.
        of: Box<Expr>,
        /// From this key on.
        from: Option<Box<Expr>>,
        /// Up to and with this key.
        to: Option<Box<Expr>>,
    },
    /// `count(*)`, `max(a)`: over all rows of a group. Only until the plan says what is gathered ([`gather`]).
    Aggregate(Box<Aggregate>),
    /// What was gathered of a group, by number.
    Gathered(usize),
}

/// What is asked of a column's cells.
#[derive(Clone, Debug, PartialEq)]
pub struct OfCells {
    /// What.
    pub fact: CellFact,
    /// The column.
    pub slot: usize,
    /// Which of its cells.
    pub part: Part,
}

/// What may be asked of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFact {
    /// `writetime`: of a column of many cells, a list of all of them.
    Writetime,
    /// `maxwritetime`: the latest.
    MaxWritetime,
    /// `ttl`: seconds left; of a column of many cells, a list of all of them.
    Ttl,
}

/// A part of a column that may be cells of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The column.
    Whole,
    /// `column.field`, by number.
    Field(u16),
    /// `column[key]`
    Element(Expr),
    /// `column[from..to]`
    Slice(Option<Expr>, Option<Expr>),
}

/// An aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub function: AggregateFunction,
    /// What is taken of each row; none for `count(*)`.
    pub argument: Option<Expr>,
}

/// Aggregate functions. Null arguments are left out, but for that of `First`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateFunction {
    /// The first row's value: what a column means beside aggregates.
    First,
    /// `count(*)`
    CountRows,
    /// `count(a)`
    Count,
    /// `min(a)`
    Min,
    /// `max(a)`
    Max,
    /// `sum(a)`
    Sum,
    /// `avg(a)`
    Avg,
}

impl AggregateFunction {
    /// Its name in CQL.
    pub fn name(self) -> &'static str {
        match self {
            AggregateFunction::First => "first",
            AggregateFunction::CountRows | AggregateFunction::Count => "count",
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
            AggregateFunction::Sum => "sum",
            AggregateFunction::Avg => "avg",
        }
    }
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluated<'v> {
    /// Null.
    Null,
    /// A marker that was not set: leave things as they are. Only markers by themselves yield it.
    Unset,
    /// The protocol's bytes.
    Bytes(Cow<'v, [u8]>),
}

impl Expr {
    /// The null of a type.
    pub fn null(cql_type: CqlType) -> Self {
        Expr { cql_type, kind: ExprKind::Constant(None) }
    }

    /// A value known when planned: valid and canonical bytes of the type.
    pub fn constant(cql_type: CqlType, bytes: impl Into<Box<[u8]>>) -> Self {
        Expr { cql_type, kind: ExprKind::Constant(Some(bytes.into())) }
    }

    /// The marker that this is, if it is one.
    pub fn marker(&self) -> Option<u16> {
        match &self.kind {
            ExprKind::Marker { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Whether it is null whatever is bound.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, ExprKind::Constant(None))
    }

    /// Whether its value is known without bound values: a constant.
    pub fn is_constant(&self) -> bool {
        matches!(self.kind, ExprKind::Constant(_))
    }
}

impl<'v> Evaluated<'v> {
    /// The bytes, if it is neither null nor unset.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Evaluated::Bytes(bytes) => Some(bytes),
            Evaluated::Null | Evaluated::Unset => None,
        }
    }
}

impl<'v> From<Option<Cow<'v, [u8]>>> for Evaluated<'v> {
    fn from(value: Option<Cow<'v, [u8]>>) -> Self {
        value.map_or(Evaluated::Null, Evaluated::Bytes)
    }
}
