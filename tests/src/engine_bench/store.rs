//! What every store can do: two tables, one of single rows by key, one of a single partition of rows in order.

use std::path::Path;

use tholos_storage::model::entry::Direction;

use super::Outcome;
use super::workload::{Key, Value};

/// What every store is given.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// Bytes of a memtable.
    pub memtable_bytes: usize,
    /// Bytes of the block cache: enough for all blocks of the standard set.
    pub cache_bytes: usize,
    /// Bytes of a block before compression, which is LZ4.
    pub block_bytes: usize,
}

/// The budgets of the table.
pub const BUDGETS: Budgets =
    Budgets { memtable_bytes: 64 << 20, cache_bytes: 256 << 20, block_bytes: 16 << 10 };

/// When a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Once it is in the log's buffer or handed to the system.
    Unsynced,
    /// Once it is on disk.
    Synced,
}

/// A store under test. All methods may be called from several threads.
pub trait Store: Send + Sync {
    /// Writes a row.
    fn put(&self, key: &Key, value: &Value) -> Outcome<()>;
    /// Deletes a row.
    fn delete(&self, key: &Key) -> Outcome<()>;
    /// Reads a row; gives back how many bytes its value has, 0 if there is none.
    fn read(&self, key: &Key) -> Outcome<usize>;
    /// Reads all rows; gives back how many there are.
    fn scan(&self, direction: Direction) -> Outcome<u64>;
    /// Writes the row of that number in the large partition.
    fn put_in_order(&self, row: u64, value: &Value) -> Outcome<()>;
    /// Reads up to `rows` rows of the large partition: from that number up, or in reverse from below it down.
    fn slice(&self, from: u64, rows: usize, direction: Direction) -> Outcome<usize>;
    /// Flushes, and merges all files of both tables.
    fn settle(&self) -> Outcome<()>;
    /// Merges all files of the table of single rows.
    fn compact(&self) -> Outcome<()>;
    /// Bytes of the tables' files, the log not counted.
    fn disk_bytes(&self) -> Outcome<u64>;
}

/// The 16-byte key of a row of the large partition, for stores that know nothing of partitions: the partition's 8
/// bytes, the row's 8.
pub fn ordered_key(row: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&PARTITION.to_be_bytes());
    key[8..].copy_from_slice(&row.to_be_bytes());
    key
}

/// The partition key of the large partition.
pub const PARTITION: u64 = 0x5ea1_0000_0000_0001;

/// Bytes of all files below a directory whose names are wanted.
pub fn file_bytes(dir: &Path, wanted: fn(&Path) -> bool) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        bytes += match entry.file_type()?.is_dir() {
            true => file_bytes(&path, wanted)?,
            false if wanted(&path) => entry.metadata()?.len(),
            false => 0,
        };
    }
    Ok(bytes)
}
