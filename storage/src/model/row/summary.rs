//! What a row contributes to a file's statistics.

use super::{RowError, RowItem};
use crate::model::entry::RowRef;
use crate::model::{CellState, Seconds, Timestamp};
use crate::sstable::RowSummary;

/// Appends a row's body relative to another base and sums the row up: the row codec that an SSTable writer is given.
///
/// # Errors
/// What is wrong with the row, if it does not decode.
pub fn transcode(
    row: RowRef<'_>,
    base: Timestamp,
    out: &mut Vec<u8>,
) -> Result<RowSummary, String> {
    let summary = row.summary().map_err(|error| error.to_string())?;
    row.copy_body(base, out).map_err(|error| error.to_string())?;
    Ok(summary)
}

/// Checks a whole stored row and sums it up: what verification looks into rows with.
///
/// # Errors
/// What is wrong with the row.
pub fn check(row: RowRef<'_>) -> Result<RowSummary, String> {
    row.validate().map_err(|error| error.to_string())?;
    row.summary().map_err(|error| error.to_string())
}

impl RowRef<'_> {
    /// What the row contributes to a file's statistics.
    pub fn summary(self) -> Result<RowSummary, RowError> {
        let (header, items) = self.parts()?;
        let mut summary = Summary(RowSummary {
            min_timestamp: Timestamp::MAX,
            max_timestamp: Timestamp::MIN,
            min_live_timestamp: Timestamp::MAX,
            min_deleted_at: Seconds::MAX,
            max_deleted_at: Seconds::MIN,
            last_tombstone: Seconds::MIN,
            cells: 0,
            tombstones: 0,
        });
        if let Some(liveness) = header.liveness {
            summary.live(liveness.timestamp, liveness.state());
        }
        if let Some(deletion) = header.deletion {
            summary.dead(deletion.timestamp, deletion.deleted_at);
        }
        for item in items {
            match item? {
                RowItem::Deletion { deletion, .. } => {
                    summary.dead(deletion.timestamp, deletion.deleted_at);
                }
                RowItem::Cell(cell) => {
                    summary.0.cells += 1;
                    match cell.state {
                        CellState::Tombstone { deleted_at } => {
                            summary.dead(cell.timestamp, deleted_at);
                        }
                        state => summary.live(cell.timestamp, state),
                    }
                }
            }
        }
        Ok(summary.0)
    }
}

struct Summary(RowSummary);

impl Summary {
    fn timestamp(&mut self, timestamp: Timestamp) {
        self.0.min_timestamp = self.0.min_timestamp.min(timestamp);
        self.0.max_timestamp = self.0.max_timestamp.max(timestamp);
    }

    /// Written, and not deleted: it may still expire.
    fn live(&mut self, timestamp: Timestamp, state: CellState) {
        self.timestamp(timestamp);
        self.0.min_live_timestamp = self.0.min_live_timestamp.min(timestamp);
        match state {
            CellState::Expiring { expires_at, .. } => self.ends(expires_at),
            _ => self.0.max_deleted_at = Seconds::MAX,
        }
    }

    fn dead(&mut self, timestamp: Timestamp, deleted_at: Seconds) {
        self.timestamp(timestamp);
        self.ends(deleted_at);
    }

    fn ends(&mut self, at: Seconds) {
        self.0.min_deleted_at = self.0.min_deleted_at.min(at);
        self.0.max_deleted_at = self.0.max_deleted_at.max(at);
        self.0.last_tombstone = self.0.last_tombstone.max(at);
        self.0.tombstones += 1;
    }
}
