//! Terms as they are planned: once each, in the order of the text.
//!
//! A [`Draft`] is a term of which everything is known that it says by itself. Columns, casts, hints and most calls have a
//! type then, and are expressions already. Literals, markers, and what is made of them alone wait for what receives
//! them, and are *settled* once that is known:
//!
//! ```text
//! s + 1        s is a smallint; 1 is open, so the sum is: it would be an int by itself
//! f(s + 1)     f is chosen by the types that its arguments have by themselves, then they are settled to what f takes
//! ```
//!
//! Invariant: a term is drafted once, and a draft settled once, so planning is linear in the statement.

use std::borrow::Cow;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::{Literal, Marker};
use tholos_grammar::span::Span;
use tholos_grammar::types::{CqlType, Native};

use super::Expr;
use crate::query::functions::{ArgumentType, LiteralKind};
use crate::query::types::assign::assignable;

/// A term that is planned as far as it says by itself.
pub(super) struct Draft<'t> {
    pub(super) kind: DraftKind<'t>,
    pub(super) span: Span,
}

/// What a draft is.
pub(super) enum DraftKind<'t> {
    /// An expression of a type of its own.
    Typed(Expr),
    /// A constant.
    Literal(&'t Literal),
    /// A marker, which has its number already.
    Marker { marker: &'t Marker, index: u16 },
    /// `[a, b]`
    List(Vec<Draft<'t>>),
    /// `{a, b}`
    Set(Vec<Draft<'t>>),
    /// `{k: v}`
    Map(Vec<(Draft<'t>, Draft<'t>)>),
    /// `{field: v}`
    Udt(Vec<(&'t Ident, Draft<'t>)>),
    /// `(a, b)`, or one draft in parentheses.
    Tuple(Vec<Draft<'t>>),
    /// A call whose function also depends on what receives its result.
    Call(Box<OpenCall<'t>>),
}

/// A call that waits for its receiver.
pub(super) struct OpenCall<'t> {
    /// What is called, as for [`functions::resolve`](crate::query::functions::resolve).
    pub(super) name: Cow<'t, str>,
    pub(super) arguments: Vec<Draft<'t>>,
    /// What is known of its result without a receiver.
    pub(super) result: ArgumentType,
}

impl Draft<'_> {
    /// What choosing a function may know of it.
    pub(super) fn argument_type(&self) -> ArgumentType {
        match &self.kind {
            DraftKind::Typed(expr) => ArgumentType::Known(expr.cql_type.clone()),
            DraftKind::Literal(literal) => literal_type(literal),
            DraftKind::Marker { .. } => ArgumentType::Any,
            DraftKind::Tuple(items) if items.len() == 1 => {
                items.first().map_or(ArgumentType::Any, Draft::argument_type)
            }
            DraftKind::List(_)
            | DraftKind::Set(_)
            | DraftKind::Map(_)
            | DraftKind::Tuple(_)
            | DraftKind::Udt(_) => ArgumentType::Structured(self.natural_type()),
            DraftKind::Call(call) => call.result.clone(),
        }
    }

    /// Whether it has a type of its own, whatever receives it.
    pub(super) fn is_typed(&self) -> bool {
        matches!(self.kind, DraftKind::Typed(_))
    }

    /// The type that it has where nothing says one: `int` for 1, `list<int>` for `[c, 1]`. None for markers and null.
    pub(super) fn natural_type(&self) -> Option<CqlType> {
        match &self.kind {
            DraftKind::Typed(expr) => Some(expr.cql_type.clone()),
            DraftKind::Literal(literal) => natural(&literal_type(literal)),
            DraftKind::Marker { .. } | DraftKind::Udt(_) => None,
            DraftKind::List(items) => {
                Some(CqlType::List { element: Box::new(common(items.iter())?), frozen: true })
            }
            DraftKind::Set(items) => {
                Some(CqlType::Set { element: Box::new(common(items.iter())?), frozen: true })
            }
            DraftKind::Map(entries) => Some(CqlType::Map {
                key: Box::new(common(entries.iter().map(|(key, _)| key))?),
                value: Box::new(common(entries.iter().map(|(_, value)| value))?),
                frozen: true,
            }),
            DraftKind::Tuple(items) => match items.as_slice() {
                [single] => single.natural_type(),
                items => {
                    items.iter().map(Draft::natural_type).collect::<Option<_>>().map(CqlType::Tuple)
                }
            },
            DraftKind::Call(call) => natural(&call.result),
        }
    }
}

/// The type of elements that stand beside each other: that of the first that has one for sure, or the widest.
fn common<'d, 't: 'd>(items: impl Iterator<Item = &'d Draft<'t>> + Clone) -> Option<CqlType> {
    if let Some(typed) = items.clone().find(|item| item.is_typed()) {
        return typed.natural_type();
    }
    let mut widest: Option<CqlType> = None;
    for ty in items.filter_map(Draft::natural_type) {
        if widest.as_ref().is_none_or(|widest| widens(widest, &ty)) {
            widest = Some(ty);
        }
    }
    widest
}

fn widens(from: &CqlType, to: &CqlType) -> bool {
    let integer = |ty: &CqlType| match ty {
        CqlType::Native(Native::Int) => Some(0),
        CqlType::Native(Native::Bigint) => Some(1),
        CqlType::Native(Native::Varint) => Some(2),
        CqlType::Native(Native::Double) => Some(3),
        _ => None,
    };
    match (integer(from), integer(to)) {
        (Some(from), Some(to)) => to > from,
        _ => from != to && assignable(from, to),
    }
}

/// What choosing a function may know of a literal.
fn literal_type(literal: &Literal) -> ArgumentType {
    ArgumentType::Literal(match literal {
        Literal::Null => return ArgumentType::Any,
        Literal::Text(_) => LiteralKind::Text,
        Literal::Integer(digits) if digits.parse::<i32>().is_ok() => {
            LiteralKind::Integer(Native::Int)
        }
        Literal::Integer(digits) if digits.parse::<i64>().is_ok() => {
            LiteralKind::Integer(Native::Bigint)
        }
        Literal::Integer(_) => LiteralKind::Integer(Native::Varint),
        Literal::Float(_) => LiteralKind::Float,
        Literal::Boolean(_) => LiteralKind::Boolean,
        Literal::Blob(_) => LiteralKind::Blob,
        Literal::Uuid(_) => LiteralKind::Uuid,
        Literal::Duration(_) => LiteralKind::Duration,
    })
}

/// The type that an argument has where nothing says one.
pub(super) fn natural(argument: &ArgumentType) -> Option<CqlType> {
    match argument {
        ArgumentType::Known(ty) => Some(ty.clone()),
        ArgumentType::Literal(kind) => Some(kind.natural().into()),
        ArgumentType::Structured(ty) => ty.clone(),
        ArgumentType::Any => None,
    }
}
