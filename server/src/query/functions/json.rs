//! `to_json`: a value as JSON text ([`tholos_grammar::value::json`]); and `from_json`, for which see
//! [`crate::query::json`].

use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::{canonical, decode_result};
use tholos_grammar::value::json::{write_text, write_value};

use super::Function;
use crate::error::QueryError;
use crate::query::json;

/// The JSON of a value; null is `null`.
pub(super) fn to_json(ty: &CqlType, bytes: Option<&[u8]>) -> Result<Vec<u8>, QueryError> {
    let mut out = String::new();
    write_bytes(ty, bytes, &mut out)?;
    Ok(out.into_bytes())
}

/// An object of named values. A name that is not in lower case keeps quotes inside JSON's, as CQL would need them.
pub(super) fn to_json_object(
    names: &[Box<str>],
    types: &[CqlType],
    values: &[Option<&[u8]>],
) -> Result<Vec<u8>, QueryError> {
    let mut out = String::from("{");
    for (i, ((name, ty), value)) in names.iter().zip(types).zip(values).enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        match name.chars().any(char::is_uppercase) {
            true => write_text(&format!("\"{name}\""), &mut out),
            false => write_text(name, &mut out),
        }
        out.push_str(": ");
        write_bytes(ty, *value, &mut out)?;
    }
    out.push('}');
    Ok(out.into_bytes())
}

fn write_bytes(ty: &CqlType, bytes: Option<&[u8]>, out: &mut String) -> Result<(), QueryError> {
    match bytes {
        None => {
            out.push_str("null");
            Ok(())
        }
        Some(bytes) => {
            let value = decode_result(ty, bytes)
                .map_err(|error| QueryError::invalid(format!("to_json(): {error}")))?;
            write_value(&value, ty, out)
                .map_err(|error| QueryError::invalid(format!("to_json(): {error}")))
        }
    }
}

/// The value of a function's type that JSON text says.
pub(super) fn from_json(function: &Function, text: &[u8]) -> Result<Option<Vec<u8>>, QueryError> {
    let text = std::str::from_utf8(text).map_err(|error| function.refuse(&error.to_string()))?;
    let ty = &function.returns;
    let bytes = json::from_json(text, ty).map_err(|error| function.refuse(&error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let ordered = canonical(ty, &bytes).map_err(|error| function.refuse(&error.to_string()))?;
    Ok(Some(ordered.into_owned()))
}
