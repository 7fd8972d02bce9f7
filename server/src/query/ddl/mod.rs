//! Schema statements: validated against a catalogue and turned into [`SchemaChange`]s, without side effects.
//!
//! - [`effect`]: what a statement comes to against the catalogue of the moment.
//! - [`keyspace`], [`create_table`], [`alter_table`], [`user_types`]: one file per group of statements.
//! - `absent`: DROP and ALTER of what nobody can create yet, so that it never exists.
//! - [`options`], [`table_options`], [`suboptions`]: WITH; all options of Cassandra 5.0 are known and checked.
//!
//! Rules are Cassandra's, except that a dropped column's data can never come back, but for what is newer than a timestamp
//! that DROP says. Columns get numbers that are never used again by others; the new table's identity and the time come
//! from outside.

mod absent;
pub mod alter_table;
mod columns;
pub mod create_table;
pub mod keyspace;
mod names;
pub mod options;
pub mod suboptions;
pub mod table_options;
pub mod user_types;

use std::sync::Arc;

use tholos_grammar::ast::{QualifiedName, Statement};
use tholos_grammar::name::Name;
use tholos_grammar::span::Span;
use tholos_storage::model::Timestamp;
use tholos_storage::schema::{Keyspace, SchemaChange};
use uuid::Uuid;

use crate::error::QueryError;
use crate::query::context::PlanContext;
use crate::query::modify::keyspace_of;
use crate::query::plan::{SchemaEffect, SchemaEvent};

/// A data centre of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCenter {
    /// Its name.
    pub name: String,
    /// How many nodes it has.
    pub nodes: usize,
}

/// What a schema statement may use.
#[derive(Clone, Copy, Debug)]
pub struct DdlContext<'a> {
    /// The catalogue of the moment, and the keyspace in use.
    pub plan: PlanContext<'a>,
    /// The cluster's data centres; empty if they are not known, then any name is accepted.
    pub data_centers: &'a [DataCenter],
    /// The identity that a new table gets.
    pub table_id: Uuid,
    /// Microseconds since 1970: columns that are dropped lose what was written up to here.
    pub now: Timestamp,
}

/// What a schema statement comes to. No changes: `IF [NOT] EXISTS` made it a no-op.
///
/// # Errors
/// [`QueryError::Invalid`], [`QueryError::Config`] and [`QueryError::AlreadyExists`];
/// [`QueryError::NotSupportedYet`] for what is [planned for later](Kind::Later).
pub fn effect(statement: &Statement, context: &DdlContext<'_>) -> Result<SchemaEffect, QueryError> {
    match statement {
        Statement::CreateKeyspace(statement) => keyspace::create(statement, context),
        Statement::AlterKeyspace(statement) => keyspace::alter(statement, context),
        Statement::DropKeyspace(statement) => keyspace::drop(statement, context),
        Statement::CreateTable(statement) => create_table::create(statement, context),
        Statement::AlterTable(statement) => alter_table::alter(statement, context),
        Statement::DropTable(statement) => create_table::drop(statement, context),
        Statement::CreateType(statement) => user_types::create(statement, context),
        Statement::AlterType(statement) => user_types::alter(statement, context),
        Statement::DropType(statement) => user_types::drop(statement, context),
        Statement::DropIndex(_)
        | Statement::DropView(_)
        | Statement::AlterView(_)
        | Statement::DropFunction(_)
        | Statement::DropAggregate(_)
        | Statement::DropTrigger(_) => absent::effect(statement, context),
        other => match kind(other) {
            Kind::Later(what) => Err(QueryError::NotSupportedYet(what.to_owned())),
            Kind::Supported | Kind::NotSchema => {
                Err(QueryError::Internal("a statement was taken for a schema statement".to_owned()))
            }
        },
    }
}

impl<'a> DdlContext<'a> {
    /// The keyspace that a name means: its own, or the session's.
    fn keyspace_of<'n>(&'n self, name: &'n QualifiedName) -> Result<&'n Name, QueryError> {
        keyspace_of(name, self.plan)
    }

    fn keyspace(&self, name: &Name) -> Result<&'a Arc<Keyspace>, QueryError> {
        self.plan.catalogue.keyspace(name.as_str()).ok_or_else(|| {
            QueryError::invalid(format!(
                "keyspace {name} does not exist: create it first, or check the name with DESCRIBE KEYSPACES"
            ))
        })
    }

    fn check_user_keyspace(&self, name: &Name) -> Result<(), QueryError> {
        if self.plan.catalogue.is_system(name) {
            return Err(QueryError::Unauthorized(format!(
                "{name} keyspace is not user-modifiable: it is a system keyspace"
            )));
        }
        Ok(())
    }
}

/// Where the object of a schema statement is named: what nothing else in it is to blame for is wrong with that.
pub fn object(statement: &Statement) -> Span {
    match statement {
        Statement::CreateKeyspace(statement) => statement.name.span,
        Statement::AlterKeyspace(statement) => statement.name.span,
        Statement::DropKeyspace(statement) => statement.name.span,
        Statement::CreateTable(statement) => statement.name.span(),
        Statement::AlterTable(statement) => statement.name.span(),
        Statement::CreateType(statement) => statement.name.span(),
        Statement::AlterType(statement) => statement.name.span(),
        Statement::DropTable(statement) | Statement::DropType(statement) => statement.name.span(),
        _ => Span::default(),
    }
}

fn no_effect() -> SchemaEffect {
    SchemaEffect { changes: Vec::new(), event: None, warnings: Vec::new() }
}

fn keyspace_effect(change: &'static str, keyspace: &Name, step: SchemaChange) -> SchemaEffect {
    let event =
        SchemaEvent { change, target: "KEYSPACE", keyspace: keyspace.clone(), object: None };
    SchemaEffect { changes: vec![step], event: Some(event), warnings: Vec::new() }
}

fn object_effect(
    change: &'static str,
    target: &'static str,
    keyspace: &Name,
    name: &Name,
    step: SchemaChange,
) -> SchemaEffect {
    let object = Some(name.clone());
    let event = SchemaEvent { change, target, keyspace: keyspace.clone(), object };
    SchemaEffect { changes: vec![step], event: Some(event), warnings: Vec::new() }
}

/// What is to become of a statement that is neither query nor modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A schema statement that can be carried out.
    Supported,
    /// Parsed, and planned for a later release: what it is.
    Later(&'static str),
    /// No schema statement.
    NotSchema,
}

/// What is to become of a statement.
pub fn kind(statement: &Statement) -> Kind {
    use Statement as S;
    match statement {
        S::CreateKeyspace(_) | S::AlterKeyspace(_) | S::DropKeyspace(_) => Kind::Supported,
        S::CreateTable(_) | S::AlterTable(_) | S::DropTable(_) => Kind::Supported,
        S::CreateType(_) | S::AlterType(_) | S::DropType(_) => Kind::Supported,
        S::DropIndex(_) | S::DropView(_) | S::AlterView(_) => Kind::Supported,
        S::DropFunction(_) | S::DropAggregate(_) | S::DropTrigger(_) => Kind::Supported,
        S::CreateIndex(_) => Kind::Later("secondary indexes"),
        S::CreateView(_) => Kind::Later("materialized views"),
        S::CreateFunction(_) => Kind::Later("user-defined functions"),
        S::CreateAggregate(_) => Kind::Later("user-defined aggregates"),
        S::CreateTrigger(_) => Kind::Later("triggers"),
        S::CreateRole(_)
        | S::AlterRole(_)
        | S::DropRole(_)
        | S::GrantRole(_)
        | S::RevokeRole(_) => Kind::Later("roles (there is no authentication yet)"),
        S::Grant(_) | S::Revoke(_) | S::ListPermissions(_) => {
            Kind::Later("permissions (there is no authorization yet)")
        }
        S::ListRoles(_) | S::ListUsers => {
            Kind::Later("LIST ROLES and LIST USERS (there is no authentication yet)")
        }
        S::Select(_)
        | S::Insert(_)
        | S::Update(_)
        | S::Delete(_)
        | S::Batch(_)
        | S::Truncate(_)
        | S::Use(_)
        | S::Describe(_) => Kind::NotSchema,
    }
}
