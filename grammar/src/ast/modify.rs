//! INSERT, UPDATE, DELETE and BATCH.

use crate::ast::TableName;
use crate::ast::ident::Ident;
use crate::ast::relation::{ColumnPath, Conditions, Relation};
use crate::ast::term::Term;
use crate::consistency::Consistency;

/// USING of a modification: each attribute at most once.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Using {
    /// `TIMESTAMP t`: microseconds.
    pub timestamp: Option<Term>,
    /// `TTL n`: seconds. Not in DELETE or BATCH.
    pub ttl: Option<Term>,
    /// `TIMEOUT 500ms`
    pub timeout: Option<Term>,
    /// `CONSISTENCY QUORUM`: overrides that of the request. Printed last.
    pub consistency: Option<Consistency>,
    /// The terms that are given, in the order of the text, by which markers are numbered. Empty if that is the order
    /// above.
    pub order: Vec<UsingTerm>,
}

/// The attributes of USING that are terms, in their usual order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsingTerm {
    Timestamp,
    Ttl,
    Timeout,
}

impl Using {
    /// The terms that are given, in the order of the text.
    pub fn terms(&self) -> impl Iterator<Item = (UsingTerm, &Term)> {
        let usual = [UsingTerm::Timestamp, UsingTerm::Ttl, UsingTerm::Timeout];
        let order = if self.order.is_empty() { &usual[..] } else { &self.order };
        let order: Vec<UsingTerm> = order.to_vec();
        order.into_iter().filter_map(|which| Some((which, self.term(which)?)))
    }

    fn term(&self, which: UsingTerm) -> Option<&Term> {
        match which {
            UsingTerm::Timestamp => self.timestamp.as_ref(),
            UsingTerm::Ttl => self.ttl.as_ref(),
            UsingTerm::Timeout => self.timeout.as_ref(),
        }
    }
}

/// `INSERT INTO ...`
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub table: TableName,
    /// What is inserted.
    pub source: InsertSource,
    pub if_not_exists: bool,
    pub using: Using,
}

/// What an INSERT inserts.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// `(a, b) VALUES (1, 2)`; as many columns as values.
    Values(Vec<(Ident, Term)>),
    /// `JSON '...' [DEFAULT NULL | DEFAULT UNSET]`
    Json {
        /// A text literal or a marker.
        json: Term,
        /// Columns that the document leaves out stay as they are instead of becoming null.
        default_unset: bool,
    },
}

/// `UPDATE ...`
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub table: TableName,
    pub using: Using,
    /// SET: at least one.
    pub assignments: Vec<Assignment>,
    /// WHERE
    pub relations: Vec<Relation>,
    pub conditions: Option<Conditions>,
}

/// One assignment of SET.
#[derive(Clone, Debug, PartialEq)]
pub enum Assignment {
    /// `a = term`, `a[k] = term`, `a.field = term`
    Set(ColumnPath, Term),
    /// `a = a + term` (printed `a += term`): append to a list, add to a set or map, increment a counter.
    Add(Ident, Term),
    /// `a = a - term` (printed `a -= term`): remove from a collection, decrement a counter.
    Subtract(Ident, Term),
    /// `a = term + a`: prepend to a list.
    Prepend(Ident, Term),
}

/// `DELETE ...`
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// What is deleted of each row; empty: the rows themselves.
    pub targets: Vec<ColumnPath>,
    pub table: TableName,
    /// USING: no TTL.
    pub using: Using,
    /// WHERE
    pub relations: Vec<Relation>,
    pub conditions: Option<Conditions>,
}

/// `BEGIN BATCH ... APPLY BATCH`
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// LOGGED, UNLOGGED or COUNTER.
    pub kind: BatchKind,
    /// USING: no TTL.
    pub using: Using,
    /// The statements; may be empty.
    pub statements: Vec<Modification>,
}

/// Kinds of batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    Logged,
    Unlogged,
    Counter,
}

impl Modification {
    /// The table that it changes.
    pub fn table(&self) -> &TableName {
        match self {
            Modification::Insert(insert) => &insert.table,
            Modification::Update(update) => &update.table,
            Modification::Delete(delete) => &delete.table,
        }
    }
}

/// A statement that may stand in a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Modification {
    Insert(Insert),
    Update(Update),
    Delete(Delete),
}
