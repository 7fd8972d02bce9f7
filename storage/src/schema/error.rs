//! What a change of the schema can be refused for, and the limits that it has to keep.

use tholos_grammar::name::Name;

/// The most levels of collections, tuples, vectors and user types that a type may have, definitions included.
pub const MAX_TYPE_DEPTH: usize = 32;

/// The most types that a type may consist of, definitions included each time they are used.
pub const MAX_TYPE_PARTS: usize = 8192;

/// A change does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It names a keyspace that is not there.
    #[error("keyspace {0} does not exist")]
    NoKeyspace(Name),
    /// It drops a table that is not there.
    #[error("table {0}.{1} does not exist")]
    NoTable(Name, Name),
    /// It drops a type that is not there.
    #[error("type {0}.{1} does not exist")]
    NoType(Name, Name),
    /// It drops a type that something uses.
    #[error("type {0}.{1} is used by {2}: drop that first")]
    TypeInUse(Name, Name, String),
    /// A type is nested too deep.
    #[error(
        "{0} is nested deeper than the {MAX_TYPE_DEPTH} levels that a type may have, those of the user types in it counted: use fewer levels"
    )]
    TooDeep(String),
    /// A type has too many parts.
    #[error(
        "{0} comes to more than the {MAX_TYPE_PARTS} parts that a type may have, those of the user types in it counted each time: use the inner types less often, or keep them in columns of their own"
    )]
    TooLarge(String),
}
