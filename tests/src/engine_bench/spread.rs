//! Rows that lie in several files, the newest of which has all of them: what a point read costs then, which is to stop at
//! the first file that answers it; and one of a row that is in none.
//!
//! Rates are measured with the benchmark's cache; blocks are counted as reads from the files by a second engine whose cache
//! is too small to keep any.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tholos_storage::engine::{EngineOptions, TableSettings};
use tholos_storage::fs::real::RealFs;

use super::counting::{CountingFs, Reads};
use super::measure::repeat;
use super::store::{Store, Writes};
use super::tholos::{Tholos, options, settings};
use super::workload::{Key, Numbers, key, missing_key, value};
use super::{BenchError, Outcome};

/// How long a rate is measured, once what it reads is in the cache.
const SECONDS: f64 = 1.0;
/// Reads whose blocks are counted.
const COUNTED: u64 = 1_000;
/// A cache that keeps next to nothing.
const NO_CACHE_BYTES: u64 = 1 << 16;

/// Writes so many rows to each of 1, 2, 4, ... and at last `files` files, and reads them; prints one line for each.
///
/// # Errors
/// What the engine meets.
pub fn run(dir: &Path, files: u64, rows: u64) -> Outcome<Vec<Json>> {
    let mut lines = Vec::new();
    let mut there = 0;
    while there < files {
        let wanted = (there * 2).clamp(1, files);
        fill(dir, wanted - there, rows)?;
        there = wanted;
        lines.push(measured(dir, there, rows)?);
    }
    Ok(lines)
}

/// The log has nothing to say here, so there is not to be much of it to look through.
fn short_log(dir: &Path) -> EngineOptions {
    let mut options = options(dir, Writes::Unsynced);
    options.commit_log.segment_bytes = 1 << 20;
    options
}

/// Files stay as they are.
fn uncompacted(number: u128, name: &str) -> TableSettings {
    let mut settings = settings(number, name);
    settings.compaction.enabled = false;
    settings
}

fn fill(dir: &Path, files: u64, rows: u64) -> Outcome<()> {
    let tholos = Tholos::open(Arc::new(RealFs), short_log(dir), uncompacted)?;
    for _ in 0..files {
        for n in 0..rows {
            tholos.put(&key(n), &value(n))?;
        }
        tholos.engine().flush(tholos.keyed().id())?;
    }
    Ok(tholos.engine().close()?)
}

fn measured(dir: &Path, files: u64, rows: u64) -> Outcome<Json> {
    let [hits, misses] = rates(dir, rows)?;
    let hit = blocks_per_hit(dir, files, rows)?;
    Ok(json!({
        "files": files,
        "hits_per_s": hits.round(),
        "misses_per_s": misses.round(),
        "blocks_per_hit": hit,
    }))
}

/// Hits and misses per second, once what they read is in the cache.
fn rates(dir: &Path, rows: u64) -> Outcome<[f64; 2]> {
    let tholos = Tholos::open(Arc::new(RealFs), short_log(dir), uncompacted)?;
    let rate = |of: Wanted| {
        (0..rows).try_for_each(|n| of.read(&tholos, n))?;
        let read = |numbers: &mut Numbers| of.read(&tholos, numbers.below(rows)).map(|()| 1);
        repeat("spread", 1, Duration::from_secs_f64(SECONDS), read)
    };
    let rates = [rate(Wanted::Hit)?, rate(Wanted::Miss)?];
    tholos.engine().close()?;
    Ok(rates)
}

/// Reads from files per hit, when nothing is in the cache.
fn blocks_per_hit(dir: &Path, files: u64, rows: u64) -> Outcome<f64> {
    let reads = Arc::new(Reads::default());
    let fs = Arc::new(CountingFs::new(Arc::new(RealFs), Arc::clone(&reads)));
    let cold = EngineOptions { block_cache_bytes: NO_CACHE_BYTES, ..short_log(dir) };
    let tholos = Tholos::open(fs, cold, uncompacted)?;
    let there = tholos.engine().stats().tables.iter().map(|table| table.files.len()).max();
    if there != usize::try_from(files).ok() {
        return Err(BenchError::Wrong(format!("{there:?} files, not {files}")));
    }
    let mut numbers = Numbers::of_thread(2);
    let mut hits =
        |count| (0..count).try_for_each(|_| Wanted::Hit.read(&tholos, numbers.below(rows)));
    // What a file's first read reads beside its block.
    hits(100)?;
    let before = reads.count.load(Ordering::Relaxed);
    hits(COUNTED)?;
    let read = reads.count.load(Ordering::Relaxed) - before;
    tholos.engine().close()?;
    Ok(read as f64 / COUNTED as f64)
}

/// Which rows are read.
#[derive(Clone, Copy)]
enum Wanted {
    Hit,
    Miss,
}

impl Wanted {
    fn read(self, tholos: &Tholos, n: u64) -> Outcome<()> {
        let (key, bytes): (Key, usize) = match self {
            Wanted::Hit => (key(n), value(n).len()),
            Wanted::Miss => (missing_key(n), 0),
        };
        match tholos.read(&key)? == bytes {
            true => Ok(()),
            false => Err(BenchError::Wrong("a row is not as it was written".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the figures are to show, in blocks: they are the same on every machine.
    #[test]
    fn a_read_stops_at_the_newest_file_that_has_it_all() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 4, 4_000).unwrap();
        let blocks = blocks_per_hit(dir.path(), 4, 4_000).unwrap();
        assert!((0.5..1.5).contains(&blocks), "{blocks}");
    }
}
