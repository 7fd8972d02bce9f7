//! The storage engine against a model: a map of all writes ever made, evaluated straight from the reconciliation rules,
//! with no merging, purging or files.
//!
//! - `laws.rs`: memtables, files and merges of them, by random cases; `THOLOS_CASES` multiplies their number.
//! - `steps.rs`: whole histories of an engine (`history.rs`, `engine.rs`, `reads.rs`, `snapshots.rs`); `THOLOS_MODEL_STEPS` operations.
//! - `crash.rs`: power cuts in histories; `THOLOS_CRASH_SAMPLES` choices of what was not synced beside all prefixes.
//! - `replay.rs`: starts with a log much larger than memory, by one thread and by several.
//! - `rot.rs`: flipped bits and files cut short; all bits with `THOLOS_ROT=all`.
//! - `faults.rs`: every call to the disk fails; `THOLOS_FAULT_HISTORIES` histories.
//! - `planted.rs`: rules broken on purpose, and that this is noticed; some also in the files above.
//! - `pages.rs`: what several replicas say together; `forged.rs`: what comes of it when they lie.
//! - `stream/`: parts of tables streamed from engine to engine.
//! - `tables.rs`, `threads.rs`, `dropped.rs`: tables that come and go, threads, dropped columns.

#![allow(clippy::unwrap_used)] // a test may panic

mod crash;
mod database;
mod dropped;
mod engine;
mod faults;
mod forged;
mod generate;
mod history;
mod laws;
mod observe;
mod pages;
mod planted;
mod purge;
mod reads;
mod replay;
mod rot;
mod shift;
mod skips;
mod snapshots;
mod steps;
mod stream;
mod tables;
mod threads;
mod time_series;

/// How many cases a property runs: sized for every change, more by `THOLOS_CASES=<factor>`.
fn cases(usual: u32) -> proptest::test_runner::Config {
    let factor = std::env::var("THOLOS_CASES").ok().and_then(|factor| factor.parse().ok());
    proptest::test_runner::Config {
        cases: usual.saturating_mul(factor.unwrap_or(1)),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}
