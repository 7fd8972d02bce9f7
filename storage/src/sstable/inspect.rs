//! A look at one file as it lies on disk, block by block: for tools and verification.
//!
//! Nothing here uses a cache or remembers anything. What is damaged is told and passed over: after a bad data block come
//! the next one's entries, after a bad index block those that the next index block points to. Without a footer nothing
//! can be found in a file.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::block::Block;
use super::block_cursor::BlockCursor;
use super::content::decode_content;
use super::damage::{Damage, KeyRange, corruption};
use super::file::SsTableFile;
use super::filter::Filter;
use super::format::{Footer, VERSION};
use super::index::{Codec, IndexEntry};
use super::statistics::Statistics;
use crate::StorageError;
use crate::fs::Fs;
use crate::model::Timestamp;
use crate::model::entry::Entry;

/// A walk through the blocks of a file.
#[derive(Debug)]
pub struct Inspector {
    file: SsTableFile,
    /// Index blocks that were not looked at yet; `None` before the top index was.
    index_blocks: Option<VecDeque<Pointer>>,
    /// Data blocks of the current index block that were not looked at yet.
    data_blocks: VecDeque<Pointer>,
    overview: Overview,
}

/// An index entry, with the keys of what it points to.
#[derive(Clone, Debug)]
struct Pointer {
    entry: IndexEntry,
    keys: KeyRange,
}

/// Blocks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTotals {
    /// How many.
    pub blocks: u64,
    /// Bytes as they are stored.
    pub stored_bytes: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// How many are stored as they are.
    pub uncompressed: u64,
    /// How many are compressed with LZ4.
    pub lz4: u64,
    /// How many are compressed with Zstandard.
    pub zstd: u64,
}

/// What a file is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// Format version.
    pub version: u32,
    /// Its length.
    pub file_bytes: u64,
    /// What timestamps in it are relative to.
    pub base: Timestamp,
    /// Data blocks that the walk has come by.
    pub data: BlockTotals,
    /// Index blocks that the walk has come by.
    pub index: BlockTotals,
    /// Bytes of the top index.
    pub top_index_bytes: u64,
    /// Bytes of the filter; 0 if there is none.
    pub filter_bytes: u64,
}

impl Inspector {
    /// Opens the file and reads its footer.
    ///
    /// # Errors
    /// `Corrupt` if the ends of the file are not those of an SSTable, `Unusable` for another version, `Io`.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<Inspector, StorageError> {
        let file = SsTableFile::open(fs, path)?;
        let Footer { base, file_len, top_index, filter, .. } = file.footer;
        let overview = Overview {
            version: VERSION,
            file_bytes: file_len,
            base,
            top_index_bytes: u64::from(top_index.len),
            filter_bytes: u64::from(filter.len),
            ..Overview::default()
        };
        Ok(Inspector { file, index_blocks: None, data_blocks: VecDeque::new(), overview })
    }

    /// What the file says is in it.
    ///
    /// # Errors
    /// `Corrupt` and `Io`.
    pub fn statistics(&self) -> Result<Statistics, StorageError> {
        self.file.statistics()
    }

    /// The share of absent partitions that the filter lets through, computed from its bits; `None` without a filter.
    ///
    /// # Errors
    /// `Corrupt` and `Io`.
    pub fn filter_false_positives(&self) -> Result<Option<f64>, StorageError> {
        Ok(self.filter()?.map(|filter| filter.false_positives()))
    }

    /// What is known so far: sections from the beginning, blocks as the walk comes by.
    pub fn overview(&self) -> &Overview {
        &self.overview
    }

    /// Counts all blocks without reading those of data, and says what of the index is damaged. The walk is then at its
    /// end.
    ///
    /// # Errors
    /// `Io`.
    pub fn count_blocks(&mut self) -> Result<Vec<Damage>, StorageError> {
        let mut damages = Vec::new();
        while let Some(step) = self.next_pointer()? {
            damages.extend(step.err());
        }
        Ok(damages)
    }

    /// The next data block, or what is damaged in its place; `None` at the end.
    ///
    /// # Errors
    /// `Io`: the walk can go on, but blocks were not looked at.
    pub fn next_block(&mut self) -> Step<InspectedBlock> {
        let Pointer { entry, keys } = match self.next_pointer()? {
            None => return Ok(None),
            Some(Err(damage)) => return Ok(Some(Err(damage))),
            Some(Ok(pointer)) => pointer,
        };
        let base = self.file.footer.base;
        let block = match self.file.block(entry.pointer) {
            Ok(block) => block,
            Err(error) => return damage_of(error, Some(keys)).map(|damage| Some(Err(damage))),
        };
        let cursor = BlockCursor::new(Arc::new(block));
        Ok(Some(Ok(InspectedBlock { entry, keys, cursor, base, ended: false })))
    }

    /// The next entry of an index block.
    fn next_pointer(&mut self) -> Step<Pointer> {
        loop {
            if let Some(pointer) = self.data_blocks.pop_front() {
                self.overview.data.count(&pointer.entry);
                return Ok(Some(Ok(pointer)));
            }
            if self.index_blocks.is_none() {
                self.index_blocks = Some(VecDeque::new());
                let offset = self.file.footer.top_index.offset;
                let top_index = self.file.top_index();
                match top_index.and_then(|block| self.pointers(block, offset, KeyRange::ALL)) {
                    Ok(found) => self.index_blocks = Some(found),
                    Err(error) => {
                        return damage_of(error, Some(KeyRange::ALL))
                            .map(|damage| Some(Err(damage)));
                    }
                }
            }
            let next = self.index_blocks.as_mut().and_then(VecDeque::pop_front);
            let Some(Pointer { entry, keys }) = next else { return Ok(None) };
            self.overview.index.count(&entry);
            let block = self.file.block(entry.pointer);
            match block.and_then(|block| self.pointers(block, entry.pointer.offset, keys.clone())) {
                Ok(found) => self.data_blocks = found,
                Err(error) => return damage_of(error, Some(keys)).map(|damage| Some(Err(damage))),
            }
        }
    }

    /// All entries of an index block, which has these keys.
    fn pointers(
        &self,
        block: Block,
        offset: u64,
        keys: KeyRange,
    ) -> Result<VecDeque<Pointer>, StorageError> {
        let Footer { base, file_len, .. } = self.file.footer;
        let malformed = |what| self.file.malformed(offset, what);
        let mut cursor = BlockCursor::new(Arc::new(block));
        let mut found: VecDeque<Pointer> = VecDeque::new();
        loop {
            cursor.next().map_err(malformed)?;
            let Some(stored) = cursor.entry() else { break };
            let entry = IndexEntry::decode(stored.key.len(), stored.payload, base, file_len)
                .map_err(malformed)?;
            if let Some(last) = found.back_mut() {
                last.keys.upper = Some(stored.key.to_vec());
            }
            let keys = KeyRange { lower: stored.key.to_vec(), upper: keys.upper.clone() };
            found.push_back(Pointer { entry, keys });
        }
        Ok(found)
    }

    pub(super) fn filter(&self) -> Result<Option<Filter>, StorageError> {
        self.file.filter()
    }
}

/// One step of a walk: something, what is damaged instead, or the end.
pub type Step<T> = Result<Option<Result<T, Damage>>, StorageError>;

impl BlockTotals {
    fn count(&mut self, entry: &IndexEntry) {
        self.blocks += 1;
        self.stored_bytes += u64::from(entry.pointer.len);
        self.raw_bytes += u64::from(entry.pointer.raw_len);
        *match entry.pointer.codec {
            Codec::Raw => &mut self.uncompressed,
            Codec::Lz4 => &mut self.lz4,
            Codec::Zstd => &mut self.zstd,
        } += 1;
    }
}

/// A data block and a place in it.
#[derive(Debug)]
pub struct InspectedBlock {
    pub(super) entry: IndexEntry,
    pub(super) keys: KeyRange,
    cursor: BlockCursor,
    base: Timestamp,
    ended: bool,
}

impl InspectedBlock {
    /// Where in the file it is.
    pub fn offset(&self) -> u64 {
        self.entry.pointer.offset
    }

    /// Bytes as it is stored.
    pub fn stored_bytes(&self) -> u64 {
        u64::from(self.entry.pointer.len)
    }

    /// Bytes before compression.
    pub fn raw_bytes(&self) -> u64 {
        u64::from(self.entry.pointer.raw_len)
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// The rest of the block does not decode, although its checksum matches.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, Damage> {
        if self.ended {
            return Ok(None);
        }
        if let Err(what) = self.cursor.next() {
            self.ended = true;
            return Err(self.damage(what.0));
        }
        // Borrowed anew below: an entry that is bad ends the walk.
        let is_sound = match self.cursor.entry() {
            None => {
                self.ended = true;
                return Ok(None);
            }
            Some(entry) => decode_content(&entry, self.base).map(drop),
        };
        if let Err(what) = is_sound {
            self.ended = true;
            return Err(self.damage(what.0));
        }
        let entry = self.cursor.entry();
        Ok(entry.and_then(|entry| {
            let content = decode_content(&entry, self.base).ok()?;
            Some(Entry { key: entry.key, partition_len: entry.partition_len, content })
        }))
    }

    /// Something in this block does not hold.
    pub(super) fn damage(&self, what: impl Into<String>) -> Damage {
        Damage { offset: self.offset(), what: what.into(), keys: Some(self.keys.clone()) }
    }
}

/// What an error says is damaged; other errors stay what they are.
pub(super) fn damage_of(
    error: StorageError,
    keys: Option<KeyRange>,
) -> Result<Damage, StorageError> {
    match corruption(&error) {
        Some((offset, what)) => Ok(Damage { offset, what: what.to_string(), keys }),
        None => Err(error),
    }
}

/// The keys that are lost when what is at that offset can't be used: those of a data or index block; none for the filter
/// and the statistics; all for anything else.
pub(super) fn keys_at(fs: &dyn Fs, path: &Path, offset: u64) -> Option<KeyRange> {
    let Ok(mut inspector) = Inspector::open(fs, path) else { return Some(KeyRange::ALL) };
    let Footer { filter, statistics, .. } = inspector.file.footer;
    if [filter, statistics].iter().any(|section| section.len > 0 && section.offset == offset) {
        return None;
    }
    let range = inspector.statistics().ok();
    let within = |keys: KeyRange| match &range {
        Some(statistics) => keys.within(&statistics.min_key, &statistics.max_key),
        None => keys,
    };
    loop {
        let found = match inspector.next_pointer() {
            Ok(Some(Ok(pointer))) => (pointer.entry.pointer.offset, Some(pointer.keys)),
            Ok(Some(Err(damage))) => (damage.offset, damage.keys),
            Ok(None) | Err(_) => break,
        };
        if let (at, Some(keys)) = found
            && at == offset
        {
            return Some(within(keys));
        }
    }
    Some(within(KeyRange::ALL))
}
