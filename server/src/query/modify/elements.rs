//! Writes to the elements of multi-cell columns: collections and user types that are not frozen.
//!
//! Each element is a cell with a path: the byte-comparable element of a set or key of a map, the field's number of a
//! user type, and a time-UUID of its own for an element of a list, so that lists keep the order in which they grew.

use std::borrow::Cow;

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Entries, Fields};
use tholos_grammar::value::codec::{DecodeError, kind};
use tholos_grammar::value::order::timeuuid_to_ordered;
use tholos_storage::model::CellState;
use tholos_storage::model::entry::RowRef;
use tholos_storage::model::row::RowItem;

use super::attributes::WriteTime;
use super::operations::{ColumnWrite, ElementWrite};
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::expression::{Evaluated, Expr};
use crate::query::functions::CallContext;
use crate::query::keys::{encode_element, loses_form};
use crate::query::values::Bound;

/// A path within a multi-cell column.
pub type Path = SmallVec<[u8; 24]>;

/// A cell of a multi-cell column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementCell<'v> {
    /// Which element.
    pub path: Path,
    /// Live, expiring or deleted.
    pub state: CellState,
    /// The element's bytes; empty for what is deleted, and in sets unless the path gives back another form of it.
    pub value: Cow<'v, [u8]>,
}

/// What writing elements may use.
#[derive(Clone, Copy)]
pub struct ElementContext<'a, 'v> {
    /// Timestamp and expiry.
    pub time: &'a WriteTime,
    /// Values of the markers.
    pub values: &'v [Bound<'v>],
    /// The request's time and random bits.
    pub call: CallContext<'a>,
    /// The row as it is, where it had to be read.
    pub existing: Option<RowRef<'a>>,
}

/// The cells of a whole value of a multi-cell type, by path.
///
/// # Errors
/// [`QueryError::Invalid`] when a list has more elements than paths can tell apart.
pub fn whole<'v>(
    cql_type: &CqlType,
    bytes: Cow<'v, [u8]>,
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<Vec<ElementCell<'v>>, QueryError> {
    let mut cells = Vec::new();
    add(cql_type, bytes, false, &mut cells, paths, context)?;
    Ok(cells)
}

/// The cells of some element writes to one column, by path; of two to one element, the one that wins.
///
/// # Errors
/// [`QueryError::Invalid`] for null keys, indexes out of range and values that are no values of their type.
pub fn several<'v>(
    column: &'v ColumnWrite,
    writes: &'v [ElementWrite],
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<Vec<ElementCell<'v>>, Halt> {
    let mut cells = Vec::new();
    for write in writes {
        one(column, write, &mut cells, paths, context)?;
    }
    // At equal timestamps a deletion wins, then the greater value (2.1).
    let rank = |cell: &ElementCell<'_>| matches!(cell.state, CellState::Tombstone { .. });
    cells.sort_by(|a, b| {
        a.path.cmp(&b.path).then_with(|| rank(b).cmp(&rank(a))).then_with(|| b.value.cmp(&a.value))
    });
    cells.dedup_by(|later, kept| later.path == kept.path);
    Ok(cells)
}

fn one<'v>(
    column: &'v ColumnWrite,
    write: &'v ElementWrite,
    cells: &mut Vec<ElementCell<'v>>,
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<(), Halt> {
    match write {
        ElementWrite::Add(expr) => {
            if let Evaluated::Bytes(bytes) = expr.evaluate(context.values, context.call)? {
                add(&column.cql_type, bytes, false, cells, paths, context)?;
            }
        }
        ElementWrite::Prepend(expr) => {
            if let Evaluated::Bytes(bytes) = expr.evaluate(context.values, context.call)? {
                add(&column.cql_type, bytes, true, cells, paths, context)?;
            }
        }
        ElementWrite::Remove(expr) => {
            if let Evaluated::Bytes(bytes) = expr.evaluate(context.values, context.call)? {
                remove(column, &bytes, cells, context)?;
            }
        }
        ElementWrite::Put { key, value } => {
            push_value(key_path(column, key, context)?, value, cells, context)?;
        }
        ElementWrite::RemoveKey(key) => {
            let is_set = matches!(column.cql_type, CqlType::Set { .. });
            if !(is_set && is_unset(key, context)?) {
                cells.push(deleted(key_path(column, key, context)?, context));
            }
        }
        ElementWrite::PutAt { index, value } => {
            let path = index_path(column, index, "set", context)?;
            push_value(path, value, cells, context)?;
        }
        ElementWrite::RemoveAt(index) => {
            if !is_unset(index, context)? {
                let path = index_path(column, index, "delete", context)?;
                cells.push(deleted(path, context));
            }
        }
        ElementWrite::Field { position, value } => {
            push_value(Path::from_slice(&position.to_be_bytes()), value, cells, context)?;
        }
    }
    Ok(())
}

/// Adds the elements of a value of the column's type.
fn add<'v>(
    cql_type: &CqlType,
    bytes: Cow<'v, [u8]>,
    prepend: bool,
    cells: &mut Vec<ElementCell<'v>>,
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<(), QueryError> {
    let state = context.time.state();
    let mut push = |path, value| cells.push(ElementCell { path, state, value });
    match cql_type {
        CqlType::Set { element, .. } => {
            for item in Elements::new(&bytes, "set").map_err(damaged)? {
                let item = item.map_err(damaged)?;
                // What the path gives back in another form is kept as it was written.
                let written = if loses_form(element, item)? { item } else { &[] };
                push(path_of(element, item)?, Cow::Owned(written.to_vec()));
            }
        }
        CqlType::Map { key, .. } => match &bytes {
            Cow::Borrowed(bytes) => {
                for entry in Entries::new(bytes).map_err(damaged)? {
                    let (key_bytes, value) = entry.map_err(damaged)?;
                    push(path_of(key, key_bytes)?, Cow::Borrowed(value));
                }
            }
            Cow::Owned(bytes) => {
                for entry in Entries::new(bytes).map_err(damaged)? {
                    let (key_bytes, value) = entry.map_err(damaged)?;
                    push(path_of(key, key_bytes)?, Cow::Owned(value.to_vec()));
                }
            }
        },
        CqlType::List { .. } => {
            let items = Elements::new(&bytes, "list").map_err(damaged)?;
            let mut paths = paths.take(items.remaining(), prepend, context.call)?;
            for item in items {
                let path = paths.next().unwrap_or_default();
                push(path, Cow::Owned(item.map_err(damaged)?.to_vec()));
            }
        }
        CqlType::Udt { definition, .. } => {
            let fields = Fields::new(&bytes, definition.fields.len(), "user type");
            for (position, field) in (0u16..).zip(fields) {
                if let Some(value) = field.map_err(damaged)? {
                    push(Path::from_slice(&position.to_be_bytes()), Cow::Owned(value.to_vec()));
                }
            }
        }
        other => return Err(QueryError::Internal(format!("a {} has no elements", kind(other)))),
    }
    Ok(())
}

/// Removes elements of a set, keys of a map, or all elements of a list that have one of some values.
fn remove<'v>(
    column: &ColumnWrite,
    bytes: &[u8],
    cells: &mut Vec<ElementCell<'v>>,
    context: ElementContext<'_, 'v>,
) -> Result<(), QueryError> {
    let items = Elements::new(bytes, kind(&column.cql_type)).map_err(damaged)?;
    let items = items.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    match &column.cql_type {
        CqlType::Set { element, .. } | CqlType::Map { key: element, .. } => {
            for item in items {
                cells.push(deleted(path_of(element, item)?, context));
            }
        }
        _ => {
            for (path, value) in list_elements(column, context)? {
                if items.contains(&value) {
                    cells.push(deleted(Path::from_slice(path), context));
                }
            }
        }
    }
    Ok(())
}

fn push_value<'v>(
    path: Path,
    value: &'v Expr,
    cells: &mut Vec<ElementCell<'v>>,
    context: ElementContext<'_, 'v>,
) -> Result<(), Halt> {
    match value.evaluate(context.values, context.call)? {
        Evaluated::Unset => {}
        Evaluated::Null => cells.push(deleted(path, context)),
        Evaluated::Bytes(value) => {
            cells.push(ElementCell { path, state: context.time.state(), value });
        }
    }
    Ok(())
}

fn deleted<'v>(path: Path, context: ElementContext<'_, 'v>) -> ElementCell<'v> {
    ElementCell { path, state: context.time.tombstone(), value: Cow::Borrowed(&[]) }
}

/// Whether an element is named by a marker that is not set: then it is nobody's business.
fn is_unset(key: &Expr, context: ElementContext<'_, '_>) -> Result<bool, Halt> {
    Ok(key.evaluate(context.values, context.call)? == Evaluated::Unset)
}

/// The path of a key given by itself.
fn key_path(
    column: &ColumnWrite,
    key: &Expr,
    context: ElementContext<'_, '_>,
) -> Result<Path, Halt> {
    match key.evaluate(context.values, context.call)? {
        Evaluated::Bytes(bytes) => Ok(path_of(&key.cql_type, &bytes)?),
        Evaluated::Unset => Err(QueryError::invalid(format!(
            "the key of an element of {} is not set: bind one",
            column.name
        ))
        .into()),
        Evaluated::Null => Err(QueryError::invalid(format!(
            "the key of an element of {} is null: collections have no null keys",
            column.name
        ))
        .into()),
    }
}

fn path_of(element: &CqlType, bytes: &[u8]) -> Result<Path, QueryError> {
    let mut path = Path::new();
    encode_element(element, bytes, &mut path)?;
    Ok(path)
}

/// The path of a list's element by number.
fn index_path(
    column: &ColumnWrite,
    index: &Expr,
    verb: &str,
    context: ElementContext<'_, '_>,
) -> Result<Path, Halt> {
    let index = match index.evaluate(context.values, context.call)? {
        Evaluated::Bytes(bytes) => bytes.as_ref().try_into().map(i32::from_be_bytes).ok(),
        Evaluated::Null | Evaluated::Unset => None,
    };
    let Some(index) = index else {
        return Err(QueryError::invalid(format!(
            "the index of an element of {} is null or not set",
            column.name
        ))
        .into());
    };
    let elements = list_elements(column, context)?;
    if elements.is_empty() {
        return Err(QueryError::invalid(format!(
            "attempted to {verb} an element of list {}, which is null",
            column.name
        ))
        .into());
    }
    match usize::try_from(index).ok().and_then(|at| elements.get(at)) {
        Some((path, _)) => Ok(Path::from_slice(path)),
        None => Err(QueryError::invalid(format!(
            "list index {index} out of bound, list {} has size {}",
            column.name,
            elements.len()
        ))
        .into()),
    }
}

/// Path and value of an element of a list.
type ListElement<'a> = (&'a [u8], &'a [u8]);

/// A list's elements as they are.
fn list_elements<'a>(
    column: &ColumnWrite,
    context: ElementContext<'a, '_>,
) -> Result<Vec<ListElement<'a>>, QueryError> {
    let Some(row) = context.existing else { return Ok(Vec::new()) };
    let mut elements = Vec::new();
    for item in row.items().map_err(unreadable)? {
        if let RowItem::Cell(cell) = item.map_err(unreadable)?
            && cell.column == column.id
            && cell.is_live(context.time.now)
            && let Some(path) = cell.path
        {
            elements.push((path, cell.value));
        }
    }
    Ok(elements)
}

/// Paths of new list elements: time-UUIDs in the order that the elements are to have.
///
/// One request has one of these for all its statements. Elements appended by a later one come after those of an earlier
/// one; elements prepended by a later one before them, and as they are written among themselves:
///
/// ```text
/// l = l + [1, 2]     number 0, 1           at the request's time
/// l = l + [3]        number 2
/// l = [9, 10] + l    number 2^24-2, 2^24-1 at the request's time, mirrored at 2010
/// l = [8] + l        number 2^24-3
/// ```
/// The time is the request's, whatever the timestamp of the write, so that lists grow in the order of real time. The
/// number is the most significant part of what follows the time; then come random bits, so that two nodes never make the
/// same path.
#[derive(Debug, Default)]
pub struct ListPaths {
    appended: u32,
    prepended: u32,
    random: Option<u32>,
}

/// 100 ns intervals from 1582-10-15, where time-UUIDs begin, to 1970.
const GREGORIAN_TICKS: i64 = 0x01B2_1DD2_1381_4000;
/// 2010-01-01: what the times of prepended elements are mirrored at.
const MIRROR_MICROS: i64 = 1_262_304_000_000_000;
/// Numbers that fit the path.
const MAX_ISSUED: u32 = 1 << 24;

impl ListPaths {
    /// Paths for that many elements that are added together, ascending.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] after 16 million of them.
    pub fn take(
        &mut self,
        count: usize,
        prepend: bool,
        call: CallContext<'_>,
    ) -> Result<impl Iterator<Item = Path> + use<>, QueryError> {
        let issued = if prepend { &mut self.prepended } else { &mut self.appended };
        let after = u32::try_from(count).ok().and_then(|count| issued.checked_add(count));
        let Some(after) = after.filter(|after| *after <= MAX_ISSUED) else {
            return Err(QueryError::invalid(format!(
                "a request may add {MAX_ISSUED} list elements at most"
            )));
        };
        let before = std::mem::replace(issued, after);
        let random = *self.random.get_or_insert_with(|| call.random.bits() as u32);
        let (micros, numbers) = match prepend {
            false => (call.time.micros, before..after),
            true => (
                (2 * MIRROR_MICROS).saturating_sub(call.time.micros),
                MAX_ISSUED - after..MAX_ISSUED - before,
            ),
        };
        Ok(numbers.map(move |number| list_path(micros, number, random)))
    }
}

fn list_path(micros: i64, number: u32, random: u32) -> Path {
    let ticks = micros.saturating_mul(10).saturating_add(GREGORIAN_TICKS).max(0) as u64;
    let (low, mid, high) = (ticks & 0xffff_ffff, (ticks >> 32) & 0xffff, (ticks >> 48) & 0xfff);
    let most = low << 32 | mid << 16 | 0x1000 | high;
    // The variant bits, then the number and the random bits in a form that sorts by signed bytes.
    let rest = u64::from(number) << 32 | u64::from(random);
    let least = 0x80 << 56 | (rest ^ 0x0080_8080_8080_8080);
    let uuid = u128::from(most) << 64 | u128::from(least);
    Path::from_slice(&timeuuid_to_ordered(uuid).to_be_bytes())
}

/// Values were validated before they come here.
fn damaged(error: DecodeError) -> QueryError {
    QueryError::invalid(error.to_string())
}

/// The error for a row that storage gave and that does not decode.
pub fn unreadable(error: tholos_storage::model::row::RowError) -> QueryError {
    QueryError::Internal(format!("storage gave a row that can't be read: {error}"))
}
