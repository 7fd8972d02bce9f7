//! A block: entries with prefix-compressed keys, for data and index alike.
//!
//! Layout: entries | offsets of changes (u32 each) | offsets of restarts (u32 each) | number of changes (u32) | number
//! of restarts (u32). A *change* is an entry that changes which deletions are in force (a partition header or a range
//! marker); listing them makes the state at any key findable without walking the block.
//!
//! Entry: head byte, then those of {varint length shared with the previous stored key, varint length of the rest of the
//! key, varint length of the partition prefix, varint length of the payload} that the head announces, the rest of the
//! key, the payload. What is not announced is as at the previous entry: as much is shared, the stored key is as long, the
//! payload too; the partition is the same if its whole prefix is shared, and otherwise as much follows its prefix in the
//! stored key. At a restart nothing is shared and the lengths are announced. The stored key leaves out the last byte
//! where the kind implies it.

use super::format::{Malformed, RESTART_INTERVAL};
use crate::model::position;
use crate::varint::{decode_u64, encode_u64};

/// What an entry is: the low 3 bits of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Row = 0,
    StaticRow = 1,
    Header = 2,
    /// A marker with nothing in force before it.
    Open = 3,
    /// A marker with nothing in force after it.
    Close = 4,
    Boundary = 5,
    /// The stored key is the whole key.
    Whole = 6,
}

const KIND_MASK: u8 = 0x07;
const HAS_PARTITION_LEN: u8 = 0x08;
const HAS_KEY_LEN: u8 = 0x10;
const HAS_PAYLOAD_LEN: u8 = 0x20;
const HAS_SHARED: u8 = 0x40;
const KNOWN_BITS: u8 = KIND_MASK | HAS_PARTITION_LEN | HAS_KEY_LEN | HAS_PAYLOAD_LEN | HAS_SHARED;

impl Kind {
    fn of(head: u8) -> Option<Kind> {
        Some(match head & KIND_MASK {
            0 => Kind::Row,
            1 => Kind::StaticRow,
            2 => Kind::Header,
            3 => Kind::Open,
            4 => Kind::Close,
            5 => Kind::Boundary,
            6 => Kind::Whole,
            _ => return None,
        })
    }

    /// The last byte of the key, where it goes without saying.
    pub(super) fn implied(self) -> Option<u8> {
        match self {
            Kind::Row => Some(position::ROW),
            Kind::StaticRow => Some(position::STATIC),
            Kind::Header => Some(position::HEADER),
            _ => None,
        }
    }

    pub(super) fn is_change(self) -> bool {
        matches!(self, Kind::Header | Kind::Open | Kind::Close | Kind::Boundary)
    }
}

/// Builds a block.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    changes: Vec<u32>,
    entries: usize,
    stored_key: Vec<u8>,
    previous: Previous,
}

impl BlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes so far, trailer included.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + 4 * (self.restarts.len() + self.changes.len()) + 8
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Appends an entry. The key must end with the byte that its kind implies.
    pub(super) fn add(&mut self, kind: Kind, key: &[u8], partition_len: usize, payload: &[u8]) {
        let stored = &key[..key.len() - usize::from(kind.implied().is_some())];
        let restart = self.entries.is_multiple_of(RESTART_INTERVAL);
        let start = self.bytes.len() as u32;
        if restart {
            self.restarts.push(start);
        }
        if kind.is_change() {
            self.changes.push(start);
        }
        if restart {
            self.previous = Previous::default();
        }
        let shared = if restart { 0 } else { common_prefix(&self.stored_key, stored) };
        let previous = &self.previous;
        let otherwise = previous.partition_len(shared, stored.len());
        let mut head = kind as u8;
        for (announced, bit) in [
            (shared != previous.shared, HAS_SHARED),
            (restart || stored.len() != previous.key_len, HAS_KEY_LEN),
            (restart || Some(partition_len) != otherwise, HAS_PARTITION_LEN),
            (restart || payload.len() != previous.payload_len, HAS_PAYLOAD_LEN),
        ] {
            head |= if announced { bit } else { 0 };
        }
        self.bytes.push(head);
        for (bit, len) in [
            (HAS_SHARED, shared),
            (HAS_KEY_LEN, stored.len() - shared),
            (HAS_PARTITION_LEN, partition_len),
            (HAS_PAYLOAD_LEN, payload.len()),
        ] {
            if head & bit != 0 {
                encode_u64(&mut self.bytes, len as u64);
            }
        }
        self.bytes.extend_from_slice(&stored[shared..]);
        self.bytes.extend_from_slice(payload);
        self.stored_key.truncate(shared);
        self.stored_key.extend_from_slice(&stored[shared..]);
        let (key_len, payload_len) = (stored.len(), payload.len());
        self.previous = Previous { shared, key_len, partition_len, payload_len };
        self.entries += 1;
    }

    /// The finished block; the builder starts over and keeps its buffers.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        out.clear();
        out.append(&mut self.bytes);
        for offset in self.changes.iter().chain(&self.restarts) {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        out.extend_from_slice(&(self.changes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.changes.clear();
        self.restarts.clear();
        self.stored_key.clear();
        self.entries = 0;
    }
}

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
}

impl Block {
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Block, Malformed> {
        let cut = Malformed("a block is shorter than its trailer");
        let numbers_at = bytes.len().checked_sub(8).ok_or(cut)?;
        let [changes, restarts] = [0, 4].map(|at| read_u32(&bytes, numbers_at + at) as usize);
        let trailer =
            changes.checked_add(restarts).and_then(|numbers| numbers.checked_mul(4)).ok_or(cut)?;
        let entries_len = numbers_at.checked_sub(trailer).ok_or(cut)?;
        let block = Block { bytes: bytes.into_boxed_slice(), entries_len, changes, restarts };
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
        Kind::of(*self.bytes[..self.entries_len].get(offset)?)
    }

    pub(super) fn restart(&self, index: usize) -> usize {
        read_u32(&self.bytes, self.entries_len + 4 * (self.changes + index)) as usize
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
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
        let mut previous = Previous::default();
        let mut input = &self.bytes[self.restart(restart)..self.entries_len];
        let entry = previous.decode(&mut input).ok_or(MALFORMED_ENTRY)?;
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
        let start = self.restart(restart);
        let (mut input, end) = self.interval(restart);
        let mut previous = Previous::default();
        while !input.is_empty() {
            let offset = end - input.len();
            let raw = previous.decode(&mut input).ok_or(MALFORMED_ENTRY)?;
            if offset == start && raw.shared != 0 {
                return Err(MALFORMED_ENTRY);
            }
            let key_start = into.keys.len();
            let shared_start = into.entries.last().map_or(0, |entry: &Decoded| entry.key.0);
            into.keys.extend_from_within(shared_start..shared_start + raw.shared);
            into.keys.extend_from_slice(raw.rest);
            into.keys.extend(raw.kind.implied());
            let key = (key_start, into.keys.len());
            if previous.partition_len > key.1 - key.0 {
                return Err(MALFORMED_ENTRY);
            }
            let payload = (end - input.len() - raw.payload_len, end - input.len());
            let partition_len = previous.partition_len;
            into.entries.push(Decoded { kind: raw.kind, offset, key, partition_len, payload });
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

/// Lengths that the next entry may refer to.
#[derive(Debug, Default)]
pub(super) struct Previous {
    shared: usize,
    key_len: usize,
    partition_len: usize,
    payload_len: usize,
}

pub(super) struct RawEntry<'a> {
    pub(super) kind: Kind,
    pub(super) shared: usize,
    pub(super) rest: &'a [u8],
    pub(super) payload_len: usize,
}

impl Previous {
    /// The length of the partition prefix where it is not announced; `None` if it must be.
    fn partition_len(&self, shared: usize, key_len: usize) -> Option<usize> {
        if shared >= self.partition_len {
            return Some(self.partition_len);
        }
        key_len.checked_sub(self.key_len.checked_sub(self.partition_len)?)
    }

    pub(super) fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Option<RawEntry<'a>> {
        let (&head, rest) = input.split_first()?;
        *input = rest;
        let kind = Kind::of(head).filter(|_| head & !KNOWN_BITS == 0)?;
        let mut len = |bit, otherwise: Option<usize>| {
            if head & bit == 0 { otherwise } else { usize::try_from(decode_u64(input)?).ok() }
        };
        let shared = len(HAS_SHARED, Some(self.shared)).filter(|len| *len <= self.key_len)?;
        let rest_len = len(HAS_KEY_LEN, self.key_len.checked_sub(shared))?;
        let key_len = shared.checked_add(rest_len)?;
        self.partition_len = len(HAS_PARTITION_LEN, self.partition_len(shared, key_len))?;
        self.payload_len = len(HAS_PAYLOAD_LEN, Some(self.payload_len))?;
        let (rest, after) = input.split_at_checked(rest_len)?;
        let (_, after) = after.split_at_checked(self.payload_len)?;
        *input = after;
        (self.shared, self.key_len) = (shared, key_len);
        Some(RawEntry { kind, shared, rest, payload_len: self.payload_len })
    }
}

/// The decoded entries between two restarts.
#[derive(Debug, Default)]
pub(super) struct Interval {
    keys: Vec<u8>,
    pub(super) entries: Vec<Decoded>,
}

/// Where the parts of an entry are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded {
    pub(super) kind: Kind,
    /// Of the entry in the block.
    pub(super) offset: usize,
    /// Within the interval's keys.
    key: (usize, usize),
    pub(super) partition_len: usize,
    /// Within the block.
    payload: (usize, usize),
}

impl Decoded {
    /// How many bytes of the block the entry takes.
    pub(super) fn stored_len(&self) -> usize {
        self.payload.1 - self.offset
    }
}

impl Interval {
    pub(super) fn key(&self, entry: &Decoded) -> &[u8] {
        &self.keys[entry.key.0..entry.key.1]
    }
}
