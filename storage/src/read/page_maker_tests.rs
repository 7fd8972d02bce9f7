//! How much making pages walks before it stops, and that it always gets on.

use std::sync::Arc;

use super::budget::{PageBudget, ReadBudget};
use super::merge::MergeCursor;
use super::page::Page;
use super::page_maker::{PageMaker, PageRules};
use super::source::Source;
use crate::StorageError;
use crate::fs::nowait::without_waiting;
use crate::memtable::Memtable;
use crate::model::entry::Direction;
use crate::model::mutation::{Mutation, Update};
use crate::model::position::{AFTER, BEFORE, COMPONENT, ROW, token_prefix};
use crate::model::read::{KeyInterval, ReadLimits};
use crate::model::row::RowBuilder;
use crate::model::{Deletion, Liveness};
use crate::schema::TableId;
use uuid::Uuid;

const NO_LIMITS: ReadLimits = ReadLimits { rows: None, bytes: u32::MAX };

fn partition() -> Vec<u8> {
    token_prefix(7).to_vec()
}

fn row_key(row: u16) -> Vec<u8> {
    [&partition()[..], &position(row)].concat()
}

fn position(row: u16) -> Vec<u8> {
    let [high, low] = row.to_be_bytes();
    vec![COMPONENT, high, low, ROW]
}

fn memtable(updates: Vec<Update>) -> Source {
    let memtable = Memtable::new(1);
    let table = TableId(Uuid::nil());
    let partition = partition().as_slice().into();
    let mutation = Mutation { table, partition, updates: updates.into() };
    memtable.apply(&mutation, || Ok(())).unwrap();
    Source::Memtable(Arc::new(memtable))
}

/// Rows written at a timestamp, one for each number.
fn rows(count: u16, timestamp: i64) -> Source {
    let mut row = RowBuilder::new();
    row.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
    let row = row.finish();
    let update = |number| Update::Row { position: position(number)[..].into(), row: row.clone() };
    memtable((0..count).map(update).collect())
}

/// The partition's deletion.
fn deleted(timestamp: i64, deleted_at: i64) -> Source {
    memtable(vec![Update::Partition(Deletion { timestamp, deleted_at })])
}

/// That of the rows, as a range.
fn range_deleted(timestamp: i64, deleted_at: i64) -> Source {
    let deletion = Deletion { timestamp, deleted_at };
    memtable(vec![Update::Range { start: [BEFORE][..].into(), end: [AFTER][..].into(), deletion }])
}

/// The rows of the partition.
fn all_rows() -> KeyInterval {
    let upper = [&partition()[..], &[AFTER]].concat();
    KeyInterval { lower: row_key(0), upper, partition_len: Some(partition().len()) }
}

fn pages(
    sources: &[Source],
    intervals: &[KeyInterval],
    direction: Direction,
    budget: PageBudget,
) -> Result<Vec<Page>, StorageError> {
    // Grace of what was deleted before second 100 is over.
    let rules = PageRules { now: 1000, gc_before: 100, columns: None, floors: None };
    PageMaker::new(rules, NO_LIMITS, budget).pages(intervals, direction, |interval| {
        MergeCursor::open(sources.to_vec(), &interval.lower, &interval.upper, direction)
    })
}

fn entries(entries: u64) -> PageBudget {
    let page = ReadBudget { entries, ..ReadBudget::UNLIMITED };
    PageBudget { page, ..PageBudget::UNLIMITED }
}

fn tombstones(tombstones: u64) -> PageBudget {
    let page = ReadBudget { tombstones, ..ReadBudget::UNLIMITED };
    PageBudget { page, ..PageBudget::UNLIMITED }
}

/// Reads all rows page by page: how many of 100 keys each page says something of.
fn steps(sources: &[Source], direction: Direction, budget: PageBudget) -> Vec<usize> {
    let (mut rest, mut steps) = (all_rows(), Vec::new());
    loop {
        let page =
            pages(sources, std::slice::from_ref(&rest), direction, budget).unwrap().remove(0);
        assert!(page.answers(&rest, direction), "{page:?} for {rest:?}");
        let said = |key: &Vec<u8>| **key >= *page.lower() && **key < *page.upper();
        steps.push((0..100).map(row_key).filter(said).count());
        match direction {
            _ if !page.is_cut() => return steps,
            Direction::Forward => rest.lower = page.upper().to_vec(),
            Direction::Reverse => rest.upper = page.lower().to_vec(),
        }
        assert!(steps.len() <= 101, "pages without end");
    }
}

#[test]
fn what_leaves_nothing_in_a_page_is_work_all_the_same() {
    let dead: [(&str, Vec<Source>); 3] = [
        ("rows of a deleted partition", vec![rows(100, 1), deleted(5, 500)]),
        ("rows of a deleted range, and grace is over", vec![rows(100, 1), range_deleted(5, 50)]),
        ("half of them deleted", vec![rows(100, 1), rows(50, 7), deleted(5, 50)]),
    ];
    for (what, sources) in dead {
        for direction in [Direction::Forward, Direction::Reverse] {
            for budget in [entries(10), tombstones(10)] {
                let steps = steps(&sources, direction, budget);
                assert_eq!(steps.iter().sum::<usize>(), 100, "{what}");
                if budget == entries(10) {
                    assert!(steps.iter().all(|step| *step <= 10), "{what}: {steps:?}");
                    assert!(steps.len() <= 12, "{what}: {steps:?}");
                } else {
                    assert!(steps.iter().all(|step| *step <= 60), "{what}: {steps:?}");
                    assert!(steps.len() >= 5, "{what}: {steps:?}");
                }
            }
        }
    }
}

#[test]
fn the_least_budget_gets_on() {
    for budget in [entries(0), entries(1), tombstones(0)] {
        for direction in [Direction::Forward, Direction::Reverse] {
            let steps = steps(&[rows(100, 1), deleted(5, 500)], direction, budget);
            assert_eq!(steps.iter().sum::<usize>(), 100, "{steps:?}");
        }
    }
}

#[test]
fn intervals_without_anything_are_work_too() {
    let one = |row| {
        let (lower, upper) = (row_key(row), [&row_key(row)[..], &[0]].concat());
        KeyInterval { lower, upper, partition_len: Some(partition().len()) }
    };
    let intervals: Vec<KeyInterval> = (0..100).map(one).collect();
    for direction in [Direction::Forward, Direction::Reverse] {
        let (mut rest, mut rounds) = (&intervals[..], 0);
        while !rest.is_empty() {
            let pages = pages(&[rows(0, 1)], rest, direction, entries(10)).unwrap();
            assert_eq!(pages.len(), 10);
            let (last, others) = pages.split_last().unwrap();
            assert!(others.iter().all(|page| !page.is_cut()));
            // All of its interval, but that is not all that was asked for.
            assert_eq!(last.is_cut(), rest.len() > 10);
            assert!(pages.iter().zip(rest).all(|(page, asked)| page.answers(asked, direction)));
            let ends = pages.iter().zip(rest);
            assert!(ends.into_iter().all(|(page, asked)| *page.upper() == *asked.upper));
            (rest, rounds) = (&rest[pages.len()..], rounds + 1);
        }
        assert_eq!(rounds, 10);
    }
}

#[test]
fn a_thread_that_must_not_wait_makes_short_answers_and_leaves_long_ones() {
    let inline = |entries| {
        let inline = ReadBudget { entries, ..ReadBudget::UNLIMITED };
        PageBudget { inline, ..PageBudget::UNLIMITED }
    };
    let (sources, intervals) = ([rows(100, 1), deleted(5, 500)], [all_rows()]);
    let make = |budget| pages(&sources, &intervals, Direction::Forward, budget);
    let bytes = |pages: Vec<Page>| {
        let mut bytes = Vec::new();
        pages.iter().for_each(|page| page.encode(&mut bytes));
        bytes
    };
    let long = without_waiting(|| make(inline(100)));
    assert!(matches!(long, Err(StorageError::WouldTakeLong)), "{long:?}");
    let short = without_waiting(|| make(inline(1000))).unwrap();
    // Elsewhere the other limit counts.
    assert_eq!(bytes(short), bytes(make(inline(1)).unwrap()));
    assert!(make(entries(10)).unwrap()[0].is_cut());
    // It must not cut anything: nobody else of equal content would cut there.
    let uncut = without_waiting(|| make(entries(10))).unwrap();
    assert!(!uncut[0].is_cut());
}
