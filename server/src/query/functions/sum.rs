//! Sums and averages of one type's numbers: of an aggregate's rows, and of a collection's elements.
//!
//! A sum has the type of what it adds up; one that does not fit wraps around, as in Cassandra. An average of integers is
//! cut towards zero; one of decimals has the digits of a division ([`super::decimal::divide`]), and the scale of the sum
//! at least: of 1.00 and 2.00 it is 1.50. Without any number both are 0.

use num_bigint::BigInt;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;

use super::decimal;
use crate::error::QueryError;

/// A sum, and how many values went into it.
pub struct Sum {
    native: Native,
    count: i64,
    total: Total,
}

enum Total {
    Integer(i128),
    Big(BigInt),
    Decimal {
        unscaled: BigInt,
        scale: i32,
    },
    /// Kahan's sum: the total, and what rounding has lost.
    Float {
        total: f64,
        lost: f64,
    },
}

impl Sum {
    /// The sum of nothing, of numbers of type `ty`.
    pub fn new(ty: &CqlType) -> Self {
        let native = match ty {
            CqlType::Native(Native::Counter) => Native::Bigint,
            CqlType::Native(native) => *native,
            _ => Native::Bigint,
        };
        let total = match native {
            Native::Varint => Total::Big(BigInt::ZERO),
            Native::Decimal => Total::Decimal { unscaled: BigInt::ZERO, scale: 0 },
            Native::Float | Native::Double => Total::Float { total: 0.0, lost: 0.0 },
            _ => Total::Integer(0),
        };
        Sum { native, count: 0, total }
    }

    /// Adds a value of that type; the empty value counts as none.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for decimals whose scales are too far apart; [`QueryError::Internal`] for bytes that are
    /// no value of the type.
    pub fn add(&mut self, bytes: &[u8], ty: &CqlType) -> Result<(), QueryError> {
        let value = Value::decode(ty, bytes).map_err(|error| {
            QueryError::Internal(format!("storage gave a value that is no {ty}: {error}"))
        })?;
        match (&mut self.total, value) {
            (_, Value::Empty) => return Ok(()),
            (Total::Integer(total), value) => {
                let Some(number) = integer(&value) else { return Ok(()) };
                *total += i128::from(number);
            }
            (Total::Big(total), Value::Varint(number)) => *total += number,
            (Total::Decimal { unscaled, scale }, Value::Decimal { unscaled: more, scale: at }) => {
                let common = (*scale).max(at);
                let grown = rescale(unscaled, *scale, common)? + rescale(&more, at, common)?;
                (*unscaled, *scale) = (grown, common);
            }
            (Total::Float { total, lost }, Value::Float(number)) => {
                add_float(total, lost, f64::from(number));
            }
            (Total::Float { total, lost }, Value::Double(number)) => add_float(total, lost, number),
            _ => return Ok(()),
        }
        self.count += 1;
        Ok(())
    }

    /// The sum's bytes, or those of the average.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] when it has more digits than a value may have.
    pub fn finish(self, average: bool) -> Result<Vec<u8>, QueryError> {
        let count = if average { self.count.max(1) } else { 1 };
        let value = match self.total {
            Total::Integer(total) => wrapped(self.native, total / i128::from(count)),
            Total::Big(total) => Value::Varint(total / count),
            Total::Decimal { unscaled, scale } if count > 1 => {
                let (unscaled, scale) = decimal::average(unscaled, scale, count)
                    .ok_or_else(|| QueryError::invalid("the average has too many digits"))?;
                Value::Decimal { unscaled, scale }
            }
            Total::Decimal { unscaled, scale } => Value::Decimal { unscaled, scale },
            Total::Float { total, .. } => match self.native {
                Native::Float => Value::Float((total / count as f64) as f32),
                _ => Value::Double(total / count as f64),
            },
        };
        let mut out = Vec::new();
        value
            .encode(&CqlType::Native(self.native), &mut out)
            .map_err(|error| QueryError::invalid(error.to_string()))?;
        Ok(out)
    }
}

fn integer(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Tinyint(number) => i64::from(*number),
        Value::Smallint(number) => i64::from(*number),
        Value::Int(number) => i64::from(*number),
        Value::Bigint(number) => *number,
        _ => return None,
    })
}

fn wrapped(native: Native, total: i128) -> Value {
    match native {
        Native::Tinyint => Value::Tinyint(total as i8),
        Native::Smallint => Value::Smallint(total as i16),
        Native::Int => Value::Int(total as i32),
        _ => Value::Bigint(total as i64),
    }
}

fn add_float(total: &mut f64, lost: &mut f64, number: f64) {
    let corrected = number - *lost;
    let sum = *total + corrected;
    // Infinities would turn the correction into NaN.
    *lost = if sum.is_finite() { (sum - *total) - corrected } else { 0.0 };
    *total = sum;
}

/// The most digits by which decimals of different scales may differ: beyond that a sum would fill memory.
const MAX_SCALE_DIFFERENCE: u32 = 10_000;

fn rescale(unscaled: &BigInt, from: i32, to: i32) -> Result<BigInt, QueryError> {
    let digits = to.abs_diff(from);
    if digits > MAX_SCALE_DIFFERENCE {
        return Err(QueryError::invalid(format!(
            "decimals whose scales differ by {digits} digits can't be added: the limit is {MAX_SCALE_DIFFERENCE}"
        )));
    }
    Ok(unscaled * BigInt::from(10).pow(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(native: Native, values: &[Value], average: bool) -> Value {
        let ty = CqlType::Native(native);
        let mut sum = Sum::new(&ty);
        for value in values {
            let mut bytes = Vec::new();
            value.encode(&ty, &mut bytes).unwrap();
            sum.add(&bytes, &ty).unwrap();
        }
        Value::decode(&ty, &sum.finish(average).unwrap()).unwrap()
    }

    #[test]
    fn sums_and_averages_keep_the_type() {
        let ints = [1, 2, 4].map(Value::Int);
        assert_eq!(sum(Native::Int, &ints, false), Value::Int(7));
        assert_eq!(sum(Native::Int, &ints, true), Value::Int(2));
        assert_eq!(
            sum(Native::Int, &[Value::Int(i32::MAX), Value::Int(1)], false),
            Value::Int(i32::MIN)
        );
        let decimal = |unscaled: i64, scale| Value::Decimal { unscaled: unscaled.into(), scale };
        assert_eq!(sum(Native::Decimal, &[decimal(15, 1), decimal(25, 2)], false), decimal(175, 2));
        assert_eq!(sum(Native::Double, &vec![Value::Double(0.1); 10], false), Value::Double(1.0));
        assert_eq!(sum(Native::Double, &[], true), Value::Double(0.0));
    }

    #[test]
    fn averages_of_decimals_keep_their_fraction_and_scale() {
        let average = |numbers: &[&str]| {
            let numbers: Vec<Value> = numbers
                .iter()
                .map(|text| {
                    let number: tholos_grammar::value::decimal::Decimal = text.parse().unwrap();
                    Value::Decimal { unscaled: number.unscaled, scale: number.scale }
                })
                .collect();
            sum(Native::Decimal, &numbers, true).text(&Native::Decimal.into())
        };
        assert_eq!(average(&["1", "2"]), "1.5");
        assert_eq!(average(&["1.00", "2.000"]), "1.500");
        assert_eq!(average(&["1", "1", "2"]), "1.33333333333333333333333333333333");
        assert_eq!(average(&["10", "10"]), "10");
        assert_eq!(average(&["1E+3", "1E+1"]), "505");
        assert_eq!(average(&["1E-40", "2E-40"]), "1.5E-40");
        assert_eq!(average(&["-1", "-1", "0"]), "-0.66666666666666666666666666666667");
        assert_eq!(average(&["0.00"]), "0.00");
        assert_eq!(average(&[]), "0");
    }
}
