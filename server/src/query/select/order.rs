//! ORDER BY and DISTINCT: what they may name.

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::select::Ordering;
use tholos_grammar::name::Name;
use tholos_storage::schema::{Column, Table};

use crate::error::{At, QueryError};
use crate::query::restriction::Access;
use crate::query::restriction::plan::Restrictions;
use crate::query::slots::Place;
use crate::query::slots::Slots;
use crate::query::suggest::unknown_column;

/// Which way to walk, and how many clustering columns order the rows of several partitions; 0 if there is one partition
/// or no order.
pub(super) struct Order {
    pub(super) reversed: bool,
    pub(super) across: usize,
}

/// ORDER BY: the clustering order of the partitions that are read, or its reverse.
pub(super) fn plan_order(
    orderings: &[Ordering],
    table: &Table,
    restrictions: &Restrictions<'_>,
) -> Result<Order, QueryError> {
    if orderings.is_empty() {
        return Ok(Order { reversed: false, across: 0 });
    }
    let mut reversed = None;
    let mut next = 0;
    for ordering in orderings {
        let (name, descending) = match ordering {
            Ordering::Column { column, descending } => (column, *descending),
            Ordering::Ann { column, .. } => {
                return Err(QueryError::NotSupportedYet(format!(
                    "ORDER BY {column} ANN OF ..., which needs a vector index: rows are ordered by clustering columns only"
                )));
            }
        };
        let (place, column) = clustering_column(name, table).at(name.span)?;
        skip_to(place, &mut next, &column.name, table, restrictions).at(name.span)?;
        let turned = descending != column.descending;
        if reversed.is_some_and(|reversed| reversed != turned) {
            return Err(QueryError::invalid(format!(
                "ORDER BY {} goes against the clustering order while the columns before it go with it: rows can be walked one way or the other ({})",
                column.name,
                clustering_order(table)
            )));
        }
        reversed = Some(turned);
    }
    let Access::Keys(keys) = &restrictions.access else {
        return Err(QueryError::invalid(
            "ORDER BY is only supported when the partition key is restricted by = or IN: rows are sorted within partitions only",
        ));
    };
    let across = if keys.is_one() { 0 } else { next };
    Ok(Order { reversed: reversed.unwrap_or(false), across })
}

/// Columns may be left out of ORDER BY where they have one value anyway.
fn skip_to(
    place: usize,
    next: &mut usize,
    name: &Name,
    table: &Table,
    restrictions: &Restrictions<'_>,
) -> Result<(), QueryError> {
    while *next < place {
        if !restrictions.clustering.is_single(*next) {
            return Err(out_of_order(name, table));
        }
        *next += 1;
    }
    if *next > place {
        return Err(out_of_order(name, table));
    }
    *next = place + 1;
    Ok(())
}

fn out_of_order(name: &Name, table: &Table) -> QueryError {
    QueryError::invalid(format!(
        "ORDER BY {name}: columns must follow their order in the PRIMARY KEY, and only those restricted with = may be left out ({})",
        clustering_order(table)
    ))
}

fn clustering_column<'t>(
    name: &Ident,
    table: &'t Table,
) -> Result<(usize, &'t Column), QueryError> {
    let found = table.clustering.iter().enumerate().find(|(_, column)| column.name == **name);
    found.ok_or_else(|| {
        if table.column(name.as_str()).is_none() {
            return unknown_column(name, table);
        }
        QueryError::invalid(format!(
            "ORDER BY {name}: only clustering columns order rows ({})",
            clustering_order(table)
        ))
    })
}

fn clustering_order(table: &Table) -> String {
    let columns: Vec<String> = table
        .clustering
        .iter()
        .map(|column| format!("{} {}", column.name, if column.descending { "DESC" } else { "ASC" }))
        .collect();
    let columns = if columns.is_empty() { "none".to_string() } else { columns.join(", ") };
    format!("clustering order of {}.{}: {columns}", table.keyspace, table.name)
}

/// DISTINCT shows partitions: columns of the partition key (all of them, unless partitions are named), and static columns.
/// The first `requested` slots are what the select list reads, as columns or inside of functions.
pub(super) fn check_distinct(
    order: &Order,
    table: &Table,
    access: &Access,
    slots: &Slots<'_>,
    requested: usize,
) -> Result<(), QueryError> {
    if order.across > 0 {
        return Err(QueryError::invalid(
            "ORDER BY makes no sense with SELECT DISTINCT of several partitions, which shows one row for each: leave one of them out",
        ));
    }
    for slot in slots.as_slice() {
        if matches!(slot.place, Place::Clustering(_) | Place::Regular(_)) {
            return Err(QueryError::invalid(format!(
                "SELECT DISTINCT must only request partition key and static columns, not {}",
                slot.name
            )));
        }
    }
    // Where partitions are named, showing which is which is the statement's business; of a scan it must be shown.
    if matches!(access, Access::Keys(_)) {
        return Ok(());
    }
    for (place, column) in table.partition_key.iter().enumerate() {
        let place = Place::PartitionKey(place);
        if !slots.as_slice()[..requested].iter().any(|slot| slot.place == place) {
            return Err(QueryError::invalid(format!(
                "SELECT DISTINCT must request all partition key columns, and {} is missing",
                column.name
            )));
        }
    }
    Ok(())
}
