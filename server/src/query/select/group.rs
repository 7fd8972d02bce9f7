//! GROUP BY: a prefix of the primary key, without columns that have one value anyway. The last may be a clustering column
//! through functions that keep the order, such as `floor(time, 1h)`: then the rows of a group still follow each other.

use tholos_grammar::ast::term::Term;
use tholos_grammar::types::Native;
use tholos_storage::schema::Table;

use super::pseudo_column;
use crate::error::{At, QueryError};
use crate::query::expression::planner::Planner;
use crate::query::expression::{Binder, Expr, ExprKind};
use crate::query::restriction::Access;
use crate::query::restriction::plan::Restrictions;
use crate::query::slots::Slots;
use crate::query::slots::{Place, Slot};

/// Functions whose results are in the order of their first argument.
const MONOTONIC: [&str; 6] =
    ["floor", "to_date", "to_timestamp", "to_unix_timestamp", "cast_as_date", "cast_as_timestamp"];

/// The expressions whose values make a group; `None` without GROUP BY.
pub(super) fn plan_group_by(
    groups: &[Term],
    table: &Table,
    restrictions: &Restrictions<'_>,
    binder: &mut Binder<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Vec<Expr>>, QueryError> {
    if groups.is_empty() {
        return Ok(None);
    }
    let base = pseudo_column(table, "[group by]", Native::Blob);
    let partition_columns = table.partition_key.len();
    let single_valued = |place: usize| match place.checked_sub(partition_columns) {
        Some(column) => restrictions.clustering.is_single(column),
        None => matches!(&restrictions.access, Access::Keys(keys) if keys.is_one()),
    };
    let mut next = 0;
    let mut exprs: Vec<Expr> = Vec::with_capacity(groups.len());
    for group in groups {
        if exprs.last().is_some_and(|before| !matches!(before.kind, ExprKind::Column(_))) {
            return Err(QueryError::invalid(
                "GROUP BY takes a function as its last element only: groups are of rows that follow each other",
            )
            .at(group.span));
        }
        let (expr, name) = Planner::of_rows(binder, slots, &base).expression(group)?;
        let place = key_place(&expr, table, slots.as_slice())
            .and_then(|place| in_order(place, next, single_valued))
            .map_err(|why| QueryError::invalid(format!("GROUP BY {name}: {why}")))
            .at(group.span)?;
        next = place + 1;
        exprs.push(expr);
    }
    if next < partition_columns {
        return Err(QueryError::invalid(
            "GROUP BY must name all columns of the partition key before anything else: groups don't span partitions",
        ));
    }
    Ok(Some(exprs))
}

/// The place in the primary key of the column that an element is made of.
fn key_place(expr: &Expr, table: &Table, slots: &[Slot]) -> Result<usize, &'static str> {
    let is_column = matches!(expr.kind, ExprKind::Column(_));
    match slots.get(ordered_like(expr)?).map(|slot| slot.place) {
        Some(Place::PartitionKey(place)) if is_column => Ok(place),
        Some(Place::Clustering(place)) => Ok(table.partition_key.len() + place),
        _ if is_column => Err("only columns of the primary key make groups"),
        _ => Err("only functions of clustering columns make groups"),
    }
}

/// The slot of the column in whose order an expression's values are.
fn ordered_like(expr: &Expr) -> Result<usize, &'static str> {
    match &expr.kind {
        ExprKind::Column(slot) => Ok(*slot),
        ExprKind::Call { function, arguments } if MONOTONIC.contains(&function.name) => {
            let of_no_row = |expr: &Expr| expr.is_constant() || expr.marker().is_some();
            match arguments.split_first() {
                Some((first, rest)) if rest.iter().all(of_no_row) => ordered_like(first),
                _ => {
                    Err("the function takes a clustering column, and literals or markers beside it")
                }
            }
        }
        ExprKind::Call { .. } => Err(
            "only functions that keep the order of a column make groups, such as floor() and to_date()",
        ),
        ExprKind::Aggregate(_) => Err("aggregates are of groups, and can't make them"),
        _ => Err("groups are made by columns, and by functions of clustering columns"),
    }
}

/// Refuses a place before the next one, and one that leaves columns out that have several values.
fn in_order(
    place: usize,
    next: usize,
    single_valued: impl Fn(usize) -> bool,
) -> Result<usize, &'static str> {
    if place >= next && (next..place).all(single_valued) {
        return Ok(place);
    }
    Err(
        "columns must follow their order in the PRIMARY KEY, and only those restricted with = may be left out",
    )
}
