//! Terms: all that stands for a value, from literals and bind markers to expressions over the columns of a row.

use crate::ast::QualifiedName;
use crate::ast::ident::Ident;
use crate::ast::type_name::TypeName;
use crate::span::Span;
use crate::value::Duration;

/// Something that becomes a value once its type is known, its markers are bound, and the row is there whose columns it
/// names. Where columns may stand (in select lists, and not in VALUES) is the parser's business.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What it is.
    pub kind: TermKind,
    /// Where it stands.
    pub span: Span,
}

impl Term {
    /// A term that stands somewhere.
    pub fn new(kind: TermKind, span: Span) -> Self {
        Term { kind, span }
    }

    /// Whether it is `NULL`.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, TermKind::Literal(Literal::Null))
    }
}

impl From<TermKind> for Term {
    /// A term that stands nowhere.
    fn from(kind: TermKind) -> Self {
        Term { kind, span: Span::default() }
    }
}

/// What a term is.
#[derive(Clone, Debug, PartialEq)]
pub enum TermKind {
    /// A constant.
    Literal(Literal),
    /// `?` or `:name`
    Marker(Marker),
    /// `a`: a column.
    Column(Ident),
    /// `count(*)`, `count(1)`
    CountAll,
    /// `[a, b]`: a list or a vector, by the receiver's type.
    List(Vec<Term>),
    /// `{a, b}`: a set; `{}` is an empty set or map, by the receiver's type.
    Set(Vec<Term>),
    /// `{k: v}`: a map.
    Map(Vec<(Term, Term)>),
    /// `{field: v}`: a user type's value. At least one field.
    Udt(Vec<(Ident, Term)>),
    /// `(a, b)`: a tuple of two or more, or one element in parentheses.
    Tuple(Vec<Term>),
    /// `a.field`
    Field(Box<Term>, Ident),
    /// `a[k]`
    Element(Box<Term>, Box<Term>),
    /// `a[from..to]`, either end open.
    Slice(Box<Term>, Option<Box<Term>>, Option<Box<Term>>),
    /// `f(a, b)`, in a select list also `writetime(a)`, `token(a, b)`, `count(a)` and the like.
    Call { function: QualifiedName, arguments: Vec<Term> },
    /// `CAST(term AS type)`
    Cast(Box<Term>, TypeName),
    /// `(type) term`: a type hint.
    Hint(TypeName, Box<Term>),
    /// `-term` of something other than a number.
    Negate(Box<Term>),
    /// `a + b` and the like.
    Arithmetic {
        /// Left operand.
        left: Box<Term>,
        operator: Operator,
        /// Right operand.
        right: Box<Term>,
    },
}

/// Arithmetic operators. `*`, `/` and `%` bind tighter than `+` and `-`; all associate to the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// A constant as written. Numbers keep their text: how many bits they need is the receiver's question.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `NULL`
    Null,
    /// `'text'` or `$$text$$`, unescaped.
    Text(String),
    /// `123`, `-5`: sign and digits.
    Integer(String),
    /// `1.5`, `-2e10`, `NaN`, `Infinity`, `-Infinity`: as written.
    Float(String),
    /// `true`, `false`
    Boolean(bool),
    /// `0xcafe`
    Blob(Vec<u8>),
    /// A bare UUID, such as `123e4567-e89b-12d3-a456-426655440000`.
    Uuid(uuid::Uuid),
    /// `1y2mo3d`, `P1Y2M`, `P0001-02-03T04:05:06`
    Duration(Duration),
}

/// A bind marker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// `?`
    Positional,
    /// `:name`
    Named(Ident),
}
