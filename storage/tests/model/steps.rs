//! Many histories. `THOLOS_MODEL_STEPS` says how many operations altogether; a failure names the seed of its history and
//! the fewest operations of it that still fail.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;
use tholos_storage::model::Deletion;
use tholos_storage::model::mutation::{Mutation, Update};

use crate::engine::{Bench, GC_GRACE, Outcome, Violation};
use crate::generate::{OTHER, STILL, TABLE, all_partitions};
use crate::history::{LENGTH, Op, Shape, history};

/// Operations of an ordinary run: some seconds of them.
const STEPS: u64 = 40_000;

fn steps() -> u64 {
    std::env::var("THOLOS_MODEL_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS)
}

/// Runs a history on a new engine.
///
/// # Errors
/// The first violation, and how many operations were done before it.
fn run(shape: &Shape, ops: &[Op]) -> Result<(), (usize, Violation)> {
    let mut done = 0;
    let whole = catch_unwind(AssertUnwindSafe(|| -> Outcome {
        let mut bench = Bench::new(shape)?;
        for op in ops {
            bench.run(op)?;
            done += 1;
        }
        nothing_deleted_stays(&mut bench)
    }));
    let outcome = whole.unwrap_or_else(|_| Err(Violation("a panic".into())));
    outcome.map_err(|violation| (done, violation))
}

/// M5: once all is deleted and old, a compaction leaves no file.
fn nothing_deleted_stays(bench: &mut Bench) -> Outcome {
    let now = bench.now();
    let deletion = Deletion { timestamp: now + 1, deleted_at: now };
    for table in [TABLE, OTHER] {
        for partition in all_partitions() {
            let updates = [Update::Partition(deletion)].into_iter().collect();
            let partition = SmallVec::from_vec(partition);
            let table = bench.id(table);
            bench.engine().apply(&Mutation { table, partition, updates })?;
        }
        bench.engine().flush(bench.id(table))?;
    }
    bench.advance(GC_GRACE + 2);
    for table in [TABLE, OTHER] {
        bench.engine().compact(bench.id(table))?;
        if !bench.file_numbers(table).is_empty() {
            return Err(Violation("files are left, although all in them was deleted".into()));
        }
    }
    Ok(())
}

/// Leaves out operations as long as the history still fails.
fn shrunk(shape: &Shape, ops: &[Op]) -> (Vec<Op>, Violation) {
    let mut least = ops.to_vec();
    let mut violation = Violation(String::new());
    let mut tries = 0;
    let mut chunk = least.len();
    while chunk > 0 && tries < 2_000 {
        let mut at = 0;
        let mut any = false;
        while at < least.len() {
            let mut fewer = least.clone();
            fewer.drain(at..least.len().min(at + chunk));
            tries += 1;
            match run(shape, &fewer) {
                Ok(()) => at += chunk,
                Err((_, found)) => (least, violation, any) = (fewer, found, true),
            }
        }
        if !any || chunk > least.len() {
            chunk /= 2;
        }
    }
    (least, violation)
}

/// The seed, the operations that matter and what they break.
fn report(seed: u64, shape: &Shape, ops: &[Op], first: &Violation) -> String {
    let (least, violation) = shrunk(shape, ops);
    let violation = if violation.0.is_empty() { first } else { &violation };
    let mut text = format!("history {seed} with {shape:?}, shrunk:\n");
    for op in &least {
        writeln!(text, "  {op:?}").unwrap();
    }
    write!(text, "{}", violation.0).unwrap();
    text
}

#[test]
fn every_history_reads_as_the_model() {
    let steps = steps();
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed * LENGTH as u64 >= steps {
                        break;
                    }
                    let (shape, ops) = history(seed);
                    if let Err((_, violation)) = run(&shape, &ops) {
                        panic!("{}", report(seed, &shape, &ops, &violation));
                    }
                }
            });
        }
    });
}

/// Histories that were red once, or had the model wrong: 2684 has a file compacted between two cells that expire together.
const ONCE_RED: [u64; 1] = [2684];

#[test]
fn what_was_red_once_is_green() {
    for seed in ONCE_RED {
        let (shape, ops) = history(seed);
        if let Err((_, violation)) = run(&shape, &ops) {
            panic!("{}", report(seed, &shape, &ops, &violation));
        }
    }
}

/// How many operations of histories it takes until one fails; `None` if `most` do not.
pub(crate) fn steps_until_red(most: usize) -> Option<(usize, Violation)> {
    let mut before = 0;
    for seed in 0.. {
        if before >= most {
            break;
        }
        let (shape, ops) = history(seed);
        match run(&shape, &ops) {
            Ok(()) => before += ops.len(),
            Err((done, violation)) => return Some((before + done, violation)),
        }
    }
    None
}

#[test]
fn expiry_and_grace_are_longer_than_writes_lag() {
    // What the harness takes for granted when it writes again what a crash lost.
    const { assert!(GC_GRACE > STILL.lag) };
}
