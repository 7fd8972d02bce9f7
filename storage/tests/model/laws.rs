//! Laws M1-M3 and M6 over memtables and merges of them.

use proptest::collection::vec;
use proptest::prelude::*;
use tholos_storage::model::entry::{Direction, RowBuf, RowRef};
use tholos_storage::model::merge::merge_rows;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::RowBuilder;
use tholos_storage::model::{Deletion, Row};
use tholos_storage::read::budget::ReadBudget;
use tholos_storage::read::live::LiveRows;
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::source::Source;

use crate::cases;
use crate::database::{Model, Seen, encoded};
use crate::generate::{STILL, TABLE, mutations, rows, scan_bounds};
use crate::observe::{compacted, live, memtable, on_disk, stream};

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
    // Every other one on disk.
    let placed = (0..sources).map(|source| match source % 2 {
        0 => of(source),
        _ => on_disk(of(source)).0,
    });
    placed.collect()
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
    fn equal_content_has_equal_bytes(writes in writes(), a in 1..4_usize, b in 1..4_usize) {
        // M7: whatever the sources, one stream, and so one file.
        let all = split(&writes, 1);
        let expected = compacted(&all);
        prop_assert!(compacted(&split(&writes, a)) == expected);
        prop_assert!(compacted(&split(&writes, b)) == expected);
        let (file, bytes) = on_disk(all[0].clone());
        let whole = stream(std::slice::from_ref(&file), &[], &[], Direction::Forward).unwrap();
        prop_assert_eq!(whole, model_of(&writes).stream());
        prop_assert!(on_disk(file).1 == bytes, "a file that is copied is the same file");
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

/// A row's own deletion of the partition deletion's timestamp, but made later, supersedes it (1.2): no walk may pass
/// over the block that it is in.
#[test]
fn a_tie_of_deletions_is_not_skipped() {
    let deleted = |deleted_at| Deletion { timestamp: 9, deleted_at };
    let partition = [&token_prefix(9)[..], &[1, 1]].concat();
    let write = |update| Mutation {
        table: TABLE,
        partition: partition[..].into(),
        updates: [update].into_iter().collect(),
    };
    let rows = (0..40).map(|row| {
        let position = [COMPONENT, row, COMPONENT, 0, ROW];
        let row = Row { deletion: Some(deleted(11)), ..Row::default() };
        write(Update::Row { position: position[..].into(), row: encoded(&row) })
    });
    let mut writes: Vec<(Mutation, usize)> = rows.map(|row| (row, 1)).collect();
    writes.push((write(Update::Partition(deleted(10))), 0));
    for direction in [Direction::Forward, Direction::Reverse] {
        let seen = stream(&split(&writes, 2), &[], &[], direction).unwrap();
        assert_eq!(seen.len(), writes.len(), "{direction:?}");
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
