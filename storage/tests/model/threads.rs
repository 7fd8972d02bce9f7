//! Writers, readers, flushes and compactions at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tholos_storage::StorageError;
use tholos_storage::commitlog::{CommitLogOptions, LogPosition};
use tholos_storage::engine::{Engine, EngineOptions, TableSettings};
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::{CellRef, RowBuilder, RowItem};
use tholos_storage::model::{CellState, Liveness};

use crate::engine::TestClock;
use crate::generate::TABLE;

const WRITERS: u32 = 3;
const PARTITIONS: u32 = 40;
const ROUNDS: u32 = 60;

fn engine(fs: &MemoryFs) -> Engine {
    let options = EngineOptions {
        commit_log: CommitLogOptions {
            segment_bytes: 64 << 10,
            total_bytes: 256 << 10,
            zero_fill: false,
            ..CommitLogOptions::default()
        },
        memtable_bytes: 8_000,
        shards: 8,
        ..EngineOptions::new("/data")
    };
    let settings = TableSettings::new(TABLE, "ks", "t");
    Engine::open(Arc::new(fs.clone()), TestClock::at(10), options, [settings]).unwrap()
}

pub(crate) fn partition(writer: u32, number: u32) -> Vec<u8> {
    let token =
        i64::from(writer * PARTITIONS + number).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    [&token_prefix(token)[..], &[1, writer as u8, number as u8]].concat()
}

/// Two rows of a partition, of the same value.
pub(crate) fn pair(partition: &[u8], round: u32) -> Mutation {
    let timestamp = i64::from(round);
    let mut row = RowBuilder::new();
    row.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
    let value = &round.to_be_bytes();
    row.cell(CellRef { column: 1, path: None, timestamp, state: CellState::Live, value });
    let row = row.finish();
    let at = |clustering| Update::Row {
        position: [COMPONENT, clustering, ROW].into_iter().collect(),
        row: row.clone(),
    };
    let updates = [at(1), at(2)].into_iter().collect();
    Mutation { table: TABLE, partition: partition.into(), updates }
}

/// The values of a partition's rows.
pub(crate) fn values(engine: &Engine, partition: &[u8], direction: Direction) -> Vec<u32> {
    let table = engine.table(TABLE).unwrap();
    let upper = [partition, &[0xff]].concat();
    let mut rows = table.scan_partition(partition.len(), partition, &upper, direction, 10).unwrap();
    let mut values = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        for item in row.row.items().unwrap() {
            let RowItem::Cell(cell) = item.unwrap() else { continue };
            values.push(u32::from_be_bytes(cell.value.try_into().unwrap()));
        }
    }
    values
}

#[test]
fn a_mutation_is_seen_whole_and_never_lost() {
    let fs = MemoryFs::new();
    let engine = engine(&fs);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let engine = engine.clone();
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        for number in 0..PARTITIONS {
                            let write = pair(&partition(writer, number), round);
                            let position = apply(&engine, &write);
                            if number % 16 == 0 {
                                engine.wait_durable(position).unwrap();
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = vec![0; (WRITERS * PARTITIONS) as usize];
            while !done.load(Ordering::Relaxed) {
                for (index, last) in (0..).zip(&mut last) {
                    let key = partition(index / PARTITIONS, index % PARTITIONS);
                    for direction in [Direction::Forward, Direction::Reverse] {
                        let seen = values(&engine, &key, direction);
                        assert!(seen.len() != 1 && seen.first() == seen.last(), "whole: {seen:?}");
                        let value = seen.first().copied().unwrap_or(0);
                        assert!(value >= *last, "what was seen stays: {value} after {last}");
                        *last = value;
                    }
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(engine.stats().flushes > 2, "{:?}", engine.stats());
    check_all(&engine);
    engine.close().unwrap();
    assert!(engine.apply(&pair(&partition(0, 0), 99)).is_err(), "a closed engine takes no writes");
    check_all(&engine);
    drop(engine);
    check_all(&self::engine(&fs));
}

/// Applies a write once there is room for it.
fn apply(engine: &Engine, write: &Mutation) -> LogPosition {
    loop {
        match engine.apply(write) {
            Err(StorageError::MemtablesFull { .. } | StorageError::LogBehind { .. }) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            applied => return applied.unwrap(),
        }
    }
}

fn check_all(engine: &Engine) {
    for writer in 0..WRITERS {
        for number in 0..PARTITIONS {
            let key = partition(writer, number);
            assert_eq!(values(engine, &key, Direction::Forward), [ROUNDS, ROUNDS]);
        }
    }
}
