//! Random writes: few keys, timestamps and expiries, so that ties are common; half of all operations delete.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use smallvec::SmallVec;
use tholos_grammar::token::Token;
use tholos_grammar::types::Native;
use tholos_storage::key::encode_component;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{self, AFTER, BEFORE, COMPONENT, ROW, STATIC};
use tholos_storage::model::{Cell, CellState, ColumnCells, Deletion, Liveness, Row};
use tholos_storage::schema::TableId;
use uuid::Uuid;

use crate::database::encoded;

pub(crate) const TABLE: TableId = TableId(Uuid::from_u128(7));
pub(crate) const OTHER: TableId = TableId(Uuid::from_u128(8));

/// Where a write's times come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The time of the write, in seconds.
    pub(crate) now: i64,
    /// Timestamps are in `now - lag..=now`.
    pub(crate) lag: i64,
}

pub(crate) const STILL: Times = Times { now: 10, lag: 3 };

/// Type of the partition key.
pub(crate) const KEY: Native = Native::Blob;

const ODD_TOKENS: [i64; 2] = [i64::MIN + 1, i64::MAX];

/// Half of them have the token of their key, so that files leave it out; the others lie at the ends, two at each.
pub(crate) fn all_partitions() -> Vec<Vec<u8>> {
    let own = (0..4_u8).map(|key| (Token::of(&[key]).0, key));
    let odd = ODD_TOKENS.into_iter().flat_map(|token| [(token, 4), (token, 5)]);
    let partition = |(token, key): (i64, u8)| {
        let mut partition = position::token_prefix(token).to_vec();
        encode_component(&KEY.into(), &[key], false, &mut partition).unwrap();
        partition
    };
    own.chain(odd).map(partition).collect()
}

pub(crate) fn partitions() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(all_partitions())
}

fn clustering(len: usize) -> impl Strategy<Value = Vec<u8>> {
    (0..3_u8, 0..2_u8).prop_map(move |(a, b)| match len {
        0 => vec![],
        1 => vec![COMPONENT, a],
        _ => vec![COMPONENT, a, COMPONENT, b],
    })
}

pub(crate) fn row_positions() -> impl Strategy<Value = Vec<u8>> {
    clustering(2).prop_map(|prefix| [&prefix[..], &[ROW]].concat())
}

pub(crate) fn bounds() -> impl Strategy<Value = Vec<u8>> {
    let prefix = prop_oneof![clustering(0), clustering(1), clustering(2)];
    (prefix, prop::sample::select(vec![BEFORE, AFTER]))
        .prop_map(|(prefix, weight)| [&prefix[..], &[weight]].concat())
}

/// Where a scan may begin or end.
pub(crate) fn scan_bounds() -> impl Strategy<Value = Vec<u8>> {
    let position = prop_oneof![
        3 => bounds(),
        3 => row_positions(),
        1 => Just(vec![]),
        1 => Just(vec![position::HEADER]),
        1 => Just(vec![STATIC]),
        1 => Just(vec![0xff]),
    ];
    let within = (partitions(), position)
        .prop_map(|(partition, position)| [&partition[..], &position].concat());
    prop_oneof![8 => within, 1 => Just(vec![])]
}

fn timestamps(times: Times) -> impl Strategy<Value = i64> {
    times.now - times.lag..=times.now
}

fn deletions(times: Times) -> impl Strategy<Value = Deletion> {
    // Also the same timestamp at different times, which only the tie decides.
    (timestamps(times), times.now..=times.now + 1)
        .prop_map(|(timestamp, deleted_at)| Deletion { timestamp, deleted_at })
}

fn cells(times: Times) -> impl Strategy<Value = Cell> {
    let state = prop_oneof![
        2 => Just(CellState::Live),
        2 => (times.now..=times.now + 1)
            .prop_map(|deleted_at| CellState::Tombstone { deleted_at }),
        1 => (1..4_u32).prop_map(move |ttl| CellState::Expiring {
            expires_at: times.now + i64::from(ttl), ttl
        }),
        1 => Just(CellState::Expiring { expires_at: times.now + 2, ttl: 1 }),
    ];
    (timestamps(times), state, 0..2_u8).prop_map(|(timestamp, state, value)| {
        let value = match state {
            CellState::Tombstone { .. } => Bytes::new(),
            _ => Bytes::from(vec![value]),
        };
        Cell { timestamp, state, value }
    })
}

fn complex(times: Times) -> impl Strategy<Value = ColumnCells> {
    let paths =
        prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), cells(times), 0..3);
    (prop::option::of(deletions(times)), paths).prop_map(|(deletion, cells)| ColumnCells::Complex {
        deletion: deletion.unwrap_or(Deletion::NONE),
        cells: cells.into_iter().map(|(path, cell)| (Bytes::from(path), cell)).collect(),
    })
}

pub(crate) fn rows(times: Times) -> impl Strategy<Value = Row> {
    let liveness = (timestamps(times), 0..3_u32).prop_map(move |(timestamp, ttl)| Liveness {
        timestamp,
        ttl,
        expires_at: if ttl > 0 { times.now + i64::from(ttl) } else { 0 },
    });
    (
        prop::option::of(liveness),
        prop::option::weighted(0.3, deletions(times)),
        prop::option::of(cells(times).prop_map(ColumnCells::Simple)),
        prop::option::of(complex(times)),
        prop::option::weighted(0.3, cells(times).prop_map(ColumnCells::Simple)),
    )
        .prop_map(|(liveness, deletion, first, second, third)| {
            let columns = [(1, first), (2, second), (4, third)];
            let columns = columns.into_iter().filter_map(|(id, column)| Some((id, column?)));
            Row { liveness, deletion, columns: columns.collect() }
        })
}

fn updates(times: Times) -> impl Strategy<Value = Update> {
    let at = |position: &[u8], row: &Row| Update::Row {
        position: SmallVec::from_slice(position),
        row: encoded(row),
    };
    prop_oneof![
        6 => (row_positions(), rows(times)).prop_map(move |(position, row)| at(&position, &row)),
        2 => rows(times).prop_map(move |mut row| {
            row.liveness = None;
            row.deletion = None;
            at(&[STATIC], &row)
        }),
        2 => (row_positions(), deletions(times)).prop_map(move |(position, deletion)| {
            at(&position, &Row { deletion: Some(deletion), ..Row::default() })
        }),
        3 => (bounds(), bounds(), deletions(times)).prop_map(|(a, b, deletion)| Update::Range {
            start: SmallVec::from_slice(a.as_slice().min(&b)),
            end: SmallVec::from_slice(a.as_slice().max(&b)),
            deletion,
        }),
        1 => deletions(times).prop_map(Update::Partition),
    ]
}

pub(crate) fn mutations(times: Times) -> impl Strategy<Value = Mutation> {
    (partitions(), vec(updates(times), 1..3)).prop_map(|(partition, updates)| Mutation {
        table: TABLE,
        partition: SmallVec::from_vec(partition),
        updates: updates.into(),
    })
}
