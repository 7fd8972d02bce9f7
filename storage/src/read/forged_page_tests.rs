//! Pages that no replica makes, and what becomes of them.

use std::sync::Arc;

use super::page::{Page, PageError};
use super::repair::repairs;
use super::run::MergedRun;
use crate::model::Deletion;
use crate::model::entry::{Content, Direction, Entry};
use crate::model::mutation::Update;
use crate::model::position::{AFTER, BEFORE, COMPONENT, ROW, token_prefix};
use crate::model::read::KeyInterval;
use crate::schema::TableId;
use crate::sstable::{BlockRun, BlockRunBuilder, RunStart};
use uuid::Uuid;

fn key(position: &[u8]) -> Vec<u8> {
    [&token_prefix(7), position].concat()
}

/// Of one partition, between two positions.
fn interval(lower: &[u8], upper: &[u8]) -> KeyInterval {
    KeyInterval { lower: key(lower), upper: key(upper), partition_len: Some(8) }
}

fn page(lower: &[u8], upper: &[u8], is_cut: bool, entries: &[(&[u8], Content<'_>)]) -> Page {
    let mut builder = BlockRunBuilder::new();
    for (position, content) in entries {
        let key = key(position);
        builder.add(Entry { key: &key, partition_len: 8, content: *content }).unwrap();
    }
    let start = RunStart { partition: token_prefix(7)[..].into(), ..RunStart::between() };
    let run = BlockRun::built(builder.finish(), start).unwrap();
    Page { lower: lower.into(), upper: upper.into(), run, is_cut }
}

#[test]
fn an_answer_is_cut_where_one_can_go_on() {
    const ROWS: [&[u8]; 3] = [&[COMPONENT, 1, ROW], &[COMPONENT, 2, ROW], &[COMPONENT, 3, ROW]];
    let behind = |row: &[u8]| [row, &[0]].concat();
    let asked = interval(ROWS[0], ROWS[2]);
    let answers = |lower: &[u8], upper: &[u8], is_cut, direction| {
        page(&key(lower), &key(upper), is_cut, &[]).answers(&asked, direction)
    };
    use Direction::{Forward, Reverse};
    let [first, row, last] = ROWS;
    type Case<'a> = (&'a [u8], &'a [u8], bool, [bool; 2]);
    let cases: [Case<'_>; 12] = [
        (first, last, false, [true, true]),
        // All of it, but there is more that was asked for.
        (first, last, true, [true, true]),
        (first, &behind(row), true, [true, false]),
        (row, last, true, [false, true]),
        (first, &behind(row), false, [false, false]),
        (row, last, false, [false, false]),
        // No key ends where it is cut.
        (first, row, true, [false, false]),
        (first, &[COMPONENT, 2], true, [false, false]),
        // It does not get on.
        (first, first, true, [false, false]),
        (last, last, true, [false, false]),
        // It goes beyond what was asked for.
        (first, &behind(last), true, [false, false]),
        (&[COMPONENT, 0, ROW], last, true, [false, false]),
    ];
    for (lower, upper, is_cut, expected) in cases {
        let found = [Forward, Reverse].map(|way| answers(lower, upper, is_cut, way));
        assert_eq!(found, expected, "{lower:?} .. {upper:?}, cut: {is_cut}");
    }
}

#[test]
fn a_bound_without_a_token_is_refused() {
    for bound in [&[1_u8; 7][..], &[0]] {
        let mut bytes = Vec::new();
        let start = RunStart::between();
        let run = BlockRun::built(BlockRunBuilder::new().finish(), start).unwrap();
        Page { lower: [].into(), upper: bound.into(), run, is_cut: true }.encode(&mut bytes);
        let refused = Page::decode(&mut bytes.as_slice()).unwrap_err();
        assert_eq!(refused, PageError("a bound has no token"));
    }
}

/// Forward it would delete rows that are there in reverse.
#[test]
fn a_range_that_is_deleted_to_no_end_is_refused() {
    let deletion = Deletion { timestamp: 9, deleted_at: 9 };
    let opens = Content::Marker { before: Deletion::NONE, after: deletion };
    let decoded = |upper: &[u8]| {
        let mut bytes = Vec::new();
        page(&key(&[BEFORE]), upper, false, &[(&[BEFORE], opens)]).encode(&mut bytes);
        Page::decode(&mut bytes.as_slice()).map(drop)
    };
    assert_eq!(decoded(&key(&[AFTER])), Ok(()), "the end is behind what was asked for");
    let refused = PageError("a range deletion is not closed at the end of its partition");
    for upper in [&token_prefix(8)[..], &[]] {
        assert_eq!(decoded(upper), Err(refused), "{upper:?}");
    }
}

/// Where a replica says it was cut, no position of a row is: its last byte only looks like a weight. The bound that is
/// behind such a row is behind what was asked for.
#[test]
fn repairs_stay_within_what_was_asked_for_wherever_a_replica_says_it_was_cut() {
    let deletion = Deletion { timestamp: 9, deleted_at: 9 };
    let opens = Content::Marker { before: Deletion::NONE, after: deletion };
    let (lower, upper) = ([BEFORE], [COMPONENT, ROW, 7, BEFORE]);
    let asked = interval(&lower, &upper);
    let lies = page(&key(&lower), &key(&[COMPONENT, ROW, 0]), true, &[(&[BEFORE], opens)]);
    let lacks = page(&key(&lower), &key(&upper), false, &[]);
    assert!(lies.answers(&asked, Direction::Forward) && lacks.answers(&asked, Direction::Forward));
    let run = MergedRun::new([lies, lacks].map(Arc::new)).unwrap();
    let [mutation] = &repairs(TableId(Uuid::nil()), &run, &asked, 1).unwrap()[..] else { panic!() };
    let [Update::Range { start, end, .. }] = &mutation.updates[..] else { panic!("{mutation:?}") };
    assert_eq!((&start[..], &end[..]), (&[BEFORE][..], &upper[..]));
    assert!(end[..] < [COMPONENT, ROW, AFTER][..]);
}
