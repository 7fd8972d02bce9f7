//! The one codec between [`Value`]s and the native protocol's bytes (v5 specification, section 6).
//!
//! - [`Value::encode`], [`Value::decode`]: a value of a type to and from bytes.
//! - [`decode_result`]: the same of a result's bytes, whose lists and maps may hold nulls.
//! - [`validate`]: whether bytes are a value of a type, without building it. Never allocates unless it fails.
//! - [`canonical`]: sets and maps in order and without duplicates, as they are stored.
//! - [`elements`]: iterators that borrow the elements, entries and fields of an encoded value.
//! - [`writer`]: builds an encoded collection, tuple or vector from the bytes of its parts.
//!
//! Rules that hold for all of it:
//! - `null` is not a value: callers write a length of -1 themselves. Elements of collections and vectors are never
//!   null, but for those of results: `[a, b]` in a select list is a list of whatever the columns are.
//! - No bytes make it panic, recurse deeper than [`MAX_NESTING`] or allocate more than a small multiple of their length.
//! - A value must be used up to its last byte.
//! - Zero bytes are a value of their own ([`Value::Empty`]) for the types where Cassandra allows it: see
//!   [`allows_empty`].

mod canonical;
mod composite;
pub mod elements;
mod native;
#[cfg(test)]
mod tests;
pub mod writer;

use thiserror::Error;

pub use self::canonical::canonical;
use self::composite::Nulls;
pub use self::native::allows_empty;
use crate::types::CqlType;
use crate::value::Value;

/// How deep types may nest: deeper values are refused rather than risking the stack.
pub const MAX_NESTING: usize = 64;

/// The most bytes of a `varint`, and of the digits of a `decimal`. Text and order of such numbers take time that grows
/// faster than their length, so it must end somewhere.
pub const MAX_NUMBER_BYTES: usize = u16::MAX as usize;

/// The most nanoseconds of a `time`, exclusive: a day.
pub const TIME_LIMIT_NS: i64 = 86_400_000_000_000;

/// Bytes that are no value of the type they were read as.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A native value of the wrong size.
    #[error(
        "a value of type {ty} takes {expected}, got {got}: check that the bound value has the column's type"
    )]
    Length {
        /// Name of the type.
        ty: &'static str,
        /// The sizes it may have.
        expected: &'static str,
        /// Bytes given.
        got: usize,
    },
    /// Text that is not UTF-8.
    #[error("text is not valid UTF-8 at byte {offset}: send UTF-8, or use a blob for other bytes")]
    Utf8 {
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// `ascii` with a byte of 0x80 or above.
    #[error(
        "ascii holds the byte {byte:#04x} at offset {offset}: only 0x00 to 0x7f are allowed; use text for the rest"
    )]
    Ascii {
        /// Offset of the first bad byte.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// Right size, wrong content.
    #[error("value of type {ty} is out of range: {what}")]
    Range {
        /// Name of the type.
        ty: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A composite value that ends before its parts do.
    #[error("value of type {ty} is cut short: {needed} more bytes announced, {remaining} left")]
    Truncated {
        /// Name of the type.
        ty: &'static str,
        /// Bytes that the next part needs.
        needed: usize,
        /// Bytes left.
        remaining: usize,
    },
    /// Bytes after the end of a value.
    #[error(
        "value of type {ty} has {count} bytes after its end: check that the bound value has the column's type"
    )]
    TrailingBytes {
        /// Name of the type.
        ty: &'static str,
        /// How many.
        count: usize,
    },
    /// A negative number of elements, or more than the bytes could hold.
    #[error("value of type {ty} announces {count} elements in {remaining} bytes")]
    Count {
        /// Name of the type.
        ty: &'static str,
        /// As announced.
        count: i32,
        /// Bytes after the count.
        remaining: usize,
    },
    /// A null where none may be.
    #[error("null is not supported inside a {ty}: leave the element out")]
    NullElement {
        /// Name of the type.
        ty: &'static str,
    },
    /// A length below -1.
    #[error("value of type {ty} holds the negative length {length}")]
    NegativeLength {
        /// Name of the type.
        ty: &'static str,
        /// As read.
        length: i32,
    },
    /// More fields than the tuple or user type has.
    #[error("value of type {ty} has more than its {fields} fields")]
    TooManyFields {
        /// Name of the type.
        ty: &'static str,
        /// Fields of the type.
        fields: usize,
    },
    /// A type nested too deep.
    #[error("type is nested deeper than {MAX_NESTING} levels")]
    Nesting,
}

/// A value that does not fit the type it was to be encoded as.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The wrong kind of value.
    #[error("expected a value of type {ty}, got one of type {value}")]
    Mismatch {
        /// The type asked for.
        ty: String,
        /// The kind of value given.
        value: &'static str,
    },
    /// The right kind of value, but not one of its type.
    #[error("{0}")]
    Invalid(#[from] DecodeError),
    /// Longer than the protocol can say.
    #[error("value of type {ty} has {bytes} bytes: the protocol's limit is 2147483647")]
    TooLong {
        /// The type asked for.
        ty: String,
        /// Bytes or elements.
        bytes: usize,
    },
    /// A user type's value with a field that the type does not have.
    #[error("type {ty} has no field {field}")]
    UnknownField {
        /// The user type.
        ty: String,
        /// The field.
        field: String,
    },
    /// A vector of the wrong number of elements.
    #[error("type {ty} takes {expected} elements, got {got}")]
    Dimensions {
        /// The vector type.
        ty: String,
        /// Its dimensions.
        expected: u32,
        /// Elements given.
        got: usize,
    },
}

impl Value {
    /// Appends the protocol's bytes of this value, as one of type `ty`, to `out` (without a length before it).
    ///
    /// On an error `out` holds what was written up to there: the caller truncates it if it goes on.
    pub fn encode(&self, ty: &CqlType, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        composite::encode(self, ty, out, 0)
    }

    /// The value of type `ty` that `bytes` are.
    pub fn decode(ty: &CqlType, bytes: &[u8]) -> Result<Value, DecodeError> {
        composite::decode(ty, bytes, Nulls::Refused, 0)
    }
}

/// The value of type `ty` that the bytes of a result are: as [`Value::decode`], but elements of lists and values of maps
/// may be [`Value::Null`].
pub fn decode_result(ty: &CqlType, bytes: &[u8]) -> Result<Value, DecodeError> {
    composite::decode(ty, bytes, Nulls::Taken, 0)
}

/// Whether `bytes` are a value of type `ty`: exactly when [`Value::decode`] succeeds, but nothing is built.
pub fn validate(ty: &CqlType, bytes: &[u8]) -> Result<(), DecodeError> {
    composite::validate(ty, bytes, 0)
}

/// The name of a type's kind, for messages: a native's name, or `list`, `set`, `map`, `tuple`, `user type`, `vector`.
pub fn kind(ty: &CqlType) -> &'static str {
    match ty {
        CqlType::Native(native) => native.name(),
        CqlType::List { .. } => "list",
        CqlType::Set { .. } => "set",
        CqlType::Map { .. } => "map",
        CqlType::Tuple(_) => "tuple",
        CqlType::Udt { .. } => "user type",
        CqlType::Vector { .. } => "vector",
    }
}

fn nested(depth: usize) -> Result<usize, DecodeError> {
    if depth < MAX_NESTING { Ok(depth + 1) } else { Err(DecodeError::Nesting) }
}
