//! Intervals of positions within a partition: what restrictions of clustering columns come to.
//!
//! A restriction is a set of half-open intervals; several hold together by intersecting their intervals. So slices of
//! tuples over columns of mixed order need no case of their own: they are unions of intervals, which join where they
//! touch. Sets of intervals are ascending, and none touches the next.

use tholos_storage::model::position::{AFTER, BEFORE};
use tholos_storage::schema::Column;

use crate::error::QueryError;
use crate::query::keys;

/// Positions from `lower` up to, not with, `upper`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first position.
    pub lower: Vec<u8>,
    /// The first position after it.
    pub upper: Vec<u8>,
}

/// The rows whose columns are above (or below) `values` in lexicographic order: those that equal the first columns and
/// are beyond in the next one, for each column, and those that equal all if the bound is inclusive.
///
/// # Errors
/// [`QueryError::Invalid`](crate::error::QueryError) for a value that can't be part of a key.
pub fn beyond(
    prefix: &[u8],
    columns: &[Column],
    values: &[impl AsRef<[u8]>],
    inclusive: bool,
    above: bool,
) -> Result<Vec<Interval>, QueryError> {
    let mut intervals = Vec::with_capacity(columns.len());
    let mut equal = prefix.to_vec();
    for (place, (column, value)) in columns.iter().zip(values).enumerate() {
        let whole = around(&equal);
        keys::push_clustering(column, value.as_ref(), &mut equal)?;
        let with_equal = inclusive && place + 1 == columns.len();
        // In a descending column greater values come first.
        let towards_end = above != column.descending;
        let weight = if towards_end == with_equal { BEFORE } else { AFTER };
        let bound = with_weight(&equal, weight);
        intervals.push(match towards_end {
            true => Interval { lower: bound, upper: whole.upper },
            false => Interval { lower: whole.lower, upper: bound },
        });
    }
    Ok(join(intervals))
}

/// Sorts intervals and joins those that touch or overlap; drops empty ones.
fn join(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.retain(|interval| interval.lower < interval.upper);
    intervals.sort_by(|a, b| a.lower.cmp(&b.lower));
    let mut joined: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match joined.last_mut() {
            Some(last) if interval.lower <= last.upper => {
                last.upper = std::mem::take(&mut last.upper).max(interval.upper);
            }
            _ => joined.push(interval),
        }
    }
    joined
}

/// What lies in both.
pub fn intersect(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let both = pairs.map(|(a, b)| Interval {
        lower: a.lower.clone().max(b.lower.clone()),
        upper: a.upper.clone().min(b.upper.clone()),
    });
    join(both.collect())
}

/// All positions that begin with a prefix.
pub fn around(prefix: &[u8]) -> Interval {
    Interval { lower: with_weight(prefix, BEFORE), upper: with_weight(prefix, AFTER) }
}

fn with_weight(prefix: &[u8], weight: u8) -> Vec<u8> {
    let mut position = Vec::with_capacity(prefix.len() + 1);
    position.extend_from_slice(prefix);
    position.push(weight);
    position
}
