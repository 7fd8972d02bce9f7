//! What an engine and its tables are told.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use crate::commitlog::CommitLogOptions;
use crate::model::ColumnId;
use crate::schema::options::TableOptions;
use crate::schema::{Table, TableId};
use crate::sstable::Compression;

/// Where the engine learns the time, which it needs for purging alone: reads are given their `now`.
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
    /// Who flushes and compacts.
    pub background: BackgroundDriver,
}

impl EngineOptions {
    /// The usual options: 256 MiB of memtables, 16 shards, 128 MiB of block cache, acknowledged means on disk.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        EngineOptions {
            data_dir: data_dir.into(),
            commit_log: CommitLogOptions::default(),
            memtable_bytes: 256 << 20,
            shards: 16,
            block_cache_bytes: 128 << 20,
            background: BackgroundDriver::Threads,
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
    pub compaction: CompactionSettings,
    /// Whether writes go through the commit log.
    pub durable_writes: bool,
    /// Ids of the columns whose cells count, ascending: cells of others make no row exist and go with the next
    /// compaction. `None`, if no column was ever dropped: all count.
    pub columns: Option<Arc<[ColumnId]>>,
}

/// How a table's files are compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactionSettings {
    /// Whether that happens by itself at all.
    pub enabled: bool,
    /// Files of about one size that it takes to compact them.
    pub min_threshold: usize,
    /// Files compacted at once, at most.
    pub max_threshold: usize,
    /// Files of less than this many bytes count as one size.
    pub min_file_bytes: u64,
    /// Sizes between these shares of a bucket's average belong to the bucket.
    pub bucket: (f64, f64),
}

impl Default for CompactionSettings {
    fn default() -> Self {
        CompactionSettings {
            enabled: true,
            min_threshold: 4,
            max_threshold: 32,
            min_file_bytes: 50 << 20,
            bucket: (0.5, 1.5),
        }
    }
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
            compaction: CompactionSettings::default(),
            durable_writes: true,
            columns: None,
        }
    }

    /// What the table's options say. Options that were validated are taken as they are; others keep their defaults.
    pub fn from_schema(table: &Table, durable_writes: bool) -> Self {
        let options = &table.options;
        TableSettings {
            compression: compression(options),
            block_bytes: block_bytes(options),
            filter_false_positives: options.bloom_filter_fp_chance,
            gc_grace_seconds: i64::from(options.gc_grace_seconds),
            compaction: compaction(options),
            durable_writes,
            columns: current_columns(table),
            ..TableSettings::new(table.id, table.keyspace.as_str(), table.name.as_str())
        }
    }
}

/// The ids that are left once a column was dropped. Ids are never used again, so what has another one was dropped.
fn current_columns(table: &Table) -> Option<Arc<[ColumnId]>> {
    if table.dropped.is_empty() {
        return None;
    }
    let mut ids: Vec<ColumnId> = table.columns().map(|column| column.id).collect();
    ids.sort_unstable();
    Some(ids.into())
}

fn compression(options: &TableOptions) -> Compression {
    let option = |name: &str| options.compression.get(name).map(String::as_str);
    let class = option("class").or(option("sstable_compression")).unwrap_or_default();
    if option("enabled") == Some("false") || class.is_empty() {
        return Compression::None;
    }
    if class.ends_with("ZstdCompressor") {
        let level = option("compression_level").and_then(|level| level.parse().ok());
        return Compression::Zstd { level: level.unwrap_or(3) };
    }
    Compression::Lz4
}

fn block_bytes(options: &TableOptions) -> usize {
    let kib = options.compression.get("chunk_length_in_kb").and_then(|kib| kib.parse().ok());
    kib.unwrap_or(16_usize).clamp(1, 1024) << 10
}

fn compaction(options: &TableOptions) -> CompactionSettings {
    let option = |name: &str| options.compaction.get(name);
    let number = |name: &str| option(name).and_then(|value| value.parse::<f64>().ok());
    let default = CompactionSettings::default();
    let min_threshold = number("min_threshold").map_or(default.min_threshold, |n| n as usize);
    let max_threshold = number("max_threshold").map_or(default.max_threshold, |n| n as usize);
    CompactionSettings {
        enabled: option("enabled").is_none_or(|value| value != "false"),
        min_threshold: min_threshold.max(2),
        max_threshold: max_threshold.max(min_threshold).max(2),
        min_file_bytes: number("min_sstable_size").map_or(default.min_file_bytes, |n| n as u64),
        bucket: (
            number("bucket_low").unwrap_or(default.bucket.0),
            number("bucket_high").unwrap_or(default.bucket.1),
        ),
    }
}
