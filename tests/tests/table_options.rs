//! Table options through the server: each does what it says, or is refused, and DESCRIBE shows all of them again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tholos_tests::server::{Server, Start, binary};

struct Node {
    server: Server,
    dir: TempDir,
    flushes: u32,
}

impl Node {
    fn start() -> Node {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Start::new(&dir.path().join("data")).run();
        let node =
            Node { server: server.unwrap_or_else(|error| panic!("{error}")), dir, flushes: 0 };
        node.cql("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
        node
    }

    fn try_cql(&self, text: &str) -> Output {
        let address = self.server.address.to_string();
        run(&["shell", &address, "--yes", "--format", "csv", "-e", text])
    }

    fn cql(&self, text: &str) -> String {
        let output = self.try_cql(text);
        assert!(output.status.success(), "{text}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Writes what is in memory to files: a snapshot does.
    fn flush(&mut self) {
        self.flushes += 1;
        let name = format!("flush{}", self.flushes);
        let data = self.dir.path().join("data").to_string_lossy().into_owned();
        let output = run(&["snapshot", "create", &name, "--data", &data]);
        assert!(output.status.success(), "{}", told(&output));
    }

    /// The files of a table, oldest first, as `sstable stats` shows them.
    fn files(&self, table: &str) -> Vec<Json> {
        let mut files = sstables(&self.dir.path().join("data/storage/data/ks"));
        files.retain(|(path, _)| path.to_string_lossy().contains(&format!("/{table}-")));
        files.sort_by_key(|(_, number)| *number);
        // A file that a compaction removed meanwhile is none.
        let shown = files
            .iter()
            .map(|(path, _)| run(&["sstable", "stats", "--json", &path.to_string_lossy()]));
        let shown = shown.filter(|output| output.status.success());
        shown.map(|output| serde_json::from_slice(&output.stdout).expect("JSON")).collect()
    }

    /// Looks again and again until the files of a table are as they should be.
    fn wait_for_files(&self, table: &str, fits: impl Fn(&[Json]) -> bool) -> Vec<Json> {
        for _ in 0..300 {
            let files = self.files(table);
            if fits(&files) {
                return files;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{table}: {:?}", self.files(table));
    }

    fn insert(&self, table: &str, keys: std::ops::Range<u32>) {
        let text = "lorem ipsum ".repeat(30);
        let inserts =
            keys.map(|k| format!("INSERT INTO ks.{table} (k, v) VALUES ({k}, '{text}');"));
        self.cql(&inserts.collect::<String>());
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(binary().expect("the program")).args(arguments).output().expect("it runs")
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn sstables(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sstables(&path));
        } else if let Some(stem) = path.to_string_lossy().strip_suffix(".sst") {
            let number = stem.rsplit('/').next().and_then(|stem| stem.parse().ok());
            found.push((path.clone(), number.expect("files have numbers")));
        }
    }
    found
}

/// Data blocks of a file: all of them, LZ4, Zstandard, uncompressed.
fn blocks(file: &Json) -> [u64; 4] {
    ["blocks", "lz4", "zstd", "uncompressed"]
        .map(|name| file["data"][name].as_u64().expect("count"))
}

#[test]
fn compression_and_filters_are_what_the_table_says_also_after_alter() {
    let mut node = Node::start();
    for (table, options) in [
        ("plain", "gc_grace_seconds = 60"),
        ("off", "compression = {'enabled': 'false'}"),
        ("noop", "compression = {'class': 'NoopCompressor'}"),
        (
            "zstd",
            "compression = {'class': 'ZstdCompressor', 'compression_level': 7, 'chunk_length_in_kb': 4}
             AND bloom_filter_fp_chance = 0.1",
        ),
        ("snappy", "compression = {'sstable_compression': 'SnappyCompressor', 'chunk_length_kb': 64}"),
        ("deflate", "compression = {'class': 'DeflateCompressor'} AND bloom_filter_fp_chance = 1.0"),
    ] {
        let create = format!("CREATE TABLE ks.{table} (k int PRIMARY KEY, v text) WITH {options}");
        let said = told(&node.try_cql(&create));
        let warns = ["snappy", "deflate"].contains(&table);
        assert_eq!(said.contains("instead"), warns, "{table}: {said}");
        node.insert(table, 0..100);
    }
    node.flush();
    let only = |table: &str| {
        let files = node.files(table);
        assert_eq!(files.len(), 1, "{table}");
        files[0].clone()
    };
    for (table, codec) in
        [("plain", 1), ("off", 3), ("noop", 3), ("zstd", 2), ("snappy", 1), ("deflate", 2)]
    {
        let blocks = blocks(&only(table));
        assert!(blocks[0] > 0 && blocks[codec] == blocks[0], "{table}: {blocks:?}");
    }
    // 36 KB of rows: 4 KiB a block, 16 KiB by default, 64 KiB.
    let counts = ["zstd", "plain", "snappy"].map(|table| blocks(&only(table))[0]);
    assert!(counts[0] >= 7 && (2..5).contains(&counts[1]) && counts[2] == 1, "{counts:?}");
    let chance = |table: &str| only(table)["filter_false_positives"].as_f64();
    assert_eq!(chance("deflate"), None, "no filter at a chance of 1");
    assert!(chance("zstd") > Some(0.02) && chance("plain") < Some(0.02));

    node.cql(
        "ALTER TABLE ks.plain WITH compression = {'class': 'ZstdCompressor'} AND bloom_filter_fp_chance = 1.0;
         ALTER TABLE ks.zstd WITH compression = {'enabled': 'false'}",
    );
    node.insert("plain", 100..200);
    node.insert("zstd", 100..200);
    node.flush();
    let [plain, zstd] = ["plain", "zstd"].map(|table| node.files(table));
    assert_eq!(blocks(&plain[0])[1], blocks(&plain[0])[0], "old files stay as they are");
    assert_eq!(blocks(&plain[1])[2], blocks(&plain[1])[0], "new ones are as the table says now");
    assert!(plain[1]["filter_false_positives"].is_null());
    assert_eq!(blocks(&zstd[1])[3], blocks(&zstd[1])[0]);
    assert!(node.cql("SELECT count(*) FROM ks.plain").contains("200"));
}

#[test]
fn compaction_grace_and_flush_period_act() {
    let mut node = Node::start();
    let pairs = "compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 2}";
    let off = "compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 2, 'enabled': 'False'}";
    for (table, options) in [
        ("graceless", format!("gc_grace_seconds = 0 AND {pairs}")),
        ("graceful", format!("gc_grace_seconds = 1000 AND {pairs}")),
        ("uncompacted", off.to_string()),
        ("timely", "memtable_flush_period_in_ms = 500".to_string()),
    ] {
        node.cql(&format!("CREATE TABLE ks.{table} (k int PRIMARY KEY, v text) WITH {options}"));
        node.insert(table, 0..20);
    }
    node.wait_for_files("timely", |files| !files.is_empty());
    node.flush();
    for table in ["graceless", "graceful", "uncompacted"] {
        node.cql(&format!(
            "DELETE FROM ks.{table} WHERE k = 3; DELETE FROM ks.{table} WHERE k = 4"
        ));
        node.insert(table, 20..40);
    }
    // A tombstone counts in whole seconds.
    std::thread::sleep(Duration::from_secs(2));
    node.flush();
    let tombstones = |file: &Json| file["statistics"]["tombstones"].as_u64();
    let merged = |files: &[Json]| files.len() == 1;
    assert_eq!(tombstones(&node.wait_for_files("graceless", merged)[0]), Some(0));
    assert_eq!(tombstones(&node.wait_for_files("graceful", merged)[0]), Some(2));
    assert_eq!(node.files("uncompacted").len(), 2, "nobody merges them");
    for table in ["graceless", "graceful", "uncompacted"] {
        assert!(node.cql(&format!("SELECT count(*) FROM ks.{table}")).contains("38"), "{table}");
    }
    node.cql(&format!("ALTER TABLE ks.uncompacted WITH {pairs}"));
    node.wait_for_files("uncompacted", merged);
}

#[test]
fn a_default_time_to_live_is_that_of_writes_without_one() {
    let node = Node::start();
    node.cql(
        "CREATE TABLE ks.t (k int PRIMARY KEY, v text) WITH default_time_to_live = 1000;
         INSERT INTO ks.t (k, v) VALUES (1, 'a');
         INSERT INTO ks.t (k, v) VALUES (2, 'a') USING TTL 0;
         INSERT INTO ks.t (k, v) VALUES (3, 'a') USING TTL 5000;
         ALTER TABLE ks.t WITH default_time_to_live = 0;
         INSERT INTO ks.t (k, v) VALUES (4, 'a')",
    );
    let ttl = |k: u32| -> Option<u32> {
        let shown = node.cql(&format!("SELECT ttl(v) FROM ks.t WHERE k = {k}"));
        shown.lines().nth(1).and_then(|line| line.trim().parse().ok())
    };
    assert!(ttl(1).is_some_and(|ttl| (900..=1000).contains(&ttl)), "{:?}", ttl(1));
    assert_eq!(ttl(2), None);
    assert!(ttl(3).is_some_and(|ttl| ttl > 4900), "{:?}", ttl(3));
    assert_eq!(ttl(4), None);
}

/// As Cassandra 5.0 describes a table, but for names and figures.
const DESCRIBED: [&str; 19] = [
    "additional_write_policy = '95p'",
    "allow_auto_snapshot = false",
    "bloom_filter_fp_chance = 0.05",
    "caching = {'keys': 'NONE', 'rows_per_partition': '10'}",
    "cdc = false",
    "comment = 'an ''old'' table'",
    "compaction = {'class': 'org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy', \
     'compaction_window_size': '2', 'compaction_window_unit': 'HOURS', 'max_threshold': '32', 'min_threshold': '4'}",
    "compression = {'chunk_length_in_kb': '64', 'class': 'org.apache.cassandra.io.compress.SnappyCompressor'}",
    "memtable = 'default'",
    "crc_check_chance = 0.5",
    "default_time_to_live = 86400",
    "extensions = {}",
    "gc_grace_seconds = 3600",
    "incremental_backups = false",
    "max_index_interval = 1024",
    "memtable_flush_period_in_ms = 60000",
    "min_index_interval = 64",
    "read_repair = 'NONE'",
    "speculative_retry = 'MIN(99p,50ms)'",
];

#[test]
fn all_options_of_a_dump_are_taken_and_described_again() {
    let node = Node::start();
    let create = |table: &str, options: &str| {
        format!("CREATE TABLE ks.{table} (k int PRIMARY KEY, v text) WITH {options}")
    };
    node.cql(&create("t", &DESCRIBED.join(" AND ")));
    let described = node.cql("DESCRIBE TABLE ks.t");
    let described = described.replace("\"\"", "\"");
    for option in DESCRIBED {
        assert!(described.contains(option), "{option} is not in {described}");
    }
    for strategy in ["SizeTiered", "Leveled", "TimeWindow", "Unified"] {
        let class = format!("compaction = {{'class': '{strategy}CompactionStrategy'}}");
        node.cql(&create(&strategy.to_lowercase(), &class));
        let described = node.cql(&format!("DESCRIBE TABLE ks.{strategy}"));
        assert!(described.contains(&format!("{strategy}CompactionStrategy")), "{described}");
    }
    for (options, names) in [
        ("cdc = perhaps", "perhaps is no value for an option"),
        ("compression = {'class': 'BrotliCompressor'}", "unknown compressor 'BrotliCompressor'"),
        ("compression = {'class': 'LZ4Compressor', 'chunk_length_in_kb': 3}", "power of 2"),
        ("bloom_filter_fp_chance = 0", "bloom_filter_fp_chance"),
        ("memtable_flush_period_in_ms = -1", "memtable_flush_period_in_ms"),
        ("min_index_interval = 64 AND max_index_interval = 32", "max_index_interval"),
        ("crc_check_chance = 2", "crc_check_chance"),
        ("speculative_retry = 'sometimes'", "speculative_retry"),
    ] {
        for statement in [create("refused", options), format!("ALTER TABLE ks.t WITH {options}")] {
            let output = node.try_cql(&statement);
            assert!(!output.status.success(), "{statement}");
            assert!(told(&output).contains(names), "{statement}: {}", told(&output));
        }
    }
}
