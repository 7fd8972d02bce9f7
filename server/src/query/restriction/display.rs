//! How restrictions print, in plans: as CQL writes them. Markers print by position, counted from 0.
//!
//! ```text
//!   partitions: k = 1
//!   clustering: a IN (1, 2), b >= ?1
//! ```

use std::fmt;

use tholos_storage::schema::{Column, Table};

use super::{
    Access, Candidates, Clustering, Operator, PartitionKeys, Test, TokenBound, TokenTerm, Tokens,
    Tuple,
};
use crate::query::expression::{Expr, Shown};

impl Access {
    /// Prints the way to the partitions, on a line of its own.
    ///
    /// # Errors
    /// As the formatter's.
    pub fn show(&self, table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Keys(keys) => keys.show(table, f),
            Access::Scan(Tokens::At(token)) => write!(f, "\n  token: = {}", ShowToken(token)),
            Access::Scan(tokens) if tokens.are_all() => f.write_str("\n  scan: all partitions"),
            Access::Scan(tokens) => write!(f, "\n  scan: {tokens}"),
        }
    }
}

impl PartitionKeys {
    /// Prints the partitions, on a line of its own.
    ///
    /// # Errors
    /// As the formatter's.
    pub fn show(&self, table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n  partitions: ")?;
        for (i, points) in self.columns.iter().enumerate() {
            let columns = table.partition_key.get(points.columns.clone()).unwrap_or_default();
            write!(f, "{}{}{}", comma(i), names(columns), points.values)?;
        }
        if self.tokens.are_all() { Ok(()) } else { write!(f, ", {}", self.tokens) }
    }
}

impl Clustering {
    /// Prints the rows, on a line of its own; nothing for all of them.
    ///
    /// # Errors
    /// As the formatter's.
    pub fn show(&self, table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return Ok(());
        }
        f.write_str("\n  clustering: ")?;
        let names = |columns| names(table.clustering.get(columns).unwrap_or_default());
        for (i, points) in self.points.iter().enumerate() {
            write!(f, "{}{}{}", comma(i), names(points.columns.clone()), points.values)?;
        }
        let bounds = [(&self.slice.lower, ">"), (&self.slice.upper, "<")];
        let bounds = bounds.into_iter().filter_map(|(bound, sign)| Some((bound.as_ref()?, sign)));
        for (i, (bound, sign)) in bounds.enumerate() {
            let joint = if i == 0 { comma(self.points.len()) } else { " AND " };
            let equal = if bound.inclusive { "=" } else { "" };
            let columns = names(bound.columns.clone());
            write!(f, "{joint}{columns} {sign}{equal} {}", bound.values)?;
        }
        Ok(())
    }
}

impl Test {
    /// Prints what it says of columns of that name.
    ///
    /// # Errors
    /// As the formatter's.
    pub fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { " NOT" } else { "" };
        match self {
            Test::Compare(operator, value) => write!(f, "{name} {operator} {value}"),
            Test::In { negated, values } => write!(f, "{name}{}{values}", not(negated)),
            Test::Contains { negated, value, .. } => {
                write!(f, "{name}{} CONTAINS {}", not(negated), Show(value))
            }
            Test::ContainsKey { negated, key, .. } => {
                write!(f, "{name}{} CONTAINS KEY {}", not(negated), Show(key))
            }
            Test::Entry { key, operator, value } => {
                write!(f, "{name}[{}] {operator} {}", Show(key), Show(value))
            }
        }
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |f: &mut fmt::Formatter<'_>, sign: &str, bound: &TokenBound| {
            let equal = if bound.inclusive { "=" } else { "" };
            write!(f, "token {sign}{equal} {}", ShowToken(&bound.token))
        };
        match self {
            Tokens::At(token) => write!(f, "token = {}", ShowToken(token)),
            Tokens::Between { lower, upper } => {
                if let Some(lower) = lower {
                    bound(f, ">", lower)?;
                }
                if lower.is_some() && upper.is_some() {
                    f.write_str(" AND ")?;
                }
                upper.as_ref().map_or(Ok(()), |upper| bound(f, "<", upper))
            }
        }
    }
}

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Candidates::One(tuple) => write!(f, " = {tuple}"),
            Candidates::Many(tuples) => {
                f.write_str(" IN (")?;
                for (i, tuple) in tuples.iter().enumerate() {
                    write!(f, "{}{tuple}", comma(i))?;
                }
                f.write_str(")")
            }
            Candidates::List { list, .. } => write!(f, " IN {}", Show(list)),
        }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tuple::Elements(elements) => match elements.as_slice() {
                [element] => Show(element).fmt(f),
                elements => write!(f, "({})", list(elements)),
            },
            Tuple::Whole(expr) => Show(expr).fmt(f),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        })
    }
}

struct ShowToken<'t>(&'t TokenTerm);

impl fmt::Display for ShowToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TokenTerm::Number(expr) => Show(expr).fmt(f),
            TokenTerm::Key(exprs) => write!(f, "token({})", list(exprs)),
        }
    }
}

/// Expressions, separated by commas.
pub fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(|expr| Show(expr).to_string()).collect::<Vec<_>>().join(", ")
}

/// Shows an expression: constants as CQL writes them.
#[derive(Debug)]
pub struct Show<'e>(pub &'e Expr);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { expr: self.0, slots: &[], as_cql: true }.fmt(f)
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name.to_string()).collect();
    if names.len() == 1 { names.concat() } else { format!("({})", names.join(", ")) }
}

fn comma(i: usize) -> &'static str {
    if i == 0 { "" } else { ", " }
}
