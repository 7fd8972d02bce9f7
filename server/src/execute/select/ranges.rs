//! From restrictions to keys: partition prefixes, intervals of positions within a partition, token ranges.
//!
//! A restriction of clustering columns is a set of intervals of positions: see [`crate::query::intervals`].

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Fields};
use tholos_storage::model::position::{ROW, token_prefix};
use tholos_storage::schema::{Column, Table};

use crate::error::QueryError;
use crate::query::expression::{Evaluated, Expr};
use crate::query::functions::CallContext;
use crate::query::intervals::{Interval, around, beyond, intersect};
use crate::query::keys::{self, MAX_COMBINATIONS};
use crate::query::select::plan::{
    Candidates, ClusteringStep, SliceBound, TokenBound, TokenTerm, TupleTerm, Tuples,
};
use crate::query::values::Bound;

/// Evaluates expressions for one request.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub(super) values: &'a [Bound<'a>],
    pub(super) context: CallContext<'a>,
}

impl<'a> Evaluator<'a> {
    /// A value that restricts something: neither null nor unset.
    pub(super) fn value(
        self,
        expr: &'a Expr,
        what: &str,
    ) -> Result<std::borrow::Cow<'a, [u8]>, QueryError> {
        match expr.evaluate(self.values, self.context)? {
            Evaluated::Bytes(bytes) => Ok(bytes),
            Evaluated::Null => Err(QueryError::invalid(format!(
                "{what} is restricted by null, which nothing equals: bind a value"
            ))),
            Evaluated::Unset => Err(QueryError::invalid(format!(
                "{what} is restricted by a value that is not set: bind one"
            ))),
        }
    }

    /// All candidates of a column.
    pub(super) fn candidates(
        self,
        candidates: &'a Candidates,
        what: &str,
    ) -> Result<Vec<Vec<u8>>, QueryError> {
        match candidates {
            Candidates::One(expr) => Ok(vec![self.value(expr, what)?.into_owned()]),
            Candidates::Many(exprs) => {
                exprs.iter().map(|expr| Ok(self.value(expr, what)?.into_owned())).collect()
            }
            Candidates::List { list, .. } => elements(&self.value(list, what)?),
        }
    }

    /// The values of a tuple of `types`.
    pub(super) fn tuple(
        self,
        tuple: &'a TupleTerm,
        width: usize,
        what: &str,
    ) -> Result<Vec<Vec<u8>>, QueryError> {
        match tuple {
            TupleTerm::Elements(exprs) => {
                exprs.iter().map(|expr| Ok(self.value(expr, what)?.into_owned())).collect()
            }
            TupleTerm::Whole(expr) => fields(&self.value(expr, what)?, width, what),
        }
    }

    /// All candidates of several columns together.
    pub(super) fn tuples(
        self,
        tuples: &'a Tuples,
        width: usize,
        what: &str,
    ) -> Result<Vec<Vec<Vec<u8>>>, QueryError> {
        match tuples {
            Tuples::Single(single) => {
                let values = self.candidates(single, what)?;
                Ok(values.into_iter().map(|value| vec![value]).collect())
            }
            Tuples::Many(tuples) => {
                tuples.iter().map(|tuple| self.tuple(tuple, width, what)).collect()
            }
            Tuples::List(list) => elements(&self.value(list, what)?)?
                .iter()
                .map(|tuple| fields(tuple, width, what))
                .collect(),
        }
    }
}

fn elements(list: &[u8]) -> Result<Vec<Vec<u8>>, QueryError> {
    let invalid = |error: tholos_grammar::value::codec::DecodeError| {
        QueryError::invalid(format!("the list bound to IN is malformed: {error}"))
    };
    Elements::new(list, "list")
        .map_err(invalid)?
        .map(|element| element.map(<[u8]>::to_vec).map_err(invalid))
        .collect()
}

fn fields(tuple: &[u8], width: usize, what: &str) -> Result<Vec<Vec<u8>>, QueryError> {
    let mut values = Vec::with_capacity(width);
    for field in Fields::new(tuple, width, "tuple") {
        let field = field.map_err(|error| {
            QueryError::invalid(format!("the tuple bound to {what} is malformed: {error}"))
        })?;
        let field = field.ok_or_else(|| {
            QueryError::invalid(format!("a value of {what} is null: every column needs one"))
        })?;
        values.push(field.to_vec());
    }
    if values.len() == width {
        return Ok(values);
    }
    Err(QueryError::invalid(format!(
        "the tuple bound to {what} has {} values: every column needs one",
        values.len()
    )))
}

/// The prefixes of the partitions that are read: each once, in the order of the key's values.
pub(super) fn partitions(
    table: &Table,
    access: &[Candidates],
    evaluator: Evaluator<'_>,
) -> Result<Vec<keys::Partition>, QueryError> {
    if let Some(single) = single_partition(table, access, evaluator)? {
        return Ok(vec![single]);
    }
    let mut combinations: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    for (column, candidates) in table.partition_key.iter().zip(access) {
        let values = evaluator.candidates(candidates, column.name.as_str())?;
        combinations =
            combine(combinations, values.into_iter().map(|value| vec![value]).collect())?;
    }
    let mut prefixes = Vec::with_capacity(combinations.len());
    for combination in &combinations {
        let components: Vec<&[u8]> = combination.iter().map(Vec::as_slice).collect();
        prefixes.push(keys::encode_partition(table, &components)?);
    }
    prefixes.sort_by(|a, b| a.get(8..).cmp(&b.get(8..)));
    prefixes.dedup();
    Ok(prefixes)
}

/// The position of the one row that the steps name by a value for each clustering column; `None` if they name it
/// otherwise, or not at all.
pub(super) fn single_row(
    table: &Table,
    steps: &[ClusteringStep],
    evaluator: Evaluator<'_>,
) -> Result<Option<keys::Position>, QueryError> {
    if steps.len() != table.clustering.len() {
        return Ok(None);
    }
    let mut values: SmallVec<[std::borrow::Cow<'_, [u8]>; 4]> = SmallVec::new();
    for (column, step) in table.clustering.iter().zip(steps) {
        let ClusteringStep::Points { values: Tuples::Single(Candidates::One(expr)), .. } = step
        else {
            return Ok(None);
        };
        values.push(evaluated(evaluator, expr, column)?);
    }
    let components: SmallVec<[&[u8]; 4]> = values.iter().map(|value| &**value).collect();
    keys::encode_clustering(table, &components, ROW).map(Some)
}

/// The usual case, without an allocation where the key is short.
pub(super) fn single_partition(
    table: &Table,
    access: &[Candidates],
    evaluator: Evaluator<'_>,
) -> Result<Option<keys::Partition>, QueryError> {
    let mut values: SmallVec<[std::borrow::Cow<'_, [u8]>; 4]> = SmallVec::new();
    for (column, candidates) in table.partition_key.iter().zip(access) {
        let Candidates::One(expr) = candidates else { return Ok(None) };
        values.push(evaluated(evaluator, expr, column)?);
    }
    let components: SmallVec<[&[u8]; 4]> = values.iter().map(|value| &**value).collect();
    keys::encode_partition(table, &components).map(Some)
}

/// As [`Evaluator::value`], naming the column only when something is wrong.
fn evaluated<'a>(
    evaluator: Evaluator<'a>,
    expr: &'a Expr,
    column: &Column,
) -> Result<std::borrow::Cow<'a, [u8]>, QueryError> {
    match expr.evaluate(evaluator.values, evaluator.context)? {
        Evaluated::Bytes(bytes) => Ok(bytes),
        _ => evaluator.value(expr, column.name.as_str()),
    }
}

fn combine(
    prefixes: Vec<Vec<Vec<u8>>>,
    tuples: Vec<Vec<Vec<u8>>>,
) -> Result<Vec<Vec<Vec<u8>>>, QueryError> {
    if prefixes.len().saturating_mul(tuples.len()) > MAX_COMBINATIONS {
        return Err(keys::too_many_combinations());
    }
    let all = prefixes.iter().flat_map(|prefix| {
        tuples.iter().map(move |tuple| prefix.iter().chain(tuple).cloned().collect())
    });
    Ok(all.collect())
}

/// The positions that the steps lead to, ascending and apart; all of them when there are no steps.
pub(super) fn positions(
    table: &Table,
    steps: &[ClusteringStep],
    evaluator: Evaluator<'_>,
) -> Result<Vec<Interval>, QueryError> {
    let mut prefixes: Vec<Vec<u8>> = vec![Vec::new()];
    for step in steps {
        match step {
            ClusteringStep::Points { first, width, values } => {
                prefixes = extend(table, &prefixes, *first, *width, values, evaluator)?;
            }
            ClusteringStep::Slice { first, lower, upper } => {
                let mut intervals = Vec::new();
                for prefix in &prefixes {
                    intervals.extend(slice(table, prefix, *first, lower, upper, evaluator)?);
                }
                return Ok(intervals);
            }
        }
    }
    Ok(prefixes.into_iter().map(|prefix| around(&prefix)).collect())
}

/// Every prefix with every value, ascending, each once.
fn extend(
    table: &Table,
    prefixes: &[Vec<u8>],
    first: usize,
    width: usize,
    values: &Tuples,
    evaluator: Evaluator<'_>,
) -> Result<Vec<Vec<u8>>, QueryError> {
    let columns = columns(table, first, width);
    let tuples = evaluator.tuples(values, width, &names(columns))?;
    if prefixes.len().saturating_mul(tuples.len()) > MAX_COMBINATIONS {
        return Err(keys::too_many_combinations());
    }
    let mut extended = Vec::with_capacity(prefixes.len() * tuples.len());
    for prefix in prefixes {
        for tuple in &tuples {
            let mut position = prefix.clone();
            for (column, value) in columns.iter().zip(tuple) {
                keys::push_clustering(column, value, &mut position)?;
            }
            extended.push(position);
        }
    }
    extended.sort();
    extended.dedup();
    Ok(extended)
}

fn slice(
    table: &Table,
    prefix: &[u8],
    first: usize,
    lower: &Option<SliceBound>,
    upper: &Option<SliceBound>,
    evaluator: Evaluator<'_>,
) -> Result<Vec<Interval>, QueryError> {
    let mut intervals = vec![around(prefix)];
    for (bound, is_lower) in [(lower, true), (upper, false)] {
        let Some(bound) = bound else { continue };
        let columns = columns(table, first, bound.width);
        let values = evaluator.tuple(&bound.values, bound.width, &names(columns))?;
        let bounded = beyond(prefix, columns, &values, bound.inclusive, is_lower)?;
        intervals = intersect(&intervals, &bounded);
    }
    Ok(intervals)
}

fn columns(table: &Table, first: usize, width: usize) -> &[Column] {
    table.clustering.get(first..first + width).unwrap_or_default()
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.to_string()).collect::<Vec<_>>().join(", ")
}

/// A token of a bound.
pub(super) fn token(
    table: &Table,
    term: &TokenTerm,
    evaluator: Evaluator<'_>,
) -> Result<i64, QueryError> {
    match term {
        TokenTerm::Number(expr) => {
            let bytes = evaluator.value(expr, "token()")?;
            let number: [u8; 8] = bytes
                .as_ref()
                .try_into()
                .map_err(|_| QueryError::invalid("a token is a bigint: bind 8 bytes"))?;
            Ok(i64::from_be_bytes(number))
        }
        TokenTerm::Key(exprs) => {
            let mut values = Vec::with_capacity(exprs.len());
            for (column, expr) in table.partition_key.iter().zip(exprs) {
                values.push(evaluator.value(expr, column.name.as_str())?);
            }
            let components: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
            Ok(keys::token(&components)?.0)
        }
    }
}

/// The keys `lower..upper`; an empty `upper` is the end.
pub(super) type Keys = (Vec<u8>, Vec<u8>);

/// The keys `lower..upper` of a range of tokens (empty `upper`: to the end); `None` when the range holds no token.
///
/// As in Cassandra the least token stands for "before everything", so as an upper bound it means the end of the ring,
/// and a range whose ends meet or cross is empty.
pub(super) fn token_range(lower: Option<(i64, bool)>, upper: Option<(i64, bool)>) -> Option<Keys> {
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

/// As [`token_range`], from a plan's bounds.
pub(super) fn scan_range(
    table: &Table,
    lower: &Option<TokenBound>,
    upper: &Option<TokenBound>,
    evaluator: Evaluator<'_>,
) -> Result<Option<Keys>, QueryError> {
    let bound = |bound: &Option<TokenBound>| match bound {
        None => Ok(None),
        Some(bound) => token(table, &bound.token, evaluator).map(|t| Some((t, bound.inclusive))),
    };
    Ok(token_range(bound(lower)?, bound(upper)?))
}

/// Whether a type's values are compared by their bytes alone, which makes equality a comparison of slices.
pub(super) fn equal_by_bytes(cql_type: &CqlType) -> bool {
    use tholos_grammar::types::Native as N;
    matches!(
        cql_type,
        CqlType::Native(
            N::Ascii
                | N::Text
                | N::Blob
                | N::Inet
                | N::Int
                | N::Bigint
                | N::Smallint
                | N::Tinyint
                | N::Date
                | N::Time
                | N::Timestamp
                | N::Uuid
                | N::Timeuuid
                | N::Duration
        )
    )
}
