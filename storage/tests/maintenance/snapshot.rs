//! Snapshots and what is made of them, with crashes and failures at every step.

use std::path::{Path, PathBuf};

use tholos_storage::StorageError;
use tholos_storage::engine::Engine;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs};
use tholos_storage::layout;
use tholos_storage::manifest::TableFile;
use tholos_storage::schema::TableId;
use tholos_storage::snapshot::{self, Snapshot};

use crate::data::{DATA, OTHER, ROWS, TABLE, files, open, schema, values, write};

/// An engine with two tables: rows in files and in memory.
fn start(fs: &FaultyFs) -> Engine {
    let engine = open(fs).unwrap();
    write(&engine, TABLE, 1);
    engine.flush(TABLE).unwrap();
    write(&engine, TABLE, 2);
    write(&engine, OTHER, 3);
    engine
}

fn dir(name: &str) -> PathBuf {
    Path::new(DATA).join("snapshots").join(name)
}

fn files_of(
    fs: &FaultyFs,
    dir: &Path,
    snapshot: &Snapshot,
    id: TableId,
) -> Result<Vec<(PathBuf, TableFile)>, StorageError> {
    let table = snapshot.tables.iter().find(|table| table.id == id).unwrap();
    snapshot::table_files(fs, dir, table)
}

/// Brings back one table of a snapshot.
fn restore(fs: &FaultyFs, engine: &Engine, dir: &Path, id: TableId) -> Result<usize, StorageError> {
    let snapshot = snapshot::read(fs, dir)?;
    engine.ingest(id, &files_of(fs, dir, &snapshot, id)?)
}

#[test]
fn a_snapshot_brings_back_what_was_there() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    let taken = engine.snapshot("one", schema()).unwrap();
    assert_eq!(snapshot::read(&fs, &dir("one")).unwrap(), taken);
    assert_eq!(taken.schema, schema());
    assert_eq!(taken.tables.iter().map(|table| table.files).sum::<u64>(), 3);
    write(&engine, TABLE, 5);
    engine.truncate(TABLE).unwrap();
    engine.compact(OTHER).unwrap();
    assert!(values(&engine, TABLE).unwrap().is_empty());
    assert_eq!(restore(&fs, &engine, &dir("one"), TABLE).unwrap(), 2);
    assert_eq!(values(&engine, TABLE).unwrap(), [2; ROWS], "as it was when the snapshot was taken");
    // Once more changes nothing, and neither does a restart.
    restore(&fs, &engine, &dir("one"), TABLE).unwrap();
    assert_eq!(values(&engine, TABLE).unwrap(), [2; ROWS]);
    engine.compact(TABLE).unwrap();
    drop(engine);
    let engine = open(&fs.crash(Crash::KeepSynced)).unwrap();
    assert_eq!(values(&engine, TABLE).unwrap(), [2; ROWS]);
    assert_eq!(values(&engine, OTHER).unwrap(), [3; ROWS]);
}

#[test]
fn snapshots_outlive_their_table_and_are_listed_until_deleted() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    engine.snapshot("a", schema()).unwrap();
    let error = engine.snapshot("a", schema()).unwrap_err().to_string();
    assert!(error.contains("already"), "{error}");
    engine.drop_table(TABLE).unwrap();
    let error = engine.snapshot("b", schema()).unwrap_err();
    assert!(matches!(error, StorageError::UnknownTable(TABLE)), "{error}");
    let listed = engine.snapshots().unwrap();
    assert_eq!(listed.len(), 1, "a snapshot that failed leaves nothing: {listed:?}");
    assert_eq!(listed[0].1.as_ref().unwrap().name, "a");
    restore(&fs, &engine, &dir("a"), OTHER).unwrap();
    let taken = snapshot::read(&fs, &dir("a")).unwrap();
    assert_eq!(files_of(&fs, &dir("a"), &taken, TABLE).unwrap().len(), 2);
    engine.delete_snapshot("a").unwrap();
    assert!(engine.snapshots().unwrap().is_empty());
    assert!(files(&fs, &dir("a"), "").is_empty());
    let error = engine.delete_snapshot("a").unwrap_err().to_string();
    assert!(error.contains("no snapshot a"), "{error}");
    assert_eq!(values(&engine, OTHER).unwrap(), [3; ROWS]);
}

#[test]
fn half_a_snapshot_is_never_taken_for_a_whole_one() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    fs.forget_record();
    let taken = engine.snapshot("s", schema()).unwrap();
    let created = fs.recorded();
    engine.delete_snapshot("s").unwrap();
    let mut whole = 0;
    for prefix in 0..=fs.recorded() {
        for seed in 0..24 {
            let found = fs.crash_at(prefix, Crash::Random { seed });
            let Ok(snapshot) = snapshot::read(&found, &dir("s")) else {
                assert!(prefix != created, "it was there for certain");
                continue;
            };
            whole += 1;
            assert_eq!(snapshot, taken);
            // All of it is there: the files are what they were, and make tables again.
            let engine = open(&found).unwrap();
            for id in [TABLE, OTHER] {
                engine.truncate(id).unwrap();
                restore(&found, &engine, &dir("s"), id).unwrap();
            }
            assert_eq!(values(&engine, TABLE).unwrap(), [2; ROWS], "prefix {prefix} seed {seed}");
            assert_eq!(values(&engine, OTHER).unwrap(), [3; ROWS]);
            assert_eq!(engine.snapshots().unwrap().len(), 1);
        }
    }
    assert!(whole > 24, "{whole}");
    // What a crash left of one does not stand in the way of the next.
    for prefix in 0..created {
        let found = fs.crash_at(prefix, Crash::KeepAll);
        let engine = open(&found).unwrap();
        if snapshot::read(&found, &dir("s")).is_err() {
            engine.snapshot("s", schema()).unwrap();
        }
    }
}

#[test]
fn ingested_files_come_all_or_not_at_all() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    engine.snapshot("s", schema()).unwrap();
    engine.truncate(TABLE).unwrap();
    fs.forget_record();
    restore(&fs, &engine, &dir("s"), TABLE).unwrap();
    let mut seen = [0, 0];
    for prefix in 0..=fs.recorded() {
        for seed in 0..24 {
            let found = fs.crash_at(prefix, Crash::Random { seed });
            let engine = open(&found).unwrap();
            let values = values(&engine, TABLE).unwrap();
            assert!(values.is_empty() || values == [2; ROWS], "prefix {prefix}: {values:?}");
            seen[usize::from(!values.is_empty())] += 1;
            assert!(prefix < fs.recorded() || !values.is_empty(), "it was there for certain");
            drop(engine);
            // What was linked and never named is removed at the start.
            let tables = files(&found, &Path::new(DATA).join("data"), ".sst");
            let expected = if values.is_empty() { 1 } else { 3 };
            assert_eq!(tables.len(), expected, "prefix {prefix} seed {seed}: {tables:?}");
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn a_failing_disk_fails_the_snapshot_and_nothing_else() {
    let calls = {
        let fs = FaultyFs::new();
        let engine = start(&fs);
        let before = fs.calls();
        engine.snapshot("s", schema()).unwrap();
        fs.calls() - before
    };
    for failure in [Failure::Device, Failure::Full] {
        for call in 0..calls {
            let fs = FaultyFs::new();
            let engine = start(&fs);
            fs.fail(None, call, failure);
            let taken = engine.snapshot("s", schema());
            fs.heal();
            match taken {
                Ok(taken) => assert_eq!(snapshot::read(&fs, &dir("s")).unwrap(), taken),
                Err(_) => {
                    let listed = engine.snapshots().unwrap();
                    assert!(listed.iter().all(|(_, found)| found.is_err()), "{listed:?}");
                }
            }
            assert_eq!(values(&engine, TABLE).unwrap(), [2; ROWS], "{failure:?} at {call}");
            drop(engine);
            let engine = open(&fs.crash(Crash::KeepSynced)).unwrap();
            assert_eq!(values(&engine, TABLE).unwrap(), [2; ROWS], "{failure:?} at {call}");
        }
    }
}

#[test]
fn a_failing_disk_fails_the_restore_and_nothing_else() {
    let ready = || {
        let fs = FaultyFs::new();
        let engine = start(&fs);
        engine.snapshot("s", schema()).unwrap();
        engine.truncate(TABLE).unwrap();
        (fs, engine)
    };
    let calls = {
        let (fs, engine) = ready();
        let before = fs.calls();
        restore(&fs, &engine, &dir("s"), TABLE).unwrap();
        fs.calls() - before
    };
    // A sync may also say that the disk is full: then nobody knows what of the manifest is there.
    for failure in [Failure::Device, Failure::Full] {
        for call in 0..calls {
            let (fs, engine) = ready();
            fs.fail(None, call, failure);
            let restored = restore(&fs, &engine, &dir("s"), TABLE);
            fs.heal();
            let expected = vec![2; if restored.is_ok() { ROWS } else { 0 }];
            assert_eq!(values(&engine, TABLE).unwrap(), expected, "{failure:?} at {call}");
            drop(engine);
            for crash in [Crash::KeepSynced, Crash::KeepAll] {
                let engine = open(&fs.crash(crash)).unwrap();
                let found = values(&engine, TABLE).unwrap();
                let fits = found == [2; ROWS] || restored.is_err() && found.is_empty();
                assert!(fits, "{failure:?} at {call}, {crash:?}: {found:?}");
            }
        }
    }
}

#[test]
fn what_is_not_as_the_snapshot_says_is_refused() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    let taken = engine.snapshot("s", schema()).unwrap();
    engine.truncate(TABLE).unwrap();
    let table = taken.tables.iter().find(|table| table.id == TABLE).unwrap();
    let manifest = table.dir(&dir("s")).join("manifest");
    let good = fs.content(&manifest).unwrap();
    fs.damage(&manifest, |bytes| *bytes = bytes[..bytes.len() - 1].to_vec());
    let error = restore(&fs, &engine, &dir("s"), TABLE).unwrap_err().to_string();
    assert!(error.contains("manifest") && error.contains("checksum"), "{error}");
    fs.damage(&manifest, |bytes| bytes.clone_from(&good));
    let file = files(&fs, &table.dir(&dir("s")), ".sst").remove(0);
    fs.damage(&file, |bytes| bytes.truncate(bytes.len() - 1));
    let error = restore(&fs, &engine, &dir("s"), TABLE).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert!(values(&engine, TABLE).unwrap().is_empty());
    fs.remove(&dir("s").join(layout::SNAPSHOT)).unwrap();
    let error = restore(&fs, &engine, &dir("s"), TABLE).unwrap_err().to_string();
    assert!(error.contains("no snapshot"), "{error}");
}
