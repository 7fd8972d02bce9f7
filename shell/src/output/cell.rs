//! A cell as it is shown to people.

use std::fmt::Write;

use comfy_table::Color;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;
use tholos_grammar::value::codec::decode_result;

/// A cell, decoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Value(Value),
    /// Bytes that are no value of the type: the message, and the bytes.
    Undecodable(String),
}

impl Cell {
    pub(super) fn decode(ty: &CqlType, bytes: Option<&[u8]>) -> Cell {
        let Some(bytes) = bytes else { return Cell::Null };
        match decode_result(ty, bytes) {
            Ok(value) => Cell::Value(value),
            Err(error) => {
                let bytes = Value::Blob(bytes.to_vec()).text(&CqlType::Native(Native::Blob));
                Cell::Undecodable(format!("<{bytes}: {error}>"))
            }
        }
    }

    /// Its text as it is; none for null.
    pub(super) fn text(&self, ty: &CqlType) -> Option<String> {
        match self {
            Cell::Null => None,
            Cell::Value(value) => Some(value.text(ty)),
            Cell::Undecodable(text) => Some(text.clone()),
        }
    }

    /// The text on one line: control characters escaped; text that reads `null` in quotes, so that it is told from null.
    pub(super) fn line(&self, ty: &CqlType) -> String {
        match self {
            Cell::Value(Value::Text(text)) if text == "null" => "'null'".to_string(),
            Cell::Undecodable(text) => text.clone(),
            other => other.text(ty).map_or_else(|| "null".to_string(), escaped),
        }
    }

    /// The colour of the cell.
    pub(super) fn colour(&self) -> Option<Color> {
        Some(match self {
            Cell::Null => Color::DarkGrey,
            Cell::Undecodable(_) => Color::Red,
            Cell::Value(value) => match value {
                Value::Text(_) => Color::Yellow,
                Value::Blob(_) => Color::Magenta,
                value if is_number(value) => Color::Green,
                Value::Boolean(_) | Value::Uuid(_) | Value::Inet(_) => Color::Green,
                Value::Date(_) | Value::Time(_) | Value::Timestamp(_) | Value::Duration(_) => {
                    Color::Green
                }
                _ => Color::Blue,
            },
        })
    }
}

fn is_number(value: &Value) -> bool {
    matches!(
        value,
        Value::Tinyint(_)
            | Value::Smallint(_)
            | Value::Int(_)
            | Value::Bigint(_)
            | Value::Varint(_)
            | Value::Decimal { .. }
            | Value::Float(_)
            | Value::Double(_)
    )
}

/// Whether values of the type stand at the right of their column.
pub(super) fn is_right_aligned(ty: &CqlType) -> bool {
    use Native::{Bigint, Counter, Decimal, Double, Float, Int, Smallint, Tinyint, Varint};
    matches!(
        ty,
        CqlType::Native(
            Bigint | Counter | Decimal | Double | Float | Int | Smallint | Tinyint | Varint
        )
    )
}

/// The text with control characters as `\n`, `\t`, `\u{7f}`: they must not move the cursor.
pub(super) fn escaped(text: String) -> String {
    escaped_if(text, char::is_control)
}

/// As [`escaped`], but with its line ends and tabs, which belong to the format.
pub(super) fn escaped_but_lines(text: String) -> String {
    escaped_if(text, |c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn escaped_if(text: String, is_bad: impl Fn(char) -> bool) -> String {
    if !text.chars().any(&is_bad) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_bad(c) {
            // A String takes whatever is written to it.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
