//! Types as written: user types are only names here.

use crate::ast::QualifiedName;
use crate::types::Native;

/// A type as a statement writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeName {
    Native(Native),
    List(Box<TypeName>),
    Set(Box<TypeName>),
    Map(Box<TypeName>, Box<TypeName>),
    Tuple(Vec<TypeName>),
    Vector(Box<TypeName>, u32),
    Frozen(Box<TypeName>),
    /// A user type by name.
    User(QualifiedName),
    /// A type by its class in quotes: `'org.apache.cassandra.db.marshal.Int32Type'`.
    Custom(String),
}
