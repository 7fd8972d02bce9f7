//! Runs simulated histories: many seeds, or one to look at.
//!
//! ```text
//! sim --seeds 0..150            runs these seeds; each that fails is told with the command that shows it
//! sim --seeds 0..150 --json     runs each seed twice; the last line is one object
//! sim --seed 7 --trace          one seed, with all that happens
//! sim --nodes 5 --seeds 0..40   histories of five nodes
//! ```

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use tholos_tests::sim::{self, Report, STATEMENTS};

/// Runs histories of simulated nodes, and checks every answer.
#[derive(Parser)]
struct Arguments {
    /// How many nodes a history has; of several each row has three replicas.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// The seeds to run: from the first up to, and without, the second.
    #[arg(long, default_value = "0..100", value_parser = range, conflicts_with = "seed")]
    seeds: Range<u64>,
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Statements in a history.
    #[arg(long, default_value_t = STATEMENTS)]
    statements: u64,
    /// Print what happens.
    #[arg(long)]
    trace: bool,
    /// Run each seed twice, compare their traces, and end with a line of JSON.
    #[arg(long)]
    json: bool,
    /// Histories at once; each is one thread. By default as many as there are cores.
    #[arg(long)]
    jobs: Option<usize>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("two numbers with .. between: 0..150")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    Ok(number(first)?..number(end)?)
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    statements: u64,
    faults: u64,
    violations: u64,
    traces_equal: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.seeds.clone(),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.unwrap_or(cores).max(1);
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum { traces_equal: true, ..Sum::default() });
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    one(seed, &arguments, &sum);
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Sum { seeds, statements, faults, violations, traces_equal } = sum;
    if arguments.json {
        let figures = serde_json::json!({
            "seeds": seeds,
            "statements": statements,
            "faults": faults,
            "violations": violations,
            "traces_equal": traces_equal,
        });
        println!("{figures}");
    } else {
        println!(
            "{seeds} histories, {statements} statements, {faults} faults, {violations} violations"
        );
    }
    if violations == 0 && traces_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, arguments: &Arguments, sum: &Mutex<Sum>) {
    let run = |keeps_lines| run(seed, arguments.nodes, arguments.statements, keeps_lines);
    let report = run(arguments.trace);
    let again = arguments.json.then(|| run(false));
    let is_equal = again.as_ref().is_none_or(|again| again.hash == report.hash);
    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    sum.seeds += 1;
    sum.statements += report.statements;
    sum.faults += report.faults;
    sum.traces_equal &= is_equal;
    report.lines.iter().for_each(|line| println!("{line}"));
    if arguments.trace {
        println!("trace {:016x}", report.hash);
    }
    if !is_equal {
        println!("seed {seed}: two runs differ");
    }
    if let Some(violation) = &report.violation {
        sum.violations += 1;
        println!("seed {seed}: {violation}");
        println!(
            "  to see it: cargo run --release -p tholos-tests --bin sim -- --nodes {} --seed {seed} --trace",
            arguments.nodes
        );
    }
}

/// Runs a history. A panic is a violation too.
fn run(seed: u64, nodes: u8, statements: u64, keeps_lines: bool) -> Report {
    let run = || sim::run(seed, nodes, statements, keeps_lines);
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_string()));
        let violation = Some(format!("panic: {}", what.unwrap_or_default()));
        let (statements, faults, hash, lines) = (0, 0, 0, Vec::new());
        Report { seed, statements, faults, hash, violation, lines }
    })
}
