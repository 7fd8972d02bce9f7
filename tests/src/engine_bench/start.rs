//! A start with many files and a long commit log: how long opening takes, with a replay and without.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tholos_storage::engine::{EngineOptions, TableSettings};
use tholos_storage::fs::real::RealFs;

use super::measure::{each, resident_bytes};
use super::store::{Store, Writes};
use super::tholos::{Tholos, options, settings};
use super::workload::{key, value};
use super::{BenchError, Outcome};

/// Rows of each file.
const ROWS_PER_FILE: u64 = 50;
/// About how long the commit log gets.
const LOG_BYTES: u64 = 1 << 30;
/// How often the log's length is looked at.
const ROWS_PER_LOOK: u64 = 50_000;
/// Memtables that take all of the log, so that no flush shortens it.
const ROOMY_BYTES: usize = 16 << 30;

/// Makes a table of that many files and a log of [`LOG_BYTES`], then opens it in several ways.
///
/// # Errors
/// What the engine meets.
pub fn run(dir: &Path, files: u64) -> Outcome<Vec<Json>> {
    let began = Instant::now();
    make(dir, files)?;
    eprintln!("made in {:.1} s", began.elapsed().as_secs_f64());
    let mut lines = Vec::new();
    lines.push(opened(dir, "with replay", files)?);
    for _ in 0..3 {
        lines.push(opened(dir, "without replay", files)?);
    }
    Ok(lines)
}

fn uncompacted(number: u128, name: &str) -> TableSettings {
    let mut settings = settings(number, name);
    settings.compaction.enabled = false;
    settings
}

fn make(dir: &Path, files: u64) -> Outcome<()> {
    let roomy = EngineOptions { memtable_bytes: ROOMY_BYTES, ..options(dir, Writes::Unsynced) };
    let tholos = Tholos::open(Arc::new(RealFs), roomy, uncompacted)?;
    for file in 0..files {
        for n in 0..ROWS_PER_FILE {
            let n = file * ROWS_PER_FILE + n;
            tholos.put(&key(n), &value(n))?;
        }
        tholos.engine().flush(tholos.keyed().id())?;
    }
    eprintln!("{files} files");
    let mut rows = 0;
    while tholos.engine().stats().log.bytes < LOG_BYTES {
        each("log", 1, ROWS_PER_LOOK, |n| tholos.put(&key(rows + n), &value(n)))?;
        rows += ROWS_PER_LOOK;
    }
    eprintln!("{rows} rows in the log");
    // Not closed: that would flush what the replay is to find. Dropping it writes the log's rest.
    Ok(tholos.engine().sync_log()?)
}

/// Opens, reads a row, and closes: then nothing is left for the next one to replay.
fn opened(dir: &Path, name: &str, files: u64) -> Outcome<Json> {
    let began = Instant::now();
    let defaults = EngineOptions {
        memtable_bytes: EngineOptions::new(dir).memtable_bytes,
        ..options(dir, Writes::Unsynced)
    };
    let tholos = Tholos::open(Arc::new(RealFs), defaults, uncompacted)?;
    let opened = began.elapsed();
    let stats = tholos.engine().stats();
    let found: usize = stats.tables.iter().map(|table| table.files.len()).sum();
    if (found as u64) < files {
        return Err(BenchError::Wrong(format!("{found} files are there instead of {files}")));
    }
    let reading = Instant::now();
    if tholos.read(&key(7))? == 0 {
        return Err(BenchError::Wrong("a row is missing after the start".into()));
    }
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let line = json!({
        "name": name,
        "files": found,
        "log_mb": (stats.log.bytes as f64 / 1e6).round(),
        "open_ms": millis(opened),
        "first_read_ms": millis(reading.elapsed()),
        "resident_mb": (resident_bytes()? as f64 / 1e6).round(),
    });
    tholos.engine().close()?;
    Ok(line)
}
