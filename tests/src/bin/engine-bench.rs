//! Measures the storage engine, beside fjall and RocksDB when built with the feature `peers`.
//!
//! `--json` prints a list of rows with `name`, `unit`, `tholos`, `fjall` and `rocksdb`: operations per second, or what
//! the unit says; null for a store that is not built. `--quick` takes less than 50 seconds. `--wide ROWS` reads slices
//! of one huge partition, `--start FILES` opens a table of many files with a long commit log, `--spread FILES` reads rows
//! that lie in several files. What is measured, and how fair it is, is told by [`tholos_tests::engine_bench`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use serde_json::Value;
use tholos_tests::engine_bench::kinds::KINDS;
use tholos_tests::engine_bench::suite::{self, Plan};
use tholos_tests::engine_bench::{BenchError, Outcome, report, spread, start, wide};

/// Rows, seconds per figure and repetitions of the whole run, and of the quick one.
const FULL: (u64, f64, u32) = (1_000_000, 1.0, 2);
const QUICK: (u64, f64, u32) = (150_000, 0.2, 1);

#[derive(Parser)]
#[command(about = "Benchmark of the storage engine beside its peers")]
struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Fewer rows and shorter: less than 50 seconds in all.
    #[arg(long)]
    quick: bool,
    /// Rows of each table.
    #[arg(long)]
    rows: Option<u64>,
    /// Seconds that each figure is measured.
    #[arg(long)]
    seconds: Option<f64>,
    /// How many times each figure is measured; the best counts.
    #[arg(long)]
    repetitions: Option<u32>,
    /// Only figures with this in their name.
    #[arg(long)]
    only: Option<String>,
    /// Only these stores.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// Where to make temporary directories.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Measure slices of a partition of so many rows instead.
    #[arg(long, value_name = "ROWS")]
    wide: Option<u64>,
    /// Measure starts with so many SSTables instead.
    #[arg(long, value_name = "FILES")]
    start: Option<u64>,
    /// Measure point reads of rows that lie in up to so many SSTables instead.
    #[arg(long, value_name = "FILES")]
    spread: Option<u64>,
    /// Measure this store in this process: how the program runs itself.
    #[arg(long, hide = true)]
    in_this_process: Option<String>,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let (rows, seconds, repetitions) = if self.quick { QUICK } else { FULL };
        Plan {
            // Places in the large partition must lie apart.
            rows: self.rows.unwrap_or(rows).max(10_000),
            seconds: self.seconds.unwrap_or(seconds).clamp(0.01, 3_600.0),
            repetitions: self.repetitions.unwrap_or(repetitions).max(1),
            only: self.only.clone(),
            dir: self.dir.clone(),
        }
    }

    fn temporary(&self) -> Outcome<tempfile::TempDir> {
        Ok(match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        })
    }
}

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("engine-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let plan = arguments.plan();
    if let Some(name) = &arguments.in_this_process {
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| BenchError::Wrong(format!("no store {name} is built")))?;
        report::print_rows(&suite::run(*kind, &plan)?);
        return Ok(());
    }
    if let Some(rows) = arguments.wide {
        let lines = wide::run(arguments.temporary()?.path(), rows.max(100_000))?;
        lines.iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    if let Some(files) = arguments.start {
        let lines = start::run(arguments.temporary()?.path(), files)?;
        lines.iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    if let Some(files) = arguments.spread {
        let rows = arguments.rows.unwrap_or(QUICK.0);
        let lines = spread::run(arguments.temporary()?.path(), files.max(1), rows)?;
        lines.iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let rows = report::compare(&plan, &arguments.stores)?;
    match arguments.json {
        true => println!("{}", Value::Array(rows)),
        false => report::print_table(&rows),
    }
    Ok(())
}
