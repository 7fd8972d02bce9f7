//! The entries from one restart to the next, with their keys whole.

use super::entry::{Kind, RawEntry};
use crate::sstable::format::RESTART_INTERVAL;
use crate::sstable::short_key::KeyTypes;

/// The decoded entries between two restarts.
#[derive(Debug, Default)]
pub(in crate::sstable) struct Interval {
    pub(super) keys: Vec<u8>,
    pub(in crate::sstable) entries: Vec<Decoded>,
    scratch: Vec<u8>,
}

/// Where the parts of an entry are.
#[derive(Clone, Copy, Debug)]
pub(in crate::sstable) struct Decoded {
    pub(in crate::sstable) kind: Kind,
    /// Of the entry in the block.
    pub(in crate::sstable) offset: usize,
    /// Within the interval's keys.
    pub(super) key: (usize, usize),
    pub(in crate::sstable) partition_len: usize,
    /// Within the block; of the row before, if this one is none.
    pub(super) row_head: (usize, usize),
    /// Within the block.
    pub(super) payload: (usize, usize),
}

impl Decoded {
    /// How many bytes of the block the entry takes.
    pub(in crate::sstable) fn stored_len(&self) -> usize {
        self.payload.1 - self.offset
    }
}

impl Interval {
    /// Of nothing, with room for most intervals: growing to it step by step costs more than decoding.
    pub(in crate::sstable) fn with_room() -> Self {
        let keys = Vec::with_capacity(32 * RESTART_INTERVAL);
        Interval { keys, entries: Vec::with_capacity(RESTART_INTERVAL), scratch: Vec::new() }
    }

    pub(in crate::sstable) fn key(&self, entry: &Decoded) -> &[u8] {
        &self.keys[entry.key.0..entry.key.1]
    }

    /// Appends the whole key of the next entry: where it is, and the length of its partition prefix.
    pub(super) fn restore(
        &mut self,
        raw: &RawEntry<'_>,
        types: KeyTypes,
    ) -> Option<((usize, usize), usize)> {
        let Interval { keys, entries, scratch } = self;
        let start = keys.len();
        let (last_start, last_partition_len) =
            entries.last().map_or((0, 0), |entry| (entry.key.0, entry.partition_len));
        let mut partition_len = raw.partition_len;
        let mut rest = raw.rest;
        if !raw.is_short {
            keys.extend_from_within(last_start..last_start + raw.shared);
        } else if raw.shared > 0 {
            // Past the prefix, the stored key has what the whole one has.
            let shared = last_partition_len + raw.shared - raw.partition_len;
            keys.extend_from_within(last_start..last_start + shared);
            partition_len = last_partition_len;
        } else {
            let (short, after) = raw.rest.split_at_checked(raw.partition_len)?;
            types.restore(short, scratch, keys)?;
            partition_len = keys.len() - start;
            rest = after;
        }
        keys.extend_from_slice(rest);
        keys.extend(raw.kind.implied());
        Some(((start, keys.len()), partition_len))
    }
}
