//! Operators on numbers and times, and mathematics.
//!
//! Operands of different types meet in the wider one: integers in the larger, `varint` above them; `float` and the
//! smaller integers in `float`, with `bigint` in `double`; whatever meets `decimal` in `decimal`, as in Cassandra.
//! Integers wrap around as in Java.

use num_bigint::BigInt;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::{Duration, Value};

use super::resolve::{fits, wrong_arguments};
use super::{ArgumentType, Code, Function, LiteralKind, cast};
use crate::error::QueryError;

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_MS: i64 = 1_000_000;
const EPOCH_DAYS: i64 = 1 << 31;

/// The most digits that a decimal may get behind the point by dividing, and that numbers may be scaled by.
const MAX_SCALE: i32 = 1000;
const MIN_DIVISION_SCALE: i32 = 32;
const MAX_POWER: u32 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Math {
    Abs,
    Exp,
    Log,
    Log10,
    Round,
    Negate,
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

/// Whether a type's values are numbers.
pub(super) fn is_number(native: Native) -> bool {
    rank(native).is_some()
}

/// Position among the integers; those behind `varint` are not integers.
fn rank(native: Native) -> Option<u8> {
    Some(match native {
        Native::Tinyint => 0,
        Native::Smallint => 1,
        Native::Int => 2,
        Native::Bigint | Native::Counter => 3,
        Native::Varint => 4,
        Native::Float => 5,
        Native::Double => 6,
        Native::Decimal => 7,
        _ => return None,
    })
}

/// The type in which two numbers meet.
fn meet(a: Native, b: Native) -> Option<Native> {
    let plain = |native| if native == Native::Counter { Native::Bigint } else { native };
    let (low, high) =
        if rank(a)? <= rank(b)? { (plain(a), plain(b)) } else { (plain(b), plain(a)) };
    Some(match (low, high) {
        (Native::Varint, Native::Float | Native::Double) => Native::Decimal,
        (Native::Bigint, Native::Float) => Native::Double,
        (_, high) => high,
    })
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

fn function(name: &'static str, takes: Vec<Native>, returns: Native, code: Code) -> Function {
    let arguments = takes.into_iter().map(CqlType::Native).collect();
    Function { name, arguments, returns: returns.into(), pure: true, code }
}

/// The type of an operand: its own. A literal's is the least that holds it, or what receives the result if only so the
/// result fits that; a marker's is that of the other operand or of the receiver.
fn operand(
    of: &ArgumentType,
    other: Option<&ArgumentType>,
    receiver: Option<&CqlType>,
) -> Option<Native> {
    let known = |argument: &ArgumentType| match argument {
        ArgumentType::Known(CqlType::Native(native)) => Some(*native),
        _ => None,
    };
    if let ArgumentType::Known(_) = of {
        return known(of);
    }
    let other = other.map(|other| (other, known(other)));
    let receiver = match receiver {
        Some(CqlType::Native(Native::Counter)) => Some(Native::Bigint),
        Some(CqlType::Native(native)) => Some(*native),
        _ => None,
    };
    let wanted = receiver.filter(|native| is_operand(*native) && fits(of, *native));
    match (of, other) {
        (ArgumentType::Literal(LiteralKind::Duration), _) => Some(Native::Duration),
        (ArgumentType::Literal(kind), Some((_, Some(other)))) => {
            let natural = beside(*kind, other)?;
            let narrower = wanted.filter(|wanted| {
                meet(other, natural) != Some(*wanted) && meet(other, *wanted) == Some(*wanted)
            });
            Some(narrower.unwrap_or(natural))
        }
        (ArgumentType::Literal(kind), other) => wanted.or(match other {
            Some((ArgumentType::Literal(LiteralKind::Integer(Native::Varint)), _)) => {
                beside(*kind, Native::Varint)
            }
            _ => kind.natural().filter(|native| is_operand(*native)),
        }),
        (_, Some((_, Some(other)))) => match other {
            Native::Counter => Some(Native::Bigint),
            other => Some(other),
        },
        _ => wanted,
    }
}

/// The type of a literal beside an operand of some type: as exact as that.
fn beside(kind: LiteralKind, other: Native) -> Option<Native> {
    match (kind, other) {
        (LiteralKind::Float, Native::Decimal | Native::Varint) => Some(Native::Decimal),
        (LiteralKind::Text, Native::Ascii | Native::Text) => Some(other),
        _ => kind.natural(),
    }
}

/// Whether values of a type are added and the like; those of time have the left side to themselves.
fn is_operand(native: Native) -> bool {
    let others = matches!(native, Native::Text | Native::Ascii | Native::Timestamp | Native::Date);
    is_number(native) || others
}

pub(super) fn resolve_math(
    name: &'static str,
    math: Math,
    arguments: &[ArgumentType],
) -> Result<Function, QueryError> {
    let of = match arguments {
        [of] => operand(of, None, None).filter(|native| is_number(*native)),
        _ => None,
    };
    let of = of.ok_or_else(|| wrong_arguments(name, "one number", arguments))?;
    let exact = !matches!(of, Native::Float | Native::Double);
    if exact && matches!(math, Math::Exp | Math::Log | Math::Log10) {
        return Err(wrong_arguments(name, "a float or double (CAST makes one)", arguments));
    }
    let returns = if of == Native::Counter { Native::Bigint } else { of };
    Ok(function(name, vec![of], returns, Code::Math(math)))
}

pub(super) fn math(
    math: Math,
    function: &Function,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, QueryError> {
    let value = function.decode(0, bytes)?;
    let float = |number: f64| match math {
        Math::Abs => number.abs(),
        Math::Exp => number.exp(),
        Math::Log => number.ln(),
        Math::Log10 => number.log10(),
        // Java rounds halves up, towards positive infinity.
        Math::Round => (number + 0.5).floor(),
        Math::Negate => -number,
    };
    let result = match (value, math) {
        (Value::Empty, _) => return Ok(None),
        (Value::Float(number), _) => Value::Float(float(f64::from(number)) as f32),
        (Value::Double(number), _) => Value::Double(float(number)),
        (Value::Decimal { unscaled, scale }, Math::Round) => round_decimal(&unscaled, scale)
            .ok_or_else(|| function.refuse("the number has too many digits"))?,
        (Value::Decimal { unscaled, scale }, _) => {
            Value::Decimal { unscaled: change_sign(unscaled, math), scale }
        }
        (Value::Varint(number), _) => Value::Varint(change_sign(number, math)),
        (Value::Tinyint(number), _) => Value::Tinyint(wrap(i64::from(number), math) as i8),
        (Value::Smallint(number), _) => Value::Smallint(wrap(i64::from(number), math) as i16),
        (Value::Int(number), _) => Value::Int(wrap(i64::from(number), math) as i32),
        (Value::Bigint(number), _) => Value::Bigint(wrap(number, math)),
        _ => return Err(function.refuse("the argument is no number")),
    };
    function.encode(&result)
}

fn wrap(number: i64, math: Math) -> i64 {
    match math {
        Math::Abs => number.wrapping_abs(),
        Math::Negate => number.wrapping_neg(),
        _ => number,
    }
}

fn change_sign(number: BigInt, math: Math) -> BigInt {
    match math {
        Math::Abs => BigInt::from(number.magnitude().clone()),
        Math::Negate => -number,
        _ => number,
    }
}

fn round_decimal(unscaled: &BigInt, scale: i32) -> Option<Value> {
    let Some(digits) = u32::try_from(scale).ok().filter(|digits| *digits > 0) else {
        return Some(Value::Decimal { unscaled: unscaled.clone(), scale });
    };
    let unscaled = divide_half_up(unscaled, &power_of_ten(digits)?);
    Some(Value::Decimal { unscaled, scale: 0 })
}

fn divide_half_up(number: &BigInt, by: &BigInt) -> BigInt {
    let quotient = number / by;
    let rest: BigInt = number - &quotient * by;
    if rest.magnitude() * 2u32 < *by.magnitude() {
        return quotient;
    }
    let negative =
        (number.sign() == num_bigint::Sign::Minus) != (by.sign() == num_bigint::Sign::Minus);
    if negative { quotient - 1 } else { quotient + 1 }
}

/// 10 to a power that still fits in memory.
pub(super) fn power_of_ten(power: u32) -> Option<BigInt> {
    (power <= MAX_POWER).then(|| BigInt::from(10).pow(power))
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
        let moved = shift(&left, span, operator == Operator::Subtract);
        let moved = moved.ok_or_else(|| function.refuse("the result is out of range"))?;
        return function.encode(&moved);
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
    let common = scale_a.max(scale_b);
    let raise = |number: BigInt, scale: i32, to: i32| {
        power_of_ten(to.abs_diff(scale)).map(|power| number * power).ok_or(TOO_LONG)
    };
    let (a, b) = (raise(a, scale_a, common)?, raise(b, scale_b, common)?);
    if operator != Operator::Divide {
        return Ok(Value::Decimal { unscaled: big(operator, &a, &b)?, scale: common });
    }
    if b == BigInt::ZERO {
        return Err(DIVISION_BY_ZERO);
    }
    let scale = common.clamp(MIN_DIVISION_SCALE, MAX_SCALE);
    let mut unscaled =
        divide_half_up(&(a * power_of_ten(scale.unsigned_abs()).ok_or(TOO_LONG)?), &b);
    let mut scale = scale;
    let ten = BigInt::from(10);
    while scale > 0 && &unscaled % &ten == BigInt::ZERO {
        unscaled /= &ten;
        scale -= 1;
    }
    Ok(Value::Decimal { unscaled, scale })
}

/// A time moved by a duration: months by the calendar, then days and the rest.
fn shift(value: &Value, span: Duration, back: bool) -> Option<Value> {
    let sign = if back { -1 } else { 1 };
    let months = i64::from(span.months) * sign;
    let ms_of = |days: i64| days.checked_mul(MS_PER_DAY);
    let (start, is_date) = match value {
        Value::Timestamp(ms) => (*ms, false),
        Value::Date(days) => (ms_of(i64::from(*days) - EPOCH_DAYS)?, true),
        _ => return None,
    };
    if is_date && span.nanoseconds % (MS_PER_DAY * NS_PER_MS) != 0 {
        return None;
    }
    let (day, rest) = (start.div_euclid(MS_PER_DAY), start.rem_euclid(MS_PER_DAY));
    let day = add_months(day, months)?.checked_add(i64::from(span.days) * sign)?;
    let moved = ms_of(day)?.checked_add(rest)?.checked_add(span.nanoseconds / NS_PER_MS * sign)?;
    Some(match is_date {
        true => Value::Date(u32::try_from(moved.div_euclid(MS_PER_DAY) + EPOCH_DAYS).ok()?),
        false => Value::Timestamp(moved),
    })
}

/// Days since 1970 of the same day some months away, or of the last day of a shorter month.
fn add_months(day: i64, months: i64) -> Option<i64> {
    if months == 0 {
        return Some(day);
    }
    let (year, month, of_month) = civil_from_days(day)?;
    let index = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    Some(days_from_civil(year, month, of_month.min(days_in_month(year, month))))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years begin in March, so leap days end them.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Some((year + era * 400 + i64::from(month <= 2), month, day))
}
