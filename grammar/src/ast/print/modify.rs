//! INSERT, UPDATE, DELETE and BATCH.

use std::fmt;

use crate::ast::modify::{
    Assignment, Batch, BatchKind, Delete, Insert, InsertSource, Modification, Update, Using,
    UsingTerm,
};
use crate::ast::print::{Joined, joined, words};
use crate::ast::relation::Conditions;

/// With the USING and a space before it, or nothing.
impl fmt::Display for Using {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = " USING";
        for (which, term) in self.terms() {
            let word = match which {
                UsingTerm::Timestamp => "TIMESTAMP",
                UsingTerm::Ttl => "TTL",
                UsingTerm::Timeout => "TIMEOUT",
            };
            write!(f, "{lead} {word} {term}")?;
            lead = " AND";
        }
        match &self.consistency {
            Some(level) => write!(f, "{lead} CONSISTENCY {level}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Insert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INSERT INTO {} {}", self.table, self.source)?;
        f.write_str(words(self.if_not_exists, " IF NOT EXISTS"))?;
        self.using.fmt(f)
    }
}

impl fmt::Display for InsertSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InsertSource::Values(pairs) => {
                f.write_str("(")?;
                joined(f, pairs, ", ", |f, (column, _)| column.fmt(f))?;
                f.write_str(") VALUES (")?;
                joined(f, pairs, ", ", |f, (_, term)| term.fmt(f))?;
                f.write_str(")")
            }
            InsertSource::Json { json, default_unset } => {
                write!(f, "JSON {json}{}", words(*default_unset, " DEFAULT UNSET"))
            }
        }
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UPDATE {}{} SET {}", self.table, self.using, Joined(&self.assignments, ", "))?;
        if !self.relations.is_empty() {
            write!(f, " WHERE {}", Joined(&self.relations, " AND "))?;
        }
        conditions(f, &self.conditions)
    }
}

fn conditions(f: &mut fmt::Formatter<'_>, conditions: &Option<Conditions>) -> fmt::Result {
    conditions.iter().try_for_each(|conditions| write!(f, " {conditions}"))
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Assignment::Set(path, term) => write!(f, "{path} = {term}"),
            Assignment::Add(column, term) => write!(f, "{column} += {term}"),
            Assignment::Subtract(column, term) => write!(f, "{column} -= {term}"),
            Assignment::Prepend(column, term) => write!(f, "{column} = {term} + {column}"),
        }
    }
}

impl fmt::Display for Delete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DELETE ")?;
        if !self.targets.is_empty() {
            write!(f, "{} ", Joined(&self.targets, ", "))?;
        }
        write!(f, "FROM {}{}", self.table, self.using)?;
        if !self.relations.is_empty() {
            write!(f, " WHERE {}", Joined(&self.relations, " AND "))?;
        }
        conditions(f, &self.conditions)
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            BatchKind::Logged => "",
            BatchKind::Unlogged => "UNLOGGED ",
            BatchKind::Counter => "COUNTER ",
        };
        write!(f, "BEGIN {kind}BATCH{} ", self.using)?;
        self.statements.iter().try_for_each(|statement| write!(f, "{statement}; "))?;
        f.write_str("APPLY BATCH")
    }
}

impl fmt::Display for Modification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Modification::Insert(it) => it.fmt(f),
            Modification::Update(it) => it.fmt(f),
            Modification::Delete(it) => it.fmt(f),
        }
    }
}
