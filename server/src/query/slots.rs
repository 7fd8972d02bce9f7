//! The columns that a statement touches, each once.

use std::collections::BTreeMap;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::model::ColumnId;
use tholos_storage::schema::{Column, ColumnKind, Table};

use crate::error::QueryError;
use crate::query::suggest::defined;

/// A column that the statement touches.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Where its value is.
    pub place: Place,
    /// Its name, for messages.
    pub name: Name,
    /// Its type.
    pub cql_type: CqlType,
}

/// Where a column's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Component of the partition key.
    PartitionKey(usize),
    /// Component of the clustering key.
    Clustering(usize),
    /// In the static row.
    Static(ColumnId),
    /// In the row.
    Regular(ColumnId),
}

/// Collects slots while a statement is planned.
pub(in crate::query) struct Slots<'t> {
    table: &'t Table,
    slots: Vec<Slot>,
    by_place: BTreeMap<Place, usize>,
}

impl<'t> Slots<'t> {
    pub(in crate::query) fn new(table: &'t Table) -> Self {
        Slots { table, slots: Vec::new(), by_place: BTreeMap::new() }
    }

    /// The slot of a column of the table, a new one if there is none yet.
    pub(in crate::query) fn of(&mut self, column: &Column) -> usize {
        let place = place(self.table, column);
        let next = self.slots.len();
        let index = *self.by_place.entry(place).or_insert(next);
        if index == next {
            let (name, cql_type) = (column.name.clone(), column.cql_type.clone());
            self.slots.push(Slot { place, name, cql_type });
        }
        index
    }

    /// The slot and type of the column of that name.
    pub(in crate::query) fn named(&mut self, name: &Ident) -> Result<(usize, CqlType), QueryError> {
        let column = defined(self.table, name)?;
        Ok((self.of(column), column.cql_type.clone()))
    }

    pub(in crate::query) fn table(&self) -> &'t Table {
        self.table
    }

    pub(in crate::query) fn as_slice(&self) -> &[Slot] {
        &self.slots
    }

    pub(in crate::query) fn into_vec(self) -> Vec<Slot> {
        self.slots
    }
}

/// Where a column's value is.
pub(in crate::query) fn place(table: &Table, column: &Column) -> Place {
    let index = |columns: &[Column]| columns.iter().position(|other| other.id == column.id);
    match column.kind {
        ColumnKind::PartitionKey => Place::PartitionKey(index(&table.partition_key).unwrap_or(0)),
        ColumnKind::Clustering => Place::Clustering(index(&table.clustering).unwrap_or(0)),
        ColumnKind::Static => Place::Static(column.id),
        ColumnKind::Regular => Place::Regular(column.id),
    }
}
