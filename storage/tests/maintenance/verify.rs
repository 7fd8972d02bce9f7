//! Verification of a data directory, and damage that the engine remembers.

use std::path::{Path, PathBuf};

use tholos_storage::StorageError;
use tholos_storage::engine::Engine;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::FaultyFs;
use tholos_storage::verify::{Problem, Subject, Verified, Watch, verify_storage};

use crate::data::{DATA, OTHER, ROWS, TABLE, files, open, values, write};

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    files: Vec<PathBuf>,
    bytes: u64,
}

impl Watch for Found {
    fn begin(&mut self, file: &Path) {
        self.files.push(file.to_path_buf());
    }

    fn read(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

fn start(fs: &FaultyFs) -> Engine {
    let engine = open(fs).unwrap();
    for round in 1..4 {
        write(&engine, TABLE, round);
        engine.flush(TABLE).unwrap();
    }
    write(&engine, OTHER, 4);
    engine.flush(OTHER).unwrap();
    write(&engine, TABLE, 5);
    engine
}

fn verify(fs: &FaultyFs) -> (Found, Verified) {
    let mut found = Found::default();
    let verified = verify_storage(fs, Path::new(DATA), &|_| true, &mut found).unwrap();
    (found, verified)
}

fn only(fs: &FaultyFs) -> Problem {
    let mut problems = verify(fs).0.problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn tables(fs: &FaultyFs) -> Vec<PathBuf> {
    files(fs, &Path::new(DATA).join("data"), ".sst")
}

#[test]
fn a_sound_directory_has_no_problems_used_or_not() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    let (found, verified) = verify(&fs);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!((verified.tables, verified.sstables), (2, 4));
    assert!(found.bytes > 0 && found.files.len() > 2 + 4, "{:?}", found.files);
    engine.close().unwrap();
    drop(engine);
    assert!(verify(&fs).0.problems.is_empty());
    assert_eq!(verify(&FaultyFs::new()).1, Verified::default(), "nor has one that is not there");
}

#[test]
fn every_changed_byte_of_a_table_is_found_and_the_keys_it_takes_away_are_told() {
    let fs = FaultyFs::new();
    drop(start(&fs));
    let path = tables(&fs).remove(0);
    let good = fs.content(&path).unwrap();
    for at in 0..good.len() {
        fs.damage(&path, |bytes| bytes[at] ^= 0x04);
        let problems = verify(&fs).0.problems;
        assert!(!problems.is_empty(), "byte {at}");
        for problem in &problems {
            assert_eq!(problem.file, path);
            let Subject::SsTable { keyspace, .. } = &problem.subject else { panic!("{problem:?}") };
            assert_eq!(keyspace, "ks");
        }
        fs.damage(&path, |bytes| bytes.clone_from(&good));
    }
    assert!(verify(&fs).0.problems.is_empty());
}

#[test]
fn missing_files_and_damaged_manifests_and_logs_are_problems() {
    let fs = FaultyFs::new();
    drop(start(&fs));
    // Three edits, so that the first is no torn end.
    let path = tables(&fs).into_iter().find(|path| path.to_string_lossy().contains("/t-")).unwrap();
    let good = fs.content(&path).unwrap();
    fs.remove(&path).unwrap();
    let problem = only(&fs);
    assert!(problem.what.contains("missing") && problem.offset.is_none(), "{problem:?}");
    fs.create(&path).unwrap().write_all_at(&good, 0).unwrap();

    let manifest = path.with_file_name("manifest");
    let good = fs.content(&manifest).unwrap();
    fs.damage(&manifest, |bytes| bytes[30] ^= 1);
    let problem = only(&fs);
    assert!(matches!(problem.subject, Subject::Manifest { .. }), "{problem:?}");
    fs.damage(&manifest, |bytes| bytes.clone_from(&good));

    let logs = files(&fs, &Path::new(DATA).join("commitlog"), ".log");
    let log = logs.iter().find(|log| {
        let bytes = fs.content(log).unwrap();
        bytes[16..].iter().any(|byte| *byte != 0)
    });
    let log = log.unwrap();
    fs.damage(log, |bytes| bytes[60] ^= 1);
    let problem = only(&fs);
    assert_eq!((&problem.file, &problem.subject), (log, &Subject::CommitLog));
    assert!(problem.advice().contains("--set-aside-damaged-log"));
    fs.damage(log, |bytes| bytes[60] ^= 1);
    assert!(verify(&fs).0.problems.is_empty());
    fs.remove(log).unwrap();
    assert!(only(&fs).what.contains("missing"));
}

#[test]
fn damage_is_an_error_for_its_keys_only_and_is_remembered() {
    let fs = FaultyFs::new();
    drop(start(&fs));
    let file = tables(&fs).into_iter().find(|path| path.to_string_lossy().contains("other-"));
    let file = file.unwrap();
    // In the first data block.
    fs.damage(&file, |bytes| bytes[20] ^= 1);
    let engine = open(&fs).unwrap();
    assert!(engine.damage().is_empty(), "nobody has looked");
    let error = values(&engine, OTHER).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { offset: 8, .. }), "{error}");
    let damage = engine.damage();
    let [range] = damage.as_slice() else { panic!("{damage:?}") };
    assert_eq!((range.keyspace.as_str(), range.table.as_str()), ("ks", "other"));
    assert_eq!((&range.file, range.found.damage.offset), (&file, 8));
    assert_eq!(range.found.found_at, 1_000_000_000);
    let (first, last) = range.found.damage.keys.as_ref().unwrap().tokens();
    assert!(first == -2500 && (-2500..0).contains(&last), "{first} to {last}");
    // Everything after it is there.
    let table = engine.table(OTHER).unwrap();
    let lower = range.found.damage.keys.clone().unwrap().upper.unwrap();
    let mut rows =
        table.scan(&lower, &[], tholos_storage::model::entry::Direction::Forward, 1_000).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    assert!(count > ROWS / 2 && count < ROWS, "{count}");
    // And it stays out of compactions.
    engine.compact(OTHER).unwrap();
    assert!(fs.exists(&file).unwrap());
    assert_eq!(values(&engine, TABLE).unwrap(), [5; ROWS]);
}

#[test]
fn damage_that_verification_finds_is_remembered_too() {
    let fs = FaultyFs::new();
    drop(start(&fs));
    let file = tables(&fs).into_iter().find(|path| path.to_string_lossy().contains("other-"));
    fs.damage(&file.unwrap(), |bytes| bytes[20] ^= 1);
    let Subject::SsTable { id, number, .. } = only(&fs).subject else { panic!() };
    let engine = open(&fs).unwrap();
    assert_eq!(engine.verify_file(id, number).unwrap().unwrap().len(), 1);
    assert_eq!(engine.damage().len(), 1);
    assert_eq!(engine.verify_file(id, number + 100).unwrap(), None);
}
