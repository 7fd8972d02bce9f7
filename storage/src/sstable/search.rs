//! Finding one entry of a block, and one row of a file, without a cursor: nothing is copied, and no key is put together.

use std::cmp::Ordering;
use std::sync::Arc;

use super::block::{Block, Kind, MALFORMED_ENTRY, Previous, RawEntry, common_prefix};
use super::format::{Footer, Malformed};
use super::index::{IndexEntry, StartState};
use super::table::{Opened, SsTable};
use crate::StorageError;
use crate::model::entry::{Cursor, Direction, RowRef};
use crate::model::{Deletion, Timestamp, position};

/// An entry of a data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    kind: Kind,
    /// Where its parts are in the block.
    row_head: (usize, usize),
    payload: (usize, usize),
}

impl Block {
    /// The payload of an index block's last entry at or before `target`, if there is one. Each entry is a restart.
    fn floor(&self, target: &[u8]) -> Result<Option<&[u8]>, Malformed> {
        if self.restarts() == 0 {
            return Ok(None);
        }
        let (mut input, end) = self.interval(self.restart_before(target)?);
        let raw = Previous::default().decode(&mut input).ok_or(MALFORMED_ENTRY)?;
        if !input.is_empty() || raw.kind != Kind::Whole {
            return Err(MALFORMED_ENTRY);
        }
        Ok((raw.rest <= target).then(|| self.part((end - raw.payload_len, end))))
    }

    /// The entry of just that key. Keys are compared as they are stored: those in short form with the target's.
    pub(super) fn find(
        &self,
        target: &[u8],
        partition_len: usize,
    ) -> Result<Option<Found>, Malformed> {
        if self.restarts() == 0 {
            return Ok(None);
        }
        let (mut input, end) = self.interval(self.restart_before(target)?);
        let (mut previous, mut row_head) = (Previous::default(), (0, 0));
        let mut search = Search { target, short: None, matched: 0, in_short: false };
        while !input.is_empty() {
            let raw = previous.decode(&mut input).ok_or(MALFORMED_ENTRY)?;
            let payload = (end - input.len() - raw.payload_len, end - input.len());
            if let Some(len) = raw.row_head_len {
                row_head = (payload.0 - len, payload.0);
            }
            if raw.is_short && search.short.is_none() {
                search.short = Some(self.short_target(target, partition_len));
            }
            match search.compare(&raw) {
                Ordering::Equal => return Ok(Some(Found { kind: raw.kind, row_head, payload })),
                Ordering::Greater => break,
                Ordering::Less => {}
            }
        }
        Ok(None)
    }

    /// The target as a stored key with its partition's short form; empty, which no stored key is, if there is none.
    fn short_target(&self, target: &[u8], partition_len: usize) -> Vec<u8> {
        let (partition, rest) = target.split_at(partition_len);
        let mut short = Vec::with_capacity(target.len());
        if self.types().short_form(partition, &mut short).is_none() {
            short.clear();
        } else {
            short.extend_from_slice(rest);
        }
        short
    }

    fn part(&self, (start, end): (usize, usize)) -> &[u8] {
        &self.bytes()[start..end]
    }
}

/// A walk through stored keys in search of one.
struct Search<'a> {
    target: &'a [u8],
    short: Option<Vec<u8>>,
    /// How many bytes the last stored key has in common with the target in the same form.
    matched: usize,
    in_short: bool,
}

impl Search<'_> {
    /// How the next key compares; one in short form that is not the target's is `Less`: it does not say.
    fn compare(&mut self, raw: &RawEntry<'_>) -> Ordering {
        let begins_short = raw.is_short && raw.shared == 0;
        if begins_short || raw.is_short != self.in_short {
            (self.in_short, self.matched) = (raw.is_short, 0);
        }
        let beyond = if raw.is_short { Ordering::Less } else { Ordering::Greater };
        let short = self.short.as_deref().unwrap_or_default();
        let target = if raw.is_short { short } else { self.target };
        match raw.shared.cmp(&self.matched) {
            Ordering::Greater => return Ordering::Less,
            Ordering::Less => {
                self.matched = raw.shared;
                return beyond;
            }
            Ordering::Equal => {}
        }
        let wanted = target.get(self.matched..).unwrap_or_default();
        let common = common_prefix(raw.rest, wanted);
        self.matched += common;
        let (own, wanted) = (&raw.rest[common..], &wanted[common..]);
        match own.iter().chain(raw.kind.implied().as_ref()).cmp(wanted) {
            Ordering::Greater => beyond,
            other => other,
        }
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
    found: Found,
    base: Timestamp,
}

impl BlockRow {
    /// The encoded row.
    pub fn row(&self) -> RowRef<'_> {
        let Found { row_head, payload, .. } = self.found;
        RowRef { head: self.block.part(row_head), body: self.block.part(payload), base: self.base }
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
        let found = block
            .find(key, partition_len)
            .map_err(|what| self.malformed(entry.pointer.offset, what))?;
        let base = opened.footer.base;
        let row = found.filter(|found| found.kind.has_row_head()).map(|found| BlockRow {
            block,
            found,
            base,
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
            let decode = |payload| IndexEntry::decode(usize::MAX, payload, base, file_len);
            let entry = block.floor(key).and_then(|payload| payload.map(decode).transpose());
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
