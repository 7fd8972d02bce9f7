//! Tables come, go, are emptied and get damaged.

use std::path::PathBuf;

use tholos_storage::StorageError;
use tholos_storage::engine::{Engine, TableSettings};
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::schema::TableId;

use crate::engine::{TestClock, open};
use crate::generate::{OTHER, STILL, TABLE};
use crate::threads::{pair, partition, values};

fn start(fs: &FaultyFs) -> Engine {
    let engine = open(fs, &TestClock::at(STILL.now)).unwrap();
    engine.create_table(TableSettings::new(OTHER, "ks", "other")).unwrap();
    engine
}

fn write(engine: &Engine, round: u32) {
    for number in 0..4 {
        let write = pair(&partition(0, number), round);
        engine.apply(&write).unwrap();
        engine.apply(&Mutation { table: OTHER, ..write }).unwrap();
    }
    engine.sync_log().unwrap();
}

fn files(fs: &FaultyFs, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::from("/data/data/ks")];
    while let Some(dir) = dirs.pop() {
        for name in fs.list(&dir).unwrap_or_default() {
            let path = dir.join(&name);
            match fs.open(&path, true) {
                Ok(_) if name.ends_with(suffix) => found.push(path),
                Ok(_) => {}
                Err(_) => dirs.push(path),
            }
        }
    }
    found
}

fn rows(engine: &Engine, table: TableId) -> Result<usize, StorageError> {
    let table = engine.table(table)?;
    let mut rows = table.scan(&[], &[], Direction::Forward, STILL.now)?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_truncated_table_stays_empty() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    write(&engine, 1);
    engine.flush(TABLE).unwrap();
    write(&engine, 2);
    engine.truncate(TABLE).unwrap();
    assert_eq!((rows(&engine, TABLE).unwrap(), rows(&engine, OTHER).unwrap()), (0, 8));
    let crashed = open(&fs.crash(Crash::KeepSynced), &TestClock::at(STILL.now)).unwrap();
    assert_eq!(rows(&crashed, TABLE).unwrap(), 0, "what was logged before is not replayed");
    write(&engine, 3);
    assert_eq!(rows(&engine, TABLE).unwrap(), 8);
    let crashed = start(&fs.crash(Crash::KeepSynced));
    assert_eq!(values(&crashed, &partition(0, 0), Direction::Forward), [3, 3]);
}

#[test]
fn a_dropped_table_leaves_nothing() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    write(&engine, 1);
    engine.flush_all().unwrap();
    write(&engine, 2);
    let kept = engine.table(OTHER).unwrap();
    let mut reader = kept.scan(&[], &[], Direction::Forward, STILL.now).unwrap();
    reader.next().unwrap().expect("a row");
    assert_eq!(files(&fs, ".sst").len(), 2);
    engine.drop_table(OTHER).unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(files(&fs, ".sst").len(), 2, "the file stays for its reader");
    drop((reader, kept));
    engine.background_step().unwrap();
    assert_eq!(files(&fs, ".sst").len(), 1, "the file goes with its last reader");
    let write = Mutation { table: OTHER, ..pair(&partition(0, 0), 3) };
    assert!(matches!(engine.apply(&write), Err(StorageError::UnknownTable(OTHER))));
    assert!(matches!(rows(&engine, OTHER), Err(StorageError::UnknownTable(OTHER))));
    engine.close().unwrap();
    drop(engine);
    let engine = open(&fs, &TestClock::at(STILL.now)).unwrap();
    assert_eq!(rows(&engine, TABLE).unwrap(), 8);
    engine.create_table(TableSettings::new(OTHER, "ks", "other")).unwrap();
    assert_eq!(rows(&engine, OTHER).unwrap(), 0);
}

#[test]
fn a_damaged_file_serves_nothing_and_is_not_compacted_away() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    for round in 1..4 {
        write(&engine, round);
        engine.flush(TABLE).unwrap();
    }
    // Its log would not be replayed: `open` does not know it.
    engine.flush(OTHER).unwrap();
    drop(engine);
    let table = TABLE.0.simple().to_string();
    let of_table = |path: &PathBuf| path.to_string_lossy().contains(&table);
    let before = files(&fs, ".sst");
    let damaged = before.iter().find(|path| of_table(path)).unwrap().clone();
    let sound = fs.content(&damaged).unwrap();
    fs.damage(&damaged, |bytes| bytes[20] ^= 1);
    let engine = start(&fs);
    let error = rows(&engine, TABLE).unwrap_err();
    assert!(matches!(&error, StorageError::Corrupt { file, .. } if *file == damaged), "{error}");
    assert_eq!(rows(&engine, OTHER).unwrap(), 8, "other tables are as they were");
    // The read found it out, so the compaction leaves it alone.
    engine.compact(TABLE).unwrap();
    while engine.background_step().unwrap() {}
    assert_eq!(engine.stats().compactions, 1, "the sound files were compacted");
    let left = files(&fs, ".sst").into_iter().filter(of_table);
    let old: Vec<PathBuf> = left.filter(|path| before.contains(path)).collect();
    assert_eq!(old, std::slice::from_ref(&damaged), "the damaged one stays, the others are gone");
    drop(engine);
    fs.damage(&damaged, |bytes| *bytes = sound.clone());
    assert_eq!(rows(&start(&fs), TABLE).unwrap(), 8, "restored, it serves again");
}

#[test]
fn a_directory_has_one_engine() {
    let fs = FaultyFs::new();
    let engine = start(&fs);
    let error = open(&fs, &TestClock::at(STILL.now)).unwrap_err().to_string();
    assert!(error.contains("/data is in use by another process"), "{error}");
    drop(engine);
    start(&fs);
}

#[test]
fn malformed_mutations_are_refused() {
    let engine = start(&FaultyFs::new());
    let sound = pair(&partition(0, 0), 1);
    let short = Mutation { partition: [1, 2, 3][..].into(), ..sound.clone() };
    assert!(matches!(engine.apply(&short), Err(StorageError::Malformed(_))));
    let mut misplaced = sound.clone();
    if let Update::Row { position, .. } = &mut misplaced.updates[1] {
        position.push(7);
    }
    assert!(matches!(engine.apply(&misplaced), Err(StorageError::Malformed(_))));
    assert_eq!(rows(&engine, TABLE).unwrap(), 0, "no part of it was applied");
}
