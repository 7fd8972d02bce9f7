//! A position among the data blocks of an SSTable: through the top index and its index blocks, both ways.

use super::block_cursor::BlockCursor;
use super::format::Malformed;
use super::index::IndexEntry;
use super::table::{Opened, SsTable};
use crate::StorageError;

/// A position among the data blocks: at one, or nowhere.
#[derive(Debug)]
pub(super) struct IndexCursor {
    top: BlockCursor,
    index: BlockCursor,
    /// Whether `index` is of the block that `top` is at.
    loaded: bool,
}

impl IndexCursor {
    pub(super) fn new(opened: &Opened) -> Self {
        let top = BlockCursor::new(opened.top_index.clone());
        let index = BlockCursor::new(opened.top_index.clone());
        IndexCursor { top, index, loaded: false }
    }

    /// Goes to the block that `key` lies in or would lie in.
    pub(super) fn seek(
        &mut self,
        table: &SsTable,
        opened: &Opened,
        key: &[u8],
    ) -> Result<(), StorageError> {
        self.top.seek_at_or_before(key).map_err(|what| in_top_index(table, opened, what))?;
        if let Some(offset) = self.load(table, opened)? {
            self.index.seek_at_or_before(key).map_err(|what| table.malformed(offset, what))?;
        }
        Ok(())
    }

    /// Goes to the last block.
    pub(super) fn last(&mut self, table: &SsTable, opened: &Opened) -> Result<(), StorageError> {
        self.top.last().map_err(|what| in_top_index(table, opened, what))?;
        if let Some(offset) = self.load(table, opened)? {
            self.index.last().map_err(|what| table.malformed(offset, what))?;
        }
        Ok(())
    }

    /// Goes to the next block, nowhere after the last.
    pub(super) fn next(&mut self, table: &SsTable, opened: &Opened) -> Result<(), StorageError> {
        if !self.loaded {
            return Ok(());
        }
        self.index.next().map_err(|what| in_top_index(table, opened, what))?;
        if self.index.entry().is_none() {
            self.top.next().map_err(|what| in_top_index(table, opened, what))?;
            if let Some(offset) = self.load(table, opened)? {
                self.index.next().map_err(|what| table.malformed(offset, what))?;
            }
        }
        Ok(())
    }

    /// Goes to the previous block, nowhere before the first.
    pub(super) fn prev(&mut self, table: &SsTable, opened: &Opened) -> Result<(), StorageError> {
        if !self.loaded {
            return Ok(());
        }
        self.index.prev().map_err(|what| in_top_index(table, opened, what))?;
        if self.index.entry().is_none() {
            self.top.prev().map_err(|what| in_top_index(table, opened, what))?;
            if let Some(offset) = self.load(table, opened)? {
                self.index.last().map_err(|what| table.malformed(offset, what))?;
            }
        }
        Ok(())
    }

    /// The key of the index entry.
    pub(super) fn separator(&self) -> Option<&[u8]> {
        if self.loaded { self.index.entry().map(|found| found.key) } else { None }
    }

    /// The index entry and its key.
    pub(super) fn entry(
        &self,
        table: &SsTable,
        opened: &Opened,
    ) -> Result<Option<(&[u8], IndexEntry)>, StorageError> {
        if !self.loaded {
            return Ok(None);
        }
        let Some(entry) = table.index_entry(opened, &self.index)? else { return Ok(None) };
        Ok(self.index.entry().map(|found| (found.key, entry)))
    }

    /// Loads the index block that `top` is at; its offset, or `None` if it is nowhere.
    fn load(&mut self, table: &SsTable, opened: &Opened) -> Result<Option<u64>, StorageError> {
        self.loaded = false;
        let Some(entry) = table.index_entry(opened, &self.top)? else { return Ok(None) };
        self.index.replace(table.block(opened, entry.pointer)?);
        self.loaded = true;
        Ok(Some(entry.pointer.offset))
    }
}

fn in_top_index(table: &SsTable, opened: &Opened, what: Malformed) -> StorageError {
    table.malformed(opened.footer.top_index.offset, what)
}
