//! Compactions that the disk has no room for.

use std::fmt::{self, Debug};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tholos_storage::commitlog::{CommitLogOptions, SyncDriver};
use tholos_storage::engine::{BackgroundDriver, Clock, Engine, EngineOptions, TableSettings};
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::FaultyFs;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::data::{DATA, ROWS, TABLE, files, values, write};

struct Fixed;

impl Clock for Fixed {
    fn now_micros(&self) -> i64 {
        1_000_000_000
    }
}

/// What is logged.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|told| told.contains(text)).count()
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(fmt::format(format_args!("{value:?}")));
        }
    }
}

impl Subscriber for Told {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

fn open(fs: &FaultyFs) -> Engine {
    let options = EngineOptions {
        commit_log: CommitLogOptions {
            driver: SyncDriver::Caller,
            segment_bytes: 8192,
            zero_fill: false,
            ..CommitLogOptions::default()
        },
        background: BackgroundDriver::Caller,
        ..EngineOptions::new(DATA)
    };
    let table = TableSettings::new(TABLE, "ks", "t");
    Engine::open(Arc::new(fs.clone()), Arc::new(Fixed), options, [table]).unwrap()
}

/// Writes so many files that some are to be merged.
fn write_files(engine: &Engine, round: u32) {
    for round in round..round + 8 {
        write(engine, TABLE, round);
        engine.flush(TABLE).unwrap();
    }
}

#[test]
fn a_compaction_without_room_waits_and_says_so_once() {
    const WAITS: &str = "waits for room on the disk: free some";
    const NO_MORE: &str = "no compaction waits for room";
    let told = Told::default();
    let _guard = tracing::subscriber::set_default(told.clone());
    let fs = FaultyFs::new();
    let engine = open(&fs);
    let count = || files(&fs, Path::new(DATA), ".sst").len();
    for episode in 1..=2 {
        write_files(&engine, 8 * episode as u32);
        let before = count();
        // Full but for a few bytes.
        let used = u64::MAX - available(&fs, u64::MAX);
        available(&fs, used + 100);
        for _ in 0..5 {
            assert!(!engine.background_step().unwrap());
        }
        assert_eq!(count(), before);
        assert_eq!((told.count(WAITS), told.count(NO_MORE)), (episode, episode - 1));
        available(&fs, u64::MAX);
        while engine.background_step().unwrap() {}
        assert!(count() < before);
        assert_eq!((told.count(WAITS), told.count(NO_MORE)), (episode, episode));
    }
    assert_eq!(values(&engine, TABLE).unwrap(), vec![23; ROWS]);
}

/// Limits the disk; what is left of it.
fn available(fs: &FaultyFs, limit: u64) -> u64 {
    fs.limit_bytes(limit);
    fs.available_bytes(Path::new(DATA)).unwrap()
}
