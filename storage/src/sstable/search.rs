//! Finding one entry of a block, and one row of a file, without a cursor: nothing is copied, and no key is put together.

use std::sync::Arc;

use super::block::{Block, Kind, MALFORMED_ENTRY, Previous, common_prefix};
use super::format::{Footer, Malformed};
use super::index::{IndexEntry, StartState};
use super::table::{Opened, SsTable};
use crate::StorageError;
use crate::model::entry::{Cursor, Direction, RowRef};
use crate::model::{Deletion, Timestamp, position};

/// The last entry at or before a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) kind: Kind,
    /// Whether its key is that key.
    pub(super) is_equal: bool,
    /// Where its payload is in the block.
    payload: (usize, usize),
}

impl Block {
    /// The last entry at or before `target`, if there is one.
    ///
    /// Keys ascend, so what an entry shares with the one before it mostly says how it compares: as long as that one is
    /// below `target` and has `matched` bytes in common with it, an entry that shares more of it is below `target` for
    /// the same reason, and one that shares less is above. Only where it shares just as much are bytes compared.
    pub(super) fn floor(&self, target: &[u8]) -> Result<Option<Floor>, Malformed> {
        if self.restarts() == 0 {
            return Ok(None);
        }
        let (mut input, end) = self.interval(self.restart_before(target)?);
        let (mut previous, mut matched, mut found) = (Previous::default(), 0, None);
        while !input.is_empty() {
            let raw = previous.decode(&mut input).ok_or(MALFORMED_ENTRY)?;
            if raw.shared < matched {
                break;
            }
            let mut is_equal = false;
            if raw.shared == matched {
                let rest = target.get(matched..).unwrap_or_default();
                let common = common_prefix(raw.rest, rest);
                matched += common;
                let (own, wanted) = (&raw.rest[common..], &rest[common..]);
                match own.iter().chain(raw.kind.implied().as_ref()).cmp(wanted) {
                    std::cmp::Ordering::Greater => break,
                    std::cmp::Ordering::Equal => is_equal = true,
                    std::cmp::Ordering::Less => {}
                }
            }
            let payload_end = end - input.len();
            let payload = (payload_end - raw.payload_len, payload_end);
            found = Some(Floor { kind: raw.kind, is_equal, payload });
            if is_equal {
                break;
            }
        }
        Ok(found)
    }

    /// The payload of what [`floor`](Self::floor) found in this block.
    pub(super) fn payload_of(&self, floor: &Floor) -> &[u8] {
        &self.bytes()[floor.payload.0..floor.payload.1]
    }
}

/// One row and the deletions above it, as a file has them.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// The row.
    pub row: Option<BlockRow>,
    /// The greatest of the partition's deletion and the range deletion in force.
    pub deletion: Deletion,
}

/// A row within its block, which it keeps in memory.
#[derive(Clone, Debug)]
pub struct BlockRow {
    block: Arc<Block>,
    payload: (usize, usize),
    base: Timestamp,
}

impl BlockRow {
    /// The encoded row.
    pub fn row(&self) -> RowRef<'_> {
        let (start, end) = self.payload;
        RowRef { bytes: &self.block.bytes()[start..end], base: self.base }
    }
}

impl SsTable {
    /// The row of a full key, and the deletions above it; `None` if the filter says that nothing of its partition is
    /// here.
    ///
    /// # Errors
    /// What its blocks meet.
    pub fn row(
        self: &Arc<Self>,
        key: &[u8],
        partition_len: usize,
    ) -> Result<Option<TableRow>, StorageError> {
        let opened = self.opened()?;
        if !self.may_contain(&key[..partition_len])? {
            return Ok(None);
        }
        let Some(entry) = self.index_entry_of(opened, key)? else {
            return Ok(Some(TableRow { row: None, deletion: Deletion::NONE }));
        };
        let block = self.block(opened, entry.pointer)?;
        let floor = block.floor(key).map_err(|what| self.malformed(entry.pointer.offset, what))?;
        let is_row =
            |floor: &Floor| floor.is_equal && matches!(floor.kind, Kind::Row | Kind::StaticRow);
        let row = floor.filter(is_row).map(|Floor { payload, .. }| BlockRow {
            block,
            payload,
            base: opened.footer.base,
        });
        let deletion = if entry.has_changes || entry.start != StartState::NONE {
            self.deletion_above(key, partition_len)?
        } else {
            Deletion::NONE
        };
        Ok(Some(TableRow { row, deletion }))
    }

    /// The index entry of the block that a key lies in or would lie in.
    fn index_entry_of(
        &self,
        opened: &Opened,
        key: &[u8],
    ) -> Result<Option<IndexEntry>, StorageError> {
        let Footer { base, file_len, top_index, .. } = opened.footer;
        let entry_in = |block: &Block, offset| -> Result<Option<IndexEntry>, StorageError> {
            // Its key is not put together here; that of an entry at or before `key` may be as long as any.
            let decode =
                |floor| IndexEntry::decode(usize::MAX, block.payload_of(&floor), base, file_len);
            let entry = block.floor(key).and_then(|floor| floor.map(decode).transpose());
            entry.map_err(|what| self.malformed(offset, what))
        };
        let Some(top) = entry_in(&opened.top_index, top_index.offset)? else { return Ok(None) };
        let index = self.block(opened, top.pointer)?;
        entry_in(&index, top.pointer.offset)
    }

    /// The greatest of the deletions of a key's partition and range.
    fn deletion_above(
        self: &Arc<Self>,
        key: &[u8],
        partition_len: usize,
    ) -> Result<Deletion, StorageError> {
        let after = [key, &[0]].concat();
        let cursor = self.cursor(key, Some(&after), Direction::Forward)?;
        if key[partition_len..] == [position::STATIC] {
            return Ok(cursor.partition_deletion());
        }
        Ok(cursor.partition_deletion().max(cursor.open_deletion()))
    }
}
