//! The columns that a statement touches, each once.

use std::collections::BTreeMap;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::{Column, ColumnKind, Table};

use super::plan::{Place, Slot};
use crate::error::QueryError;
use crate::query::suggest::defined;

/// Collects slots while a statement is planned.
pub(in crate::query) struct Slots<'t> {
    table: &'t Table,
    slots: Vec<Slot>,
    by_place: BTreeMap<Place, usize>,
}

impl<'t> Slots<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Slots { table, slots: Vec::new(), by_place: BTreeMap::new() }
    }

    /// The slot of a column of the table, a new one if there is none yet.
    pub(super) fn of(&mut self, column: &Column) -> usize {
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

    pub(super) fn into_vec(self) -> Vec<Slot> {
        self.slots
    }
}

/// Where a column's value is.
pub(super) fn place(table: &Table, column: &Column) -> Place {
    let index = |columns: &[Column]| columns.iter().position(|other| other.id == column.id);
    match column.kind {
        ColumnKind::PartitionKey => Place::PartitionKey(index(&table.partition_key).unwrap_or(0)),
        ColumnKind::Clustering => Place::Clustering(index(&table.clustering).unwrap_or(0)),
        ColumnKind::Static => Place::Static(column.id),
        ColumnKind::Regular => Place::Regular(column.id),
    }
}
