//! Power cuts. A history is run once while everything it does to the disk is recorded; then, for every prefix of the
//! record, the disks that a machine could find are made and an engine is opened on them: all that was said to be durable
//! is there, nothing that was never written, nothing that was deleted. `THOLOS_CRASH_SAMPLES` says how many choices of
//! what was not synced (subsets, reorderings, torn sectors) are tried beside.
//!
//! Invariant: at a prefix of the record a table reads as a prefix of its writes, at least as long as what was durable
//! when the operation under way began; while it is being truncated, it may be empty instead.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use smallvec::SmallVec;
use tholos_storage::engine::Engine;
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use tholos_storage::model::Row;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::token_prefix;
use tholos_storage::model::{Deletion, Liveness};
use tholos_storage::planted::Planted;
use tholos_storage::schema::TableId;

use crate::database::{Model, encoded};
use crate::engine::{Bench, Outcome, TestClock, Violation, open_shape};
use crate::generate::{OTHER, TABLE};
use crate::history::{Op, Shape, history};
use crate::observe::live;
use crate::planted::Broken;

type Rows = Vec<(Vec<u8>, Row)>;

/// Reads are compared at these times from the crash on.
const AHEAD: [i64; 3] = [0, 1, 5];

/// What was known after an operation.
struct Mark {
    recorded: usize,
    now: i64,
    tables: [Extent; 2],
}

/// How far a table had come: writes since its last truncation, and how many of them were durable.
#[derive(Clone, Copy)]
struct Extent {
    epoch: usize,
    durable: usize,
    written: usize,
}

/// What a table shows, by table, epoch, count of writes and time: the same is asked for again and again.
type Expected = BTreeMap<(usize, usize, usize, i64), Rc<Rows>>;

/// A history that was run, with its record of the disk.
struct Recording {
    fs: FaultyFs,
    shape: Shape,
    marks: Vec<Mark>,
    /// Per table and epoch.
    writes: [Vec<Vec<Mutation>>; 2],
    expected: RefCell<Expected>,
}

impl Recording {
    /// Runs a history. What ends the record of a disk, a crash, is left out.
    fn of(shape: &Shape, ops: &[Op]) -> Result<Recording, Violation> {
        let mut bench = Bench::new(shape)?;
        let mut marks = vec![mark(&bench)];
        let mut writes = [vec![Vec::new()], vec![Vec::new()]];
        for op in ops.iter().filter(|op| op.is_plain()) {
            let op = match op {
                Op::CrashIn(op, ..) => op,
                Op::Read(..) | Op::Crash(_) => continue,
                op => op,
            };
            bench.step(op)?;
            marks.push(mark(&bench));
            for (known, writes) in bench.tables.iter().zip(&mut writes) {
                writes.resize(known.epoch + 1, Vec::new());
                writes[known.epoch].clone_from(&known.writes);
            }
        }
        let (fs, shape) = (bench.fs.clone(), bench.shape.clone());
        Ok(Recording { fs, shape, marks, writes, expected: RefCell::default() })
    }

    /// The last mark that a prefix of the record reaches, and the one after it.
    fn around(&self, prefix: usize) -> (&Mark, &Mark) {
        let index = self.marks.partition_point(|mark| mark.recorded <= prefix).saturating_sub(1);
        (&self.marks[index], self.marks.get(index + 1).unwrap_or(&self.marks[index]))
    }

    /// Opens an engine on what a crash left, and checks all of it.
    fn check(&self, fs: &FaultyFs, prefix: usize) -> Result<Engine, Violation> {
        let (before, after) = self.around(prefix);
        let engine = open_shape(fs, &TestClock::at(before.now), &self.shape)?;
        for table in [TABLE, OTHER] {
            self.check_table(&engine, table, before, after)?;
        }
        Ok(engine)
    }

    fn check_table(&self, engine: &Engine, id: TableId, before: &Mark, after: &Mark) -> Outcome {
        let index = usize::from(id == OTHER);
        let (from, to) = (before.tables[index], after.tables[index]);
        let last = if from.epoch == to.epoch { to.written } else { from.written };
        let seen = seen(engine, id, before.now)?;
        let fits = |epoch, count| {
            let at = AHEAD.iter().map(|ahead| before.now + ahead);
            at.zip(&seen).all(|(at, seen)| *self.expected(index, epoch, count, at) == *seen)
        };
        let emptied = from.epoch != to.epoch && fits(to.epoch, 0);
        if emptied || (from.durable..=last).rev().any(|count| fits(from.epoch, count)) {
            return Ok(());
        }
        Err(Violation(format!(
            "{id:?} reads as none of {} to {last} writes: {:?}",
            from.durable, seen[0]
        )))
    }

    fn expected(&self, table: usize, epoch: usize, count: usize, at: i64) -> Rc<Rows> {
        let mut expected = self.expected.borrow_mut();
        let rows = expected.entry((table, epoch, count, at)).or_insert_with(|| {
            let mut model = Model::default();
            self.writes[table][epoch][..count].iter().for_each(|write| model.write(write));
            Rc::new(model.live(&[], &[], at))
        });
        Rc::clone(rows)
    }

    /// A prefix with one choice of what was not synced.
    fn try_at(&self, prefix: usize, crash: Crash) -> Outcome {
        let said = |violation: Violation| {
            Violation(format!("{prefix} operations, {crash:?}: {}", violation.0))
        };
        self.check(&self.fs.crash_at(prefix, crash), prefix).map(drop).map_err(said)
    }

    /// A prefix, then a start that the power goes off in, at a share of what it does to the disk.
    fn try_twice(&self, prefix: usize, first: Crash, share: f64, second: Crash) -> Outcome {
        let fs = self.fs.crash_at(prefix, first);
        fs.forget_record();
        drop(self.check(&fs, prefix)?);
        let at = (fs.recorded() as f64 * share) as usize;
        let said = |violation: Violation| {
            let what = format!("{prefix} operations, {first:?}, a start of {at}, {second:?}");
            Violation(format!("{what}: {}", violation.0))
        };
        self.check(&fs.crash_at(at, second), prefix).map(drop).map_err(said)
    }

    /// After a crash and a start, writes are taken and survive a power cut, whatever of `first` was not synced; also
    /// when everything was compacted before.
    fn try_going_on(&self, prefix: usize, first: Crash, compacts: bool) -> Outcome {
        let said = |violation: Violation| {
            Violation(format!("{prefix} operations, {first:?}, then more: {}", violation.0))
        };
        let fs = self.fs.crash_at(prefix, first);
        self.go_on(&fs, prefix, compacts).map_err(said)
    }

    fn go_on(&self, fs: &FaultyFs, prefix: usize, compacts: bool) -> Outcome {
        let engine = self.check(fs, prefix)?;
        let now = self.around(prefix).0.now;
        if compacts {
            engine.compact(TABLE)?;
        }
        let write = beacon(now);
        engine.apply(&write)?;
        engine.sync_log()?;
        drop(engine);
        let engine = self.check(&fs.crash(Crash::KeepSynced), prefix)?;
        let upper = [&write.partition[..], &[0xff]].concat();
        let table = engine.table(TABLE)?;
        match table.scan(&write.partition, &upper, Direction::Forward, now)?.next()? {
            Some(_) => Ok(()),
            None => Err(Violation("a write after it is lost".into())),
        }
    }
}

fn mark(bench: &Bench) -> Mark {
    let tables = bench.tables.each_ref().map(|known| Extent {
        epoch: known.epoch,
        durable: known.settled,
        written: known.writes.len(),
    });
    Mark { recorded: bench.fs.recorded(), now: bench.now(), tables }
}

/// What a reader sees at the times that are compared, but for the beacon; the walk back must see the same.
fn seen(engine: &Engine, id: TableId, now: i64) -> Result<Vec<Rows>, Violation> {
    let table = engine.table(id)?;
    let read = |direction, at| {
        let mut rows = live(table.scan(&[], &[], direction, at)?, direction, at)?;
        rows.retain(|(key, _)| !key.starts_with(&token_prefix(BEACON)));
        Ok::<_, Violation>(rows)
    };
    let forward: Result<Vec<Rows>, _> =
        AHEAD.iter().map(|ahead| read(Direction::Forward, now + ahead)).collect();
    let forward = forward?;
    if read(Direction::Reverse, now)? != forward[0] {
        return Err(Violation("a reverse walk sees something else".into()));
    }
    Ok(forward)
}

const BEACON: i64 = 77;

/// A row that no history writes.
fn beacon(now: i64) -> Mutation {
    let row = Row {
        liveness: Some(Liveness { timestamp: now + 9, ttl: 0, expires_at: 0 }),
        ..Row::default()
    };
    let position = [0x40, 9, 0x40, 9, 0x38][..].into();
    let update = Update::Row { position, row: encoded(&row) };
    let partition = SmallVec::from_vec([&token_prefix(BEACON)[..], &[1, 7]].concat());
    Mutation { table: TABLE, partition, updates: [update].into_iter().collect() }
}

/// Small segments and memtables, so that a short history rolls, recycles, flushes and compacts.
fn shape(seed: u64) -> Shape {
    Shape { segment_bytes: 2_048, memtable_bytes: 2_500, ..history(seed).0 }
}

fn recording(seed: u64) -> Recording {
    Recording::of(&shape(seed), &history(seed).1)
        .unwrap_or_else(|violation| panic!("{violation:?}"))
}

/// Every prefix and the simple crashes of one history, each also with a crash in the start after it.
fn every_prefix(seed: u64) -> Result<usize, Violation> {
    let recording = recording(seed);
    let mut tried = 0;
    for prefix in 0..=recording.fs.recorded() {
        for crash in [Crash::KeepAll, Crash::KeepSynced] {
            recording.try_at(prefix, crash)?;
            tried += 1;
        }
        let share = (prefix % 11) as f64 / 10.0;
        recording.try_twice(prefix, Crash::KeepAll, share, Crash::KeepSynced)?;
        let mixed = Crash::Random { seed: prefix as u64 };
        recording.try_twice(prefix, Crash::KeepAll, share, mixed)?;
        recording.try_going_on(prefix, mixed, true)?;
        recording.try_going_on(prefix, Crash::KeepAll, false)?;
        tried += 4;
    }
    Ok(tried)
}

fn samples() -> u64 {
    let samples = std::env::var("THOLOS_CRASH_SAMPLES").ok();
    samples.and_then(|samples| samples.parse().ok()).unwrap_or(3_000)
}

/// Samples of one history.
const SAMPLES_OF_ONE: u64 = 500;

fn sampled(seed: u64, samples: u64) -> Outcome {
    let recording = recording(seed);
    let last = recording.fs.recorded();
    for sample in 0..samples {
        // Spread evenly, and never twice the same choice.
        let prefix = (sample as usize * 7_919 + seed as usize) % (last + 1);
        let choice = Crash::Random { seed: seed << 32 | sample };
        match sample % 4 {
            0 => {
                let second = Crash::Random { seed: sample };
                recording.try_twice(prefix, choice, (sample % 13) as f64 / 12.0, second)?;
            }
            _ => recording.try_at(prefix, choice)?,
        }
    }
    Ok(())
}

#[test]
fn every_prefix_of_what_was_done_to_the_disk_can_be_started_from() {
    for seed in 0..10 {
        let tried = every_prefix(seed);
        let tried = tried.unwrap_or_else(|violation| panic!("history {seed}: {}", violation.0));
        println!("history {seed}: {tried} power cuts");
        assert!(tried > 500, "the history reaches the disk: {tried}");
    }
}

#[test]
fn any_choice_of_what_was_not_synced_can_be_started_from() {
    let samples = samples();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            scope.spawn(move || {
                for seed in
                    (100..100 + samples.div_ceil(SAMPLES_OF_ONE)).filter(|s| s % 2 == worker)
                {
                    if let Err(violation) = sampled(seed, SAMPLES_OF_ONE) {
                        panic!("history {seed}: {}", violation.0);
                    }
                }
            });
        }
    });
}

/// The manifest is replaced by a short one when it gets long; keys of some KiB make it long soon.
#[test]
fn every_prefix_of_a_manifest_that_is_rewritten_can_be_started_from() {
    let long = |number: u8| {
        let mut partition = token_prefix(i64::from(number)).to_vec();
        partition.push(1);
        partition.resize(6_000, number);
        let deletion = Deletion { timestamp: 9, deleted_at: 10 };
        let row = Row {
            liveness: Some(Liveness { timestamp: 10, ttl: 0, expires_at: 0 }),
            ..Row::default()
        };
        let position = [0x40, 1, 0x40, 1, 0x38][..].into();
        let row = Update::Row { position, row: encoded(&row) };
        let updates = [Update::Partition(deletion), row].into_iter().collect();
        Op::Write(Mutation { table: TABLE, partition: SmallVec::from_vec(partition), updates })
    };
    let mut ops = Vec::new();
    for _ in 0..2 {
        ops.extend((0..5).flat_map(|_| [long(1), Op::Flush(TABLE)]));
        ops.extend([Op::CompactSome(TABLE, u32::MAX), long(1), Op::Flush(TABLE)]);
    }
    let shape = Shape { segment_bytes: 1 << 15, memtable_bytes: 1 << 20, ..Shape::default() };
    let recording = Recording::of(&shape, &ops).unwrap();
    let last = recording.fs.recorded();
    for prefix in 0..=last {
        let mixed = Crash::Random { seed: prefix as u64 };
        for crash in [Crash::KeepAll, Crash::KeepSynced, mixed] {
            recording.try_at(prefix, crash).unwrap();
        }
        recording.try_twice(prefix, Crash::KeepAll, 0.5, Crash::KeepSynced).unwrap();
    }
    let name = format!("/data/data/ks/t-{}/manifest", TABLE.0.simple());
    let manifest = recording.fs.content(std::path::Path::new(&name)).unwrap();
    assert!(manifest.len() < 64 << 10, "it was rewritten: {}", manifest.len());
}

#[test]
fn what_is_not_synced_in_time_is_noticed() {
    for rule in [
        Planted::AcknowledgeBeforeSync,
        Planted::FinishWithoutSync,
        Planted::FinishWithoutNames,
        Planted::RemoveInputsFirst,
        Planted::TrustWhatIsRead,
    ] {
        let _broken = Broken::rule(rule);
        let found = (0..3).find_map(|seed| every_prefix(seed).err());
        assert!(found.is_some(), "{rule:?} is not noticed");
    }
}
