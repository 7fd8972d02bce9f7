//! CQL types: natives, collections, tuples, user types and vectors.
//!
//! A type prints as the schema tables show it (`map<text, frozen<list<int>>>`). The protocol's type codes and options
//! live in [`crate::protocol`]; names that are not resolved yet (a user type by name) live in [`crate::ast`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// A native type. `text` and `varchar` are one type, printed `text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // each is the CQL type of that name
pub enum Native {
    Ascii,
    Bigint,
    Blob,
    Boolean,
    Counter,
    Date,
    Decimal,
    Double,
    Duration,
    Float,
    Inet,
    Int,
    Smallint,
    Text,
    Time,
    Timestamp,
    Timeuuid,
    Tinyint,
    Uuid,
    Varint,
}

/// A resolved CQL type.
///
/// `frozen` says whether the value is one cell (frozen) or a cell per element. Inside another collection, tuple, user
/// type or vector everything is one cell whatever the flag says; the flag there only keeps what the user wrote.
/// Tuples and vectors are always one cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CqlType {
    /// A native type.
    Native(Native),
    /// `list<element>`
    List {
        /// Type of the elements.
        element: Box<CqlType>,
        /// One cell for the whole list.
        frozen: bool,
    },
    /// `set<element>`
    Set {
        /// Type of the elements.
        element: Box<CqlType>,
        /// One cell for the whole set.
        frozen: bool,
    },
    /// `map<key, value>`
    Map {
        /// Type of the keys.
        key: Box<CqlType>,
        /// Type of the values.
        value: Box<CqlType>,
        /// One cell for the whole map.
        frozen: bool,
    },
    /// `tuple<...>`; prints as `frozen<tuple<...>>`, as the schema tables show it.
    Tuple(Vec<CqlType>),
    /// A user type.
    Udt {
        /// Its definition.
        definition: Arc<UserType>,
        /// One cell for the whole value.
        frozen: bool,
    },
    /// `vector<element, dimensions>`
    Vector {
        /// Type of the elements.
        element: Box<CqlType>,
        /// Number of elements, at least 1.
        dimensions: u32,
    },
}

/// The definition of a user type: fields in their order. Fields can be added and renamed, never removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserType {
    /// The keyspace that the type belongs to.
    pub keyspace: Name,
    /// The type's name.
    pub name: Name,
    /// Fields: name and type. A record that only names the type has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(Name, CqlType)>,
}

impl Native {
    /// All native types, in alphabetical order.
    pub const ALL: [Native; 20] = [
        Native::Ascii,
        Native::Bigint,
        Native::Blob,
        Native::Boolean,
        Native::Counter,
        Native::Date,
        Native::Decimal,
        Native::Double,
        Native::Duration,
        Native::Float,
        Native::Inet,
        Native::Int,
        Native::Smallint,
        Native::Text,
        Native::Time,
        Native::Timestamp,
        Native::Timeuuid,
        Native::Tinyint,
        Native::Uuid,
        Native::Varint,
    ];

    /// The name as CQL writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Native::Ascii => "ascii",
            Native::Bigint => "bigint",
            Native::Blob => "blob",
            Native::Boolean => "boolean",
            Native::Counter => "counter",
            Native::Date => "date",
            Native::Decimal => "decimal",
            Native::Double => "double",
            Native::Duration => "duration",
            Native::Float => "float",
            Native::Inet => "inet",
            Native::Int => "int",
            Native::Smallint => "smallint",
            Native::Text => "text",
            Native::Time => "time",
            Native::Timestamp => "timestamp",
            Native::Timeuuid => "timeuuid",
            Native::Tinyint => "tinyint",
            Native::Uuid => "uuid",
            Native::Varint => "varint",
        }
    }

    /// See [`CqlType::fixed_size`].
    const fn fixed_size(self) -> Option<usize> {
        match self {
            Native::Boolean => Some(1),
            Native::Float | Native::Int => Some(4),
            Native::Bigint | Native::Counter | Native::Double | Native::Timestamp => Some(8),
            Native::Timeuuid | Native::Uuid => Some(16),
            _ => None,
        }
    }

    /// The native type of that name, in any case; `varchar` is `text`.
    pub fn from_name(name: &str) -> Option<Native> {
        if name.eq_ignore_ascii_case("varchar") {
            return Some(Native::Text);
        }
        Native::ALL.into_iter().find(|native| native.name().eq_ignore_ascii_case(name))
    }
}

impl CqlType {
    /// Whether a value of this type, as a table's column, is kept as a cell per element or field.
    pub fn is_multi_cell(&self) -> bool {
        match self {
            CqlType::List { frozen, .. }
            | CqlType::Set { frozen, .. }
            | CqlType::Map { frozen, .. }
            | CqlType::Udt { frozen, .. } => !frozen,
            CqlType::Native(_) | CqlType::Tuple(_) | CqlType::Vector { .. } => false,
        }
    }

    /// Whether this is a list, set or map, frozen or not.
    pub fn is_collection(&self) -> bool {
        matches!(self, CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. })
    }

    /// How many bytes every element of this type takes in a vector, if always as many. Elements of other types carry
    /// their length. The list is Cassandra 5's, part of the protocol: `tinyint`, `smallint`, `date` and `time` are not
    /// on it although their values have one size.
    pub fn fixed_size(&self) -> Option<usize> {
        match self {
            CqlType::Native(native) => native.fixed_size(),
            CqlType::Vector { element, dimensions } => {
                element.fixed_size()?.checked_mul(*dimensions as usize)
            }
            _ => None,
        }
    }

    /// Whether this is the counter type.
    pub fn is_counter(&self) -> bool {
        matches!(self, CqlType::Native(Native::Counter))
    }
}

impl From<Native> for CqlType {
    fn from(native: Native) -> Self {
        CqlType::Native(native)
    }
}

impl fmt::Display for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrap = |f: &mut fmt::Formatter<'_>, frozen: bool, inner: fmt::Arguments<'_>| {
            if frozen { write!(f, "frozen<{inner}>") } else { f.write_fmt(inner) }
        };
        match self {
            CqlType::Native(native) => native.fmt(f),
            CqlType::List { element, frozen } => wrap(f, *frozen, format_args!("list<{element}>")),
            CqlType::Set { element, frozen } => wrap(f, *frozen, format_args!("set<{element}>")),
            CqlType::Map { key, value, frozen } => {
                wrap(f, *frozen, format_args!("map<{key}, {value}>"))
            }
            CqlType::Tuple(elements) => {
                f.write_str("frozen<tuple<")?;
                for (i, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(">>")
            }
            CqlType::Udt { definition, frozen } => {
                wrap(f, *frozen, format_args!("{}", definition.name))
            }
            CqlType::Vector { element, dimensions } => write!(f, "vector<{element}, {dimensions}>"),
        }
    }
}
