//! Entries: what a sorted run holds, and how it is walked.
//!
//! An entry is a full key (partition prefix and position) and a payload that depends on the position: `HEADER` a
//! deletion, `STATIC` and `ROW` an encoded row, `BEFORE`/`AFTER` a range-tombstone change marker.

use smallvec::SmallVec;

use crate::StorageError;
use crate::model::{Deletion, Timestamp};

/// An encoded row that owns its bytes, with timestamps relative to 0. See [`RowRef`] for reading.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RowBuf {
    /// What is there: see [`row`](crate::model::row).
    pub head: SmallVec<[u8; 8]>,
    /// What it says.
    pub body: Vec<u8>,
}

/// An encoded row, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// What is there: see [`row`](crate::model::row).
    pub head: &'a [u8],
    /// What it says.
    pub body: &'a [u8],
    /// What its timestamps are relative to: 0 in memory and in the log, a file's least timestamp in an SSTable.
    pub base: Timestamp,
}

/// One entry of a sorted run.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The full key.
    pub key: &'a [u8],
    /// How many bytes of `key` are the partition prefix.
    pub partition_len: usize,
    /// What is there.
    pub content: Content<'a>,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The partition's deletion.
    Partition(Deletion),
    /// A static row or a row.
    Row(RowRef<'a>),
    /// From here on another range deletion is in force. `before` and `after` are in key order, whichever way one
    /// walks; either may be [`Deletion::NONE`], and they differ.
    Marker {
        /// In force just before this bound.
        before: Deletion,
        /// In force just after this bound.
        after: Deletion,
    },
}

/// Which way to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Direction {
    Forward,
    Reverse,
}

/// A walk through a sorted run (a memtable snapshot, an SSTable, or a merge of several), within fixed bounds.
///
/// A cursor opens before its first entry. Keys come strictly ascending (or descending, in reverse). A cursor whose
/// bounds cut through a range deletion does *not* make up markers at its bounds: it says by
/// [`open_deletion`](Cursor::open_deletion) what is in force where it starts, and the reader closes it at the end.
pub trait Cursor {
    /// Moves to the next entry. After an error the cursor is at its end.
    ///
    /// # Errors
    /// What reading meets.
    fn move_on(&mut self) -> Result<(), StorageError>;

    /// Moves to the next entry; `None` at the end.
    ///
    /// # Errors
    /// As [`move_on`](Cursor::move_on).
    fn advance(&mut self) -> Result<Option<Entry<'_>>, StorageError> {
        self.move_on()?;
        Ok(self.current())
    }

    /// The entry it is at; `None` before the first one and at the end.
    fn current(&self) -> Option<Entry<'_>>;

    /// The range deletion in force, in walking direction, at the place where this cursor starts; fixed once opened.
    /// It belongs to the partition that the starting bound lies in.
    fn open_deletion(&self) -> Deletion;

    /// The deletion of the partition that the starting bound lies in, if its header lies outside the bounds.
    fn partition_deletion(&self) -> Deletion;
}
