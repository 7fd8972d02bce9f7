//! Appending blocks that were written elsewhere, as they are stored.
//!
//! Nothing is taken on trust but that the bytes are those that were sent: every entry is decoded, so that the index,
//! the filter and the statistics say what is in the block, and every row is looked into. No row is encoded anew, and
//! nothing is compressed again. Timestamps in the block must be relative to this file's base.

use super::{Output, SsTableWriter};
use crate::StorageError;
use crate::model::Timestamp;
use crate::model::entry::Content;
use crate::model::position;
use crate::model::position::token_of;
use crate::sstable::block::Kind;
use crate::sstable::block_cursor::{BlockCursor, BlockEntry};
use crate::sstable::content::decode_content;
use crate::sstable::index::BlockPointer;
use crate::sstable::options::RowCheck;
use crate::sstable::portion::{DecodedBlock, StoredBlock};

/// Why a block was not appended. The file must then be given up.
#[derive(Debug)]
pub enum AppendError {
    /// The block is not what can come next in an SSTable.
    Malformed(String),
    /// A partition's token is not one of those that may come.
    Outside(i64),
    /// The disk refused.
    Storage(StorageError),
}

impl From<StorageError> for AppendError {
    fn from(error: StorageError) -> Self {
        AppendError::Storage(error)
    }
}

impl From<&str> for AppendError {
    fn from(what: &str) -> Self {
        AppendError::Malformed(what.to_string())
    }
}

impl SsTableWriter {
    /// Appends a block whose keys come after all so far. `admits` says which tokens may come, `check` looks into rows.
    ///
    /// # Errors
    /// `Malformed` and `Outside` for what is in the block, `Storage` for the disk.
    pub fn append(
        &mut self,
        block: &DecodedBlock,
        check: RowCheck,
        admits: &dyn Fn(i64) -> bool,
    ) -> Result<(), AppendError> {
        if !self.data.is_empty() {
            self.finish_data_block()?;
        }
        let mut cursor = block.cursor();
        let (mut entries, mut changes) = (0_usize, 0_usize);
        loop {
            cursor.next().map_err(|what| what.0)?;
            let Some(entry) = cursor.entry() else { break };
            if entry.kind.is_change() {
                check_listed(block, &cursor, changes)?;
                changes += 1;
            }
            self.append_entry(&entry, entries == 0, check, admits)?;
            self.statistics.entry_bytes(cursor.stored_len() as u64);
            entries += 1;
        }
        if entries == 0 {
            return Err("a block is empty".into());
        }
        if changes != block.changes() {
            return Err("a block lists changes that it does not have".into());
        }
        let pointer = self.out.append(block.stored())?;
        Ok(self.index_data_block(pointer, changes > 0)?)
    }

    /// Whether a range deletion is in force after all entries so far: the file can't end here.
    pub fn has_open_deletion(&self) -> bool {
        !self.range_deletion.is_none()
    }

    fn append_entry(
        &mut self,
        entry: &BlockEntry<'_>,
        begins_block: bool,
        check: RowCheck,
        admits: &dyn Fn(i64) -> bool,
    ) -> Result<(), AppendError> {
        let BlockEntry { kind, key, partition_len, .. } = *entry;
        if partition_len < 8 {
            return Err("a key has no token".into());
        }
        let new_partition = self.begins_partition(key, partition_len);
        self.check_order(key, partition_len, new_partition)?;
        if new_partition {
            self.check_prefix_free(key, partition_len)?;
            if !admits(token_of(key)) {
                return Err(AppendError::Outside(token_of(key)));
            }
        }
        self.enter(key, partition_len, new_partition, begins_block);
        let content = decode_content(entry, self.options.base).map_err(|what| what.0)?;
        let max_timestamp = self.note_content(kind, key, content, check)?;
        self.leave(key, partition_len, max_timestamp);
        Ok(())
    }

    /// That neither the last partition's prefix begins the key of another, nor the other way round.
    fn check_prefix_free(&self, key: &[u8], partition_len: usize) -> Result<(), AppendError> {
        let last = self.last_key.get(..self.last_partition_len).unwrap_or_default();
        let prefix = key.get(..partition_len).unwrap_or_default();
        if !last.is_empty() && (key.starts_with(last) || self.last_key.starts_with(prefix)) {
            return Err("a partition's key begins with that of another".into());
        }
        Ok(())
    }

    /// What an entry means for the statistics and the deletions in force; its greatest timestamp.
    fn note_content(
        &mut self,
        kind: Kind,
        key: &[u8],
        content: Content<'_>,
        check: RowCheck,
    ) -> Result<Timestamp, AppendError> {
        match content {
            Content::Row(row) => {
                let summary = check(row).map_err(AppendError::Malformed)?;
                self.statistics.row(&summary);
                Ok(summary.max_timestamp)
            }
            Content::Partition(deletion) => {
                if deletion.is_none() {
                    return Err("a partition deletion deletes nothing".into());
                }
                self.statistics.partition_deletion(deletion);
                self.partition_deletion = deletion;
                Ok(deletion.timestamp)
            }
            Content::Marker { before, after } => {
                let is_bound = matches!(key.last(), Some(&(position::BEFORE | position::AFTER)));
                let says_so = match kind {
                    Kind::Open => !after.is_none(),
                    Kind::Close => !before.is_none(),
                    _ => !before.is_none() && !after.is_none(),
                };
                if before != self.range_deletion || before == after || !is_bound || !says_so {
                    return Err("a range marker does not follow the one before it".into());
                }
                self.statistics.marker(before, after);
                self.range_deletion = after;
                Ok(before.timestamp.max(after.timestamp))
            }
        }
    }
}

/// Whether the block's list of changes has the entry that the cursor is at in that place: else seeks would miss it.
fn check_listed(
    block: &DecodedBlock,
    cursor: &BlockCursor,
    place: usize,
) -> Result<(), AppendError> {
    if place < block.changes() && Some(block.change(place)) == cursor.offset() {
        return Ok(());
    }
    Err("a block does not list a change that it has".into())
}

impl Output {
    fn append(&mut self, block: &StoredBlock) -> Result<BlockPointer, StorageError> {
        let pointer = BlockPointer {
            codec: block.codec,
            offset: self.end(),
            len: block.bytes.len() as u32,
            raw_len: block.raw_len,
            crc: block.crc,
        };
        self.gathered.extend_from_slice(&block.bytes);
        self.write_if_much()?;
        Ok(pointer)
    }
}
