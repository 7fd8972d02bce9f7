//! What a read asks of a replica: one row, or a range of keys.
//!
//! Bounds are keys, so a command knows neither columns nor CQL types. What comes back is already reconciled: the newest
//! of everything that is not deleted, with cells that expired by `now` still to be told by their own expiry.

use crate::model::Seconds;
use crate::model::entry::Direction;
use crate::schema::TableId;

/// What to read. The bytes are the caller's: nothing is copied to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadCommand<'a> {
    /// One row whose full key is known; beside it, the static row of its partition is not read.
    Row {
        /// The table.
        table: TableId,
        /// Its key: partition prefix and position.
        key: &'a [u8],
        /// How many bytes of `key` are the partition prefix.
        partition_len: usize,
        /// What expiry is compared with.
        now: Seconds,
    },
    /// All entries with `lower <= key < upper`.
    Range {
        /// The table.
        table: TableId,
        /// First key, inclusive. Empty: from the table's first.
        lower: &'a [u8],
        /// End, exclusive. Empty: to the table's last.
        upper: &'a [u8],
        /// How many bytes of `lower` are the prefix of the one partition that all of it lies in, if it is one: files
        /// without that partition need no look.
        partition_len: Option<usize>,
        /// Which way to walk.
        direction: Direction,
        /// What expiry is compared with.
        now: Seconds,
    },
}

impl ReadCommand<'_> {
    /// The table that is read.
    pub fn table(&self) -> TableId {
        match self {
            ReadCommand::Row { table, .. } | ReadCommand::Range { table, .. } => *table,
        }
    }
}
