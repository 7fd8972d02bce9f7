//! Keys with their values: the partitions, rows and ranges of rows that a modification is about.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Fields};
use tholos_storage::model::position::{BEFORE, ROW};
use tholos_storage::model::{ColumnId, written_key};
use tholos_storage::schema::{Column, Table};

use super::restrictions::{Alternatives, KeyTuple, Keys, Points};
use crate::error::QueryError;
use crate::query::expression::{Evaluated, Expr};
use crate::query::functions::CallContext;
use crate::query::intervals;
use crate::query::keys::{self, MAX_COMBINATIONS, Partition, Position};
use crate::query::values::Bound;

/// The values of some key columns.
type KeyValues<'v> = SmallVec<[Cow<'v, [u8]>; 4]>;

/// The partitions of a modification, each once, in the order of their keys.
///
/// # Errors
/// [`QueryError::Invalid`] for a key column that is null or not set, and for an empty or too long key.
pub fn partitions(
    table: &Table,
    keys: &Keys,
    values: &[Bound<'_>],
    context: CallContext<'_>,
) -> Result<SmallVec<[Partition; 1]>, QueryError> {
    let mut partitions = SmallVec::new();
    for key in combinations(&keys.partition, &table.partition_key, values, context)? {
        partitions.push(keys::encode_partition(table, &borrowed(&key))?);
    }
    sort(&mut partitions);
    Ok(partitions)
}

/// The rows of a modification whose keys name all clustering columns, each once, in order.
///
/// # Errors
/// As [`partitions`].
pub fn rows(
    table: &Table,
    keys: &Keys,
    values: &[Bound<'_>],
    context: CallContext<'_>,
) -> Result<SmallVec<[Position; 1]>, QueryError> {
    let mut positions = SmallVec::new();
    for row in combinations(&keys.clustering, &table.clustering, values, context)? {
        positions.push(keys::encode_clustering(table, &borrowed(&row), ROW)?);
    }
    sort(&mut positions);
    Ok(positions)
}

/// Clustering values as they were written, by the id of their cells.
pub type WrittenKeys = SmallVec<[(ColumnId, Vec<u8>); 1]>;

/// As [`rows`], with the clustering values that the key would give back in another form.
///
/// # Errors
/// As [`partitions`].
pub fn rows_as_written(
    table: &Table,
    keys: &Keys,
    values: &[Bound<'_>],
    context: CallContext<'_>,
) -> Result<Vec<(Position, WrittenKeys)>, QueryError> {
    let mut rows = Vec::new();
    for row in combinations(&keys.clustering, &table.clustering, values, context)? {
        let position = keys::encode_clustering(table, &borrowed(&row), ROW)?;
        let mut written = WrittenKeys::new();
        for (place, (column, value)) in (0u16..).zip(table.clustering.iter().zip(&row)) {
            if keys::loses_form(&column.cql_type, value)? {
                written.push((written_key(place), value.to_vec()));
            }
        }
        rows.push((position, written));
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    rows.dedup_by(|later, kept| later.0 == kept.0);
    Ok(rows)
}

/// The ranges of rows of a DELETE whose keys name a prefix of the clustering columns and perhaps a slice: start and end
/// positions. Slices that hold nothing are left out; one over columns of different order may come to several.
///
/// # Errors
/// As [`partitions`].
pub fn ranges(
    table: &Table,
    keys: &Keys,
    values: &[Bound<'_>],
    context: CallContext<'_>,
) -> Result<Vec<(Position, Position)>, QueryError> {
    let bounds = [(&keys.slice.lower, true), (&keys.slice.upper, false)];
    let mut slice = SmallVec::<[_; 2]>::new();
    for (bound, is_lower) in bounds {
        let Some(bound) = bound else { continue };
        let columns = &table.clustering[bound.columns.clone()];
        slice.push((columns, tuple(&bound.value, columns, values, context)?, bound, is_lower));
    }
    let mut ranges = Vec::new();
    for prefix in combinations(&keys.clustering, &table.clustering, values, context)? {
        let components = borrowed(&prefix);
        for (_, bound, ..) in &slice {
            let whole = components.iter().copied().chain(bound.iter().map(|value| &**value));
            keys::check_clustering_length(table, whole)?;
        }
        let mut position = keys::encode_clustering(table, &components, BEFORE)?.to_vec();
        position.pop();
        let mut intervals = vec![intervals::around(&position)];
        for (columns, values, bound, is_lower) in &slice {
            let beyond = intervals::beyond(&position, columns, values, bound.inclusive, *is_lower)?;
            intervals = intervals::intersect(&intervals, &beyond);
        }
        ranges.extend(intervals.into_iter().map(|interval| {
            (Position::from_vec(interval.lower), Position::from_vec(interval.upper))
        }));
    }
    ranges.sort();
    ranges.dedup();
    Ok(ranges)
}

/// All combinations of the values that columns may have, by the order of the columns.
fn combinations<'v>(
    points: &'v [Points],
    columns: &[Column],
    values: &'v [Bound<'v>],
    context: CallContext<'_>,
) -> Result<SmallVec<[KeyValues<'v>; 1]>, QueryError> {
    let mut combined: SmallVec<[KeyValues<'v>; 1]> = smallvec![KeyValues::new()];
    for points in points {
        let alternatives = alternatives(points, &columns[points.columns.clone()], values, context)?;
        if let [single] = alternatives.as_slice() {
            combined.iter_mut().for_each(|key| key.extend(single.iter().cloned()));
            continue;
        }
        if combined.len().saturating_mul(alternatives.len()) > MAX_COMBINATIONS {
            return Err(keys::too_many_combinations());
        }
        let product = combined.iter().flat_map(|key| {
            alternatives.iter().map(|alternative| key.iter().chain(alternative).cloned().collect())
        });
        combined = product.collect();
    }
    Ok(combined)
}

fn alternatives<'v>(
    points: &'v Points,
    columns: &[Column],
    values: &'v [Bound<'v>],
    context: CallContext<'_>,
) -> Result<SmallVec<[KeyValues<'v>; 1]>, QueryError> {
    match &points.values {
        Alternatives::These(tuples) => {
            tuples.iter().map(|value| tuple(value, columns, values, context)).collect()
        }
        Alternatives::ListMarker(expr) => listed(expr, columns, values, context),
    }
}

/// The values that `IN ?` was given.
fn listed<'v>(
    expr: &'v Expr,
    columns: &[Column],
    values: &'v [Bound<'v>],
    context: CallContext<'_>,
) -> Result<SmallVec<[KeyValues<'v>; 1]>, QueryError> {
    let Evaluated::Bytes(bytes) = expr.evaluate(values, context)? else {
        return Err(QueryError::invalid(format!(
            "the values of IN for {} are null or not set",
            columns[0].name
        )));
    };
    let is_tuple = match &expr.cql_type {
        CqlType::List { element, .. } => **element != columns[0].cql_type || columns.len() > 1,
        _ => false,
    };
    let elements = Elements::new(&bytes, "list").map_err(damaged)?;
    let mut keys = SmallVec::new();
    for element in elements {
        let element = element.map_err(damaged)?;
        keys.push(match is_tuple {
            true => fields(element, columns)?,
            false => smallvec![Cow::Owned(element.to_vec())],
        });
    }
    Ok(keys)
}

fn tuple<'v>(
    tuple: &'v KeyTuple,
    columns: &[Column],
    values: &'v [Bound<'v>],
    context: CallContext<'_>,
) -> Result<KeyValues<'v>, QueryError> {
    match tuple {
        KeyTuple::Columns(exprs) => exprs
            .iter()
            .zip(columns)
            .map(|(expr, column)| match expr.evaluate(values, context)? {
                Evaluated::Bytes(bytes) => Ok(bytes),
                missing => Err(keys::missing_value(column, &missing)),
            })
            .collect(),
        KeyTuple::Whole(expr) => match expr.evaluate(values, context)? {
            Evaluated::Bytes(bytes) => fields(&bytes, columns),
            missing => Err(keys::missing_value(&columns[0], &missing)),
        },
    }
}

fn fields<'v>(tuple: &[u8], columns: &[Column]) -> Result<KeyValues<'v>, QueryError> {
    let mut fields = Fields::new(tuple, columns.len(), "tuple");
    columns
        .iter()
        .map(|column| match fields.next().transpose().map_err(damaged)?.flatten() {
            Some(bytes) => Ok(Cow::Owned(bytes.to_vec())),
            None => Err(keys::missing_value(column, &Evaluated::Null)),
        })
        .collect()
}

fn borrowed<'a>(values: &'a KeyValues<'_>) -> SmallVec<[&'a [u8]; 4]> {
    values.iter().map(|value| &**value).collect()
}

/// Sorts and drops what occurs twice (`IN (1, 1)`).
fn sort<K: Ord, const N: usize>(keys: &mut SmallVec<[K; N]>) {
    if keys.len() > 1 {
        keys.sort();
        keys.dedup();
    }
}

/// Bound values were validated before they come here.
fn damaged(error: tholos_grammar::value::codec::DecodeError) -> QueryError {
    QueryError::invalid(error.to_string())
}
