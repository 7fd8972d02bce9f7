//! Flushes of one new partition each: the files are few, and the rows are there.

use std::path::Path;
use std::sync::Arc;

use tholos_storage::compaction::CompactionOptions;
use tholos_storage::engine::TableSettings;
use tholos_storage::fs::memory::MemoryFs;

use crate::data::{is_there, open, table, write};

const FLUSHES: u64 = 300;
/// A window of time each, where there are windows.
const DAY: i64 = 86_400_000_000;

fn settings(class: &str) -> TableSettings {
    let options = [("class".to_string(), class.to_string())].into();
    TableSettings { compaction: CompactionOptions::of(&options), ..table(0) }
}

/// The number of files after each flush and what it brings about, at most.
fn most_files(class: &str, timestamp: impl Fn(u64) -> i64) -> usize {
    let fs = Arc::new(MemoryFs::new());
    let dir = Path::new("/data");
    let settings = settings(class);
    let id = settings.id;
    let engine = open(Arc::clone(&fs) as _, dir, 8, vec![settings.clone()]);
    let mut most = 0;
    for number in 0..FLUSHES {
        write(&engine, id, number, timestamp(number));
        engine.flush(id).unwrap();
        while engine.background_step().unwrap() {}
        most = most.max(engine.stats().tables[0].files.len());
    }
    let stats = engine.stats();
    let (compacted, flushes) = (stats.compactions, stats.flushes);
    assert!(compacted <= flushes, "{class}: {compacted} compactions of {flushes} flushes");
    engine.close().unwrap();
    drop(engine);
    let engine = open(fs, dir, 8, vec![settings]);
    assert!((0..FLUSHES).all(|number| is_there(&engine, id, number)), "{class}");
    assert!(!is_there(&engine, id, FLUSHES));
    most
}

#[test]
fn a_new_partition_per_flush_makes_few_files() {
    for class in [
        "SizeTieredCompactionStrategy",
        "LeveledCompactionStrategy",
        "UnifiedCompactionStrategy",
        "TimeWindowCompactionStrategy",
    ] {
        let most = most_files(class, |number| number as i64);
        assert!(most <= 12, "{class}: {most} files");
    }
}

#[test]
fn a_window_per_flush_makes_a_bounded_number_of_files() {
    let most = most_files("TimeWindowCompactionStrategy", |number| number as i64 * DAY);
    assert!((128..=140).contains(&most), "{most} files");
}
