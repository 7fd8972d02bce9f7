//! Keys with their values: the partitions, rows and ranges of rows that a modification is about.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Fields};
use tholos_storage::model::position::{AFTER, BEFORE, ROW};
use tholos_storage::schema::{Column, Table};

use super::restrictions::{Alternatives, KeyTuple, Keys, Points, Slice, SliceBound};
use crate::error::QueryError;
use crate::query::functions::CallContext;
use crate::query::keys::{self, Partition, Position};
use crate::query::term::{Evaluated, Expr};
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

/// The ranges of rows of a DELETE whose keys name a prefix of the clustering columns and perhaps a slice: start and end
/// positions. Slices that hold nothing are left out.
///
/// # Errors
/// As [`partitions`].
pub fn ranges(
    table: &Table,
    keys: &Keys,
    values: &[Bound<'_>],
    context: CallContext<'_>,
) -> Result<Vec<(Position, Position)>, QueryError> {
    let ends = SliceEnds::new(table, &keys.slice, values, context)?;
    let mut ranges = Vec::new();
    for prefix in combinations(&keys.clustering, &table.clustering, values, context)? {
        let start = ends.position(table, &prefix, ends.start.as_ref(), BEFORE, AFTER)?;
        let end = ends.position(table, &prefix, ends.end.as_ref(), AFTER, BEFORE)?;
        if start < end {
            ranges.push((start, end));
        }
    }
    ranges.sort();
    ranges.dedup();
    Ok(ranges)
}

/// A slice's ends in the order of storage, where a descending column turns them round.
struct SliceEnds<'v> {
    start: Option<(KeyValues<'v>, bool)>,
    end: Option<(KeyValues<'v>, bool)>,
}

impl<'v> SliceEnds<'v> {
    fn new(
        table: &Table,
        slice: &'v Slice,
        values: &'v [Bound<'v>],
        context: CallContext<'_>,
    ) -> Result<Self, QueryError> {
        let evaluate = |bound: &'v SliceBound| {
            let columns = &table.clustering[bound.columns.clone()];
            Ok::<_, QueryError>((tuple(&bound.value, columns, values, context)?, bound.inclusive))
        };
        let lower = slice.lower.as_ref().map(evaluate).transpose()?;
        let upper = slice.upper.as_ref().map(evaluate).transpose()?;
        Ok(match is_descending(table, slice)? {
            false => SliceEnds { start: lower, end: upper },
            true => SliceEnds { start: upper, end: lower },
        })
    }

    fn position(
        &self,
        table: &Table,
        prefix: &KeyValues<'_>,
        bound: Option<&(KeyValues<'v>, bool)>,
        inclusive_weight: u8,
        exclusive_weight: u8,
    ) -> Result<Position, QueryError> {
        let mut components = borrowed(prefix);
        let weight = match bound {
            None => inclusive_weight,
            Some((values, inclusive)) => {
                components.extend(values.iter().map(|value| &**value));
                if *inclusive { inclusive_weight } else { exclusive_weight }
            }
        };
        keys::encode_clustering(table, &components, weight)
    }
}

/// Whether a slice's columns descend. Rows within a slice of mixed directions don't lie together.
///
/// # Errors
/// [`QueryError::NotSupportedYet`] for mixed directions.
pub fn is_descending(table: &Table, slice: &Slice) -> Result<bool, QueryError> {
    let bounds = slice.lower.iter().chain(&slice.upper);
    let mut directions = bounds
        .flat_map(|bound| &table.clustering[bound.columns.clone()])
        .map(|column| column.descending);
    let first = directions.next().unwrap_or(false);
    if directions.any(|direction| direction != first) {
        return Err(QueryError::NotSupportedYet(
            "DELETE of a slice over columns of different clustering order: delete by one column at a time".to_owned(),
        ));
    }
    Ok(first)
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
