//! Blocks that a range deletion elsewhere covers are passed over unread, and the walk sees the same.

use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{AFTER, BEFORE, COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::{CellRef, RowBuilder};
use tholos_storage::model::{CellState, Deletion};
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::source::Source;

use crate::generate::TABLE;
use crate::observe::{entries, memtable, on_disk, stream};

fn position(row: u32, weight: u8) -> Vec<u8> {
    [&[COMPONENT][..], &row.to_be_bytes(), &[weight]].concat()
}

fn mutation(update: Update) -> Mutation {
    let partition = [&token_prefix(7)[..], b"p"].concat();
    Mutation {
        table: TABLE,
        partition: partition[..].into(),
        updates: [update].into_iter().collect(),
    }
}

fn rows(numbers: std::ops::Range<u32>, timestamp: i64) -> Vec<Mutation> {
    let row = |number: u32| {
        let mut builder = RowBuilder::new();
        let value = &number.to_be_bytes();
        let state = CellState::Live;
        builder.cell(CellRef { column: 1, path: None, timestamp, state, value });
        let position = position(number, ROW);
        mutation(Update::Row { position: position[..].into(), row: builder.finish() })
    };
    numbers.map(row).collect()
}

fn deletion(rows: std::ops::Range<u32>, timestamp: i64) -> Mutation {
    let (start, end) = (position(rows.start, BEFORE), position(rows.end - 1, AFTER));
    let deletion = Deletion { timestamp, deleted_at: 1_000 };
    mutation(Update::Range { start: start[..].into(), end: end[..].into(), deletion })
}

fn skipped(sources: &[Source], direction: Direction) -> u64 {
    let mut merge = MergeCursor::open(sources.to_vec(), &[], &[], direction).unwrap();
    entries(&mut merge).unwrap();
    merge.blocks_skipped()
}

#[test]
fn a_range_deletion_in_memory_saves_the_blocks_below_it() {
    let old = rows(0..1_000, 10);
    let newer = rows(400..405, 30);
    // Two ranges that meet in the middle, and rows written after them.
    let over = [deletion(100..500, 20), deletion(500..900, 21)];
    let in_memory = [memtable(&old), memtable(newer.iter().chain(&over))];
    let on_disk = [on_disk(memtable(&old)).0, on_disk(memtable(newer.iter().chain(&over))).0];
    let mixed = [on_disk[0].clone(), in_memory[1].clone()];
    for direction in [Direction::Forward, Direction::Reverse] {
        let whole = stream(&in_memory, &[], &[], direction).unwrap();
        for sources in [&on_disk, &mixed] {
            assert_eq!(stream(sources, &[], &[], direction).unwrap(), whole, "{direction:?}");
            let all = skipped(&on_disk[..1], direction);
            let skipped = skipped(sources, direction);
            assert_eq!(all, 0, "nothing is deleted in it alone");
            assert!(skipped > 200, "{skipped} blocks were skipped, {direction:?}");
        }
        // A deletion that is older than what it covers saves nothing.
        let older = [on_disk[0].clone(), memtable([&deletion(100..900, 9)])];
        assert_eq!(skipped(&older, direction), 0);
    }
}
