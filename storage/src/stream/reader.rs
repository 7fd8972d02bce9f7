//! Chunks into records.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use super::StreamError;
use super::chunk::{Chunk, Kind};
use super::record::{Header, Record, Totals};

/// Takes chunks in order and gives what is in them. After an error it gives nothing more.
pub struct ChunkReader {
    /// Of the header, once it came.
    stream: Option<u32>,
    /// Of the chunk that is to come.
    sequence: u32,
    /// Bytes of records that were not given yet.
    pending: Vec<u8>,
    /// How many of them were.
    given: usize,
    totals: Totals,
    hash: Xxh3,
    ended: bool,
}

impl ChunkReader {
    /// Waits for the first chunk.
    pub fn new() -> ChunkReader {
        ChunkReader {
            stream: None,
            sequence: 0,
            pending: Vec::new(),
            given: 0,
            totals: Totals::default(),
            hash: Xxh3::new(),
            ended: false,
        }
    }

    /// Takes the next chunk; the header, if it is that. Records are then to be taken with
    /// [`next_record`](Self::next_record) until there is none.
    ///
    /// # Errors
    /// `Chunk`, `OutOfOrder`, `Version`, `BlockVersion` and `Malformed`.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Option<Header>, StreamError> {
        let expected = self.sequence;
        let wrong = |what| StreamError::Chunk { expected, what };
        let chunk = Chunk::decode(bytes).map_err(wrong)?;
        if self.stream.is_some_and(|stream| stream != chunk.stream) {
            return Err(wrong("it is of another stream"));
        }
        if chunk.sequence != expected {
            return Err(StreamError::OutOfOrder { expected, found: chunk.sequence });
        }
        if self.ended {
            return Err(wrong("the stream had ended"));
        }
        self.sequence = self.sequence.checked_add(1).ok_or(wrong("there are too many"))?;
        match (chunk.kind, self.stream) {
            (Kind::Header, None) => self.header(chunk).map(Some),
            (Kind::Data, Some(_)) => {
                self.hash.update(chunk.payload);
                self.totals.bytes += chunk.payload.len() as u64;
                self.pending.drain(..std::mem::take(&mut self.given));
                self.pending.extend_from_slice(chunk.payload);
                Ok(None)
            }
            (Kind::Trailer, Some(_)) => self.trailer(chunk.payload).map(|()| None),
            (Kind::Header, Some(_)) => Err(wrong("it is a second header")),
            (Kind::Data | Kind::Trailer, None) => Err(wrong("it comes before the header")),
        }
    }

    /// The next record that came whole; `None` until there are more chunks.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn next_record(&mut self) -> Result<Option<Record>, StreamError> {
        let rest = self.pending.get(self.given..).unwrap_or_default();
        let Some(record) = Record::len(rest)?.and_then(|len| rest.get(..len)) else {
            return Ok(None);
        };
        self.given += record.len();
        let record = Record::decode(record)?;
        match record {
            Record::Run(_) => self.totals.runs += 1,
            Record::Block(_) => self.totals.blocks += 1,
        }
        Ok(Some(record))
    }

    /// How much there was, once the trailer came and said the same.
    ///
    /// # Errors
    /// `CutOff`: it did not come.
    pub fn totals(&self) -> Result<Totals, StreamError> {
        if self.ended {
            Ok(self.totals)
        } else {
            Err(StreamError::CutOff { chunks: self.sequence })
        }
    }

    fn header(&mut self, chunk: Chunk<'_>) -> Result<Header, StreamError> {
        if chunk.stream != crc32fast::hash(chunk.payload) {
            return Err(StreamError::Chunk {
                expected: 0,
                what: "its header is of another stream",
            });
        }
        self.hash.update(chunk.payload);
        self.stream = Some(chunk.stream);
        Header::decode(chunk.payload)
    }

    fn trailer(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        let malformed = |what: &str| StreamError::Malformed(what.into());
        let said = Totals::decode(payload).ok_or(malformed("its trailer is malformed"))?;
        if self.given != self.pending.len() {
            return Err(malformed("it ends within a record"));
        }
        self.totals.checksum = self.hash.digest();
        if said != self.totals {
            return Err(malformed("its trailer does not say what there was"));
        }
        self.ended = true;
        Ok(())
    }
}

impl Default for ChunkReader {
    fn default() -> Self {
        ChunkReader::new()
    }
}

impl fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkReader(at chunk {})", self.sequence)
    }
}
