//! What the index says of a block: where it is, what it is like, and which deletions are in force where it starts.

use super::format::{Malformed, decode_deletion, encode_deletion, max_raw_len};
use crate::model::{Deletion, Timestamp};
use crate::varint::{decode_i64, decode_u64, encode_i64, encode_u64};

/// How a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Raw = 0,
    Lz4 = 1,
    Zstd = 2,
}

impl Codec {
    /// The codec of that number.
    pub(super) fn of(number: u8) -> Option<Codec> {
        match number {
            0 => Some(Codec::Raw),
            1 => Some(Codec::Lz4),
            2 => Some(Codec::Zstd),
            _ => None,
        }
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockPointer {
    pub(super) codec: Codec,
    pub(super) offset: u64,
    /// Stored bytes.
    pub(super) len: u32,
    /// Bytes after decompression.
    pub(super) raw_len: u32,
    /// Of the stored bytes.
    pub(super) crc: u32,
}

/// An index entry. Its key is at or before the block's first key and after every key before that; if the block starts
/// in a new partition, also after every possible key of the partition before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) pointer: BlockPointer,
    /// Greatest timestamp of anything in the block.
    pub(super) max_timestamp: Timestamp,
    /// Whether partition headers or range markers are in it.
    pub(super) has_changes: bool,
    /// Whether all of it is in one partition.
    pub(super) one_partition: bool,
    pub(super) start: StartState,
}

/// The deletions in force just before a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StartState {
    /// How many bytes of the index entry's key are the prefix of the partition that they belong to.
    pub(super) partition_len: usize,
    pub(super) partition: Deletion,
    pub(super) range: Deletion,
}

impl StartState {
    pub(super) const NONE: StartState =
        StartState { partition_len: 0, partition: Deletion::NONE, range: Deletion::NONE };
}

const CODEC_MASK: u8 = 0x03;
const HAS_CHANGES: u8 = 0x04;
const ONE_PARTITION: u8 = 0x08;
const PARTITION_DELETION: u8 = 0x10;
const RANGE_DELETION: u8 = 0x20;
const KNOWN_BITS: u8 = 0x3f;

impl IndexEntry {
    pub(super) fn encode(&self, base: Timestamp, out: &mut Vec<u8>) {
        let StartState { partition_len, partition, range } = self.start;
        let bits = [
            (self.has_changes, HAS_CHANGES),
            (self.one_partition, ONE_PARTITION),
            (!partition.is_none(), PARTITION_DELETION),
            (!range.is_none(), RANGE_DELETION),
        ];
        out.push(
            bits.iter()
                .filter(|(set, _)| *set)
                .fold(self.pointer.codec as u8, |flags, (_, bit)| flags | bit),
        );
        encode_u64(out, self.pointer.offset);
        encode_u64(out, u64::from(self.pointer.len));
        encode_u64(out, u64::from(self.pointer.raw_len));
        out.extend_from_slice(&self.pointer.crc.to_le_bytes());
        encode_i64(out, self.max_timestamp.wrapping_sub(base));
        let deletions = [partition, range];
        if deletions.iter().any(|deletion| !deletion.is_none()) {
            encode_u64(out, partition_len as u64);
        }
        for deletion in deletions.into_iter().filter(|deletion| !deletion.is_none()) {
            encode_deletion(out, deletion, base);
        }
    }

    /// Decodes the entry under a key of that length; a pointer that leads out of the file or to absurd sizes is
    /// malformed.
    pub(super) fn decode(
        key_len: usize,
        bytes: &[u8],
        base: Timestamp,
        file_len: u64,
    ) -> Result<IndexEntry, Malformed> {
        Self::decode_fields(bytes, base)
            .filter(|entry| {
                entry.start.partition_len <= key_len && entry.pointer.is_plausible(file_len)
            })
            .ok_or(Malformed("an index entry is malformed"))
    }

    fn decode_fields(mut input: &[u8], base: Timestamp) -> Option<IndexEntry> {
        let (&flags, rest) = input.split_first()?;
        input = rest;
        let codec = Codec::of(flags & CODEC_MASK)?;
        let offset = decode_u64(&mut input)?;
        let len = u32::try_from(decode_u64(&mut input)?).ok()?;
        let raw_len = u32::try_from(decode_u64(&mut input)?).ok()?;
        let (crc, rest) = input.split_first_chunk()?;
        input = rest;
        let pointer = BlockPointer { codec, offset, len, raw_len, crc: u32::from_le_bytes(*crc) };
        let max_timestamp = decode_i64(&mut input)?.wrapping_add(base);
        let mut start = StartState::NONE;
        if flags & (PARTITION_DELETION | RANGE_DELETION) != 0 {
            start.partition_len = usize::try_from(decode_u64(&mut input)?).ok()?;
        }
        if flags & PARTITION_DELETION != 0 {
            start.partition = decode_deletion(&mut input, base)?;
        }
        if flags & RANGE_DELETION != 0 {
            start.range = decode_deletion(&mut input, base)?;
        }
        let (has_changes, one_partition) = (flags & HAS_CHANGES != 0, flags & ONE_PARTITION != 0);
        (input.is_empty() && flags & !KNOWN_BITS == 0).then_some(IndexEntry {
            pointer,
            max_timestamp,
            has_changes,
            one_partition,
            start,
        })
    }
}

impl BlockPointer {
    fn is_plausible(&self, file_len: u64) -> bool {
        let end = self.offset.checked_add(u64::from(self.len));
        let raw_fits = match self.codec {
            Codec::Raw => self.raw_len == self.len,
            Codec::Lz4 | Codec::Zstd => u64::from(self.raw_len) <= max_raw_len(self.len),
        };
        raw_fits && end.is_some_and(|end| end <= file_len)
    }
}
