//! What an engine and its tables are told.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::commitlog::CommitLogOptions;
use crate::compaction::CompactionOptions;
use crate::model::ColumnId;
use crate::read::floors::Floors;
use crate::schema::options::TableOptions;
use crate::schema::{Table, TableId};
use crate::sstable::{Compression, KeyTypes};

/// Where the engine learns the time, which it needs for purging and timely flushes: reads are given their `now`.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970.
    fn now_micros(&self) -> i64;
}

/// Options of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Everything is below this directory; it is made if missing.
    pub data_dir: PathBuf,
    /// How the commit log works: when a write counts as logged, sizes.
    pub commit_log: CommitLogOptions,
    /// When all memtables together have this many bytes, the largest is flushed; at twice that, writers wait.
    pub memtable_bytes: usize,
    /// Shards of each memtable, a power of two: at least four times the cores.
    pub shards: usize,
    /// Budget of the cache of blocks, indexes and filters.
    pub block_cache_bytes: u64,
    /// How fast compactions write while they keep up, in bytes per second; 0 for no limit. They get faster as they fall
    /// behind.
    pub compaction_bytes_per_second: u64,
    /// How many compactions may run at once.
    pub compaction_threads: usize,
    /// How many SSTables are open at once, at most; others are opened as they are read.
    pub open_files: usize,
    /// How many threads replay the log at the start. With one it goes the same way every time.
    pub replay_threads: usize,
    /// Who flushes and compacts.
    pub background: BackgroundDriver,
    /// What is there from before.
    pub expected: Expected,
}

/// What an engine must find in its directory.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// It was open before: its directories, the log and the tables are there, and are not made anew.
    pub opened_before: bool,
    /// But these tables are new: they are made where they are missing.
    pub new_tables: BTreeSet<TableId>,
    /// Tables that were dropped: what the log and the disk still have of them is of no use.
    pub dropped: BTreeSet<TableId>,
    /// Those are all that were dropped, so that a record of any other table that is not there ends the start.
    pub knows_all_dropped: bool,
}

impl EngineOptions {
    /// The usual options: 256 MiB of memtables, 16 shards, 128 MiB of block cache, 512 open files, acknowledged means on
    /// disk.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        EngineOptions {
            data_dir: data_dir.into(),
            commit_log: CommitLogOptions::default(),
            memtable_bytes: 256 << 20,
            shards: 16,
            block_cache_bytes: 128 << 20,
            compaction_bytes_per_second: 64 << 20,
            compaction_threads: 1,
            open_files: 512,
            replay_threads: 1,
            background: BackgroundDriver::Threads,
            expected: Expected::default(),
        }
    }
}

/// Who flushes and compacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackgroundDriver {
    /// One thread of the engine's own for flushes and one for compactions.
    Threads,
    /// Whoever calls [`Engine::background_step`](super::Engine::background_step): for simulations in one thread. A write
    /// that finds the memtables too large flushes by itself.
    Caller,
}

/// What the engine needs to know of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSettings {
    /// The table.
    pub id: TableId,
    /// The keyspace, for messages, metrics and directory names.
    pub keyspace: String,
    /// The table's name, for the same.
    pub name: String,
    /// How SSTables are compressed.
    pub compression: Compression,
    /// Size of an SSTable's block before compression, in bytes.
    pub block_bytes: usize,
    /// Share of absent partitions that a file's filter may let through.
    pub filter_false_positives: f64,
    /// How long a tombstone is kept at least.
    pub gc_grace_seconds: i64,
    /// How files are compacted.
    pub compaction: CompactionOptions,
    /// How long what was written stays in memory at most; zero for as long as there is room. Looked at once a second.
    pub flush_period: Duration,
    /// Whether writes go through the commit log.
    pub durable_writes: bool,
    /// The types of the partition key.
    pub key_types: KeyTypes,
    /// Ids of the columns whose cells count, ascending: cells of others make no row exist and go with the next
    /// compaction. `None`, if no column was ever dropped: all count.
    pub columns: Option<Arc<[ColumnId]>>,
    /// Columns of which only what was written after a timestamp is there, whether they count now or may come back: see
    /// [`floors`](crate::read::floors). `None` if there is no such.
    pub floors: Option<Arc<Floors>>,
}

impl TableSettings {
    /// The usual settings.
    pub fn new(id: TableId, keyspace: impl Into<String>, name: impl Into<String>) -> Self {
        TableSettings {
            id,
            keyspace: keyspace.into(),
            name: name.into(),
            compression: Compression::Lz4,
            block_bytes: 16 << 10,
            filter_false_positives: 0.01,
            gc_grace_seconds: 864_000,
            compaction: CompactionOptions::default(),
            flush_period: Duration::ZERO,
            durable_writes: true,
            key_types: KeyTypes::NONE,
            columns: None,
            floors: None,
        }
    }

    /// `keyspace.table`, for messages.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.keyspace, self.name)
    }

    /// What the table's options say. Options that were validated are taken as they are; others keep their defaults.
    pub fn from_schema(table: &Table, durable_writes: bool) -> Self {
        let options = &table.options;
        TableSettings {
            compression: compression(options),
            block_bytes: block_bytes(options),
            filter_false_positives: options.bloom_filter_fp_chance,
            gc_grace_seconds: i64::from(options.gc_grace_seconds),
            compaction: CompactionOptions::of(&options.compaction),
            flush_period: Duration::from_millis(
                u64::try_from(options.memtable_flush_period_in_ms).unwrap_or(0),
            ),
            durable_writes,
            key_types: KeyTypes::of(table.partition_key.iter().map(|column| &column.cql_type)),
            columns: current_columns(table),
            floors: floors(table),
            ..TableSettings::new(table.id, table.keyspace.as_str(), table.name.as_str())
        }
    }
}

/// The ids that are left once a column was dropped: what has another one was dropped.
fn current_columns(table: &Table) -> Option<Arc<[ColumnId]>> {
    if table.dropped.is_empty() {
        return None;
    }
    let mut ids: Vec<ColumnId> = table.columns().map(|column| column.id).collect();
    ids.sort_unstable();
    Some(ids.into())
}

/// Columns that were dropped with a timestamp of the user's keep their id if they come back.
fn floors(table: &Table) -> Option<Arc<Floors>> {
    let dropped = table.dropped.values().filter(|dropped| dropped.keeps_newer);
    let floors: Vec<_> = dropped.map(|dropped| (dropped.column.id, dropped.dropped_at)).collect();
    (!floors.is_empty()).then(|| floors.into())
}

const USUAL_ZSTD_LEVEL: i32 = 3;

/// Blocks are at most this large, whatever `chunk_length_in_kb` says.
pub const MAX_BLOCK_KIB: usize = 1024;

fn compression(options: &TableOptions) -> Compression {
    let option = |name: &str| options.compression.get(name).map(String::as_str);
    let class = option("class").or(option("sstable_compression")).unwrap_or_default();
    if option("enabled") == Some("false") || class.is_empty() {
        return Compression::None;
    }
    match class.rsplit('.').next().unwrap_or_default() {
        "NoopCompressor" => Compression::None,
        "ZstdCompressor" => {
            let level = option("compression_level").and_then(|level| level.parse().ok());
            Compression::Zstd { level: level.unwrap_or(USUAL_ZSTD_LEVEL) }
        }
        // The nearest to it in speed and size; the schema keeps the name, so that it can go back to Cassandra.
        "DeflateCompressor" => Compression::Zstd { level: USUAL_ZSTD_LEVEL },
        // Also for Snappy, which is much like it.
        _ => Compression::Lz4,
    }
}

fn block_bytes(options: &TableOptions) -> usize {
    let kib = options.compression.get("chunk_length_in_kb").and_then(|kib| kib.parse().ok());
    kib.unwrap_or(16_usize).clamp(1, MAX_BLOCK_KIB) << 10
}
