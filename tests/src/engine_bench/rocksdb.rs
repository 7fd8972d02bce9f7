//! RocksDB, with a column family for each table.

use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamilyDescriptor, CompactOptions,
    DB, DBCompressionType, DBRawIterator, Options, WaitForCompactOptions, WriteOptions,
};
use tholos_storage::model::entry::Direction;

use super::store::{BUDGETS, Store, Writes, file_bytes, ordered_key};
use super::workload::{Key, Value};
use super::{BenchError, Outcome};

const KEYED: &str = "keyed";
const ORDERED: &str = "ordered";
/// What gives a filter about 1 % false positives.
const FILTER_BITS_PER_KEY: f64 = 10.0;

struct RocksDb {
    db: DB,
    write: WriteOptions,
    dir: PathBuf,
}

impl From<rocksdb::Error> for BenchError {
    fn from(error: rocksdb::Error) -> Self {
        BenchError::Peer { store: "rocksdb", error: error.to_string() }
    }
}

/// Opens RocksDB.
///
/// # Errors
/// What opening meets.
pub fn open(dir: &Path, writes: Writes) -> Outcome<Box<dyn Store>> {
    let cache = Cache::new_lru_cache(BUDGETS.cache_bytes);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&cache);
    blocks.set_block_size(BUDGETS.block_bytes);
    blocks.set_bloom_filter(FILTER_BITS_PER_KEY, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(BUDGETS.memtable_bytes);
    let families = [KEYED, ORDERED].map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
    let db = DB::open_cf_descriptors(&options, dir, families)?;
    let mut write = WriteOptions::default();
    write.set_sync(writes == Writes::Synced);
    Ok(Box::new(RocksDb { db, write, dir: dir.to_path_buf() }))
}

impl RocksDb {
    fn family(&self, name: &str) -> Outcome<&rocksdb::ColumnFamily> {
        self.db.cf_handle(name).ok_or_else(|| BenchError::Peer {
            store: "rocksdb",
            error: format!("no column family {name}"),
        })
    }

    fn compact_family(&self, name: &str) -> Outcome<()> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        let family = self.family(name)?;
        self.db.flush_cf(family)?;
        self.db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }
}

impl Store for RocksDb {
    fn put(&self, key: &Key, value: &Value) -> Outcome<()> {
        Ok(self.db.put_cf_opt(self.family(KEYED)?, key, value, &self.write)?)
    }

    fn delete(&self, key: &Key) -> Outcome<()> {
        Ok(self.db.delete_cf_opt(self.family(KEYED)?, key, &self.write)?)
    }

    fn read(&self, key: &Key) -> Outcome<usize> {
        let found = self.db.get_pinned_cf(self.family(KEYED)?, key)?;
        Ok(found.map_or(0, |value| value.len()))
    }

    fn scan(&self, direction: Direction) -> Outcome<u64> {
        let mut walk = self.db.raw_iterator_cf(self.family(KEYED)?);
        match direction {
            Direction::Forward => walk.seek_to_first(),
            Direction::Reverse => walk.seek_to_last(),
        }
        Ok(walked(&mut walk, direction, usize::MAX)? as u64)
    }

    fn put_in_order(&self, row: u64, value: &Value) -> Outcome<()> {
        Ok(self.db.put_cf_opt(self.family(ORDERED)?, ordered_key(row), value, &self.write)?)
    }

    fn slice(&self, from: u64, rows: usize, direction: Direction) -> Outcome<usize> {
        let mut walk = self.db.raw_iterator_cf(self.family(ORDERED)?);
        match direction {
            Direction::Forward => walk.seek(ordered_key(from)),
            Direction::Reverse => walk.seek_for_prev(ordered_key(from.saturating_sub(1))),
        }
        walked(&mut walk, direction, rows)
    }

    fn settle(&self) -> Outcome<()> {
        self.compact_family(KEYED)?;
        self.compact_family(ORDERED)?;
        Ok(self.db.wait_for_compact(&WaitForCompactOptions::default())?)
    }

    fn compact(&self) -> Outcome<()> {
        self.compact_family(KEYED)
    }

    fn disk_bytes(&self) -> Outcome<u64> {
        Ok(file_bytes(&self.dir, |path| path.extension().is_some_and(|name| name == "sst"))?)
    }
}

fn walked(walk: &mut DBRawIterator<'_>, direction: Direction, rows: usize) -> Outcome<usize> {
    let (mut count, mut bytes) = (0, 0);
    while count < rows
        && let Some((key, value)) = walk.item()
    {
        bytes += key.len() + value.len();
        count += 1;
        match direction {
            Direction::Forward => walk.next(),
            Direction::Reverse => walk.prev(),
        }
    }
    std::hint::black_box(bytes);
    walk.status()?;
    Ok(count)
}
