//! Tables of one partition key and one row, and engines that do their background work when they are told.

use std::path::Path;
use std::sync::Arc;

use tholos_storage::commitlog::{CommitLogOptions, SyncDriver};
use tholos_storage::engine::{BackgroundDriver, Clock, Engine, EngineOptions, TableSettings};
use tholos_storage::fs::Fs;
use tholos_storage::model::Liveness;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::RowBuilder;
use tholos_storage::schema::TableId;
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_000;

struct Fixed;

impl Clock for Fixed {
    fn now_micros(&self) -> i64 {
        NOW * 1_000_000
    }
}

pub(crate) fn table(number: u128) -> TableSettings {
    TableSettings::new(TableId(Uuid::from_u128(number + 1)), "ks", format!("t{number}"))
}

pub(crate) fn open(
    fs: Arc<dyn Fs>,
    dir: &Path,
    open_files: usize,
    tables: Vec<TableSettings>,
) -> Engine {
    let commit_log = CommitLogOptions {
        segment_bytes: 1 << 20,
        driver: SyncDriver::Caller,
        zero_fill: false,
        ..CommitLogOptions::default()
    };
    let background = BackgroundDriver::Caller;
    let options =
        EngineOptions { commit_log, shards: 4, background, open_files, ..EngineOptions::new(dir) };
    Engine::open(fs, Arc::new(Fixed), options, tables).unwrap()
}

/// Some number that looks random, the same each time.
pub(crate) fn spread(number: u64) -> i64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as i64
}

/// The prefix of a partition, and the whole key of its one row.
pub(crate) fn key(number: u64) -> (Vec<u8>, Vec<u8>) {
    let partition = [&token_prefix(spread(number))[..], &number.to_be_bytes()].concat();
    let row = [&partition[..], &[COMPONENT, ROW]].concat();
    (partition, row)
}

/// Writes the one row of a partition.
pub(crate) fn write(engine: &Engine, table: TableId, number: u64, timestamp: i64) {
    let mut row = RowBuilder::new();
    row.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
    let update =
        Update::Row { position: [COMPONENT, ROW].into_iter().collect(), row: row.finish() };
    let partition = key(number).0.as_slice().into();
    let updates = [update].into_iter().collect();
    engine.apply(&Mutation { table, partition, updates }).unwrap();
}

/// Whether the row of a partition is there.
pub(crate) fn is_there(engine: &Engine, table: TableId, number: u64) -> bool {
    let (partition, row) = key(number);
    engine.table(table).unwrap().row(&row, partition.len(), NOW).unwrap().is_some()
}
