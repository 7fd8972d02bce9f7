//! One huge partition: what a slice of it costs at its start, middle and end, either way.
//!
//! Latency is measured with the benchmark's cache, at places spread over a hundredth of the partition; blocks are
//! counted as reads from the file by a second engine whose cache is too small to keep any.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tholos_storage::engine::EngineOptions;
use tholos_storage::fs::real::RealFs;
use tholos_storage::model::entry::Direction;

use super::counting::{CountingFs, Reads};
use super::measure::{each, resident_bytes};
use super::store::{Store, Writes};
use super::tholos::{Tholos, options, settings};
use super::workload::{Numbers, SLICE_ROWS, value};
use super::{BenchError, Outcome};

/// Slices read at each place to warm up, and then to measure.
const SLICES: usize = 2_000;
/// Slices whose blocks are counted.
const COUNTED: u64 = 200;
/// A cache that keeps next to nothing.
const NO_CACHE_BYTES: u64 = 1 << 20;
/// Values are between 100 and 300 bytes.
const VALUE_BYTES: std::ops::Range<u64> = 100..301;

/// Writes a partition of that many rows, then measures slices of it; prints one line per place and direction.
///
/// # Errors
/// What the engine meets.
pub fn run(dir: &Path, rows: u64) -> Outcome<Vec<Json>> {
    fill(dir, rows)?;
    let reads = Arc::new(Reads::default());
    let fs = || Arc::new(CountingFs::new(Arc::new(RealFs), Arc::clone(&reads)));
    let places = places(rows);
    let mut lines = Vec::new();
    {
        let opened = Instant::now();
        let tholos = Tholos::open(fs(), options(dir, Writes::Unsynced), settings)?;
        eprintln!("opened in {:.1} ms", opened.elapsed().as_secs_f64() * 1e3);
        let before = resident_bytes()?;
        eprintln!("resident before reads: {:.0} MB", before as f64 / 1e6);
        for (place, from, direction) in &places {
            let micros = latencies(&tholos, *from, rows, *direction)?;
            lines.push(json!({
                "name": place,
                "direction": format!("{direction:?}").to_lowercase(),
                "p50_us": micros[SLICES / 2],
                "p99_us": micros[SLICES * 99 / 100],
                "resident_mb": (resident_bytes()? as f64 / 1e6).round(),
            }));
        }
    }
    let cold =
        EngineOptions { block_cache_bytes: NO_CACHE_BYTES, ..options(dir, Writes::Unsynced) };
    let tholos = Tholos::open(fs(), cold, settings)?;
    for ((_, from, direction), line) in places.iter().zip(&mut lines) {
        let (count, bytes) = blocks(&tholos, &reads, *from, rows, *direction)?;
        line["blocks_per_slice"] = json!(count);
        line["bytes_read_per_slice"] = json!(bytes.round());
    }
    Ok(lines)
}

type Place = (&'static str, u64, Direction);

fn places(rows: u64) -> Vec<Place> {
    let last = rows - rows / 100 - 2 * SLICE_ROWS as u64;
    let starts = [("start", SLICE_ROWS as u64), ("middle", rows / 2), ("end", last)];
    let both = [Direction::Forward, Direction::Reverse];
    let places = starts.iter().flat_map(|(name, from)| both.map(|way| (*name, *from, way)));
    places.collect()
}

fn fill(dir: &Path, rows: u64) -> Outcome<()> {
    let tholos = Tholos::open(Arc::new(RealFs), options(dir, Writes::Unsynced), settings)?;
    let began = Instant::now();
    each("filling", 1, rows, |n| {
        let len = VALUE_BYTES.start + n * 7_919 % (VALUE_BYTES.end - VALUE_BYTES.start);
        let bytes: Vec<u8> = value(n).iter().copied().cycle().take(len as usize).collect();
        tholos.put_ordered(n, &bytes)
    })?;
    eprintln!(
        "wrote {rows} rows in {:.1} s, resident {:.0} MB",
        began.elapsed().as_secs_f64(),
        resident_bytes()? as f64 / 1e6
    );
    tholos.engine().flush_all()?;
    // What the strategy wants to merge by itself, it merges before anything is measured.
    while tholos.engine().background_step()? {}
    while !tholos.engine().stats().jobs.is_empty() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let files: Vec<u64> =
        tholos.engine().stats().tables.iter().map(|table| table.files.len() as u64).collect();
    eprintln!(
        "merged after {:.1} s: {files:?} files, {:.2} GB, resident {:.0} MB",
        began.elapsed().as_secs_f64(),
        tholos.disk_bytes()? as f64 / 1e9,
        resident_bytes()? as f64 / 1e6
    );
    Ok(tholos.engine().close()?)
}

fn slice(
    tholos: &Tholos,
    from: u64,
    rows: u64,
    way: Direction,
    numbers: &mut Numbers,
) -> Outcome<()> {
    let found = tholos.slice(from + numbers.below(rows / 100), SLICE_ROWS, way)?;
    if found == SLICE_ROWS { Ok(()) } else { Err(BenchError::Wrong("a slice is not whole".into())) }
}

/// Microseconds per slice, ascending, once blocks of that place were read before.
fn latencies(tholos: &Tholos, from: u64, rows: u64, way: Direction) -> Outcome<Vec<f64>> {
    let mut numbers = Numbers::of_thread(1);
    let mut micros = Vec::with_capacity(SLICES);
    for round in 0..2 * SLICES {
        let began = Instant::now();
        slice(tholos, from, rows, way, &mut numbers)?;
        if round >= SLICES {
            micros.push(began.elapsed().as_nanos() as f64 / 1e3);
        }
    }
    micros.sort_unstable_by(f64::total_cmp);
    Ok(micros)
}

/// Reads from files, and bytes, per slice when nothing is in the cache.
fn blocks(
    tholos: &Tholos,
    reads: &Reads,
    from: u64,
    rows: u64,
    way: Direction,
) -> Outcome<(f64, f64)> {
    let mut numbers = Numbers::of_thread(2);
    slice(tholos, from, rows, way, &mut numbers)?;
    let of = || (reads.count.load(Ordering::Relaxed), reads.bytes.load(Ordering::Relaxed));
    let before = of();
    for _ in 0..COUNTED {
        slice(tholos, from, rows, way, &mut numbers)?;
    }
    let after = of();
    let per_slice = |before: u64, after: u64| (after - before) as f64 / COUNTED as f64;
    Ok((per_slice(before.0, after.0), per_slice(before.1, after.1)))
}
