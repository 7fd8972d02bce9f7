//! Which deletions are in force at any key of an SSTable, without walking to it: what the index says of the start of its
//! block, and the changes in the block before the key.

use super::block_cursor::{BlockCursor, BlockEntry};
use super::content::decode_content;
use super::format::Malformed;
use super::index::StartState;
use crate::model::entry::Content;
use crate::model::{Deletion, Timestamp, position};

/// Which deletions are in force just before a bound, and how long the prefix of their partition is.
pub(super) struct StateAt {
    partition_len: usize,
    pub(super) partition: Deletion,
    pub(super) range: Deletion,
}

impl StateAt {
    /// What the index says, if the bound is in the partition that it says it of.
    pub(super) fn block_start(separator: &[u8], start: &StartState, bound: &[u8]) -> StateAt {
        let StartState { partition_len, partition, range } = *start;
        if partition_len > 0
            && separator.get(..partition_len).is_some_and(|prefix| bound.starts_with(prefix))
        {
            StateAt { partition_len, partition, range }
        } else {
            StateAt { partition_len: 0, partition: Deletion::NONE, range: Deletion::NONE }
        }
    }

    /// Takes the changes in the block before the bound into account: the last marker and the last header, if they are
    /// of the bound's partition.
    pub(super) fn find(
        &mut self,
        data: &mut BlockCursor,
        bound: &[u8],
        base: Timestamp,
    ) -> Result<(), Malformed> {
        let Some(offset) = data.offset_before(bound)? else { return Ok(()) };
        data.seek_change(offset, false)?;
        let Some(change) = data.entry().filter(|entry| is_in_partition_of(entry, bound)) else {
            return Ok(());
        };
        self.partition_len = change.partition_len;
        match decode_content(&change, base)? {
            Content::Partition(deletion) => {
                self.partition = deletion;
                self.range = Deletion::NONE;
                return Ok(());
            }
            Content::Marker { after, .. } => self.range = after,
            Content::Row(_) => return Err(Malformed("a block's list of changes points to a row")),
        }
        data.seek_change(offset, true)?;
        if let Some(header) = data.entry().filter(|entry| is_in_partition_of(entry, bound))
            && let Content::Partition(deletion) = decode_content(&header, base)?
        {
            self.partition = deletion;
        }
        Ok(())
    }

    /// Whether the partition's header is at or after `lower`.
    pub(super) fn header_is_at_or_after(&self, bound: &[u8], lower: &[u8]) -> bool {
        let prefix = bound.get(..self.partition_len).unwrap_or_default();
        match lower.strip_prefix(prefix) {
            Some(rest) => [position::HEADER].as_slice() >= rest,
            None => prefix > lower,
        }
    }
}

fn is_in_partition_of(entry: &BlockEntry<'_>, bound: &[u8]) -> bool {
    entry.key.get(..entry.partition_len).is_some_and(|prefix| bound.starts_with(prefix))
}
