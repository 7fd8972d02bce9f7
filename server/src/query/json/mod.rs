//! JSON of statements: what INSERT JSON and `from_json()` take (CQL 3.4.7, "JSON support").
//!
//! - [`parse`]: text to a tree, numbers as they were written, so that none loses digits.
//! - [`value`]: a tree as a value of a CQL type.
//!
//! Names follow CQL: those in JSON are folded to lower case, unless quotes stand inside the JSON string. The way back,
//! `to_json()` and SELECT JSON, is `query/functions/json`.

pub(super) mod parse;
pub(super) mod value;

use tholos_grammar::types::CqlType;

/// The bytes of a value of type `ty` that JSON text says; `None` for its null.
///
/// # Errors
/// In words, for text that is no JSON, and JSON that is no value of the type.
pub fn from_json(text: &str, ty: &CqlType) -> Result<Option<Vec<u8>>, String> {
    let json = parse::parse(text).map_err(|error| format!("this is no JSON: {error}"))?;
    value::encode(&json, ty)
}
