//! An SSTable for reading: its file, opened on first use, and its blocks by way of the cache. What reads of it are made
//! of stands beside: `cursor.rs`, `portion.rs`, `verify.rs`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::block::Block;
use super::block_cursor::BlockCursor;
use super::cache::{BlockCache, CacheKey, Cached, Reservation};
use super::damage::{self, Damage, DamageLog};
use super::file::{self, SsTableFile};
use super::filter::{self, Filter};
use super::format::{Footer, Malformed, Section};
use super::index::{BlockPointer, IndexEntry};
use super::inspect;
use super::statistics::Statistics;
use crate::StorageError;
use crate::fs::Fs;
use crate::model::Timestamp;

/// An SSTable for reading. Opens its file on first use.
#[derive(Debug)]
pub struct SsTable {
    pub(super) fs: Arc<dyn Fs>,
    path: PathBuf,
    cache: Arc<BlockCache>,
    /// This table's number in the cache.
    number: u64,
    opened: OnceLock<Arc<Opened>>,
    /// Held while opening, so that it happens once.
    opening: Mutex<()>,
    /// A filter that is too large for the cache.
    large_filter: OnceLock<LargeFilter>,
    obsolete: AtomicBool,
    damage: Arc<DamageLog>,
}

/// A filter that is kept beside the cache, at the expense of its budget.
#[derive(Debug)]
struct LargeFilter {
    filter: Arc<Filter>,
    _reservation: Reservation,
}

/// What is known once the file is open.
#[derive(Debug)]
pub(super) struct Opened {
    file: SsTableFile,
    pub(super) footer: Footer,
    pub(super) top_index: Arc<Block>,
    filter_is_damaged: AtomicBool,
    /// Whether any partition is deleted in it; so it is taken to be if its statistics can't be read.
    has_partition_deletions: bool,
}

impl SsTable {
    /// No I/O happens here.
    pub fn new(fs: Arc<dyn Fs>, path: PathBuf, cache: Arc<BlockCache>) -> Arc<SsTable> {
        SsTable::with_damage_log(fs, path, cache, Arc::default())
    }

    /// As [`new`](Self::new); what is found to be damaged is remembered in that log.
    pub fn with_damage_log(
        fs: Arc<dyn Fs>,
        path: PathBuf,
        cache: Arc<BlockCache>,
        damage: Arc<DamageLog>,
    ) -> Arc<SsTable> {
        let number = cache.register_table();
        let (opened, opening) = (OnceLock::new(), Mutex::new(()));
        let obsolete = AtomicBool::new(false);
        let large_filter = OnceLock::new();
        Arc::new(SsTable {
            fs,
            path,
            cache,
            number,
            opened,
            opening,
            large_filter,
            obsolete,
            damage,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file, as the file itself says (the manifest says the same without opening it).
    pub fn statistics(&self) -> Result<Statistics, StorageError> {
        self.opened()?.file.statistics().map_err(|error| self.noted(error))
    }

    /// What the timestamps of rows in this file are relative to.
    pub fn base(&self) -> Result<Timestamp, StorageError> {
        Ok(self.opened()?.footer.base)
    }

    /// Whether the file may hold anything of a partition (its whole prefix).
    pub fn may_contain(&self, partition: &[u8]) -> Result<bool, StorageError> {
        let opened = self.opened()?;
        Ok(self.filter(opened)?.is_none_or(|filter| filter.may_contain(filter::hash(partition))))
    }

    /// Opens the file and reads its filter, so that no read has to.
    ///
    /// # Errors
    /// What opening the file meets.
    pub fn warm_up(&self) -> Result<(), StorageError> {
        self.filter(self.opened()?).map(drop)
    }

    /// Whether any partition is deleted in the file: if not, nobody needs to look for a partition's deletion.
    pub fn has_partition_deletions(&self) -> Result<bool, StorageError> {
        Ok(self.opened()?.has_partition_deletions)
    }

    /// What was found to be damaged.
    pub fn damage_log(&self) -> &Arc<DamageLog> {
        &self.damage
    }

    /// The same file, read through another cache.
    pub fn with_cache(&self, cache: Arc<BlockCache>) -> Arc<SsTable> {
        SsTable::with_damage_log(
            Arc::clone(&self.fs),
            self.path.clone(),
            cache,
            Arc::clone(&self.damage),
        )
    }

    /// The file is removed when the last user of this table is gone.
    pub fn remove_when_unused(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// A structure that does not hold, as an error; the damage is remembered.
    pub(super) fn malformed(&self, offset: u64, what: Malformed) -> StorageError {
        self.noted(file::malformed(&self.path, offset, what))
    }

    /// Remembers damage that an error tells of, with the keys that it takes away.
    fn noted(&self, error: StorageError) -> StorageError {
        if let Some((offset, what)) = damage::corruption(&error)
            && !self.damage.knows(offset)
        {
            let keys = inspect::keys_at(&*self.fs, &self.path, offset);
            if self.damage.note(Damage { offset, what: what.to_string(), keys }) {
                tracing::error!(file = %self.path.display(), offset, what, "an SSTable is damaged");
            }
        }
        error
    }

    pub(super) fn opened(&self) -> Result<&Arc<Opened>, StorageError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let _once = self.opening.lock();
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.open().map_err(|error| self.noted(error))?;
        Ok(self.opened.get_or_init(|| Arc::new(opened)))
    }

    fn open(&self) -> Result<Opened, StorageError> {
        let file = SsTableFile::open(&*self.fs, &self.path)?;
        let top_index = Arc::new(file.top_index()?);
        let (footer, filter_is_damaged) = (file.footer, AtomicBool::new(false));
        let has_partition_deletions = match file.statistics() {
            Ok(statistics) => statistics.partition_deletions > 0,
            Err(error @ StorageError::Corrupt { .. }) => {
                self.noted(error);
                true
            }
            Err(error) => return Err(error),
        };
        Ok(Opened { file, footer, top_index, filter_is_damaged, has_partition_deletions })
    }

    /// A block, from the cache or the file.
    pub(super) fn block(
        &self,
        opened: &Opened,
        pointer: BlockPointer,
    ) -> Result<Arc<Block>, StorageError> {
        let key = CacheKey(self.number, pointer.offset);
        if let Some(Cached::Block(block)) = self.cache.find(key) {
            return Ok(block);
        }
        let block = opened.file.block(pointer).map_err(|error| self.noted(error))?;
        let block = Arc::new(block);
        self.cache.insert(key, Cached::Block(block.clone()));
        Ok(block)
    }

    /// The bytes of a block as they are stored, past the cache, their checksum verified.
    pub(super) fn stored_block(
        &self,
        opened: &Opened,
        pointer: BlockPointer,
    ) -> Result<Vec<u8>, StorageError> {
        let section = Section { offset: pointer.offset, len: pointer.len, crc: pointer.crc };
        opened.file.section(section).map_err(|error| self.noted(error))
    }

    /// The filter, if there is one and it is whole: reads go on without.
    fn filter(&self, opened: &Opened) -> Result<Option<Arc<Filter>>, StorageError> {
        let section = opened.footer.filter;
        if section.len == 0 || opened.filter_is_damaged.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let Some(large) = self.large_filter.get() {
            return Ok(Some(large.filter.clone()));
        }
        if !self.cache.admits(u64::from(section.len)) {
            return self.large_filter(opened);
        }
        let key = CacheKey(self.number, section.offset);
        if let Some(Cached::Filter(filter)) = self.cache.find(key) {
            return Ok(Some(filter));
        }
        let filter = self.read_filter(opened)?;
        if let Some(filter) = &filter {
            self.cache.insert(key, Cached::Filter(filter.clone()));
        }
        Ok(filter)
    }

    /// A filter that the cache does not take. Without room for it in the budget there is none: to read it anew for each
    /// lookup would cost more than it saves.
    fn large_filter(&self, opened: &Opened) -> Result<Option<Arc<Filter>>, StorageError> {
        let _once = self.opening.lock();
        if let Some(large) = self.large_filter.get() {
            return Ok(Some(large.filter.clone()));
        }
        let bytes = u64::from(opened.footer.filter.len);
        let Some(reservation) = self.cache.reserve(bytes) else { return Ok(None) };
        let Some(filter) = self.read_filter(opened)? else { return Ok(None) };
        let large = LargeFilter { filter, _reservation: reservation };
        Ok(Some(self.large_filter.get_or_init(|| large).filter.clone()))
    }

    fn read_filter(&self, opened: &Opened) -> Result<Option<Arc<Filter>>, StorageError> {
        match opened.file.filter() {
            Ok(filter) => Ok(filter.map(Arc::new)),
            Err(error @ StorageError::Corrupt { .. }) => {
                opened.filter_is_damaged.store(true, Ordering::Relaxed);
                self.noted(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The index entry that a cursor in an index block is at.
    pub(super) fn index_entry(
        &self,
        opened: &Opened,
        cursor: &BlockCursor,
    ) -> Result<Option<IndexEntry>, StorageError> {
        let Some(entry) = cursor.entry() else { return Ok(None) };
        let Footer { base, file_len, top_index, .. } = opened.footer;
        IndexEntry::decode(entry.key.len(), entry.payload, base, file_len)
            .map(Some)
            .map_err(|what| self.malformed(top_index.offset, what))
    }
}

impl Drop for SsTable {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire)
            && let Err(error) = self.fs.remove(&self.path)
        {
            // The manifest does not know the file any more: the next start removes it.
            tracing::warn!(file = %self.path.display(), %error, "an obsolete SSTable could not be removed");
        }
    }
}
