//! fjall, with a keyspace for each table.

use std::path::Path;

use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use tholos_storage::model::entry::Direction;

use super::store::{BUDGETS, Store, Writes, ordered_key};
use super::workload::{Key, Value};
use super::{BenchError, Outcome};

struct Fjall {
    database: Database,
    keyed: Keyspace,
    ordered: Keyspace,
    synced: bool,
}

impl From<fjall::Error> for BenchError {
    fn from(error: fjall::Error) -> Self {
        BenchError::Peer { store: "fjall", error: error.to_string() }
    }
}

/// Opens fjall.
///
/// # Errors
/// What opening meets.
pub fn open(dir: &Path, writes: Writes) -> Outcome<Box<dyn Store>> {
    let database = Database::builder(dir).cache_size(BUDGETS.cache_bytes as u64).open()?;
    let options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(BUDGETS.memtable_bytes as u64)
            .data_block_size_policy(BlockSizePolicy::all(BUDGETS.block_bytes as u32))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
    };
    let keyed = database.keyspace("keyed", options)?;
    let ordered = database.keyspace("ordered", options)?;
    Ok(Box::new(Fjall { database, keyed, ordered, synced: writes == Writes::Synced }))
}

impl Fjall {
    fn written(&self) -> Outcome<()> {
        if self.synced {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Store for Fjall {
    fn put(&self, key: &Key, value: &Value) -> Outcome<()> {
        self.keyed.insert(key, value)?;
        self.written()
    }

    fn delete(&self, key: &Key) -> Outcome<()> {
        self.keyed.remove(key)?;
        self.written()
    }

    fn read(&self, key: &Key) -> Outcome<usize> {
        Ok(self.keyed.get(key)?.map_or(0, |value| value.len()))
    }

    fn scan(&self, direction: Direction) -> Outcome<u64> {
        let walk = self.keyed.iter();
        let count = match direction {
            Direction::Forward => walked(walk, usize::MAX)?,
            Direction::Reverse => walked(walk.rev(), usize::MAX)?,
        };
        Ok(count as u64)
    }

    fn put_in_order(&self, row: u64, value: &Value) -> Outcome<()> {
        self.ordered.insert(ordered_key(row), value)?;
        self.written()
    }

    fn slice(&self, from: u64, rows: usize, direction: Direction) -> Outcome<usize> {
        match direction {
            Direction::Forward => walked(self.ordered.range(ordered_key(from)..), rows),
            Direction::Reverse => walked(self.ordered.range(..ordered_key(from)).rev(), rows),
        }
    }

    fn settle(&self) -> Outcome<()> {
        for keyspace in [&self.keyed, &self.ordered] {
            keyspace.rotate_memtable_and_wait()?;
            keyspace.major_compact()?;
        }
        Ok(())
    }

    fn compact(&self) -> Outcome<()> {
        self.keyed.rotate_memtable_and_wait()?;
        Ok(self.keyed.major_compact()?)
    }

    fn disk_bytes(&self) -> Outcome<u64> {
        Ok(self.keyed.disk_space() + self.ordered.disk_space())
    }
}

fn walked(walk: impl Iterator<Item = Guard>, rows: usize) -> Outcome<usize> {
    let (mut count, mut bytes) = (0, 0);
    for found in walk.take(rows) {
        let (key, value) = found.into_inner()?;
        bytes += key.len() + value.len();
        count += 1;
    }
    std::hint::black_box(bytes);
    Ok(count)
}
