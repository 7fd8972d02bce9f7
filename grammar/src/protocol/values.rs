//! Bound values: those that came with a request, read in place, and those to be sent.

use super::error::NotationError;
use super::primitive::{
    RawValue, read_short, read_string, read_value, write_short, write_string, write_value,
};

/// The values bound in a request, in the order they came. They are checked once, when the request is decoded, and then
/// read straight from its bytes.
///
/// Invariant: `bytes` holds exactly `count` values, each after its name if `named`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values<'a> {
    count: u16,
    named: bool,
    bytes: &'a [u8],
}

/// One bound value, and its marker's name if the request gave it one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundValue<'a> {
    /// Name of the marker, for named values.
    pub name: Option<&'a str>,
    /// The value.
    pub value: RawValue<'a>,
}

impl<'a> Values<'a> {
    /// No values.
    pub const EMPTY: Values<'static> = Values { count: 0, named: false, bytes: &[] };

    /// Reads a \[short\] count and as many values.
    pub fn decode(input: &mut &'a [u8], named: bool) -> Result<Values<'a>, NotationError> {
        let count = read_short(input)?;
        let start = *input;
        for _ in 0..count {
            if named {
                read_string(input)?;
            }
            read_value(input)?;
        }
        let length = start.len() - input.len();
        Ok(Values { count, named, bytes: start.get(..length).unwrap_or(start) })
    }

    /// Appends the count and the values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_short(out, self.count);
        out.extend_from_slice(self.bytes);
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether each value has the name of its marker.
    pub fn are_named(&self) -> bool {
        self.named
    }

    /// The values in order.
    pub fn iter(&self) -> ValuesIter<'a> {
        ValuesIter { left: self.count, named: self.named, bytes: self.bytes }
    }
}

impl<'a> IntoIterator for &Values<'a> {
    type Item = BoundValue<'a>;
    type IntoIter = ValuesIter<'a>;

    fn into_iter(self) -> ValuesIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Values`].
#[derive(Clone, Debug)]
pub struct ValuesIter<'a> {
    left: u16,
    named: bool,
    bytes: &'a [u8],
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = BoundValue<'a>;

    fn next(&mut self) -> Option<BoundValue<'a>> {
        self.left = self.left.checked_sub(1)?;
        let name = if self.named { Some(read_string(&mut self.bytes).ok()?) } else { None };
        let value = read_value(&mut self.bytes).ok()?;
        Some(BoundValue { name, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for ValuesIter<'_> {}

/// A request can't bind that many values: 65,535 is the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a statement can bind at most 65535 values: bind fewer, or use a list or several statements"
)]
pub struct TooManyValues;

/// Values to be sent with a request, already encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueList {
    count: u16,
    named: bool,
    bytes: Vec<u8>,
}

impl ValueList {
    /// No values yet; they will have no names.
    pub fn positional() -> ValueList {
        ValueList::default()
    }

    /// No values yet; each will have the name of its marker.
    pub fn named() -> ValueList {
        ValueList { named: true, ..ValueList::default() }
    }

    /// Adds the next value. In a named list its name is the empty string.
    pub fn push(&mut self, value: RawValue<'_>) -> Result<(), TooManyValues> {
        self.push_named("", value)
    }

    /// Adds a value for the marker of that name. In a positional list the name is left out.
    pub fn push_named(&mut self, name: &str, value: RawValue<'_>) -> Result<(), TooManyValues> {
        self.count = self.count.checked_add(1).ok_or(TooManyValues)?;
        if self.named {
            write_string(&mut self.bytes, name);
        }
        write_value(&mut self.bytes, value);
        Ok(())
    }

    /// The values as a request takes them.
    pub fn as_values(&self) -> Values<'_> {
        Values { count: self.count, named: self.named, bytes: &self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_place() {
        let mut list = ValueList::named();
        list.push_named("a", RawValue::Bytes(b"x")).unwrap();
        list.push(RawValue::NotSet).unwrap();
        let mut bytes = Vec::new();
        list.as_values().encode(&mut bytes);
        bytes.extend_from_slice(b"rest");
        let mut input = bytes.as_slice();
        let values = Values::decode(&mut input, true).unwrap();
        assert_eq!(input, b"rest");
        assert_eq!((values.len(), values.are_named(), values.is_empty()), (2, true, false));
        let read: Vec<BoundValue<'_>> = values.iter().collect();
        assert_eq!(read[0], BoundValue { name: Some("a"), value: RawValue::Bytes(b"x") });
        assert_eq!(read[1], BoundValue { name: Some(""), value: RawValue::NotSet });
    }

    #[test]
    fn no_more_values_than_can_be_counted() {
        let mut list = ValueList::positional();
        for _ in 0..u16::MAX {
            list.push(RawValue::Null).unwrap();
        }
        assert_eq!(list.push(RawValue::Null), Err(TooManyValues));
        assert_eq!(list.as_values().iter().count(), 65_535);
    }
}
