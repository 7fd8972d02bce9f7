//! More tables and files than descriptors, in a process of its own.

use std::process::Command;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, setrlimit};
use tholos_storage::engine::{Engine, TableSettings};
use tholos_storage::fs::real::RealFs;

use crate::data::{is_there, open, table, write};

/// Descriptors of the process, and its files: one of each table per round, and each table's manifest.
const DESCRIPTORS: u64 = 40;
const TABLES: u128 = 50;
const ROUNDS: u64 = 2;
/// Says, to a process that is to be limited, how many files its engine may have open.
const OPEN_FILES: &str = "THOLOS_TEST_OPEN_FILES";

/// Runs a test of this program in a process of its own.
fn limited(test: &str, open_files: usize) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--test-threads=1", "--nocapture"]);
    let output = command.env(OPEN_FILES, open_files.to_string()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}\n{errors}");
}

#[test]
fn there_may_be_more_files_than_descriptors() {
    let Some(open_files) = std::env::var_os(OPEN_FILES) else {
        limited("descriptors::there_may_be_more_files_than_descriptors", 16);
        // Told of more than there are, it finds out.
        limited("descriptors::there_may_be_more_files_than_descriptors", 1_000);
        return;
    };
    let limit = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let open_files = open_files.to_str().unwrap().parse().unwrap();
    use_many_files(open_files);
}

fn use_many_files(open_files: usize) {
    let dir = tempfile::tempdir().unwrap();
    let settings = || -> Vec<TableSettings> {
        let mut tables: Vec<TableSettings> = (0..TABLES).map(table).collect();
        tables.iter_mut().for_each(|table| table.compaction.enabled = false);
        tables
    };
    let engine = open(Arc::new(RealFs), dir.path(), open_files, settings());
    for round in 0..ROUNDS {
        for table in settings() {
            write(&engine, table.id, round, 1);
        }
        engine.flush_all().unwrap();
    }
    let check = |engine: &Engine| {
        for round in 0..=ROUNDS {
            for table in settings() {
                assert_eq!(is_there(engine, table.id, round), round < ROUNDS);
            }
        }
    };
    check(&engine);
    engine.create_table(table(TABLES)).unwrap();
    engine.compact(table(0).id).unwrap();
    engine.truncate(table(1).id).unwrap();
    write(&engine, table(1).id, 0, 2);
    write(&engine, table(1).id, 1, 2);
    engine.close().unwrap();
    drop(engine);
    let engine = open(Arc::new(RealFs), dir.path(), open_files, settings());
    check(&engine);
    assert_eq!(engine.sstables().len() as u64, TABLES as u64 * ROUNDS - 2);
}
