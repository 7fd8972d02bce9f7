//! Values as JSON, in the form of `to_json` and `SELECT JSON` (CQL 3.4.7, "JSON encoding of Cassandra data types").
//!
//! Numbers are numbers, however many digits they have; lists, sets, tuples and vectors are arrays; maps and user types
//! are objects, with keys as text; everything else is a string. NaN and the infinities, which JSON lacks, are null.
//! Reading JSON is not done here.
//!
//! A map's key inside another map's key is text inside text, whose escapes double with every level: what is longer than
//! [`MAX_JSON_BYTES`] is refused on the way.

use std::fmt::Write;

use thiserror::Error;

use crate::types::CqlType;
use crate::value::Value;
use crate::value::literal::time::format_instant;

/// The longest JSON of one value, in bytes.
pub const MAX_JSON_BYTES: usize = 64 << 20;

/// The JSON of a value is longer than [`MAX_JSON_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the JSON is longer than {} MiB", MAX_JSON_BYTES >> 20)]
pub struct JsonTooLong;

/// Appends the JSON of a value of type `ty`.
///
/// # Errors
/// When `out` would be longer than [`MAX_JSON_BYTES`]; what it holds then is of no use.
pub fn write_value(value: &Value, ty: &CqlType, out: &mut String) -> Result<(), JsonTooLong> {
    match (value, ty) {
        (Value::List(items), CqlType::List { element, .. })
        | (Value::Set(items), CqlType::Set { element, .. })
        | (Value::Vector(items), CqlType::Vector { element, .. }) => {
            write_items(items.iter().map(|item| (Some(item), &**element)), out)?;
        }
        (Value::Tuple(items), CqlType::Tuple(types)) => {
            write_items(items.iter().map(Option::as_ref).zip(types), out)?;
        }
        (Value::Map(entries), CqlType::Map { key: key_type, value: value_type, .. }) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_key(key, key_type, out)?;
                out.push_str(": ");
                write_value(value, value_type, out)?;
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
                    Some(value) => write_value(value, ty, out)?,
                    None => out.push_str("null"),
                }
            }
            out.push('}');
        }
        _ => write_scalar(value, ty, out),
    }
    if out.len() > MAX_JSON_BYTES { Err(JsonTooLong) } else { Ok(()) }
}

fn write_items<'v>(
    items: impl Iterator<Item = (Option<&'v Value>, &'v CqlType)>,
    out: &mut String,
) -> Result<(), JsonTooLong> {
    out.push('[');
    for (i, (item, ty)) in items.enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        match item {
            Some(item) => write_value(item, ty, out)?,
            None => out.push_str("null"),
        }
    }
    out.push(']');
    Ok(())
}

/// JSON's keys are text: what is no text becomes the text of its JSON.
fn write_key(key: &Value, ty: &CqlType, out: &mut String) -> Result<(), JsonTooLong> {
    let mut json = String::new();
    write_value(key, ty, &mut json)?;
    if json.starts_with('"') {
        out.push_str(&json);
    } else {
        write_text(&json, out);
    }
    Ok(())
}

fn write_scalar(value: &Value, ty: &CqlType, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
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
        Value::Float(_) | Value::Double(_) => out.push_str(&value.cast_text(ty)),
        Value::Timestamp(ms) => write_text(&format!("{}Z", format_instant(*ms, ' ')), out),
        Value::Empty => out.push_str("\"\""),
        other => write_text(&other.cast_text(ty), out),
    }
}

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut String) {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::sync::Arc;

    use super::*;
    use crate::types::{Native, UserType};
    use crate::value::Duration;
    use crate::value::literal::parse_text;

    fn json(value: &Value, ty: &CqlType) -> String {
        let mut out = String::new();
        write_value(value, ty, &mut out).unwrap();
        out
    }

    /// `{{{{1: 1}: 1}: 1}: 1}`, and so on: each level doubles the backslashes.
    #[test]
    fn keys_inside_keys_are_refused_before_they_take_the_memory() {
        let (mut value, mut ty) = (Value::Text("k".into()), CqlType::from(Native::Text));
        for _ in 0..32 {
            value = Value::Map(vec![(value, Value::Int(1))]);
            let (key, one) = (Box::new(ty), Box::new(Native::Int.into()));
            ty = CqlType::Map { key, value: one, frozen: true };
        }
        assert_eq!(write_value(&value, &ty, &mut String::new()), Err(JsonTooLong));
    }

    /// A value of every type that JSON encodes in its own way.
    #[test]
    fn values_have_the_form_of_cassandra() {
        let address = Arc::new(UserType {
            keyspace: "k".into(),
            name: "address".into(),
            fields: vec![
                ("Street".into(), Native::Text.into()),
                ("zip".into(), Native::Int.into()),
            ],
        });
        let vector = CqlType::Vector { element: Box::new(Native::Float.into()), dimensions: 2 };
        let map = CqlType::Map {
            key: Box::new(Native::Int.into()),
            value: Box::new(vector),
            frozen: false,
        };
        let big =
            parse_text(&Native::Varint.into(), "123456789012345678901234567890").expect("a number");
        let floats = Value::Vector(vec![Value::Float(1.0), Value::Float(-0.5)]);
        let duration = Value::Duration(Duration { months: 1, days: 2, nanoseconds: 3 });
        let far = Value::Timestamp(i64::MAX);
        let udt = vec![
            ("Street".into(), Some(Value::Text("a\"b\u{1}".to_string()))),
            ("zip".into(), None),
        ];
        let cases = [
            (Native::Varint.into(), big, "123456789012345678901234567890"),
            (Native::Bigint.into(), Value::Bigint(i64::MIN), "-9223372036854775808"),
            (Native::Double.into(), Value::Double(f64::NAN), "null"),
            (Native::Double.into(), Value::Double(1e30), "1.0E30"),
            (Native::Blob.into(), Value::Blob(vec![1, 255]), "\"0x01ff\""),
            (Native::Boolean.into(), Value::Boolean(true), "true"),
            (Native::Timestamp.into(), Value::Timestamp(1), "\"1970-01-01 00:00:00.001Z\""),
            (Native::Timestamp.into(), far, "\"+292278994-08-17 07:12:55.807Z\""),
            (Native::Date.into(), Value::Date(0), "\"-5877641-06-23\""),
            (Native::Inet.into(), Value::Inet(Ipv6Addr::LOCALHOST.into()), "\"0:0:0:0:0:0:0:1\""),
            (Native::Duration.into(), duration, "\"1mo2d3ns\""),
            (map, Value::Map(vec![(Value::Int(7), floats)]), "{\"7\": [1.0, -0.5]}"),
            (
                CqlType::Tuple(vec![Native::Int.into(), Native::Date.into()]),
                Value::Tuple(vec![None, Some(Value::Date(1 << 31))]),
                "[null, \"1970-01-01\"]",
            ),
            (
                CqlType::Udt { definition: address, frozen: true },
                Value::Udt(udt),
                "{\"\\\"Street\\\"\": \"a\\\"b\\u0001\", \"zip\": null}",
            ),
        ];
        for (ty, value, expected) in cases {
            assert_eq!(json(&value, &ty), expected, "{ty}");
        }
    }
}
