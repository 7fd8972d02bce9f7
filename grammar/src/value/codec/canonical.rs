//! Sets and maps as they are stored: in the order of their type and without duplicates.

use std::borrow::Cow;

use super::elements::{Elements, Fields, Nullable, NullableEntries, VectorElements};
use super::writer::{CollectionWriter, push_value, push_vector_element};
use super::{DecodeError, EncodeError, kind, nested};
use crate::types::CqlType;
use crate::value::compare::compare;

/// The bytes of a value with every set and map inside it sorted by its type's order; of equal elements the first is
/// kept, of entries with equal keys the last value. Borrowed where nothing inside can be out of order (natives, and
/// lists, tuples and vectors of them).
///
/// Drivers send sets and maps in whatever order they iterate in; two such values are equal, so they must be the same
/// bytes once stored. Cassandra does the same when it binds a value. Fails where [`super::validate`] would find a
/// broken frame, but for nulls in lists and maps, which results may have; call that first to know that the parts are right
/// too.
pub fn canonical<'a>(ty: &CqlType, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    if !holds_order(ty, 0)? {
        return Ok(Cow::Borrowed(bytes));
    }
    let rebuilt = match ty {
        CqlType::Native(_) => return Ok(Cow::Borrowed(bytes)),
        CqlType::List { element, .. } => {
            let elements = Nullable::elements(bytes, kind(ty))?
                .map(|bytes| bytes?.map(|bytes| canonical(element, bytes)).transpose());
            join(elements.collect::<Result<Vec<_>, _>>()?)
        }
        CqlType::Set { element, .. } => {
            let elements = Elements::new(bytes, kind(ty))?.map(|bytes| canonical(element, bytes?));
            let mut elements = elements.collect::<Result<Vec<_>, _>>()?;
            elements.sort_by(|a, b| compare(element, a, b));
            elements.dedup_by(|later, kept| compare(element, later, kept).is_eq());
            join(elements.into_iter().map(Some))
        }
        CqlType::Map { key, value, .. } => canonical_map(key, value, bytes)?,
        CqlType::Tuple(types) => {
            canonical_fields(types.iter(), Fields::new(bytes, types.len(), kind(ty)))?
        }
        CqlType::Udt { definition, .. } => {
            let types = definition.fields.iter().map(|(_, ty)| ty);
            canonical_fields(types, Fields::new(bytes, definition.fields.len(), kind(ty)))?
        }
        CqlType::Vector { element, dimensions } => {
            let mut out = Vec::with_capacity(bytes.len());
            for bytes in VectorElements::new(bytes, element, *dimensions)? {
                push_vector_element(element, &canonical(element, bytes?)?, &mut out);
            }
            Ok(out)
        }
    };
    // Parts were cut out of one value, so none is longer than a length can say.
    rebuilt
        .map(Cow::Owned)
        .map_err(|_| DecodeError::Range { ty: kind(ty), what: "longer than 2147483647 bytes" })
}

fn holds_order(ty: &CqlType, depth: usize) -> Result<bool, DecodeError> {
    if matches!(ty, CqlType::Native(_)) {
        return Ok(false);
    }
    let depth = nested(depth)?;
    match ty {
        CqlType::Native(_) => Ok(false),
        CqlType::Set { .. } | CqlType::Map { .. } => Ok(true),
        CqlType::List { element, .. } | CqlType::Vector { element, .. } => {
            holds_order(element, depth)
        }
        CqlType::Tuple(types) => any(types.iter(), depth),
        CqlType::Udt { definition, .. } => any(definition.fields.iter().map(|(_, ty)| ty), depth),
    }
}

fn any<'a>(types: impl Iterator<Item = &'a CqlType>, depth: usize) -> Result<bool, DecodeError> {
    types.into_iter().try_fold(false, |found, ty| Ok(found || holds_order(ty, depth)?))
}

fn join<'a>(
    elements: impl IntoIterator<Item = Option<Cow<'a, [u8]>>>,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut writer = CollectionWriter::new(&mut out);
    elements.into_iter().try_for_each(|element| writer.nullable(element.as_deref()))?;
    writer.finish()?;
    Ok(out)
}

fn canonical_map(
    key: &CqlType,
    value: &CqlType,
    bytes: &[u8],
) -> Result<Result<Vec<u8>, EncodeError>, DecodeError> {
    let mut entries = Vec::new();
    for entry in NullableEntries::new(bytes)? {
        let (key_bytes, value_bytes) = entry?;
        let value = value_bytes.map(|bytes| canonical(value, bytes)).transpose()?;
        entries.push((canonical(key, key_bytes)?, value));
    }
    entries.sort_by(|(a, _), (b, _)| compare(key, a, b));
    entries.dedup_by(|later, kept| {
        let same = compare(key, &later.0, &kept.0).is_eq();
        if same {
            kept.1 = std::mem::take(&mut later.1);
        }
        same
    });
    let mut out = Vec::with_capacity(bytes.len());
    let mut writer = CollectionWriter::new(&mut out);
    let written = entries.iter().try_for_each(|(key, value)| writer.entry(key, value.as_deref()));
    Ok(written.and_then(|()| writer.finish()).map(|_| out))
}

fn canonical_fields<'a>(
    mut types: impl Iterator<Item = &'a CqlType>,
    fields: Fields<'_>,
) -> Result<Result<Vec<u8>, EncodeError>, DecodeError> {
    let mut out = Vec::new();
    for field in fields {
        let field = match (field?, types.next()) {
            (Some(bytes), Some(ty)) => Some(canonical(ty, bytes)?),
            _ => None,
        };
        if let Err(error) = push_value(field.as_deref(), &mut out) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(out))
}
