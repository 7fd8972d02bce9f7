//! Running a history: the engine and the model do the same, and whatever is read must be equal.
//!
//! After a crash each table must read as if a prefix of its writes had happened, one that has all that was said to be
//! durable. Which one cannot always be seen, so what was not durable is written again: by law M1 that changes nothing
//! where it had survived.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tholos_storage::StorageError;
use tholos_storage::commitlog::{CommitLogOptions, SyncDriver, SyncMode};
use tholos_storage::compaction::CompactionOptions;
use tholos_storage::engine::{BackgroundDriver, Clock, Engine, EngineOptions, TableSettings};
use tholos_storage::fs::faulty::FaultyFs;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::schema::TableId;

use crate::database::Model;
use crate::generate::{OTHER, STILL, TABLE};
use crate::history::{Op, Shape};
use crate::shift::shifted;

/// Longer than writes lag behind, so that what is purged can't be missed by a late write.
pub(crate) const GC_GRACE: i64 = STILL.lag + 1;
/// Reads are compared at so many times from now on: longer than anything lives that expires.
pub(crate) const AHEAD: i64 = 8;

/// What was read is not what should have been; or something failed that should not have.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

impl From<StorageError> for Violation {
    fn from(error: StorageError) -> Self {
        Violation(error.to_string())
    }
}

pub(crate) type Outcome = Result<(), Violation>;

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

/// A table as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: TableId,
    pub(crate) model: Model,
    /// What was written since the last truncation.
    pub(crate) writes: Vec<Mutation>,
    /// How many of the writes survive any crash, and what they amount to.
    pub(crate) settled: usize,
    durable: Model,
    /// How many truncations there were.
    pub(crate) epoch: usize,
}

impl Known {
    fn new(id: TableId) -> Self {
        Known {
            id,
            model: Model::default(),
            writes: Vec::new(),
            settled: 0,
            durable: Model::default(),
            epoch: 0,
        }
    }

    fn write(&mut self, write: Mutation) {
        self.model.write(&write);
        self.writes.push(write);
    }

    /// Everything is durable.
    fn settle(&mut self) {
        self.writes[self.settled..].iter().for_each(|write| self.durable.write(write));
        self.settled = self.writes.len();
    }

    /// What was written since the last that is durable.
    fn since(&self) -> &[Mutation] {
        &self.writes[self.settled..]
    }

    fn truncate(&mut self) {
        *self = Known { epoch: self.epoch + 1, ..Known::new(self.id) };
    }
}

/// An engine on a faulty disk, and what should be in it.
pub(crate) struct Bench {
    pub(crate) fs: FaultyFs,
    pub(crate) shape: Shape,
    clock: Arc<TestClock>,
    engine: Option<Engine>,
    pub(crate) tables: [Known; 2],
}

pub(crate) fn options(shape: &Shape) -> EngineOptions {
    EngineOptions {
        commit_log: CommitLogOptions {
            segment_bytes: shape.segment_bytes,
            mode: SyncMode::Group,
            driver: SyncDriver::Caller,
            total_bytes: 3 * u64::from(shape.segment_bytes),
            zero_fill: false,
            ..CommitLogOptions::default()
        },
        memtable_bytes: shape.memtable_bytes,
        shards: shape.shards,
        block_cache_bytes: shape.block_cache_bytes,
        background: BackgroundDriver::Caller,
        ..EngineOptions::new("/data")
    }
}

pub(crate) fn settings(shape: &Shape, id: TableId) -> TableSettings {
    TableSettings {
        gc_grace_seconds: GC_GRACE,
        block_bytes: shape.block_bytes,
        compression: shape.compression,
        filter_false_positives: shape.filter_false_positives,
        compaction: CompactionOptions { enabled: true, strategy: shape.strategy.clone() },
        ..TableSettings::new(id, "ks", if id == TABLE { "t" } else { "other" })
    }
}

/// An engine of one table.
pub(crate) fn open(fs: &FaultyFs, clock: &Arc<TestClock>) -> Result<Engine, StorageError> {
    let shape = Shape::default();
    let tables = [settings(&shape, TABLE)];
    Engine::open(Arc::new(fs.clone()), clock.clone(), options(&shape), tables)
}

/// An engine of both tables.
pub(crate) fn open_shape(
    fs: &FaultyFs,
    clock: &Arc<TestClock>,
    shape: &Shape,
) -> Result<Engine, StorageError> {
    let tables = [TABLE, OTHER].map(|id| settings(shape, id));
    Engine::open(Arc::new(fs.clone()), clock.clone(), options(shape), tables)
}

impl Bench {
    pub(crate) fn new(shape: &Shape) -> Result<Self, Violation> {
        let clock = TestClock::at(STILL.now);
        let fs = FaultyFs::new();
        let engine = Some(open_shape(&fs, &clock, shape)?);
        let tables = [TABLE, OTHER].map(Known::new);
        Ok(Bench { fs, shape: shape.clone(), clock, engine, tables })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("there is always one but while it is replaced")
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn known(&mut self, id: TableId) -> &mut Known {
        &mut self.tables[usize::from(id == OTHER)]
    }

    /// Does one operation, and checks what it may have changed.
    pub(crate) fn run(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Read(table, ahead, read) => self.check_read(*table, *ahead, read),
            Op::Write(_) | Op::Sync | Op::Advance(_) => self.step(op),
            Op::Flush(table) | Op::Truncate(table) | Op::CompactSome(table, _) => {
                self.step(op)?;
                self.check(*table)
            }
            Op::Compact(table) => {
                self.step(op)?;
                self.check_compacted(*table)?;
                self.check(*table)
            }
            Op::CrashIn(op, share, kept) => {
                self.crash_in(op, *share, (*kept).into())?;
                self.check_all()
            }
            Op::Step | Op::Restart(_) | Op::Close | Op::Crash(_) => {
                self.step(op)?;
                self.check_all()
            }
        }
    }

    fn check_all(&self) -> Outcome {
        self.check(TABLE)?;
        self.check(OTHER)
    }

    /// Does one operation, unchecked.
    pub(crate) fn step(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Write(write) => {
                let write = shifted(write, self.now() - STILL.now);
                self.engine().apply(&write)?;
                self.known(write.table).write(write);
            }
            Op::Sync => self.sync()?,
            Op::Flush(table) => {
                self.engine().flush(*table)?;
                self.known(*table).settle();
            }
            Op::Compact(table) => {
                self.engine().compact(*table)?;
                self.known(*table).settle();
            }
            Op::CompactSome(table, bits) => {
                let numbers = self.file_numbers(*table);
                let chosen = numbers.iter().zip(0..32).filter(|(_, bit)| bits >> bit & 1 == 1);
                let chosen: Vec<u64> = chosen.map(|(number, _)| *number).collect();
                self.engine().compact_files(*table, &chosen)?;
            }
            Op::Step => drop(self.engine().background_step()?),
            Op::Advance(seconds) => {
                // What is written again after a crash must not be older than what a compaction forgot in between.
                self.sync()?;
                self.advance(*seconds);
            }
            Op::Truncate(table) => {
                self.engine().truncate(*table)?;
                self.known(*table).truncate();
            }
            Op::Restart(times) => {
                self.sync()?;
                for _ in 0..*times {
                    self.reopen(self.fs.clone())?;
                }
            }
            Op::Close => {
                self.engine().close()?;
                self.tables.iter_mut().for_each(Known::settle);
                self.reopen(self.fs.clone())?;
            }
            Op::Crash(kept) => {
                self.reopen(self.fs.crash((*kept).into()))?;
                self.recover(None)?;
            }
            Op::CrashIn(..) | Op::Read(..) => unreachable!("not a step"),
        }
        Ok(())
    }

    /// Numbers of a table's files.
    pub(crate) fn file_numbers(&self, table: TableId) -> Vec<u64> {
        let stats = self.engine().stats();
        let of_table = stats.tables.into_iter().find(|stats| stats.id == table);
        of_table.into_iter().flat_map(|stats| stats.files).map(|(number, _)| number).collect()
    }

    fn sync(&mut self) -> Outcome {
        self.engine().sync_log()?;
        self.tables.iter_mut().for_each(Known::settle);
        Ok(())
    }

    fn reopen(&mut self, fs: FaultyFs) -> Outcome {
        self.engine = None;
        self.fs = fs;
        self.engine = Some(open_shape(&self.fs, &self.clock, &self.shape)?);
        Ok(())
    }

    fn crash_in(
        &mut self,
        op: &Op,
        share: f64,
        crash: tholos_storage::fs::faulty::Crash,
    ) -> Outcome {
        self.fs.forget_record();
        let before = self.tables.clone();
        self.step(op)?;
        if matches!(op, Op::Write(_)) {
            self.engine().sync_log()?;
        }
        let at = (self.fs.recorded() as f64 * share) as usize;
        self.reopen(self.fs.crash_at(at, crash))?;
        if !matches!(op, Op::Write(_)) {
            self.tables = before;
        }
        self.recover(if let Op::Truncate(table) = op { Some(*table) } else { None })
    }

    /// Checks what a crash left, and brings it up to date. `emptied` was perhaps being truncated.
    fn recover(&mut self, emptied: Option<TableId>) -> Outcome {
        for known in &self.tables {
            let seen = self.seen_ahead(known.id)?;
            let mut candidate = known.durable.clone();
            let mut fits = emptied == Some(known.id) && seen.iter().all(Vec::is_empty);
            fits |= self.is_as(&candidate, &seen);
            for write in known.since() {
                if fits {
                    break;
                }
                candidate.write(write);
                fits = self.is_as(&candidate, &seen);
            }
            if !fits {
                let what = format!(
                    "after a crash {:?} reads as none of 0 to {} of the writes since the last that is durable: {:?}",
                    known.id,
                    known.since().len(),
                    seen[0]
                );
                return Err(Violation(what));
            }
        }
        let engine = self.engine.as_ref().expect("just opened");
        for write in self.tables.iter().flat_map(Known::since) {
            engine.apply(write)?;
        }
        if let Some(table) = emptied {
            engine.truncate(table)?;
            self.known(table).truncate();
        }
        self.sync()
    }
}
