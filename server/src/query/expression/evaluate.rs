//! Evaluating expressions: from bound values, the request's time and perhaps a row to the protocol's bytes.

use std::borrow::Cow;
use std::cell::Cell;

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Fields, NullableEntries};
use tholos_grammar::value::codec::writer::{CollectionWriter, push_value, push_vector_element};
use tholos_grammar::value::codec::{EncodeError, canonical, validate};
use tholos_grammar::value::compare::compare;
use tholos_storage::fs::nowait::may_wait;

use super::row::{Cells, NoRow, Row};
use super::{Evaluated, Expr, ExprKind, OfCells, Part};
use crate::error::QueryError;
use crate::halt::{Halt, PutOff};
use crate::query::functions::{CallContext, Function};
use crate::query::keys;
use crate::query::values::Bound;

/// The most that the functions and composite values of one expression may make, in bytes. Without it `to_json()` of
/// `to_json()` and so on, each of which doubles what it is given, would take all memory in a statement of one line.
const MAX_MADE_BYTES: usize = 64 << 20;

/// An expression that makes more than this is evaluated in a thread that serves nobody else.
const MAX_MADE_INLINE: usize = 256 << 10;

/// What an expression is evaluated with.
struct Evaluation<'e, 'v, 'c, R> {
    row: &'e R,
    /// Those of the statement's markers.
    values: &'v [Bound<'v>],
    context: CallContext<'c>,
    /// Bytes that functions and composite values have made so far.
    made: &'e Cell<usize>,
    /// Whether lists and values of maps may be null here: what is shown may have them, what is stored or compared not.
    nulls: bool,
}

impl<R> Clone for Evaluation<'_, '_, '_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Evaluation<'_, '_, '_, R> {}

impl Expr {
    /// The expression's value where there is no row: valid bytes of its type, sets and maps in order.
    ///
    /// `values` are those of the statement's markers.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] when a bound value is no value of its type, a null or unset value stands where none may,
    /// a function does not take its arguments, or more is made than may be; [`PutOff::Long`] when this thread has
    /// to serve others.
    pub fn evaluate<'v>(
        &'v self,
        values: &'v [Bound<'v>],
        context: CallContext<'_>,
    ) -> Result<Evaluated<'v>, Halt> {
        self.evaluate_over(&NoRow, values, context)
    }

    /// The expression's value over a row.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and what reading the row meets.
    pub fn evaluate_over<'v, R: Row<'v>>(
        &'v self,
        row: &R,
        values: &'v [Bound<'v>],
        context: CallContext<'_>,
    ) -> Result<Evaluated<'v>, Halt> {
        let evaluation =
            Evaluation { row, values, context, made: &Cell::new(0), nulls: R::IS_SHOWN };
        evaluation.value(self)
    }
}

impl<'v, R: Row<'v>> Evaluation<'_, 'v, '_, R> {
    fn value(self, expr: &'v Expr) -> Result<Evaluated<'v>, Halt> {
        match &expr.kind {
            ExprKind::Constant(None) => Ok(Evaluated::Null),
            ExprKind::Constant(Some(bytes)) => Ok(Evaluated::Bytes(Cow::Borrowed(bytes))),
            ExprKind::Marker { index, name } => Ok(self.bound(expr, *index, name)?),
            ExprKind::Column(slot) => Ok(self.row.column(*slot)?.into()),
            ExprKind::Call { function, arguments } => self.call(function, arguments),
            ExprKind::OfCells(of) => self.of_cells(of),
            ExprKind::Token => Ok(Evaluated::Bytes(Cow::Owned(self.row.token()?.to_vec()))),
            ExprKind::TokenOf(values) => self.token_of(values),
            ExprKind::Field { of, index } => {
                let Some(value) = self.present(of)? else { return Ok(Evaluated::Null) };
                let field = Fields::new(&value, index + 1, "user type").flatten().nth(*index);
                Ok(field.flatten().map(|bytes| Cow::Owned(bytes.to_vec())).into())
            }
            ExprKind::Element { of, key } => {
                // First, so that it is refused whatever the row has.
                let Some(key) = self.present(key)? else { return Ok(Evaluated::Null) };
                let Some(value) = self.present(of)? else { return Ok(Evaluated::Null) };
                let found = element(&of.cql_type, &value, &key);
                Ok(found.map(|bytes| Cow::Owned(bytes.to_vec())).into())
            }
            ExprKind::Slice { of, from, to } => {
                let (from, to) = (self.bound_of(from.as_deref())?, self.bound_of(to.as_deref())?);
                let Some(value) = self.present(of)? else { return Ok(Evaluated::Null) };
                let (out, found) = slice(&of.cql_type, &value, from.as_deref(), to.as_deref())?;
                // Where elements are cells, an empty collection is none.
                let of_cells = matches!(of.kind, ExprKind::Column(_) | ExprKind::Gathered(_))
                    && of.cql_type.is_multi_cell();
                Ok((found || !of_cells).then_some(Cow::Owned(out)).into())
            }
            ExprKind::Gathered(number) => Ok(self.row.gathered(*number)?.into()),
            ExprKind::Aggregate(_) => {
                Err(QueryError::Internal("an aggregate was not gathered".to_string()).into())
            }
            _ => {
                let made = self.compose(expr)?;
                self.count(made.len())?;
                Ok(Evaluated::Bytes(Cow::Owned(made)))
            }
        }
    }

    fn count(self, bytes: usize) -> Result<(), Halt> {
        let made = self.made.get().saturating_add(bytes);
        self.made.set(made);
        if made > MAX_MADE_INLINE && !may_wait() {
            return Err(PutOff::Long.into());
        }
        if made > MAX_MADE_BYTES {
            return Err(QueryError::invalid(format!(
                "an expression makes values of more than {} MiB in all: nest fewer functions in it, or select less",
                MAX_MADE_BYTES >> 20
            )).into());
        }
        Ok(())
    }

    /// The value of a part: null is none, and not set is an error.
    fn present(self, expr: &'v Expr) -> Result<Option<Cow<'v, [u8]>>, Halt> {
        match self.value(expr)? {
            Evaluated::Bytes(bytes) => Ok(Some(bytes)),
            Evaluated::Null => Ok(None),
            Evaluated::Unset => Err(unset_inside("an expression").into()),
        }
    }

    fn bound_of(self, end: Option<&'v Expr>) -> Result<Option<Cow<'v, [u8]>>, Halt> {
        end.map_or(Ok(None), |end| self.present(end))
    }

    fn bound(self, expr: &Expr, index: u16, name: &str) -> Result<Evaluated<'v>, QueryError> {
        let Some(value) = self.values.get(usize::from(index)) else {
            return Err(QueryError::invalid(format!(
                "{} values were bound and the statement's marker for {name} is number {}: bind one value per marker",
                self.values.len(),
                index + 1
            )));
        };
        let bytes = match *value {
            Bound::Null => return Ok(Evaluated::Null),
            Bound::Unset => return Ok(Evaluated::Unset),
            Bound::Bytes(bytes) => bytes,
        };
        let checked =
            validate(&expr.cql_type, bytes).and_then(|()| canonical(&expr.cql_type, bytes));
        match checked {
            Ok(bytes) => Ok(Evaluated::Bytes(bytes)),
            Err(error) => Err(QueryError::invalid(format!(
                "the value bound to {name} ({} bytes) is no {}: {error}",
                bytes.len(),
                expr.cql_type
            ))),
        }
    }

    fn call(self, function: &'v Function, arguments: &'v [Expr]) -> Result<Evaluated<'v>, Halt> {
        let mut evaluated = SmallVec::<[Option<Cow<'_, [u8]>>; 4]>::new();
        for argument in arguments {
            evaluated.push(match self.value(argument)? {
                Evaluated::Bytes(bytes) => Some(bytes),
                Evaluated::Null => None,
                Evaluated::Unset => {
                    return Err(QueryError::invalid(format!(
                        "an argument of {}() is not set: bind a value, or null",
                        function.name
                    ))
                    .into());
                }
            });
        }
        let borrowed: SmallVec<[Option<&[u8]>; 4]> =
            evaluated.iter().map(|argument| argument.as_deref()).collect();
        let made = function.call(&borrowed, self.context)?;
        self.count(made.as_ref().map_or(0, Vec::len))?;
        Ok(made.map(Cow::Owned).into())
    }

    fn of_cells(self, of: &'v OfCells) -> Result<Evaluated<'v>, Halt> {
        let path = |key: &'v Expr| -> Result<Option<keys::Component>, Halt> {
            let Some(bytes) = self.present(key)? else { return Ok(None) };
            let mut path = keys::Component::new();
            keys::encode_element(&key.cql_type, &bytes, &mut path)?;
            Ok(Some(path))
        };
        let cells = match &of.part {
            Part::Whole => Cells::All,
            Part::Field(field) => Cells::At(field.to_be_bytes().into_iter().collect()),
            Part::Element(key) => match path(key)? {
                Some(path) => Cells::At(path),
                None => return Ok(Evaluated::Null),
            },
            Part::Slice(from, to) => Cells::Between(
                from.as_ref().map_or(Ok(None), path)?,
                to.as_ref().map_or(Ok(None), path)?,
            ),
        };
        Ok(self.row.cells(of.fact, of.slot, &cells)?.into())
    }

    fn token_of(self, values: &'v [Expr]) -> Result<Evaluated<'v>, Halt> {
        let mut components = Vec::with_capacity(values.len());
        for value in values {
            match self.present(value)? {
                Some(component) => components.push(component),
                None => return Ok(Evaluated::Null),
            }
        }
        let components: Vec<&[u8]> = components.iter().map(|bytes| &**bytes).collect();
        Ok(Evaluated::Bytes(Cow::Owned(keys::token(&components)?.0.to_be_bytes().to_vec())))
    }

    /// Encodes a collection, tuple, user type or vector from its parts.
    fn compose(self, expr: &'v Expr) -> Result<Vec<u8>, Halt> {
        let mut out = Vec::new();
        match &expr.kind {
            ExprKind::List(items) => self.collect(items, &mut out)?,
            ExprKind::Set(items) => {
                self.without_nulls().collect(items, &mut out)?;
                out = in_order(&expr.cql_type, out)?;
            }
            ExprKind::Map(entries) => {
                let mut writer = CollectionWriter::new(&mut out);
                for (key, value) in entries {
                    let key = self.without_nulls().part(key, "a map")?;
                    let value = self.nullable_part(value, "a map")?;
                    writer.entry(&key, value.as_deref()).map_err(too_long)?;
                }
                writer.finish().map_err(too_long)?;
                out = in_order(&expr.cql_type, out)?;
            }
            ExprKind::Tuple(fields) | ExprKind::Udt(fields) => {
                for field in fields {
                    let value = match self.value(field)? {
                        Evaluated::Unset => {
                            return Err(unset_inside("a tuple or user type").into());
                        }
                        Evaluated::Null => None,
                        Evaluated::Bytes(bytes) => Some(bytes),
                    };
                    push_value(value.as_deref(), &mut out).map_err(too_long)?;
                }
            }
            ExprKind::Vector(items) => {
                for item in items {
                    let bytes = self.without_nulls().part(item, "a vector")?;
                    push_vector_element(&item.cql_type, &bytes, &mut out);
                }
            }
            _ => {
                return Err(QueryError::Internal(format!(
                    "{} is no composite value",
                    expr.cql_type
                ))
                .into());
            }
        }
        Ok(out)
    }

    fn collect(self, items: &'v [Expr], out: &mut Vec<u8>) -> Result<(), Halt> {
        let mut writer = CollectionWriter::new(out);
        for item in items {
            let item = self.nullable_part(item, "a collection")?;
            writer.nullable(item.as_deref()).map_err(too_long)?;
        }
        writer.finish().map_err(too_long)?;
        Ok(())
    }

    fn without_nulls(self) -> Self {
        Evaluation { nulls: false, ..self }
    }

    /// The bytes of a part that may not be unset, and null only where collections may hold nulls.
    fn nullable_part(self, expr: &'v Expr, of: &str) -> Result<Option<Cow<'v, [u8]>>, Halt> {
        match self.value(expr)? {
            Evaluated::Null if self.nulls => Ok(None),
            value => Ok(Some(present(value, of)?)),
        }
    }

    /// The bytes of a part that may be neither null nor unset.
    fn part(self, expr: &'v Expr, of: &str) -> Result<Cow<'v, [u8]>, Halt> {
        Ok(present(self.value(expr)?, of)?)
    }
}

fn present<'v>(value: Evaluated<'v>, of: &str) -> Result<Cow<'v, [u8]>, QueryError> {
    match value {
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

fn element<'b>(collection: &CqlType, value: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    match collection {
        CqlType::Map { key: ty, .. } => {
            let mut entries = NullableEntries::new(value).ok()?.flatten();
            entries.find(|(found, _)| compare(ty, found, key).is_eq())?.1
        }
        CqlType::Set { element: ty, .. } => {
            let mut elements = Elements::new(value, "set").ok()?.flatten();
            elements.find(|found| compare(ty, found, key).is_eq())
        }
        _ => None,
    }
}

/// What of a collection lies between two keys, and whether it is anything.
fn slice(
    collection: &CqlType,
    value: &[u8],
    from: Option<&[u8]>,
    to: Option<&[u8]>,
) -> Result<(Vec<u8>, bool), QueryError> {
    let mut out = Vec::new();
    let mut found = false;
    let mut writer = CollectionWriter::new(&mut out);
    let within = |ty: &CqlType, key: &[u8]| {
        from.is_none_or(|from| compare(ty, key, from).is_ge())
            && to.is_none_or(|to| compare(ty, key, to).is_le())
    };
    match collection {
        CqlType::Map { key: ty, .. } => {
            for (key, value) in NullableEntries::new(value).into_iter().flatten().flatten() {
                if within(ty, key) {
                    writer.entry(key, value).map_err(too_long)?;
                    found = true;
                }
            }
        }
        CqlType::Set { element: ty, .. } => {
            for element in Elements::new(value, "set").into_iter().flatten().flatten() {
                if within(ty, element) {
                    writer.element(element).map_err(too_long)?;
                    found = true;
                }
            }
        }
        _ => {}
    }
    writer.finish().map_err(too_long)?;
    Ok((out, found))
}

fn unset_inside(what: &str) -> QueryError {
    QueryError::invalid(format!("a value inside {what} is not set: bind every one of them"))
}

fn too_long(error: EncodeError) -> QueryError {
    QueryError::invalid(error.to_string())
}
