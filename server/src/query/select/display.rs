//! How a plan of SELECT prints: the way to the rows, then what is done with them, one line each.
//!
//! ```text
//! Select ks.t
//!   partitions: k = 1
//!   clustering: a IN (1, 2), b >= ?1
//!   filter: v = 'x'
//!   order: reverse
//!   limit: 10
//!   columns: k, a, v
//! ```
//! Markers print by position, counted from 0.

use std::fmt;

use tholos_storage::model::entry::Direction;

use super::plan::*;
use crate::query::expression::{Expr, Shown};

impl fmt::Display for SelectPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select {}.{}", self.table.keyspace, self.table.name)?;
        if self.virtual_table {
            f.write_str(" (virtual)")?;
        }
        self.fmt_way(f)?;
        if let Some(groups) = &self.group_by {
            let names = groups.iter().map(|slot| self.slot_name(*slot));
            write!(f, "\n  group: {}", names.collect::<Vec<_>>().join(", "))?;
        }
        if let Some(limit) = &self.per_partition_limit {
            write!(f, "\n  per partition limit: {}", Show(limit))?;
        }
        if let Some(limit) = &self.limit {
            write!(f, "\n  limit: {}", Show(limit))?;
        }
        if let Some(timeout) = &self.timeout {
            write!(f, "\n  timeout: {}", Show(timeout))?;
        }
        let (kind, items) = self.projected();
        let between = if kind == "aggregates" { "\n  items: " } else { ", " };
        write!(f, "\n  {kind}: {}", items.join(between))
    }
}

/// What tells this statement's paging states from others': everything but limits and the select list, which may change
/// (`SELECT *` does when a column is added) without moving a row.
pub(super) fn fingerprint(plan: &SelectPlan) -> u32 {
    struct Way<'p>(&'p SelectPlan);
    impl fmt::Display for Way<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt_way(f)
        }
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(plan.table.id.0.as_bytes());
    hasher.update(Way(plan).to_string().as_bytes());
    hasher.update(&[u8::from(plan.group_by.is_some())]);
    hasher.finalize()
}

impl SelectPlan {
    fn fmt_way(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Access::Partitions(keys) => {
                f.write_str("\n  partitions: ")?;
                for (i, (column, key)) in self.table.partition_key.iter().zip(keys).enumerate() {
                    write!(f, "{}{}", comma(i), column.name)?;
                    candidates(f, key)?;
                }
            }
            Access::Token(token) => write!(f, "\n  token: = {}", ShowToken(token))?,
            Access::Scan { lower, upper } => fmt_scan(f, lower, upper)?,
        }
        if !self.clustering.is_empty() {
            f.write_str("\n  clustering: ")?;
            for (i, step) in self.clustering.iter().enumerate() {
                f.write_str(comma(i))?;
                self.fmt_step(f, step)?;
            }
        }
        if !self.filters.is_empty() {
            f.write_str("\n  filter: ")?;
            for (i, filter) in self.filters.iter().enumerate() {
                f.write_str(if i == 0 { "" } else { " AND " })?;
                self.fmt_filter(f, filter)?;
            }
        }
        if self.direction == Direction::Reverse || self.merge_partitions {
            let reverse = if self.direction == Direction::Reverse { "reverse" } else { "forward" };
            let merge = if self.merge_partitions { ", merging partitions" } else { "" };
            write!(f, "\n  order: {reverse}{merge}")?;
        }
        if self.distinct { f.write_str("\n  distinct partitions") } else { Ok(()) }
    }

    fn fmt_step(&self, f: &mut fmt::Formatter<'_>, step: &ClusteringStep) -> fmt::Result {
        match step {
            ClusteringStep::Points { first, width, values } => {
                f.write_str(&self.clustering_names(*first, *width))?;
                tuples(f, values)
            }
            ClusteringStep::Slice { first, lower, upper } => {
                for (i, (bound, sign)) in [(lower, ">"), (upper, "<")].into_iter().enumerate() {
                    let Some(bound) = bound else { continue };
                    let and = if i == 1 && lower.is_some() { " AND " } else { "" };
                    let names = self.clustering_names(*first, bound.width);
                    let equal = if bound.inclusive { "=" } else { "" };
                    write!(f, "{and}{names} {sign}{equal} {}", ShowTuple(&bound.values))?;
                }
                Ok(())
            }
        }
    }

    fn clustering_names(&self, first: usize, width: usize) -> String {
        let columns = self.table.clustering.iter().skip(first).take(width);
        let names: Vec<String> = columns.map(|column| column.name.to_string()).collect();
        if width == 1 { names.concat() } else { format!("({})", names.join(", ")) }
    }

    fn fmt_filter(&self, f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
        let not = |negated: &bool| if *negated { " NOT" } else { "" };
        match filter {
            Filter::Compare { slot, operator, value } => {
                write!(f, "{} {operator} {}", self.slot_name(*slot), Show(value))
            }
            Filter::In { slot, negated, values } => {
                write!(f, "{}{}", self.slot_name(*slot), not(negated))?;
                candidates(f, values)
            }
            Filter::Contains { slot, negated, value, .. } => {
                let name = self.slot_name(*slot);
                write!(f, "{name}{} CONTAINS {}", not(negated), Show(value))
            }
            Filter::ContainsKey { slot, negated, key, .. } => {
                let name = self.slot_name(*slot);
                write!(f, "{name}{} CONTAINS KEY {}", not(negated), Show(key))
            }
            Filter::Entry { slot, key, operator, value } => {
                write!(f, "{}[{}] {operator} {}", self.slot_name(*slot), Show(key), Show(value))
            }
            Filter::Tuple { slots, operator, value } => {
                write!(f, "({}) {operator} {}", self.slot_names(slots), ShowTuple(value))
            }
            Filter::TupleIn { slots, values } => {
                write!(f, "({})", self.slot_names(slots))?;
                tuples(f, values)
            }
        }
    }

    fn slot_name(&self, slot: usize) -> String {
        self.slots.get(slot).map(|slot| slot.name.to_string()).unwrap_or_default()
    }

    fn slot_names(&self, slots: &[usize]) -> String {
        slots.iter().map(|slot| self.slot_name(*slot)).collect::<Vec<_>>().join(", ")
    }

    fn projected(&self) -> (&'static str, Vec<String>) {
        match &self.projection {
            Projection::Columns(slots) => {
                ("columns", slots.iter().map(|slot| self.slot_name(*slot)).collect())
            }
            Projection::Expressions(items) => {
                ("expressions", items.iter().map(|item| self.shown(item).to_string()).collect())
            }
            Projection::Aggregates { aggregates, items } => {
                let gathered = aggregates.iter().enumerate().map(|(number, aggregate)| {
                    let argument = aggregate.argument.as_ref();
                    let argument = argument
                        .map_or("*".to_string(), |argument| self.shown(argument).to_string());
                    format!("#{number} {}({argument})", aggregate.function.name())
                });
                let items = items.iter().map(|item| self.shown(item).to_string());
                let gathered = gathered.collect::<Vec<_>>().join(", ");
                ("aggregates", vec![gathered, items.collect::<Vec<_>>().join(", ")])
            }
        }
    }

    fn shown<'e>(&'e self, expr: &'e Expr) -> Shown<'e> {
        Shown { expr, slots: &self.slots, as_cql: true }
    }
}

impl fmt::Display for FilterOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FilterOperator::Equal => "=",
            FilterOperator::NotEqual => "!=",
            FilterOperator::Less => "<",
            FilterOperator::LessOrEqual => "<=",
            FilterOperator::Greater => ">",
            FilterOperator::GreaterOrEqual => ">=",
        })
    }
}

fn comma(i: usize) -> &'static str {
    if i == 0 { "" } else { ", " }
}

fn fmt_scan(
    f: &mut fmt::Formatter<'_>,
    lower: &Option<TokenBound>,
    upper: &Option<TokenBound>,
) -> fmt::Result {
    f.write_str("\n  scan: ")?;
    if lower.is_none() && upper.is_none() {
        return f.write_str("all partitions");
    }
    for (i, (bound, sign)) in [(lower, ">"), (upper, "<")].into_iter().enumerate() {
        let Some(bound) = bound else { continue };
        let and = if i == 1 && lower.is_some() { " AND " } else { "" };
        let equal = if bound.inclusive { "=" } else { "" };
        write!(f, "{and}token {sign}{equal} {}", ShowToken(&bound.token))?;
    }
    Ok(())
}

fn candidates(f: &mut fmt::Formatter<'_>, candidates: &Candidates) -> fmt::Result {
    match candidates {
        Candidates::One(expr) => write!(f, " = {}", Show(expr)),
        Candidates::Many(exprs) => write!(f, " IN ({})", list(exprs)),
        Candidates::List { list, .. } => write!(f, " IN {}", Show(list)),
    }
}

fn tuples(f: &mut fmt::Formatter<'_>, values: &Tuples) -> fmt::Result {
    match values {
        Tuples::Single(single) => candidates(f, single),
        Tuples::Many(tuples) => match tuples.as_slice() {
            [tuple] => write!(f, " = {}", ShowTuple(tuple)),
            tuples => {
                let tuples = tuples.iter().map(|tuple| ShowTuple(tuple).to_string());
                write!(f, " IN ({})", tuples.collect::<Vec<_>>().join(", "))
            }
        },
        Tuples::List(list) => write!(f, " IN {}", Show(list)),
    }
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(|expr| Show(expr).to_string()).collect::<Vec<_>>().join(", ")
}

/// Shows an expression: constants as CQL writes them.
struct Show<'e>(&'e Expr);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { expr: self.0, slots: &[], as_cql: true }.fmt(f)
    }
}

struct ShowTuple<'t>(&'t TupleTerm);

impl fmt::Display for ShowTuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TupleTerm::Elements(elements) => match elements.as_slice() {
                [element] => Show(element).fmt(f),
                elements => write!(f, "({})", list(elements)),
            },
            TupleTerm::Whole(expr) => Show(expr).fmt(f),
        }
    }
}

struct ShowToken<'t>(&'t TokenTerm);

impl fmt::Display for ShowToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TokenTerm::Number(expr) => Show(expr).fmt(f),
            TokenTerm::Key(exprs) => write!(f, "token({})", list(exprs)),
        }
    }
}
