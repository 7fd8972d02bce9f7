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
use tholos_storage::sstable::KeyTypes;
use uuid::Uuid;

use crate::database::Model;
use crate::generate::{KEY, OTHER, STILL, TABLE};
use crate::history::{Op, Shape};
use crate::reads::Rows;
use crate::shift::shifted;
use crate::snapshots::{Outcomes, Snapshots};

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
    pub(crate) fn settle(&mut self) {
        self.writes[self.settled..].iter().for_each(|write| self.durable.write(write));
        self.settled = self.writes.len();
    }

    /// What was written since the last that is durable.
    fn since(&self) -> &[Mutation] {
        &self.writes[self.settled..]
    }

    pub(crate) fn truncate(&mut self) {
        *self = Known { epoch: self.epoch + 1, ..Known::new(self.id) };
    }

    /// There is another table in its place.
    pub(crate) fn recreate(&mut self) {
        self.id = TableId(Uuid::from_u128(self.id.0.as_u128() + 16));
        self.truncate();
    }

    /// These writes are there too, durably.
    pub(crate) fn bring(&mut self, mut writes: Vec<Mutation>) {
        for write in &writes {
            self.model.write(write);
            self.durable.write(write);
        }
        self.settled += writes.len();
        writes.append(&mut self.writes);
        self.writes = writes;
    }
}

/// An engine on a faulty disk, and what should be in it.
pub(crate) struct Bench {
    pub(crate) fs: FaultyFs,
    pub(crate) shape: Shape,
    clock: Arc<TestClock>,
    engine: Option<Engine>,
    pub(crate) tables: [Known; 2],
    pub(crate) snapshots: Snapshots,
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
        // Fewer than files, so that these are closed and opened all the time.
        open_files: 2,
        ..EngineOptions::new("/data")
    }
}

pub(crate) fn settings(shape: &Shape, id: TableId) -> TableSettings {
    TableSettings {
        gc_grace_seconds: GC_GRACE,
        block_bytes: shape.block_bytes,
        compression: shape.compression,
        key_types: KeyTypes::of([&KEY.into()]),
        filter_false_positives: shape.filter_false_positives,
        compaction: CompactionOptions { enabled: true, strategy: shape.strategy.clone() },
        ..TableSettings::new(id, "ks", name(id))
    }
}

/// Which of the two tables an id is of. Operations name them [`TABLE`] and [`OTHER`]; one that was created anew has
/// another id, a multiple of 16 away.
pub(crate) fn slot(id: TableId) -> usize {
    usize::from(id.0.as_u128() % 16 == OTHER.0.as_u128())
}

/// The table's name.
pub(crate) fn name(id: TableId) -> &'static str {
    if slot(id) == 0 { "t" } else { "other" }
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
    open_tables(fs, clock, shape, [TABLE, OTHER])
}

fn open_tables(
    fs: &FaultyFs,
    clock: &Arc<TestClock>,
    shape: &Shape,
    ids: [TableId; 2],
) -> Result<Engine, StorageError> {
    let tables = ids.map(|id| settings(shape, id));
    Engine::open(Arc::new(fs.clone()), clock.clone(), options(shape), tables)
}

impl Bench {
    pub(crate) fn new(shape: &Shape) -> Result<Self, Violation> {
        let clock = TestClock::at(STILL.now);
        let fs = FaultyFs::new();
        let engine = Some(open_shape(&fs, &clock, shape)?);
        let tables = [TABLE, OTHER].map(Known::new);
        let snapshots = Snapshots::default();
        Ok(Bench { fs, shape: shape.clone(), clock, engine, tables, snapshots })
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
        &mut self.tables[slot(id)]
    }

    /// The id that a table has now.
    pub(crate) fn id(&self, table: TableId) -> TableId {
        self.tables[slot(table)].id
    }

    /// Does one operation, and checks what it may have changed.
    pub(crate) fn run(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Read(table, ahead, read) => self.check_read(*table, *ahead, read),
            Op::Write(_) | Op::Sync | Op::Advance(_) => self.step(op),
            Op::Flush(table)
            | Op::Truncate(table)
            | Op::CompactSome(table, _)
            | Op::Restore(table, _)
            | Op::Recreate(table) => {
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
            Op::Step | Op::Snapshot | Op::Restart(_) | Op::Close | Op::Crash(_) => {
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
                self.apply(&write)?;
                self.known(write.table).write(write);
            }
            Op::Sync => self.sync()?,
            Op::Flush(table) => {
                self.engine().flush(self.id(*table))?;
                self.known(*table).settle();
            }
            Op::Compact(table) => {
                self.engine().compact(self.id(*table))?;
                self.known(*table).settle();
            }
            Op::CompactSome(table, bits) => {
                let numbers = self.file_numbers(*table);
                let chosen = numbers.iter().zip(0..32).filter(|(_, bit)| bits >> bit & 1 == 1);
                let chosen: Vec<u64> = chosen.map(|(number, _)| *number).collect();
                self.engine().compact_files(self.id(*table), &chosen)?;
            }
            Op::Step => drop(self.engine().background_step()?),
            Op::Advance(seconds) => {
                // What is written again after a crash must not be older than what a compaction forgot in between.
                self.sync()?;
                self.advance(*seconds);
            }
            Op::Truncate(table) => {
                self.engine().truncate(self.id(*table))?;
                self.known(*table).truncate();
            }
            Op::Snapshot => self.take_snapshot()?,
            Op::Restore(table, emptied) => self.restore(*table, *emptied)?,
            Op::Recreate(table) => {
                // The schema says so before the engine is told.
                let old = self.id(*table);
                self.known(*table).recreate();
                self.engine().drop_table(old)?;
                self.engine().create_table(settings(&self.shape, self.id(*table)))?;
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
                let saved = self.snapshots.saved.clone();
                self.reopen(self.fs.crash((*kept).into()))?;
                self.recover_snapshots(saved, op)?;
                self.recover(None)?;
            }
            Op::CrashIn(..) | Op::Read(..) => unreachable!("not a step"),
        }
        Ok(())
    }

    fn apply(&self, write: &Mutation) -> Outcome {
        let write = Mutation { table: self.id(write.table), ..write.clone() };
        self.engine().apply(&write)?;
        Ok(())
    }

    /// Numbers of a table's files.
    pub(crate) fn file_numbers(&self, table: TableId) -> Vec<u64> {
        let stats = self.engine().stats();
        let of_table = stats.tables.into_iter().find(|stats| stats.id == self.id(table));
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
        let ids = self.tables.each_ref().map(|known| known.id);
        self.engine = Some(open_tables(&self.fs, &self.clock, &self.shape, ids)?);
        Ok(())
    }

    fn crash_in(
        &mut self,
        op: &Op,
        share: f64,
        crash: tholos_storage::fs::faulty::Crash,
    ) -> Outcome {
        self.fs.forget_record();
        let (before, saved) = (self.tables.clone(), self.snapshots.saved.clone());
        self.step(op)?;
        if matches!(op, Op::Write(_)) {
            self.engine().sync_log()?;
        }
        let at = (self.fs.recorded() as f64 * share) as usize;
        self.reopen(self.fs.crash_at(at, crash))?;
        for (known, before) in self.tables.iter_mut().zip(before) {
            // A table that was dropped is gone, as far as the schema goes, before anything is done.
            if !matches!(op, Op::Write(_)) && known.id == before.id {
                *known = before;
            }
        }
        self.recover_snapshots(saved, op)?;
        self.recover(Some(op))
    }

    /// Checks what a crash left, and brings it up to date. An operation that was under way is done again.
    fn recover(&mut self, under_way: Option<&Op>) -> Outcome {
        for known in &self.tables {
            let seen = self.seen_ahead(known.id)?;
            let since = known.since();
            let mut fits = self.is_as_some(known.durable.clone(), since, &seen);
            for outcome in under_way.iter().flat_map(|op| self.outcomes(op, known)) {
                let (model, since) = match outcome {
                    Outcomes::Only(model) => (model, &[][..]),
                    Outcomes::With(mut model) => {
                        known.writes[..known.settled].iter().for_each(|write| model.write(write));
                        (model, since)
                    }
                };
                fits = fits || self.is_as_some(model, since, &seen);
            }
            if !fits {
                let what = format!(
                    "after a crash {:?} reads as none of 0 to {} of the writes since the last that is durable: {:?}",
                    known.id,
                    since.len(),
                    seen[0]
                );
                return Err(Violation(what));
            }
        }
        for write in self.tables.iter().flat_map(Known::since) {
            self.apply(write)?;
        }
        if let Some(op @ (Op::Truncate(_) | Op::Restore(..))) = under_way {
            self.step(op)?;
        }
        self.sync()
    }

    /// Whether a model would have shown that after none, some or all of the writes.
    fn is_as_some(&self, mut model: Model, writes: &[Mutation], seen: &[Rows]) -> bool {
        self.is_as(&model, seen)
            || writes.iter().any(|write| {
                model.write(write);
                self.is_as(&model, seen)
            })
    }
}
