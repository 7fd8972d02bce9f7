//! The planner's entry point: dispatches a statement to the planner of its group.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use tholos_grammar::ast::modify::{Batch, Modification};
use tholos_grammar::ast::{Statement, TableName};
use tholos_grammar::name::Name;
use tholos_storage::schema::Table;

use crate::clock::Deadline;
use crate::error::QueryError;
use crate::query::catalogue::Catalogue;
use crate::query::expression::Binder;
use crate::query::plan::{Plan, Planned};
use crate::query::select::plan_select;
use crate::query::{batch, ddl, describe, modify};
use crate::system::schema::SYSTEM_TRACES;

/// What planning may use.
#[derive(Clone, Copy, Debug)]
pub struct PlanContext<'a> {
    /// What planning may cost, and has cost; none: as much as it takes.
    pub effort: Option<&'a Effort<'a>>,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The session's keyspace (or the request's own, in protocol v5).
    pub keyspace: Option<&'a Name>,
}

/// What planning a statement may cost.
#[derive(Debug, Default)]
pub struct Effort<'a> {
    /// Planning is given up then.
    pub deadline: Option<Deadline<'a>>,
    /// Terms drafted and settled so far.
    pub steps: Cell<u64>,
}

/// How often planning looks at the clock.
const STEPS_PER_LOOK_AT_CLOCK: u64 = 4096;

impl Effort<'_> {
    /// One step more.
    ///
    /// # Errors
    /// [`QueryError::Overloaded`] when the time is over.
    pub fn step(&self) -> Result<(), QueryError> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        match self.deadline {
            Some(deadline)
                if steps.is_multiple_of(STEPS_PER_LOOK_AT_CLOCK) && deadline.is_over() =>
            {
                Err(QueryError::Overloaded(format!(
                    "planning the statement did not end in the time that a request may take ({steps} terms were planned): nothing was done; send smaller statements, or bind values instead of writing them"
                )))
            }
            _ => Ok(()),
        }
    }
}

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
