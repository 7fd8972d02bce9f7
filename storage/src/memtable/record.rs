//! Records: what the trees of a memtable hold, each in one allocation.
//!
//! Layout: `key length u32 | partition length u32 | key | payload`, little endian. The payload of a row is its whole
//! form, that of a deletion or a marker its deletions. Key and payload lie together, so that a hit reads one place.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{Deletion, position};

const LENGTHS: usize = 8;

/// A full key and what is stored under it; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Record(Arc<[u8]>);

impl Record {
    /// The payload is the concatenation of those parts.
    pub(super) fn new(key: &[u8], partition_len: usize, payload: &[&[u8]]) -> Self {
        let mut bytes: SmallVec<[u8; 256]> =
            SmallVec::with_capacity(LENGTHS + key.len() + total(payload));
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(partition_len as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        payload.iter().for_each(|part| bytes.extend_from_slice(part));
        Record(bytes.as_slice().into())
    }

    /// Key, length of its partition prefix, and payload.
    #[inline]
    pub(super) fn parts(&self) -> (&[u8], usize, &[u8]) {
        let (key, payload) = self.0[LENGTHS..].split_at(self.length_at(0));
        (key, self.partition_len(), payload)
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.0[LENGTHS..self.key_end()]
    }

    pub(super) fn partition_len(&self) -> usize {
        self.length_at(4)
    }

    pub(super) fn partition(&self) -> &[u8] {
        &self.key()[..self.partition_len()]
    }

    /// Whether this is a partition's deletion.
    pub(super) fn is_header(&self) -> bool {
        let (key, partition_len, _) = self.parts();
        key[partition_len..] == [position::HEADER]
    }

    #[inline]
    pub(super) fn payload(&self) -> &[u8] {
        &self.0[self.key_end()..]
    }

    /// Replaces the payload: in place if nobody else reads it and it has the right size, which allocates nothing.
    pub(super) fn set_payload(&mut self, payload: &[&[u8]]) {
        let key_end = self.key_end();
        match Arc::get_mut(&mut self.0) {
            Some(bytes) if bytes.len() == key_end + total(payload) => {
                let mut at = key_end;
                for part in payload {
                    bytes[at..at + part.len()].copy_from_slice(part);
                    at += part.len();
                }
            }
            _ => *self = Record::new(self.key(), self.partition_len(), payload),
        }
    }

    fn key_end(&self) -> usize {
        LENGTHS + self.length_at(0)
    }

    fn length_at(&self, at: usize) -> usize {
        let bytes = [self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]];
        u32::from_le_bytes(bytes) as usize
    }
}

fn total(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Bytes of an encoded deletion.
pub(super) const DELETION_BYTES: usize = 16;

pub(super) fn encode_deletion(deletion: Deletion) -> [u8; DELETION_BYTES] {
    let mut bytes = [0; DELETION_BYTES];
    bytes[..8].copy_from_slice(&deletion.timestamp.to_le_bytes());
    bytes[8..].copy_from_slice(&deletion.deleted_at.to_le_bytes());
    bytes
}

/// The deletion in the first bytes of a payload; none if they are too few, which no payload of a deletion has.
pub(super) fn decode_deletion(bytes: &[u8]) -> Deletion {
    match (bytes.first_chunk(), bytes.get(8..).and_then(<[u8]>::first_chunk)) {
        (Some(timestamp), Some(deleted_at)) => Deletion {
            timestamp: i64::from_le_bytes(*timestamp),
            deleted_at: i64::from_le_bytes(*deleted_at),
        },
        _ => Deletion::NONE,
    }
}
