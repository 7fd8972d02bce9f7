//! Operators on numbers and times.
//!
//! Operands of different types meet in the wider one: integers in the larger, `varint` above them; `float` and the
//! smaller integers in `float`, with `bigint` in `double`; whatever meets `decimal` in `decimal`, as in Cassandra.
//! Integers wrap around as in Java.

use num_bigint::BigInt;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;

use super::arguments::{fits, function, is_number, meet, operand, wrong_arguments};
use super::decimal::power_of_ten;
use super::math::Math;
use super::{ArgumentType, Code, Function, cast, decimal, time};
use crate::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Modulo,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
        }
    }
}

/// The type of two texts, one behind the other.
fn together(a: Native, b: Native) -> Option<Native> {
    match (a, b) {
        (Native::Ascii, Native::Ascii) => Some(Native::Ascii),
        (Native::Ascii | Native::Text, Native::Ascii | Native::Text) => Some(Native::Text),
        _ => None,
    }
}

pub(super) fn resolve_operator(
    operator: Operator,
    arguments: &[ArgumentType],
    receiver: Option<&CqlType>,
) -> Result<Function, QueryError> {
    let (left, right) = match arguments {
        [of] if operator == Operator::Subtract => {
            let native = operand(of, None, receiver).filter(|native| is_number(*native));
            let native = native.ok_or_else(|| wrong_arguments("-", "a number", arguments))?;
            return Ok(function("-", vec![native], native, Code::Math(Math::Negate)));
        }
        [left, right] => (left, right),
        _ => return Err(wrong_arguments(operator.name(), "two operands", arguments)),
    };
    let refuse = || {
        wrong_arguments(
            operator.name(),
            "two numbers, two texts, or a timestamp or date and a duration",
            arguments,
        )
    };
    let left_type = operand(left, Some(right), receiver).ok_or_else(refuse)?;
    let right_type = match left_type {
        Native::Timestamp | Native::Date => Native::Duration,
        _ => operand(right, Some(left), receiver).ok_or_else(refuse)?,
    };
    let returns = match (left_type, operator) {
        (Native::Timestamp | Native::Date, Operator::Add | Operator::Subtract)
            if fits(right, Native::Duration) =>
        {
            left_type
        }
        (Native::Text | Native::Ascii, Operator::Add) => {
            together(left_type, right_type).ok_or_else(refuse)?
        }
        _ => meet(left_type, right_type).ok_or_else(refuse)?,
    };
    Ok(function(operator.name(), vec![left_type, right_type], returns, Code::Operator(operator)))
}

pub(super) fn operate(
    operator: Operator,
    function: &Function,
    left: &[u8],
    right: &[u8],
) -> Result<Option<Vec<u8>>, QueryError> {
    if matches!(function.returns, CqlType::Native(Native::Text | Native::Ascii)) {
        return Ok(Some([left, right].concat()));
    }
    let (left, right) = (function.decode(0, left)?, function.decode(1, right)?);
    if left == Value::Empty || right == Value::Empty {
        return Ok(None);
    }
    if let Value::Duration(span) = right {
        return time::shift(function, &left, span, operator == Operator::Subtract);
    }
    let CqlType::Native(native) = function.returns else {
        return Err(function.defect("it returns no native type"));
    };
    let convert = |value: &Value| {
        cast::convert(value, native)
            .ok_or_else(|| function.refuse(&format!("an operand has no value of type {native}")))
    };
    let result = compute(operator, convert(&left)?, convert(&right)?);
    function.encode(&result.map_err(|what| function.refuse(what))?)
}

fn compute(operator: Operator, left: Value, right: Value) -> Result<Value, &'static str> {
    Ok(match (left, right) {
        (Value::Tinyint(a), Value::Tinyint(b)) => {
            Value::Tinyint(integers(operator, i64::from(a), i64::from(b))? as i8)
        }
        (Value::Smallint(a), Value::Smallint(b)) => {
            Value::Smallint(integers(operator, i64::from(a), i64::from(b))? as i16)
        }
        (Value::Int(a), Value::Int(b)) => {
            Value::Int(integers(operator, i64::from(a), i64::from(b))? as i32)
        }
        (Value::Bigint(a), Value::Bigint(b)) => Value::Bigint(integers(operator, a, b)?),
        (Value::Varint(a), Value::Varint(b)) => Value::Varint(big(operator, &a, &b)?),
        (Value::Float(a), Value::Float(b)) => Value::Float(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Modulo => a % b,
        }),
        (Value::Double(a), Value::Double(b)) => Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Modulo => a % b,
        }),
        (
            Value::Decimal { unscaled: a, scale: scale_a },
            Value::Decimal { unscaled: b, scale: scale_b },
        ) => decimals(operator, (a, scale_a), (b, scale_b))?,
        _ => return Err("the operands are no numbers of one type"),
    })
}

const DIVISION_BY_ZERO: &str = "division by zero";

fn integers(operator: Operator, a: i64, b: i64) -> Result<i64, &'static str> {
    if b == 0 && matches!(operator, Operator::Divide | Operator::Modulo) {
        return Err(DIVISION_BY_ZERO);
    }
    Ok(match operator {
        Operator::Add => a.wrapping_add(b),
        Operator::Subtract => a.wrapping_sub(b),
        Operator::Multiply => a.wrapping_mul(b),
        Operator::Divide => a.wrapping_div(b),
        Operator::Modulo => a.wrapping_rem(b),
    })
}

fn big(operator: Operator, a: &BigInt, b: &BigInt) -> Result<BigInt, &'static str> {
    if *b == BigInt::ZERO && matches!(operator, Operator::Divide | Operator::Modulo) {
        return Err(DIVISION_BY_ZERO);
    }
    Ok(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Modulo => a % b,
    })
}

fn decimals(
    operator: Operator,
    (a, scale_a): (BigInt, i32),
    (b, scale_b): (BigInt, i32),
) -> Result<Value, &'static str> {
    const TOO_LONG: &str = "the result would have too many digits";
    if operator == Operator::Multiply {
        let scale = scale_a.checked_add(scale_b).ok_or(TOO_LONG)?;
        return Ok(Value::Decimal { unscaled: a * b, scale });
    }
    if operator == Operator::Divide {
        if b == BigInt::ZERO {
            return Err(DIVISION_BY_ZERO);
        }
        let quotient = decimal::divide((a, scale_a), (b, scale_b)).ok_or(TOO_LONG)?;
        return Ok(Value::Decimal { unscaled: quotient.0, scale: quotient.1 });
    }
    let scale = scale_a.max(scale_b);
    let raise = |number: BigInt, from: i32| {
        power_of_ten(scale.abs_diff(from)).map(|power| number * power).ok_or(TOO_LONG)
    };
    let unscaled = big(operator, &raise(a, scale_a)?, &raise(b, scale_b)?)?;
    Ok(Value::Decimal { unscaled, scale })
}
