//! The planner's entry point: dispatches a statement to the planner of its group.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use tholos_grammar::ast::modify::{Batch, Modification};
use tholos_grammar::ast::{Statement, TableName};
use tholos_storage::schema::Table;

use crate::error::QueryError;
use crate::query::context::PlanContext;
use crate::query::expression::Binder;
use crate::query::plan::{Plan, Planned};
use crate::query::select::plan_select;
use crate::query::{batch, ddl, describe, modify};
use crate::system::definitions::SYSTEM_TRACES;

/// Plans a statement: names looked up, types checked, markers described, the way to the data chosen.
///
/// # Errors
/// [`QueryError::Invalid`] and [`QueryError::Config`], with what to do about it.
pub fn plan(statement: Statement, context: PlanContext<'_>) -> Result<Planned, QueryError> {
    let plan = match statement {
        Statement::Select(select) => return plan_select(&select, context),
        Statement::Use(name) => {
            if context.catalogue.keyspace(name.as_str()).is_none() {
                return Err(QueryError::invalid(format!(
                    "keyspace {name} does not exist: DESCRIBE KEYSPACES lists those that do"
                ))
                .at(name.span));
            }
            Plan::Use(name.into())
        }
        Statement::Insert(statement) => {
            return plan_modification(&Modification::Insert(statement), context);
        }
        Statement::Update(statement) => {
            return plan_modification(&Modification::Update(statement), context);
        }
        Statement::Delete(statement) => {
            return plan_modification(&Modification::Delete(statement), context);
        }
        Statement::Batch(statement) => return plan_batch(&statement, context),
        Statement::Truncate(table) => Plan::Truncate(truncated_table(&table, context)?),
        Statement::Describe(statement) => {
            Plan::Describe(Box::new(describe::plan(statement, context)))
        }
        statement => match ddl::kind(&statement) {
            ddl::Kind::Supported => Plan::Schema(Box::new(statement)),
            ddl::Kind::Later(what) => return Err(QueryError::NotSupportedYet(what.to_owned())),
            ddl::Kind::NotSchema => {
                return Err(QueryError::Internal("a statement without a planner".to_owned()));
            }
        },
    };
    let tables = match &plan {
        Plan::Truncate(table) => smallvec![Arc::clone(table)],
        _ => SmallVec::new(),
    };
    Ok(Planned { tables, plan, markers: Vec::new(), pk_indexes: Vec::new(), consistency: None })
}

/// Users' tables can be truncated, and traces, which nothing else removes.
fn truncated_table(name: &TableName, context: PlanContext<'_>) -> Result<Arc<Table>, QueryError> {
    let traces = context.catalogue.keyspace(SYSTEM_TRACES).filter(|traces| {
        let keyspace = name.keyspace.as_deref().or(context.keyspace);
        keyspace.is_some_and(|keyspace| *keyspace == traces.name)
    });
    match traces.and_then(|traces| traces.tables.get(name.name.as_str())) {
        Some(table) => Ok(Arc::clone(table)),
        None => modify::changed_table(name, context),
    }
}

fn plan_modification(
    statement: &Modification,
    context: PlanContext<'_>,
) -> Result<Planned, QueryError> {
    let mut binder = Binder::new(context);
    let plan = modify::plan(statement, &mut binder)?;
    Ok(Planned {
        pk_indexes: plan.pk_indexes(),
        tables: smallvec![Arc::clone(&plan.table)],
        consistency: plan.attributes.consistency,
        plan: Plan::Modify(Box::new(plan)),
        markers: binder.into_markers(),
    })
}

fn plan_batch(statement: &Batch, context: PlanContext<'_>) -> Result<Planned, QueryError> {
    let mut binder = Binder::new(context);
    let plan = batch::plan(statement, &mut binder)?;
    Ok(Planned {
        pk_indexes: plan.pk_indexes(),
        tables: plan.tables(),
        consistency: plan.attributes.consistency,
        plan: Plan::Batch(Box::new(plan)),
        markers: binder.into_markers(),
    })
}
