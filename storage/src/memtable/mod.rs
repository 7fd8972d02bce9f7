//! Memtables: what was written to a table since its last flush.
//!
//! A memtable is cut into shards by the token's upper bits, so that all shards in order are the table in order and a
//! partition lies in one shard. A shard is a short-held lock around two copy-on-write B+trees ([`tree`]): entries
//! (partition deletions, static rows and rows), and range-tombstone markers. A reader clones the trees, which costs two
//! reference counts, and never blocks a writer; a mutation is applied under the lock, so it is visible whole or not at
//! all.
//!
//! Invariants: markers are canonical among themselves (spec 3.4) and every row is canonical (1.4), but rows that a
//! partition deletion or a range deletes stay until a merge leaves them out.

mod cursor;
mod record;
mod shard;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

pub use self::cursor::MemtableCursor;
use self::record::Record;
use self::shard::{Shard, TimeSpan};
use crate::StorageError;
use crate::model::entry::{Direction, RowRef};
use crate::model::mutation::Mutation;
use crate::model::position::token_of;
use crate::model::{Deletion, Timestamp};

/// What was written to one table since its last flush.
#[derive(Debug)]
pub struct Memtable {
    /// A power of two of them.
    shards: Box<[Mutex<Shard>]>,
    bytes: AtomicIsize,
    /// Set under all shard locks: whoever then takes one sees it.
    frozen: AtomicBool,
}

/// One row and the deletions above it, as a memtable has them.
#[derive(Clone, Debug)]
pub struct MemtableRow {
    /// The row.
    pub row: Option<SharedRow>,
    /// The greatest of the partition's deletion and the range deletion in force.
    pub deletion: Deletion,
}

/// A row that keeps its memory while somebody reads it.
#[derive(Clone, Debug)]
pub struct SharedRow(Record);

impl SharedRow {
    /// The encoded row.
    pub fn row(&self) -> RowRef<'_> {
        RowRef::of_whole(self.0.payload(), 0)
    }
}

/// Why a memtable took no mutation.
#[derive(Debug)]
pub enum NotApplied {
    /// The memtable is being flushed: take the next one.
    Frozen,
    /// What was to be done first failed, or the mutation does not decode.
    Failed(StorageError),
}

impl Memtable {
    /// An empty memtable of that many shards, rounded up to a power of two.
    pub fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, 1 << 16).next_power_of_two();
        Memtable {
            shards: (0..shards).map(|_| Mutex::new(Shard::default())).collect(),
            bytes: AtomicIsize::new(0),
            frozen: AtomicBool::new(false),
        }
    }

    /// Applies a mutation: whole, or not at all. `first` runs under the same lock, before: that is where the commit log
    /// is written, so that log order and memtable agree when a flush draws the line. Returns what `first` did, and by
    /// how many bytes the memtable grew.
    ///
    /// # Errors
    /// What `first` returned, or that the memtable is frozen; nothing was applied then.
    pub fn apply<T>(
        &self,
        mutation: &Mutation,
        first: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<(T, isize), NotApplied> {
        let span = TimeSpan::of(mutation).map_err(NotApplied::Failed)?;
        let mut shard = self.shard_of(&mutation.partition);
        if self.frozen.load(Ordering::Relaxed) {
            return Err(NotApplied::Frozen);
        }
        let result = first().map_err(NotApplied::Failed)?;
        let grown = shard.apply(mutation, span);
        // Under the lock: a memtable that is frozen does not grow any more.
        self.bytes.fetch_add(grown, Ordering::Relaxed);
        Ok((result, grown))
    }

    /// Stops taking mutations, and returns what `line` does while no mutation is under way.
    pub fn freeze<T>(&self, line: impl FnOnce() -> T) -> T {
        let guards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(Mutex::lock).collect();
        self.frozen.store(true, Ordering::Relaxed);
        let result = line();
        drop(guards);
        result
    }

    /// One row (or static row), and what deletes it.
    pub fn row(&self, key: &[u8], partition_len: usize) -> MemtableRow {
        self.shard_of(key).row(key, partition_len)
    }

    /// The deletion of a partition.
    pub fn partition_deletion(&self, partition: &[u8]) -> Deletion {
        self.shard_of(partition).partition_deletion(partition)
    }

    /// A walk through `lower..upper` (an empty `upper`: to the end). Shards are looked at as the walk gets to them.
    pub fn cursor(
        self: &Arc<Self>,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(self), lower, upper, direction)
    }

    /// Bytes held, with the trees' own.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Least and greatest timestamp of what was applied; (`MAX`, `MIN`) if nothing was.
    pub fn timestamps(&self) -> (Timestamp, Timestamp) {
        self.shards.iter().fold((Timestamp::MAX, Timestamp::MIN), |(least, greatest), shard| {
            let shard = shard.lock();
            (least.min(shard.min_timestamp), greatest.max(shard.max_timestamp))
        })
    }

    /// No less than this was written to a partition: `MAX` if it is not here. For purging (spec 4.2).
    pub fn min_timestamp_of(&self, partition: &[u8]) -> Timestamp {
        let shard = self.shard_of(partition);
        if shard.contains(partition) { shard.min_timestamp } else { Timestamp::MAX }
    }

    fn shard_of(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        self.shards[self.index_of(key)].lock()
    }

    fn index_of(&self, key: &[u8]) -> usize {
        if self.shards.len() == 1 {
            return 0;
        }
        let sorted = (token_of(key) ^ i64::MIN) as u64;
        (sorted >> (64 - self.shards.len().trailing_zeros())) as usize
    }
}
