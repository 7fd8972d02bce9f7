//! Collections, tuples, user types and vectors, and the recursion through them.

use super::elements::{Elements, Entries, Fields, Nullable, NullableEntries, VectorElements};
use super::writer::{CollectionWriter, push_value, push_value_with, push_vector_element};
use super::{DecodeError, EncodeError, kind, native, nested};
use crate::name::Name;
use crate::types::{CqlType, UserType};
use crate::value::Value;

pub(super) fn validate(ty: &CqlType, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
    if let CqlType::Native(native) = ty {
        return native::validate(*native, bytes);
    }
    let depth = nested(depth)?;
    match ty {
        CqlType::Native(native) => native::validate(*native, bytes),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            Elements::new(bytes, kind(ty))?.try_for_each(|bytes| validate(element, bytes?, depth))
        }
        CqlType::Map { key, value, .. } => Entries::new(bytes)?.try_for_each(|entry| {
            let (key_bytes, value_bytes) = entry?;
            validate(key, key_bytes, depth)?;
            validate(value, value_bytes, depth)
        }),
        CqlType::Tuple(types) => {
            validate_fields(types.iter(), Fields::new(bytes, types.len(), kind(ty)), depth)
        }
        CqlType::Udt { definition, .. } => {
            let types = definition.fields.iter().map(|(_, ty)| ty);
            validate_fields(types, Fields::new(bytes, definition.fields.len(), kind(ty)), depth)
        }
        CqlType::Vector { element, dimensions } => {
            VectorElements::new(bytes, element, *dimensions)?
                .try_for_each(|bytes| validate(element, bytes?, depth))
        }
    }
}

fn validate_fields<'a>(
    mut types: impl Iterator<Item = &'a CqlType>,
    mut fields: Fields<'_>,
    depth: usize,
) -> Result<(), DecodeError> {
    fields.try_for_each(|field| match (field?, types.next()) {
        (Some(bytes), Some(ty)) => validate(ty, bytes, depth),
        _ => Ok(()),
    })
}

/// Whether lists and maps may hold nulls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    Refused,
    Taken,
}

pub(super) fn decode(
    ty: &CqlType,
    bytes: &[u8],
    nulls: Nulls,
    depth: usize,
) -> Result<Value, DecodeError> {
    if let CqlType::Native(native) = ty {
        return native::decode(*native, bytes);
    }
    let depth = nested(depth)?;
    Ok(match ty {
        CqlType::Native(native) => native::decode(*native, bytes)?,
        CqlType::List { element, .. } => {
            let elements = Nullable::elements(bytes, kind(ty))?;
            let mut decoded = Vec::with_capacity(elements.remaining());
            for bytes in elements {
                decoded.push(decode_part(element, bytes?, kind(ty), nulls, depth)?);
            }
            Value::List(decoded)
        }
        CqlType::Set { element, .. } => {
            let elements = Elements::new(bytes, kind(ty))?;
            let mut decoded = Vec::with_capacity(elements.remaining());
            for bytes in elements {
                decoded.push(decode(element, bytes?, nulls, depth)?);
            }
            Value::Set(decoded)
        }
        CqlType::Map { key, value, .. } => {
            let entries = NullableEntries::new(bytes)?;
            let mut decoded = Vec::with_capacity(entries.remaining());
            for entry in entries {
                let (key_bytes, value_bytes) = entry?;
                let key = decode(key, key_bytes, nulls, depth)?;
                decoded.push((key, decode_part(value, value_bytes, kind(ty), nulls, depth)?));
            }
            Value::Map(decoded)
        }
        CqlType::Tuple(types) => {
            let fields = Fields::new(bytes, types.len(), kind(ty)).zip(types);
            let decoded = fields.map(|(field, ty)| decode_field(ty, field?, nulls, depth));
            let decoded = decoded.collect::<Result<_, _>>()?;
            no_more_fields(bytes, types.len(), kind(ty))?;
            Value::Tuple(decoded)
        }
        CqlType::Udt { definition, .. } => {
            let fields =
                Fields::new(bytes, definition.fields.len(), kind(ty)).zip(&definition.fields);
            let decoded = fields.map(|(field, (name, ty))| {
                Ok((name.clone(), decode_field(ty, field?, nulls, depth)?))
            });
            let decoded = decoded.collect::<Result<_, _>>()?;
            no_more_fields(bytes, definition.fields.len(), kind(ty))?;
            Value::Udt(decoded)
        }
        CqlType::Vector { element, dimensions } => {
            let elements = VectorElements::new(bytes, element, *dimensions)?;
            let mut decoded = Vec::with_capacity(elements.remaining());
            for bytes in elements {
                decoded.push(decode(element, bytes?, nulls, depth)?);
            }
            Value::Vector(decoded)
        }
    })
}

/// An element of a list, or a value of a map.
fn decode_part(
    ty: &CqlType,
    bytes: Option<&[u8]>,
    of: &'static str,
    nulls: Nulls,
    depth: usize,
) -> Result<Value, DecodeError> {
    match bytes {
        Some(bytes) => decode(ty, bytes, nulls, depth),
        None if nulls == Nulls::Taken => Ok(Value::Null),
        None => Err(DecodeError::NullElement { ty: of }),
    }
}

fn decode_field(
    ty: &CqlType,
    field: Option<&[u8]>,
    nulls: Nulls,
    depth: usize,
) -> Result<Option<Value>, DecodeError> {
    field.map(|bytes| decode(ty, bytes, nulls, depth)).transpose()
}

/// Zipping with the declared types stops at the last of them: what would come after must be asked for.
fn no_more_fields(bytes: &[u8], declared: usize, ty: &'static str) -> Result<(), DecodeError> {
    Fields::new(bytes, declared, ty).nth(declared).transpose().map(drop)
}

pub(super) fn encode(
    value: &Value,
    ty: &CqlType,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    if let CqlType::Native(native) = ty {
        return native::encode(value, *native, out);
    }
    let depth = nested(depth)?;
    match (ty, value) {
        (CqlType::List { element, .. }, Value::List(elements))
        | (CqlType::Set { element, .. }, Value::Set(elements)) => {
            let mut writer = CollectionWriter::new(out);
            for value in elements {
                writer.element_with(|out| encode(value, element, out, depth))?;
            }
            writer.finish().map(drop)
        }
        (CqlType::Map { key, value, .. }, Value::Map(entries)) => {
            let mut writer = CollectionWriter::new(out);
            for (k, v) in entries {
                writer.key_with(|out| encode(k, key, out, depth))?;
                writer.value_with(|out| encode(v, value, out, depth))?;
            }
            writer.finish().map(drop)
        }
        (CqlType::Tuple(types), Value::Tuple(fields)) => {
            if fields.len() > types.len() {
                return Err(DecodeError::TooManyFields { ty: kind(ty), fields: types.len() }.into());
            }
            fields
                .iter()
                .zip(types)
                .try_for_each(|(field, ty)| encode_field(field.as_ref(), ty, out, depth))
        }
        (CqlType::Udt { definition, .. }, Value::Udt(fields)) => {
            encode_udt(definition, fields, out, depth)
        }
        (CqlType::Vector { element, dimensions }, Value::Vector(elements)) => {
            if elements.len() != *dimensions as usize {
                return Err(EncodeError::Dimensions {
                    ty: ty.to_string(),
                    expected: *dimensions,
                    got: elements.len(),
                });
            }
            elements.iter().try_for_each(|value| encode_vector_element(value, element, out, depth))
        }
        _ => Err(EncodeError::Mismatch { ty: ty.to_string(), value: value.kind() }),
    }
}

fn encode_field(
    field: Option<&Value>,
    ty: &CqlType,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    match field {
        None => push_value(None, out),
        Some(value) => push_value_with(out, |out| encode(value, ty, out, depth)),
    }
}

/// Fields in the order of the definition, up to the last one given; those between that were not given are null.
fn encode_udt(
    definition: &UserType,
    fields: &[(Name, Option<Value>)],
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    let place = |name: &Name| definition.fields.iter().position(|(declared, _)| declared == name);
    let mut written = 0;
    for (name, _) in fields {
        let place = place(name).ok_or_else(|| EncodeError::UnknownField {
            ty: definition.name.to_string(),
            field: name.to_string(),
        })?;
        written = written.max(place + 1);
    }
    for (name, ty) in definition.fields.iter().take(written) {
        let field =
            fields.iter().find(|(given, _)| given == name).and_then(|(_, value)| value.as_ref());
        encode_field(field, ty, out, depth)?;
    }
    Ok(())
}

fn encode_vector_element(
    value: &Value,
    element: &CqlType,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    let mut bytes = Vec::new();
    encode(value, element, &mut bytes, depth)?;
    if let Some(size) = element.fixed_size()
        && bytes.len() != size
    {
        return Err(DecodeError::Length {
            ty: kind(element),
            expected: "its full size in a vector",
            got: bytes.len(),
        }
        .into());
    }
    push_vector_element(element, &bytes, out);
    Ok(())
}
