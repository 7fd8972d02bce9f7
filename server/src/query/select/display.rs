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
use crate::query::restriction::display::Show;

impl fmt::Display for SelectPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select {}.{}", self.table.keyspace, self.table.name)?;
        if self.virtual_table {
            f.write_str(" (virtual)")?;
        }
        self.fmt_way(f)?;
        if let Some(groups) = &self.group_by {
            let names = groups.iter().map(|expr| self.shown(expr).to_string());
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
        self.access.show(&self.table, f)?;
        self.clustering.show(&self.table, f)?;
        for (i, Filter { slots, test }) in self.filters.iter().enumerate() {
            f.write_str(if i == 0 { "\n  filter: " } else { " AND " })?;
            match slots.as_slice() {
                [slot] => test.show(&self.slot_name(*slot), f)?,
                slots => test.show(&format!("({})", self.slot_names(slots)), f)?,
            }
        }
        if self.direction == Direction::Reverse || self.across != Across::InTurn {
            let reverse = if self.direction == Direction::Reverse { "reverse" } else { "forward" };
            write!(f, "\n  order: {reverse}")?;
            match self.across {
                Across::InTurn => {}
                Across::Merged(columns) => {
                    write!(f, ", merging partitions by {}", self.first_clustering(columns))?;
                }
                Across::SortedGroups(columns) => {
                    write!(f, ", sorting groups by {}", self.first_clustering(columns))?;
                }
            }
        }
        if self.distinct { f.write_str("\n  distinct partitions") } else { Ok(()) }
    }

    fn first_clustering(&self, columns: usize) -> String {
        let names =
            self.table.clustering.iter().take(columns).map(|column| column.name.to_string());
        names.collect::<Vec<_>>().join(", ")
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
