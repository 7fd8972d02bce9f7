//! Round trips, canonical bytes, hostile bytes.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::model::purge::Purge;
use crate::model::{ColumnId, written_key};

fn timestamps() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        0..4_i64,
        1_760_000_000_000_000..1_760_000_000_000_004_i64,
        Just(i64::MIN + 1),
        Just(i64::MAX),
    ]
}

fn deletions() -> impl Strategy<Value = Deletion> {
    (timestamps(), -1..3_i64).prop_map(|(timestamp, deleted_at)| Deletion { timestamp, deleted_at })
}

fn cells() -> impl Strategy<Value = Cell> {
    let state = prop_oneof![
        Just(CellState::Live),
        (0..3_i64).prop_map(|deleted_at| CellState::Tombstone { deleted_at }),
        (prop_oneof![0..3_i64, Just(i64::MAX)], 1..3_u32)
            .prop_map(|(expires_at, ttl)| CellState::Expiring { expires_at, ttl }),
    ];
    (timestamps(), state, vec(any::<u8>(), 0..200)).prop_map(|(timestamp, state, value)| {
        let value = if matches!(state, CellState::Tombstone { .. }) { vec![] } else { value };
        Cell { timestamp, state, value: value.into() }
    })
}

fn columns() -> impl Strategy<Value = ColumnCells> {
    let paths = btree_map(vec(any::<u8>(), 0..3), cells(), 0..4);
    prop_oneof![
        cells().prop_map(ColumnCells::Simple),
        (proptest::option::of(deletions()), paths).prop_map(|(deletion, cells)| {
            ColumnCells::Complex {
                deletion: deletion.unwrap_or(Deletion::NONE),
                cells: cells.into_iter().map(|(path, cell)| (path.into(), cell)).collect(),
            }
        }),
    ]
}

fn rows() -> impl Strategy<Value = Row> {
    let liveness = (timestamps(), 0..2_u32, 0..4_i64).prop_map(|(timestamp, ttl, expires_at)| {
        Liveness { timestamp, ttl, expires_at: if ttl > 0 { expires_at } else { 0 } }
    });
    let ids = prop_oneof![0..12_u32, 100..102_u32, Just(WRITTEN_KEYS - 1)];
    (
        proptest::option::of(liveness),
        proptest::option::of(deletions()),
        btree_map(ids, columns(), 0..5),
    )
        .prop_map(|(liveness, deletion, columns)| Row {
            liveness,
            deletion,
            columns: columns.into_iter().collect(),
        })
}

/// What spec 1.4 leaves of a row, said plainly.
fn canonical(mut row: Row) -> Row {
    let own = row.deletion.unwrap_or(Deletion::NONE);
    row.liveness = row.liveness.filter(|liveness| !own.deletes(liveness.timestamp));
    row.columns.retain_mut(|(_, column)| match column {
        ColumnCells::Simple(cell) => !own.deletes(cell.timestamp),
        ColumnCells::Complex { deletion, cells } => {
            if *deletion <= own {
                *deletion = Deletion::NONE;
            }
            let active = own.max(*deletion);
            cells.retain(|(_, cell)| !active.deletes(cell.timestamp));
            !cells.is_empty() || !deletion.is_none()
        }
    });
    row
}

fn whole(row: &RowBuf) -> Vec<u8> {
    let (len, head, body) = row.as_row().whole();
    [&len, head, body].concat()
}

proptest! {
    #[test]
    fn rows_come_back_canonical(row in rows(), base in timestamps()) {
        let row_buf = RowBuf::from(&row);
        let expected = canonical(row);
        let decoded = row_buf.as_row().decode().unwrap();
        prop_assert_eq!(&decoded, &expected);
        prop_assert!(row_buf.as_row().validate().is_ok());
        prop_assert_eq!(&RowBuf::from(&decoded), &row_buf);

        let mut moved = Vec::new();
        row_buf.as_row().copy_body(base, &mut moved).unwrap();
        let moved_row = RowRef { head: &row_buf.head, body: &moved, base };
        prop_assert_eq!(moved_row.decode().unwrap(), expected);
        prop_assert_eq!(moved_row.to_buf().unwrap(), row_buf.clone());

        let whole = whole(&row_buf);
        prop_assert_eq!(RowRef::of_whole(&whole, 0).to_buf().unwrap(), row_buf);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..60), base in timestamps()) {
        let row = RowRef::of_whole(&bytes, base);
        let _ = row.decode();
        let _ = row.validate();
        let _ = row.is_live(5);
        let _ = row.copy_body(7, &mut Vec::new());
    }

    #[test]
    fn damaged_rows_never_panic(row in rows(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = whole(&RowBuf::from(&row));
        let at = at.index(bytes.len());
        bytes[at] = with;
        let row = RowRef::of_whole(&bytes, 0);
        if row.validate().is_ok() {
            prop_assert!(row.decode().is_ok());
        }
        let _ = RowRef::of_whole(&bytes[..at], 0).decode();
    }
}

#[test]
fn an_insert_is_small() {
    let timestamp = 1_760_000_000_000_000;
    let mut builder = RowBuilder::with_capacity(32);
    builder.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
    for column in 1..=3 as ColumnId {
        let value = &7_i32.to_be_bytes();
        builder.cell(CellRef { column, path: None, timestamp, state: CellState::Live, value });
    }
    let row = builder.finish();
    assert_eq!(row.head.len(), 1 + 3, "flags and a byte for each cell");
    assert_eq!(row.body.len(), 8 + 5 + 5 + 4, "timestamp, two values with length and one without");
    let mut moved = Vec::new();
    row.as_row().copy_body(timestamp - 3, &mut moved).unwrap();
    assert_eq!(moved.len(), 1 + 5 + 5 + 4, "near the base the timestamp is one byte");
}

#[test]
fn a_collection_assignment_shares_its_timestamp() {
    let mut builder = RowBuilder::new();
    builder.complex_deletion(2, Deletion { timestamp: 1_999_999, deleted_at: 1 });
    for path in [b"a", b"b"] {
        let cell = Cell { timestamp: 2_000_000, state: CellState::Live, value: Bytes::new() };
        builder.cell(CellRef::new(2, Some(path), &cell));
    }
    let row = builder.finish();
    let stamp = [0x80, 0x92, 0xf4, 0x01];
    let (deletion, elements) = ([1, 0], [1, b'a', 0, 1, b'b']);
    assert_eq!(row.head[..], [1, 0x24, 8, 8]);
    assert_eq!(row.body, [&stamp[..], &deletion, &elements].concat());
}

/// How a key was written is kept with the row, and goes with it.
#[test]
fn written_keys_make_no_row_exist() {
    let written = CellRef {
        column: written_key(0),
        path: None,
        timestamp: 5,
        state: CellState::Live,
        value: b"x",
    };
    let cell = CellRef { column: 1, ..written };
    let row = |cells: &[CellRef<'_>]| {
        let mut builder = RowBuilder::new();
        cells.iter().for_each(|cell| builder.cell(*cell));
        builder.finish()
    };
    let purged = |row: &RowBuf, max_purgeable| {
        let mut out = RowBuilder::new();
        let purge = Purge { now: 0, gc_before: 0, max_purgeable };
        purge.row(row.as_row(), Some(&[1]), &mut out).unwrap();
        out.finish()
    };
    let (alone, beside) = (row(&[written]), row(&[cell, written]));
    assert!(!alone.as_row().is_live(0).unwrap());
    assert!(beside.as_row().is_live(0).unwrap());
    assert!(purged(&alone, 6).is_empty());
    assert_eq!(purged(&alone, 5), alone, "the row may be elsewhere");
    assert_eq!(purged(&beside, 6), beside);
}
