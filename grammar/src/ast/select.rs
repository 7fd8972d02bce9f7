//! SELECT.

use crate::ast::TableName;
use crate::ast::ident::Ident;
use crate::ast::relation::Relation;
use crate::ast::term::Term;
use crate::consistency::Consistency;

/// `SELECT ...`. Clauses stand in the order in which they print.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// `SELECT JSON`
    pub json: bool,
    /// `SELECT DISTINCT`
    pub distinct: bool,
    /// What is selected.
    pub selection: Selection,
    pub table: TableName,
    /// WHERE: all must hold.
    pub relations: Vec<Relation>,
    pub group_by: Vec<Term>,
    /// ORDER BY: column, and whether DESC.
    pub order_by: Vec<Ordering>,
    pub per_partition_limit: Option<Term>,
    pub limit: Option<Term>,
    pub allow_filtering: bool,
    /// BYPASS CACHE: accepted and ignored.
    pub bypass_cache: bool,
    /// `USING TIMEOUT t AND CONSISTENCY level`
    pub using: SelectUsing,
}

/// The select list.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// `*`
    All,
    /// One item or more.
    Items(Vec<SelectItem>),
}

/// One item of the select list.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectItem {
    /// The expression.
    pub term: Term,
    /// `AS alias`
    pub alias: Option<Ident>,
}

/// One item of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub enum Ordering {
    /// `column [ASC | DESC]`; ASC is not printed.
    Column {
        column: Ident,
        /// DESC
        descending: bool,
    },
    /// `column ANN OF term`
    Ann {
        /// The vector column.
        column: Ident,
        /// The vector to be near to.
        term: Term,
    },
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SelectUsing {
    /// `TIMEOUT 500ms`: a duration or a marker.
    pub timeout: Option<Term>,
    /// `CONSISTENCY QUORUM`: overrides that of the request.
    pub consistency: Option<Consistency>,
}
