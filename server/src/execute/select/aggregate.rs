//! Aggregates: what a group of rows comes to. Null arguments are left out; without any, `count`, `sum` and `avg` are 0
//! and the others null, as in Cassandra.

use std::borrow::Cow;

use num_bigint::BigInt;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;
use tholos_grammar::value::compare::compare;

use super::project;
use super::ranges::Evaluator;
use super::row::RowView;
use crate::error::QueryError;
use crate::query::expression::{Aggregate, AggregateFunction, Expr};

/// What one aggregate has gathered so far.
pub(super) enum Gathered {
    /// The first row's value, once there was one.
    First(Option<Option<Vec<u8>>>),
    Count(i64),
    /// The least or greatest value.
    Extreme(Option<Vec<u8>>),
    Sum(Sum),
}

/// A sum, and how many values went into it.
pub(super) struct Sum {
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

impl Gathered {
    /// Nothing gathered yet.
    pub(super) fn new(aggregate: &Aggregate) -> Self {
        match (aggregate.function, &aggregate.argument) {
            (AggregateFunction::First, _) => Gathered::First(None),
            (AggregateFunction::Min | AggregateFunction::Max, _) => Gathered::Extreme(None),
            (AggregateFunction::Sum | AggregateFunction::Avg, Some(of)) => {
                Gathered::Sum(Sum::new(&of.cql_type))
            }
            _ => Gathered::Count(0),
        }
    }

    /// Takes a row in.
    pub(super) fn add(
        &mut self,
        aggregate: &Aggregate,
        row: &RowView<'_>,
        evaluator: Evaluator<'_>,
    ) -> Result<(), QueryError> {
        match (self, &aggregate.argument) {
            (Gathered::First(Some(_)), _) => Ok(()),
            (Gathered::First(first), Some(of)) => {
                let value = project::evaluate(of, row, evaluator)?;
                *first = Some(value.map(Cow::into_owned));
                Ok(())
            }
            (Gathered::Count(count), None) => {
                *count += 1;
                Ok(())
            }
            (gathered, Some(of)) => match project::evaluate(of, row, evaluator)? {
                Some(value) => gathered.add_value(aggregate.function, value, of),
                None => Ok(()),
            },
            (_, None) => Ok(()),
        }
    }

    fn add_value(
        &mut self,
        function: AggregateFunction,
        value: Cow<'_, [u8]>,
        of: &Expr,
    ) -> Result<(), QueryError> {
        match self {
            Gathered::Count(count) => *count += 1,
            Gathered::Extreme(extreme) => {
                let greater = function == AggregateFunction::Max;
                let replaces = extreme.as_deref().is_none_or(|extreme| {
                    let order = compare(&of.cql_type, &value, extreme);
                    if greater { order.is_gt() } else { order.is_lt() }
                });
                if replaces {
                    *extreme = Some(value.into_owned());
                }
            }
            Gathered::Sum(sum) => sum.add(&value, &of.cql_type)?,
            Gathered::First(_) => {}
        }
        Ok(())
    }

    /// The aggregate's value.
    pub(super) fn finish(self, aggregate: &Aggregate) -> Result<Option<Vec<u8>>, QueryError> {
        match self {
            Gathered::First(first) => Ok(first.flatten()),
            Gathered::Count(count) => Ok(Some(count.to_be_bytes().to_vec())),
            Gathered::Extreme(extreme) => Ok(extreme),
            Gathered::Sum(sum) => {
                sum.finish(aggregate.function == AggregateFunction::Avg).map(Some)
            }
        }
    }
}

impl Sum {
    fn new(ty: &CqlType) -> Self {
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

    fn add(&mut self, bytes: &[u8], ty: &CqlType) -> Result<(), QueryError> {
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

    fn finish(self, average: bool) -> Result<Vec<u8>, QueryError> {
        let count = if average { self.count.max(1) } else { 1 };
        let value = match self.total {
            // Like Cassandra's, a sum that does not fit its type wraps around.
            Total::Integer(total) => wrapped(self.native, total / i128::from(count)),
            Total::Big(total) => Value::Varint(total / count),
            Total::Decimal { unscaled, scale } => {
                Value::Decimal { unscaled: divide_half_even(&unscaled, count), scale }
            }
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

fn divide_half_even(unscaled: &BigInt, count: i64) -> BigInt {
    let count = BigInt::from(count);
    let quotient = unscaled / &count;
    let rest: BigInt = unscaled - &quotient * &count;
    let twice = rest.magnitude() * 2u32;
    let up = match twice.cmp(count.magnitude()) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient.bit(0),
        std::cmp::Ordering::Less => false,
    };
    match (up, unscaled.sign() == num_bigint::Sign::Minus) {
        (false, _) => quotient,
        (true, false) => quotient + 1,
        (true, true) => quotient - 1,
    }
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
        assert_eq!(sum(Native::Decimal, &[decimal(5, 0), decimal(0, 0)], true), decimal(2, 0));
        assert_eq!(sum(Native::Decimal, &[decimal(7, 0), decimal(0, 0)], true), decimal(4, 0));
        assert_eq!(sum(Native::Double, &vec![Value::Double(0.1); 10], false), Value::Double(1.0));
        assert_eq!(sum(Native::Double, &[], true), Value::Double(0.0));
    }
}
