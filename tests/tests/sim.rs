//! Simulated histories: they come out right, the same every time, and go wrong when a rule is broken on purpose.
//!
//! `.ci/run` runs more of them with the program `sim`; `THOLOS_SIM_SEEDS` sets how many are run here.

use tholos_storage::planted::{Planted, plant};
use tholos_tests::sim::{self, Report, STATEMENTS};

/// Seeds that are run here, so many unless it is said otherwise.
fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("THOLOS_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    0..given.unwrap_or(40)
}

/// A history of one node.
fn run(seed: u64, statements: u64, keeps_lines: bool) -> Report {
    sim::run(seed, 1, statements, keeps_lines)
}

fn told(report: &Report) -> String {
    format!(
        "seed {}: {}\n  to see it: cargo run --release -p tholos-tests --bin sim -- --seed {} --trace",
        report.seed,
        report.violation.as_deref().unwrap_or_default(),
        report.seed
    )
}

#[test]
fn every_answer_is_what_it_must_be() {
    let reports: Vec<Report> = seeds().map(|seed| run(seed, STATEMENTS, false)).collect();
    let wrong: Vec<String> =
        reports.iter().filter(|report| report.violation.is_some()).map(told).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(reports.iter().all(|report| report.statements >= STATEMENTS));
    assert!(reports.iter().any(|report| report.faults > 0), "nothing went wrong on the disk");
}

#[test]
fn several_nodes_answer_as_their_levels_promise() {
    let histories = || seeds().map(|seed| sim::run(seed, 3 + (seed % 3) as u8, STATEMENTS, false));
    let reports: Vec<Report> = histories().collect();
    let wrong: Vec<String> =
        reports.iter().filter(|report| report.violation.is_some()).map(told).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(reports.iter().all(|report| report.statements >= STATEMENTS && report.faults > 0));
    for (once, again) in reports.iter().zip(histories()) {
        assert_eq!(once.hash, again.hash, "seed {}", once.seed);
    }
}

#[test]
fn equal_seeds_make_equal_traces() {
    for seed in 0..6 {
        let (once, again) = (run(seed, STATEMENTS, true), run(seed, STATEMENTS, true));
        let lines = once.lines.iter().zip(&again.lines);
        for (once, again) in lines {
            assert_eq!(once, again, "seed {seed}");
        }
        assert_eq!((once.hash, once.lines.len()), (again.hash, again.lines.len()), "seed {seed}");
        assert_ne!(once.hash, run(seed + 1, STATEMENTS, false).hash);
    }
}

/// Which of the first seeds find a rule broken.
fn found_by(bug: Planted) -> Option<u64> {
    plant(Some(bug));
    let found = (0..40).find(|seed| {
        // A rule that is broken may also break the node.
        let history = std::panic::catch_unwind(|| run(*seed, STATEMENTS, false));
        history.is_ok_and(|report| report.violation.is_some())
    });
    plant(None);
    found
}

/// Those that few histories find; others need hundreds.
#[test]
fn broken_rules_are_found() {
    let bugs = [
        Planted::TieKeepsLiveCell,
        Planted::ReverseDropsOpenDeletion,
        Planted::ReplayBelowFlushed,
        Planted::AcknowledgeBeforeSync,
        Planted::FinishWithoutSync,
    ];
    let found: Vec<(Planted, Option<u64>)> =
        bugs.into_iter().map(|bug| (bug, found_by(bug))).collect();
    let missed: Vec<&(Planted, Option<u64>)> =
        found.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "no history finds {missed:?}");
}
