//! An SSTable for reading: its file, opened on first use, and its blocks by way of the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::block::Block;
use super::block_cursor::BlockCursor;
use super::cache::{BlockCache, CacheKey, Cached};
use super::compression::decompress;
use super::cursor::SsTableCursor;
use super::filter::{self, Filter};
use super::format::{FOOTER_BYTES, Footer, FooterError, MAGIC, Malformed, Section, VERSION};
use super::index::{BlockPointer, IndexEntry};
use super::statistics::Statistics;
use crate::StorageError;
use crate::fs::{File, Fs};
use crate::model::Timestamp;
use crate::model::entry::{Cursor, Direction};
use crate::planted::planted;

/// An SSTable for reading. Opens its file on first use and keeps it open.
#[derive(Debug)]
pub struct SsTable {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    cache: Arc<BlockCache>,
    /// This table's number in the cache.
    number: u64,
    opened: ArcSwapOption<Opened>,
    /// Held while opening, so that it happens once.
    opening: Mutex<()>,
    obsolete: AtomicBool,
}

/// What is known once the file is open.
#[derive(Debug)]
pub(super) struct Opened {
    file: Arc<dyn File>,
    pub(super) footer: Footer,
    pub(super) top_index: Arc<Block>,
    statistics: Statistics,
}

impl SsTable {
    /// No I/O happens here.
    pub fn new(fs: Arc<dyn Fs>, path: PathBuf, cache: Arc<BlockCache>) -> Arc<SsTable> {
        let number = cache.register_table();
        let opened = ArcSwapOption::empty();
        let obsolete = AtomicBool::new(false);
        Arc::new(SsTable { fs, path, cache, number, opened, opening: Mutex::new(()), obsolete })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file, as the file itself says (the manifest says the same without opening it).
    pub fn statistics(&self) -> Result<Statistics, StorageError> {
        Ok(self.opened()?.statistics.clone())
    }

    /// What the timestamps of rows in this file are relative to.
    pub fn base(&self) -> Result<Timestamp, StorageError> {
        Ok(self.opened()?.footer.base)
    }

    /// Whether the file may hold anything of a partition (its whole prefix).
    pub fn may_contain(&self, partition: &[u8]) -> Result<bool, StorageError> {
        let opened = self.opened()?;
        Ok(self.filter(&opened)?.is_none_or(|filter| filter.may_contain(filter::hash(partition))))
    }

    /// A walk through `lower..upper` (`None`: to the end of the file). Deletions in force at the start are those of the
    /// partition that the starting bound lies in: in reverse that is `upper`, so give a bound inside the partition
    /// (its prefix followed by 0xFF is after everything in it).
    pub fn cursor(
        self: &Arc<Self>,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<SsTableCursor, StorageError> {
        SsTableCursor::open(self.clone(), self.opened()?, lower, upper, direction)
    }

    /// Reads and checks every byte and every entry.
    pub fn verify(self: &Arc<Self>) -> Result<(), StorageError> {
        self.opened.store(None);
        let opened = self.opened()?;
        self.read_filter(&opened)?;
        // A cache of its own: everything is read from disk, and nothing useful is pushed out.
        let table =
            SsTable::new(self.fs.clone(), self.path.clone(), Arc::new(BlockCache::new(1 << 20)));
        let mut cursor = table.cursor(&[], None, Direction::Forward)?;
        cursor.read_everything();
        let mut last = Vec::new();
        let mut rows = 0;
        while let Some(entry) = cursor.advance()? {
            if entry.key <= last.as_slice() {
                return Err(self.malformed(0, Malformed("its keys do not ascend")));
            }
            rows += u64::from(matches!(entry.content, crate::model::entry::Content::Row(_)));
            last.clear();
            last.extend_from_slice(entry.key);
        }
        if rows == opened.statistics.rows {
            Ok(())
        } else {
            Err(self.malformed(0, Malformed("it does not hold as many rows as it says")))
        }
    }

    /// The file is removed when the last user of this table is gone.
    pub fn remove_when_unused(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// A structure that does not hold, as an error.
    pub(super) fn malformed(&self, offset: u64, malformed: Malformed) -> StorageError {
        StorageError::Corrupt { file: self.path.clone(), offset, what: malformed.0.into() }
    }

    fn opened(&self) -> Result<Arc<Opened>, StorageError> {
        if let Some(opened) = self.opened.load_full() {
            return Ok(opened);
        }
        let _once = self.opening.lock();
        if let Some(opened) = self.opened.load_full() {
            return Ok(opened);
        }
        let opened = Arc::new(self.open()?);
        self.opened.store(Some(opened.clone()));
        Ok(opened)
    }

    fn open(&self) -> Result<Opened, StorageError> {
        let failed = |operation| move |error| StorageError::io(operation, &self.path, error);
        let file = self.fs.open(&self.path, true).map_err(failed("open"))?;
        let file_len = file.len().map_err(failed("size"))?;
        let cut_off = self.malformed(0, Malformed("it is shorter than an SSTable can be"));
        let footer_at = file_len.checked_sub(FOOTER_BYTES as u64).ok_or(cut_off)?;
        let mut magic = [0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0).map_err(failed("read"))?;
        if magic != MAGIC {
            return Err(self.malformed(0, Malformed("it does not begin as an SSTable does")));
        }
        let mut bytes = [0; FOOTER_BYTES];
        file.read_exact_at(&mut bytes, footer_at).map_err(failed("read"))?;
        let footer = Footer::decode(&bytes, file_len).map_err(|error| match error {
            FooterError::Malformed(malformed) => self.malformed(footer_at, malformed),
            FooterError::Version(version) => StorageError::Unusable(format!(
                "{} has SSTable format version {version}, this release reads {VERSION}: use the release that wrote it",
                self.path.display()
            )),
        })?;
        let top_index = self.read_section(&*file, footer.top_index)?;
        let top_index = Block::parse(top_index)
            .map_err(|what| self.malformed(footer.top_index.offset, what))?;
        let statistics = self.read_section(&*file, footer.statistics)?;
        let mut statistics = Statistics::decode(&mut statistics.as_slice()).ok_or_else(|| {
            self.malformed(footer.statistics.offset, Malformed("its statistics are malformed"))
        })?;
        statistics.file_bytes = file_len;
        Ok(Opened { file, footer, top_index: Arc::new(top_index), statistics })
    }

    /// Reads bytes that have a checksum; once more if it does not match.
    fn read_checked(&self, file: &dyn File, section: Section) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; section.len as usize];
        for _ in 0..2 {
            file.read_exact_at(&mut bytes, section.offset)
                .map_err(|error| StorageError::io("read", &self.path, error))?;
            if crc32fast::hash(&bytes) == section.crc || planted!(IgnoreChecksums) {
                return Ok(bytes);
            }
        }
        tracing::error!(file = %self.path.display(), offset = section.offset, "checksum does not match");
        Err(self.malformed(section.offset, Malformed("a checksum does not match")))
    }

    fn read_section(&self, file: &dyn File, section: Section) -> Result<Vec<u8>, StorageError> {
        self.read_checked(file, section)
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
        let section = Section { offset: pointer.offset, len: pointer.len, crc: pointer.crc };
        let stored = self.read_checked(&*opened.file, section)?;
        let block = decompress(pointer.codec, stored, pointer.raw_len as usize)
            .and_then(Block::parse)
            .map_err(|what| self.malformed(pointer.offset, what))?;
        let block = Arc::new(block);
        self.cache.insert(key, Cached::Block(block.clone()));
        Ok(block)
    }

    fn filter(&self, opened: &Opened) -> Result<Option<Arc<Filter>>, StorageError> {
        let section = opened.footer.filter;
        // Reading a filter anew for each lookup would cost more than it saves: without one, everything may be there.
        if section.len == 0 || !self.cache.admits(u64::from(section.len)) {
            return Ok(None);
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

    fn read_filter(&self, opened: &Opened) -> Result<Option<Arc<Filter>>, StorageError> {
        let section = opened.footer.filter;
        if section.len == 0 {
            return Ok(None);
        }
        let filter = Filter::new(self.read_section(&*opened.file, section)?).ok_or_else(|| {
            self.malformed(section.offset, Malformed("its filter has an impossible length"))
        })?;
        Ok(Some(Arc::new(filter)))
    }

    /// The index entry that a cursor in an index block is at.
    pub(super) fn index_entry(
        &self,
        opened: &Opened,
        cursor: &BlockCursor,
    ) -> Result<Option<IndexEntry>, StorageError> {
        let Some(entry) = cursor.entry() else { return Ok(None) };
        let Footer { base, file_len, top_index, .. } = opened.footer;
        IndexEntry::decode(entry.key, entry.payload, base, file_len)
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
