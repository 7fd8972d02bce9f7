//! Values and CQL text, both ways.
//!
//! - [`Value::literal`]: the CQL literal that reads back as the value, quoted: as DESCRIBE and scripts show it.
//! - [`Value::text`]: the same without quotes around scalars: what a CSV field holds.
//! - [`Value::cast_text`]: a scalar as CAST AS text and JSON show it.
//! - [`parse_text`]: a scalar from that text.
//! - [`from_literal`]: a constant of the syntax tree as a value of a scalar type, by the rules of CQL 3.4.7 for which
//!   kind of constant each type takes.
//! - [`time`]: dates, times and timestamps as text.
//! - [`zone`]: their zones.
//!
//! Timestamps without a zone are UTC. Terms with collections, markers or functions are put together by who binds them.

mod accept;
mod cast;
mod print;
mod text;
pub mod time;
mod tuple;
mod zone;

use thiserror::Error;

pub use self::accept::from_literal;
pub use self::text::parse_text;
use crate::types::CqlType;
use crate::value::Value;

/// The most characters of a bad literal that an error repeats.
const MAX_QUOTED_CHARS: usize = 60;

/// A constant or text that is no value of its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LiteralError {
    /// A kind of constant that the type does not take.
    #[error("{kind} {text} is no value of type {ty}: it takes {takes}")]
    Kind {
        /// The kind of constant.
        kind: &'static str,
        /// The constant, shortened.
        text: String,
        /// The type.
        ty: String,
        /// What to write instead.
        takes: &'static str,
    },
    /// The right kind, but not in the type's form.
    #[error("{text} is no value of type {ty}: {reason}")]
    Form {
        /// The text, shortened.
        text: String,
        /// The type.
        ty: String,
        /// What was expected, or what was wrong.
        reason: String,
    },
    /// A number outside the type's range.
    #[error("{text} is out of range for type {ty}: it takes {range}")]
    Range {
        /// The text, shortened.
        text: String,
        /// The type.
        ty: String,
        /// From where to where, and what to use beyond.
        range: &'static str,
    },
    /// `null` is no value.
    #[error("null is no value of type {ty}")]
    Null {
        /// The type.
        ty: String,
    },
    /// A type whose values are written with brackets.
    #[error(
        "type {ty} is no scalar: write its values as a CQL literal, such as [1, 2], {{'a': 1}} or (1, 'b')"
    )]
    Composite {
        /// The type.
        ty: String,
    },
}

impl Value {
    /// The CQL literal of this value of type `ty`, which CQL reads back as the same value.
    ///
    /// Two have none: the empty value of types other than text and blob is written as a call, `blob_as_int(0x)`; and
    /// timestamps outside the years 0 to 9999 are written as integers.
    pub fn literal(&self, ty: &CqlType) -> String {
        print::to_string(self, ty, print::Quotes::Cql)
    }

    /// As [`Value::literal`], but scalars stand without quotes, and the empty value is the empty text. Inside
    /// collections, tuples and user types everything is as in a literal.
    pub fn text(&self, ty: &CqlType) -> String {
        print::to_string(self, ty, print::Quotes::Bare)
    }
}

/// `text` as an error quotes it: cut to a readable length.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
