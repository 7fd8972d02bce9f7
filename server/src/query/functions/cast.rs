//! CAST: the conversions that Cassandra has. Numbers become each other as in Java: floats are cut towards zero and stop
//! at the target's ends, integers keep their low bits.

use num_bigint::BigInt;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;

use super::arguments::is_number;
use super::decimal::power_of_ten;
use super::{ArgumentType, Code, Function, LiteralKind, clock};
use crate::error::QueryError;

pub(super) fn resolve(target: &str, arguments: &[ArgumentType]) -> Result<Function, QueryError> {
    let from = match arguments {
        [ArgumentType::Known(CqlType::Native(native))] => *native,
        [ArgumentType::Literal(LiteralKind::Integer(_))] => Native::Varint,
        [ArgumentType::Literal(LiteralKind::Float)] => Native::Decimal,
        [ArgumentType::Literal(LiteralKind::Text)] => Native::Text,
        [ArgumentType::Literal(LiteralKind::Boolean)] => Native::Boolean,
        [ArgumentType::Literal(LiteralKind::Uuid)] => Native::Timeuuid,
        [ArgumentType::Known(other)] => {
            return Err(QueryError::invalid(format!(
                "CAST can't turn {other} into {target}: it takes native types only"
            )));
        }
        _ => {
            return Err(QueryError::invalid(
                "CAST takes one value of a known type: say it by a type hint, such as CAST((int) ? AS text)",
            ));
        }
    };
    let to = Native::from_name(target)
        .filter(|to| can_cast(from, *to))
        .ok_or_else(|| QueryError::invalid(format!("{from} cannot be cast to {target}")))?;
    Ok(Function {
        name: name(to),
        arguments: vec![from.into()],
        returns: to.into(),
        pure: true,
        code: Code::Cast,
    })
}

fn can_cast(from: Native, to: Native) -> bool {
    use Native as N;
    from == to
        || match to {
            N::Text | N::Ascii => {
                !matches!(from, N::Blob | N::Duration) && (to == N::Text || from != N::Text)
            }
            N::Timestamp => matches!(from, N::Date | N::Timeuuid),
            N::Date => matches!(from, N::Timestamp | N::Timeuuid),
            to => is_number(from) && is_number(to) && to != N::Counter,
        }
}

/// The name to show: as Cassandra names its casts.
fn name(to: Native) -> &'static str {
    match to {
        Native::Ascii => "cast_as_ascii",
        Native::Bigint => "cast_as_bigint",
        Native::Date => "cast_as_date",
        Native::Decimal => "cast_as_decimal",
        Native::Double => "cast_as_double",
        Native::Float => "cast_as_float",
        Native::Int => "cast_as_int",
        Native::Smallint => "cast_as_smallint",
        Native::Text => "cast_as_text",
        Native::Timestamp => "cast_as_timestamp",
        Native::Tinyint => "cast_as_tinyint",
        Native::Varint => "cast_as_varint",
        _ => "cast",
    }
}

pub(super) fn cast(function: &Function, bytes: &[u8]) -> Result<Option<Vec<u8>>, QueryError> {
    let (CqlType::Native(to), from) = (&function.returns, function.argument(0)?) else {
        return Err(function.defect("it returns no native type"));
    };
    if function.returns == *from {
        return Ok(Some(bytes.to_vec()));
    }
    let value = function.decode(0, bytes)?;
    if value == Value::Empty {
        return Ok(None);
    }
    let cast = match to {
        Native::Text | Native::Ascii => Value::Text(value.cast_text(from)),
        Native::Timestamp | Native::Date => {
            let Some(ms) = clock::unix_ms(function, bytes)? else { return Ok(None) };
            match to {
                Native::Date => Value::Date(clock::days(function, ms)?),
                _ => Value::Timestamp(ms),
            }
        }
        to => convert(&value, *to).ok_or_else(|| {
            function.refuse(&format!("{} has no value of type {to}", value.text(from)))
        })?,
    };
    function.encode(&cast)
}

/// A number as one of another type.
pub(super) fn convert(value: &Value, to: Native) -> Option<Value> {
    Some(match to {
        Native::Float => Value::Float(match value {
            Value::Float(number) => *number,
            other => float(other)? as f32,
        }),
        Native::Double => Value::Double(float(value)?),
        Native::Decimal => decimal(value)?,
        Native::Varint => Value::Varint(integer(value)?),
        Native::Tinyint => Value::Tinyint(low_bits(value)? as i8),
        Native::Smallint => Value::Smallint(low_bits(value)? as i16),
        Native::Int => match value {
            Value::Float(number) => Value::Int(*number as i32),
            Value::Double(number) => Value::Int(*number as i32),
            other => Value::Int(low_bits(other)? as i32),
        },
        Native::Bigint | Native::Counter => Value::Bigint(low_bits(value)?),
        _ => return None,
    })
}

/// Java's `longValue`.
fn low_bits(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Float(number) => *number as i64,
        Value::Double(number) => *number as i64,
        other => {
            let bytes = integer(other)?.to_signed_bytes_le();
            let fill = bytes.last().is_some_and(|last| last >> 7 == 1);
            let mut low = [if fill { 0xff } else { 0 }; 8];
            for (to, from) in low.iter_mut().zip(&bytes) {
                *to = *from;
            }
            i64::from_le_bytes(low)
        }
    })
}

fn integer(value: &Value) -> Option<BigInt> {
    Some(match value {
        Value::Tinyint(number) => BigInt::from(*number),
        Value::Smallint(number) => BigInt::from(*number),
        Value::Int(number) => BigInt::from(*number),
        Value::Bigint(number) => BigInt::from(*number),
        Value::Varint(number) => number.clone(),
        Value::Decimal { unscaled, scale } => match u32::try_from(*scale) {
            Ok(scale) => unscaled / power_of_ten(scale)?,
            Err(_) => unscaled * power_of_ten(scale.unsigned_abs())?,
        },
        Value::Float(_) | Value::Double(_) => {
            let Value::Decimal { unscaled, scale } = decimal(value)? else { return None };
            integer(&Value::Decimal { unscaled, scale })?
        }
        _ => return None,
    })
}

fn float(value: &Value) -> Option<f64> {
    Some(match value {
        Value::Float(number) => f64::from(*number),
        Value::Double(number) => *number,
        Value::Decimal { unscaled, scale } => {
            format!("{unscaled}e{}", -i64::from(*scale)).parse().ok()?
        }
        other => integer(other)?.to_string().parse().ok()?,
    })
}

/// The decimal of a number, with the digits that it prints with; none for NaN and infinities.
fn decimal(value: &Value) -> Option<Value> {
    let text = match value {
        Value::Decimal { .. } => return Some(value.clone()),
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        Value::Double(number) if number.is_finite() => format!("{number:?}"),
        Value::Float(_) | Value::Double(_) => return None,
        other => return Some(Value::Decimal { unscaled: integer(other)?, scale: 0 }),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let unscaled = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    Some(Value::Decimal { unscaled, scale: fraction.len() as i32 - exponent })
}
