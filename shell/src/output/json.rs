//! Formats json and ndjson: an object per row.
//!
//! Values are encoded as CQL's own `SELECT JSON` does: numbers as numbers, however many digits they have; lists, sets,
//! tuples and vectors as arrays; maps and user types as objects, with keys as text; everything else as strings. NaN and
//! the infinities, which JSON lacks, are strings.

use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;

use super::Page;
use super::cell::Cell;

/// The page as part of one array; the first page opens it, the last closes it.
pub(super) fn render_array(page: &Page<'_>) -> String {
    let mut text = String::new();
    if page.is_first {
        text.push('[');
    }
    for (index, row) in page.rows.iter().enumerate() {
        text.push_str(if page.rows_before + index == 0 { "\n  " } else { ",\n  " });
        object(page, row, &mut text);
    }
    if page.is_last {
        text.push_str("\n]\n");
    }
    text
}

/// The page as one object per line.
pub(super) fn render_lines(page: &Page<'_>) -> String {
    let mut text = String::new();
    for row in page.rows {
        object(page, row, &mut text);
        text.push('\n');
    }
    text
}

fn object(page: &Page<'_>, row: &[Option<Vec<u8>>], out: &mut String) {
    out.push('{');
    for (index, (column, bytes)) in page.columns.iter().zip(row).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        string(&column.name, out);
        out.push_str(": ");
        match Cell::decode(&column.column_type, bytes.as_deref()) {
            Cell::Null => out.push_str("null"),
            Cell::Value(decoded) => value(&decoded, &column.column_type, out),
            Cell::Undecodable(text) => string(&text, out),
        }
    }
    out.push('}');
}

fn value(decoded: &Value, ty: &CqlType, out: &mut String) {
    match decoded {
        Value::Boolean(_)
        | Value::Tinyint(_)
        | Value::Smallint(_)
        | Value::Int(_)
        | Value::Bigint(_)
        | Value::Varint(_)
        | Value::Decimal { .. } => out.push_str(&decoded.text(ty)),
        Value::Float(n) if n.is_finite() => out.push_str(&decoded.text(ty)),
        Value::Double(n) if n.is_finite() => out.push_str(&decoded.text(ty)),
        Value::List(elements) | Value::Set(elements) | Value::Vector(elements) => {
            let element = element_type(ty);
            array(elements.iter().map(|part| (Some(part), element)), out);
        }
        Value::Tuple(fields) => {
            let types = if let CqlType::Tuple(types) = ty { types.as_slice() } else { &[] };
            array(fields.iter().zip(types).map(|(field, ty)| (field.as_ref(), ty)), out);
        }
        Value::Map(entries) => {
            let (key_type, value_type) = entry_types(ty);
            let keyed = entries.iter().map(|(k, v)| (key(k, key_type), Some(v), value_type));
            members(keyed, out);
        }
        Value::Udt(fields) => {
            let keyed = fields.iter().map(|(name, field)| {
                (name.as_str().to_string(), field.as_ref(), field_type(ty, name.as_str()))
            });
            members(keyed, out);
        }
        _ => string(&decoded.text(ty), out),
    }
}

/// The key of an object: text as it is, anything else as its JSON.
fn key(decoded: &Value, ty: &CqlType) -> String {
    match decoded {
        Value::List(_)
        | Value::Set(_)
        | Value::Map(_)
        | Value::Tuple(_)
        | Value::Udt(_)
        | Value::Vector(_) => {
            let mut text = String::new();
            value(decoded, ty, &mut text);
            text
        }
        scalar => scalar.text(ty),
    }
}

fn array<'a>(parts: impl Iterator<Item = (Option<&'a Value>, &'a CqlType)>, out: &mut String) {
    out.push('[');
    for (index, (part, ty)) in parts.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        optional(part, ty, out);
    }
    out.push(']');
}

fn members<'a>(
    parts: impl Iterator<Item = (String, Option<&'a Value>, &'a CqlType)>,
    out: &mut String,
) {
    out.push('{');
    for (index, (name, part, ty)) in parts.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        string(&name, out);
        out.push_str(": ");
        optional(part, ty, out);
    }
    out.push('}');
}

fn optional(part: Option<&Value>, ty: &CqlType, out: &mut String) {
    match part {
        Some(part) => value(part, ty, out),
        None => out.push_str("null"),
    }
}

fn string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Stands for the type of a part whose whole is not of the type it is printed as.
const UNKNOWN: CqlType = CqlType::Native(tholos_grammar::types::Native::Blob);

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

fn field_type<'a>(ty: &'a CqlType, name: &str) -> &'a CqlType {
    let CqlType::Udt { definition, .. } = ty else { return &UNKNOWN };
    definition.fields.iter().find(|(field, _)| field == name).map_or(&UNKNOWN, |(_, ty)| ty)
}
