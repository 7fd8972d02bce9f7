//! How an entry is stored: its head byte, and what the entry before says of it.

use crate::model::position;
use crate::varint::{decode_slice, decode_u64};

/// What an entry is: the low 3 bits of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sstable) enum Kind {
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
pub(super) const HAS_PARTITION_LEN: u8 = 0x08;
pub(super) const HAS_KEY_LEN: u8 = 0x10;
pub(super) const HAS_PAYLOAD_LEN: u8 = 0x20;
pub(super) const HAS_SHARED: u8 = 0x40;
const HAS_LENGTHS: u8 = HAS_PARTITION_LEN | HAS_KEY_LEN | HAS_PAYLOAD_LEN | HAS_SHARED;
/// The stored key has its partition's short form.
pub(super) const IS_SHORT: u8 = 0x80;
/// In the place of a kind: a row with the head of the last row since the restart.
pub(super) const SAME_ROW_HEAD: u8 = 7;

impl Kind {
    pub(super) fn of(head: u8) -> Kind {
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

    pub(in crate::sstable) fn has_row_head(self) -> bool {
        matches!(self, Kind::Row | Kind::StaticRow)
    }

    /// The last byte of the key, where it goes without saying.
    pub(in crate::sstable) fn implied(self) -> Option<u8> {
        match self {
            Kind::Row => Some(position::ROW),
            Kind::StaticRow => Some(position::STATIC),
            Kind::Header => Some(position::HEADER),
            _ => None,
        }
    }

    pub(in crate::sstable) fn is_change(self) -> bool {
        matches!(self, Kind::Header | Kind::Open | Kind::Close | Kind::Boundary)
    }
}

/// Lengths that the next entry may refer to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lengths {
    pub(super) shared: usize,
    pub(super) key_len: usize,
    pub(super) partition_len: usize,
    pub(super) payload_len: usize,
}

impl Lengths {
    /// The length of the partition prefix where it is not announced; `None` if it must be.
    pub(super) fn partition_len(&self, shared: usize, key_len: usize) -> Option<usize> {
        if shared >= self.partition_len {
            return Some(self.partition_len);
        }
        key_len.checked_sub(self.key_len.checked_sub(self.partition_len)?)
    }
}

/// An entry as it is stored.
pub(in crate::sstable) struct RawEntry<'a> {
    pub(in crate::sstable) kind: Kind,
    /// Whether the stored key has its partition's short form. If nothing is shared then, another partition begins.
    pub(in crate::sstable) is_short: bool,
    pub(in crate::sstable) shared: usize,
    pub(in crate::sstable) rest: &'a [u8],
    /// Of the stored key.
    pub(in crate::sstable) partition_len: usize,
    /// The row's head lies before the payload; `None` if it is that of the row before, or this is no row.
    pub(in crate::sstable) row_head_len: Option<usize>,
    pub(in crate::sstable) payload_len: usize,
}

/// What an entry refers to: begins anew at each restart.
#[derive(Debug, Default)]
pub(in crate::sstable) struct Previous {
    lengths: Lengths,
    is_short: bool,
    has_entry: bool,
    has_row: bool,
}

impl Previous {
    /// Takes an entry off the front; `None` if it is malformed.
    pub(in crate::sstable) fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Option<RawEntry<'a>> {
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
        if head & HAS_LENGTHS == 0 {
            return Some(*previous);
        }
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
