//! Evaluating expressions: from bound values and the request's time to the protocol's bytes.

use std::borrow::Cow;

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::writer::{CollectionWriter, push_value, push_vector_element};
use tholos_grammar::value::codec::{EncodeError, canonical, validate};

use super::{Evaluated, Expr, ExprKind};
use crate::error::QueryError;
use crate::query::functions::{CallContext, Function};
use crate::query::values::Bound;

impl Expr {
    /// The expression's value: valid bytes of its type, sets and maps in order.
    ///
    /// `values` are those of the statement's markers.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] when a bound value is no value of its type, a null or unset value stands where none may,
    /// or a function does not take its arguments.
    pub fn evaluate<'v>(
        &'v self,
        values: &'v [Bound<'v>],
        context: CallContext<'_>,
    ) -> Result<Evaluated<'v>, QueryError> {
        match &self.kind {
            ExprKind::Constant(None) => Ok(Evaluated::Null),
            ExprKind::Constant(Some(bytes)) => Ok(Evaluated::Bytes(Cow::Borrowed(bytes))),
            ExprKind::Marker { index, name } => self.bound(*index, name, values),
            ExprKind::Call { function, arguments } => call(function, arguments, values, context),
            _ => Ok(Evaluated::Bytes(Cow::Owned(self.compose(values, context)?))),
        }
    }

    fn bound<'v>(
        &'v self,
        index: u16,
        name: &str,
        values: &'v [Bound<'v>],
    ) -> Result<Evaluated<'v>, QueryError> {
        let Some(value) = values.get(usize::from(index)) else {
            return Err(QueryError::invalid(format!(
                "{} values were bound and the statement's marker for {name} is number {}: bind one value per marker",
                values.len(),
                index + 1
            )));
        };
        let bytes = match *value {
            Bound::Null => return Ok(Evaluated::Null),
            Bound::Unset => return Ok(Evaluated::Unset),
            Bound::Bytes(bytes) => bytes,
        };
        let checked =
            validate(&self.cql_type, bytes).and_then(|()| canonical(&self.cql_type, bytes));
        match checked {
            Ok(bytes) => Ok(Evaluated::Bytes(bytes)),
            Err(error) => Err(QueryError::invalid(format!(
                "the value bound to {name} ({} bytes) is no {}: {error}",
                bytes.len(),
                self.cql_type
            ))),
        }
    }

    /// Encodes a collection, tuple, user type or vector from its parts.
    fn compose(
        &self,
        values: &[Bound<'_>],
        context: CallContext<'_>,
    ) -> Result<Vec<u8>, QueryError> {
        let mut out = Vec::new();
        match &self.kind {
            ExprKind::List(items) => collect(items, values, context, &mut out)?,
            ExprKind::Set(items) => {
                collect(items, values, context, &mut out)?;
                out = in_order(&self.cql_type, out)?;
            }
            ExprKind::Map(entries) => {
                let mut writer = CollectionWriter::new(&mut out);
                for (key, value) in entries {
                    let key = part(key, "a map", values, context)?;
                    let value = part(value, "a map", values, context)?;
                    writer.entry(&key, &value).map_err(too_long)?;
                }
                writer.finish().map_err(too_long)?;
                out = in_order(&self.cql_type, out)?;
            }
            ExprKind::Tuple(fields) | ExprKind::Udt(fields) => {
                for field in fields {
                    let value = match field.evaluate(values, context)? {
                        Evaluated::Unset => return Err(unset_inside("a tuple or user type")),
                        Evaluated::Null => None,
                        Evaluated::Bytes(bytes) => Some(bytes),
                    };
                    push_value(value.as_deref(), &mut out).map_err(too_long)?;
                }
            }
            ExprKind::Vector(items) => {
                for item in items {
                    let bytes = part(item, "a vector", values, context)?;
                    push_vector_element(&item.cql_type, &bytes, &mut out);
                }
            }
            ExprKind::Constant(_) | ExprKind::Marker { .. } | ExprKind::Call { .. } => {
                return Err(QueryError::Internal(format!(
                    "{} is no composite value",
                    self.cql_type
                )));
            }
        }
        Ok(out)
    }
}

fn collect(
    items: &[Expr],
    values: &[Bound<'_>],
    context: CallContext<'_>,
    out: &mut Vec<u8>,
) -> Result<(), QueryError> {
    let mut writer = CollectionWriter::new(out);
    for item in items {
        let bytes = part(item, "a collection", values, context)?;
        writer.element(&bytes).map_err(too_long)?;
    }
    writer.finish().map_err(too_long)?;
    Ok(())
}

/// The bytes of a part that may be neither null nor unset.
fn part<'v>(
    expr: &'v Expr,
    of: &str,
    values: &'v [Bound<'v>],
    context: CallContext<'_>,
) -> Result<Cow<'v, [u8]>, QueryError> {
    match expr.evaluate(values, context)? {
        Evaluated::Bytes(bytes) => Ok(bytes),
        Evaluated::Unset => Err(unset_inside(of)),
        Evaluated::Null => Err(QueryError::invalid(format!(
            "null is not supported inside {of}: leave the element out"
        ))),
    }
}

fn in_order(cql_type: &CqlType, bytes: Vec<u8>) -> Result<Vec<u8>, QueryError> {
    let sorted = match canonical(cql_type, &bytes) {
        Ok(Cow::Borrowed(_)) => None,
        Ok(Cow::Owned(sorted)) => Some(sorted),
        Err(error) => return Err(QueryError::invalid(error.to_string())),
    };
    Ok(sorted.unwrap_or(bytes))
}

fn call<'v>(
    function: &Function,
    arguments: &'v [Expr],
    values: &'v [Bound<'v>],
    context: CallContext<'_>,
) -> Result<Evaluated<'v>, QueryError> {
    let mut evaluated = SmallVec::<[Option<Cow<'_, [u8]>>; 4]>::new();
    for argument in arguments {
        evaluated.push(match argument.evaluate(values, context)? {
            Evaluated::Bytes(bytes) => Some(bytes),
            Evaluated::Null => None,
            Evaluated::Unset => {
                return Err(QueryError::invalid(format!(
                    "an argument of {}() is not set: bind a value, or null",
                    function.name
                )));
            }
        });
    }
    let borrowed: SmallVec<[Option<&[u8]>; 4]> =
        evaluated.iter().map(|argument| argument.as_deref()).collect();
    Ok(match function.call(&borrowed, context)? {
        Some(bytes) => Evaluated::Bytes(Cow::Owned(bytes)),
        None => Evaluated::Null,
    })
}

fn unset_inside(what: &str) -> QueryError {
    QueryError::invalid(format!("a value inside {what} is not set: bind every one of them"))
}

fn too_long(error: EncodeError) -> QueryError {
    QueryError::invalid(error.to_string())
}
