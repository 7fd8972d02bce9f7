//! Relations and conditions.

use std::fmt;

use crate::ast::print::{Joined, words};
use crate::ast::relation::{ColumnPath, Comparison, Conditions, InValues, Relation};

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Relation::Single { column, operator, term } => write!(f, "{column} {operator} {term}"),
            Relation::In { column, negated, values } => {
                write!(f, "{column} {}IN {values}", words(*negated, "NOT "))
            }
            Relation::Between { column, low, high } => {
                write!(f, "{column} BETWEEN {low} AND {high}")
            }
            Relation::IsNotNull(column) => write!(f, "{column} IS NOT NULL"),
            Relation::Tuple { columns, operator, term } => {
                write!(f, "({}) {operator} {term}", Joined(columns, ", "))
            }
            Relation::TupleIn { columns, values } => {
                write!(f, "({}) IN {values}", Joined(columns, ", "))
            }
            Relation::Token { columns, operator, term } => {
                write!(f, "token({}) {operator} {term}", Joined(columns, ", "))
            }
        }
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnPath::Column(column) => column.fmt(f),
            ColumnPath::Element(column, key) => write!(f, "{column}[{key}]"),
            ColumnPath::Field(column, field) => write!(f, "{column}.{field}"),
        }
    }
}

impl fmt::Display for InValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InValues::List(terms) => write!(f, "({})", Joined(terms, ", ")),
            InValues::Marker(marker) => marker.fmt(f),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Contains => "CONTAINS",
            Comparison::ContainsKey => "CONTAINS KEY",
            Comparison::NotContains => "NOT CONTAINS",
            Comparison::NotContainsKey => "NOT CONTAINS KEY",
            Comparison::Like => "LIKE",
        })
    }
}

/// With the IF.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conditions::Exists => f.write_str("IF EXISTS"),
            Conditions::NotExists => f.write_str("IF NOT EXISTS"),
            Conditions::All(relations) => write!(f, "IF {}", Joined(relations, " AND ")),
        }
    }
}
