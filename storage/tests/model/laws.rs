//! Laws M1-M3 and M6 over memtables and merges of them.

use proptest::collection::vec;
use proptest::prelude::*;
use tholos_storage::model::entry::{Direction, RowBuf, RowRef};
use tholos_storage::model::merge::merge_rows;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::row::RowBuilder;
use tholos_storage::model::{Deletion, Row};
use tholos_storage::read::budget::ReadBudget;
use tholos_storage::read::live::LiveRows;
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::source::Source;

use crate::cases;
use crate::database::{Model, Seen, encoded};
use crate::generate::{STILL, mutations, rows, scan_bounds};
use crate::observe::{live, memtable, stream};

fn merged(rows: &[&RowBuf]) -> RowBuf {
    let rows: Vec<RowRef<'_>> = rows.iter().map(|row| row.as_row()).collect();
    let mut builder = RowBuilder::new();
    merge_rows(&rows, &mut builder).unwrap();
    builder.finish()
}

fn model_of(writes: &[(Mutation, usize)]) -> Model {
    let mut model = Model::default();
    writes.iter().for_each(|(write, _)| model.write(write));
    model
}

/// The writes, each in the source that was drawn for it.
fn split(writes: &[(Mutation, usize)], sources: usize) -> Vec<Source> {
    let of = |source: usize| {
        memtable(writes.iter().filter(|(_, at)| at % sources == source).map(|(write, _)| write))
    };
    (0..sources).map(of).collect()
}

fn writes() -> impl Strategy<Value = Vec<(Mutation, usize)>> {
    vec((mutations(STILL), 0..12_usize), 1..24)
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn rows_merge_in_any_order(a in rows(STILL), b in rows(STILL), c in rows(STILL)) {
        let (a, b, c) = (encoded(&a), encoded(&b), encoded(&c));
        let all = merged(&[&a, &b, &c]);
        prop_assert!(all.as_row().validate().is_ok());
        prop_assert_eq!(&merged(&[&c, &a, &b]), &all, "commutative");
        prop_assert_eq!(&merged(&[&a, &merged(&[&b, &c])]), &all, "associative");
        prop_assert_eq!(&merged(&[&merged(&[&a, &b]), &c]), &all, "associative");
        prop_assert_eq!(&merged(&[&all, &all, &b]), &all, "idempotent");
    }

    #[test]
    fn any_split_reads_as_the_model(writes in writes(), sources in 1..4_usize) {
        let expected = model_of(&writes).stream();
        let sources = split(&writes, sources);
        let forward = stream(&sources, &[], &[], Direction::Forward).unwrap();
        prop_assert_eq!(&forward, &expected);
        let mut reverse = stream(&sources, &[], &[], Direction::Reverse).unwrap();
        reverse.reverse();
        prop_assert_eq!(reverse, expected);
    }

    #[test]
    fn a_slice_is_a_slice_of_the_whole(
        writes in writes(),
        sources in 1..4_usize,
        a in scan_bounds(),
        b in scan_bounds(),
    ) {
        let (lower, upper) = if b.is_empty() || a < b { (a, b) } else { (b, a) };
        let within = |key: &[u8]| key >= &lower[..] && (upper.is_empty() || key < &upper[..]);
        let mut expected = model_of(&writes).stream();
        expected.retain(|seen| within(seen.key()));
        let sources = split(&writes, sources);
        let forward = stream(&sources, &lower, &upper, Direction::Forward).unwrap();
        prop_assert_eq!(&forward, &expected);
        let mut reverse = stream(&sources, &lower, &upper, Direction::Reverse).unwrap();
        reverse.reverse();
        prop_assert_eq!(reverse, expected);
    }

    #[test]
    fn pages_add_up(writes in writes(), now in 8..16_i64, entries in 1..4_u64) {
        // Also when what spends the budget is nothing that a reader sees.
        let sources = split(&writes, 2);
        let expected = model_of(&writes).live(&[], &[], now);
        for direction in [Direction::Forward, Direction::Reverse] {
            let (mut lower, mut upper) = (vec![], vec![]);
            let mut seen = Vec::new();
            loop {
                let merge = MergeCursor::open(sources.clone(), &lower, &upper, direction).unwrap();
                let mut page = LiveRows::new(merge, direction, now);
                page.set_budget(ReadBudget { entries, ..ReadBudget::UNLIMITED });
                while let Some(row) = page.next().unwrap() {
                    seen.push(row.key.to_vec());
                }
                prop_assert!(page.walked().entries <= entries, "a page ends when its budget does");
                match (page.resume_at(), direction) {
                    (None, _) => break,
                    (Some(at), Direction::Forward) => lower = at.to_vec(),
                    (Some(at), Direction::Reverse) => upper = at.to_vec(),
                }
            }
            if direction == Direction::Reverse {
                seen.reverse();
            }
            let keys: Vec<Vec<u8>> = expected.iter().map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(seen, keys);
            let merge = MergeCursor::open(sources.clone(), &[], &[], direction).unwrap();
            let whole = live(LiveRows::new(merge, direction, now), direction, now).unwrap();
            prop_assert_eq!(&whole, &expected);
        }
    }
}

#[test]
fn equal_timestamps_delete() {
    let deletion = Deletion { timestamp: 5, deleted_at: 10 };
    let row = Row { deletion: Some(deletion), ..Row::default() };
    let mut builder = RowBuilder::new().under(deletion);
    merge_rows(&[encoded(&row).as_row()], &mut builder).unwrap();
    assert!(
        builder.finish().is_empty(),
        "a deletion that does not supersede its enclosing one goes"
    );
    assert!(matches!(stream(&[memtable([])], &[], &[], Direction::Forward).as_deref(), Ok([])));
    let _ = Seen::Partition(vec![], deletion);
}
