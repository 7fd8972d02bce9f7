//! The rows of the table, measured for one store.
//!
//! The order: writes into empty stores (the last of them stays), all files merged into one run, reads with everything
//! in the cache, mixes that change it, and last a store that syncs. Every read checks that it found what it must.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tholos_storage::model::entry::Direction;

use super::kinds::Kind;
use super::measure::{each, repeat, resident_bytes, written_bytes};
use super::store::{Store, Writes};
use super::workload::{ROW_BYTES, SLICE_ROWS, key, missing_key, value};
use super::{BenchError, Outcome};

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rows of each table.
    pub rows: u64,
    /// Seconds that a row of the table is measured, each time.
    pub seconds: f64,
    /// How many times; the best counts.
    pub repetitions: u32,
    /// Only rows with this in their name.
    pub only: Option<String>,
    /// Where temporary directories are made; the system's place for them if not given.
    pub dir: Option<PathBuf>,
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is of.
    pub name: String,
    /// What it counts.
    pub unit: &'static str,
    /// The figure.
    pub figure: f64,
}

impl Row {
    /// As it goes from process to process.
    pub fn to_json(&self) -> Json {
        json!({ "name": self.name, "unit": self.unit, "figure": self.figure })
    }
}

/// Measures a store.
///
/// # Errors
/// What the store meets, or when it gives back something else than what was written.
pub fn run(kind: Kind, plan: &Plan) -> Outcome<Vec<Row>> {
    let mut suite = Suite { kind, plan, rows: Vec::new() };
    suite.loads()?;
    if suite.wants("sync") {
        suite.synced_writes()?;
    }
    Ok(suite.rows)
}

struct Suite<'a> {
    kind: Kind,
    plan: &'a Plan,
    rows: Vec<Row>,
}

/// An open store and its directory, which goes with it.
struct Opened {
    store: Box<dyn Store>,
    dir: TempDir,
}

impl Suite<'_> {
    fn wants(&self, name: &str) -> bool {
        self.plan.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    fn add(&mut self, name: impl Into<String>, unit: &'static str, figure: f64) {
        let name = name.into();
        if self.wants(&name) {
            eprintln!("{:>8}: {name}: {figure:.2} {unit}", self.kind.name);
            self.rows.push(Row { name, unit, figure });
        }
    }

    fn open(&self, writes: Writes) -> Outcome<Opened> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("engine-bench-");
        let dir = match &self.plan.dir {
            Some(dir) => builder.tempdir_in(dir)?,
            None => builder.tempdir()?,
        };
        Ok(Opened { store: (self.kind.open)(dir.path(), writes)?, dir })
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.plan.seconds)
    }

    /// The best of the repetitions.
    fn best(&self, measure: impl Fn() -> Outcome<f64>) -> Outcome<f64> {
        let mut best = 0.0_f64;
        for _ in 0..self.plan.repetitions {
            best = best.max(measure()?);
        }
        Ok(best)
    }

    fn loads(&mut self) -> Outcome<()> {
        let rows = self.plan.rows;
        for threads in [1, 2] {
            let name = format!("writes without sync, {}", threads_text(threads));
            let before = written_bytes()?;
            let opened = self.open(Writes::Unsynced)?;
            let store = &*opened.store;
            let put = |n| store.put(&key(n), &value(n));
            let figure = each(&name, threads, rows, put)?;
            self.add(name, "rows/s", figure);
            if threads == 2 {
                self.settled(&opened, before)?;
                self.reads(store)?;
                self.mixes(store)?;
            }
        }
        Ok(())
    }

    /// Fills the large partition too, and merges all files.
    fn settled(&mut self, opened: &Opened, written_before: u64) -> Outcome<()> {
        let (store, rows) = (&*opened.store, self.plan.rows);
        let name = "writes in order to one partition, 1 thread";
        let figure = each(name, 1, rows, |n| store.put_in_order(n, &value(n)))?;
        self.add(name, "rows/s", figure);
        self.add("resident memory after the load", "MB", resident_bytes()? as f64 / 1e6);
        store.settle()?;
        sync_dir(opened.dir.path())?;
        let written = written_bytes()?.saturating_sub(written_before);
        let (payload, both) = (2 * rows * ROW_BYTES as u64, 2 * rows);
        let factor = written as f64 / payload as f64;
        self.add("bytes written per payload byte, merged", "ratio", factor);
        let bytes_per_row = store.disk_bytes()? as f64 / both as f64;
        self.add("bytes on disk per row", "bytes", bytes_per_row);
        Ok(())
    }

    fn reads(&mut self, store: &dyn Store) -> Outcome<()> {
        let rows = self.plan.rows;
        warm(store, rows)?;
        for threads in [1, 2] {
            self.repeated("point hits", threads, "reads/s", |numbers| {
                let n = numbers.below(rows);
                expect(store.read(&key(n))? == value(n).len(), "a row is missing")
            })?;
            self.repeated("point misses", threads, "reads/s", |numbers| {
                let n = numbers.below(rows);
                expect(store.read(&missing_key(n))? == 0, "a row that was never written is there")
            })?;
        }
        for (name, direction) in [("forward", Direction::Forward), ("reverse", Direction::Reverse)]
        {
            for threads in [1, 2] {
                self.repeated(&format!("full scan {name}"), threads, "rows/s", |_| {
                    let found = store.scan(direction)?;
                    expect(found == rows, "a scan does not yield all rows")?;
                    Ok(found)
                })?;
            }
        }
        self.slices(store)?;
        self.add("resident memory after the reads", "MB", resident_bytes()? as f64 / 1e6);
        Ok(())
    }

    fn slices(&mut self, store: &dyn Store) -> Outcome<()> {
        let (rows, slice) = (self.plan.rows, SLICE_ROWS as u64);
        // Not always the very same rows: any of the thousand at that place.
        let spread = 1_000.min(rows / 4);
        let places = [("first", 0), ("middle", rows / 2), ("last", rows - slice - spread)];
        for (place, from) in places {
            for threads in [1, 2] {
                self.repeated(&format!("slice of 100, {place}"), threads, "slices/s", |numbers| {
                    let from = from + numbers.below(spread);
                    let found = store.slice(from, SLICE_ROWS, Direction::Forward)?;
                    expect(found == SLICE_ROWS, "a slice is not whole")
                })?;
            }
        }
        self.repeated("slice of 100, middle, reverse", 1, "slices/s", |numbers| {
            let from = rows / 2 + numbers.below(spread);
            let found = store.slice(from, SLICE_ROWS, Direction::Reverse)?;
            expect(found == SLICE_ROWS, "a reverse slice is not whole")
        })
    }

    /// From here on the tables are not what was loaded any more.
    fn mixes(&mut self, store: &dyn Store) -> Outcome<()> {
        let rows = self.plan.rows;
        let overwrite = |numbers: &mut super::workload::Numbers, deletes: u64| {
            let (n, what) = (numbers.below(rows), numbers.below(10));
            match what {
                0 => store.read(&key(n)).map(drop)?,
                _ if what <= deletes => store.delete(&key(n))?,
                _ => store.put(&key(n), &value(n ^ what))?,
            }
            Ok(1)
        };
        self.while_compacting(store, &|numbers| overwrite(numbers, 0))?;
        for threads in [1, 2] {
            self.mixed("overwrites 90 %, reads 10 %", threads, |numbers| overwrite(numbers, 0))?;
        }
        for threads in [1, 2] {
            self.mixed("deletes 50 %, overwrites 40 %, reads 10 %", threads, |numbers| {
                overwrite(numbers, 5)
            })?;
        }
        Ok(())
    }

    /// Mixes run long enough for memtables to fill and files to be merged.
    fn mixed(
        &mut self,
        name: &str,
        threads: usize,
        operation: impl Fn(&mut super::workload::Numbers) -> Outcome<u64> + Sync,
    ) -> Outcome<()> {
        let name = format!("{name}, {}", threads_text(threads));
        if self.wants(&name) {
            let duration = self.duration() * self.plan.repetitions;
            let figure = repeat(&name, threads, duration, operation)?;
            self.add(name, "ops/s", figure);
        }
        Ok(())
    }

    /// What one thread gets done while another merges all files over and over, as a share of what it does alone.
    fn while_compacting(
        &mut self,
        store: &dyn Store,
        operation: &(dyn Fn(&mut super::workload::Numbers) -> Outcome<u64> + Sync),
    ) -> Outcome<()> {
        let name = "throughput while compacting / alone";
        if !self.wants(name) {
            return Ok(());
        }
        let duration = self.duration() * self.plan.repetitions;
        store.settle()?;
        let alone = repeat("alone", 1, duration, operation)?;
        let stop = AtomicBool::new(false);
        let compacting = thread::scope(|scope| {
            let compactions = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    store.compact()?;
                }
                Ok::<(), BenchError>(())
            });
            let figure = repeat("compacting", 1, duration, operation);
            stop.store(true, Ordering::Relaxed);
            compactions.join().map_err(|_| BenchError::Wrong("a compaction panicked".into()))??;
            figure
        })?;
        self.add(name, "ratio", compacting / alone);
        Ok(())
    }

    fn repeated(
        &mut self,
        name: &str,
        threads: usize,
        unit: &'static str,
        operation: impl Fn(&mut super::workload::Numbers) -> Outcome<u64> + Sync,
    ) -> Outcome<()> {
        let name = format!("{name}, {}", threads_text(threads));
        if self.wants(&name) {
            let figure = self.best(|| repeat(&name, threads, self.duration(), &operation))?;
            self.add(name, unit, figure);
        }
        Ok(())
    }

    fn synced_writes(&mut self) -> Outcome<()> {
        let opened = self.open(Writes::Synced)?;
        let (store, rows) = (&*opened.store, self.plan.rows);
        for writers in [1, 16, 64] {
            self.repeated("writes with sync", writers, "rows/s", |numbers| {
                let n = numbers.below(rows);
                store.put(&key(n), &value(n))?;
                Ok(1)
            })?;
        }
        Ok(())
    }
}

fn threads_text(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

fn expect(holds: bool, otherwise: &str) -> Outcome<u64> {
    if holds { Ok(1) } else { Err(BenchError::Wrong(otherwise.to_string())) }
}

/// Reads so many single rows, and so much of the large partition, that every block was touched.
fn warm(store: &dyn Store, rows: u64) -> Outcome<()> {
    each("warming", 2, rows / 10, |n| store.read(&key(n * 10)).map(drop))?;
    each("warming", 2, rows / 100, |n| store.slice(n * 100, 1, Direction::Forward).map(drop))?;
    store.scan(Direction::Forward).map(drop)
}

/// Lets the system write what it holds of the files in a directory, so that it is counted.
fn sync_dir(dir: &Path) -> Outcome<()> {
    rustix::fs::syncfs(std::fs::File::open(dir)?).map_err(std::io::Error::from)?;
    Ok(())
}
