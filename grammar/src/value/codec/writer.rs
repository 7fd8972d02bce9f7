//! Builds encoded collections, tuples and vectors from the bytes of their parts.
//!
//! Counts and lengths are reserved and patched, so parts can be encoded straight into the buffer.
//! Nothing here checks the parts; see [`super::validate`].

use super::EncodeError;
use crate::types::CqlType;
use crate::value::vint;

/// Writes a list, set or map: `count: i32`, then each part as `length: i32 | bytes`.
///
/// Call [`CollectionWriter::finish`] at the end: until then the count is 0.
#[derive(Debug)]
pub struct CollectionWriter<'a> {
    out: &'a mut Vec<u8>,
    count_at: usize,
    count: usize,
}

impl<'a> CollectionWriter<'a> {
    /// Starts a collection at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let count_at = out.len();
        out.extend_from_slice(&[0; 4]);
        CollectionWriter { out, count_at, count: 0 }
    }

    /// Adds an element of a list or set.
    pub fn element(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.count += 1;
        push_value(Some(bytes), self.out)
    }

    /// Adds an element of a list or set that `encode` appends.
    pub fn element_with<E: From<EncodeError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.count += 1;
        push_value_with(self.out, encode)
    }

    /// Adds an element of a result's list, which may be null.
    pub fn nullable(&mut self, bytes: Option<&[u8]>) -> Result<(), EncodeError> {
        self.count += 1;
        push_value(bytes, self.out)
    }

    /// Adds an entry of a map. Only a result's may have a null value.
    pub fn entry(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), EncodeError> {
        self.count += 1;
        push_value(Some(key), self.out)?;
        push_value(value, self.out)
    }

    /// Adds the key of a map's entry; its value must follow through [`CollectionWriter::value_with`].
    pub fn key_with<E: From<EncodeError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.element_with(encode)
    }

    /// Adds the value of the entry whose key was added last.
    pub fn value_with<E: From<EncodeError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        push_value_with(self.out, encode)
    }

    /// Writes the count; returns how many elements or entries there are.
    pub fn finish(self) -> Result<usize, EncodeError> {
        patch(self.out, self.count_at, self.count, "collection")?;
        Ok(self.count)
    }
}

/// Appends a field of a tuple or user type, or any `[bytes]`: `length: i32 | bytes`, or a length of -1 for null.
pub fn push_value(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Some(bytes) = value else {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return Ok(());
    };
    let length = i32::try_from(bytes.len()).map_err(|_| too_long("value", bytes.len()))?;
    out.reserve(4 + bytes.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// As [`push_value`], with the bytes that `encode` appends.
pub fn push_value_with<E: From<EncodeError>>(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    encode(out)?;
    let length = out.len().saturating_sub(length_at + 4);
    Ok(patch(out, length_at, length, "value")?)
}

/// Appends an element of a vector of `element`s. The caller sees to it that a fixed-size element has its size.
pub fn push_vector_element(element: &CqlType, bytes: &[u8], out: &mut Vec<u8>) {
    if element.fixed_size().is_none() {
        vint::encode_unsigned(bytes.len() as u64, out);
    }
    out.extend_from_slice(bytes);
}

fn patch(out: &mut [u8], at: usize, number: usize, what: &str) -> Result<(), EncodeError> {
    let encoded = i32::try_from(number).map_err(|_| too_long(what, number))?.to_be_bytes();
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&encoded);
    }
    Ok(())
}

fn too_long(what: &str, bytes: usize) -> EncodeError {
    EncodeError::TooLong { ty: what.to_owned(), bytes }
}
