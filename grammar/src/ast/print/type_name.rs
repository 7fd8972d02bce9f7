//! Types.

use std::fmt::{self, Display};

use crate::ast::QualifiedName;
use crate::ast::print::{Joined, Quoted};
use crate::ast::type_name::TypeName;
use crate::types::Native;

/// Names of parametrised types: a user type of such a name prints in quotes.
const PARAMETRISED: [&str; 6] = ["frozen", "list", "map", "set", "tuple", "vector"];

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypeName::Native(native) => native.fmt(f),
            TypeName::List(element) => write!(f, "list<{element}>"),
            TypeName::Set(element) => write!(f, "set<{element}>"),
            TypeName::Map(key, value) => write!(f, "map<{key}, {value}>"),
            TypeName::Tuple(elements) => write!(f, "tuple<{}>", Joined(elements, ", ")),
            TypeName::Vector(element, dimensions) => write!(f, "vector<{element}, {dimensions}>"),
            TypeName::Frozen(inner) => write!(f, "frozen<{inner}>"),
            TypeName::User(name) => user_type(f, name),
            TypeName::Custom(class) => Quoted(class).fmt(f),
        }
    }
}

/// A user type that has a native type's name can only be written in quotes, or with its keyspace.
fn user_type(f: &mut fmt::Formatter<'_>, name: &QualifiedName) -> fmt::Result {
    let text = name.name.as_str();
    let taken = PARAMETRISED.contains(&text) || Native::from_name(text).is_some();
    if name.keyspace.is_none() && taken && !name.name.needs_quotes() {
        write!(f, "\"{text}\"")
    } else {
        name.fmt(f)
    }
}
