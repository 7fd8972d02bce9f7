//! What one write does to one partition.

use smallvec::SmallVec;

use crate::model::Deletion;
use crate::model::entry::RowBuf;
use crate::schema::TableId;

/// Changes to one partition of one table, visible together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The table.
    pub table: TableId,
    /// The partition prefix: `token | partition key components`.
    pub partition: SmallVec<[u8; 40]>,
    /// The changes, applied in order; merging makes the order irrelevant.
    pub updates: SmallVec<[Update; 1]>,
}

/// One change within a partition. Positions are the key's bytes after the partition prefix.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Deletes the partition.
    Partition(Deletion),
    /// Writes or deletes a row, or the static row: at a `ROW` or `STATIC` position.
    Row {
        /// Where.
        position: SmallVec<[u8; 24]>,
        /// What, encoded.
        row: RowBuf,
    },
    /// Deletes all rows between two `BEFORE`/`AFTER` positions; `start < end`.
    Range {
        /// First position deleted.
        start: SmallVec<[u8; 24]>,
        /// Position after the last one deleted.
        end: SmallVec<[u8; 24]>,
        /// The deletion.
        deletion: Deletion,
    },
}
