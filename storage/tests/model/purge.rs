//! What a compaction of everything leaves of a canonical stream, said straight from section 4 of the rules.

use std::collections::BTreeSet;

use bytes::Bytes;
use tholos_storage::model::{Cell, CellState, ColumnCells, ColumnId, Deletion, Row, Seconds};

use crate::database::{Expiring, Seen};

/// The stream without what may be forgotten when nothing lies outside the compaction.
pub(crate) fn purged(stream: Vec<Seen>, now: Seconds, gc_before: Seconds) -> Vec<Seen> {
    let kept = |deletion: Deletion| match deletion.deleted_at < gc_before {
        true => Deletion::NONE,
        false => deletion,
    };
    let left = stream.into_iter().filter_map(|seen| match seen {
        Seen::Partition(key, deletion) => {
            (!kept(deletion).is_none()).then_some(Seen::Partition(key, deletion))
        }
        Seen::Marker(key, before, after) => {
            let (before, after) = (kept(before), kept(after));
            (before != after).then_some(Seen::Marker(key, before, after))
        }
        Seen::Row(key, row) => {
            let row = purged_row(row, now, gc_before);
            (row != Row::default()).then_some(Seen::Row(key, row))
        }
    });
    left.collect()
}

fn purged_row(mut row: Row, now: Seconds, gc_before: Seconds) -> Row {
    row.deletion = row.deletion.filter(|deletion| deletion.deleted_at >= gc_before);
    row.liveness = row.liveness.filter(|liveness| {
        liveness.ttl == 0 || now < liveness.expires_at || liveness.expires_at >= gc_before
    });
    row.columns.retain_mut(|(_, column)| match column {
        ColumnCells::Simple(cell) => keep(cell, now, gc_before),
        ColumnCells::Complex { deletion, cells } => {
            if deletion.deleted_at < gc_before {
                *deletion = Deletion::NONE;
            }
            cells.retain_mut(|(_, cell)| keep(cell, now, gc_before));
            !deletion.is_none() || !cells.is_empty()
        }
    });
    row
}

/// Whether a cell stays; an expired one loses its value.
fn keep(cell: &mut Cell, now: Seconds, gc_before: Seconds) -> bool {
    match cell.state {
        CellState::Live => true,
        CellState::Tombstone { deleted_at } => deleted_at >= gc_before,
        CellState::Expiring { expires_at, .. } if now < expires_at => true,
        CellState::Expiring { expires_at, ttl } => {
            cell.value.clear();
            expires_at - i64::from(ttl) >= gc_before
        }
    }
}

/// The stream without those of these cells that have expired.
pub(crate) fn without_expired(
    stream: Vec<Seen>,
    cells: &BTreeSet<Expiring>,
    now: Seconds,
) -> Vec<Seen> {
    let left = stream.into_iter().filter_map(|seen| match seen {
        Seen::Row(key, mut row) if !cells.is_empty() => {
            let stays = |id: ColumnId, path: Option<&Bytes>, cell: &Cell| match cell.state {
                CellState::Expiring { expires_at, .. } if now >= expires_at => {
                    !cells.contains(&(key.clone(), id, path.cloned(), cell.timestamp, expires_at))
                }
                _ => true,
            };
            row.columns.retain_mut(|(id, column)| match column {
                ColumnCells::Simple(cell) => stays(*id, None, cell),
                ColumnCells::Complex { deletion, cells } => {
                    cells.retain(|(path, cell)| stays(*id, Some(path), cell));
                    !deletion.is_none() || !cells.is_empty()
                }
            });
            (row != Row::default()).then_some(Seen::Row(key, row))
        }
        other => Some(other),
    });
    left.collect()
}
