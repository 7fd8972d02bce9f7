//! A block: entries with prefix-compressed keys, for data and index alike.
//!
//! Layout: entries | offsets of changes (u32 each) | offsets of restarts (u32 each) | types of the partition key (1 byte
//! each) | their number (1 byte) | number of changes (u32) | number of restarts (u32). A *change* is an entry that changes
//! which deletions are in force (a partition header or a range marker); listing them makes the state at any key findable
//! without walking the block.
//!
//! Entry: head byte, then those of {varint length shared with the previous stored key, varint length of the rest of the
//! key, varint length of the partition prefix, varint length of the payload} that the head announces, the rest of the
//! key, the row's head with its varint length if the kind has it, the payload (of a row its body). What is not announced
//! is as at the previous entry: as much is shared, the stored key is as long, the payload too; the partition is the same
//! if its whole prefix is shared, and otherwise as much follows its prefix in the stored key. At a restart nothing is
//! shared and the lengths are announced. The stored key leaves out the last byte where the kind implies it.
//!
//! A partition that begins between restarts has the [short form](super::short_key) of its prefix in its stored keys up to
//! the next restart, if it has one. Nothing is shared by stored keys of two forms, or of two partitions in short form.

mod builder;
mod entry;
mod interval;

pub(super) use self::builder::{BlockBuilder, NewEntry};
pub(super) use self::entry::{Kind, Previous, RawEntry};
pub(super) use self::interval::{Decoded, Interval};
use super::format::Malformed;
use super::short_key::KeyTypes;

/// How many bytes two keys have in common at their beginning.
pub(super) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// A decompressed block. Its trailer was checked; its entries are checked as they are decoded.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Box<[u8]>,
    /// Where entries end and the trailer begins.
    entries_len: usize,
    changes: usize,
    restarts: usize,
    types: KeyTypes,
}

impl Block {
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Block, Malformed> {
        let cut = Malformed("a block is shorter than its trailer");
        let numbers_at = bytes.len().checked_sub(8).ok_or(cut)?;
        let [changes, restarts] = [0, 4].map(|at| read_u32(&bytes, numbers_at + at) as usize);
        let (&types, before) = bytes[..numbers_at].split_last().ok_or(cut)?;
        let offsets_end = before.len().checked_sub(usize::from(types)).ok_or(cut)?;
        let types = KeyTypes::decode(&before[offsets_end..])
            .ok_or(Malformed("a block's keys have types that are not known"))?;
        let offsets =
            changes.checked_add(restarts).and_then(|numbers| numbers.checked_mul(4)).ok_or(cut)?;
        let entries_len = offsets_end.checked_sub(offsets).ok_or(cut)?;
        let block =
            Block { bytes: bytes.into_boxed_slice(), entries_len, changes, restarts, types };
        let ascending = |len: usize, at: &dyn Fn(usize) -> usize| {
            (0..len)
                .all(|index| at(index) < entries_len && (index == 0 || at(index - 1) < at(index)))
        };
        let starts_right =
            if restarts == 0 { entries_len == 0 && changes == 0 } else { block.restart(0) == 0 };
        let in_order = ascending(restarts, &|index| block.restart(index))
            && ascending(changes, &|index| block.change(index));
        if starts_right && in_order {
            Ok(block)
        } else {
            Err(Malformed("a block's trailer is out of order"))
        }
    }

    /// Bytes of memory it takes.
    pub(super) fn weight(&self) -> u64 {
        (self.bytes.len() + size_of::<Block>()) as u64
    }

    pub(super) fn restarts(&self) -> usize {
        self.restarts
    }

    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// Offset of a change.
    pub(super) fn change(&self, index: usize) -> usize {
        read_u32(&self.bytes, self.entries_len + 4 * index) as usize
    }

    /// The kind of the entry at an offset.
    pub(super) fn kind_at(&self, offset: usize) -> Option<Kind> {
        self.bytes[..self.entries_len].get(offset).map(|head| Kind::of(*head))
    }

    pub(super) fn restart(&self, index: usize) -> usize {
        read_u32(&self.bytes, self.entries_len + 4 * (self.changes + index)) as usize
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn types(&self) -> KeyTypes {
        self.types
    }

    /// The bytes of the entries from one restart to the next, and the offset where they end.
    pub(super) fn interval(&self, restart: usize) -> (&[u8], usize) {
        let end = self.interval_end(restart);
        (&self.bytes[self.restart(restart)..end], end)
    }

    fn interval_end(&self, restart: usize) -> usize {
        if restart + 1 < self.restarts { self.restart(restart + 1) } else { self.entries_len }
    }

    pub(super) fn payload(&self, entry: &Decoded) -> &[u8] {
        &self.bytes[entry.payload.0..entry.payload.1]
    }

    pub(super) fn row_head(&self, entry: &Decoded) -> &[u8] {
        &self.bytes[entry.row_head.0..entry.row_head.1]
    }

    /// The index of the last restart whose key is at or before `target`, or 0.
    pub(super) fn restart_before(&self, target: &[u8]) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.restart_key_is_at_or_before(middle, target)? {
                low = middle
            } else {
                high = middle
            }
        }
        Ok(low)
    }

    fn restart_key_is_at_or_before(
        &self,
        restart: usize,
        target: &[u8],
    ) -> Result<bool, Malformed> {
        let mut input = &self.bytes[self.restart(restart)..self.entries_len];
        let entry = Previous::default().decode(&mut input).ok_or(MALFORMED_ENTRY)?;
        Ok(match (entry.kind.implied(), target.split_at_checked(entry.rest.len())) {
            (None, _) | (_, None) => entry.rest <= target,
            (Some(implied), Some((same, further))) => {
                (entry.rest, [implied].as_slice()) <= (same, further)
            }
        })
    }

    /// Decodes the entries from one restart to the next.
    pub(super) fn decode_interval(
        &self,
        restart: usize,
        into: &mut Interval,
    ) -> Result<(), Malformed> {
        into.keys.clear();
        into.entries.clear();
        let (mut input, end) = self.interval(restart);
        let mut previous = Previous::default();
        let mut row_head = (0, 0);
        while !input.is_empty() {
            let offset = end - input.len();
            let raw = previous.decode(&mut input).ok_or(MALFORMED_ENTRY)?;
            let (key, partition_len) = into.restore(&raw, self.types).ok_or(MALFORMED_ENTRY)?;
            let payload = (end - input.len() - raw.payload_len, end - input.len());
            if let Some(len) = raw.row_head_len {
                row_head = (payload.0 - len, payload.0);
            }
            let entry = Decoded { kind: raw.kind, offset, key, partition_len, row_head, payload };
            into.entries.push(entry);
        }
        if into.entries.is_empty() { Err(MALFORMED_ENTRY) } else { Ok(()) }
    }
}

pub(super) const MALFORMED_ENTRY: Malformed = Malformed("an entry of a block is malformed");

/// The caller has checked that the four bytes are there.
fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let [b0, b1, b2, b3] = [0, 1, 2, 3].map(|index| bytes[at + index]);
    u32::from_le_bytes([b0, b1, b2, b3])
}
