//! DESCRIBE.

use std::fmt::{self, Display};

use crate::ast::QualifiedName;
use crate::ast::describe::{Describe, Described};
use crate::ast::print::words;

impl fmt::Display for Describe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DESCRIBE {}{}", self.what, words(self.with_internals, " WITH INTERNALS"))
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Described::Cluster => f.write_str("CLUSTER"),
            Described::Schema { full } => write!(f, "{}SCHEMA", words(*full, "FULL ")),
            Described::Keyspaces => f.write_str("KEYSPACES"),
            Described::Keyspace { only, name } => {
                write!(f, "{}KEYSPACE", words(*only, "ONLY "))?;
                name.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Described::Tables => f.write_str("TABLES"),
            Described::Table(name) => write!(f, "TABLE {name}"),
            Described::Types => f.write_str("TYPES"),
            Described::Type(name) => write!(f, "TYPE {name}"),
            Described::Functions => f.write_str("FUNCTIONS"),
            Described::Function(name) => write!(f, "FUNCTION {name}"),
            Described::Aggregates => f.write_str("AGGREGATES"),
            Described::Aggregate(name) => write!(f, "AGGREGATE {name}"),
            Described::Index(name) => write!(f, "INDEX {name}"),
            Described::View(name) => write!(f, "MATERIALIZED VIEW {name}"),
            Described::Any(name) => any(f, name),
        }
    }
}

/// Words that begin another form of DESCRIBE: a bare name that is one of them prints in quotes.
const FORMS: [&str; 9] = [
    "aggregate",
    "aggregates",
    "cluster",
    "function",
    "functions",
    "keyspaces",
    "only",
    "tables",
    "type",
];

fn any(f: &mut fmt::Formatter<'_>, name: &QualifiedName) -> fmt::Result {
    let word = name.name.as_str();
    if name.keyspace.is_none() && (FORMS.contains(&word) || word == "types") {
        write!(f, "\"{word}\"")
    } else {
        name.fmt(f)
    }
}
