//! JSON as values of CQL types.
//!
//! Each type takes what Cassandra takes: strings stand for any scalar, in the form that CQL prints it; numbers for
//! numeric types, and for timestamps; arrays for lists, sets, tuples and vectors; objects for maps and user types. Keys
//! of maps are strings: those of scalar types hold the scalar, others JSON once more.

use tholos_grammar::ast::term::Literal;
use tholos_grammar::types::{CqlType, Native, UserType};
use tholos_grammar::value::Value;
use tholos_grammar::value::codec::allows_empty;
use tholos_grammar::value::literal::{from_literal, parse_text};

use super::parse::{Json, parse};

/// The bytes of a value of type `ty`; `None` for null; in words what is wrong with it otherwise.
pub(in crate::query) fn encode(json: &Json, ty: &CqlType) -> Result<Option<Vec<u8>>, String> {
    let Some(value) = value(json, ty)? else { return Ok(None) };
    let mut bytes = Vec::new();
    value.encode(ty, &mut bytes).map_err(|error| error.to_string())?;
    Ok(Some(bytes))
}

/// A name as CQL folds it: quotes inside the string keep its case.
pub(in crate::query) fn fold(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

fn value(json: &Json, ty: &CqlType) -> Result<Option<Value>, String> {
    Ok(Some(match (json, ty) {
        (Json::Null, _) => return Ok(None),
        (_, CqlType::Native(native)) => scalar(json, *native)?,
        (Json::Array(items), CqlType::List { element, .. }) => Value::List(all(items, element)?),
        (Json::Array(items), CqlType::Set { element, .. }) => Value::Set(all(items, element)?),
        (Json::Array(items), CqlType::Vector { element, dimensions }) => {
            if items.len() != *dimensions as usize {
                return Err(format!("{ty} takes {dimensions} elements, not {}", items.len()));
            }
            Value::Vector(all(items, element)?)
        }
        (Json::Array(items), CqlType::Tuple(types)) => {
            if items.len() > types.len() {
                return Err(format!("{ty} takes {} fields, not {}", types.len(), items.len()));
            }
            let fields = items.iter().zip(types).map(|(item, ty)| value(item, ty));
            Value::Tuple(fields.collect::<Result<_, _>>()?)
        }
        (Json::Object(members), CqlType::Map { key, value: of, .. }) => {
            let entries = members.iter().map(|(name, json)| {
                Ok::<_, String>((map_key(name, key)?, present(value(json, of)?, ty)?))
            });
            Value::Map(entries.collect::<Result<_, _>>()?)
        }
        (Json::Object(members), CqlType::Udt { definition, .. }) => udt(members, definition)?,
        (other, _) => {
            let expected = match ty {
                CqlType::Map { .. } | CqlType::Udt { .. } => "an object",
                _ => "an array",
            };
            return Err(format!("{ty} takes {expected}, not {}", other.kind()));
        }
    }))
}

fn all(items: &[Json], element: &CqlType) -> Result<Vec<Value>, String> {
    items.iter().map(|item| present(value(item, element)?, element)).collect()
}

fn present(value: Option<Value>, of: &CqlType) -> Result<Value, String> {
    value.ok_or_else(|| format!("null is not supported inside collections ({of}): leave it out"))
}

fn map_key(name: &str, ty: &CqlType) -> Result<Value, String> {
    let json = match ty {
        CqlType::Native(_) => Json::Text(name.to_owned()),
        _ => parse(name).map_err(|error| format!("a key of type {ty} is JSON: {error}"))?,
    };
    present(value(&json, ty)?, ty)
}

fn udt(members: &[(String, Json)], definition: &UserType) -> Result<Value, String> {
    let mut fields: Vec<_> =
        definition.fields.iter().map(|(name, _)| (name.clone(), None)).collect();
    for (name, json) in members {
        let name = fold(name);
        let mut known = fields.iter_mut().zip(&definition.fields);
        let Some(((_, slot), (_, ty))) = known.find(|((field, _), _)| field.as_str() == name)
        else {
            return Err(format!(
                "type {}.{} has no field {name}",
                definition.keyspace, definition.name
            ));
        };
        *slot = value(json, ty).map_err(|error| format!("field {name}: {error}"))?;
    }
    Ok(Value::Udt(fields))
}

fn scalar(json: &Json, native: Native) -> Result<Value, String> {
    let ty = &CqlType::Native(native);
    let is_text = matches!(native, Native::Text | Native::Ascii | Native::Blob);
    let parsed = match json {
        Json::Text(text) if text.is_empty() && !is_text && allows_empty(native) => {
            return Ok(Value::Empty);
        }
        Json::Text(text) => parse_text(ty, text),
        Json::Number(digits) if takes_numbers(native) => {
            let is_integer = digits.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
            let literal =
                if is_integer { Literal::Integer } else { Literal::Float }(digits.clone());
            from_literal(&literal, ty)
        }
        Json::Boolean(boolean) if native == Native::Boolean => {
            from_literal(&Literal::Boolean(*boolean), ty)
        }
        other => {
            let expected = if takes_numbers(native) { "a number or a string" } else { "a string" };
            return Err(format!("{ty} takes {expected}, not {}", other.kind()));
        }
    };
    parsed.map_err(|error| error.to_string())
}

fn takes_numbers(native: Native) -> bool {
    matches!(
        native,
        Native::Tinyint
            | Native::Smallint
            | Native::Int
            | Native::Bigint
            | Native::Varint
            | Native::Float
            | Native::Double
            | Native::Decimal
            | Native::Timestamp
    )
}
