//! Aggregates: what a group of rows comes to. Null arguments are left out; without any, `count`, `sum` and `avg` are 0
//! and the others null, as in Cassandra.

use std::borrow::Cow;

use tholos_grammar::value::compare::compare;

use super::project;
use super::row::RowView;
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::expression::{Aggregate, AggregateFunction, Expr};
use crate::query::functions::Sum;
use crate::query::restriction::evaluate::Evaluator;

/// What one aggregate has gathered so far.
pub(super) enum Gathered {
    /// The first row's value, once there was one.
    First(Option<Option<Vec<u8>>>),
    Count(i64),
    /// The least or greatest value.
    Extreme(Option<Vec<u8>>),
    Sum(Sum),
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
    ) -> Result<(), Halt> {
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
                Some(value) => Ok(gathered.add_value(aggregate.function, value, of)?),
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
