//! Terms: literals, bind markers, collection literals and function calls.

use crate::ast::QualifiedName;
use crate::ast::type_name::TypeName;
use crate::name::Name;
use crate::value::Duration;

/// Something that becomes a value once its type is known and its markers are bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A constant.
    Literal(Literal),
    /// `?` or `:name`
    Marker(Marker),
    /// `[a, b]`: a list or a vector, by the receiver's type.
    List(Vec<Term>),
    /// `{a, b}`: a set; `{}` is an empty set or map, by the receiver's type.
    Set(Vec<Term>),
    /// `{k: v}`: a map.
    Map(Vec<(Term, Term)>),
    /// `{field: v}`: a user type's value. At least one field.
    Udt(Vec<(Name, Term)>),
    /// `(a, b)`: a tuple of two or more, or one element in parentheses.
    Tuple(Vec<Term>),
    /// `f(a, b)`
    Call {
        /// The function.
        function: QualifiedName,
        /// Its arguments.
        arguments: Vec<Term>,
    },
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
        /// The operator.
        operator: Operator,
        /// Right operand.
        right: Box<Term>,
    },
}

/// Arithmetic operators. `*`, `/` and `%` bind tighter than `+` and `-`; all associate to the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
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
    Named(Name),
}
