//! The columns that a statement touches, each once.

use tholos_storage::schema::{Column, ColumnKind, Table};

use super::plan::{Place, Slot};

/// Collects slots while a statement is planned.
pub(super) struct Slots<'t> {
    table: &'t Table,
    slots: Vec<Slot>,
}

impl<'t> Slots<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Slots { table, slots: Vec::new() }
    }

    /// The slot of a column of the table, a new one if there is none yet.
    pub(super) fn of(&mut self, column: &Column) -> usize {
        let place = place(self.table, column);
        if let Some(index) = self.slots.iter().position(|slot| slot.place == place) {
            return index;
        }
        let slot = Slot { place, name: column.name.clone(), cql_type: column.cql_type.clone() };
        self.slots.push(slot);
        self.slots.len() - 1
    }

    pub(super) fn as_slice(&self) -> &[Slot] {
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
