//! Writing an SSTable: one pass over ascending entries, constant memory but for 8 bytes per partition (for the filter).

mod append;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::append::AppendError;
use super::block::{BlockBuilder, Kind, NewEntry, common_prefix};
use super::compression::compress;
use super::content::encode_marker;
use super::filter;
use super::format::{Footer, MAGIC, Section, encode_deletion};
use super::index::{BlockPointer, IndexEntry, StartState};
use super::options::SsTableOptions;
use super::short_key::KeyTypes;
use super::statistics::{Statistics, StatisticsBuilder};
use crate::StorageError;
use crate::fs::{File, Fs};
use crate::model::entry::{Content, Entry};
use crate::model::position;
use crate::model::{Deletion, Timestamp};
use crate::planted::planted;

/// Finished blocks are handed to the system once so many bytes have gathered.
const WRITE_BYTES: usize = 1 << 20;

/// Writes one SSTable. Dropped before [`finish`](Self::finish), it leaves a file that no one knows: an orphan.
#[derive(Debug)]
pub struct SsTableWriter {
    fs: Arc<dyn Fs>,
    out: Output,
    options: SsTableOptions,
    data: BlockBuilder,
    index: BlockBuilder,
    top_index: BlockBuilder,
    /// The index key of the data block that is being built.
    separator: Vec<u8>,
    /// The key of the first entry of the index block that is being built.
    index_separator: Vec<u8>,
    start: StartState,
    block_max_timestamp: Timestamp,
    index_max_timestamp: Timestamp,
    one_partition: bool,
    last_key: Vec<u8>,
    last_partition_len: usize,
    partition_deletion: Deletion,
    range_deletion: Deletion,
    hashes: Vec<u64>,
    statistics: StatisticsBuilder,
    payload: Vec<u8>,
}

impl SsTableWriter {
    /// Creates the file, which must not exist.
    pub fn create(
        fs: Arc<dyn Fs>,
        path: PathBuf,
        options: SsTableOptions,
    ) -> Result<Self, StorageError> {
        let file = fs.create(&path).map_err(|error| StorageError::io("create", &path, error))?;
        let out = Output {
            file,
            path,
            offset: 0,
            gathered: Vec::from(MAGIC),
            raw: Vec::new(),
            stored: Vec::new(),
        };
        Ok(SsTableWriter {
            fs,
            out,
            options,
            data: BlockBuilder::new(options.key_types),
            index: BlockBuilder::new(KeyTypes::NONE),
            top_index: BlockBuilder::new(KeyTypes::NONE),
            separator: Vec::new(),
            index_separator: Vec::new(),
            start: StartState::NONE,
            block_max_timestamp: Timestamp::MIN,
            index_max_timestamp: Timestamp::MIN,
            one_partition: true,
            last_key: Vec::new(),
            last_partition_len: 0,
            partition_deletion: Deletion::NONE,
            range_deletion: Deletion::NONE,
            hashes: Vec::new(),
            statistics: StatisticsBuilder::default(),
            payload: Vec::new(),
        })
    }

    /// Adds the next entry; keys must ascend, and range deletions be closed before the partition ends.
    ///
    /// # Errors
    /// `Unusable` if they do not, or if the row codec refuses a row: the file must then be given up.
    pub fn add(&mut self, entry: Entry<'_>) -> Result<(), StorageError> {
        let Entry { key, partition_len, content } = entry;
        let new_partition = self.begins_partition(key, partition_len);
        self.check_order(key, partition_len, new_partition).map_err(|why| self.refuse(why))?;
        if self.data.len() >= self.options.block_bytes && !self.data.is_empty() {
            self.finish_data_block()?;
        }
        self.enter(key, partition_len, new_partition, self.data.is_empty());
        let (kind, max_timestamp) = self.encode_content(key, content)?;
        let before = self.data.len();
        let row_head = match content {
            Content::Row(row) => row.head,
            _ => &[],
        };
        let payload = &self.payload;
        self.data.add(NewEntry { kind, key, partition_len, row_head, payload });
        self.statistics.entry_bytes((self.data.len() - before) as u64);
        self.leave(key, partition_len, max_timestamp);
        Ok(())
    }

    /// Bytes written so far, roughly: for cutting compaction outputs.
    pub fn bytes(&self) -> u64 {
        self.out.end() + (self.data.len() + self.index.len()) as u64
    }

    /// Writes what is left, syncs the file and its directory.
    pub fn finish(mut self) -> Result<Statistics, StorageError> {
        if !self.range_deletion.is_none() {
            return Err(self.refuse("its last range deletion is not closed"));
        }
        if !self.data.is_empty() {
            self.finish_data_block()?;
        }
        if !self.index.is_empty() {
            self.finish_index_block()?;
        }
        self.statistics.end_partition(&self.last_key[..self.last_partition_len]);
        let mut bytes = Vec::new();
        self.top_index.finish(&mut bytes);
        let top_index = self.out.section(&bytes)?;
        let filter =
            self.out.section(&filter::build(&self.hashes, self.options.filter_false_positives))?;
        self.statistics.statistics.max_key = std::mem::take(&mut self.last_key);
        let mut statistics = std::mem::take(&mut self.statistics).finish(self.options.written_at);
        bytes.clear();
        statistics.encode(&mut bytes);
        let section = self.out.section(&bytes)?;
        let file_len = self.out.end() + super::format::FOOTER_BYTES as u64;
        let footer =
            Footer { top_index, filter, statistics: section, base: self.options.base, file_len };
        self.out.gathered.extend_from_slice(&footer.encode());
        self.out.write()?;
        self.out.sync(&*self.fs)?;
        statistics.file_bytes = file_len;
        Ok(statistics)
    }

    /// Gives the file up and removes it.
    pub fn abandon(self) -> Result<(), StorageError> {
        let path = self.out.path.clone();
        drop(self.out);
        self.fs.remove(&path).map_err(|error| StorageError::io("remove", path, error))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.out.path
    }

    fn refuse(&self, why: &str) -> StorageError {
        StorageError::Unusable(format!(
            "the SSTable {} cannot be written: {why}",
            self.out.path.display()
        ))
    }

    fn begins_partition(&self, key: &[u8], partition_len: usize) -> bool {
        self.statistics.statistics.partitions == 0
            || self.last_key.get(..self.last_partition_len) != key.get(..partition_len)
    }

    /// Why an entry can't come next, if it can't.
    fn check_order(
        &self,
        key: &[u8],
        partition_len: usize,
        new_partition: bool,
    ) -> Result<(), &'static str> {
        if partition_len >= key.len() {
            return Err("a key has no position");
        }
        if key <= self.last_key.as_slice() {
            return Err("keys do not ascend");
        }
        if new_partition && !self.range_deletion.is_none() {
            return Err("a range deletion is not closed at the end of its partition");
        }
        Ok(())
    }

    /// Before an entry: what a new partition and a new block begin with.
    fn enter(&mut self, key: &[u8], partition_len: usize, new_partition: bool, begins_block: bool) {
        if new_partition {
            (self.partition_deletion, self.range_deletion) = (Deletion::NONE, Deletion::NONE);
            self.statistics.end_partition(&self.last_key[..self.last_partition_len]);
            self.statistics.statistics.partitions += 1;
            self.hashes.push(filter::hash(&key[..partition_len]));
        }
        if !begins_block {
            self.one_partition &= !new_partition;
            return;
        }
        self.separator.clear();
        if !self.last_key.is_empty() {
            let differs_at = common_prefix(&self.last_key, key);
            self.separator.extend_from_slice(&key[..key.len().min(differs_at + 1)]);
        }
        let (partition, range) = (self.partition_deletion, self.range_deletion);
        self.start = StartState { partition_len, partition, range };
        self.one_partition = true;
    }

    /// After an entry.
    fn leave(&mut self, key: &[u8], partition_len: usize, max_timestamp: Timestamp) {
        self.block_max_timestamp = self.block_max_timestamp.max(max_timestamp);
        if self.last_key.is_empty() {
            self.statistics.statistics.min_key = key.to_vec();
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.last_partition_len = partition_len;
    }

    /// Encodes the content into `payload`, tracks deletions and statistics. Returns the kind of entry and its greatest
    /// timestamp.
    fn encode_content(
        &mut self,
        key: &[u8],
        content: Content<'_>,
    ) -> Result<(Kind, Timestamp), StorageError> {
        self.payload.clear();
        let base = self.options.base;
        match content {
            Content::Row(row) => {
                let summary = (self.options.transcode)(row, base, &mut self.payload)
                    .map_err(|what| self.refuse(&what))?;
                self.statistics.row(&summary);
                let kind = match key.last() {
                    Some(&position::ROW) => Kind::Row,
                    Some(&position::STATIC) => Kind::StaticRow,
                    _ => return Err(self.refuse("a row is not at a row's position")),
                };
                Ok((kind, summary.max_timestamp))
            }
            Content::Partition(deletion) => {
                if key.last() != Some(&position::HEADER) {
                    return Err(self.refuse("a partition deletion is not at its position"));
                }
                self.statistics.partition_deletion(deletion);
                self.partition_deletion = deletion;
                encode_deletion(&mut self.payload, deletion, base);
                Ok((Kind::Header, deletion.timestamp))
            }
            Content::Marker { before, after } => {
                if before != self.range_deletion || before == after {
                    return Err(self.refuse("a range marker does not follow the one before it"));
                }
                self.statistics.marker(before, after);
                self.range_deletion = after;
                let kind = encode_marker(&mut self.payload, before, after, base);
                Ok((kind, before.timestamp.max(after.timestamp)))
            }
        }
    }

    fn finish_data_block(&mut self) -> Result<(), StorageError> {
        let has_changes = self.data.has_changes();
        let pointer = self.out.block(&mut self.data, &self.options)?;
        self.index_data_block(pointer, has_changes)
    }

    /// Enters a data block that was written into the index.
    fn index_data_block(
        &mut self,
        pointer: BlockPointer,
        has_changes: bool,
    ) -> Result<(), StorageError> {
        self.statistics.statistics.uncompressed_bytes += u64::from(pointer.raw_len);
        let mut start = self.start;
        if start.partition.is_none() && start.range.is_none() {
            start = StartState::NONE;
        }
        let entry = IndexEntry {
            pointer,
            max_timestamp: self.block_max_timestamp,
            has_changes,
            one_partition: self.one_partition,
            start,
        };
        self.payload.clear();
        entry.encode(self.options.base, &mut self.payload);
        if self.index.is_empty() {
            self.index_separator.clone_from(&self.separator);
        }
        self.index.add(NewEntry::whole(&self.separator, &self.payload));
        self.index_max_timestamp = self.index_max_timestamp.max(self.block_max_timestamp);
        self.block_max_timestamp = Timestamp::MIN;
        if self.index.len() >= self.options.block_bytes {
            self.finish_index_block()
        } else {
            Ok(())
        }
    }

    fn finish_index_block(&mut self) -> Result<(), StorageError> {
        let pointer = self.out.block(&mut self.index, &self.options)?;
        let entry = IndexEntry {
            pointer,
            max_timestamp: self.index_max_timestamp,
            has_changes: false,
            one_partition: false,
            start: StartState::NONE,
        };
        self.index_max_timestamp = Timestamp::MIN;
        self.payload.clear();
        entry.encode(self.options.base, &mut self.payload);
        self.top_index.add(NewEntry::whole(&self.index_separator, &self.payload));
        Ok(())
    }
}

/// The file's end: bytes gather here and are written in large pieces.
#[derive(Debug)]
struct Output {
    file: Arc<dyn File>,
    path: PathBuf,
    offset: u64,
    gathered: Vec<u8>,
    raw: Vec<u8>,
    stored: Vec<u8>,
}

impl Output {
    fn end(&self) -> u64 {
        self.offset + self.gathered.len() as u64
    }

    fn block(
        &mut self,
        builder: &mut BlockBuilder,
        options: &SsTableOptions,
    ) -> Result<BlockPointer, StorageError> {
        builder.finish(&mut self.raw);
        let codec = compress(options.compression, &self.raw, &mut self.stored);
        let stored = if codec == super::index::Codec::Raw { &self.raw } else { &self.stored };
        let too_large =
            |_| StorageError::MutationTooLarge { bytes: self.raw.len(), limit: u32::MAX as usize };
        let pointer = BlockPointer {
            codec,
            offset: self.end(),
            len: u32::try_from(stored.len()).map_err(too_large)?,
            raw_len: u32::try_from(self.raw.len()).map_err(too_large)?,
            crc: crc32fast::hash(stored),
        };
        self.gathered.extend_from_slice(stored);
        self.write_if_much()?;
        Ok(pointer)
    }

    fn write_if_much(&mut self) -> Result<(), StorageError> {
        if self.gathered.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn section(&mut self, bytes: &[u8]) -> Result<Section, StorageError> {
        let len = u32::try_from(bytes.len()).map_err(|_| StorageError::MutationTooLarge {
            bytes: bytes.len(),
            limit: u32::MAX as usize,
        })?;
        let section = Section { offset: self.end(), len, crc: crc32fast::hash(bytes) };
        self.gathered.extend_from_slice(bytes);
        Ok(section)
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let failed = |error| StorageError::io("write", &self.path, error);
        self.file.write_all_at(&self.gathered, self.offset).map_err(failed)?;
        self.offset += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    fn sync(&self, fs: &dyn Fs) -> Result<(), StorageError> {
        if !planted!(FinishWithoutSync) {
            self.file.sync_data().map_err(|error| StorageError::io("sync", &self.path, error))?;
        }
        if planted!(FinishWithoutNames) {
            return Ok(());
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        fs.sync_dir(dir)
            .map_err(|error| StorageError::io("sync the directory of", &self.path, error))
    }
}
