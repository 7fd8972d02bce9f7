//! Values of restrictions: one request's evaluator of expressions.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};
use tholos_grammar::value::codec::DecodeError;
use tholos_grammar::value::codec::elements::{Elements, Fields};

use super::steps::step;
use super::{Candidates, Tuple};
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::expression::{Evaluated, Expr};
use crate::query::functions::CallContext;
use crate::query::values::Bound;

/// A value for each of some columns: the protocol's bytes.
pub type Values<'a> = SmallVec<[Cow<'a, [u8]>; 4]>;

/// Evaluates expressions for one request.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    /// Values of the statement's markers.
    pub values: &'a [Bound<'a>],
    /// The request's time and random bits.
    pub context: CallContext<'a>,
}

impl<'a> Evaluator<'a> {
    /// A value that is neither null nor unset. `what` it is of is named in errors.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] if it is, and what evaluating fails with.
    pub fn value(self, expr: &'a Expr, what: &str) -> Result<Cow<'a, [u8]>, Halt> {
        step();
        match expr.evaluate(self.values, self.context)? {
            Evaluated::Bytes(bytes) => Ok(bytes),
            Evaluated::Null => {
                Err(QueryError::invalid(format!("invalid null value for {what}: bind a value"))
                    .into())
            }
            Evaluated::Unset => {
                Err(QueryError::invalid(format!("invalid unset value for {what}: bind a value"))
                    .into())
            }
        }
    }

    /// The values of `width` columns, which `name` names by number.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn tuple<'n>(
        self,
        tuple: &'a Tuple,
        width: usize,
        name: impl Fn(usize) -> &'n str + Copy,
    ) -> Result<Values<'a>, Halt> {
        match tuple {
            Tuple::Elements(exprs) => {
                let exprs = exprs.iter().enumerate();
                exprs.map(|(at, expr)| self.value(expr, name(at))).collect()
            }
            Tuple::Whole(expr) => Ok(fields(&self.value(expr, name(0))?, width, name)?),
        }
    }

    /// All candidates of `width` columns together.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn candidates<'n>(
        self,
        candidates: &'a Candidates,
        width: usize,
        name: impl Fn(usize) -> &'n str + Copy,
    ) -> Result<SmallVec<[Values<'a>; 1]>, Halt> {
        match candidates {
            Candidates::One(tuple) => Ok(smallvec![self.tuple(tuple, width, name)?]),
            Candidates::Many(tuples) => {
                tuples.iter().map(|tuple| self.tuple(tuple, width, name)).collect()
            }
            Candidates::List { list, of_tuples } => {
                let list = self.value(list, name(0))?;
                let elements = Elements::new(&list, "list").map_err(malformed)?;
                let mut values = SmallVec::with_capacity(elements.remaining());
                for element in elements {
                    let element = element.map_err(malformed)?;
                    values.push(match of_tuples {
                        true => fields(element, width, name)?,
                        false => smallvec![Cow::Owned(element.to_vec())],
                    });
                }
                Ok(values)
            }
        }
    }
}

fn fields<'v, 'n>(
    tuple: &[u8],
    width: usize,
    name: impl Fn(usize) -> &'n str,
) -> Result<Values<'v>, QueryError> {
    let mut fields = Fields::new(tuple, width, "tuple");
    (0..width)
        .map(|at| match fields.next().transpose().map_err(malformed)?.flatten() {
            Some(bytes) => Ok(Cow::Owned(bytes.to_vec())),
            None => Err(QueryError::invalid(format!(
                "invalid null value for {}: the tuple has none there, bind a value",
                name(at)
            ))),
        })
        .collect()
}

/// Bound values were validated before they come here.
fn malformed(error: DecodeError) -> QueryError {
    QueryError::invalid(format!("the value bound to IN, or to a tuple, is malformed: {error}"))
}
