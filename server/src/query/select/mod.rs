//! Bind and plan of SELECT: pure functions of the statement and the catalogue.
//!
//! - [`plan`]: what a plan is; [`display`]: how it prints.
//! - [`restriction`](crate::query::restriction): WHERE; what of it does not lead to the rows becomes [`filters`].
//! - [`order`]: ORDER BY and DISTINCT; [`group`]: GROUP BY; [`selection`]: the select list.
//!
//! Invariant: markers are numbered in the order of the text, so each part is bound where it stands.

pub mod display;
mod group;
mod order;
pub mod plan;
mod selection;
pub(in crate::query) use std::sync::Arc;

use smallvec::smallvec;
use tholos_grammar::ast::select::Select;
use tholos_grammar::ast::term::Term;
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::model::entry::Direction;
use tholos_storage::schema::Table;

use self::plan::{Across, Filter, SelectPlan};
use crate::error::{At, QueryError};
use crate::query::column::ColumnSpec;
use crate::query::context::PlanContext;
use crate::query::expression::{Binder, Expr};
use crate::query::plan::{Plan, Planned};
use crate::query::restriction::Access;
use crate::query::restriction::plan::restrict;
use crate::query::restriction::relation::{self, BoundRelation};
use crate::query::slots::Slots;
use crate::query::suggest::nearest;

/// Plans a SELECT.
///
/// # Errors
/// [`QueryError::Invalid`]: unknown names, values of the wrong type, restrictions that no key serves without ALLOW
/// FILTERING, and so on, with what to do; [`QueryError::NotSupportedYet`] for ANN ordering.
pub fn plan_select(select: &Select, context: PlanContext<'_>) -> Result<Planned, QueryError> {
    // What nothing else is to blame for is the table's.
    plan_clauses(select, context).at(select.table.span())
}

fn plan_clauses(select: &Select, context: PlanContext<'_>) -> Result<Planned, QueryError> {
    let table = find_table(select, context)?;
    let mut binder = Binder::new(context);
    let mut slots = Slots::new(&table);

    let selection = selection::plan(select, &table, &mut binder, &mut slots)?;
    let requested = slots.as_slice().len();
    let first_marker = binder.markers().len();
    let relations = relation::bind(&select.relations, &table, &mut binder)?;
    let where_markers = first_marker..binder.markers().len();
    let mut restrictions = restrict(relations, &table)?;
    if select.distinct && restrictions.restricts_rows {
        return Err(QueryError::invalid(
            "SELECT DISTINCT shows partitions, not rows: WHERE may only restrict the partition key and static columns",
        ));
    }
    if !select.allow_filtering {
        restrictions.check_unfiltered(&table)?;
    }
    let filters = filters(std::mem::take(&mut restrictions.rest), &mut slots);
    let order = order::plan_order(&select.order_by, &table, &restrictions)?;
    let group_by =
        group::plan_group_by(&select.group_by, &table, &restrictions, &mut binder, &mut slots)?;
    if select.distinct {
        order::check_distinct(&order, &table, &restrictions.access, &slots, requested)?;
    }
    let aggregates = selection.aggregates;
    let selection = if select.json { selection.into_json(&table) } else { selection };
    let per_partition_limit =
        per_partition_limit(select, &table, aggregates, group_by.is_some(), &mut binder)?;
    let limit = bind_int(select.limit.as_ref(), "[limit]", &table, &mut binder)?;
    let timeout = bind_timeout(select.using.timeout.as_ref(), &table, &mut binder)?;

    let across = across(order.across, group_by.is_some(), aggregates);
    let (projection, columns) = selection.project(group_by.is_some());
    let pk_indexes = match &restrictions.access {
        Access::Keys(keys) => keys.marker_indexes(),
        Access::Scan(_) => Vec::new(),
    };
    let mut plan = SelectPlan {
        virtual_table: context.catalogue.is_virtual(&table),
        access: restrictions.access,
        clustering: restrictions.clustering,
        filters,
        restricts_rows: restrictions.restricts_rows,
        direction: if order.reversed { Direction::Reverse } else { Direction::Forward },
        across,
        distinct: select.distinct,
        per_partition_limit,
        limit,
        timeout,
        slots: slots.into_vec(),
        projection,
        group_by,
        columns: columns.into(),
        fingerprint: 0,
        where_markers,
        table: Arc::clone(&table),
    };
    plan.fingerprint = display::fingerprint(&plan);
    Ok(Planned {
        plan: Plan::Select(Box::new(plan)),
        markers: binder.into_markers(),
        pk_indexes,
        tables: smallvec![table],
        consistency: select.using.consistency,
    })
}

fn per_partition_limit(
    select: &Select,
    table: &Table,
    aggregates: bool,
    is_grouped: bool,
    binder: &mut Binder<'_>,
) -> Result<Option<Expr>, QueryError> {
    let Some(limit) = &select.per_partition_limit else { return Ok(None) };
    let bound = bind_int(Some(limit), "[per_partition_limit]", table, binder)?;
    if select.distinct {
        return Err(QueryError::invalid(
            "PER PARTITION LIMIT makes no sense with SELECT DISTINCT, which shows one row for each partition: leave one of them out",
        ));
    }
    if aggregates && !is_grouped {
        let error = QueryError::invalid(
            "PER PARTITION LIMIT is not allowed with aggregates, which make one row of all partitions: GROUP BY the partition key, or leave it out",
        );
        return Err(error.at(limit.span));
    }
    Ok(bound)
}

/// How rows of several partitions come, of which so many columns say the order.
fn across(ordered_by: usize, is_grouped: bool, aggregates: bool) -> Across {
    match ordered_by {
        0 => Across::InTurn,
        columns if is_grouped => Across::SortedGroups(columns),
        // One row of all partitions has no order.
        _ if aggregates => Across::InTurn,
        columns => Across::Merged(columns),
    }
}

fn find_table(select: &Select, context: PlanContext<'_>) -> Result<Arc<Table>, QueryError> {
    let keyspace = select.table.keyspace.as_deref().or(context.keyspace).ok_or_else(|| {
        QueryError::invalid(format!(
            "no keyspace was given: write keyspace.{}, or USE a keyspace first",
            select.table.name
        ))
    })?;
    let Some(known) = context.catalogue.keyspace(keyspace.as_str()) else {
        return Err(QueryError::invalid(format!(
            "keyspace {keyspace} does not exist: DESCRIBE KEYSPACES lists those that do"
        )));
    };
    let name = &select.table.name;
    match known.tables.get(name.as_str()) {
        Some(table) => Ok(Arc::clone(table)),
        None => Err(QueryError::invalid(format!(
            "table {keyspace}.{name} does not exist{}",
            nearest(name.as_str(), known.tables.keys().map(Name::as_str))
        ))
        .at(name.span)),
    }
}

/// A receiver that is no column: `[limit]` and the like.
fn pseudo_column(table: &Table, name: &str, cql_type: impl Into<CqlType>) -> ColumnSpec {
    ColumnSpec {
        keyspace: table.keyspace.clone(),
        table: table.name.clone(),
        name: name.to_string(),
        cql_type: cql_type.into(),
    }
}

fn bind_int(
    term: Option<&Term>,
    name: &str,
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<Option<Expr>, QueryError> {
    term.map(|term| binder.bind(term, &pseudo_column(table, name, Native::Int))).transpose()
}

fn bind_timeout(
    term: Option<&Term>,
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<Option<Expr>, QueryError> {
    let receiver = pseudo_column(table, "[timeout]", Native::Duration);
    term.map(|term| binder.bind(term, &receiver)).transpose()
}

/// What leads nowhere is tested for each row.
fn filters(rest: Vec<BoundRelation<'_>>, slots: &mut Slots<'_>) -> Vec<Filter> {
    let rest = rest.into_iter();
    rest.map(|BoundRelation { columns, test, .. }| Filter {
        slots: columns.into_iter().map(|column| slots.of(column)).collect(),
        test,
    })
    .collect()
}
