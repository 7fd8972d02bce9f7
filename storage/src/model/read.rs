//! What a read asks of any replica: rows and ranges of keys. Bounds are keys, so it knows no CQL types.
//!
//! A [`ReadCommand`] owns what it says and has a form in bytes. What comes back are [pages](crate::read::page): all that
//! there is, tombstones too, so that it can be merged with what others have.
//!
//! ```text
//! command  = version (1), table (16 bytes), flags, signed now, unsigned bytes, [unsigned rows], unsigned intervals, interval*
//! interval = slice lower, slice upper, unsigned partition length + 1 (0: begins between partitions)
//! flags    = 1: in reverse, 2: the digest alone, 4: a limit of rows
//! ```

use crate::model::Seconds;
use crate::model::entry::Direction;
use crate::schema::TableId;
use crate::varint::{decode_i64, decode_slice, decode_u64, encode_i64, encode_slice, encode_u64};
use uuid::Uuid;

/// The intervals that one command may have; more are asked for later.
pub const MOST_INTERVALS: usize = 1 << 16;

const VERSION: u8 = 1;
const REVERSE: u8 = 1;
const DIGEST: u8 = 2;
const LIMITS_ROWS: u8 = 4;

/// What to read of any replica. What an earlier page gave is not in its intervals any more, so there is no other place to
/// go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCommand {
    /// The table.
    pub table: TableId,
    /// What to read, in the order of the result. None is empty.
    pub intervals: Vec<KeyInterval>,
    /// Which way to walk each of them. In reverse each is of one partition: only so a page that is cut says where it begins.
    pub direction: Direction,
    /// When the replica may stop.
    pub limits: ReadLimits,
    /// What expiry and grace are compared with.
    pub now: Seconds,
    /// Whether what is there is wanted, or what tells whether others have the same.
    pub answer: AnswerKind,
}

/// The keys `lower <= key < upper`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInterval {
    /// First key.
    pub lower: Vec<u8>,
    /// After the last key; empty: to the table's last.
    pub upper: Vec<u8>,
    /// How many bytes of `lower` are the prefix of the partition that it begins in; `None` if it begins between two. An
    /// interval that ends in the partition that it begins in is that partition's alone.
    pub partition_len: Option<usize>,
}

/// When a replica may stop, with a page that is not complete; it also may when that costs much work. It stops behind what
/// reaches the limit, so that every read gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Rows that exist, static rows not counted.
    pub rows: Option<u32>,
    /// Bytes of the answer.
    pub bytes: u32,
}

/// What a replica is to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// Pages.
    Data,
    /// The [`Digest`] of the pages.
    Digest,
}

/// xxh3-128 of the canonical bytes of pages, big endian: equal content gives equal digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl KeyInterval {
    /// The prefix of the partition that it begins in; empty if it begins between two.
    pub fn partition(&self) -> &[u8] {
        self.partition_len.and_then(|len| self.lower.get(..len)).unwrap_or_default()
    }

    /// Whether all of it lies in the partition that it begins in.
    pub fn is_of_one_partition(&self) -> bool {
        self.partition_len.is_some() && self.upper.starts_with(self.partition())
    }

    /// Whether there is no key in it.
    pub fn is_empty(&self) -> bool {
        !self.upper.is_empty() && self.lower >= self.upper
    }
}

impl ReadCommand {
    /// Appends the command's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(VERSION);
        out.extend_from_slice(self.table.0.as_bytes());
        out.push(
            flag(self.direction == Direction::Reverse, REVERSE)
                | flag(self.answer == AnswerKind::Digest, DIGEST)
                | flag(self.limits.rows.is_some(), LIMITS_ROWS),
        );
        encode_i64(out, self.now);
        encode_u64(out, u64::from(self.limits.bytes));
        self.limits.rows.iter().for_each(|rows| encode_u64(out, u64::from(*rows)));
        encode_u64(out, self.intervals.len() as u64);
        for interval in &self.intervals {
            encode_slice(out, &interval.lower);
            encode_slice(out, &interval.upper);
            encode_u64(out, interval.partition_len.map_or(0, |len| len as u64 + 1));
        }
    }

    /// Takes a command off the front; `None` if these are not the bytes of one.
    pub fn decode(input: &mut &[u8]) -> Option<ReadCommand> {
        let (&[VERSION], rest) = input.split_first_chunk::<1>()? else { return None };
        let (table, rest) = rest.split_first_chunk::<16>()?;
        let (&flags, rest) = rest.split_first()?;
        *input = rest;
        if flags & !(REVERSE | DIGEST | LIMITS_ROWS) != 0 {
            return None;
        }
        let now = decode_i64(input)?;
        let number = |input: &mut &[u8]| u32::try_from(decode_u64(input)?).ok();
        let bytes = number(input)?;
        let rows = if flags & LIMITS_ROWS != 0 { Some(number(input)?) } else { None };
        let count = usize::try_from(decode_u64(input)?).ok().filter(|n| *n <= MOST_INTERVALS)?;
        // Each has three bytes at least: what is announced is there.
        let mut intervals = Vec::with_capacity(count.min(input.len() / 3));
        for _ in 0..count {
            intervals.push(KeyInterval::decode(input)?);
        }
        Some(ReadCommand {
            table: TableId(Uuid::from_bytes(*table)),
            intervals,
            direction: if flags & REVERSE != 0 { Direction::Reverse } else { Direction::Forward },
            limits: ReadLimits { rows, bytes },
            now,
            answer: if flags & DIGEST != 0 { AnswerKind::Digest } else { AnswerKind::Data },
        })
    }
}

impl KeyInterval {
    fn decode(input: &mut &[u8]) -> Option<KeyInterval> {
        let (lower, upper) = (decode_slice(input)?.to_vec(), decode_slice(input)?.to_vec());
        let partition_len = match usize::try_from(decode_u64(input)?).ok()?.checked_sub(1) {
            // A prefix begins with its token.
            Some(len) if len < 8 || len > lower.len() => return None,
            len => len,
        };
        let are_bounds = is_bound(&lower) && is_bound(&upper);
        let interval = KeyInterval { lower, upper, partition_len };
        (are_bounds && !interval.is_empty()).then_some(interval)
    }
}

/// Whether bytes may be a bound: they have a token, or are the table's end.
pub(crate) fn is_bound(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.len() >= 8
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn intervals() -> impl Strategy<Value = KeyInterval> {
        (vec(any::<u8>(), 8..20), vec(any::<u8>(), 8..20), any::<bool>(), any::<bool>()).prop_map(
            |(a, b, inside, open)| {
                let (lower, mut upper) = if a < b { (a, b) } else { (b, a) };
                upper.push(1);
                let partition_len = inside.then_some(8);
                KeyInterval { lower, upper: if open { vec![] } else { upper }, partition_len }
            },
        )
    }

    fn commands() -> impl Strategy<Value = ReadCommand> {
        (
            any::<u128>(),
            vec(intervals(), 0..5),
            any::<[bool; 2]>(),
            any::<i64>(),
            any::<u32>(),
            any::<Option<u32>>(),
        )
            .prop_map(|(table, intervals, [reverse, digest], now, bytes, rows)| {
                ReadCommand {
                    table: TableId(Uuid::from_u128(table)),
                    intervals,
                    direction: if reverse { Direction::Reverse } else { Direction::Forward },
                    limits: ReadLimits { rows, bytes },
                    now,
                    answer: if digest { AnswerKind::Digest } else { AnswerKind::Data },
                }
            })
    }

    proptest! {
        #[test]
        fn commands_come_back(command in commands(), cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            command.encode(&mut bytes);
            let mut input = bytes.as_slice();
            prop_assert_eq!(ReadCommand::decode(&mut input), Some(command));
            prop_assert!(input.is_empty());
            let cut = cut.index(bytes.len());
            prop_assert_eq!(ReadCommand::decode(&mut &bytes[..cut]), None);
        }

        #[test]
        fn any_bytes_are_a_command_or_none(mut bytes in vec(any::<u8>(), 0..80)) {
            bytes.splice(..0, [VERSION]);
            if let Some(command) = ReadCommand::decode(&mut bytes.as_slice()) {
                let bad = |interval: &KeyInterval| interval.is_empty();
                prop_assert!(!command.intervals.iter().any(bad));
            }
        }
    }
}
