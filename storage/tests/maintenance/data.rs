//! A small table, and an engine on a file system that can fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_grammar::types::Native;
use tholos_storage::StorageError;
use tholos_storage::commitlog::{CommitLogOptions, SyncDriver};
use tholos_storage::engine::{BackgroundDriver, Clock, Engine, EngineOptions, TableSettings};
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::FaultyFs;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::{CellRef, RowBuilder, RowItem};
use tholos_storage::model::{CellState, Liveness};
use tholos_storage::schema::options::TableOptions;
use tholos_storage::schema::{Column, ColumnKind, Keyspace, Schema, Table, TableId};
use uuid::Uuid;

pub(crate) const TABLE: TableId = TableId(Uuid::from_u128(7));
pub(crate) const OTHER: TableId = TableId(Uuid::from_u128(8));
pub(crate) const DATA: &str = "/data";
const NOW: i64 = 1_000;

struct Fixed;

impl Clock for Fixed {
    fn now_micros(&self) -> i64 {
        NOW * 1_000_000
    }
}

fn settings(id: TableId, name: &str) -> TableSettings {
    let mut settings = TableSettings { block_bytes: 100, ..TableSettings::new(id, "ks", name) };
    settings.compaction.enabled = false;
    settings
}

pub(crate) fn open(fs: &FaultyFs) -> Result<Engine, StorageError> {
    let options = EngineOptions {
        commit_log: CommitLogOptions {
            segment_bytes: 8192,
            driver: SyncDriver::Caller,
            zero_fill: false,
            ..CommitLogOptions::default()
        },
        shards: 4,
        background: BackgroundDriver::Caller,
        ..EngineOptions::new(DATA)
    };
    let tables = [settings(TABLE, "t"), settings(OTHER, "other")];
    Engine::open(Arc::new(fs.clone()), Arc::new(Fixed), options, tables)
}

/// The tables as a schema.
pub(crate) fn schema() -> Schema {
    let column = |id, name: &str, kind| Column {
        id,
        name: name.into(),
        cql_type: Native::Int.into(),
        kind,
        descending: false,
    };
    let table = |id, name: &str| Table {
        id,
        keyspace: "ks".into(),
        name: name.into(),
        partition_key: vec![column(0, "p", ColumnKind::PartitionKey)],
        clustering: vec![column(2, "c", ColumnKind::Clustering)],
        statics: vec![],
        regulars: vec![column(1, "v", ColumnKind::Regular)],
        dropped: BTreeMap::new(),
        next_column_id: 3,
        options: TableOptions::default(),
    };
    let tables = [table(TABLE, "t"), table(OTHER, "other")];
    let tables = tables.map(|table| (table.name.clone(), Arc::new(table)));
    let keyspace = Keyspace {
        name: "ks".into(),
        replication: BTreeMap::new(),
        durable_writes: true,
        tables: tables.into_iter().collect(),
        types: BTreeMap::new(),
    };
    let keyspaces = [(Name::from("ks"), Arc::new(keyspace))].into();
    Schema { epoch: 3, keyspaces }
}

/// Writes rows of a round to some partitions of a table.
pub(crate) fn write(engine: &Engine, table: TableId, round: u32) {
    for number in 0..6 {
        engine.apply(&mutation(table, number, round)).unwrap();
    }
    engine.sync_log().unwrap();
}

/// Rows of a round in one partition.
pub(crate) fn mutation(table: TableId, number: u8, round: u32) -> Mutation {
    let token = i64::from(number) * 1000 - 2500;
    let partition = [&token_prefix(token)[..], &[1, number, 0]].concat();
    let timestamp = i64::from(round);
    let mut row = RowBuilder::new();
    row.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
    let value = &round.to_be_bytes();
    row.cell(CellRef { column: 1, path: None, timestamp, state: CellState::Live, value });
    let row = row.finish();
    let update = |clustering| Update::Row {
        position: [COMPONENT, clustering, ROW].into_iter().collect(),
        row: row.clone(),
    };
    Mutation {
        table,
        partition: partition.as_slice().into(),
        updates: (0..8).map(update).collect(),
    }
}

/// Rows of a write.
pub(crate) const ROWS: usize = 48;

/// The values of all rows, in key order.
pub(crate) fn values(engine: &Engine, table: TableId) -> Result<Vec<u32>, StorageError> {
    let table = engine.table(table)?;
    let mut rows = table.scan(&[], &[], Direction::Forward, NOW)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        for item in row.row.items()? {
            let RowItem::Cell(cell) = item? else { continue };
            values.push(u32::from_be_bytes(cell.value.try_into().unwrap()));
        }
    }
    Ok(values)
}

/// Files below a directory whose names end so.
pub(crate) fn files(fs: &FaultyFs, dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in fs.list(dir).unwrap_or_default() {
        let path = dir.join(&name);
        match fs.list(&path) {
            Ok(_) => found.extend(files(fs, &path, suffix)),
            Err(_) if name.ends_with(suffix) => found.push(path),
            Err(_) => {}
        }
    }
    found
}
