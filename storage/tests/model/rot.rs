//! Rot: bits of a sample of each kind of file are flipped, and the file cut to every length. Either that is noticed,
//! by an error that names the file, or it makes no difference; no row is ever wrong, missing or back from the dead.
//!
//! One thing cannot be told from a write that a power cut tore: damage in the last frame of a commit log that was never
//! closed. Then what is missing is at the log's end, and the rest is as it was.

use std::path::{Path, PathBuf};

use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use tholos_storage::model::Row;
use tholos_storage::model::entry::Direction;
use tholos_storage::planted::Planted;
use tholos_storage::schema::TableId;

use crate::database::Model;
use crate::engine::{Bench, TestClock, open_shape};
use crate::generate::{OTHER, TABLE};
use crate::history::{Op, Shape, history};
use crate::observe::seen_row;
use crate::planted::Broken;

type Rows = Vec<(Vec<u8>, Row)>;

/// A disk at rest, and what is on it.
struct Sample {
    fs: FaultyFs,
    shape: Shape,
    now: i64,
    expected: [Rows; 2],
    /// What is left of a table when the last frame of an open log counts as torn.
    torn: [Rows; 2],
}

/// What became of damage.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Noticed,
    Harmless,
    Torn,
}

/// Some writes in an SSTable or two, some in the log alone.
fn sample() -> Sample {
    let shape = Shape { block_bytes: 300, segment_bytes: 1_024, ..Shape::default() };
    let mut bench = Bench::new(&shape).unwrap();
    let ops = history(3).1;
    let mut writes = ops.iter().filter(|op| matches!(op, Op::Write(_)));
    let mut write = |bench: &mut Bench, count| {
        writes.by_ref().take(count).for_each(|op| bench.step(op).unwrap());
    };
    write(&mut bench, 12);
    bench.step(&Op::Compact(TABLE)).unwrap();
    bench.step(&Op::Flush(OTHER)).unwrap();
    write(&mut bench, 6);
    bench.step(&Op::Flush(TABLE)).unwrap();
    bench.step(&Op::Sync).unwrap();
    for _ in 0..3 {
        write(&mut bench, 4);
        bench.step(&Op::Sync).unwrap();
    }
    let now = bench.now();
    let torn = bench.tables.each_ref().map(|known| known.model.live(&[], &[], now));
    write(&mut bench, 4);
    bench.step(&Op::Sync).unwrap();
    let expected = bench.tables.each_ref().map(|known: &crate::engine::Known| {
        let model: &Model = &known.model;
        model.live(&[], &[], now)
    });
    Sample { fs: bench.fs.crash(Crash::KeepAll), shape, now, expected, torn }
}

impl Sample {
    /// Starts from a copy of the disk with that damage, and reads everything.
    fn fate(&self, file: &Path, damage: &dyn Fn(&mut Vec<u8>)) -> Fate {
        let fs = self.fs.copy();
        fs.damage(file, damage);
        self.fate_on(&fs, file)
    }

    fn fate_on(&self, fs: &FaultyFs, file: &Path) -> Fate {
        let engine = match open_shape(fs, &TestClock::at(self.now), &self.shape) {
            Ok(engine) => engine,
            Err(error) => return named(&error, file),
        };
        let mut torn = false;
        let mut noticed = false;
        for (id, index) in [(TABLE, 0), (OTHER, 1)] {
            for direction in [Direction::Forward, Direction::Reverse] {
                let (rows, error) = self.rows(&engine, id, direction);
                let mut expected = self.expected[index].clone();
                let mut shorter = self.torn[index].clone();
                if direction == Direction::Reverse {
                    expected.reverse();
                    shorter.reverse();
                }
                if let Some(error) = error {
                    noticed = named(&error, file) == Fate::Noticed;
                    assert!(expected.starts_with(&rows), "{file:?}: wrong rows before {error}");
                } else if rows != expected {
                    assert_eq!(rows, shorter, "{file:?}: wrong rows and nothing is said");
                    torn = true;
                }
            }
        }
        match (noticed, torn) {
            (true, _) => Fate::Noticed,
            (false, true) => Fate::Torn,
            (false, false) => Fate::Harmless,
        }
    }

    fn rows(
        &self,
        engine: &tholos_storage::engine::Engine,
        id: TableId,
        direction: Direction,
    ) -> (Rows, Option<StorageError>) {
        let mut seen = Vec::new();
        let table = engine.table(id).unwrap();
        let mut walk = match table.scan(&[], &[], direction, self.now) {
            Ok(walk) => walk,
            Err(error) => return (seen, Some(error)),
        };
        loop {
            match walk.next() {
                Ok(Some(row)) => seen.push((row.key.to_vec(), seen_row(&row, self.now).unwrap())),
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error)),
            }
        }
    }

    /// All files of a kind, by the end of their names.
    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![PathBuf::from("/data")];
        while let Some(dir) = dirs.pop() {
            for name in self.fs.list(&dir).unwrap() {
                let path = dir.join(&name);
                match self.fs.content(&path) {
                    Some(_) if name.ends_with(kind) => found.push(path),
                    Some(_) => {}
                    None => dirs.push(path),
                }
            }
        }
        assert!(!found.is_empty(), "no file of {kind}");
        found
    }
}

/// An error must say which file is damaged.
fn named(error: &StorageError, damaged: &Path) -> Fate {
    match error {
        StorageError::Corrupt { file, .. } => assert_eq!(file, damaged, "{error}"),
        StorageError::Io { file, .. } | StorageError::Missing { file, .. } => {
            assert_eq!(file, damaged, "{error}");
        }
        StorageError::Unusable(what) => {
            assert!(what.contains(&*damaged.to_string_lossy()), "{error}");
        }
        other => panic!("{damaged:?}: {other}"),
    }
    Fate::Noticed
}

/// Counts of the three fates.
#[derive(Debug, Default)]
struct Count {
    noticed: usize,
    harmless: usize,
    torn: usize,
}

impl Count {
    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Noticed => self.noticed += 1,
            Fate::Harmless => self.harmless += 1,
            Fate::Torn => self.torn += 1,
        }
    }
}

/// How far apart the flipped bits are: in an ordinary run a third of them, others in each byte; all with `THOLOS_ROT=all`.
fn stride() -> usize {
    if std::env::var("THOLOS_ROT").is_ok_and(|bits| bits == "all") { 1 } else { 3 }
}

/// Flips bits of every file of a kind, then cuts them to every length.
fn rot(kind: &str) -> (Count, Count) {
    let sample = sample();
    let (mut flips, mut cuts) = (Count::default(), Count::default());
    for file in sample.files(kind) {
        let len = sample.fs.content(&file).unwrap().len();
        let content = sample.fs.content(&file).unwrap();
        let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // Of the zeros at the end some are enough.
        let rest = (used * 8..len * 8).step_by(101);
        for bit in (0..used * 8).step_by(stride()).chain(rest) {
            flips.add(sample.fate(&file, &|bytes| bytes[bit / 8] ^= 1 << (bit % 8)));
        }
        for len in (0..used + 64).chain((used + 64..len).step_by(17)).filter(|cut| *cut < len) {
            cuts.add(sample.fate(&file, &|bytes| bytes.truncate(len)));
        }
    }
    println!("{kind}: flips {flips:?}, cuts {cuts:?}");
    (flips, cuts)
}

#[test]
fn rot_of_an_sstable_is_noticed() {
    let (flips, cuts) = rot(".sst");
    assert_eq!((flips.torn, cuts.torn, cuts.harmless), (0, 0, 0));
}

#[test]
fn rot_of_a_manifest_is_noticed() {
    let (flips, cuts) = rot("manifest");
    assert_eq!((flips.torn, cuts.torn), (0, 0));
}

#[test]
fn rot_of_the_logs_list_of_segments_is_noticed() {
    let (flips, cuts) = rot("segments");
    assert_eq!((flips.torn, cuts.torn), (0, 0));
}

#[test]
fn rot_of_a_commit_log_is_noticed() {
    let (flips, cuts) = rot(".log");
    assert_eq!(cuts.torn, 0);
    assert!(flips.noticed > 3_000 && flips.torn < flips.noticed / 10, "{flips:?}");
}

#[test]
fn rot_that_is_not_looked_for_is_found_by_these_tests() {
    let _broken = Broken::rule(Planted::IgnoreChecksums);
    let found = std::panic::catch_unwind(|| rot(".sst"));
    assert!(found.is_err());
}

#[test]
fn a_file_that_is_gone_is_missed() {
    let sample = sample();
    for file in [".sst", "manifest", "segments", ".log"].iter().flat_map(|kind| sample.files(kind))
    {
        let fs = sample.fs.copy();
        fs.remove(&file).unwrap();
        let fate = sample.fate_on(&fs, &file);
        let is_free = file.extension().is_some_and(|kind| kind == "log");
        assert!(fate == Fate::Noticed || is_free && fate == Fate::Harmless, "{file:?}: {fate:?}");
    }
}
