//! Expressions of the select list, evaluated over one row.

use std::borrow::Cow;

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Entries, Fields};
use tholos_grammar::value::codec::writer::CollectionWriter;
use tholos_grammar::value::compare::compare;
use tholos_storage::model::position::token_of;

use super::ranges::Evaluator;
use super::row::RowView;
use crate::error::QueryError;
use crate::query::expression::{Evaluated, Expr};
use crate::query::functions::Function;
use crate::query::keys;
use crate::query::select::plan::{Part, Selected};

/// The value of an expression; `None` is null.
pub(super) fn evaluate<'x, 'r: 'x>(
    selected: &'x Selected,
    row: &RowView<'r>,
    evaluator: Evaluator<'x>,
) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
    match selected {
        Selected::Column(slot) => row.value(*slot),
        Selected::Term(expr) => term(expr, evaluator),
        Selected::Writetime(slot) => writetimes(row, *slot),
        Selected::MaxWritetime(slot) => {
            let cells = row.live_cells(*slot)?;
            let max = cells.iter().map(|cell| cell.timestamp).max();
            Ok(max.map(|micros| Cow::Owned(micros.to_be_bytes().to_vec())))
        }
        Selected::Ttl(slot) => ttls(row, *slot),
        Selected::OfPart { ttl, slot, part } => of_part(row, *ttl, *slot, part, evaluator),
        Selected::TokenOf(values) => {
            let mut components = Vec::with_capacity(values.len());
            for value in values {
                match evaluate(value, row, evaluator)? {
                    Some(component) => components.push(component),
                    None => return Ok(None),
                }
            }
            let components: Vec<&[u8]> = components.iter().map(|bytes| &**bytes).collect();
            Ok(Some(Cow::Owned(keys::token(&components)?.0.to_be_bytes().to_vec())))
        }
        Selected::Token => Ok(Some(Cow::Owned(token_of(row.prefix).to_be_bytes().to_vec()))),
        Selected::Call(function, arguments) => {
            let mut values = SmallVec::new();
            for argument in arguments {
                values.push(evaluate(argument, row, evaluator)?);
            }
            call(function, &values, evaluator)
        }
        Selected::Field { of, index } => {
            let Some(value) = evaluate(of, row, evaluator)? else { return Ok(None) };
            let field = Fields::new(&value, index + 1, "user type").flatten().nth(*index);
            Ok(field.flatten().map(|bytes| Cow::Owned(bytes.to_vec())))
        }
        Selected::Element { of, collection, key } => {
            let Some(value) = evaluate(of, row, evaluator)? else { return Ok(None) };
            let Some(key) = term(key, evaluator)? else { return Ok(None) };
            Ok(element(collection, &value, &key).map(|bytes| Cow::Owned(bytes.to_vec())))
        }
        Selected::Slice { of, collection, from, to } => {
            let Some(value) = evaluate(of, row, evaluator)? else { return Ok(None) };
            let bound = |end: &'x Option<Expr>| match end {
                Some(end) => term(end, evaluator),
                None => Ok(None),
            };
            slice(collection, &value, bound(from)?.as_deref(), bound(to)?.as_deref())
        }
    }
}

/// Calls a function with values.
pub(super) fn call<'r>(
    function: &Function,
    values: &SmallVec<[Option<Cow<'_, [u8]>>; 4]>,
    evaluator: Evaluator<'_>,
) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    let borrowed: SmallVec<[Option<&[u8]>; 4]> =
        values.iter().map(|value| value.as_deref()).collect();
    Ok(function.call(&borrowed, evaluator.context)?.map(Cow::Owned))
}

fn term<'r>(expr: &'r Expr, evaluator: Evaluator<'r>) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    match expr.evaluate(evaluator.values, evaluator.context)? {
        Evaluated::Bytes(bytes) => Ok(Some(bytes)),
        Evaluated::Null => Ok(None),
        Evaluated::Unset => {
            Err(QueryError::invalid("a value in the select list is not set: bind a value, or null"))
        }
    }
}

fn is_multi_cell(row: &RowView<'_>, slot: usize) -> bool {
    row.slots.get(slot).is_some_and(|slot| slot.cql_type.is_multi_cell())
}

fn writetimes<'r>(row: &RowView<'r>, slot: usize) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    let cells = row.live_cells(slot)?;
    let times = cells.iter().map(|cell| Some(cell.timestamp.to_be_bytes().to_vec()));
    numbers(times, is_multi_cell(row, slot))
}

fn ttls<'r>(row: &RowView<'r>, slot: usize) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    let cells = row.live_cells(slot)?;
    let ttls = cells.iter().map(|cell| row.ttl(cell).map(|ttl| ttl.to_be_bytes().to_vec()));
    numbers(ttls, is_multi_cell(row, slot))
}

/// The time of one part's cell, or of the whole column's if that is one cell.
fn of_part<'r>(
    row: &RowView<'r>,
    ttl: bool,
    slot: usize,
    part: &Part,
    evaluator: Evaluator<'_>,
) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    let mut path = SmallVec::<[u8; 24]>::new();
    match part {
        Part::Field(index) => path.extend_from_slice(&index.to_be_bytes()),
        Part::Element(key) => {
            let Some(bytes) = term(key, evaluator)? else { return Ok(None) };
            keys::encode_element(&key.cql_type, &bytes, &mut path)?;
        }
    }
    let cells = row.live_cells(slot)?;
    let mut cells = cells.iter();
    let Some(cell) = cells.find(|cell| cell.path.is_none_or(|of_cell| *of_cell == *path)) else {
        return Ok(None);
    };
    let time = match ttl {
        true => row.ttl(cell).map(|seconds| seconds.to_be_bytes().to_vec()),
        false => Some(cell.timestamp.to_be_bytes().to_vec()),
    };
    Ok(time.map(Cow::Owned))
}

/// One number, or the list of all of them for a multi-cell column; null when there is none.
fn numbers<'r>(
    numbers: impl ExactSizeIterator<Item = Option<Vec<u8>>>,
    several: bool,
) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    if numbers.len() == 0 {
        return Ok(None);
    }
    if !several {
        return Ok(numbers.last().flatten().map(Cow::Owned));
    }
    let mut out = (numbers.len() as i32).to_be_bytes().to_vec();
    for number in numbers {
        tholos_grammar::value::codec::writer::push_value(number.as_deref(), &mut out)
            .map_err(|error| QueryError::invalid(error.to_string()))?;
    }
    Ok(Some(Cow::Owned(out)))
}

fn element<'v>(collection: &CqlType, value: &'v [u8], key: &[u8]) -> Option<&'v [u8]> {
    match collection {
        CqlType::Map { key: ty, .. } => {
            let mut entries = Entries::new(value).ok()?.flatten();
            entries.find(|(found, _)| compare(ty, found, key).is_eq()).map(|(_, value)| value)
        }
        CqlType::Set { element: ty, .. } => {
            let mut elements = Elements::new(value, "set").ok()?.flatten();
            elements.find(|found| compare(ty, found, key).is_eq())
        }
        _ => None,
    }
}

fn slice<'r>(
    collection: &CqlType,
    value: &[u8],
    from: Option<&[u8]>,
    to: Option<&[u8]>,
) -> Result<Option<Cow<'r, [u8]>>, QueryError> {
    let mut out = Vec::new();
    let mut writer = CollectionWriter::new(&mut out);
    let within = |ty: &CqlType, key: &[u8]| {
        from.is_none_or(|from| compare(ty, key, from).is_ge())
            && to.is_none_or(|to| compare(ty, key, to).is_le())
    };
    match collection {
        CqlType::Map { key: ty, .. } => {
            for (key, value) in Entries::new(value).into_iter().flatten().flatten() {
                if within(ty, key) {
                    writer.entry(key, value).map_err(|e| QueryError::invalid(e.to_string()))?;
                }
            }
        }
        CqlType::Set { element: ty, .. } => {
            for element in Elements::new(value, "set").into_iter().flatten().flatten() {
                if within(ty, element) {
                    writer.element(element).map_err(|e| QueryError::invalid(e.to_string()))?;
                }
            }
        }
        _ => return Ok(None),
    }
    writer.finish().map_err(|error| QueryError::invalid(error.to_string()))?;
    Ok(Some(Cow::Owned(out)))
}
