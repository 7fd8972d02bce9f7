//! From restrictions and values to keys: partition prefixes, positions of rows, intervals of positions, ranges of tokens.
//!
//! What lies in a slice is a set of intervals of positions: see [`crate::query::intervals`].

use smallvec::{SmallVec, smallvec};
use tholos_storage::model::position::{ROW, token_of, token_prefix};
use tholos_storage::model::{ColumnId, written_key};
use tholos_storage::schema::{Column, Table};

use super::evaluate::{Evaluator, Values};
use super::{
    Candidates, Clustering, PartitionKeys, Points, SliceBound, TokenBound, TokenTerm, Tokens,
};
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::intervals::{Interval, around, beyond, intersect};
use crate::query::keys::{self, MAX_COMBINATIONS, Partition, Position};

/// What a key that is longer than keys may be means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongKeys {
    /// An error: nothing can be written there.
    Refused,
    /// No row: nothing can be there.
    Absent,
}

/// Clustering values as they were written, by the id of their cells.
pub type WrittenKeys = SmallVec<[(ColumnId, Vec<u8>); 1]>;

/// The keys `lower..upper`; an empty `upper` is the end.
pub type KeyRange = (Vec<u8>, Vec<u8>);

impl PartitionKeys {
    /// The partitions' prefixes, each once, in the order of the key's values.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a key column that is null or not set, for an empty or too long key, and for too many
    /// combinations.
    pub fn partitions(
        &self,
        table: &Table,
        evaluator: Evaluator<'_>,
    ) -> Result<SmallVec<[Partition; 1]>, Halt> {
        let mut partitions: SmallVec<[Partition; 1]> = SmallVec::new();
        for key in combinations(&self.columns, &table.partition_key, evaluator)? {
            partitions.push(keys::encode_partition(table, &borrowed(&key))?);
        }
        if partitions.len() > 1 {
            partitions.sort_by(|a, b| a.get(8..).cmp(&b.get(8..)));
            partitions.dedup();
        }
        if !self.tokens.are_all() {
            let range = self.tokens.bounds(table, evaluator)?;
            partitions.retain(|partition| range.holds(token_of(partition)));
        }
        Ok(partitions)
    }
}

impl Clustering {
    /// The positions of the rows that points for all clustering columns name, each once, ascending.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a column that is null or not set, a key that is too long, and too many combinations.
    pub fn rows(
        &self,
        table: &Table,
        evaluator: Evaluator<'_>,
    ) -> Result<SmallVec<[Position; 1]>, Halt> {
        let mut positions = SmallVec::new();
        for row in combinations(&self.points, &table.clustering, evaluator)? {
            positions.push(keys::encode_clustering(table, &borrowed(&row), ROW)?);
        }
        if positions.len() > 1 {
            positions.sort();
            positions.dedup();
        }
        Ok(positions)
    }

    /// As [`rows`](Self::rows), with the clustering values that have forms: what the key gives back as it is says so by no
    /// bytes, for an earlier write may have said something else.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn rows_as_written(
        &self,
        table: &Table,
        evaluator: Evaluator<'_>,
    ) -> Result<Vec<(Position, WrittenKeys)>, Halt> {
        let mut rows = Vec::new();
        for row in combinations(&self.points, &table.clustering, evaluator)? {
            let position = keys::encode_clustering(table, &borrowed(&row), ROW)?;
            let mut written = WrittenKeys::new();
            for (place, (column, value)) in (0u16..).zip(table.clustering.iter().zip(&row)) {
                if !keys::has_forms(&column.cql_type) {
                    continue;
                }
                let loses_form = keys::loses_form(&column.cql_type, value)?;
                let value = if loses_form { value.to_vec() } else { Vec::new() };
                written.push((written_key(place), value));
            }
            rows.push((position, written));
        }
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows.dedup_by(|later, kept| later.0 == kept.0);
        Ok(rows)
    }

    /// The position of the row, if there is one value for each clustering column and it may be a key: what is usual.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn one_row(
        &self,
        table: &Table,
        evaluator: Evaluator<'_>,
    ) -> Result<Option<Position>, Halt> {
        let all_single = self.width() == table.clustering.len()
            && self.points.iter().all(|points| matches!(points.values, Candidates::One(_)));
        if !all_single {
            return Ok(None);
        }
        let combined = combinations(&self.points, &table.clustering, evaluator)?;
        let Some(row) = combined.first().filter(|row| fits(row, None)) else { return Ok(None) };
        Ok(Some(keys::encode_clustering(table, &borrowed(row), ROW)?))
    }

    /// The intervals of positions of the rows, ascending and apart: all of a partition's, if nothing is restricted.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); a key that is too long is refused only if `long` says so.
    pub fn intervals(
        &self,
        table: &Table,
        evaluator: Evaluator<'_>,
        long: LongKeys,
    ) -> Result<Vec<Interval>, Halt> {
        let slice = self.slice_values(table, evaluator)?;
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
        for row in combinations(&self.points, &table.clustering, evaluator)? {
            let longest =
                slice.iter().map(|(_, _, values)| values).max_by_key(|values| bytes(values));
            match long {
                LongKeys::Absent if !fits(&row, None) => continue,
                LongKeys::Refused if !fits(&row, longest) => {
                    let all = row.iter().chain(longest.into_iter().flatten());
                    keys::check_clustering_length(table, all.map(|value| &**value))?;
                }
                _ => {}
            }
            let mut prefix = Vec::with_capacity(bytes(&row) * 2 + 16);
            for (column, value) in table.clustering.iter().zip(&row) {
                keys::push_clustering(column, value, &mut prefix)?;
            }
            prefixes.push(prefix);
        }
        prefixes.sort();
        prefixes.dedup();
        let mut intervals = Vec::with_capacity(prefixes.len());
        for prefix in &prefixes {
            let mut within = vec![around(prefix)];
            for (bound, above, values) in &slice {
                let columns = columns(table, bound);
                let beyond = beyond(prefix, columns, values, bound.inclusive, *above)?;
                within = intersect(&within, &beyond);
            }
            intervals.append(&mut within);
        }
        Ok(intervals)
    }

    /// The slice's bounds, whether each is the lower one, and their values.
    fn slice_values<'a>(
        &'a self,
        table: &'a Table,
        evaluator: Evaluator<'a>,
    ) -> Result<SmallVec<[BoundValues<'a>; 2]>, Halt> {
        let bounds = [(&self.slice.lower, true), (&self.slice.upper, false)];
        let bounds = bounds.into_iter().filter_map(|(bound, above)| Some((bound.as_ref()?, above)));
        bounds
            .map(|(bound, above)| {
                let columns = columns(table, bound);
                let values = evaluator.tuple(&bound.values, columns.len(), name_in(columns))?;
                Ok((bound, above, values))
            })
            .collect()
    }
}

/// A bound of a slice, whether it is the lower one, and its values.
type BoundValues<'a> = (&'a SliceBound, bool, Values<'a>);

/// A range of tokens with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TokenBounds {
    lower: Option<(i64, bool)>,
    upper: Option<(i64, bool)>,
}

impl TokenBounds {
    fn holds(&self, token: i64) -> bool {
        self.lower.is_none_or(|(lower, inclusive)| token > lower || inclusive && token == lower)
            && self
                .upper
                .is_none_or(|(upper, inclusive)| token < upper || inclusive && token == upper)
    }
}

impl Tokens {
    /// The keys of these tokens; `None` when there is none.
    ///
    /// As in Cassandra the least token stands for "before everything", so as an upper bound it means the end of the ring,
    /// and a range whose ends meet or cross is empty. No partition has it.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a token, or a part of its key, that is null or not set.
    pub fn key_range(
        &self,
        table: &Table,
        evaluator: Evaluator<'_>,
    ) -> Result<Option<KeyRange>, Halt> {
        let TokenBounds { lower, upper } = self.bounds(table, evaluator)?;
        match self {
            Tokens::At(_) if lower.is_some_and(|(token, _)| token == i64::MIN) => Ok(None),
            _ => Ok(key_range(lower, upper)),
        }
    }

    fn bounds(&self, table: &Table, evaluator: Evaluator<'_>) -> Result<TokenBounds, Halt> {
        let bound = |bound: &Option<TokenBound>| match bound {
            None => Ok(None),
            Some(bound) => bound.token.token(table, evaluator).map(|t| Some((t, bound.inclusive))),
        };
        match self {
            Tokens::At(term) => {
                let at = Some((term.token(table, evaluator)?, true));
                Ok(TokenBounds { lower: at, upper: at })
            }
            Tokens::Between { lower, upper } => {
                Ok(TokenBounds { lower: bound(lower)?, upper: bound(upper)? })
            }
        }
    }
}

impl TokenTerm {
    fn token(&self, table: &Table, evaluator: Evaluator<'_>) -> Result<i64, Halt> {
        match self {
            TokenTerm::Number(expr) => {
                let bytes = evaluator.value(expr, "token()")?;
                let number: [u8; 8] = bytes
                    .as_ref()
                    .try_into()
                    .map_err(|_| QueryError::invalid("a token is a bigint: bind 8 bytes"))?;
                Ok(i64::from_be_bytes(number))
            }
            TokenTerm::Key(exprs) => {
                let exprs = exprs.iter().zip(&table.partition_key);
                let values: Values<'_> = exprs
                    .map(|(expr, column)| evaluator.value(expr, column.name.as_str()))
                    .collect::<Result<_, Halt>>()?;
                Ok(keys::token(&borrowed(&values))?.0)
            }
        }
    }
}

fn key_range(lower: Option<(i64, bool)>, upper: Option<(i64, bool)>) -> Option<KeyRange> {
    let upper = upper.filter(|(token, _)| *token != i64::MIN);
    let lower = lower.filter(|(token, _)| *token != i64::MIN);
    let from = match lower {
        None => Some(i64::MIN),
        Some((token, true)) => Some(token),
        Some((token, false)) => token.checked_add(1),
    }?;
    let end = match upper {
        None => None,
        Some((token, true)) => token.checked_add(1),
        Some((token, false)) => Some(token),
    };
    if end.is_some_and(|end| end <= from) {
        return None;
    }
    let first = if from == i64::MIN { Vec::new() } else { token_prefix(from).to_vec() };
    Some((first, end.map(|end| token_prefix(end).to_vec()).unwrap_or_default()))
}

/// Every combination of the values that consecutive columns may have, by the order of the columns.
fn combinations<'a>(
    points: &'a [Points],
    key: &'a [Column],
    evaluator: Evaluator<'a>,
) -> Result<SmallVec<[Values<'a>; 1]>, Halt> {
    let mut combined: SmallVec<[Values<'a>; 1]> = smallvec![Values::new()];
    for points in points {
        let columns = key.get(points.columns.clone()).unwrap_or_default();
        if let (Candidates::One(tuple), [only]) = (&points.values, combined.as_mut_slice()) {
            // What is usual costs no copy.
            only.extend(evaluator.tuple(tuple, columns.len(), name_in(columns))?);
            continue;
        }
        let candidates = evaluator.candidates(&points.values, columns.len(), name_in(columns))?;
        if let [single] = candidates.as_slice() {
            combined.iter_mut().for_each(|values| values.extend(single.iter().cloned()));
            continue;
        }
        if combined.len().saturating_mul(candidates.len()) > MAX_COMBINATIONS {
            return Err(keys::too_many_combinations().into());
        }
        let product = combined.iter().flat_map(|values| {
            candidates.iter().map(|candidate| values.iter().chain(candidate).cloned().collect())
        });
        combined = product.collect();
    }
    Ok(combined)
}

fn name_in<'c>(columns: &'c [Column]) -> impl Fn(usize) -> &'c str + Copy {
    move |at| columns.get(at).map(|column| column.name.as_str()).unwrap_or_default()
}

fn columns<'t>(table: &'t Table, bound: &SliceBound) -> &'t [Column] {
    table.clustering.get(bound.columns.clone()).unwrap_or_default()
}

fn borrowed<'v>(values: &'v Values<'_>) -> SmallVec<[&'v [u8]; 4]> {
    values.iter().map(|value| &**value).collect()
}

fn bytes(values: &Values<'_>) -> usize {
    values.iter().map(|value| value.len()).sum()
}

/// Whether the values, and those that follow, may be part of a key.
fn fits(values: &Values<'_>, rest: Option<&Values<'_>>) -> bool {
    bytes(values) + rest.map_or(0, bytes) <= keys::MAX_CLUSTERING_BYTES
}
