//! Terms: literals, markers, collections, calls and arithmetic.

use std::fmt::{self, Display};

use crate::ast::QualifiedName;
use crate::ast::ident::Ident;
use crate::ast::print::{Joined, Quoted, joined};
use crate::ast::term::{Literal, Marker, Operator, Term, TermKind};

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Literal(literal) => literal.fmt(f),
            TermKind::Marker(marker) => marker.fmt(f),
            TermKind::Column(name) => column(f, name),
            TermKind::CountAll => f.write_str("count(*)"),
            TermKind::List(items) => write!(f, "[{}]", Joined(items, ", ")),
            TermKind::Set(items) => write!(f, "{{{}}}", Joined(items, ", ")),
            TermKind::Map(entries) => {
                f.write_str("{")?;
                joined(f, entries, ", ", |f, (key, value)| write!(f, "{key}: {value}"))?;
                f.write_str("}")
            }
            TermKind::Udt(fields) => {
                f.write_str("{")?;
                joined(f, fields, ", ", |f, (name, value)| write!(f, "{name}: {value}"))?;
                f.write_str("}")
            }
            TermKind::Tuple(items) => write!(f, "({})", Joined(items, ", ")),
            TermKind::Field(of, field) => {
                whole(f, of)?;
                // A point right behind a number would be read as part of it.
                write!(f, "{}.{field}", if is_number(of) { " " } else { "" })
            }
            TermKind::Element(of, key) => {
                whole(f, of)?;
                write!(f, "[{key}]")
            }
            TermKind::Slice(of, from, to) => {
                whole(f, of)?;
                f.write_str("[")?;
                from.iter().try_for_each(|from| write!(f, "{from}"))?;
                f.write_str("..")?;
                to.iter().try_for_each(|to| write!(f, "{to}"))?;
                f.write_str("]")
            }
            TermKind::Call { function, arguments } => {
                function_name(f, function)?;
                write!(f, "({})", Joined(arguments, ", "))
            }
            TermKind::Cast(term, type_name) => write!(f, "CAST({term} AS {type_name})"),
            TermKind::Hint(type_name, term) => {
                write!(f, "({type_name}) ")?;
                operand(f, term, Precedence::Unary)
            }
            TermKind::Negate(term) => negated(f, term),
            TermKind::Arithmetic { left, operator, right } => {
                operand(f, left, Precedence::of(*operator))?;
                write!(f, " {operator} ")?;
                operand(f, right, Precedence::of(*operator).tighter())
            }
        }
    }
}

/// `-term`, with a space where two signs would begin a comment.
fn negated(f: &mut fmt::Formatter<'_>, term: &Term) -> fmt::Result {
    f.write_str(if starts_with_sign(term) { "- " } else { "-" })?;
    operand(f, term, Precedence::Unary)
}

/// Whether a term's text begins with `-`, so that another one before it would begin a comment.
fn starts_with_sign(term: &Term) -> bool {
    match &term.kind {
        TermKind::Negate(_) => true,
        TermKind::Literal(literal) => literal.to_string().starts_with('-'),
        TermKind::Field(inner, _) | TermKind::Element(inner, _) | TermKind::Slice(inner, ..) => {
            starts_with_sign(inner)
        }
        _ => false,
    }
}

/// What a part is taken of.
fn whole(f: &mut fmt::Formatter<'_>, term: &Term) -> fmt::Result {
    match &term.kind {
        TermKind::Arithmetic { .. } | TermKind::Negate(_) => write!(f, "({term})"),
        _ => term.fmt(f),
    }
}

fn is_number(term: &Term) -> bool {
    matches!(term.kind, TermKind::Literal(Literal::Integer(_) | Literal::Float(_)))
}

/// `json`, `distinct` and `as` would begin `SELECT JSON`, `SELECT DISTINCT` and an alias.
fn column(f: &mut fmt::Formatter<'_>, name: &Ident) -> fmt::Result {
    match name.as_str() {
        word @ ("as" | "distinct" | "json") => write!(f, "\"{word}\""),
        _ => name.fmt(f),
    }
}

/// A term as an operand of something that binds as `outer` does.
fn operand(f: &mut fmt::Formatter<'_>, term: &Term, outer: Precedence) -> fmt::Result {
    match &term.kind {
        TermKind::Arithmetic { operator, .. } if Precedence::of(*operator) < outer => {
            write!(f, "({term})")
        }
        _ => term.fmt(f),
    }
}

/// How tightly an operator binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Additive,
    Multiplicative,
    Unary,
}

impl Precedence {
    pub(super) fn of(operator: Operator) -> Precedence {
        match operator {
            Operator::Add | Operator::Subtract => Precedence::Additive,
            Operator::Multiply | Operator::Divide | Operator::Modulo => Precedence::Multiplicative,
        }
    }

    /// What a right operand has to bind as, operators being left-associative.
    pub(super) fn tighter(self) -> Precedence {
        match self {
            Precedence::Additive => Precedence::Multiplicative,
            Precedence::Multiplicative | Precedence::Unary => Precedence::Unary,
        }
    }
}

/// The name of a called function. `token` is the one reserved word that may stand bare there. Some that are not
/// reserved may not, since they begin `CAST(... AS type)`, `SELECT JSON (...)`, `CONTAINS KEY (...)` and the like.
pub(super) fn function_name(f: &mut fmt::Formatter<'_>, function: &QualifiedName) -> fmt::Result {
    match (&function.keyspace, function.name.as_str()) {
        (None, "token") => f.write_str("token"),
        (None, word @ ("as" | "cast" | "distinct" | "json" | "key")) => write!(f, "\"{word}\""),
        _ => function.fmt(f),
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("NULL"),
            Literal::Text(text) => Quoted(text).fmt(f),
            Literal::Integer(digits) | Literal::Float(digits) => f.write_str(digits),
            Literal::Boolean(value) => value.fmt(f),
            Literal::Blob(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Literal::Uuid(uuid) => uuid.hyphenated().fmt(f),
            Literal::Duration(duration) => duration.fmt(f),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Marker::Positional => f.write_str("?"),
            Marker::Named(name) => write!(f, ":{name}"),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
        })
    }
}
