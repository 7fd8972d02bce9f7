//! Columns that ALTER TABLE dropped: their cells make no row exist, and compaction drops them.

use std::sync::Arc;

use tholos_storage::engine::{Engine, EngineOptions, TableSettings};
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::{CellRef, RowBuilder};
use tholos_storage::model::{CellState, ColumnId};

use crate::engine::TestClock;
use crate::generate::TABLE;

const PARTITION_LEN: usize = 9;

fn partition() -> Vec<u8> {
    [&token_prefix(1)[..], &[1]].concat()
}

fn position(row: u8) -> [u8; 3] {
    [COMPONENT, row, ROW]
}

/// An UPDATE of these columns: cells without liveness.
fn update(row: u8, columns: &[ColumnId]) -> Mutation {
    let mut built = RowBuilder::new();
    for column in columns {
        let (state, value) = (CellState::Live, b"value".as_slice());
        built.cell(CellRef { column: *column, path: None, timestamp: 1, state, value });
    }
    let position = position(row)[..].into();
    let updates = [Update::Row { position, row: built.finish() }].into_iter().collect();
    Mutation { table: TABLE, partition: partition()[..].into(), updates }
}

fn settings(columns: Option<&[ColumnId]>) -> TableSettings {
    TableSettings { columns: columns.map(Arc::from), ..TableSettings::new(TABLE, "ks", "t") }
}

/// Rows seen by a scan; a read of each by its key must agree. With each row its columns.
fn seen(engine: &Engine) -> Vec<(u8, Vec<ColumnId>)> {
    let table = engine.table(TABLE).unwrap();
    let (lower, upper) = (partition(), [&partition()[..], &[0xff]].concat());
    let mut rows = table.scan(&lower, &upper, Direction::Forward, 10).unwrap();
    let mut seen = Vec::new();
    while let Some(live) = rows.next().unwrap() {
        let items = live.row.items().unwrap();
        seen.push((live.position()[1], items.map(|item| item.unwrap().column()).collect()));
    }
    let mut reverse = table.scan(&lower, &upper, Direction::Reverse, 10).unwrap();
    let mut count = 0;
    while reverse.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, seen.len());
    for row in 0..4 {
        let key = [&partition()[..], &position(row)].concat();
        let by_key = table.row(&key, PARTITION_LEN, 10).unwrap().is_some();
        let by_column = table.row_columns(&key, PARTITION_LEN, &[1], 10).unwrap().is_some();
        let by_scan = seen.iter().any(|(other, _)| *other == row);
        assert_eq!((by_key, by_column), (by_scan, by_scan), "row {row}");
    }
    seen
}

#[test]
fn a_row_of_dropped_columns_alone_does_not_exist() {
    let fs = Arc::new(MemoryFs::new());
    let open = |columns| {
        let options = EngineOptions::new("/data");
        Engine::open(fs.clone(), TestClock::at(10), options, [settings(columns)]).unwrap()
    };
    let engine = open(None);
    for mutation in [update(0, &[2]), update(1, &[1, 2]), update(2, &[1])] {
        engine.apply(&mutation).unwrap();
    }
    assert_eq!(seen(&engine), [(0, vec![2]), (1, vec![1, 2]), (2, vec![1])]);

    engine.alter_table(settings(Some(&[0, 1]))).unwrap();
    assert_eq!(seen(&engine), [(1, vec![1, 2]), (2, vec![1])], "in memory");
    engine.flush(TABLE).unwrap();
    assert_eq!(seen(&engine), [(1, vec![1, 2]), (2, vec![1])], "in a file");
    engine.compact(TABLE).unwrap();
    assert_eq!(seen(&engine), [(1, vec![1]), (2, vec![1])], "compacted");
    engine.close().unwrap();
    drop(engine);
    // Nothing is left of them, whoever looks.
    assert_eq!(seen(&open(None)), [(1, vec![1]), (2, vec![1])]);
}
