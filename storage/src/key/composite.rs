//! Collections, tuples, user types and vectors: their components one after another, each behind a marker.
//!
//! The marker of an end is below that of one more element, so a shorter value comes first. In tuples the marker of an
//! end says that all fields from there on are null, whether they were written or not: fields added to a user type later
//! leave old keys as they are. How many nulls were written follows, so that the bytes come back as they were.

use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Entries, Fields, VectorElements};
use tholos_grammar::value::codec::writer::{push_value, push_value_with, push_vector_element};
use tholos_grammar::value::codec::{DecodeError, EncodeError, kind};

use super::number::{push_count, take_count};
use super::reader::Reader;
use super::{KeyError, Tie, malformed};

/// Zero bytes where a collection or vector should be.
const EMPTY: u8 = 0;
const END: u8 = 1;
const ELEMENT: u8 = 2;

const REST_IS_NULL: u8 = 0;
const NULL: u8 = 1;
const FIELD: u8 = 2;

const NULL_FIELD: [u8; 4] = (-1i32).to_be_bytes();

pub(super) fn encode(
    ty: &CqlType,
    value: &[u8],
    tie: Tie,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    let fields = |declared| Fields::new(value, declared, kind(ty));
    match ty {
        CqlType::Tuple(types) => {
            let nulls = encode_fields(types.iter(), fields(types.len()), tie, out, depth)?;
            // The types of a tuple never change, so it can have all of them.
            push_nulls(nulls.written, types.len() - nulls.before, tie, out);
            return Ok(());
        }
        CqlType::Udt { definition, .. } => {
            let types = definition.fields.iter().map(|(_, ty)| ty);
            let nulls = encode_fields(types, fields(definition.fields.len()), tie, out, depth)?;
            push_nulls(nulls.written, 0, tie, out);
            return Ok(());
        }
        _ if value.is_empty() => {
            out.push(EMPTY);
            return Ok(());
        }
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            encode_elements(element, Elements::new(value, kind(ty))?, tie, out, depth)?;
        }
        CqlType::Map { key, value: value_type, .. } => {
            for entry in Entries::new(value)? {
                let (key_bytes, value_bytes) = entry?;
                out.push(ELEMENT);
                super::encode(key, key_bytes, tie, out, depth)?;
                super::encode(value_type, value_bytes, tie, out, depth)?;
            }
        }
        CqlType::Vector { element, dimensions } => {
            encode_elements(
                element,
                VectorElements::new(value, element, *dimensions)?,
                tie,
                out,
                depth,
            )?;
        }
        CqlType::Native(native) => return Err(KeyError::Unordered { ty: native.name() }),
    }
    out.push(END);
    Ok(())
}

fn encode_elements<'a>(
    element: &CqlType,
    elements: impl Iterator<Item = Result<&'a [u8], DecodeError>>,
    tie: Tie,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    for bytes in elements {
        out.push(ELEMENT);
        super::encode(element, bytes?, tie, out, depth)?;
    }
    Ok(())
}

/// The nulls at the end of a tuple or user type.
struct LastNulls {
    /// How many were written.
    written: usize,
    /// How many fields come before them.
    before: usize,
}

fn encode_fields<'a>(
    mut types: impl Iterator<Item = &'a CqlType>,
    fields: Fields<'_>,
    tie: Tie,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<LastNulls, KeyError> {
    let (mut nulls, mut before) = (0, 0);
    for field in fields {
        let (Some(bytes), Some(ty)) = (field?, types.next()) else {
            nulls += 1;
            continue;
        };
        // Nulls count only once something follows them: at the end they are all the same.
        out.extend(std::iter::repeat_n(NULL, nulls));
        before += nulls + 1;
        nulls = 0;
        out.push(FIELD);
        super::encode(ty, bytes, tie, out, depth)?;
    }
    out.push(REST_IS_NULL);
    Ok(LastNulls { written: nulls, before })
}

/// How many nulls are given back at the end: as many as were written, or as many in all equal values.
fn push_nulls(written: usize, shared: usize, tie: Tie, out: &mut Vec<u8>) {
    push_count(if tie == Tie::Shared { shared } else { written }, out);
}

pub(super) fn decode(
    ty: &CqlType,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    match ty {
        CqlType::Tuple(types) => decode_fields(ty, types.len(), types.iter(), reader, out, depth),
        CqlType::Udt { definition, .. } => {
            let types = definition.fields.iter().map(|(_, ty)| ty);
            decode_fields(ty, definition.fields.len(), types, reader, out, depth)
        }
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            decode_counted(ty, reader, out, |reader, out| decode_value(element, reader, out, depth))
        }
        CqlType::Map { key, value, .. } => decode_counted(ty, reader, out, |reader, out| {
            decode_value(key, reader, out, depth)?;
            decode_value(value, reader, out, depth)
        }),
        CqlType::Vector { element, .. } => decode_vector(ty, element, reader, out, depth),
        CqlType::Native(native) => Err(KeyError::Unordered { ty: native.name() }),
    }
}

/// Whether one more element follows; `None` for the value of zero bytes, which is only legal as the first marker.
fn more(ty: &CqlType, reader: &mut Reader<'_>) -> Result<Option<bool>, KeyError> {
    match reader.byte() {
        Some(ELEMENT) => Ok(Some(true)),
        Some(END) => Ok(Some(false)),
        Some(EMPTY) => Ok(None),
        _ => Err(malformed(ty, reader)),
    }
}

fn decode_counted(
    ty: &CqlType,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    mut decode_element: impl FnMut(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), KeyError>,
) -> Result<(), KeyError> {
    let Some(mut element_follows) = more(ty, reader)? else { return Ok(()) };
    let count_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count: u32 = 0;
    while element_follows {
        decode_element(reader, out)?;
        count += 1;
        element_follows = more(ty, reader)?.ok_or_else(|| malformed(ty, reader))?;
    }
    if let Some(slot) = out.get_mut(count_at..count_at + 4) {
        slot.copy_from_slice(&count.to_be_bytes());
    }
    Ok(())
}

fn decode_value(
    ty: &CqlType,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    push_value_with(out, |out| super::decode(ty, reader, out, depth))
}

fn decode_vector(
    ty: &CqlType,
    element: &CqlType,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    let Some(mut element_follows) = more(ty, reader)? else { return Ok(()) };
    let mut bytes = Vec::new();
    while element_follows {
        bytes.clear();
        super::decode(element, reader, &mut bytes, depth)?;
        push_vector_element(element, &bytes, out);
        element_follows = more(ty, reader)?.ok_or_else(|| malformed(ty, reader))?;
    }
    Ok(())
}

fn decode_fields<'a>(
    ty: &CqlType,
    declared: usize,
    mut types: impl Iterator<Item = &'a CqlType>,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    let mut written = 0;
    loop {
        match reader.byte() {
            Some(REST_IS_NULL) => break,
            Some(NULL) => {
                types.next().ok_or_else(|| malformed(ty, reader))?;
                out.extend_from_slice(&NULL_FIELD);
            }
            Some(FIELD) => {
                let field = types.next().ok_or_else(|| malformed(ty, reader))?;
                decode_value(field, reader, out, depth)?;
            }
            _ => return Err(malformed(ty, reader)),
        }
        written += 1;
    }
    let nulls = take_count(reader)
        .filter(|nulls| written + nulls <= declared)
        .ok_or_else(|| malformed(ty, reader))?;
    (0..nulls).try_for_each(|_| push_value(None, out))?;
    Ok(())
}

impl From<EncodeError> for KeyError {
    /// Only lengths can fail here, of values put together from parts that were cut out of one.
    fn from(_: EncodeError) -> Self {
        DecodeError::Range { ty: "key", what: "longer than 2147483647 bytes" }.into()
    }
}
