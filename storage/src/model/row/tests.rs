//! Round trips, canonical bytes, hostile bytes.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::model::ColumnId;

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
    let ids = prop_oneof![0..12_u32, 100..102_u32, Just(u32::MAX)];
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
        row_buf.as_row().copy_with_base(base, &mut moved).unwrap();
        let moved_row = RowRef { bytes: &moved, base };
        prop_assert_eq!(moved_row.decode().unwrap(), expected);
        let mut back = Vec::new();
        moved_row.copy_with_base(0, &mut back).unwrap();
        prop_assert_eq!(back, row_buf.0);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..60), base in timestamps()) {
        let row = RowRef { bytes: &bytes, base };
        let _ = row.decode();
        let _ = row.validate();
        let _ = row.is_live(5);
        let _ = row.copy_with_base(7, &mut Vec::new());
    }

    #[test]
    fn damaged_rows_never_panic(row in rows(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = RowBuf::from(&row).0;
        let at = at.index(bytes.len());
        bytes[at] = with;
        let row = RowRef { bytes: &bytes, base: 0 };
        if row.validate().is_ok() {
            prop_assert!(row.decode().is_ok());
        }
        let _ = RowRef { bytes: &bytes[..at], base: 0 }.decode();
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
    assert_eq!(
        row.0.len(),
        1 + 8 + 3 * 6,
        "flags, timestamp, three cells of head, length and value"
    );
    let mut moved = Vec::new();
    row.as_row().copy_with_base(timestamp - 3, &mut moved).unwrap();
    assert_eq!(moved.len(), 1 + 1 + 3 * 6, "near the base the timestamp is one byte");
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
    let stamp = [1, 0x80, 0x92, 0xf4, 0x01];
    let deletion = [0x24, 1, 0];
    let elements = [8, 1, b'a', 0, 8, 1, b'b', 0];
    assert_eq!(row.0, [&stamp[..], &deletion, &elements].concat());
}
