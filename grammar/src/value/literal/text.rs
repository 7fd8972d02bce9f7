//! Scalars from text.

use std::net::IpAddr;
use std::str::FromStr;

use num_bigint::BigInt;
use uuid::Uuid;

use super::{LiteralError, shortened, time};
use crate::types::{CqlType, Native};
use crate::value::codec::TIME_LIMIT_NS;
use crate::value::decimal::{Decimal, MAX_NUMBER_DIGITS};
use crate::value::{Duration, Value};

/// The value of scalar type `ty` that `text` is, in the form that [`Value::text`] prints. Booleans in any case,
/// `NaN` and `Infinity` too; no blanks around it.
pub fn parse_text(ty: &CqlType, text: &str) -> Result<Value, LiteralError> {
    match ty {
        CqlType::Native(native) => parse_native(*native, text),
        _ => Err(LiteralError::Composite { ty: ty.to_string() }),
    }
}

pub(super) fn parse_native(native: Native, text: &str) -> Result<Value, LiteralError> {
    Ok(match native {
        Native::Text => Value::Text(text.to_owned()),
        Native::Ascii if text.is_ascii() => Value::Text(text.to_owned()),
        Native::Ascii => {
            return Err(form(native, text, "only ASCII is allowed; use text for other characters"));
        }
        Native::Blob => Value::Blob(parse_hex(text).ok_or_else(|| {
            form(
                native,
                text,
                "expected 0x and an even number of hexadecimal digits, such as 0xcafe",
            )
        })?),
        Native::Boolean => Value::Boolean(parse_boolean(text)?),
        Native::Tinyint => Value::Tinyint(parse_integer(native, text)?),
        Native::Smallint => Value::Smallint(parse_integer(native, text)?),
        Native::Int => Value::Int(parse_integer(native, text)?),
        Native::Bigint | Native::Counter => Value::Bigint(parse_integer(native, text)?),
        Native::Varint => Value::Varint(parse_varint(text)?),
        Native::Decimal => {
            let Decimal { unscaled, scale } =
                text.parse().map_err(|error| form(native, text, error))?;
            Value::Decimal { unscaled, scale }
        }
        Native::Float => Value::Float(parse_float(native, text, f32::is_infinite)?),
        Native::Double => Value::Double(parse_float(native, text, f64::is_infinite)?),
        Native::Date => Value::Date(parse_date(text)?),
        Native::Time => Value::Time(parse_time(text)?),
        Native::Timestamp => Value::Timestamp(parse_timestamp(text)?),
        Native::Duration => {
            Value::Duration(Duration::from_str(text).map_err(|error| form(native, text, error))?)
        }
        Native::Uuid | Native::Timeuuid => {
            Value::Uuid(checked_uuid(native, parse_uuid(native, text)?)?)
        }
        Native::Inet => {
            let what = "expected an IPv4 or IPv6 address, such as 127.0.0.1 or ::1";
            Value::Inet(IpAddr::from_str(text).map_err(|_| form(native, text, what))?)
        }
    })
}

pub(super) fn form(native: Native, text: &str, reason: impl ToString) -> LiteralError {
    let text = if text.is_empty() { "the empty text".to_owned() } else { shortened(text) };
    LiteralError::Form { text, ty: native.to_string(), reason: reason.to_string() }
}

pub(super) fn out_of_range(native: Native, text: &str) -> LiteralError {
    let range = match native {
        Native::Tinyint => "-128 to 127; use smallint for more",
        Native::Smallint => "-32768 to 32767; use int for more",
        Native::Int => "-2147483648 to 2147483647; use bigint for more",
        Native::Bigint => "-9223372036854775808 to 9223372036854775807; use varint for more",
        Native::Counter => "-9223372036854775808 to 9223372036854775807",
        Native::Float => "magnitudes up to 3.4028235e38, or Infinity; use double for more",
        Native::Double => {
            "magnitudes up to 1.7976931348623157e308, or Infinity; use decimal for more"
        }
        Native::Date => "0 to 4294967295 days, with 2147483648 for 1970-01-01",
        Native::Time => "0 to 86399999999999 nanoseconds",
        Native::Timestamp => "-9223372036854775808 to 9223372036854775807 milliseconds since 1970",
        _ => "fewer digits",
    };
    LiteralError::Range { text: shortened(text), ty: native.to_string(), range }
}

pub(super) fn checked_uuid(native: Native, uuid: Uuid) -> Result<Uuid, LiteralError> {
    if native == Native::Timeuuid && uuid.as_bytes()[6] >> 4 != 1 {
        let what = "a timeuuid is a UUID of version 1, as now() makes; use uuid for the others";
        return Err(form(native, &uuid.to_string(), what));
    }
    Ok(uuid)
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_integer<T: FromStr>(native: Native, text: &str) -> Result<T, LiteralError> {
    text.parse().map_err(|_| {
        if is_integer(text) {
            out_of_range(native, text)
        } else {
            form(native, text, "expected an integer such as 42")
        }
    })
}

fn parse_varint(text: &str) -> Result<BigInt, LiteralError> {
    if !is_integer(text) {
        return Err(form(Native::Varint, text, "expected an integer such as 42"));
    }
    if text.len() > MAX_NUMBER_DIGITS {
        return Err(out_of_range(Native::Varint, text));
    }
    text.parse().map_err(|_| form(Native::Varint, text, "expected an integer such as 42"))
}

/// Numbers too large for the type are refused rather than turned into Infinity unasked.
fn parse_float<T: FromStr + Copy>(
    native: Native,
    text: &str,
    is_infinite: impl Fn(T) -> bool,
) -> Result<T, LiteralError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let nan = unsigned.eq_ignore_ascii_case("nan");
    // There is one NaN, whatever its sign.
    let text = if nan { unsigned } else { text };
    let named = nan || unsigned.eq_ignore_ascii_case("infinity");
    let number = Some(text)
        .filter(|_| named || unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
    let what = "expected a number such as 1.5 or 2e10, NaN, Infinity or -Infinity";
    let parsed =
        number.and_then(|text| text.parse().ok()).ok_or_else(|| form(native, text, what))?;
    if is_infinite(parsed) && !named { Err(out_of_range(native, text)) } else { Ok(parsed) }
}

fn parse_boolean(text: &str) -> Result<bool, LiteralError> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(form(Native::Boolean, text, "expected true or false"))
    }
}

fn parse_date(text: &str) -> Result<u32, LiteralError> {
    if is_integer(text) {
        return parse_integer(Native::Date, text);
    }
    time::parse_date(text).ok_or_else(|| form(Native::Date, text, time::DATE_FORM))
}

fn parse_time(text: &str) -> Result<i64, LiteralError> {
    if !is_integer(text) {
        return time::parse_time(text).ok_or_else(|| form(Native::Time, text, time::TIME_FORM));
    }
    let nanoseconds = parse_integer(Native::Time, text)?;
    if (0..TIME_LIMIT_NS).contains(&nanoseconds) {
        Ok(nanoseconds)
    } else {
        Err(out_of_range(Native::Time, text))
    }
}

fn parse_timestamp(text: &str) -> Result<i64, LiteralError> {
    if is_integer(text) {
        return parse_integer(Native::Timestamp, text);
    }
    time::parse_timestamp(text).ok_or_else(|| form(Native::Timestamp, text, time::TIMESTAMP_FORM))
}

fn parse_uuid(native: Native, text: &str) -> Result<Uuid, LiteralError> {
    // The uuid crate reads braces, URNs and bare digits too; CQL does not.
    let hyphenated = Some(text).filter(|text| text.len() == uuid::fmt::Hyphenated::LENGTH);
    let what = "expected a UUID such as 123e4567-e89b-12d3-a456-426655440000";
    hyphenated.and_then(|text| Uuid::parse_str(text).ok()).ok_or_else(|| form(native, text, what))
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    if odd.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
