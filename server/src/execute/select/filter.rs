//! Filters: conditions that each row is tested for, with their values evaluated once for each request.
//!
//! A null column meets no condition, not even a negated one. Comparing is CQL's order of the column's type.

use std::borrow::Cow;
use std::cmp::Ordering;

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Entries};
use tholos_grammar::value::compare::compare;

use super::row::RowView;
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::restriction::evaluate::{Evaluator, Values};
use crate::query::restriction::{Operator, Test};
use crate::query::select::plan::{Filter, SelectPlan};
use crate::query::slots::Slot;

/// A filter whose values are known.
pub(super) struct Condition<'a> {
    slots: &'a [usize],
    test: Known<'a>,
}

enum Known<'a> {
    Compare {
        operator: Operator,
        values: Values<'a>,
    },
    /// The candidates are in order.
    In {
        negated: bool,
        candidates: SmallVec<[Values<'a>; 1]>,
    },
    Contains {
        negated: bool,
        value: Cow<'a, [u8]>,
        element: &'a CqlType,
    },
    ContainsKey {
        negated: bool,
        key: Cow<'a, [u8]>,
        element: &'a CqlType,
    },
    Entry {
        key: Cow<'a, [u8]>,
        operator: Operator,
        value: Cow<'a, [u8]>,
    },
}

/// Evaluates a plan's filters.
pub(super) fn conditions<'a>(
    plan: &'a SelectPlan,
    evaluator: Evaluator<'a>,
) -> Result<Vec<Condition<'a>>, Halt> {
    plan.filters.iter().map(|filter| condition(filter, &plan.slots, evaluator)).collect()
}

fn condition<'a>(
    filter: &'a Filter,
    slots: &'a [Slot],
    evaluator: Evaluator<'a>,
) -> Result<Condition<'a>, Halt> {
    let slot = |at: usize| filter.slots.get(at).and_then(|slot| slots.get(*slot));
    let name = |at: usize| slot(at).map(|slot| slot.name.as_str()).unwrap_or_default();
    let width = filter.slots.len();
    let test = match &filter.test {
        Test::Compare(operator, tuple) => {
            Known::Compare { operator: *operator, values: evaluator.tuple(tuple, width, name)? }
        }
        Test::In { negated, values } => {
            let mut candidates = evaluator.candidates(values, width, name)?;
            let types = |at: usize| slot(at).map_or(BLOB, |slot| &slot.cql_type);
            candidates.sort_by(|a, b| tuple_order(a, b, types));
            Known::In { negated: *negated, candidates }
        }
        Test::Contains { negated, value, element } => {
            Known::Contains { negated: *negated, value: evaluator.value(value, name(0))?, element }
        }
        Test::ContainsKey { negated, key, element } => {
            Known::ContainsKey { negated: *negated, key: evaluator.value(key, name(0))?, element }
        }
        Test::Entry { key, operator, value } => Known::Entry {
            key: evaluator.value(key, name(0))?,
            operator: *operator,
            value: evaluator.value(value, name(0))?,
        },
    };
    Ok(Condition { slots: &filter.slots, test })
}

impl Condition<'_> {
    /// Whether a row meets it.
    pub(super) fn met(&self, row: &RowView<'_>) -> Result<bool, QueryError> {
        let slot = self.slots.first().copied().unwrap_or(0);
        match &self.test {
            Known::Compare { operator, values } => match (self.slots, values.as_slice()) {
                ([slot], [value]) => {
                    let Some(found) = row.value(*slot)? else { return Ok(false) };
                    Ok(compares(slot_type(row, *slot), &found, *operator, value))
                }
                _ => Ok(self.order(row, values)?.is_some_and(|order| holds(order, *operator))),
            },
            Known::In { negated, candidates } => self.is_in(row, *negated, candidates),
            Known::Contains { negated, value, element } => {
                let Some(found) = row.value(slot)? else { return Ok(false) };
                let ty = slot_type(row, slot);
                Ok(contains(ty, &found, |part| equal(element, part, value)) != *negated)
            }
            Known::ContainsKey { negated, key, element } => {
                let Some(found) = row.value(slot)? else { return Ok(false) };
                let entries = Entries::new(&found).into_iter().flatten().flatten();
                let mut keys = entries.map(|(key, _)| key);
                Ok(keys.any(|found| equal(element, found, key)) != *negated)
            }
            Known::Entry { key, operator, value } => entry(row, slot, key, *operator, value),
        }
    }

    fn is_in(
        &self,
        row: &RowView<'_>,
        negated: bool,
        candidates: &[Values<'_>],
    ) -> Result<bool, QueryError> {
        let mut found = Values::new();
        for slot in self.slots {
            let Some(value) = row.value(*slot)? else { return Ok(false) };
            found.push(value);
        }
        let ty = |at: usize| self.slots.get(at).map_or(BLOB, |slot| slot_type(row, *slot));
        let place = candidates.binary_search_by(|candidate| tuple_order(candidate, &found, ty));
        Ok(place.is_ok() != negated)
    }

    /// The lexicographic order of a row's columns and a tuple; `None` if a column is null.
    fn order(
        &self,
        row: &RowView<'_>,
        values: &Values<'_>,
    ) -> Result<Option<Ordering>, QueryError> {
        for (slot, value) in self.slots.iter().zip(values) {
            let Some(found) = row.value(*slot)? else { return Ok(None) };
            let order = compare(slot_type(row, *slot), &found, value);
            if order.is_ne() {
                return Ok(Some(order));
            }
        }
        Ok(Some(Ordering::Equal))
    }
}

const BLOB: &CqlType = &CqlType::Native(tholos_grammar::types::Native::Blob);

fn tuple_order<'t>(a: &Values<'_>, b: &Values<'_>, ty: impl Fn(usize) -> &'t CqlType) -> Ordering {
    let mut pairs = a.iter().zip(b).enumerate();
    let unequal = pairs.find_map(|(at, (a, b))| Some(compare(ty(at), a, b)).filter(|o| o.is_ne()));
    unequal.unwrap_or(Ordering::Equal)
}

fn slot_type<'r>(row: &RowView<'r>, slot: usize) -> &'r CqlType {
    row.slots.get(slot).map_or(BLOB, |slot| &slot.cql_type)
}

fn equal(ty: &CqlType, a: &[u8], b: &[u8]) -> bool {
    if equal_by_bytes(ty) { a == b } else { compare(ty, a, b).is_eq() }
}

fn compares(ty: &CqlType, found: &[u8], operator: Operator, value: &[u8]) -> bool {
    match operator {
        Operator::Equal => equal(ty, found, value),
        Operator::NotEqual => !equal(ty, found, value),
        _ => holds(compare(ty, found, value), operator),
    }
}

fn holds(order: Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

/// Whether an element of a list or set, or a value of a map, is the one.
fn contains(ty: &CqlType, collection: &[u8], mut is_it: impl FnMut(&[u8]) -> bool) -> bool {
    match ty {
        CqlType::Map { .. } => {
            Entries::new(collection).into_iter().flatten().flatten().any(|(_, value)| is_it(value))
        }
        _ => Elements::new(collection, "collection").into_iter().flatten().flatten().any(is_it),
    }
}

fn entry(
    row: &RowView<'_>,
    slot: usize,
    key: &[u8],
    operator: Operator,
    value: &[u8],
) -> Result<bool, QueryError> {
    let Some(found) = row.value(slot)? else { return Ok(false) };
    let CqlType::Map { key: key_type, value: value_type, .. } = slot_type(row, slot) else {
        return Ok(false);
    };
    let mut entries = Entries::new(&found).into_iter().flatten().flatten();
    let entry = entries.find(|(found, _)| equal(key_type, found, key));
    Ok(entry.is_some_and(|(_, found)| compares(value_type, found, operator, value)))
}

/// Whether a type's values are compared by their bytes alone, which makes equality a comparison of slices.
fn equal_by_bytes(cql_type: &CqlType) -> bool {
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
