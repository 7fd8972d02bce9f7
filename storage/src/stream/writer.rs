//! Records into chunks.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use super::StreamError;
use super::chunk::{Chunk, FRAME_BYTES, Kind, MAX_CHUNK_BYTES};
use super::record::{Header, Record, Totals};

/// Makes chunks of records. Holds at most a chunk and a record.
pub struct ChunkWriter {
    /// Payload of a full data chunk.
    payload_bytes: usize,
    stream: u32,
    sequence: u32,
    /// Records that are not in a chunk yet.
    pending: Vec<u8>,
    totals: Totals,
    hash: Xxh3,
}

impl ChunkWriter {
    /// A stream, and its first chunk. Data chunks are of `chunk_bytes` but for the last; out of bounds, as near as can
    /// be.
    pub fn begin(header: &Header, chunk_bytes: usize) -> (ChunkWriter, Vec<u8>) {
        let payload = header.encode();
        let mut hash = Xxh3::new();
        hash.update(&payload);
        let mut writer = ChunkWriter {
            payload_bytes: chunk_bytes.clamp(2 * FRAME_BYTES, MAX_CHUNK_BYTES) - FRAME_BYTES,
            stream: crc32fast::hash(&payload),
            sequence: 0,
            pending: Vec::new(),
            totals: Totals::default(),
            hash,
        };
        let chunk = writer.chunk(Kind::Header, &payload);
        (writer, chunk)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// `MutationTooLarge` for a block that no receiver takes.
    pub fn add(&mut self, record: &Record) -> Result<(), StreamError> {
        match record {
            Record::Run(_) => self.totals.runs += 1,
            Record::Block(_) => self.totals.blocks += 1,
        }
        record.encode(&mut self.pending)
    }

    /// Adds bytes as they are, and counts what records they make: for fuzzing.
    pub(crate) fn add_encoded(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let mut rest = bytes;
        while let Ok(Some((record, after))) =
            Record::len(rest).map(|len| len.and_then(|len| rest.split_at_checked(len)))
        {
            match Record::decode(record) {
                Ok(Record::Run(_)) => self.totals.runs += 1,
                Ok(Record::Block(_)) => self.totals.blocks += 1,
                Err(_) => {}
            }
            rest = after;
        }
    }

    /// A full chunk, if there is enough for one.
    pub fn full_chunk(&mut self) -> Option<Vec<u8>> {
        (self.pending.len() >= self.payload_bytes).then(|| self.data_chunk(self.payload_bytes))
    }

    /// What is left as a chunk, if anything is.
    pub fn last_chunk(&mut self) -> Option<Vec<u8>> {
        (!self.pending.is_empty()).then(|| self.data_chunk(self.pending.len()))
    }

    /// The trailer, after which nothing comes; and how much there was.
    pub fn end(mut self) -> (Vec<u8>, Totals) {
        self.totals.checksum = self.hash.digest();
        let totals = self.totals;
        (self.chunk(Kind::Trailer, &totals.encode()), totals)
    }

    fn data_chunk(&mut self, len: usize) -> Vec<u8> {
        let payload: Vec<u8> = self.pending.drain(..len).collect();
        self.hash.update(&payload);
        self.totals.bytes += payload.len() as u64;
        self.chunk(Kind::Data, &payload)
    }

    fn chunk(&mut self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        let chunk = Chunk { kind, stream: self.stream, sequence: self.sequence, payload }.encode();
        self.sequence += 1;
        chunk
    }
}

impl fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkWriter({:08x}, at chunk {})", self.stream, self.sequence)
    }
}
