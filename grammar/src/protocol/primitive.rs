//! The notations of the protocol (native protocol v5, section 3), each as a reader and a writer.
//!
//! A reader takes `&mut &[u8]`, takes its bytes off the front and borrows from them; at an error the slice stands at
//! the notation that could not be read. Nothing is allocated for what a length announces: it is only checked against
//! the bytes that are there. A writer appends to a `Vec<u8>`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use uuid::Uuid;

use super::error::NotationError;
use crate::consistency::Consistency;

type Result<T> = std::result::Result<T, NotationError>;

/// Takes `length` bytes off the front.
fn take<'a>(input: &mut &'a [u8], length: usize, notation: &'static str) -> Result<&'a [u8]> {
    let truncated = NotationError::Truncated { notation, needed: length, left: input.len() };
    let (taken, rest) = input.split_at_checked(length).ok_or(truncated)?;
    *input = rest;
    Ok(taken)
}

/// Takes the `N` bytes of a number off the front.
fn take_chunk<const N: usize>(input: &mut &[u8], notation: &'static str) -> Result<[u8; N]> {
    let truncated = NotationError::Truncated { notation, needed: N, left: input.len() };
    let (taken, rest) = input.split_first_chunk::<N>().ok_or(truncated)?;
    *input = rest;
    Ok(*taken)
}

/// Runs `read` and puts `input` back where it was if it fails.
fn whole<'a, T>(input: &mut &'a [u8], read: impl FnOnce(&mut &'a [u8]) -> Result<T>) -> Result<T> {
    let mut rest = *input;
    let value = read(&mut rest)?;
    *input = rest;
    Ok(value)
}

fn utf8<'a>(bytes: &'a [u8], notation: &'static str) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|error| NotationError::NotUtf8 { notation, valid_up_to: error.valid_up_to() })
}

/// \[byte\]
pub fn read_byte(input: &mut &[u8]) -> Result<u8> {
    take_chunk::<1>(input, "byte").map(u8::from_be_bytes)
}

/// \[short\]
pub fn read_short(input: &mut &[u8]) -> Result<u16> {
    take_chunk(input, "short").map(u16::from_be_bytes)
}

/// \[int\]
pub fn read_int(input: &mut &[u8]) -> Result<i32> {
    take_chunk(input, "int").map(i32::from_be_bytes)
}

/// \[long\]
pub fn read_long(input: &mut &[u8]) -> Result<i64> {
    take_chunk(input, "long").map(i64::from_be_bytes)
}

/// \[uuid\]
pub fn read_uuid(input: &mut &[u8]) -> Result<Uuid> {
    take_chunk(input, "uuid").map(Uuid::from_bytes)
}

/// \[string\]: a \[short\] length and UTF-8.
pub fn read_string<'a>(input: &mut &'a [u8]) -> Result<&'a str> {
    whole(input, |input| {
        let length = usize::from(read_short(input)?);
        utf8(take(input, length, "string")?, "string")
    })
}

/// \[long string\]: an \[int\] length and UTF-8.
pub fn read_long_string<'a>(input: &mut &'a [u8]) -> Result<&'a str> {
    whole(input, |input| {
        let length = read_int(input)?;
        let length = usize::try_from(length)
            .map_err(|_| NotationError::NegativeLength { notation: "long string", length })?;
        utf8(take(input, length, "long string")?, "long string")
    })
}

/// \[bytes\]: an \[int\] length and bytes; null where the length is negative.
pub fn read_bytes<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    whole(input, |input| match usize::try_from(read_int(input)?) {
        Ok(length) => take(input, length, "bytes").map(Some),
        Err(_) => Ok(None),
    })
}

/// \[short bytes\]: a \[short\] length and bytes.
pub fn read_short_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    whole(input, |input| {
        let length = usize::from(read_short(input)?);
        take(input, length, "short bytes")
    })
}

/// What a request binds to a marker: \[value\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RawValue<'a> {
    /// The value's bytes, possibly none.
    Bytes(&'a [u8]),
    /// Null: length -1.
    Null,
    /// "Not set": length -2. The column keeps what it has.
    NotSet,
}

impl<'a> RawValue<'a> {
    /// The bytes, where there are some.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            RawValue::Bytes(bytes) => Some(bytes),
            RawValue::Null | RawValue::NotSet => None,
        }
    }
}

/// \[value\]: an \[int\] length and bytes; -1 is null, -2 is "not set", below is an error.
pub fn read_value<'a>(input: &mut &'a [u8]) -> Result<RawValue<'a>> {
    whole(input, |input| match read_int(input)? {
        -1 => Ok(RawValue::Null),
        -2 => Ok(RawValue::NotSet),
        length => {
            let length = usize::try_from(length)
                .map_err(|_| NotationError::NegativeLength { notation: "value", length })?;
            take(input, length, "value").map(RawValue::Bytes)
        }
    })
}

/// \[inetaddr\]: an address without a port.
pub fn read_inetaddr(input: &mut &[u8]) -> Result<IpAddr> {
    whole(input, |input| match read_byte(input)? {
        4 => take_chunk::<4>(input, "inetaddr").map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        16 => take_chunk::<16>(input, "inetaddr").map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
        length => Err(NotationError::InetLength { length }),
    })
}

/// \[inet\]: an address and an \[int\] port.
pub fn read_inet(input: &mut &[u8]) -> Result<SocketAddr> {
    whole(input, |input| {
        let address = read_inetaddr(input)?;
        let port = read_int(input)?;
        let port = u16::try_from(port)
            .map_err(|_| NotationError::Forbidden("a port outside 0 to 65,535"))?;
        Ok(SocketAddr::new(address, port))
    })
}

/// \[consistency\]
pub fn read_consistency(input: &mut &[u8]) -> Result<Consistency> {
    whole(input, |input| {
        let code = read_short(input)?;
        Consistency::from_code(code)
            .ok_or(NotationError::UnknownCode { what: "consistency level", code: u32::from(code) })
    })
}

/// \[string list\]
pub fn read_string_list<'a>(input: &mut &'a [u8]) -> Result<Vec<&'a str>> {
    whole(input, |input| {
        let count = read_short(input)?;
        (0..count).map(|_| read_string(input)).collect()
    })
}

/// \[string map\], in the order it came.
pub fn read_string_map<'a>(input: &mut &'a [u8]) -> Result<Vec<(&'a str, &'a str)>> {
    whole(input, |input| {
        let count = read_short(input)?;
        (0..count).map(|_| Ok((read_string(input)?, read_string(input)?))).collect()
    })
}

/// \[string multimap\], in the order it came.
pub fn read_string_multimap<'a>(input: &mut &'a [u8]) -> Result<Vec<(&'a str, Vec<&'a str>)>> {
    whole(input, |input| {
        let count = read_short(input)?;
        (0..count).map(|_| Ok((read_string(input)?, read_string_list(input)?))).collect()
    })
}

/// A \[bytes map\]'s entries, in the order they came.
pub type BytesMap<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

/// \[bytes map\]
pub fn read_bytes_map<'a>(input: &mut &'a [u8]) -> Result<BytesMap<'a>> {
    whole(input, |input| {
        let count = read_short(input)?;
        (0..count).map(|_| Ok((read_string(input)?, read_bytes(input)?))).collect()
    })
}

/// \[byte\]
pub fn write_byte(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// \[short\]
pub fn write_short(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// \[int\]
pub fn write_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// \[long\]
pub fn write_long(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// \[uuid\]
pub fn write_uuid(out: &mut Vec<u8>, value: Uuid) {
    out.extend_from_slice(value.as_bytes());
}

/// Overwrites bytes that were reserved.
pub(super) fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    let reserved = out.get_mut(at..at + bytes.len()).expect("the bytes were reserved before");
    reserved.copy_from_slice(bytes);
}

/// A \[short\] that counts or measures.
///
/// # Panics
/// Above 65,535: the callers bound what they count, or cut it.
pub(super) fn write_count(out: &mut Vec<u8>, count: usize) {
    write_short(out, u16::try_from(count).expect("the caller keeps counts within [short]"));
}

/// An \[int\] that counts or measures.
///
/// # Panics
/// Above 2^31 - 1: the encoder refuses bodies of a tenth of that.
pub(super) fn write_length(out: &mut Vec<u8>, length: usize) {
    write_int(out, i32::try_from(length).expect("nothing of 2 GiB fits in an envelope"));
}

/// \[string\]. Text beyond 65,535 bytes (only the message of an error can be so long) is cut at a character.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX))).unwrap_or(text);
    write_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// \[long string\]
pub fn write_long_string(out: &mut Vec<u8>, text: &str) {
    write_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// \[bytes\]; `None` is null.
pub fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        None => write_int(out, -1),
    }
}

/// \[short bytes\]
///
/// # Panics
/// Above 65,535 bytes: ids and their like are a few dozen.
pub fn write_short_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// \[value\]
pub fn write_value(out: &mut Vec<u8>, value: RawValue<'_>) {
    match value {
        RawValue::Bytes(bytes) => write_bytes(out, Some(bytes)),
        RawValue::Null => write_int(out, -1),
        RawValue::NotSet => write_int(out, -2),
    }
}

/// \[inetaddr\]
pub fn write_inetaddr(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.push(16);
            out.extend_from_slice(&address.octets());
        }
    }
}

/// \[inet\]
pub fn write_inet(out: &mut Vec<u8>, address: SocketAddr) {
    write_inetaddr(out, address.ip());
    write_int(out, i32::from(address.port()));
}

/// \[consistency\]
pub fn write_consistency(out: &mut Vec<u8>, level: Consistency) {
    write_short(out, level.code());
}

/// \[string list\]
pub fn write_string_list<S: AsRef<str>>(out: &mut Vec<u8>, list: &[S]) {
    write_count(out, list.len());
    for text in list {
        write_string(out, text.as_ref());
    }
}

/// \[string map\]
pub fn write_string_map<K: AsRef<str>, V: AsRef<str>>(out: &mut Vec<u8>, map: &[(K, V)]) {
    write_count(out, map.len());
    for (key, value) in map {
        write_string(out, key.as_ref());
        write_string(out, value.as_ref());
    }
}

/// \[string multimap\]
pub fn write_string_multimap<K: AsRef<str>, V: AsRef<str>>(out: &mut Vec<u8>, map: &[(K, Vec<V>)]) {
    write_count(out, map.len());
    for (key, values) in map {
        write_string(out, key.as_ref());
        write_string_list(out, values);
    }
}

/// \[bytes map\]
pub fn write_bytes_map<K: AsRef<str>, V: AsRef<[u8]>>(out: &mut Vec<u8>, map: &[(K, Option<V>)]) {
    write_count(out, map.len());
    for (key, value) in map {
        write_string(out, key.as_ref());
        write_bytes(out, value.as_ref().map(AsRef::as_ref));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a writer writes its reader reads, and no beginning of it.
    fn round_trip<T: PartialEq + std::fmt::Debug>(
        value: T,
        write: impl Fn(&mut Vec<u8>, &T),
        read: impl for<'a> Fn(&mut &'a [u8]) -> Result<T>,
    ) {
        let mut bytes = Vec::new();
        write(&mut bytes, &value);
        let mut input = bytes.as_slice();
        assert_eq!(read(&mut input), Ok(value));
        assert!(input.is_empty());
        for length in 0..bytes.len() {
            let mut input = &bytes[..length];
            assert!(matches!(read(&mut input), Err(NotationError::Truncated { .. })));
        }
    }

    #[test]
    fn notations_come_back() {
        round_trip(0xAB, |out, value| write_byte(out, *value), read_byte);
        round_trip(0xABCD, |out, value| write_short(out, *value), read_short);
        round_trip(-2, |out, value| write_int(out, *value), read_int);
        round_trip(i64::MIN, |out, value| write_long(out, *value), read_long);
        round_trip(Uuid::from_u128(7), |out, value| write_uuid(out, *value), read_uuid);
        round_trip(([1, 2, 3, 4], 65_535).into(), |out, value| write_inet(out, *value), read_inet);
        round_trip(
            (Ipv6Addr::LOCALHOST, 1).into(),
            |out, value| write_inet(out, *value),
            read_inet,
        );
        round_trip(
            Ipv4Addr::LOCALHOST.into(),
            |out, value| write_inetaddr(out, *value),
            read_inetaddr,
        );
        for level in Consistency::ALL {
            round_trip(level, |out, value| write_consistency(out, *value), read_consistency);
        }
        round_trip(
            "é".to_string(),
            |out, text| write_long_string(out, text),
            |input| read_long_string(input).map(str::to_string),
        );
        round_trip(
            vec![1, 2],
            |out, bytes| write_short_bytes(out, bytes),
            |input| read_short_bytes(input).map(<[u8]>::to_vec),
        );
    }

    #[test]
    fn a_failed_reader_takes_nothing() {
        let mut input: &[u8] = &[0, 5, b'a'];
        let truncated = NotationError::Truncated { notation: "string", needed: 5, left: 1 };
        assert_eq!(read_string(&mut input), Err(truncated));
        assert_eq!(input.len(), 3);
    }

    #[test]
    fn lengths_without_a_meaning_are_refused() {
        let negative = |notation, length| NotationError::NegativeLength { notation, length };
        assert_eq!(read_value(&mut (-3_i32).to_be_bytes().as_slice()), Err(negative("value", -3)));
        assert_eq!(read_bytes(&mut (-3_i32).to_be_bytes().as_slice()), Ok(None));
        assert_eq!(
            read_long_string(&mut (-1_i32).to_be_bytes().as_slice()),
            Err(negative("long string", -1))
        );
        assert_eq!(
            read_inetaddr(&mut [5, 0, 0, 0, 0, 0].as_slice()),
            Err(NotationError::InetLength { length: 5 })
        );
        assert!(read_inet(&mut [4, 0, 0, 0, 0, 0, 1, 0, 0].as_slice()).is_err(), "port 65,536");
        assert!(read_consistency(&mut [0, 11].as_slice()).is_err());
    }
}
