//! The row model: what a write says and how two writes become one (the reconciliation spec).
//!
//! One encoded form of a row ([`row`]) serves the commit log, the memtable and the SSTable alike; rows are decoded into
//! [`Row`] only where several versions must be merged.
//!
//! Keys. A table's key space is `token (8 bytes, big endian, sign flipped) | partition key components | position`;
//! positions are in [`position`]. The bytes up to the position are the *partition prefix*; prefixes are prefix-free, so
//! `starts_with` tells whether an entry belongs to a partition.

pub mod entry;
pub mod merge;
pub mod mutation;
pub mod mutation_codec;
pub mod position;
pub mod purge;
pub mod read;
pub mod row;
pub mod token_range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970, chosen by the client or coordinator. `i64::MIN` is "none" and never a write's timestamp.
pub type Timestamp = i64;

/// Seconds since 1970: when something was deleted or expires (the spec's *ldt*).
pub type Seconds = i64;

/// A column's number within its table: never reused, so a dropped and re-added column can't show old data.
pub type ColumnId = u32;

/// Ids from here on are of cells that hold a clustering value as it was written, where the key has one form for all
/// values that are equal to it: 1.50, where the key says 1.5, and no bytes for 1.5 itself. Such cells never make a row exist,
/// and no column of a table has such an id. Whatever may make a row exist has them beside it, written at the same time: so
/// compaction may forget them where nothing else of the row is left.
pub const WRITTEN_KEYS: ColumnId = ColumnId::MAX - 0xffff;

/// The id for the clustering column of that number.
pub const fn written_key(place: u16) -> ColumnId {
    WRITTEN_KEYS + place as ColumnId
}

/// A deletion: covers what was written at or before `timestamp`. Ordered as `supersedes` (1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Deletion {
    /// Everything written at or before this is deleted (1.1).
    pub timestamp: Timestamp,
    /// When the deletion was made, for purging.
    pub deleted_at: Seconds,
}

impl Deletion {
    /// Deletes nothing; superseded by every other deletion.
    pub const NONE: Deletion = Deletion { timestamp: Timestamp::MIN, deleted_at: Seconds::MIN };

    /// Whether something written at `timestamp` is gone. Equal timestamps: the deletion wins (1.1).
    pub const fn deletes(self, timestamp: Timestamp) -> bool {
        timestamp <= self.timestamp && !self.is_none()
    }

    /// Whether this is [`Deletion::NONE`].
    pub const fn is_none(self) -> bool {
        self.timestamp == Timestamp::MIN
    }
}

/// Whether and until when a row exists by itself, without any live cell: written by INSERT, not by UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Liveness {
    /// When it was written.
    pub timestamp: Timestamp,
    /// Time to live in seconds, 0 for none.
    pub ttl: u32,
    /// When it expires; only meaningful when `ttl > 0`.
    pub expires_at: Seconds,
}

/// How a cell's value ends, in order of precedence at equal timestamps (2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellState {
    /// Lives until overwritten or deleted.
    Live,
    /// Lives until `expires_at`; remains expiring, without its value, for ever after (2.3).
    Expiring {
        /// When it expires.
        expires_at: Seconds,
        /// Time to live in seconds, above 0.
        ttl: u32,
    },
    /// A cell tombstone, made at `deleted_at`; has no value.
    Tombstone {
        /// When it was made.
        deleted_at: Seconds,
    },
}

/// One cell of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// When it was written.
    pub timestamp: Timestamp,
    /// Live, expiring or a tombstone.
    pub state: CellState,
    /// The protocol's bytes; empty for tombstones.
    pub value: Bytes,
}

/// The cells of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnCells {
    /// A column of one cell.
    Simple(Cell),
    /// A multi-cell column: collections and user types that are not frozen.
    Complex {
        /// Deletes earlier elements; [`Deletion::NONE`] if absent.
        deletion: Deletion,
        /// Path and cell, sorted by path. A path is the byte-comparable key (sets, maps), 16 byte-comparable time-UUID
        /// bytes (lists) or the field's number as 2 bytes big endian (user types).
        cells: Vec<(Bytes, Cell)>,
    },
}

/// A row (or static row), decoded. Rows at rest are encoded: see [`entry`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Row {
    /// Present when an INSERT wrote the row. Never in a static row.
    pub liveness: Option<Liveness>,
    /// The row's own deletion.
    pub deletion: Option<Deletion>,
    /// Columns that have cells, sorted by id.
    pub columns: Vec<(ColumnId, ColumnCells)>,
}
