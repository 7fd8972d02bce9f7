//! Moving a write to another time.

use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::{Cell, CellState, ColumnCells, Deletion, Row};

/// The same write, made that many seconds later.
pub(crate) fn shifted(mutation: &Mutation, by: i64) -> Mutation {
    let updates = mutation.updates.iter().map(|update| match update {
        Update::Partition(deletion) => Update::Partition(later(*deletion, by)),
        Update::Row { position, row } => {
            let mut row = row.as_row().decode().unwrap();
            shift_row(&mut row, by);
            Update::Row { position: position.clone(), row: RowBuf::from(&row) }
        }
        Update::Range { start, end, deletion } => {
            Update::Range { start: start.clone(), end: end.clone(), deletion: later(*deletion, by) }
        }
    });
    Mutation { updates: updates.collect(), ..mutation.clone() }
}

fn later(deletion: Deletion, by: i64) -> Deletion {
    if deletion.is_none() {
        return deletion;
    }
    Deletion { timestamp: deletion.timestamp + by, deleted_at: deletion.deleted_at + by }
}

fn shift_row(row: &mut Row, by: i64) {
    row.deletion = row.deletion.map(|deletion| later(deletion, by));
    if let Some(liveness) = &mut row.liveness {
        liveness.timestamp += by;
        liveness.expires_at += if liveness.ttl > 0 { by } else { 0 };
    }
    for (_, column) in &mut row.columns {
        match column {
            ColumnCells::Simple(cell) => shift_cell(cell, by),
            ColumnCells::Complex { deletion, cells } => {
                *deletion = later(*deletion, by);
                cells.iter_mut().for_each(|(_, cell)| shift_cell(cell, by));
            }
        }
    }
}

fn shift_cell(cell: &mut Cell, by: i64) {
    cell.timestamp += by;
    match &mut cell.state {
        CellState::Live => {}
        CellState::Expiring { expires_at, .. } => *expires_at += by,
        CellState::Tombstone { deleted_at } => *deleted_at += by,
    }
}
