//! What a stream says: its header, its records and its trailer.
//!
//! ```text
//! header  = version (u32), SSTable format version of the blocks (u32), table id (16 bytes), schema fingerprint (u64), time (i64), varint number of spans,
//!           for each span its first and last token (i64)
//! record  = kind (u8), length of the rest (u32), the rest
//! run     = kind 1: zigzag base, varint bytes of the source file, varint slices of the ring that it was cut into
//! block   = kind 2: codec (u8), varint length after decompression, crc32 of the stored bytes (u32), stored bytes
//! trailer = varint runs, varint blocks, varint bytes of data payloads, xxh3-64 of the header's and data payloads (u64)
//! ```
//!
//! Records follow each other without regard to chunks. Blocks belong to the run before them; their keys ascend.

use uuid::Uuid;

use super::{SchemaFingerprint, StreamError, VERSION};
use crate::model::Timestamp;
use crate::model::token_range::{TokenRanges, TokenSpan};
use crate::schema::TableId;
use crate::sstable::{self, StoredBlock};
use crate::varint::{decode_i64, decode_u64, encode_i64, encode_u64};

/// More spans than any node asks for at once; also bounds what a header may take.
pub(super) const MAX_SPANS: usize = 32_768;
/// Kind and length of a record.
pub(super) const RECORD_HEAD_BYTES: usize = 5;
/// No record is larger: blocks are as large as their largest row at least, but that has limits too.
const MAX_RECORD_BYTES: usize = 512 << 20;

/// No run is cut into more slices.
const MAX_SLICES: u32 = 1 << 16;

const RUN: u8 = 1;
const BLOCK: u8 = 2;

/// What a stream is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The table.
    pub table: TableId,
    /// Its columns.
    pub fingerprint: SchemaFingerprint,
    /// The tokens that all keys have.
    pub ranges: TokenRanges,
    /// When it was begun, in microseconds since 1970.
    pub created_at: Timestamp,
}

/// What the blocks after it have in common: they are of one SSTable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What timestamps in the blocks are relative to.
    pub base: Timestamp,
    /// Bytes of the whole SSTable, of which this may be a part.
    pub file_bytes: u64,
    /// Into how many slices of the ring its run was cut: a power of two.
    pub slices: u32,
}

/// One step of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Another SSTable begins.
    Run(Run),
    /// Its next block.
    Block(StoredBlock),
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// SSTables that anything is from.
    pub runs: u64,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of the payloads of data chunks.
    pub bytes: u64,
    /// xxh3-64 of the payloads of the header and of all data chunks.
    pub checksum: u64,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from(VERSION.to_le_bytes());
        out.extend_from_slice(&sstable::VERSION.to_le_bytes());
        out.extend_from_slice(self.table.0.as_bytes());
        out.extend_from_slice(&self.fingerprint.0.to_le_bytes());
        out.extend_from_slice(&self.created_at.to_le_bytes());
        encode_u64(&mut out, self.ranges.spans().len() as u64);
        for span in self.ranges.spans() {
            out.extend_from_slice(&span.first.to_le_bytes());
            out.extend_from_slice(&span.last.to_le_bytes());
        }
        out
    }

    /// # Errors
    /// `Version`, `BlockVersion` and `Malformed`.
    pub(super) fn decode(mut input: &[u8]) -> Result<Header, StreamError> {
        let version = take(&mut input).map(u32::from_le_bytes).ok_or_else(malformed_header)?;
        if version != VERSION {
            return Err(StreamError::Version { found: version });
        }
        let blocks = take(&mut input).map(u32::from_le_bytes).ok_or_else(malformed_header)?;
        if blocks != sstable::VERSION {
            return Err(StreamError::BlockVersion { found: blocks });
        }
        Self::decode_fields(input).ok_or_else(malformed_header)
    }

    fn decode_fields(mut input: &[u8]) -> Option<Header> {
        let table = TableId(Uuid::from_bytes(take(&mut input)?));
        let fingerprint = SchemaFingerprint(u64::from_le_bytes(take(&mut input)?));
        let created_at = i64::from_le_bytes(take(&mut input)?);
        let count = usize::try_from(decode_u64(&mut input)?).ok()?;
        if count > MAX_SPANS || input.len() != count * 16 {
            return None;
        }
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let first = i64::from_le_bytes(take(&mut input)?);
            spans.push(TokenSpan { first, last: i64::from_le_bytes(take(&mut input)?) });
        }
        let ranges = TokenRanges::of_spans(spans)?;
        Some(Header { table, fingerprint, ranges, created_at })
    }
}

fn malformed_header() -> StreamError {
    StreamError::Malformed("its header is malformed".into())
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

impl Record {
    /// Appends the encoded record.
    ///
    /// # Errors
    /// `MutationTooLarge` for a block that no receiver takes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), StreamError> {
        let start = out.len();
        out.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
        let kind = match self {
            Record::Run(run) => {
                encode_i64(out, run.base);
                encode_u64(out, run.file_bytes);
                encode_u64(out, u64::from(run.slices));
                RUN
            }
            Record::Block(block) => {
                block.encode(out);
                BLOCK
            }
        };
        let len = out.len() - start - RECORD_HEAD_BYTES;
        if len > MAX_RECORD_BYTES {
            out.truncate(start);
            let limit = MAX_RECORD_BYTES;
            return Err(crate::StorageError::MutationTooLarge { bytes: len, limit }.into());
        }
        let head = out.iter_mut().skip(start);
        let bytes = std::iter::once(kind).chain((len as u32).to_le_bytes());
        head.zip(bytes).for_each(|(place, byte)| *place = byte);
        Ok(())
    }

    /// How long the record is that begins with these bytes, if they tell.
    pub(super) fn len(input: &[u8]) -> Result<Option<usize>, StreamError> {
        let Some(([_, len @ ..], _)) = input.split_first_chunk::<RECORD_HEAD_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*len) as usize;
        if len > MAX_RECORD_BYTES {
            return Err(StreamError::Malformed("a record is too large".into()));
        }
        Ok(Some(RECORD_HEAD_BYTES + len))
    }

    /// The record that takes up all of the input.
    pub(super) fn decode(input: &[u8]) -> Result<Record, StreamError> {
        let malformed = |what: &str| StreamError::Malformed(what.into());
        match input.split_first_chunk::<RECORD_HEAD_BYTES>() {
            Some(([RUN, ..], rest)) => {
                Run::decode(rest).map(Record::Run).ok_or(malformed("a run is malformed"))
            }
            Some(([BLOCK, ..], rest)) => {
                StoredBlock::decode(rest).map(Record::Block).map_err(malformed)
            }
            _ => Err(malformed("a record is of a kind that is not known")),
        }
    }
}

impl Run {
    fn decode(mut input: &[u8]) -> Option<Run> {
        let (base, file_bytes) = (decode_i64(&mut input)?, decode_u64(&mut input)?);
        let slices = u32::try_from(decode_u64(&mut input)?).ok()?;
        let sound = input.is_empty() && slices.is_power_of_two() && slices <= MAX_SLICES;
        sound.then_some(Run { base, file_bytes, slices })
    }
}

impl Totals {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.runs, self.blocks, self.bytes] {
            encode_u64(&mut out, number);
        }
        out.extend_from_slice(&self.checksum.to_le_bytes());
        out
    }

    pub(super) fn decode(mut input: &[u8]) -> Option<Totals> {
        let totals = Totals {
            runs: decode_u64(&mut input)?,
            blocks: decode_u64(&mut input)?,
            bytes: decode_u64(&mut input)?,
            checksum: u64::from_le_bytes(take(&mut input)?),
        };
        input.is_empty().then_some(totals)
    }
}
