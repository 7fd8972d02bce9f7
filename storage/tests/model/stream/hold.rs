//! While a stream is inbound nothing is purged that might hide what it brings.

use smallvec::SmallVec;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::token_range::TokenRanges;
use tholos_storage::model::{Deletion, Liveness, Row};
use tholos_storage::planted::Planted;

use super::{End, range};
use crate::database::encoded;
use crate::generate::{STILL, TABLE};
use crate::history::{Op, Shape};
use crate::planted::Broken;

const LONG_AGO: Deletion = Deletion { timestamp: 5, deleted_at: STILL.now - 6 };

fn write(token: i64, update: Update) -> Op {
    let partition = SmallVec::from_vec([&token_prefix(token)[..], &[1, 1]].concat());
    Op::Write(Mutation { table: TABLE, partition, updates: [update].into_iter().collect() })
}

fn insert(token: i64, timestamp: i64) -> Op {
    let liveness = Some(Liveness { timestamp, ttl: 0, expires_at: 0 });
    let row = encoded(&Row { liveness, ..Row::default() });
    write(token, Update::Row { position: [COMPONENT, 0, COMPONENT, 0, ROW][..].into(), row })
}

/// One end has rows that were deleted at the other long ago, so that the deletions may be purged there.
fn ends() -> (End, End) {
    let (mut from, mut to) = (End::new(&Shape::default()), End::new(&Shape::default()));
    for token in [-5, 9] {
        from.step(&insert(token, 3));
        to.step(&write(token, Update::Partition(LONG_AGO)));
    }
    to.engine.flush(TABLE).unwrap();
    (from, to)
}

/// Streams one of the two partitions, compacting meanwhile; what is seen of it then.
fn streamed_while_compacting() -> usize {
    let (from, to) = ends();
    let ranges = TokenRanges::of([range(0, 100)]);
    let (chunks, _) = from.send(&ranges, 1 << 16);
    let mut receiver = to.receiver(&ranges);
    to.engine.compact(TABLE).unwrap();
    chunks.iter().for_each(|chunk| receiver.receive(chunk).unwrap());
    to.engine.compact(TABLE).unwrap();
    receiver.finish().unwrap();
    to.engine.compact(TABLE).unwrap();
    assert!(to.names().len() <= 2, "{:?}", to.names());
    to.rows(STILL.now).len()
}

#[test]
fn what_was_deleted_here_long_ago_stays_deleted() {
    assert_eq!(streamed_while_compacting(), 0);
}

#[test]
fn a_hold_that_is_ignored_is_noticed() {
    let _broken = Broken::rule(Planted::IgnorePurgeHolds);
    assert_eq!(streamed_while_compacting(), 1);
}

#[test]
fn only_the_ranges_are_held_and_only_as_long_as_the_stream_is_open() {
    let (_, to) = ends();
    let partitions = |to: &End| {
        let files = to.manifest().files;
        files.values().map(|file| file.statistics.partitions).sum::<u64>()
    };
    let receiver = to.receiver(&TokenRanges::of([range(0, 100)]));
    let other = to.receiver(&TokenRanges::of([range(50, 5)]));
    assert!(!to.engine.background_step().unwrap(), "no job is begun that could do nothing");
    to.engine.compact(TABLE).unwrap();
    assert_eq!(partitions(&to), 2);
    drop(other);
    to.engine.compact(TABLE).unwrap();
    assert_eq!(partitions(&to), 1, "what is not in the ranges goes");
    assert!(!to.engine.background_step().unwrap());
    drop(receiver);
    assert!(to.engine.background_step().unwrap(), "now the file goes");
    assert_eq!(to.names(), ["manifest"]);
}

#[test]
fn a_restore_may_hold_too() {
    let (_, to) = ends();
    let hold = to.engine.hold_purges(TABLE, &TokenRanges::all()).unwrap();
    to.engine.compact(TABLE).unwrap();
    assert!(!to.manifest().files.is_empty());
    drop(hold);
    to.engine.compact(TABLE).unwrap();
    assert!(to.manifest().files.is_empty());
}
