//! The frame around a chunk. All integers are little endian.
//!
//! ```text
//! chunk = "THLS", kind (u8), stream (u32), sequence (u32), payload length (u32), payload, crc32 of all before (u32)
//! ```

use super::StreamError;

/// Chunks are never larger, frame and all.
pub const MAX_CHUNK_BYTES: usize = 1 << 20;

const MAGIC: [u8; 4] = *b"THLS";
const HEAD_BYTES: usize = 4 + 1 + 4 + 4 + 4;
/// What a frame adds to its payload.
pub(super) const FRAME_BYTES: usize = HEAD_BYTES + 4;

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Data = 2,
    Trailer = 3,
}

/// A chunk whose checksum was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) kind: Kind,
    /// The checksum of the stream's header: chunks of different streams do not mix.
    pub(super) stream: u32,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

impl Chunk<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRAME_BYTES + self.payload.len());
        out.extend_from_slice(&MAGIC);
        out.push(self.kind as u8);
        for number in [self.stream, self.sequence, self.payload.len() as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(self.payload);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

impl<'a> Chunk<'a> {
    /// The chunk that takes up all of the bytes.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Chunk<'a>, &'static str> {
        const CUT: &str = "it is cut off";
        if bytes.len() > MAX_CHUNK_BYTES {
            return Err("it is larger than a chunk can be");
        }
        let (body, crc) = bytes.split_last_chunk().ok_or(CUT)?;
        if body.len() < HEAD_BYTES {
            return Err(CUT);
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err("its checksum does not match");
        }
        let (head, payload) = body.split_first_chunk::<HEAD_BYTES>().ok_or(CUT)?;
        let [m0, m1, m2, m3, kind, numbers @ ..] = head;
        if [*m0, *m1, *m2, *m3] != MAGIC {
            return Err("it does not begin as a chunk does");
        }
        let [stream, sequence, len] = numbers_of(numbers);
        if len as usize != payload.len() {
            return Err("its length is not the one that it tells");
        }
        let kind = match kind {
            1 => Kind::Header,
            2 => Kind::Data,
            3 => Kind::Trailer,
            _ => return Err("it is of a kind that is not known"),
        };
        Ok(Chunk { kind, stream, sequence, payload })
    }
}

fn numbers_of(bytes: &[u8; 12]) -> [u32; 3] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *bytes;
    [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]].map(u32::from_le_bytes)
}

/// A chunk, and what comes after it.
pub type ChunkAndRest<'a> = (&'a [u8], &'a [u8]);

/// Takes the first chunk off the front of chunks in a row, as a file holds them. Only its length is looked at, which is
/// checked before it is believed. `None` if the bytes end before the chunk does.
///
/// # Errors
/// `Chunk`: no chunk begins there.
pub fn split_chunk(bytes: &[u8]) -> Result<Option<ChunkAndRest<'_>>, StreamError> {
    let Some((head, _)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let [m0, m1, m2, m3, _, numbers @ ..] = head;
    let [_, sequence, len] = numbers_of(numbers);
    let total = (len as usize).saturating_add(FRAME_BYTES);
    if [*m0, *m1, *m2, *m3] != MAGIC || total > MAX_CHUNK_BYTES {
        return Err(StreamError::Chunk { expected: sequence, what: "no chunk begins there" });
    }
    Ok(bytes.split_at_checked(total))
}
