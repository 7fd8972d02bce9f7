//! A block: entries with prefix-compressed keys, for data and index alike.
//!
//! Layout: entries | offsets of changes (u32 each) | offsets of restarts (u32 each) | types of the partition key (1 byte
//! each) | their number (1 byte) | number of changes (u32) | number of restarts (u32). A *change* is an entry that changes which deletions are in force (a partition header or a range
//! marker); listing them makes the state at any key findable without walking the block.
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

use super::format::{Malformed, RESTART_INTERVAL};
use super::short_key::{KeyTypes, ShortKey};
use crate::model::position;
use crate::varint::{decode_slice, decode_u64, encode_slice, encode_u64};

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
/// The stored key has its partition's short form.
const IS_SHORT: u8 = 0x80;
/// In the place of a kind: a row with the head of the last row since the restart.
const SAME_ROW_HEAD: u8 = 7;

impl Kind {
    fn of(head: u8) -> Kind {
        match head & KIND_MASK {
            1 => Kind::StaticRow,
            2 => Kind::Header,
            3 => Kind::Open,
            4 => Kind::Close,
            5 => Kind::Boundary,
            6 => Kind::Whole,
            // 0, or with the head of another row.
            _ => Kind::Row,
        }
    }

    pub(super) fn has_row_head(self) -> bool {
        matches!(self, Kind::Row | Kind::StaticRow)
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

/// An entry to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewEntry<'a> {
    pub(super) kind: Kind,
    /// Ends with the byte that the kind implies.
    pub(super) key: &'a [u8],
    pub(super) partition_len: usize,
    /// Of a row; otherwise empty.
    pub(super) row_head: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> NewEntry<'a> {
    /// An entry of an index.
    pub(super) fn whole(key: &'a [u8], payload: &'a [u8]) -> Self {
        NewEntry { kind: Kind::Whole, key, partition_len: 0, row_head: &[], payload }
    }
}

/// Builds a block.
#[derive(Debug)]
pub(super) struct BlockBuilder {
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
    pub(super) fn new(types: KeyTypes) -> Self {
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

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes so far, trailer included.
    pub(super) fn len(&self) -> usize {
        let offsets = 4 * (self.restarts.len() + self.changes.len());
        self.bytes.len() + offsets + self.types.len() + 9
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Appends an entry.
    pub(super) fn add(&mut self, entry: NewEntry<'_>) {
        let NewEntry { kind, row_head, payload, .. } = entry;
        let restart = self.entries.is_multiple_of(RESTART_INTERVAL);
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
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
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

/// Lengths that the next entry may refer to.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    shared: usize,
    key_len: usize,
    partition_len: usize,
    payload_len: usize,
}

impl Lengths {
    /// The length of the partition prefix where it is not announced; `None` if it must be.
    fn partition_len(&self, shared: usize, key_len: usize) -> Option<usize> {
        if shared >= self.partition_len {
            return Some(self.partition_len);
        }
        key_len.checked_sub(self.key_len.checked_sub(self.partition_len)?)
    }
}

/// An entry as it is stored.
pub(super) struct RawEntry<'a> {
    pub(super) kind: Kind,
    /// Whether the stored key has its partition's short form. If nothing is shared then, another partition begins.
    pub(super) is_short: bool,
    pub(super) shared: usize,
    pub(super) rest: &'a [u8],
    /// Of the stored key.
    pub(super) partition_len: usize,
    /// The row's head lies before the payload; `None` if it is that of the row before, or this is no row.
    pub(super) row_head_len: Option<usize>,
    pub(super) payload_len: usize,
}

/// What an entry refers to: begins anew at each restart.
#[derive(Debug, Default)]
pub(super) struct Previous {
    lengths: Lengths,
    is_short: bool,
    has_entry: bool,
    has_row: bool,
}

impl Previous {
    /// Takes an entry off the front; `None` if it is malformed.
    pub(super) fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Option<RawEntry<'a>> {
        let (&head, rest) = input.split_first()?;
        *input = rest;
        let kind = Kind::of(head);
        let lengths = self.lengths(head, input)?;
        let is_short = head & IS_SHORT != 0;
        let Lengths { shared, key_len, partition_len, payload_len } = lengths;
        let shares = is_short == self.is_short
            && (!is_short
                || shared >= partition_len && partition_len == self.lengths.partition_len);
        // The first one is in full.
        if shared > 0 && !shares || is_short && !self.has_entry || partition_len > key_len {
            return None;
        }
        let (rest, after) = input.split_at_checked(key_len - shared)?;
        *input = after;
        let row_head_len = match kind {
            Kind::Row if head & KIND_MASK == SAME_ROW_HEAD => {
                if !self.has_row {
                    return None;
                }
                None
            }
            Kind::Row | Kind::StaticRow => Some(decode_slice(input)?.len()),
            _ => None,
        };
        self.has_row |= kind.has_row_head();
        *input = input.get(payload_len..)?;
        (self.lengths, self.is_short, self.has_entry) = (lengths, is_short, true);
        Some(RawEntry { kind, is_short, shared, rest, partition_len, row_head_len, payload_len })
    }

    fn lengths(&self, head: u8, input: &mut &[u8]) -> Option<Lengths> {
        let previous = &self.lengths;
        let mut len = |bit, otherwise: Option<usize>| {
            if head & bit == 0 { otherwise } else { usize::try_from(decode_u64(input)?).ok() }
        };
        let shared =
            len(HAS_SHARED, Some(previous.shared)).filter(|len| *len <= previous.key_len)?;
        let rest_len = len(HAS_KEY_LEN, previous.key_len.checked_sub(shared))?;
        let key_len = shared.checked_add(rest_len)?;
        let partition_len = len(HAS_PARTITION_LEN, previous.partition_len(shared, key_len))?;
        let payload_len = len(HAS_PAYLOAD_LEN, Some(previous.payload_len))?;
        Some(Lengths { shared, key_len, partition_len, payload_len })
    }
}

/// The decoded entries between two restarts.
#[derive(Debug, Default)]
pub(super) struct Interval {
    keys: Vec<u8>,
    pub(super) entries: Vec<Decoded>,
    scratch: Vec<u8>,
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
    /// Within the block; of the row before, if this one is none.
    row_head: (usize, usize),
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
    /// Of nothing, with room for most intervals: growing to it step by step costs more than decoding.
    pub(super) fn with_room() -> Self {
        let keys = Vec::with_capacity(32 * RESTART_INTERVAL);
        Interval { keys, entries: Vec::with_capacity(RESTART_INTERVAL), scratch: Vec::new() }
    }

    pub(super) fn key(&self, entry: &Decoded) -> &[u8] {
        &self.keys[entry.key.0..entry.key.1]
    }

    /// Appends the whole key of the next entry: where it is, and the length of its partition prefix.
    fn restore(&mut self, raw: &RawEntry<'_>, types: KeyTypes) -> Option<((usize, usize), usize)> {
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
