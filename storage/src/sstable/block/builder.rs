//! Building a block, entry by entry.

use super::common_prefix;
use super::entry::{
    HAS_KEY_LEN, HAS_PARTITION_LEN, HAS_PAYLOAD_LEN, HAS_SHARED, IS_SHORT, Kind, Lengths,
    SAME_ROW_HEAD,
};
use crate::sstable::format::RESTART_INTERVAL;
use crate::sstable::short_key::{KeyTypes, ShortKey};
use crate::varint::{encode_slice, encode_u64};

/// An entry to be stored.
#[derive(Clone, Copy, Debug)]
pub(in crate::sstable) struct NewEntry<'a> {
    pub(in crate::sstable) kind: Kind,
    /// Ends with the byte that the kind implies.
    pub(in crate::sstable) key: &'a [u8],
    pub(in crate::sstable) partition_len: usize,
    /// Of a row; otherwise empty.
    pub(in crate::sstable) row_head: &'a [u8],
    pub(in crate::sstable) payload: &'a [u8],
}

impl<'a> NewEntry<'a> {
    /// An entry of an index.
    pub(in crate::sstable) fn whole(key: &'a [u8], payload: &'a [u8]) -> Self {
        NewEntry { kind: Kind::Whole, key, partition_len: 0, row_head: &[], payload }
    }
}

/// Builds a block.
#[derive(Debug)]
pub(in crate::sstable) struct BlockBuilder {
    types: KeyTypes,
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    changes: Vec<u32>,
    entries: usize,
    /// The last entry's partition, in its short form too if its stored keys have that.
    partition: Vec<u8>,
    short: ShortKey,
    is_short: bool,
    stored_key: Vec<u8>,
    next_key: Vec<u8>,
    /// Of the last row or static row since the restart; empty if there is none.
    row_head: Vec<u8>,
    previous: Lengths,
}

impl BlockBuilder {
    /// A block whose keys begin with such partition keys.
    pub(in crate::sstable) fn new(types: KeyTypes) -> Self {
        BlockBuilder {
            types,
            bytes: Vec::new(),
            restarts: Vec::new(),
            changes: Vec::new(),
            entries: 0,
            partition: Vec::new(),
            short: ShortKey::default(),
            is_short: false,
            stored_key: Vec::new(),
            next_key: Vec::new(),
            row_head: Vec::new(),
            previous: Lengths::default(),
        }
    }

    pub(in crate::sstable) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes so far, trailer included.
    pub(in crate::sstable) fn len(&self) -> usize {
        let offsets = 4 * (self.restarts.len() + self.changes.len());
        self.bytes.len() + offsets + self.types.len() + 9
    }

    pub(in crate::sstable) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Appends an entry.
    pub(in crate::sstable) fn add(&mut self, entry: NewEntry<'_>) {
        let NewEntry { kind, row_head, payload, .. } = entry;
        // A seek takes one entry of an index: the one it wants, not all since a restart.
        let restart = kind == Kind::Whole || self.entries.is_multiple_of(RESTART_INTERVAL);
        let start = self.bytes.len() as u32;
        if restart {
            self.restarts.push(start);
            self.previous = Lengths::default();
            self.row_head.clear();
        }
        if kind.is_change() {
            self.changes.push(start);
        }
        let (partition_len, may_share) = self.store_key(&entry, restart);
        let shared = if may_share { common_prefix(&self.stored_key, &self.next_key) } else { 0 };
        let key_len = self.next_key.len();
        let lengths = Lengths { shared, key_len, partition_len, payload_len: payload.len() };
        let repeats = kind == Kind::Row && !self.row_head.is_empty() && self.row_head == row_head;
        let kind_bits = if repeats { SAME_ROW_HEAD } else { kind as u8 };
        self.push_lengths(kind_bits, lengths, restart);
        self.bytes.extend_from_slice(&self.next_key[shared..]);
        if kind.has_row_head() && !repeats {
            encode_slice(&mut self.bytes, row_head);
            self.row_head.clear();
            self.row_head.extend_from_slice(row_head);
        }
        self.bytes.extend_from_slice(payload);
        std::mem::swap(&mut self.stored_key, &mut self.next_key);
        self.previous = lengths;
        self.entries += 1;
    }

    /// Puts the entry's stored key into `next_key`; the length of its partition prefix there, and whether it may share
    /// bytes with the stored key before.
    fn store_key(&mut self, entry: &NewEntry<'_>, restart: bool) -> (usize, bool) {
        let NewEntry { kind, key, partition_len, .. } = *entry;
        let (partition, rest) = key.split_at(partition_len);
        let same_partition = !restart && self.partition == partition;
        let was_short = self.is_short;
        if !same_partition {
            self.partition.clear();
            self.partition.extend_from_slice(partition);
            self.is_short = !restart && self.types.shorten(partition, &mut self.short);
        }
        let prefix = if self.is_short { self.short.bytes.as_slice() } else { partition };
        self.next_key.clear();
        self.next_key.extend_from_slice(prefix);
        self.next_key.extend_from_slice(rest);
        self.next_key.truncate(self.next_key.len() - usize::from(kind.implied().is_some()));
        let may_share = !restart && was_short == self.is_short && (same_partition || !was_short);
        (prefix.len(), may_share)
    }

    fn push_lengths(&mut self, kind_bits: u8, lengths: Lengths, restart: bool) {
        let Lengths { shared, key_len, partition_len, payload_len } = lengths;
        let previous = &self.previous;
        let otherwise = previous.partition_len(shared, key_len);
        let mut head = kind_bits | if self.is_short { IS_SHORT } else { 0 };
        for (announced, bit) in [
            (shared != previous.shared, HAS_SHARED),
            (restart || key_len != previous.key_len, HAS_KEY_LEN),
            (restart || Some(partition_len) != otherwise, HAS_PARTITION_LEN),
            (restart || payload_len != previous.payload_len, HAS_PAYLOAD_LEN),
        ] {
            head |= if announced { bit } else { 0 };
        }
        self.bytes.push(head);
        for (bit, len) in [
            (HAS_SHARED, shared),
            (HAS_KEY_LEN, key_len - shared),
            (HAS_PARTITION_LEN, partition_len),
            (HAS_PAYLOAD_LEN, payload_len),
        ] {
            if head & bit != 0 {
                encode_u64(&mut self.bytes, len as u64);
            }
        }
    }

    /// The finished block; the builder starts over and keeps its buffers.
    pub(in crate::sstable) fn finish(&mut self, out: &mut Vec<u8>) {
        out.clear();
        out.append(&mut self.bytes);
        for offset in self.changes.iter().chain(&self.restarts) {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        self.types.encode(out);
        out.push(self.types.len() as u8);
        out.extend_from_slice(&(self.changes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.changes.clear();
        self.restarts.clear();
        self.stored_key.clear();
        self.entries = 0;
    }
}
