//! Iterators over the parts of an encoded value, borrowed from its bytes.
//!
//! - [`Elements`]: of a list or set; also the flattened keys and values of a map.
//! - [`Entries`]: of a map.
//! - [`Nullable`], [`NullableEntries`]: the same, where parts may be null.
//! - [`Fields`]: of a tuple or user type.
//! - [`VectorElements`]: of a vector.
//!
//! They check the frame (counts, lengths, nothing left over), not the parts; each stops after its first error.

use super::DecodeError;
use crate::types::CqlType;
use crate::value::vint;

/// Bytes of a count or length.
const LENGTH_BYTES: usize = 4;

/// The parts of an encoded list, set or map that may be null: `None` is null. No stored collection has such parts, but
/// lists and maps of results may ([`decode_result`](super::decode_result)).
#[derive(Clone, Debug)]
pub struct Nullable<'a> {
    rest: &'a [u8],
    remaining: usize,
    ty: &'static str,
}

impl<'a> Nullable<'a> {
    /// The elements of an encoded list or set; `ty` is named in errors (`"list"`, `"set"`).
    pub fn elements(bytes: &'a [u8], ty: &'static str) -> Result<Self, DecodeError> {
        Nullable::with_parts(bytes, ty, 1)
    }

    /// `parts` lengths stand for each counted element: 2 for a map.
    fn with_parts(bytes: &'a [u8], ty: &'static str, parts: usize) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        let count = split_i32(&mut rest, ty)?;
        let remaining = usize::try_from(count).ok().and_then(|count| count.checked_mul(parts));
        match remaining {
            Some(remaining) if remaining <= rest.len() / LENGTH_BYTES => {
                Ok(Nullable { rest, remaining, ty })
            }
            _ => Err(DecodeError::Count { ty, count, remaining: rest.len() }),
        }
    }

    /// Parts not yet taken; never more than the bytes can hold.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    fn split_part(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let part = split_value(&mut self.rest, self.ty)?;
        self.remaining -= 1;
        Ok(part)
    }

    fn split_present(&mut self) -> Result<&'a [u8], DecodeError> {
        self.split_part()?.ok_or(DecodeError::NullElement { ty: self.ty })
    }

    /// The next part, by `split`, if there is one.
    fn next_by<T>(
        &mut self,
        split: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Option<Result<T, DecodeError>> {
        let part = match (self.remaining, self.rest.len()) {
            (0, 0) => return None,
            (0, count) => Err(DecodeError::TrailingBytes { ty: self.ty, count }),
            _ => split(self),
        };
        if part.is_err() {
            self.remaining = 0;
            self.rest = &[];
        }
        Some(part)
    }
}

impl<'a> Iterator for Nullable<'a> {
    type Item = Result<Option<&'a [u8]>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_by(Self::split_part)
    }
}

/// The elements of an encoded list or set.
#[derive(Clone, Debug)]
pub struct Elements<'a>(Nullable<'a>);

impl<'a> Elements<'a> {
    /// Of an encoded list or set; `ty` is named in errors (`"list"`, `"set"`).
    pub fn new(bytes: &'a [u8], ty: &'static str) -> Result<Self, DecodeError> {
        Nullable::elements(bytes, ty).map(Elements)
    }

    /// Elements not yet taken; never more than the bytes can hold.
    pub fn remaining(&self) -> usize {
        self.0.remaining
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_by(Nullable::split_present)
    }
}

/// The entries of an encoded map: key and value.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Nullable<'a>);

impl<'a> Entries<'a> {
    /// Of an encoded map.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Nullable::with_parts(bytes, "map", 2).map(Entries)
    }

    /// Entries not yet taken; never more than the bytes can hold.
    pub fn remaining(&self) -> usize {
        self.0.remaining / 2
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_by(|parts| Ok((parts.split_present()?, parts.split_present()?)))
    }
}

/// As [`Entries`], but values may be null.
#[derive(Clone, Debug)]
pub struct NullableEntries<'a>(Entries<'a>);

impl<'a> NullableEntries<'a> {
    /// Of an encoded map.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Entries::new(bytes).map(NullableEntries)
    }

    /// Entries not yet taken; never more than the bytes can hold.
    pub fn remaining(&self) -> usize {
        self.0.remaining()
    }
}

impl<'a> Iterator for NullableEntries<'a> {
    type Item = Result<(&'a [u8], Option<&'a [u8]>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.0.next_by(|parts| Ok((parts.split_present()?, parts.split_part()?)))
    }
}

/// The fields of an encoded tuple or user type that are there; the rest are null. A null field is `None`.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    remaining: usize,
    declared: usize,
    ty: &'static str,
}

impl<'a> Fields<'a> {
    /// Of an encoded value of a type with `declared` fields; `ty` is named in errors (`"tuple"`, `"user type"`).
    pub fn new(bytes: &'a [u8], declared: usize, ty: &'static str) -> Self {
        Fields { rest: bytes, remaining: declared, declared, ty }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Option<&'a [u8]>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = match self.remaining.checked_sub(1) {
            None => Err(DecodeError::TooManyFields { ty: self.ty, fields: self.declared }),
            Some(remaining) => {
                self.remaining = remaining;
                split_value(&mut self.rest, self.ty)
            }
        };
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The elements of an encoded vector: side by side where the element type has a fixed size, each behind an unsigned
/// vint length elsewhere (as Cassandra 5).
#[derive(Clone, Debug)]
pub struct VectorElements<'a> {
    rest: &'a [u8],
    remaining: usize,
    size: Option<usize>,
}

impl<'a> VectorElements<'a> {
    /// Of an encoded vector. Fails if the bytes can't hold that many elements.
    pub fn new(bytes: &'a [u8], element: &CqlType, dimensions: u32) -> Result<Self, DecodeError> {
        let (remaining, size) = (dimensions as usize, element.fixed_size());
        let needed = remaining.saturating_mul(size.unwrap_or(1));
        if bytes.len() < needed {
            return Err(DecodeError::Truncated { ty: "vector", needed, remaining: bytes.len() });
        }
        Ok(VectorElements { rest: bytes, remaining, size })
    }

    /// Elements not yet taken; never more than the bytes can hold.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    fn split_element(&mut self) -> Result<&'a [u8], DecodeError> {
        let cut = |needed: usize, remaining: usize| DecodeError::Truncated {
            ty: "vector",
            needed,
            remaining,
        };
        let size = match self.size {
            Some(size) => size,
            None => {
                let size =
                    vint::decode_unsigned(&mut self.rest).ok_or_else(|| cut(1, self.rest.len()))?;
                usize::try_from(size).unwrap_or(usize::MAX)
            }
        };
        let (element, rest) =
            self.rest.split_at_checked(size).ok_or_else(|| cut(size, self.rest.len()))?;
        self.rest = rest;
        self.remaining -= 1;
        Ok(element)
    }
}

impl<'a> Iterator for VectorElements<'a> {
    type Item = Result<&'a [u8], DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = match (self.remaining, self.rest.len()) {
            (0, 0) => return None,
            (0, count) => Err(DecodeError::TrailingBytes { ty: "vector", count }),
            _ => self.split_element(),
        };
        if element.is_err() {
            self.remaining = 0;
            self.rest = &[];
        }
        Some(element)
    }
}

fn split_i32(input: &mut &[u8], ty: &'static str) -> Result<i32, DecodeError> {
    let remaining = input.len();
    let (number, rest) = input
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or(DecodeError::Truncated { ty, needed: LENGTH_BYTES, remaining })?;
    *input = rest;
    Ok(i32::from_be_bytes(*number))
}

/// A length and as many bytes; `None` for a length of -1.
fn split_value<'a>(
    input: &mut &'a [u8],
    ty: &'static str,
) -> Result<Option<&'a [u8]>, DecodeError> {
    let length = split_i32(input, ty)?;
    let needed = match usize::try_from(length) {
        Ok(needed) => needed,
        Err(_) if length == -1 => return Ok(None),
        Err(_) => return Err(DecodeError::NegativeLength { ty, length }),
    };
    let remaining = input.len();
    let (value, rest) =
        input.split_at_checked(needed).ok_or(DecodeError::Truncated { ty, needed, remaining })?;
    *input = rest;
    Ok(Some(value))
}
