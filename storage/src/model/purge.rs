//! What compaction may forget (spec section 4).
//!
//! A compaction at 1000 s, of a table with `gc_grace_seconds` 100: `gc_before` is 900. The oldest that any source outside
//! it holds of the partition was written at 50 s: `max_purgeable` is 50,000,000 µs.
//!
//! ```text
//! it merges                              what stays
//! a, written at 40 s                     a
//! b, deleted at 30 s                     nothing: the grace is over, and all that is older is merged here
//! c, deleted at 60 s                     the tombstone: a file outside may hold a c written at 55 s
//! d, deleted at 950 s                    the tombstone: replicas that missed it have until 1050 s to hear of it
//! e, written at 40 s, expired at 950 s   nothing: as b, and the grace counts from when it was written
//! f, written at 60 s, expired at 950 s   the cell, without its value: as c
//! ```

use crate::model::entry::RowRef;
use crate::model::row::{RowBuilder, RowError, RowItem};
use crate::model::{CellState, ColumnId, Deletion, Seconds, Timestamp, WRITTEN_KEYS};
use crate::planted::planted;

/// What of one partition may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The request's or the compaction's `now`.
    pub now: Seconds,
    /// Deletions made before this are old enough: `now - gc_grace_seconds`.
    pub gc_before: Seconds,
    /// Only what was written before this: no source outside the compaction holds anything older (4.2).
    pub max_purgeable: Timestamp,
}

impl Purge {
    /// Whether a tombstone of that timestamp, made at that time, may go (4.1).
    pub fn forgets(&self, timestamp: Timestamp, deleted_at: Seconds) -> bool {
        (deleted_at < self.gc_before || planted!(PurgeWithoutGrace))
            && timestamp < self.max_purgeable
    }

    /// The deletion, or [`Deletion::NONE`] if it may go.
    pub fn deletion(&self, deletion: Deletion) -> Deletion {
        if self.forgets(deletion.timestamp, deletion.deleted_at) {
            return Deletion::NONE;
        }
        deletion
    }

    /// Writes what is left of a row; expired values go at once, the cells stay until they may be forgotten (2.3, 4.3).
    /// Of other columns than these (ascending; `None` for all) nothing stays.
    ///
    /// # Errors
    /// When the row does not decode.
    pub fn row(
        &self,
        row: RowRef<'_>,
        columns: Option<&[ColumnId]>,
        out: &mut RowBuilder,
    ) -> Result<(), RowError> {
        let (header, items) = row.parts()?;
        if let Some(deletion) = header.deletion {
            out.deletion(self.deletion(deletion));
        }
        if let Some(liveness) = header.liveness
            && (liveness.is_live(self.now)
                || !self.forgets(liveness.timestamp, liveness.expires_at))
        {
            out.liveness(liveness);
        }
        // How the key of a row was written is of no use without the row; such cells are the last of it.
        let mut bare = None;
        for item in items {
            let item = item?;
            let column = item.column();
            let is_written_key = column >= WRITTEN_KEYS;
            if columns.is_some_and(|ids| !is_written_key && ids.binary_search(&column).is_err()) {
                continue;
            }
            match item {
                RowItem::Deletion { column, deletion } => {
                    out.complex_deletion(column, self.deletion(deletion));
                }
                RowItem::Cell(mut cell) => {
                    let forgotten = match cell.state {
                        CellState::Live => false,
                        CellState::Tombstone { deleted_at } => {
                            self.forgets(cell.timestamp, deleted_at)
                        }
                        CellState::Expiring { expires_at, .. } if self.now < expires_at => false,
                        CellState::Expiring { expires_at, ttl } => {
                            cell.value = &[];
                            let written_at = expires_at.saturating_sub(Seconds::from(ttl));
                            if planted!(ExpiredCellBecomesTombstone) {
                                cell.state = CellState::Tombstone { deleted_at: written_at };
                            }
                            self.forgets(cell.timestamp, written_at)
                        }
                    };
                    let pointless = is_written_key
                        && *bare.get_or_insert_with(|| out.is_bare())
                        && cell.timestamp < self.max_purgeable;
                    if !forgotten && !pointless {
                        out.cell(cell);
                    }
                }
            }
        }
        Ok(())
    }
}
