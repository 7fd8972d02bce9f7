//! Table options: every option of Cassandra 5, with its default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Options of CREATE TABLE ... WITH, as the schema tables show them.
///
/// All are accepted, validated, stored and echoed. Which of them act is said where they act; the others are here so
/// that schemas made for Cassandra load and describe unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // each is the option of that name
pub struct TableOptions {
    pub additional_write_policy: String,
    pub allow_auto_snapshot: bool,
    /// Chance of a false positive, in (0, 1].
    pub bloom_filter_fp_chance: f64,
    pub caching: BTreeMap<String, String>,
    pub cdc: bool,
    pub comment: String,
    /// `class` (full Java name) and its options.
    pub compaction: BTreeMap<String, String>,
    /// `class` (full Java name), `chunk_length_in_kb`; `enabled: false` for none.
    pub compression: BTreeMap<String, String>,
    pub crc_check_chance: f64,
    /// Seconds, 0 for none.
    pub default_time_to_live: i32,
    pub extensions: BTreeMap<String, Vec<u8>>,
    /// Seconds.
    pub gc_grace_seconds: i32,
    pub incremental_backups: bool,
    pub max_index_interval: i32,
    pub memtable: String,
    pub memtable_flush_period_in_ms: i32,
    pub min_index_interval: i32,
    pub read_repair: String,
    pub speculative_retry: String,
}

impl Default for TableOptions {
    fn default() -> Self {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        };
        TableOptions {
            additional_write_policy: "99p".to_string(),
            allow_auto_snapshot: true,
            bloom_filter_fp_chance: 0.01,
            caching: map(&[("keys", "ALL"), ("rows_per_partition", "NONE")]),
            cdc: false,
            comment: String::new(),
            compaction: map(&[
                ("class", "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy"),
                ("max_threshold", "32"),
                ("min_threshold", "4"),
            ]),
            compression: map(&[
                ("chunk_length_in_kb", "16"),
                ("class", "org.apache.cassandra.io.compress.LZ4Compressor"),
            ]),
            crc_check_chance: 1.0,
            default_time_to_live: 0,
            extensions: BTreeMap::new(),
            gc_grace_seconds: 864_000,
            incremental_backups: true,
            max_index_interval: 2048,
            memtable: "default".to_string(),
            memtable_flush_period_in_ms: 0,
            min_index_interval: 128,
            read_repair: "BLOCKING".to_string(),
            speculative_retry: "99p".to_string(),
        }
    }
}
