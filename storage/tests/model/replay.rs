//! Starts with a log that is much larger than the memory for it, with one thread and with several: whatever is flushed
//! in between, wherever the power goes off, every write is there once, and none that a compaction forgot comes back.

use tholos_storage::StorageError;
use tholos_storage::engine::{Engine, EngineOptions};
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs};
use tholos_storage::model::Row;
use tholos_storage::model::entry::Direction;

use crate::engine::{AHEAD, Bench, GC_GRACE, TestClock, options, settings};
use crate::generate::{OTHER, TABLE};
use crate::history::{Op, Shape, history};
use crate::observe::live;

type Rows = Vec<(Vec<u8>, Row)>;

/// Far less than the log has.
const MEMTABLE_BYTES: usize = 2_000;
/// Histories whose writes are in the log.
const HISTORIES: u64 = 3;

/// A disk with a long log, whose first records are flushed, and what its tables show at each time.
struct Sample {
    bench: Bench,
    shape: Shape,
    fs: FaultyFs,
}

fn sample(seed: u64) -> Sample {
    let roomy = Shape { memtable_bytes: 1 << 20, segment_bytes: 2_048, ..Shape::default() };
    let mut bench = Bench::new(&roomy).unwrap();
    let histories = (seed..seed + HISTORIES).flat_map(|seed| history(seed).1);
    for (index, op) in histories.filter(|op| matches!(op, Op::Write(_))).enumerate() {
        bench.step(&op).unwrap();
        if index == 30 {
            bench.step(&Op::Flush(TABLE)).unwrap();
        }
    }
    bench.step(&Op::Sync).unwrap();
    let fs = bench.fs.crash(Crash::KeepSynced);
    let shape = Shape { memtable_bytes: MEMTABLE_BYTES, ..roomy };
    Sample { bench, shape, fs }
}

impl Sample {
    fn options(&self, threads: usize) -> EngineOptions {
        EngineOptions { replay_threads: threads, ..options(&self.shape) }
    }

    fn open_with(
        &self,
        fs: &FaultyFs,
        now: i64,
        options: EngineOptions,
    ) -> Result<Engine, StorageError> {
        let tables = [TABLE, OTHER].map(|id| settings(&self.shape, id));
        Engine::open(std::sync::Arc::new(fs.clone()), TestClock::at(now), options, tables)
    }

    fn open(&self, fs: &FaultyFs, threads: usize) -> Engine {
        self.open_with(fs, self.bench.now(), self.options(threads)).unwrap()
    }

    /// Everything that was written is there, from `now` on.
    fn check(&self, engine: &Engine, now: i64, what: &str) {
        for known in &self.bench.tables {
            for at in now..now + AHEAD {
                let rows = rows(engine, known.id, at);
                assert_eq!(rows, known.model.live(&[], &[], at), "{what}: {:?} at {at}", known.id);
            }
        }
    }
}

fn rows(engine: &Engine, id: tholos_storage::schema::TableId, at: i64) -> Rows {
    let table = engine.table(id).unwrap();
    let walk = table.scan(&[], &[], Direction::Forward, at).unwrap();
    live(walk, Direction::Forward, at).unwrap_or_else(|violation| panic!("{violation:?}"))
}

#[test]
fn every_prefix_of_a_replay_that_flushes_can_be_started_from() {
    for threads in [1, 3] {
        let sample = sample(7);
        let now = sample.bench.now();
        let fs = sample.fs.copy();
        fs.forget_record();
        let engine = sample.open(&fs, threads);
        let stats = engine.stats();
        assert!(stats.flushes > 5, "memory is small: {} flushes", stats.flushes);
        let limit = MEMTABLE_BYTES + MEMTABLE_BYTES / 2;
        assert!(stats.memtable_bytes < limit, "{} bytes", stats.memtable_bytes);
        sample.check(&engine, now, "after the replay");
        drop(engine);
        // One thread goes the way that `crash.rs` tries too.
        let step = if threads == 1 { 3 } else { 1 };
        for prefix in (0..=fs.recorded()).step_by(step) {
            let mixed = Crash::Random { seed: prefix as u64 };
            for crash in [Crash::KeepAll, Crash::KeepSynced, mixed] {
                let what = format!("{threads} threads, {prefix} operations, {crash:?}");
                let crashed = fs.crash_at(prefix, crash);
                sample.check(&sample.open(&crashed, 1 + prefix % 3), now, &what);
            }
        }
    }
}

/// What a flush during a replay says that it covers is neither too much, which would lose writes, nor too little: then
/// a later replay brings back what a compaction purged together with its tombstone.
#[test]
fn lines_drawn_during_a_replay_divide_the_log_exactly() {
    for seed in 20..32 {
        let sample = sample(seed);
        let fs = sample.fs.copy();
        drop(sample.open(&fs, 3));
        let later = sample.bench.now() + GC_GRACE + AHEAD;
        let fs = fs.crash(Crash::KeepSynced);
        let engine = sample.open_with(&fs, later, sample.options(3)).unwrap();
        for table in [TABLE, OTHER] {
            let numbers = engine.stats().tables;
            let files = numbers.into_iter().find(|stats| stats.id == table).unwrap().files;
            let numbers: Vec<u64> = files.into_iter().map(|(number, _)| number).collect();
            engine.compact_files(table, &numbers).unwrap();
        }
        drop(engine);
        let fs = fs.crash(Crash::KeepSynced);
        let engine = sample.open_with(&fs, later, sample.options(3)).unwrap();
        sample.check(&engine, later, &format!("history {seed}, after a compaction"));
    }
}

#[test]
fn a_replay_whose_calls_fail_ends_and_loses_nothing() {
    let sample = sample(40);
    let calls = {
        let fs = sample.fs.copy();
        let before = fs.calls();
        drop(sample.open(&fs, 3));
        fs.calls() - before
    };
    let mut refused = 0;
    for failure in [Failure::Device, Failure::Full] {
        for call in (0..calls).step_by(3) {
            let fs = sample.fs.copy();
            fs.fail(None, call, failure);
            let opened = sample.open_with(&fs, sample.bench.now(), sample.options(3));
            refused += usize::from(opened.is_err());
            drop(opened);
            fs.heal();
            let engine = sample.open(&fs.crash(Crash::KeepSynced), 3);
            sample.check(&engine, sample.bench.now(), &format!("{failure:?} at call {call}"));
        }
    }
    // What is written over what is there fits on a full disk, so nearly half of the calls can only fail as a device does.
    assert!(refused as u64 > calls * 3 / 10, "{refused} of {calls}");
}

#[test]
fn a_damaged_segment_is_set_aside_by_several_threads_as_by_one() {
    let sample = sample(50);
    let now = sample.bench.now();
    let mut set_aside = 0;
    for file in 2..6 {
        let path = format!("/data/commitlog/{file}.log");
        for offset in (20..1_500).step_by(97) {
            let damaged = sample.fs.copy();
            damaged.damage(path.as_ref(), |bytes| bytes[offset] ^= 4);
            let shown = [1, 3].map(|threads| {
                let fs = damaged.copy();
                let mut options = sample.options(threads);
                options.commit_log.set_aside_damaged = true;
                let engine = sample.open_with(&fs, now, options).unwrap();
                let shown = [TABLE, OTHER].map(|id| rows(&engine, id, now));
                drop(engine);
                // What was rescued of it is in the log again.
                let again = sample.open(&fs.crash(Crash::KeepSynced), threads);
                assert_eq!([TABLE, OTHER].map(|id| rows(&again, id, now)), shown);
                shown
            });
            assert_eq!(shown[0], shown[1], "{path} at {offset}");
            set_aside += usize::from(sample.open_with(&damaged, now, sample.options(3)).is_err());
        }
    }
    assert!(set_aside > 10, "{set_aside} damages mattered");
}
