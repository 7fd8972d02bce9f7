//! DROP and ALTER of indexes, views, functions, aggregates and triggers. None can be created yet, so none exists: with
//! IF EXISTS there is nothing to do, and without it that is the error.

use tholos_grammar::ast::Statement;
use tholos_grammar::ast::schema::{DropFunction, DropObject};

use super::{DdlContext, no_effect};
use crate::error::{At, QueryError};
use crate::query::plan::SchemaEffect;
use crate::query::types::resolve_type;

/// What the statement comes to.
///
/// # Errors
/// [`QueryError::Invalid`]: it does not exist, or an argument's type does not; [`QueryError::Unauthorized`] in a system
/// keyspace.
pub(super) fn effect(
    statement: &Statement,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let (what, name, on, if_exists) = match statement {
        Statement::DropIndex(DropObject { name, if_exists }) => ("index", name, None, if_exists),
        Statement::DropView(DropObject { name, if_exists }) => {
            ("materialized view", name, None, if_exists)
        }
        Statement::AlterView(view) => ("materialized view", &view.name, None, &view.if_exists),
        Statement::DropFunction(function) => return absent_function("function", function, context),
        Statement::DropAggregate(function) => {
            return absent_function("aggregate", function, context);
        }
        Statement::DropTrigger(trigger) => {
            ("trigger", &trigger.table, Some(&trigger.name), &trigger.if_exists)
        }
        _ => return Err(QueryError::Internal("a statement about something that may exist".into())),
    };
    let keyspace = context.keyspace_of(name)?;
    context.check_user_keyspace(keyspace)?;
    match (*if_exists, on) {
        (true, _) => Ok(no_effect()),
        (false, None) => {
            Err(missing(&format!("{what} {keyspace}.{}", name.name))).at(name.name.span)
        }
        (false, Some(own)) => {
            Err(missing(&format!("{what} {own} on {keyspace}.{}", name.name))).at(own.span)
        }
    }
}

fn absent_function(
    what: &str,
    function: &DropFunction,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&function.name)?;
    context.check_user_keyspace(keyspace)?;
    for argument in function.arguments.iter().flatten() {
        resolve_type(argument, keyspace, context.plan.catalogue)?;
    }
    match function.if_exists {
        true => Ok(no_effect()),
        false => Err(missing(&format!("{what} {keyspace}.{}", function.name.name)))
            .at(function.name.name.span),
    }
}

fn missing(what: &str) -> QueryError {
    QueryError::invalid(format!("{what} does not exist: write IF EXISTS to go on without it"))
}
