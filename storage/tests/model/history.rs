//! Histories: sequences of operations on an engine, each made from a seed. Half of all operations delete something.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tholos_storage::compaction::{Levels, Step, Unified};
use tholos_storage::fs::faulty::Crash;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::row::RowItem;
use tholos_storage::model::{CellState, ColumnId};
use tholos_storage::schema::TableId;
use tholos_storage::sstable::Compression;

use crate::generate::{
    OTHER, STILL, TABLE, bounds, mutations, partitions, row_positions, scan_bounds,
};

/// One operation. Times in a write are relative to [`STILL`]: it is made when its turn comes.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write(Mutation),
    Read(TableId, i64, Read),
    Sync,
    Flush(TableId),
    /// All files of a table, its memtable too.
    Compact(TableId),
    /// The files of a table whose bits are set.
    CompactSome(TableId, u32),
    Step,
    Advance(i64),
    Truncate(TableId),
    /// Of both tables, in the place of the last one.
    Snapshot,
    /// Gives a table what the snapshot has of it, if there is one; empties it before, if so said.
    Restore(TableId, bool),
    /// Drops a table and creates it anew.
    Recreate(TableId),
    /// Reopens so many times, nothing lost.
    Restart(u32),
    Close,
    Crash(Kept),
    /// A crash somewhere within an operation, at that share of what it does to the disk.
    CrashIn(Box<Op>, f64, Kept),
}

/// What is read, so many seconds ahead of the time.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    Slice(Vec<u8>, Vec<u8>, Direction),
    /// By pages of so many entries.
    Pages(Vec<u8>, Vec<u8>, Direction, u64),
    /// Part of one partition: its prefix and two positions.
    Partition(Vec<u8>, Vec<u8>, Vec<u8>, Direction),
    /// One row by its key, whole or certain columns of it.
    Point(Vec<u8>, Vec<u8>, Option<Vec<ColumnId>>),
    /// One row of each partition.
    Distinct(Direction),
}

/// What a crash keeps of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    All,
    Synced,
    Some(u64),
}

impl From<Kept> for Crash {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::All => Crash::KeepAll,
            Kept::Synced => Crash::KeepSynced,
            Kept::Some(seed) => Crash::Random { seed },
        }
    }
}

/// Options of the engine and its tables that a history runs with.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) strategy: Unified,
    pub(crate) compression: Compression,
    pub(crate) block_bytes: usize,
    pub(crate) filter_false_positives: f64,
    pub(crate) memtable_bytes: usize,
    pub(crate) segment_bytes: u32,
    pub(crate) shards: usize,
    pub(crate) block_cache_bytes: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            strategy: pairs(),
            compression: Compression::Lz4,
            block_bytes: 64,
            filter_false_positives: 0.01,
            memtable_bytes: 4_000,
            segment_bytes: 4_096,
            shards: 4,
            block_cache_bytes: 1 << 20,
        }
    }
}

/// Pairs, so that most compactions leave other files out; and cut, so that files overlap in all ways.
fn pairs() -> Unified {
    Unified {
        levels: Levels::One { threshold: 2 },
        max_files: 2,
        fragment_bytes: 1_000,
        base_slices: (2, 100),
        ..tholos_storage::compaction::CompactionOptions::default().strategy
    }
}

fn strategies() -> impl Strategy<Value = Unified> {
    let similar = Levels::Similar { bucket: (0.5, 1.5), min_bytes: 300, threshold: 2 };
    let steps = vec![Step { fan: 2, threshold: 2 }];
    let geometric = Levels::Geometric { base_bytes: 500, steps };
    prop_oneof![
        4 => Just(pairs()),
        1 => Just(Unified { levels: similar, max_files: 32, ..pairs() }),
        1 => Just(Unified { levels: geometric, ..pairs() }),
        // Where few files lie over each other, small ones beside each other are merged.
        1 => Just(Unified {
            levels: Levels::One { threshold: 4 },
            max_files: 32,
            fragment_bytes: 1 << 20,
            base_slices: (1, 0),
            ..pairs()
        }),
        // Windows of a few seconds: timestamps are seconds here.
        1 => Just(Unified { window: Some(4), ..pairs() }),
    ]
}

fn shapes() -> impl Strategy<Value = Shape> {
    let select = prop::sample::select::<usize>;
    (
        strategies(),
        prop::sample::select(vec![Compression::Lz4, Compression::None]),
        select(vec![64, 64, 300, 16 << 10]),
        prop::sample::select(vec![0.01, 0.01, 0.5, 1.0]),
        select(vec![1_500, 4_000, 4_000, 1 << 20]),
        prop::sample::select(vec![2_048_u32, 4_096, 16_384]),
        select(vec![1, 4]),
        prop::sample::select(vec![0_u64, 1 << 20]),
    )
        .prop_map(
            |(strategy, compression, block_bytes, filter, memtable, segment, shards, cache)| {
                Shape {
                    strategy,
                    compression,
                    block_bytes,
                    filter_false_positives: filter,
                    memtable_bytes: memtable,
                    segment_bytes: segment,
                    shards,
                    block_cache_bytes: cache,
                }
            },
        )
}

fn kept() -> impl Strategy<Value = Kept> {
    prop_oneof![Just(Kept::All), Just(Kept::Synced), any::<u64>().prop_map(Kept::Some)]
}

fn tables() -> impl Strategy<Value = TableId> {
    prop_oneof![4 => Just(TABLE), 1 => Just(OTHER)]
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Forward), Just(Direction::Reverse)]
}

/// Bounds in the right order; an empty upper one is the end.
fn ordered() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (scan_bounds(), scan_bounds())
        .prop_map(|(a, b)| if b.is_empty() || a < b { (a, b) } else { (b, a) })
}

fn reads() -> impl Strategy<Value = Read> {
    let within = (partitions(), bounds(), bounds(), directions()).prop_map(|(key, a, b, way)| {
        let (lower, upper) = if a < b { (a, b) } else { (b, a) };
        Read::Partition(key, lower, upper, way)
    });
    let columns = prop::sample::select(vec![
        None,
        Some(vec![1]),
        Some(vec![4]),
        Some(vec![1, 4]),
        Some(vec![1, 2, 4]),
        Some(vec![]),
    ]);
    prop_oneof![
        3 => (ordered(), directions()).prop_map(|((a, b), way)| Read::Slice(a, b, way)),
        2 => (ordered(), directions(), 1..5_u64)
            .prop_map(|((a, b), way, entries)| Read::Pages(a, b, way, entries)),
        2 => within,
        4 => (partitions(), prop_oneof![5 => row_positions(), 1 => Just(vec![0x10])], columns)
            .prop_map(|(key, position, columns)| Read::Point(key, position, columns)),
        1 => directions().prop_map(Read::Distinct),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let write = || {
        (tables(), mutations(STILL))
            .prop_map(|(table, mutation)| Op::Write(Mutation { table, ..mutation }))
    };
    let restore =
        || (tables(), any::<bool>()).prop_map(|(table, emptied)| Op::Restore(table, emptied));
    let some = || (tables(), any::<u32>()).prop_map(|(table, bits)| Op::CompactSome(table, bits));
    let crashable = prop_oneof![
        2 => write(),
        2 => tables().prop_map(Op::Flush),
        1 => tables().prop_map(Op::Compact),
        2 => some(),
        2 => Just(Op::Step),
        1 => tables().prop_map(Op::Truncate),
        1 => Just(Op::Snapshot),
        1 => restore(),
        1 => tables().prop_map(Op::Recreate),
        1 => Just(Op::Close),
    ];
    prop_oneof![
        100 => write(),
        18 => (tables(), 0..8_i64, reads()).prop_map(|(table, at, read)| Op::Read(table, at, read)),
        6 => Just(Op::Sync),
        9 => tables().prop_map(Op::Flush),
        2 => tables().prop_map(Op::Compact),
        5 => some(),
        8 => Just(Op::Step),
        8 => (1..7_i64).prop_map(Op::Advance),
        1 => tables().prop_map(Op::Truncate),
        1 => Just(Op::Snapshot),
        1 => restore(),
        1 => tables().prop_map(Op::Recreate),
        2 => (1..3_u32).prop_map(Op::Restart),
        1 => Just(Op::Close),
        2 => kept().prop_map(Op::Crash),
        4 => (crashable, 0.0..1.0_f64, kept())
            .prop_map(|(op, share, kept)| Op::CrashIn(Box::new(op), share, kept)),
    ]
}

/// Operations in a history, about.
pub(crate) const LENGTH: usize = 120;

/// The history of a seed.
pub(crate) fn history(seed: u64) -> (Shape, Vec<Op>) {
    let mut runner = runner(seed);
    let shape = shapes().new_tree(&mut runner).unwrap().current();
    let strategy = ops();
    let mut op = || strategy.new_tree(&mut runner).unwrap().current();
    (shape, (0..LENGTH).map(|_| op()).collect())
}

/// A source of chance that a seed decides.
pub(crate) fn runner(seed: u64) -> TestRunner {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

impl Op {
    /// Whether it is about the tables of now alone: no snapshot, no table in the place of another.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Op::CrashIn(op, ..) => op.is_plain(),
            op => !matches!(op, Op::Snapshot | Op::Restore(..) | Op::Recreate(_)),
        }
    }
}

/// Whether an operation writes a deletion of any kind.
pub(crate) fn deletes(op: &Op) -> bool {
    match op {
        Op::Write(mutation) => mutation.updates.iter().any(update_deletes),
        Op::CrashIn(op, ..) => deletes(op),
        Op::Truncate(_) | Op::Recreate(_) => true,
        _ => false,
    }
}

fn update_deletes(update: &Update) -> bool {
    let Update::Row { row, .. } = update else { return true };
    let (header, items) = row.as_row().parts().unwrap();
    let is_tombstone = |item: RowItem<'_>| match item {
        RowItem::Deletion { .. } => true,
        RowItem::Cell(cell) => matches!(cell.state, CellState::Tombstone { .. }),
    };
    header.deletion.is_some() || items.map(Result::unwrap).any(is_tombstone)
}

#[test]
fn every_kind_of_operation_is_among_them() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for op in (0..40).flat_map(|seed| history(seed).1) {
        let name = |op: &Op| format!("{op:?}").split('(').next().unwrap_or_default().to_string();
        *kinds.entry(name(&op)).or_default() += 1;
        if let Op::CrashIn(op, ..) = &op {
            *kinds.entry(format!("crash in {}", name(op))).or_default() += 1;
        }
    }
    for kind in
        ["Flush", "CompactSome", "Crash", "Restart", "Truncate", "Snapshot", "Restore", "Recreate"]
    {
        assert!(kinds.get(kind).is_some_and(|count| *count > 10), "{kind}: {kinds:?}");
    }
    for kind in ["Write", "Flush", "CompactSome", "Truncate", "Snapshot", "Restore", "Recreate"] {
        let kind = format!("crash in {kind}");
        assert!(kinds.contains_key(&kind), "{kind}: {kinds:?}");
    }
}

#[test]
fn half_of_all_operations_delete() {
    let ops: Vec<Op> = (0..40).flat_map(|seed| history(seed).1).collect();
    let deleting = ops.iter().filter(|op| deletes(op)).count();
    let share = deleting as f64 / ops.len() as f64;
    assert!((0.45..0.6).contains(&share), "{share}");
}
