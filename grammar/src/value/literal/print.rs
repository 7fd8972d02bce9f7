//! Values as text.

use std::fmt::{self, Write};

use super::time;
use crate::name::Name;
use crate::types::{CqlType, Native};
use crate::value::Value;
use crate::value::decimal::write_decimal;

/// Whether scalars that CQL writes in quotes get them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    Cql,
    Bare,
}

pub(super) fn to_string(value: &Value, ty: &CqlType, quotes: Quotes) -> String {
    let mut out = String::new();
    write_value(value, ty, quotes, &mut out).expect("a String takes whatever is written to it");
    out
}

fn write_value(value: &Value, ty: &CqlType, quotes: Quotes, out: &mut String) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Empty if quotes == Quotes::Bare => Ok(()),
        Value::Empty => write!(out, "blob_as_{ty}(0x)"),
        Value::Text(text) => quoted(text, quotes, out),
        Value::Blob(bytes) => {
            out.push_str("0x");
            bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }
        Value::Boolean(bit) => write!(out, "{bit}"),
        Value::Tinyint(n) => write!(out, "{n}"),
        Value::Smallint(n) => write!(out, "{n}"),
        Value::Int(n) => write!(out, "{n}"),
        Value::Bigint(n) => write!(out, "{n}"),
        Value::Varint(n) => write!(out, "{n}"),
        Value::Decimal { unscaled, scale } => write_decimal(unscaled, *scale, out),
        Value::Float(n) if n.is_finite() => write!(out, "{n:?}"),
        Value::Double(n) if n.is_finite() => write!(out, "{n:?}"),
        Value::Float(n) => out.write_str(not_finite(f64::from(*n))),
        Value::Double(n) => out.write_str(not_finite(*n)),
        Value::Date(days) => quoted(&time::format_date(*days), quotes, out),
        Value::Time(nanoseconds) => quoted(&time::format_time(*nanoseconds), quotes, out),
        Value::Timestamp(ms) => match time::format_timestamp(*ms) {
            Some(text) => quoted(&text, quotes, out),
            None => write!(out, "{ms}"),
        },
        Value::Duration(duration) => write!(out, "{duration}"),
        Value::Uuid(uuid) => write!(out, "{uuid}"),
        Value::Inet(address) => quoted(&address.to_string(), quotes, out),
        Value::List(elements) | Value::Vector(elements) => {
            write_joined('[', ']', elements, out, |value, out| {
                write_inner(value, element_type(ty), out)
            })
        }
        Value::Set(elements) => write_joined('{', '}', elements, out, |value, out| {
            write_inner(value, element_type(ty), out)
        }),
        Value::Map(entries) => {
            let (key, value) = entry_types(ty);
            write_joined('{', '}', entries, out, |(k, v), out| {
                write_inner(k, key, out)?;
                out.push_str(": ");
                write_inner(v, value, out)
            })
        }
        Value::Tuple(fields) => {
            let types = if let CqlType::Tuple(types) = ty { types.as_slice() } else { &[] };
            let fields: Vec<_> = fields.iter().enumerate().collect();
            write_joined('(', ')', &fields, out, |(i, field), out| {
                write_field(field.as_ref(), types.get(*i).unwrap_or(&UNKNOWN), out)
            })
        }
        Value::Udt(fields) => write_joined('{', '}', fields, out, |(name, field), out| {
            write!(out, "{name}: ")?;
            write_field(field.as_ref(), field_type(ty, name), out)
        }),
    }
}

/// Stands for the type of a part whose whole is not of the type it is printed as; only the empty value would show it.
const UNKNOWN: CqlType = CqlType::Native(Native::Blob);

fn element_type(ty: &CqlType) -> &CqlType {
    match ty {
        CqlType::List { element, .. }
        | CqlType::Set { element, .. }
        | CqlType::Vector { element, .. } => element,
        _ => &UNKNOWN,
    }
}

fn entry_types(ty: &CqlType) -> (&CqlType, &CqlType) {
    match ty {
        CqlType::Map { key, value, .. } => (key, value),
        _ => (&UNKNOWN, &UNKNOWN),
    }
}

fn field_type<'a>(ty: &'a CqlType, name: &Name) -> &'a CqlType {
    let CqlType::Udt { definition, .. } = ty else { return &UNKNOWN };
    definition.fields.iter().find(|(declared, _)| declared == name).map_or(&UNKNOWN, |(_, ty)| ty)
}

fn write_inner(value: &Value, ty: &CqlType, out: &mut String) -> fmt::Result {
    write_value(value, ty, Quotes::Cql, out)
}

fn write_field(field: Option<&Value>, ty: &CqlType, out: &mut String) -> fmt::Result {
    match field {
        Some(value) => write_inner(value, ty, out),
        None => out.write_str("null"),
    }
}

fn write_joined<T>(
    open: char,
    close: char,
    parts: &[T],
    out: &mut String,
    mut write_part: impl FnMut(&T, &mut String) -> fmt::Result,
) -> fmt::Result {
    out.push(open);
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_part(part, out)?;
    }
    out.push(close);
    Ok(())
}

fn quoted(text: &str, quotes: Quotes, out: &mut String) -> fmt::Result {
    match quotes {
        Quotes::Bare => out.write_str(text),
        Quotes::Cql => write!(out, "'{}'", text.replace('\'', "''")),
    }
}

fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
