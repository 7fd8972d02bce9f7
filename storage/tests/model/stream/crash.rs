//! Power cuts and failing disks while a stream is received: all of it is there, or nothing, and no file is left over.

use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs};
use tholos_storage::model::Row;
use tholos_storage::model::token_range::TokenRanges;
use tholos_storage::planted::Planted;
use tholos_storage::stream::StreamError;

use super::{End, dir, manifest, range, rows};
use crate::engine::{TestClock, Violation, open_shape};
use crate::generate::{STILL, TABLE};
use crate::history::Shape;
use crate::planted::Broken;

type Rows = Vec<(Vec<u8>, Row)>;

fn ranges() -> TokenRanges {
    TokenRanges::of([range(0, i64::MIN + 10)])
}

/// A stream, and a table with rows of its own to take it.
fn ends() -> (Vec<Vec<u8>>, End) {
    let from = End::of_history(&Shape::default(), 5);
    let to = End::of_history(&Shape::default(), 6);
    to.engine.flush(TABLE).unwrap();
    (from.send(&ranges(), 400).0, to)
}

fn names_are_known(fs: &FaultyFs) -> Result<(), Violation> {
    let mut known: Vec<String> =
        manifest(fs).files.keys().map(|number| format!("{number}.sst")).collect();
    known.push("manifest".into());
    known.sort();
    let found = fs.list(&dir()).unwrap();
    if found == known { Ok(()) } else { Err(Violation(format!("{found:?} instead of {known:?}"))) }
}

/// What a start finds is one of these, with no file left over.
fn check_starts(fs: &FaultyFs, expected: &[&Rows]) -> Result<usize, Violation> {
    let engine = open_shape(fs, &TestClock::at(STILL.now), &Shape::default())?;
    let seen = rows(&engine, STILL.now)?;
    names_are_known(fs)?;
    let found = expected.iter().position(|rows| **rows == seen);
    found.ok_or_else(|| Violation("neither all nor nothing of it is there".into()))
}

fn every_prefix() -> Result<[usize; 2], Violation> {
    let (chunks, to) = ends();
    let before = to.rows(STILL.now);
    to.fs.forget_record();
    to.receive(&ranges(), &chunks).unwrap();
    let (after, last) = (to.rows(STILL.now), to.fs.recorded());
    assert!(before != after && last > 8, "{last} operations");
    let mut seen = [0, 0];
    for prefix in 0..=last {
        let some = (0..12).map(|seed| Crash::Random { seed });
        for crash in [Crash::KeepAll, Crash::KeepSynced].into_iter().chain(some) {
            let found = check_starts(&to.fs.crash_at(prefix, crash), &[&before, &after])?;
            if prefix == last && found != 1 {
                return Err(Violation("what was finished is gone".into()));
            }
            seen[found] += 1;
        }
    }
    Ok(seen)
}

#[test]
fn a_stream_survives_a_power_cut_whole_or_not_at_all() {
    let seen = every_prefix().unwrap();
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn files_that_are_not_synced_are_noticed() {
    for rule in [Planted::FinishWithoutSync, Planted::FinishWithoutNames] {
        let _broken = Broken::rule(rule);
        assert!(every_prefix().is_err(), "{rule:?}");
    }
}

#[test]
fn any_call_may_fail_while_a_stream_is_received() {
    let (chunks, to) = ends();
    let (calls, before) = (to.fs.calls(), to.rows(STILL.now));
    to.receive(&ranges(), &chunks).unwrap();
    let (calls, after) = (to.fs.calls() - calls, to.rows(STILL.now));
    assert!(calls > 8, "{calls}");
    for failure in [Failure::Device, Failure::Full, Failure::Short] {
        for call in 0..calls {
            let (chunks, to) = ends();
            to.fs.fail(None, call, failure);
            let received = to.receive(&ranges(), &chunks);
            to.fs.heal();
            // Not every call matters: a mark at a journal's end may be missing.
            let expected = if received.is_ok() { &after } else { &before };
            assert_eq!(to.rows(STILL.now), *expected, "{failure:?} at {call}: {received:?}");
            for crash in [Crash::KeepSynced, Crash::KeepAll] {
                let found = check_starts(&to.fs.crash(crash), &[&before, &after]).unwrap();
                assert!(received.is_err() || found == 1, "{failure:?} at {call}");
            }
            if received.is_err() {
                check_again(&to, &chunks, &after);
            }
        }
    }
}

/// A disk that works again takes the stream, unless a failed sync forbids it; what failed is not in its way.
fn check_again(to: &End, chunks: &[Vec<u8>], after: &Rows) {
    match to.receive(&ranges(), chunks) {
        Ok(_) => {
            names_are_known(&to.fs).unwrap();
            assert_eq!(to.rows(STILL.now), *after);
        }
        Err(StreamError::Storage(StorageError::Fenced { .. })) => {}
        Err(error) => panic!("{error}"),
    }
}
