//! Table options that act: on what is written from then on, at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tholos_storage::commitlog::{CommitLogOptions, SyncDriver};
use tholos_storage::engine::{BackgroundDriver, Clock, Engine, EngineOptions, TableSettings};
use tholos_storage::fs::Fs;
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::schema::Table;
use tholos_storage::sstable::{BlockTotals, Compression, Inspector};

use crate::data::{DATA, OTHER, TABLE, schema, write};

#[derive(Default)]
struct Settable(AtomicI64);

impl Clock for Settable {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Settable {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

fn open(fs: &MemoryFs, clock: &Arc<Settable>, tables: Vec<TableSettings>) -> Engine {
    let options = EngineOptions {
        commit_log: CommitLogOptions {
            driver: SyncDriver::Caller,
            zero_fill: false,
            ..CommitLogOptions::default()
        },
        background: BackgroundDriver::Caller,
        ..EngineOptions::new(DATA)
    };
    Engine::open(Arc::new(fs.clone()), clock.clone(), options, tables).unwrap()
}

fn table() -> Table {
    let schema = schema();
    Table::clone(schema.keyspaces.values().next().unwrap().tables.values().last().unwrap())
}

/// What a table is told with some sub-options of compression, or of compaction.
fn settings(option: &str, map: &[(&str, &str)]) -> TableSettings {
    let mut table = table();
    let map = map.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    match option {
        "compression" => table.options.compression = map,
        _ => table.options.compaction = map,
    }
    TableSettings::from_schema(&table, true)
}

#[test]
fn compressors_are_those_of_their_names_or_the_nearest() {
    for (class, expected) in [
        ("org.apache.cassandra.io.compress.LZ4Compressor", Compression::Lz4),
        ("SnappyCompressor", Compression::Lz4),
        ("org.apache.cassandra.io.compress.NoopCompressor", Compression::None),
        ("DeflateCompressor", Compression::Zstd { level: 3 }),
        ("ZstdCompressor", Compression::Zstd { level: 3 }),
    ] {
        assert_eq!(settings("compression", &[("class", class)]).compression, expected, "{class}");
    }
    let level = &[("class", "ZstdCompressor"), ("compression_level", "-5")];
    assert_eq!(settings("compression", level).compression, Compression::Zstd { level: -5 });
    let off = settings("compression", &[("enabled", "false")]);
    assert_eq!(off.compression, Compression::None);
    for (kib, bytes) in [("4", 4 << 10), ("64", 64 << 10), ("4096", 1 << 20)] {
        let block = [("class", "LZ4Compressor"), ("chunk_length_in_kb", kib)];
        assert_eq!(settings("compression", &block).block_bytes, bytes);
    }
    for (text, enabled) in [("false", false), ("FALSE", false), ("0", false), ("true", true)] {
        let compaction = [("class", "LeveledCompactionStrategy"), ("enabled", text)];
        assert_eq!(settings("compaction", &compaction).compaction.enabled, enabled, "{text}");
    }
}

/// Blocks of the newest file of a table.
fn newest(fs: &MemoryFs, engine: &Engine) -> BlockTotals {
    let stats = engine.stats().tables.into_iter().find(|stats| stats.id == OTHER).unwrap();
    let number = stats.files.iter().map(|(number, _)| *number).max().unwrap();
    let dir = Path::new(DATA).join("data/ks").join(format!("other-{}", OTHER.0.simple()));
    let name = fs
        .list(&dir)
        .unwrap()
        .into_iter()
        .find(|name| name.strip_suffix(".sst").is_some_and(|stem| stem.parse() == Ok(number)));
    let mut inspector = Inspector::open(fs, &dir.join(name.unwrap())).unwrap();
    assert!(inspector.count_blocks().unwrap().is_empty());
    inspector.overview().data
}

#[test]
fn an_altered_table_writes_its_next_file_as_it_says_now() {
    let fs = MemoryFs::new();
    let small = |class| {
        let map = [("class", class), ("chunk_length_in_kb", "1")];
        TableSettings { id: OTHER, name: "other".into(), ..settings("compression", &map) }
    };
    let engine = open(&fs, &Arc::default(), vec![small("LZ4Compressor")]);
    let flushed = |round| {
        write(&engine, OTHER, round);
        engine.flush(OTHER).unwrap();
        newest(&fs, &engine)
    };
    let BlockTotals { lz4, zstd, blocks, .. } = flushed(1);
    assert!(lz4 > 0 && lz4 == blocks && zstd == 0, "{lz4} of {blocks}");
    engine.alter_table(small("ZstdCompressor")).unwrap();
    let BlockTotals { zstd, blocks, raw_bytes, .. } = flushed(2);
    assert!(zstd > 0 && zstd == blocks && raw_bytes / blocks < 1_300, "{raw_bytes} in {blocks}");
    engine.alter_table(small("NoopCompressor")).unwrap();
    let totals = flushed(3);
    assert!(totals.uncompressed > 0 && totals.uncompressed == totals.blocks, "{totals:?}");
    let large = settings("compression", &[("class", "LZ4Compressor")]);
    engine.alter_table(TableSettings { id: OTHER, name: "other".into(), ..large }).unwrap();
    assert_eq!(flushed(4).blocks, 1, "a block of the usual size holds all");
}

#[test]
fn a_flush_period_bounds_how_long_writes_stay_in_memory() {
    let (fs, clock) = (MemoryFs::new(), Arc::new(Settable::default()));
    let timely = TableSettings {
        flush_period: Duration::from_secs(60),
        ..TableSettings::new(TABLE, "ks", "t")
    };
    let engine = open(&fs, &clock, vec![timely, TableSettings::new(OTHER, "ks", "other")]);
    let flushes = || {
        while engine.background_step().unwrap() {}
        engine.stats().flushes
    };
    write(&engine, TABLE, 1);
    write(&engine, OTHER, 1);
    clock.advance(Duration::from_secs(59));
    assert_eq!(flushes(), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(flushes(), 1, "of the table that has a period alone");
    assert_eq!(flushes(), 1);
    // A period without writes ends as any other; what comes then has all of the next one.
    clock.advance(Duration::from_secs(90));
    assert_eq!(flushes(), 1);
    write(&engine, TABLE, 2);
    clock.advance(Duration::from_secs(59));
    assert_eq!(flushes(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(flushes(), 2);
    engine.alter_table(TableSettings::new(TABLE, "ks", "t")).unwrap();
    write(&engine, TABLE, 3);
    clock.advance(Duration::from_secs(600));
    assert_eq!(flushes(), 2, "no period, no flush");
}
