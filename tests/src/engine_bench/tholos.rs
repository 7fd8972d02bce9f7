//! Our engine, by the path that the server takes: values to encoded keys, a mutation with a row of one cell, the log
//! and the memtable; reads by full key or bounds, and every cell of a row looked at.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smallvec::{SmallVec, smallvec};
use tholos_grammar::token::Token;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::StorageError;
use tholos_storage::commitlog::{CommitLogOptions, SyncMode};
use tholos_storage::engine::{Clock, Engine, EngineOptions, TableSettings, TableStore};
use tholos_storage::fs::Fs;
use tholos_storage::fs::real::RealFs;
use tholos_storage::key::{encode_component, encode_shared};
use tholos_storage::model::entry::{Direction, RowRef};
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::{CellRef, RowBuilder, RowItem};
use tholos_storage::model::{CellState, Deletion, Liveness, Seconds};
use tholos_storage::schema::TableId;
use tholos_storage::sstable::KeyTypes;
use uuid::Uuid;

use super::store::{BUDGETS, PARTITION, Store, Writes, file_bytes};
use super::workload::{Key, Value};
use super::{BenchError, Outcome};

/// The one regular column.
const VALUE: u32 = 1;
/// How long a writer waits for room at a time.
const ROOM: Duration = Duration::from_millis(100);
/// A statement's writes go through once it was admitted: so often a writer looks how it stands.
const WRITES_PER_LOOK: u64 = 16;

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Our engine with two tables.
pub struct Tholos {
    engine: Engine,
    keyed: Arc<TableStore>,
    ordered: Arc<TableStore>,
    partition: SmallVec<[u8; 40]>,
    data: std::path::PathBuf,
    synced: bool,
}

/// Opens the engine for the table of the benchmark.
///
/// # Errors
/// What opening meets.
pub fn open(dir: &Path, writes: Writes) -> Outcome<Box<dyn Store>> {
    let options = options(dir, writes);
    Ok(Box::new(Tholos::open(Arc::new(RealFs), options, settings)?))
}

/// The benchmark's options.
pub fn options(dir: &Path, writes: Writes) -> EngineOptions {
    let mode = match writes {
        Writes::Unsynced => SyncMode::Periodic { interval: Duration::from_secs(10) },
        Writes::Synced => SyncMode::Group,
    };
    EngineOptions {
        commit_log: CommitLogOptions { mode, ..CommitLogOptions::default() },
        memtable_bytes: BUDGETS.memtable_bytes,
        replay_threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        block_cache_bytes: BUDGETS.cache_bytes as u64,
        ..EngineOptions::new(dir)
    }
}

/// The benchmark's settings of a table: a table's identity is its number.
pub fn settings(number: u128, name: &str) -> TableSettings {
    let id = TableId(Uuid::from_u128(number));
    let (block_bytes, key_types) =
        (BUDGETS.block_bytes, KeyTypes::of([&CqlType::Native(Native::Blob)]));
    TableSettings { block_bytes, key_types, ..TableSettings::new(id, "bench", name) }
}

/// Now, as reads are told.
pub fn now() -> Seconds {
    SystemClock.now_micros() / 1_000_000
}

impl Tholos {
    /// Opens the engine with the two tables.
    ///
    /// # Errors
    /// What opening meets.
    pub fn open(
        fs: Arc<dyn Fs>,
        options: EngineOptions,
        settings: impl Fn(u128, &str) -> TableSettings,
    ) -> Outcome<Tholos> {
        let synced = options.commit_log.mode == SyncMode::Group;
        let data = options.data_dir.join("data");
        let tables = [settings(1, "keyed"), settings(2, "ordered")];
        let [keyed, ordered] = [tables[0].id, tables[1].id];
        let engine = Engine::open(fs, Arc::new(SystemClock), options, tables)?;
        let (keyed, ordered) = (engine.table(keyed)?, engine.table(ordered)?);
        let partition = partition(&PARTITION.to_be_bytes())?;
        Ok(Tholos { engine, keyed, ordered, partition, data, synced })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The table of single rows.
    pub fn keyed(&self) -> &Arc<TableStore> {
        &self.keyed
    }

    /// Writes a row of the large partition with a value of any length.
    ///
    /// # Errors
    /// As a write.
    pub fn put_ordered(&self, row: u64, value: &[u8]) -> Outcome<()> {
        let position = position(row, ROW)?;
        self.write(&self.ordered, self.partition.clone(), position, value, row)
    }

    fn write(
        &self,
        table: &TableStore,
        partition: SmallVec<[u8; 40]>,
        position: SmallVec<[u8; 24]>,
        value: &[u8],
        look: u64,
    ) -> Outcome<()> {
        let timestamp = SystemClock.now_micros();
        let mut row = RowBuilder::with_capacity(value.len() + 24);
        row.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
        let state = CellState::Live;
        row.cell(CellRef { column: VALUE, path: None, timestamp, state, value });
        let updates = smallvec![Update::Row { position, row: row.finish() }];
        self.apply(table, &Mutation { table: table.id(), partition, updates }, look)
    }

    /// Applies a mutation as a connection does that may block: pauses when told to, waits when there is no room.
    fn apply(&self, table: &TableStore, mutation: &Mutation, look: u64) -> Outcome<()> {
        if look.is_multiple_of(WRITES_PER_LOOK) {
            while !self.engine.wait_for_room(ROOM) {}
            let pause = self.engine.write_pause();
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        let position = loop {
            match self.engine.apply_to(table, mutation) {
                Err(StorageError::MemtablesFull { .. }) => {
                    self.engine.wait_for_room(ROOM);
                }
                Err(StorageError::LogBehind { .. }) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => break other?,
            }
        };
        if self.synced {
            self.engine.wait_durable(position)?;
        }
        Ok(())
    }
}

impl Store for Tholos {
    fn put(&self, key: &Key, value: &Value) -> Outcome<()> {
        let look = u64::from(key[0]);
        self.write(&self.keyed, partition(key)?, smallvec![ROW], value, look)
    }

    fn delete(&self, key: &Key) -> Outcome<()> {
        let timestamp = SystemClock.now_micros();
        let deletion = Deletion { timestamp, deleted_at: timestamp / 1_000_000 };
        let updates = smallvec![Update::Partition(deletion)];
        let mutation = Mutation { table: self.keyed.id(), partition: partition(key)?, updates };
        self.apply(&self.keyed, &mutation, u64::from(key[0]))
    }

    fn read(&self, key: &Key) -> Outcome<usize> {
        let mut full = partition(key)?;
        let partition_len = full.len();
        full.push(ROW);
        match self.keyed.row_columns(&full, partition_len, &[VALUE], now())? {
            Some(row) => value_bytes(row.row()),
            None => Ok(0),
        }
    }

    fn scan(&self, direction: Direction) -> Outcome<u64> {
        let now = now();
        let mut rows = self.keyed.scan(&[], &[], direction, now)?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            bytes += value_bytes(row.row)?;
            count += 1;
        }
        std::hint::black_box(bytes);
        Ok(count)
    }

    fn put_in_order(&self, row: u64, value: &Value) -> Outcome<()> {
        self.put_ordered(row, value)
    }

    fn slice(&self, from: u64, rows: usize, direction: Direction) -> Outcome<usize> {
        let bound = [self.partition.as_slice(), &position(from, ROW)?].concat();
        let (lower, upper) = match direction {
            Direction::Forward => (bound, [self.partition.as_slice(), &[0xFF]].concat()),
            Direction::Reverse => (self.partition.to_vec(), bound),
        };
        let partition_len = self.partition.len();
        let now = now();
        let mut found =
            self.ordered.scan_partition(partition_len, &lower, &upper, direction, now)?;
        let (mut count, mut bytes) = (0, 0);
        while count < rows
            && let Some(row) = found.next()?
        {
            bytes += value_bytes(row.row)?;
            count += 1;
        }
        std::hint::black_box(bytes);
        Ok(count)
    }

    fn settle(&self) -> Outcome<()> {
        self.engine.compact(self.keyed.id())?;
        Ok(self.engine.compact(self.ordered.id())?)
    }

    fn compact(&self) -> Outcome<()> {
        Ok(self.engine.compact(self.keyed.id())?)
    }

    fn disk_bytes(&self) -> Outcome<u64> {
        Ok(file_bytes(&self.data, |_| true)?)
    }
}

/// The partition prefix of a key of one blob.
fn partition(key: &[u8]) -> Outcome<SmallVec<[u8; 40]>> {
    let mut prefix = Vec::with_capacity(40);
    prefix.extend_from_slice(&token_prefix(Token::of(key).0));
    encode_component(&CqlType::Native(Native::Blob), key, false, &mut prefix)?;
    Ok(SmallVec::from_slice(&prefix))
}

/// The position of a row whose clustering column is a bigint.
fn position(row: u64, weight: u8) -> Outcome<SmallVec<[u8; 24]>> {
    let mut position = Vec::with_capacity(24);
    position.push(COMPONENT);
    encode_shared(&CqlType::Native(Native::Bigint), &row.to_be_bytes(), false, &mut position)?;
    position.push(weight);
    Ok(SmallVec::from_slice(&position))
}

/// Looks at every cell of a row, as a reader does.
fn value_bytes(row: RowRef<'_>) -> Outcome<usize> {
    let mut bytes = 0;
    for item in row.items()? {
        match item? {
            RowItem::Cell(cell) => bytes += cell.value.len(),
            RowItem::Deletion { .. } => {
                return Err(BenchError::Wrong("tholos: a row of one cell has a deletion".into()));
            }
        }
    }
    Ok(bytes)
}
