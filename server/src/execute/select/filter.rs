//! Filters: conditions that each row is tested for, with their values evaluated once for each request.
//!
//! A null column meets no condition, not even a negated one. Comparing is CQL's order of the column's type.

use std::borrow::Cow;
use std::cmp::Ordering;

use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::elements::{Elements, Entries};
use tholos_grammar::value::compare::compare;

use super::ranges::{Evaluator, equal_by_bytes};
use super::row::RowView;
use crate::error::QueryError;
use crate::query::select::plan::{Filter, FilterOperator, SelectPlan, Slot};

/// A filter whose values are known.
pub(super) enum Condition<'a> {
    Compare { slot: usize, operator: FilterOperator, value: Cow<'a, [u8]> },
    In { slot: usize, negated: bool, values: Vec<Vec<u8>> },
    Contains { slot: usize, negated: bool, value: Cow<'a, [u8]>, element: &'a CqlType },
    ContainsKey { slot: usize, negated: bool, key: Cow<'a, [u8]>, element: &'a CqlType },
    Entry { slot: usize, key: Cow<'a, [u8]>, operator: FilterOperator, value: Cow<'a, [u8]> },
    Tuple { slots: &'a [usize], operator: FilterOperator, values: Vec<Vec<u8>> },
    TupleIn { slots: &'a [usize], tuples: Vec<Vec<Vec<u8>>> },
}

/// Evaluates a plan's filters.
pub(super) fn conditions<'a>(
    plan: &'a SelectPlan,
    evaluator: Evaluator<'a>,
) -> Result<Vec<Condition<'a>>, QueryError> {
    plan.filters.iter().map(|filter| condition(filter, &plan.slots, evaluator)).collect()
}

fn condition<'a>(
    filter: &'a Filter,
    slots: &'a [Slot],
    evaluator: Evaluator<'a>,
) -> Result<Condition<'a>, QueryError> {
    let name =
        |slot: &usize| slots.get(*slot).map(|slot| slot.name.to_string()).unwrap_or_default();
    Ok(match filter {
        Filter::Compare { slot, operator, value } => Condition::Compare {
            slot: *slot,
            operator: *operator,
            value: evaluator.value(value, &name(slot))?,
        },
        Filter::In { slot, negated, values } => Condition::In {
            slot: *slot,
            negated: *negated,
            values: evaluator.candidates(values, &name(slot))?,
        },
        Filter::Contains { slot, negated, value, element } => Condition::Contains {
            slot: *slot,
            negated: *negated,
            value: evaluator.value(value, &name(slot))?,
            element,
        },
        Filter::ContainsKey { slot, negated, key, element } => Condition::ContainsKey {
            slot: *slot,
            negated: *negated,
            key: evaluator.value(key, &name(slot))?,
            element,
        },
        Filter::Entry { slot, key, operator, value } => Condition::Entry {
            slot: *slot,
            key: evaluator.value(key, &name(slot))?,
            operator: *operator,
            value: evaluator.value(value, &name(slot))?,
        },
        Filter::Tuple { slots, operator, value } => Condition::Tuple {
            slots,
            operator: *operator,
            values: evaluator.tuple(value, slots.len(), "a tuple")?,
        },
        Filter::TupleIn { slots, values } => {
            Condition::TupleIn { slots, tuples: evaluator.tuples(values, slots.len(), "a tuple")? }
        }
    })
}

impl Condition<'_> {
    /// Whether a row meets it.
    pub(super) fn met(&self, row: &RowView<'_>) -> Result<bool, QueryError> {
        match self {
            Condition::Compare { slot, operator, value } => {
                let Some(found) = row.value(*slot)? else { return Ok(false) };
                Ok(compares(slot_type(row, *slot), &found, *operator, value))
            }
            Condition::In { slot, negated, values } => {
                let Some(found) = row.value(*slot)? else { return Ok(false) };
                let ty = slot_type(row, *slot);
                Ok(values.iter().any(|value| equal(ty, &found, value)) != *negated)
            }
            Condition::Contains { slot, negated, value, element } => {
                let Some(found) = row.value(*slot)? else { return Ok(false) };
                let ty = slot_type(row, *slot);
                Ok(contains(ty, &found, |part| equal(element, part, value)) != *negated)
            }
            Condition::ContainsKey { slot, negated, key, element } => {
                let Some(found) = row.value(*slot)? else { return Ok(false) };
                let entries = Entries::new(&found).into_iter().flatten().flatten();
                let mut keys = entries.map(|(key, _)| key);
                Ok(keys.any(|found| equal(element, found, key)) != *negated)
            }
            Condition::Entry { slot, key, operator, value } => {
                entry(row, *slot, key, *operator, value)
            }
            Condition::Tuple { slots, operator, values } => {
                Ok(tuple_order(row, slots, values)?.is_some_and(|order| holds(order, *operator)))
            }
            Condition::TupleIn { slots, tuples } => {
                for tuple in tuples {
                    if tuple_order(row, slots, tuple)? == Some(Ordering::Equal) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

fn slot_type<'r>(row: &RowView<'r>, slot: usize) -> &'r CqlType {
    const BLOB: &CqlType = &CqlType::Native(tholos_grammar::types::Native::Blob);
    row.slots.get(slot).map_or(BLOB, |slot| &slot.cql_type)
}

fn equal(ty: &CqlType, a: &[u8], b: &[u8]) -> bool {
    if equal_by_bytes(ty) { a == b } else { compare(ty, a, b).is_eq() }
}

fn compares(ty: &CqlType, found: &[u8], operator: FilterOperator, value: &[u8]) -> bool {
    match operator {
        FilterOperator::Equal => equal(ty, found, value),
        FilterOperator::NotEqual => !equal(ty, found, value),
        _ => holds(compare(ty, found, value), operator),
    }
}

fn holds(order: Ordering, operator: FilterOperator) -> bool {
    match operator {
        FilterOperator::Equal => order.is_eq(),
        FilterOperator::NotEqual => order.is_ne(),
        FilterOperator::Less => order.is_lt(),
        FilterOperator::LessOrEqual => order.is_le(),
        FilterOperator::Greater => order.is_gt(),
        FilterOperator::GreaterOrEqual => order.is_ge(),
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
    operator: FilterOperator,
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

/// The lexicographic order of a row's columns and a tuple; `None` if a column is null.
fn tuple_order(
    row: &RowView<'_>,
    slots: &[usize],
    values: &[Vec<u8>],
) -> Result<Option<Ordering>, QueryError> {
    for (slot, value) in slots.iter().zip(values) {
        let Some(found) = row.value(*slot)? else { return Ok(None) };
        let order = compare(slot_type(row, *slot), &found, value);
        if order.is_ne() {
            return Ok(Some(order));
        }
    }
    Ok(Some(Ordering::Equal))
}
