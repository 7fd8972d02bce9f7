//! Byte-comparable encoding of single key components: partition key columns, clustering columns, cell paths.
//!
//! [`encode_component`] turns the protocol's bytes of a value into bytes whose `memcmp` order is
//! [`compare_total`](tholos_grammar::value::compare::compare_total), and [`decode_component`] turns them back exactly.
//! Descending components are the same bytes inverted.
//!
//! No encoding is a prefix of another one of its type, so components can follow each other without separators and the
//! order of the whole is that of its first differing component. **This is an on-disk format**: it changes only with the
//! SSTable format's version.
//!
//! | Type | Ascending bytes |
//! |---|---|
//! | fixed size | N bytes that order as unsigned (`fixed`); N zero bytes are followed by `01`, the empty value is N zero bytes and `00` |
//! | `ascii`, `text`, `blob`, `inet` | bytes, `00` as `01 01` and `01` as `01 02`, then `00` |
//! | `varint`, `decimal` | sign, magnitude and tie-breaker (`number`) |
//! | list, set, map, vector | `02` before each element (each key of a map, its value following), then `01`; the empty value is `00` (`composite`) |
//! | tuple, user type | per field `02` and the field, or `01` for null; `00` once all that is left is null, then how many of those were written (`composite`) |
//!
//! Ties: values that CQL calls equal but that have different bytes (the decimals 1.0 and 1.00, NaNs, a varint with
//! needless sign bytes) stand side by side. Partition keys keep them apart ([`encode_component`]): their token is of the
//! bytes, so they are different partitions, as in Cassandra. Where CQL's order decides what is the same (clustering
//! columns, elements of sets, keys of maps), [`encode_shared`] gives all of them one encoding, which decodes to:
//!
//! | Type | What stands for all values that are equal to it |
//! |---|---|
//! | `decimal` | without zeros behind the point (1.00 is given back as 1, 100 and 1E+2 as 100); zero as 0; beyond 10^100 without any zeros, as long as the scale allows it |
//! | `varint` | without needless sign bytes |
//! | `float`, `double` | the one quiet NaN (-0.0 and 0.0 are not equal) |
//! | `boolean` | `01` for true |
//! | tuple | with a null for each field left out at the end |
//! | user type | without nulls at the end (fields may be added to it) |
//! | collections and others made of these | with elements and fields of this form |
//!
//! What users see of these forms, the zeros of decimals, is kept beside the key: for clustering columns in cells of their
//! own ([`WRITTEN_KEYS`](crate::model::WRITTEN_KEYS)), for sets as the value of the element's cell.
//!
//! `duration` and `counter` have no order and are refused. Positions (weights, the token's prefix) are not made here.

mod composite;
mod fixed;
mod number;
mod reader;
#[cfg(test)]
mod tests;
mod text;

use thiserror::Error;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::codec::{DecodeError, MAX_NESTING, kind};

use self::reader::Reader;

/// A component that can't be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A type without an order.
    #[error("a value of type {ty} cannot be part of a key: the type has no order")]
    Unordered {
        /// Name of the type.
        ty: &'static str,
    },
    /// Bytes that are no value of the type.
    #[error(transparent)]
    Value(#[from] DecodeError),
    /// A type nested too deep.
    #[error("a key component is nested deeper than {MAX_NESTING} levels")]
    Nesting,
    /// Bytes that no encoding of the type begins with.
    #[error(
        "encoded key component of type {ty} is malformed, {remaining} bytes before the key's end"
    )]
    Malformed {
        /// Name of the type.
        ty: &'static str,
        /// Bytes left where it was found.
        remaining: usize,
    },
}

/// Which of the encodings of values that CQL calls equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tie {
    /// The value's own.
    Exact,
    /// The same for all of them.
    Shared,
}

/// Appends the byte-comparable encoding of `value`, the protocol's bytes of a value of type `ty`, to `out`.
///
/// Checks sizes and frames only: that text is UTF-8 and the like is [`tholos_grammar::value::codec::validate`]'s to
/// say. On an error `out` is as it was.
pub fn encode_component(
    ty: &CqlType,
    value: &[u8],
    descending: bool,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    encode_tie(ty, value, Tie::Exact, descending, out)
}

/// As [`encode_component`], ascending, of a native type; on an error `out` may hold something of it.
pub(crate) fn encode_native_component(
    native: Native,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    encode_native(native, value, Tie::Exact, out)
}

/// As [`encode_component`], but the same bytes for all values that CQL's order calls equal
/// ([`compare`](tholos_grammar::value::compare::compare)): what they decode to is one of these values.
pub fn encode_shared(
    ty: &CqlType,
    value: &[u8],
    descending: bool,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    encode_tie(ty, value, Tie::Shared, descending, out)
}

fn encode_tie(
    ty: &CqlType,
    value: &[u8],
    tie: Tie,
    descending: bool,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    let start = out.len();
    if let Err(error) = encode(ty, value, tie, out, 0) {
        out.truncate(start);
        return Err(error);
    }
    if descending {
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
    Ok(())
}

/// Takes one component off the front of `input` and appends the protocol's bytes of its value to `out`.
///
/// On an error `input` and `out` are as they were.
pub fn decode_component(
    ty: &CqlType,
    descending: bool,
    input: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    let start = out.len();
    let mut reader = Reader::new(input, descending);
    if let Err(error) = decode(ty, &mut reader, out, 0) {
        out.truncate(start);
        return Err(error);
    }
    *input = reader.rest();
    Ok(())
}

fn encode(
    ty: &CqlType,
    value: &[u8],
    tie: Tie,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    let CqlType::Native(native) = ty else {
        return composite::encode(ty, value, tie, out, nested(depth)?);
    };
    encode_native(*native, value, tie, out)
}

fn encode_native(
    native: Native,
    value: &[u8],
    tie: Tie,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    match native {
        Native::Ascii | Native::Text | Native::Blob | Native::Inet => {
            text::encode(value, out);
            Ok(())
        }
        Native::Varint => number::encode_varint(value, tie, out),
        Native::Decimal => number::encode_decimal(value, tie, out),
        Native::Counter | Native::Duration => Err(KeyError::Unordered { ty: native.name() }),
        _ => fixed::encode(native, value, tie, out),
    }
}

fn decode(
    ty: &CqlType,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), KeyError> {
    let CqlType::Native(native) = ty else {
        return composite::decode(ty, reader, out, nested(depth)?);
    };
    let decoded = match native {
        Native::Ascii | Native::Text | Native::Blob | Native::Inet => text::decode(reader, out),
        Native::Varint => number::decode_varint(reader, out),
        Native::Decimal => number::decode_decimal(reader, out),
        Native::Counter | Native::Duration => {
            return Err(KeyError::Unordered { ty: native.name() });
        }
        _ => fixed::decode(*native, reader, out),
    };
    decoded.ok_or_else(|| malformed(ty, reader))
}

fn nested(depth: usize) -> Result<usize, KeyError> {
    if depth < MAX_NESTING { Ok(depth + 1) } else { Err(KeyError::Nesting) }
}

fn malformed(ty: &CqlType, reader: &Reader<'_>) -> KeyError {
    KeyError::Malformed { ty: kind(ty), remaining: reader.rest().len() }
}
