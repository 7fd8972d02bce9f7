//! Server-side DESCRIBE (CQL 3.4.5 and later).

use crate::ast::QualifiedName;
use crate::ast::ident::Ident;

/// `DESCRIBE what [WITH INTERNALS]`; `DESC` is the same word.
#[derive(Clone, Debug, PartialEq)]
pub struct Describe {
    pub what: Described,
    /// WITH INTERNALS: ids and dropped columns too.
    pub with_internals: bool,
}

/// What is described.
#[derive(Clone, Debug, PartialEq)]
pub enum Described {
    Cluster,
    /// `[FULL] SCHEMA`
    Schema {
        /// FULL: with the system keyspaces.
        full: bool,
    },
    Keyspaces,
    /// `[ONLY] KEYSPACE [name]`
    Keyspace {
        /// ONLY: without the keyspace's tables and types.
        only: bool,
        /// The session's own when absent.
        name: Option<Ident>,
    },
    Tables,
    Table(QualifiedName),
    Types,
    Type(QualifiedName),
    Functions,
    Function(QualifiedName),
    Aggregates,
    Aggregate(QualifiedName),
    Index(QualifiedName),
    /// MATERIALIZED VIEW name
    View(QualifiedName),
    /// A bare name: a keyspace, table, view, index, ... of that name.
    Any(QualifiedName),
}
