//! Native types' bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use num_bigint::BigInt;
use uuid::Uuid;

use super::{DecodeError, EncodeError, MAX_NUMBER_BYTES, TIME_LIMIT_NS};
use crate::types::Native;
use crate::value::{Duration, Value, vint};

/// Whether zero bytes are a value of this type. For text and blobs they are the empty text; elsewhere a value apart,
/// which sorts before all others. `tinyint`, `smallint`, `date`, `time` and `duration` have none, as in Cassandra.
pub fn allows_empty(native: Native) -> bool {
    !matches!(
        native,
        Native::Tinyint | Native::Smallint | Native::Date | Native::Time | Native::Duration
    )
}

pub(super) fn validate(native: Native, bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.is_empty() && allows_empty(native) {
        return Ok(());
    }
    match native {
        Native::Blob => Ok(()),
        Native::Varint => number(native, bytes).map(drop),
        Native::Text => text(bytes).map(drop),
        Native::Ascii => ascii(bytes).map(drop),
        Native::Boolean | Native::Tinyint => fixed::<1>(native, bytes).map(drop),
        Native::Smallint => fixed::<2>(native, bytes).map(drop),
        Native::Int | Native::Float | Native::Date => fixed::<4>(native, bytes).map(drop),
        Native::Bigint | Native::Counter | Native::Double | Native::Timestamp => {
            fixed::<8>(native, bytes).map(drop)
        }
        Native::Time => time(bytes).map(drop),
        Native::Uuid => fixed::<16>(native, bytes).map(drop),
        Native::Timeuuid => timeuuid(bytes).map(drop),
        Native::Inet => inet(bytes).map(drop),
        Native::Decimal => decimal(bytes).map(drop),
        Native::Duration => duration(bytes).map(drop),
    }
}

pub(super) fn decode(native: Native, bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.is_empty() && allows_empty(native) {
        return Ok(match native {
            Native::Blob => Value::Blob(Vec::new()),
            Native::Text | Native::Ascii => Value::Text(String::new()),
            _ => Value::Empty,
        });
    }
    Ok(match native {
        Native::Blob => Value::Blob(bytes.to_vec()),
        Native::Text => Value::Text(text(bytes)?.to_owned()),
        Native::Ascii => Value::Text(ascii(bytes)?.to_owned()),
        Native::Boolean => Value::Boolean(fixed(native, bytes)? != [0]),
        Native::Tinyint => Value::Tinyint(i8::from_be_bytes(fixed(native, bytes)?)),
        Native::Smallint => Value::Smallint(i16::from_be_bytes(fixed(native, bytes)?)),
        Native::Int => Value::Int(i32::from_be_bytes(fixed(native, bytes)?)),
        Native::Bigint | Native::Counter => {
            Value::Bigint(i64::from_be_bytes(fixed(native, bytes)?))
        }
        Native::Varint => Value::Varint(BigInt::from_signed_bytes_be(number(native, bytes)?)),
        Native::Decimal => {
            let (scale, unscaled) = decimal(bytes)?;
            Value::Decimal { unscaled: BigInt::from_signed_bytes_be(unscaled), scale }
        }
        Native::Float => Value::Float(f32::from_be_bytes(fixed(native, bytes)?)),
        Native::Double => Value::Double(f64::from_be_bytes(fixed(native, bytes)?)),
        Native::Date => Value::Date(u32::from_be_bytes(fixed(native, bytes)?)),
        Native::Time => Value::Time(time(bytes)?),
        Native::Timestamp => Value::Timestamp(i64::from_be_bytes(fixed(native, bytes)?)),
        Native::Duration => Value::Duration(duration(bytes)?),
        Native::Uuid => Value::Uuid(Uuid::from_bytes(fixed(native, bytes)?)),
        Native::Timeuuid => Value::Uuid(Uuid::from_bytes(timeuuid(bytes)?)),
        Native::Inet => Value::Inet(inet(bytes)?),
    })
}

pub(super) fn encode(value: &Value, native: Native, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match (native, value) {
        (_, Value::Empty) if allows_empty(native) => {}
        (Native::Text, Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
        (Native::Ascii, Value::Text(text)) => {
            out.extend_from_slice(ascii(text.as_bytes())?.as_bytes())
        }
        (Native::Blob, Value::Blob(bytes)) => out.extend_from_slice(bytes),
        (Native::Boolean, Value::Boolean(bit)) => out.push(u8::from(*bit)),
        (Native::Tinyint, Value::Tinyint(n)) => out.extend_from_slice(&n.to_be_bytes()),
        (Native::Smallint, Value::Smallint(n)) => out.extend_from_slice(&n.to_be_bytes()),
        (Native::Int, Value::Int(n)) => out.extend_from_slice(&n.to_be_bytes()),
        (Native::Bigint | Native::Counter, Value::Bigint(n)) => {
            out.extend_from_slice(&n.to_be_bytes())
        }
        (Native::Varint, Value::Varint(n)) => {
            out.extend_from_slice(number(native, &n.to_signed_bytes_be())?)
        }
        (Native::Decimal, Value::Decimal { unscaled, scale }) => {
            out.extend_from_slice(&scale.to_be_bytes());
            out.extend_from_slice(number(native, &unscaled.to_signed_bytes_be())?);
        }
        (Native::Float, Value::Float(n)) => out.extend_from_slice(&n.to_be_bytes()),
        (Native::Double, Value::Double(n)) => out.extend_from_slice(&n.to_be_bytes()),
        (Native::Date, Value::Date(days)) => out.extend_from_slice(&days.to_be_bytes()),
        (Native::Time, Value::Time(ns)) => out.extend_from_slice(&in_a_day(*ns)?.to_be_bytes()),
        (Native::Timestamp, Value::Timestamp(ms)) => out.extend_from_slice(&ms.to_be_bytes()),
        (Native::Duration, Value::Duration(duration)) => encode_duration(duration, out)?,
        (Native::Uuid, Value::Uuid(uuid)) => out.extend_from_slice(uuid.as_bytes()),
        (Native::Timeuuid, Value::Uuid(uuid)) => out.extend_from_slice(&timeuuid(uuid.as_bytes())?),
        (Native::Inet, Value::Inet(IpAddr::V4(address))) => {
            out.extend_from_slice(&address.octets())
        }
        (Native::Inet, Value::Inet(IpAddr::V6(address))) => {
            out.extend_from_slice(&address.octets())
        }
        _ => return Err(EncodeError::Mismatch { ty: native.to_string(), value: value.kind() }),
    }
    Ok(())
}

fn fixed<const N: usize>(native: Native, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| length(native, bytes))
}

fn length(native: Native, bytes: &[u8]) -> DecodeError {
    let expected = match native {
        Native::Tinyint => "1 byte",
        Native::Boolean => "1 byte (or none)",
        Native::Smallint => "2 bytes",
        Native::Date => "4 bytes",
        Native::Int | Native::Float => "4 bytes (or none)",
        Native::Time => "8 bytes",
        Native::Bigint | Native::Counter | Native::Double | Native::Timestamp => {
            "8 bytes (or none)"
        }
        Native::Uuid | Native::Timeuuid => "16 bytes (or none)",
        Native::Inet => "4 or 16 bytes (or none)",
        Native::Decimal => "5 bytes or more (or none)",
        Native::Duration => "3 to 27 bytes",
        Native::Ascii | Native::Text | Native::Blob | Native::Varint => "any number of bytes",
    };
    DecodeError::Length { ty: native.name(), expected, got: bytes.len() }
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::Utf8 { offset: error.valid_up_to() })
}

fn ascii(bytes: &[u8]) -> Result<&str, DecodeError> {
    // The whole is tested first since that is vectorised; looking for the culprit is not.
    if bytes.is_ascii() {
        return text(bytes);
    }
    let bad = bytes.iter().copied().enumerate().find(|(_, byte)| !byte.is_ascii());
    let (offset, byte) = bad.unwrap_or_default();
    Err(DecodeError::Ascii { offset, byte })
}

fn time(bytes: &[u8]) -> Result<i64, DecodeError> {
    in_a_day(i64::from_be_bytes(fixed(Native::Time, bytes)?))
}

fn in_a_day(nanoseconds: i64) -> Result<i64, DecodeError> {
    if (0..TIME_LIMIT_NS).contains(&nanoseconds) {
        return Ok(nanoseconds);
    }
    Err(DecodeError::Range {
        ty: "time",
        what: "nanoseconds since midnight are from 0 to 86399999999999",
    })
}

fn timeuuid(bytes: &[u8]) -> Result<[u8; 16], DecodeError> {
    let bytes: [u8; 16] = fixed(Native::Timeuuid, bytes)?;
    if bytes[6] >> 4 == 1 {
        return Ok(bytes);
    }
    Err(DecodeError::Range {
        ty: "timeuuid",
        what: "a timeuuid is a UUID of version 1; use uuid for the others",
    })
}

fn inet(bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    Ok(IpAddr::V6(Ipv6Addr::from(fixed::<16>(Native::Inet, bytes)?)))
}

fn number(native: Native, digits: &[u8]) -> Result<&[u8], DecodeError> {
    if digits.len() <= MAX_NUMBER_BYTES {
        return Ok(digits);
    }
    Err(DecodeError::Range { ty: native.name(), what: "at most 65535 bytes of digits are allowed" })
}

/// Scale, and the bytes of the unscaled number.
fn decimal(bytes: &[u8]) -> Result<(i32, &[u8]), DecodeError> {
    match bytes.split_first_chunk::<4>() {
        Some((scale, unscaled)) if !unscaled.is_empty() => {
            Ok((i32::from_be_bytes(*scale), number(Native::Decimal, unscaled)?))
        }
        _ => Err(length(Native::Decimal, bytes)),
    }
}

fn duration(bytes: &[u8]) -> Result<Duration, DecodeError> {
    let mut input = bytes;
    let mut part =
        || vint::decode_signed(&mut input).ok_or_else(|| length(Native::Duration, bytes));
    let (months, days, nanoseconds) = (part()?, part()?, part()?);
    if !input.is_empty() {
        return Err(DecodeError::TrailingBytes { ty: "duration", count: input.len() });
    }
    let small = |n: i64| {
        let what = "months and days are 32-bit integers";
        i32::try_from(n).map_err(|_| DecodeError::Range { ty: "duration", what })
    };
    one_sign(Duration { months: small(months)?, days: small(days)?, nanoseconds })
}

fn one_sign(duration: Duration) -> Result<Duration, DecodeError> {
    if duration.has_one_sign() {
        return Ok(duration);
    }
    Err(DecodeError::Range {
        ty: "duration",
        what: "months, days and nanoseconds must have one sign",
    })
}

fn encode_duration(duration: &Duration, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let duration = one_sign(*duration)?;
    vint::encode_signed(duration.months.into(), out);
    vint::encode_signed(duration.days.into(), out);
    vint::encode_signed(duration.nanoseconds, out);
    Ok(())
}
