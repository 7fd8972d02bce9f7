//! Figures of an engine, for metrics and for people.

use std::path::PathBuf;

pub use super::jobs::JobStats;
use crate::commitlog::CommitLogStats;
use crate::manifest::{FileNumber, TableFile};
use crate::read::figures::ReadDistributions;
use crate::schema::TableId;
use crate::sstable::FoundDamage;

/// Figures of an engine at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineStats {
    /// Bytes of all memtables.
    pub memtable_bytes: usize,
    /// Of the commit log.
    pub log: CommitLogStats,
    /// Flushes finished since the start.
    pub flushes: u64,
    /// Compactions finished since the start.
    pub compactions: u64,
    /// Bytes that compactions wrote since the start.
    pub compacted_bytes: u64,
    /// Files that went unread since the start, because all in them had expired.
    pub expired_files: u64,
    /// Compactions that run.
    pub jobs: Vec<JobStats>,
    /// Tables by id.
    pub tables: Vec<TableStats>,
}

/// Damage in a file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The keyspace.
    pub keyspace: String,
    /// The table.
    pub table: String,
    /// The file.
    pub file: PathBuf,
    /// Its number.
    pub number: FileNumber,
    /// What is damaged, which keys that concerns, and when it was found.
    pub found: FoundDamage,
}

/// Figures of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableStats {
    /// The table.
    pub id: TableId,
    /// Its keyspace.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// Bytes of its memtables.
    pub memtable_bytes: usize,
    /// Its SSTables: number and size in bytes, newest data first.
    pub files: Vec<(u64, u64)>,
    /// Partitions, a partition counted once per file that holds it; memtables not counted.
    pub partitions: u64,
    /// The largest partition of any of its SSTables, before compression; 0 if that is not known.
    pub max_partition_bytes: u64,
    /// Compactions that its strategy would start now, one after the other.
    pub pending_compactions: usize,
    /// Bytes that those would rewrite.
    pub compaction_backlog_bytes: u64,
    /// Mutations applied since the start.
    pub writes: u64,
    /// What its reads cost since the start.
    pub reads: ReadDistributions,
}

impl TableStats {
    /// Bytes of its SSTables.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// An SSTable of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct SsTableStats {
    /// The keyspace.
    pub keyspace: String,
    /// The table.
    pub table: String,
    /// Where it is.
    pub path: PathBuf,
    /// What the manifest says of it.
    pub file: TableFile,
    /// Whether a compaction has it.
    pub compacting: bool,
    /// Whether something in it can't be read.
    pub damaged: bool,
    /// How many of its tombstones are older than gc_grace_seconds: a compaction may drop them if nothing older that they
    /// delete is elsewhere. Never too many.
    pub droppable_tombstones: u64,
}
