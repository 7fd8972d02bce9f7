//! Every call to the disk fails once, or all from some call on: no panic, no lost acknowledgement, no half write, nothing
//! that was refused and happened all the same. Reads go on as soon as the disk does; a disk that was full takes writes
//! again by itself.

use std::path::PathBuf;

use tholos_storage::StorageError;
use tholos_storage::engine::Engine;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs, Operation};
use tholos_storage::model::Row;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::planted::Planted;
use tholos_storage::schema::TableId;

use crate::database::Model;
use crate::engine::{TestClock, Violation, open_shape};
use crate::generate::{OTHER, STILL, TABLE};
use crate::history::{Op, Shape, history};
use crate::observe::live;
use crate::planted::Broken;

/// Histories whose calls all fail in turn; many more with `THOLOS_FAULT_HISTORIES`.
const HISTORIES: u64 = 2;
/// Operations of each.
const OPS: usize = 60;

type Outcome = Result<(), Violation>;

/// What is known of a table.
#[derive(Clone, Default)]
struct Table {
    /// Writes that were not refused, since the last truncation that succeeded.
    applied: Vec<Mutation>,
    /// How many of them were acknowledged.
    acknowledged: usize,
    /// How many there were at each truncation that failed, and may have happened on disk.
    perhaps_truncated: Vec<usize>,
}

impl Table {
    fn acknowledge(&mut self) {
        self.acknowledged = self.applied.len();
    }

    fn rows(&self, from: usize, to: usize) -> Vec<(Vec<u8>, Row)> {
        let mut model = Model::default();
        self.applied[from..to].iter().for_each(|write| model.write(write));
        model.live(&[], &[], STILL.now)
    }

    /// Whether a start after a crash may show that.
    fn may_be(&self, seen: &[(Vec<u8>, Row)]) -> bool {
        let from = std::iter::once(0).chain(self.perhaps_truncated.iter().copied());
        from.into_iter().any(|from| {
            let first = self.acknowledged.max(from);
            (first..=self.applied.len()).any(|to| self.rows(from, to) == seen)
        })
    }
}

/// A history, on a disk that fails.
struct Script {
    shape: Shape,
    ops: Vec<Op>,
}

fn script(seed: u64) -> Script {
    let (shape, ops) = history(seed);
    let ops = ops.into_iter().filter(Op::is_plain).filter_map(|op| match op {
        Op::CrashIn(op, ..) => Some(*op),
        Op::Crash(_) | Op::Read(..) | Op::Restart(_) | Op::Advance(_) => None,
        op => Some(op),
    });
    let ops = ops.filter(|op| !matches!(op, Op::Close)).take(OPS).collect();
    Script { shape: Shape { segment_bytes: 2_048, memtable_bytes: 2_500, ..shape }, ops }
}

impl Script {
    fn open(&self, fs: &FaultyFs) -> Result<Engine, StorageError> {
        open_shape(fs, &TestClock::at(STILL.now), &self.shape)
    }

    /// Runs it; errors are met, not handled. The engine, unless it could not start.
    fn run(&self, fs: &FaultyFs) -> (Option<Engine>, [Table; 2]) {
        let mut tables = [Table::default(), Table::default()];
        let Ok(engine) = self.open(fs) else { return (None, tables) };
        for op in &self.ops {
            step(&engine, &mut tables, op);
        }
        (Some(engine), tables)
    }

    /// After a crash, what was acknowledged is there, and with it whole writes only, in order.
    fn check_starts(&self, fs: &FaultyFs, tables: &[Table; 2]) -> Outcome {
        fs.heal();
        for crash in [Crash::KeepSynced, Crash::KeepAll, Crash::Random { seed: 3 }] {
            let engine = self.open(&fs.crash(crash))?;
            for (id, table) in [TABLE, OTHER].into_iter().zip(tables) {
                let seen = rows(&engine, id)?;
                if !table.may_be(&seen) {
                    return Err(Violation(format!(
                        "{crash:?}: {id:?} shows none of {} to {} writes",
                        table.acknowledged,
                        table.applied.len()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Runs with failures planned, then checks what is read, what is taken and what a start finds.
    fn check(&self, plan: impl Fn(&FaultyFs), recovers: bool) -> Outcome {
        let fs = FaultyFs::new();
        plan(&fs);
        let (engine, mut tables) = self.run(&fs);
        fs.heal();
        if let Some(engine) = &engine {
            // Reads go on.
            for (id, table) in [TABLE, OTHER].into_iter().zip(&tables) {
                if rows(engine, id)? != table.rows(0, table.applied.len()) {
                    return Err(Violation(format!("{id:?} shows something else than was applied")));
                }
            }
            self.check_goes_on(engine, &fs, &mut tables, recovers)?;
        }
        drop(engine);
        self.check_starts(&fs, &tables)
    }

    /// On a disk that works again writes are taken, unless a failed sync forbids it.
    fn check_goes_on(
        &self,
        engine: &Engine,
        fs: &FaultyFs,
        tables: &mut [Table; 2],
        recovers: bool,
    ) -> Outcome {
        let writes = self.ops.iter().filter_map(|op| match op {
            Op::Write(write) => Some(write),
            _ => None,
        });
        let mut fenced = false;
        for write in writes.take(3) {
            // The log notices that there is room again when it is next written.
            let _ = engine.sync_log();
            match engine.apply(write) {
                Ok(_) => of(tables, write.table).applied.push(write.clone()),
                Err(StorageError::Fenced { .. }) => fenced = true,
                Err(error) => return Err(error.into()),
            }
        }
        match engine.sync_log() {
            Ok(()) => tables.iter_mut().for_each(Table::acknowledge),
            Err(StorageError::Fenced { .. }) => fenced = true,
            Err(error) => return Err(error.into()),
        }
        if !recovers {
            return Ok(());
        }
        if fenced {
            return Err(Violation("a full disk is not the end of writes".into()));
        }
        for id in [TABLE, OTHER] {
            engine.compact(id)?;
            check_no_leftovers(engine, fs, id)?;
        }
        tables.iter_mut().for_each(Table::acknowledge);
        Ok(())
    }
}

/// A disk that was full is not full of what failed.
fn check_no_leftovers(engine: &Engine, fs: &FaultyFs, id: TableId) -> Outcome {
    let name = if id == TABLE { "t" } else { "other" };
    let dir = PathBuf::from(format!("/data/data/ks/{name}-{}", id.0.simple()));
    let stats = engine.stats().tables.into_iter().find(|stats| stats.id == id);
    let mut known: Vec<String> = stats
        .into_iter()
        .flat_map(|stats| stats.files)
        .map(|(number, _)| format!("{number}.sst"))
        .collect();
    known.push("manifest".into());
    known.sort();
    let found = fs.list(&dir).unwrap();
    if found == known {
        return Ok(());
    }
    Err(Violation(format!("{found:?} instead of {known:?}")))
}

fn of(tables: &mut [Table; 2], id: TableId) -> &mut Table {
    &mut tables[usize::from(id == OTHER)]
}

fn step(engine: &Engine, tables: &mut [Table; 2], op: &Op) {
    match op {
        Op::Write(write) => {
            if engine.apply(write).is_ok() {
                of(tables, write.table).applied.push(write.clone());
            }
        }
        Op::Sync => {
            if engine.sync_log().is_ok() {
                tables.iter_mut().for_each(Table::acknowledge);
            }
        }
        Op::Flush(id) => {
            if engine.flush(*id).is_ok() {
                of(tables, *id).acknowledge();
            }
        }
        Op::Compact(id) => {
            if engine.compact(*id).is_ok() {
                of(tables, *id).acknowledge();
            }
        }
        Op::CompactSome(id, bits) => {
            let numbers: Vec<u64> =
                (0..64).filter(|number| bits >> (number % 32) & 1 == 1).collect();
            // What it says, success or failure, changes nothing that can be read.
            let _ = engine.compact_files(*id, &numbers);
        }
        Op::Step => drop(engine.background_step()),
        Op::Truncate(id) => {
            let table = of(tables, *id);
            match engine.truncate(*id) {
                Ok(()) => *table = Table::default(),
                Err(_) => table.perhaps_truncated.push(table.applied.len()),
            }
        }
        _ => unreachable!("left out"),
    }
}

fn rows(engine: &Engine, id: TableId) -> Result<Vec<(Vec<u8>, Row)>, Violation> {
    let table = engine.table(id)?;
    let read = |direction| live(table.scan(&[], &[], direction, STILL.now)?, direction, STILL.now);
    let forward = read(Direction::Forward)?;
    if read(Direction::Reverse)? != forward {
        return Err(Violation("a reverse walk sees something else".into()));
    }
    Ok(forward)
}

fn histories() -> u64 {
    let histories = std::env::var("THOLOS_FAULT_HISTORIES").ok();
    histories.and_then(|histories| histories.parse().ok()).unwrap_or(HISTORIES)
}

/// Lets every call of a history fail in turn, in several ways; how many runs it were.
fn sweep(seed: u64) -> Result<usize, Violation> {
    let script = script(seed);
    let sound = FaultyFs::new();
    let (_, tables) = script.run(&sound);
    script.check_starts(&sound, &tables)?;
    let mut runs = 0;
    for failure in [Failure::Device, Failure::Full, Failure::Short] {
        for after in 0..sound.calls() {
            let said = |violation: Violation| {
                Violation(format!("history {seed}, {failure:?} at {after}: {}", violation.0))
            };
            script.check(|fs| fs.fail(None, after, failure), false).map_err(said)?;
            script.check(|fs| fs.fail_from(None, after, failure), false).map_err(said)?;
            runs += 2;
        }
    }
    Ok(runs)
}

#[test]
fn any_call_may_fail() {
    for seed in 0..histories() {
        match sweep(seed) {
            Ok(runs) => println!("history {seed}: {runs} runs"),
            Err(violation) => panic!("{}", violation.0),
        }
    }
}

/// What a full disk refuses: growing, never syncing.
#[test]
fn a_disk_that_was_full_recovers_by_itself() {
    for seed in 10..10 + histories() {
        let script = script(seed);
        for operation in [Operation::Write, Operation::SetLen, Operation::Create] {
            for failure in [Failure::Full, Failure::Short] {
                let mut after = 0;
                loop {
                    let fs = FaultyFs::new();
                    fs.fail_from(Some(operation), after, failure);
                    script.run(&fs);
                    if fs.is_sound() {
                        break;
                    }
                    let plan = |fs: &FaultyFs| fs.fail_from(Some(operation), after, failure);
                    if let Err(violation) = script.check(plan, true) {
                        panic!(
                            "history {seed}, {failure:?} from {operation:?} {after}: {}",
                            violation.0
                        );
                    }
                    after += 1;
                }
                assert!(after > 5 || operation == Operation::SetLen, "{operation:?}: {after}");
            }
        }
    }
}

/// A start that fails leaves what the next one needs.
#[test]
fn any_call_of_a_start_may_fail() {
    for seed in 20..20 + histories() {
        let script = script(seed);
        let fs = FaultyFs::new();
        let (engine, tables) = script.run(&fs);
        drop(engine);
        let before = fs.crash(Crash::KeepAll);
        let sound = before.copy();
        drop(script.open(&sound).unwrap());
        for failure in [Failure::Device, Failure::Full, Failure::Short] {
            for after in 0..sound.calls() {
                for lasting in [false, true] {
                    let fs = before.copy();
                    match lasting {
                        true => fs.fail_from(None, after, failure),
                        false => fs.fail(None, after, failure),
                    }
                    drop(script.open(&fs));
                    if let Err(violation) = script.check_starts(&fs, &tables) {
                        panic!("history {seed}, {failure:?} at {after}: {}", violation.0);
                    }
                }
            }
        }
    }
}

#[test]
fn a_sync_that_is_tried_again_is_noticed() {
    let _broken = Broken::rule(Planted::RetryFailedSync);
    assert!((0..2).any(|seed| sweep(seed).is_err()));
}
