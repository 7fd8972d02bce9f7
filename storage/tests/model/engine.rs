//! The engine against the model: writes, flushes, compactions, restarts, crashes and truncations in any order, with
//! purging. Law M4: no read at this or a later time is changed by any of them; M5: nothing old is kept for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use tholos_storage::StorageError;
use tholos_storage::commitlog::{CommitLogOptions, SyncDriver, SyncMode};
use tholos_storage::compaction::{CompactionOptions, Levels, Unified};
use tholos_storage::engine::{BackgroundDriver, Clock, Engine, EngineOptions, TableSettings};
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::token_prefix;
use tholos_storage::model::{Deletion, Row};

use crate::cases;
use crate::database::Model;
use crate::generate::{STILL, TABLE, all_rows, mutations, scan_bounds};
use crate::observe::{live, point};
use crate::shift::shifted;

/// Longer than writes lag behind, so that what is purged can't be missed by a late write.
const GC_GRACE: i64 = STILL.lag + 1;

#[derive(Clone, Debug)]
enum Op {
    Write(Mutation),
    Sync,
    Flush,
    Compact,
    Step,
    Advance(i64),
    Truncate,
    Restart,
    Close,
    Crash(Kept),
    /// A crash somewhere within an operation, at that share of what it does to the disk.
    CrashIn(Box<Op>, f64, Kept),
}

#[derive(Clone, Copy, Debug)]
enum Kept {
    All,
    Synced,
    Some(u64),
}

impl From<Kept> for Crash {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::All => Crash::KeepAll,
            Kept::Synced => Crash::KeepSynced,
            Kept::Some(seed) => Crash::Random { seed },
        }
    }
}

fn kept() -> impl Strategy<Value = Kept> {
    prop_oneof![Just(Kept::All), Just(Kept::Synced), any::<u64>().prop_map(Kept::Some)]
}

fn ops() -> impl Strategy<Value = Op> {
    let crashable = prop_oneof![
        mutations(STILL).prop_map(Op::Write),
        Just(Op::Flush),
        Just(Op::Compact),
        Just(Op::Step),
        Just(Op::Truncate),
    ];
    prop_oneof![
        60 => mutations(STILL).prop_map(Op::Write),
        5 => Just(Op::Sync),
        12 => Just(Op::Flush),
        4 => Just(Op::Compact),
        12 => Just(Op::Step),
        10 => (1..7_i64).prop_map(Op::Advance),
        1 => Just(Op::Truncate),
        2 => Just(Op::Restart),
        1 => Just(Op::Close),
        2 => kept().prop_map(Op::Crash),
        4 => (crashable, 0.0..1.0_f64, kept())
            .prop_map(|(op, share, kept)| Op::CrashIn(Box::new(op), share, kept)),
    ]
}

#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(seconds: i64) -> Arc<Self> {
        Arc::new(TestClock(AtomicI64::new(seconds)))
    }
}

impl Clock for TestClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed) * 1_000_000
    }
}

struct Bench {
    fs: FaultyFs,
    clock: Arc<TestClock>,
    engine: Option<Engine>,
    model: Model,
    /// What survives a crash.
    durable: Model,
}

fn settings() -> TableSettings {
    TableSettings {
        gc_grace_seconds: GC_GRACE,
        block_bytes: 64,
        compaction: CompactionOptions { enabled: true, strategy: pairs() },
        ..TableSettings::new(TABLE, "ks", "t")
    }
}

/// Pairs, so that most compactions leave other files out; and cut, so that files overlap in all ways.
fn pairs() -> Unified {
    Unified {
        levels: Levels::One { threshold: 2 },
        max_files: 2,
        fragment_bytes: 1_000,
        base_slices: (2, 100),
        ..CompactionOptions::default().strategy
    }
}

pub(crate) fn open(fs: &FaultyFs, clock: &Arc<TestClock>) -> Result<Engine, StorageError> {
    let options = EngineOptions {
        commit_log: CommitLogOptions {
            segment_bytes: 4096,
            mode: SyncMode::Group,
            driver: SyncDriver::Caller,
            total_bytes: 3 * 4096,
            zero_fill: false,
            ..CommitLogOptions::default()
        },
        memtable_bytes: 4000,
        shards: 4,
        background: BackgroundDriver::Caller,
        ..EngineOptions::new("/data")
    };
    Engine::open(Arc::new(fs.clone()), clock.clone(), options, [settings()])
}

impl Bench {
    fn new() -> Self {
        let clock = TestClock::at(STILL.now);
        let fs = FaultyFs::new();
        let engine = Some(open(&fs, &clock).unwrap());
        Bench { fs, clock, engine, model: Model::default(), durable: Model::default() }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed)
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Write(write) => self.write(write),
            Op::Sync => self.sync(),
            Op::Flush => {
                self.engine().flush(TABLE).unwrap();
                self.durable = self.model.clone();
            }
            Op::Compact => {
                self.engine().compact(TABLE).unwrap();
                self.durable = self.model.clone();
            }
            Op::Step => {
                self.engine().background_step().unwrap();
            }
            Op::Advance(seconds) => {
                self.clock.0.fetch_add(*seconds, Ordering::Relaxed);
            }
            Op::Truncate => {
                self.engine().truncate(TABLE).unwrap();
                self.model = Model::default();
                self.durable = Model::default();
            }
            Op::Restart => {
                self.sync();
                self.reopen(self.fs.clone());
            }
            Op::Close => {
                self.engine().close().unwrap();
                self.durable = self.model.clone();
                self.reopen(self.fs.clone());
            }
            Op::Crash(kept) => {
                self.sync();
                self.reopen(self.fs.crash((*kept).into()));
                self.model = self.durable.clone();
            }
            Op::CrashIn(op, share, kept) => self.crash_in(op, *share, (*kept).into()),
        }
    }

    fn write(&mut self, write: &Mutation) {
        let write = shifted(write, self.now() - STILL.now);
        self.engine().apply(&write).unwrap();
        self.model.write(&write);
    }

    fn sync(&mut self) {
        self.engine().sync_log().unwrap();
        self.durable = self.model.clone();
    }

    fn reopen(&mut self, fs: FaultyFs) {
        self.engine = None;
        self.fs = fs;
        self.engine = Some(open(&self.fs, &self.clock).unwrap());
    }

    fn crash_in(&mut self, op: &Op, share: f64, crash: Crash) {
        self.sync();
        let (begin, before) = (self.fs.recorded(), self.model.clone());
        self.run(op);
        if matches!(op, Op::Write(_)) {
            self.sync();
        }
        let during = self.fs.recorded() - begin;
        let at = begin + (during as f64 * share) as usize;
        self.reopen(self.fs.crash_at(at, crash));
        assert!(self.reads_as(&self.model) || self.reads_as(&before), "{op:?} happened in part");
        // What it left may not show yet, so that nobody can tell whether it happened: do it again.
        if matches!(op, Op::Write(_) | Op::Truncate) {
            self.model = before;
            self.run(op);
        }
        self.sync();
    }

    fn reads_as(&self, model: &Model) -> bool {
        let now = self.now();
        (now..now + 8).all(|at| self.all(Direction::Forward, at) == model.live(&[], &[], at))
    }

    fn all(&self, direction: Direction, now: i64) -> Vec<(Vec<u8>, Row)> {
        self.slice(&[], &[], direction, now)
    }

    fn slice(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
        now: i64,
    ) -> Vec<(Vec<u8>, Row)> {
        let table = self.engine().table(TABLE).unwrap();
        live(table.scan(lower, upper, direction, now).unwrap(), direction, now).unwrap()
    }

    /// Reads every row by its key, whole and by columns.
    fn check_points(&self) {
        let now = self.now();
        let expected: BTreeMap<Vec<u8>, Row> = self.model.live(&[], &[], now).into_iter().collect();
        let table = self.engine().table(TABLE).unwrap();
        for (partition, position) in all_rows() {
            let key = [&partition[..], &position].concat();
            let expected = expected.get(&key).cloned();
            let found = table.row(&key, partition.len(), now).unwrap();
            assert_eq!(point(found, now), expected);
            for columns in [&[1][..], &[4], &[1, 4], &[1, 2, 4], &[]] {
                let found = table.row_columns(&key, partition.len(), columns, now).unwrap();
                let (mut found, mut expected) = (point(found, now), expected.clone());
                for row in [&mut found, &mut expected].into_iter().flatten() {
                    row.columns.retain(|(column, _)| columns.contains(column));
                    row.liveness = None;
                }
                assert_eq!(found, expected, "columns {columns:?}");
            }
        }
    }

    fn check(&self) {
        let now = self.now();
        for at in [now, now + 1, now + 4] {
            let expected = self.model.live(&[], &[], at);
            assert_eq!(self.all(Direction::Forward, at), expected, "forward at {at}");
            assert_eq!(self.all(Direction::Reverse, at), expected, "in reverse at {at}");
        }
    }
}

proptest! {
    #![proptest_config(cases(768))]

    #[test]
    fn the_engine_reads_as_the_model(
        ops in vec(ops(), 1..60),
        slices in vec((scan_bounds(), scan_bounds()), 4),
    ) {
        let mut bench = Bench::new();
        for op in &ops {
            bench.run(op);
            if !matches!(op, Op::Write(_) | Op::Advance(_)) {
                bench.check();
            } else if matches!(op, Op::Advance(_)) {
                bench.check_points();
            }
        }
        bench.check();
        let now = bench.now();
        for (a, b) in slices {
            let (lower, upper) = if b.is_empty() || a < b { (a, b) } else { (b, a) };
            let expected = bench.model.live(&lower, &upper, now);
            for direction in [Direction::Forward, Direction::Reverse] {
                prop_assert_eq!(&bench.slice(&lower, &upper, direction, now), &expected);
            }
        }
        bench.check_points();
    }

    #[test]
    fn nothing_deleted_stays_for_ever(ops in vec(ops(), 1..40)) {
        let mut bench = Bench::new();
        for op in &ops {
            bench.run(op);
        }
        let deletion = Deletion { timestamp: bench.now() + 1, deleted_at: bench.now() };
        for token in [i64::MIN + 1, -5, 9, i64::MAX] {
            for key in 0..2_u8 {
                let token = token_prefix(token);
                let write = Mutation {
                    table: TABLE,
                    partition: [&token[..], &[1, key]].concat().into(),
                    updates: [Update::Partition(deletion)].into_iter().collect(),
                };
                bench.engine().apply(&write).unwrap();
            }
        }
        bench.engine().flush(TABLE).unwrap();
        bench.clock.0.fetch_add(GC_GRACE + 2, Ordering::Relaxed);
        bench.engine().compact(TABLE).unwrap();
        prop_assert_eq!(&bench.engine().stats().tables[0].files, &vec![]);
    }
}
