//! The syntax tree of CQL: what a statement says, before any name is looked up in a schema.
//!
//! Every node prints itself as canonical CQL (`Display`), and parsing that text gives the same tree again.
//! One file per group of statements, as in the parser crate: [`select`], [`modify`], [`schema`], [`access`],
//! [`describe`], with the shared parts in [`ident`], [`term`], [`relation`] and [`type_name`]. Names and terms know where they stand
//! ([`crate::span::Span`]), and trees are compared without that. What is named as the word of CQL that it stands for has no
//! other description.

#![allow(missing_docs)]

pub mod access;
pub mod describe;
pub mod ident;
pub mod modify;
mod print;
pub mod relation;
pub mod schema;
pub mod select;
pub mod term;
pub mod type_name;

use crate::ast::ident::Ident;
use crate::span::Span;

/// One statement. A script is a sequence of them, separated by `;`.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Select(select::Select),
    Insert(modify::Insert),
    Update(modify::Update),
    Delete(modify::Delete),
    Batch(modify::Batch),
    Truncate(TableName),
    /// `USE keyspace`
    Use(Ident),
    CreateKeyspace(schema::CreateKeyspace),
    AlterKeyspace(schema::AlterKeyspace),
    DropKeyspace(schema::DropKeyspace),
    CreateTable(schema::CreateTable),
    AlterTable(schema::AlterTable),
    DropTable(schema::DropObject),
    CreateType(schema::CreateType),
    AlterType(schema::AlterType),
    DropType(schema::DropObject),
    CreateIndex(schema::CreateIndex),
    /// `DROP INDEX`: the name is the index's.
    DropIndex(schema::DropObject),
    CreateView(schema::CreateView),
    AlterView(schema::AlterView),
    DropView(schema::DropObject),
    CreateFunction(schema::CreateFunction),
    DropFunction(schema::DropFunction),
    CreateAggregate(schema::CreateAggregate),
    DropAggregate(schema::DropFunction),
    CreateTrigger(schema::CreateTrigger),
    DropTrigger(schema::DropTrigger),
    CreateRole(access::CreateRole),
    AlterRole(access::AlterRole),
    DropRole(access::DropRole),
    GrantRole(access::GrantRole),
    RevokeRole(access::RevokeRole),
    Grant(access::Grant),
    Revoke(access::Revoke),
    ListRoles(access::ListRoles),
    /// `LIST USERS`
    ListUsers,
    ListPermissions(access::ListPermissions),
    Describe(describe::Describe),
}

/// The name of a table, type, index, ..., with its keyspace when one is written: `ks.t` or `t`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QualifiedName {
    /// The keyspace; the session's own when absent.
    pub keyspace: Option<Ident>,
    /// The object's name.
    pub name: Ident,
}

impl QualifiedName {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.keyspace.as_ref().map_or(self.name.span, |keyspace| keyspace.span.to(self.name.span))
    }
}

/// The name of a table.
pub type TableName = QualifiedName;
