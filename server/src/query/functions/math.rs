//! Mathematics of one number: `abs`, `exp`, `log`, `log10`, `round`, and the minus sign.
//!
//! The result has the argument's type, as in Cassandra: integers are computed as doubles and cut (Java's conversion, so
//! `exp` of a large `int` is the largest one), `varint` and `decimal` to 32 digits ([`decimal`]). Halves are rounded up
//! for floats, away from zero for decimals; unlike in Cassandra, floats beyond 64 bits stay what they are when rounded.

use num_bigint::BigInt;
use tholos_grammar::types::Native;
use tholos_grammar::value::Value;

use super::arguments::{function, is_number, operand, wrong_arguments};
use super::decimal::{divide_half_up, power_of_ten};
use super::{ArgumentType, Code, Function, cast, decimal};
use crate::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Math {
    Abs,
    Exp,
    Log,
    Log10,
    Round,
    Negate,
}

impl Math {
    pub(super) fn parse(plain: &str) -> Option<(&'static str, Self)> {
        Some(match plain {
            "abs" => ("abs", Math::Abs),
            "exp" => ("exp", Math::Exp),
            "log" => ("log", Math::Log),
            "log10" => ("log10", Math::Log10),
            "round" => ("round", Math::Round),
            _ => return None,
        })
    }
}

pub(super) fn resolve(
    name: &'static str,
    math: Math,
    arguments: &[ArgumentType],
) -> Result<Function, QueryError> {
    let of = match arguments {
        [of] => operand(of, None, None).filter(|native| is_number(*native)),
        _ => None,
    };
    let of = of.ok_or_else(|| wrong_arguments(name, "one number", arguments))?;
    let returns = if of == Native::Counter { Native::Bigint } else { of };
    Ok(function(name, vec![of], returns, Code::Math(math)))
}

pub(super) fn call(
    math: Math,
    function: &Function,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, QueryError> {
    let result = match function.decode(0, bytes)? {
        Value::Empty => return Ok(None),
        Value::Float(number) => Value::Float(float(math, f64::from(number)) as f32),
        Value::Double(number) => Value::Double(float(math, number)),
        Value::Decimal { unscaled, scale } => {
            let (unscaled, scale) =
                exact(math, unscaled, scale).map_err(|what| function.refuse(what))?;
            Value::Decimal { unscaled, scale }
        }
        number @ Value::Varint(_) => big(math, number).map_err(|what| function.refuse(what))?,
        Value::Tinyint(number) => Value::Tinyint(integer(math, i64::from(number), small) as i8),
        Value::Smallint(number) => Value::Smallint(integer(math, i64::from(number), small) as i16),
        Value::Int(number) => Value::Int(integer(math, i64::from(number), small) as i32),
        Value::Bigint(number) => Value::Bigint(integer(math, number, |number| number as i64)),
        _ => return Err(function.refuse("the argument is no number")),
    };
    function.encode(&result)
}

fn float(math: Math, number: f64) -> f64 {
    // The sign of a NaN that a processor makes says nothing.
    let one_nan = |number: f64| if number.is_nan() { f64::NAN } else { number };
    match math {
        Math::Abs => number.abs(),
        Math::Exp => one_nan(number.exp()),
        Math::Log => one_nan(number.ln()),
        Math::Log10 => one_nan(number.log10()),
        Math::Round => {
            let below = number.floor();
            if number - below >= 0.5 { below + 1.0 } else { below }
        }
        Math::Negate => -number,
    }
}

/// Java's conversion to `int`, which the smaller types take the low bits of.
fn small(number: f64) -> i64 {
    i64::from(number as i32)
}

fn integer(math: Math, number: i64, cut: impl Fn(f64) -> i64) -> i64 {
    match math {
        Math::Abs => number.wrapping_abs(),
        Math::Negate => number.wrapping_neg(),
        Math::Round => number,
        Math::Exp | Math::Log | Math::Log10 => cut(float(math, number as f64)),
    }
}

fn big(math: Math, number: Value) -> Result<Value, &'static str> {
    let Value::Varint(number) = number else { return Ok(number) };
    let (unscaled, scale) = match math {
        Math::Round => (number, 0),
        _ => exact(math, number, 0)?,
    };
    cast::convert(&Value::Decimal { unscaled, scale }, Native::Varint).ok_or(TOO_LONG)
}

const TOO_LONG: &str = "the result would have too many digits";

fn exact(math: Math, unscaled: BigInt, scale: i32) -> Result<decimal::Parts, &'static str> {
    let result = match math {
        Math::Abs => Some((BigInt::from(unscaled.magnitude().clone()), scale)),
        Math::Negate => Some((-unscaled, scale)),
        Math::Round => round(&unscaled, scale),
        Math::Exp => decimal::exp((unscaled, scale)),
        Math::Log | Math::Log10 if unscaled <= BigInt::ZERO => {
            return Err("numbers of zero and less have no logarithm");
        }
        Math::Log => decimal::ln((unscaled, scale)),
        Math::Log10 => decimal::log10((unscaled, scale)),
    };
    result.ok_or(TOO_LONG)
}

fn round(unscaled: &BigInt, scale: i32) -> Option<decimal::Parts> {
    let power = power_of_ten(scale.unsigned_abs())?;
    Some((if scale > 0 { divide_half_up(unscaled, &power) } else { unscaled * power }, 0))
}
