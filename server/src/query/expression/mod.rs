//! Terms: what stands for a value in a statement, with its type settled and its markers numbered.
//!
//! - [`Binder`]: turns the terms of one statement into [`Expr`]s, in the order of the text, and collects the markers.
//! - [`Expr`]: a planned term. What needs no marker and no function call is encoded when it is planned.
//! - [`resolve_type`]: types as written to types of the catalogue.
//!
//! Invariant: what [`Expr::evaluate`] yields is a valid value of the expression's type, with sets and maps inside it in
//! their order and without duplicates. No table is looked up here, and no clock read.

mod assign;
mod bind;
mod display;
mod evaluate;
mod literal;
mod types;

use std::borrow::Cow;

use tholos_grammar::types::CqlType;

pub use self::assign::assignable;
pub use self::bind::Binder;
pub(crate) use self::types::holds_duration;
pub use self::types::{freeze, resolve_type};
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
