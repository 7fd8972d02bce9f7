//! `to_json`: a value as JSON text, in Cassandra's form (CQL 3.4.7, "JSON encoding of Cassandra data types"); and
//! `from_json`, for which see [`crate::query::json`].

use std::fmt::Write;

use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;
use tholos_grammar::value::codec::canonical;

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
        None => out.push_str("null"),
        Some(bytes) => {
            let value = Value::decode(ty, bytes)
                .map_err(|error| QueryError::invalid(format!("to_json(): {error}")))?;
            write_value(&value, ty, out);
        }
    }
    Ok(())
}

/// The value of a function's type that JSON text says.
pub(super) fn from_json(function: &Function, text: &[u8]) -> Result<Option<Vec<u8>>, QueryError> {
    let text = std::str::from_utf8(text).map_err(|error| function.refuse(&error.to_string()))?;
    let ty = &function.returns;
    let Some(bytes) = json::from_json(text, ty, "from_json()")? else { return Ok(None) };
    let ordered = canonical(ty, &bytes).map_err(|error| function.refuse(&error.to_string()))?;
    Ok(Some(ordered.into_owned()))
}

fn write_value(value: &Value, ty: &CqlType, out: &mut String) {
    match (value, ty) {
        (Value::List(items), CqlType::List { element, .. })
        | (Value::Set(items), CqlType::Set { element, .. })
        | (Value::Vector(items), CqlType::Vector { element, .. }) => {
            write_items(items.iter().map(|item| (Some(item), &**element)), out);
        }
        (Value::Tuple(items), CqlType::Tuple(types)) => {
            write_items(items.iter().map(Option::as_ref).zip(types), out);
        }
        (Value::Map(entries), CqlType::Map { key: key_type, value: value_type, .. }) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_key(key, key_type, out);
                out.push_str(": ");
                write_value(value, value_type, out);
            }
            out.push('}');
        }
        (Value::Udt(fields), CqlType::Udt { definition, .. }) => {
            out.push('{');
            for (i, (name, ty)) in definition.fields.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                // A name that CQL must quote keeps its quotes inside JSON's.
                write_text(&format!("{name}"), out);
                out.push_str(": ");
                let value = fields.iter().find(|(field, _)| field == name);
                match value.and_then(|(_, value)| value.as_ref()) {
                    Some(value) => write_value(value, ty, out),
                    None => out.push_str("null"),
                }
            }
            out.push('}');
        }
        _ => write_scalar(value, ty, out),
    }
}

fn write_items<'v>(
    items: impl Iterator<Item = (Option<&'v Value>, &'v CqlType)>,
    out: &mut String,
) {
    out.push('[');
    for (i, (item, ty)) in items.enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        match item {
            Some(item) => write_value(item, ty, out),
            None => out.push_str("null"),
        }
    }
    out.push(']');
}

/// JSON's keys are text: what is no text becomes the text of its JSON.
fn write_key(key: &Value, ty: &CqlType, out: &mut String) {
    let mut json = String::new();
    write_value(key, ty, &mut json);
    if json.starts_with('"') {
        out.push_str(&json);
    } else {
        write_text(&json, out);
    }
}

fn write_scalar(value: &Value, ty: &CqlType, out: &mut String) {
    match value {
        Value::Boolean(_)
        | Value::Tinyint(_)
        | Value::Smallint(_)
        | Value::Int(_)
        | Value::Bigint(_)
        | Value::Varint(_)
        | Value::Decimal { .. } => out.push_str(&value.text(ty)),
        // JSON has no NaN and no infinities.
        Value::Float(number) if !number.is_finite() => out.push_str("null"),
        Value::Double(number) if !number.is_finite() => out.push_str("null"),
        Value::Float(_) | Value::Double(_) => out.push_str(&value.text(ty)),
        Value::Timestamp(_) => {
            let text = value.text(ty);
            write_text(
                &text.strip_suffix("+0000").map(|time| format!("{time}Z")).unwrap_or(text),
                out,
            );
        }
        Value::Empty => out.push_str("\"\""),
        other => write_text(&other.text(ty), out),
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                // Writing to a String never fails.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
