//! A hint as bytes, and what is known of several: when they were made, and of which tokens.
//!
//! A hint: varint length, then when it was made (zigzag varint) and the mutation, which names its table by its id: a table
//! that was dropped and created again has another, so a hint never reaches it. A record of a segment is one or more hints.

use tholos_storage::model::Timestamp;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::mutation_codec::{decode_mutation, encode_mutation};
use tholos_storage::model::position::token_of;
use tholos_storage::varint::{decode_i64, decode_slice, encode_i64, encode_slice};
use tholos_storage::varint::{decode_u64, encode_u64};

use super::marks::Marks;

/// Ranges of tokens that are known of a segment.
const MAX_SEGMENT_RANGES: usize = 16;
/// There are never so many hints, bytes or segments, so that they can be added up.
pub(super) const MAX_COUNT: u64 = 1 << 48;
/// Bytes of a token at the beginning of a partition's key.
const TOKEN_BYTES: usize = 8;

/// A write for a node that could not be reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// When it was made, by the clock on the wall.
    pub created: Timestamp,
    /// What is to be written.
    pub mutation: Mutation,
}

impl Hint {
    /// The token of its partition.
    pub fn token(&self) -> i64 {
        token(&self.mutation)
    }
}

/// The token of a mutation's partition.
pub(super) fn token(mutation: &Mutation) -> i64 {
    match mutation.partition.get(..TOKEN_BYTES) {
        Some(prefix) => token_of(prefix),
        // No table has such a partition: whoever is to write it refuses it.
        None => i64::MIN,
    }
}

/// Appends a hint; says how many bytes.
pub(super) fn encode_hint(out: &mut Vec<u8>, created: Timestamp, mutation: &Mutation) -> usize {
    let before = out.len();
    let mut hint = Vec::new();
    encode_i64(&mut hint, created);
    encode_mutation(&mut hint, mutation, None);
    encode_slice(out, &hint);
    out.len() - before
}

/// Takes a hint off the front; `None` if it is none.
pub(super) fn decode_hint(input: &mut &[u8]) -> Option<Hint> {
    let mut hint = decode_slice(input)?;
    let created = decode_i64(&mut hint)?;
    let mutation = decode_mutation(hint, None)?;
    Some(Hint { created, mutation })
}

/// All hints of a record; `None` if it is not exactly some.
pub(super) fn decode_record(mut record: &[u8]) -> Option<Vec<Hint>> {
    let mut hints = Vec::new();
    while !record.is_empty() {
        hints.push(decode_hint(&mut record)?);
    }
    Some(hints)
}

/// What is known of the hints of a segment, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Where the last record ends in the segment.
    pub(super) end: u64,
    pub(super) hints: u64,
    /// When the first and the last were made; 0 if there are none.
    pub(super) oldest: Timestamp,
    pub(super) newest: Timestamp,
    /// Their tokens are among these.
    pub(super) tokens: Marks,
}

impl Summary {
    pub(super) fn add(&mut self, created: Timestamp, token: i64) {
        let mut one = Summary { hints: 1, oldest: created, newest: created, ..Summary::default() };
        one.tokens.add_token(token, 0, MAX_SEGMENT_RANGES);
        self.add_all(&one);
    }

    /// Adds those of another part; `end` stays.
    pub(super) fn add_all(&mut self, other: &Summary) {
        if self.hints == 0 {
            (self.oldest, self.newest) = (other.oldest, other.newest);
        }
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
        self.hints += other.hints;
        self.tokens.add_all(&other.tokens, 0, MAX_SEGMENT_RANGES);
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        [self.end, self.hints].into_iter().for_each(|number| encode_u64(out, number));
        [self.oldest, self.newest].into_iter().for_each(|number| encode_i64(out, number));
        self.tokens.encode(out);
    }

    pub(super) fn decode(input: &mut &[u8]) -> Option<Summary> {
        Some(Summary {
            end: decode_count(input)?,
            hints: decode_count(input)?,
            oldest: decode_i64(input)?,
            newest: decode_i64(input)?,
            tokens: Marks::decode(input)?,
        })
    }
}

/// Takes a number of things or bytes off the front, or of a segment: `None` also if there can't be so many.
pub(super) fn decode_count(input: &mut &[u8]) -> Option<u64> {
    decode_u64(input).filter(|count| *count <= MAX_COUNT)
}
