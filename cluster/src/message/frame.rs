//! Frames: what a connection is made of, once both sides have said who they are.
//!
//! ```text
//! frame  = header (21 bytes), payload
//! header = u32 length of the payload, kind, u64 epoch, u32 crc32 of the payload, u32 crc32 of the header up to here
//! kind   = 1: a message
//!          2: a message as an LZ4 block, behind its length without compression (u32)
//!          3: nothing: the sender is alive
//! ```
//! All little endian. The epoch is that of the sender's metadata when it made the frame. A length is believed only once
//! the header's checksum says that it was sent. A frame that is not as it should be ends the connection: where the next one
//! begins can't be known then.

use std::borrow::Cow;

use bytes::{BufMut, Bytes};

/// What is before the payload.
pub const HEADER: usize = 21;

/// The longest payload, as it travels and decompressed.
pub const MOST_PAYLOAD: usize = 64 << 20;

/// Payloads from here on are compressed, if that makes them shorter by an eighth.
pub const COMPRESS_FROM: usize = 4 << 10;

const MESSAGE: u8 = 1;
const COMPRESSED: u8 = 2;
const ALIVE: u8 = 3;

/// What an LZ4 block may hold for each of its bytes.
const MOST_RATIO: usize = 255;

/// A frame, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Of the sender's metadata.
    pub epoch: u64,
    /// A message's bytes; `None`: the sender is alive.
    pub message: Option<Cow<'a, [u8]>>,
}

/// What the beginning of some bytes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A frame, and how many bytes it has.
    Whole(Frame<'a>, usize),
    /// A frame that has not come whole; it needs at least so many bytes.
    Needs(usize),
}

/// Why bytes are no frame, or a message fits into none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header's checksum does not match.
    #[error("the header of a frame is damaged, or these are no frames at all")]
    Header,
    /// The payload's checksum does not match.
    #[error("a frame of {0} bytes is damaged")]
    Payload(usize),
    /// A later version's, or garbage with a right checksum.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// It would be longer than a frame may be.
    #[error(
        "a message of {0} bytes is longer than the {MOST_PAYLOAD} that nodes may send each other at once"
    )]
    TooLong(usize),
    /// The LZ4 block is not what it says.
    #[error("a compressed frame of {0} bytes does not hold what it says")]
    Compression(usize),
}

/// A frame with the message that `write` appends. Compressed where that helps.
///
/// # Errors
/// It is too long: nothing of it may be sent.
pub fn encode(epoch: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<Bytes, FrameError> {
    let mut frame = vec![0; HEADER];
    write(&mut frame);
    let len = frame.len() - HEADER;
    if len > MOST_PAYLOAD {
        return Err(FrameError::TooLong(len));
    }
    let compressed = (len >= COMPRESS_FROM).then(|| compress(&frame[HEADER..])).flatten();
    Ok(match compressed {
        Some(frame) => finish(frame, COMPRESSED, epoch),
        None => finish(frame, MESSAGE, epoch),
    })
}

/// A frame that says nothing but that its sender is alive.
pub fn alive(epoch: u64) -> Bytes {
    finish(vec![0; HEADER], ALIVE, epoch)
}

/// Room for a header and the compressed payload; `None` if that is not worth it.
fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    let start = HEADER + 4;
    let mut frame = vec![0; start + lz4_flex::block::get_maximum_output_size(payload.len())];
    frame[HEADER..start].copy_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
    let len = lz4_flex::block::compress_into(payload, &mut frame[start..]).ok()?;
    frame.truncate(start + len);
    (len + 4 <= payload.len() - payload.len() / 8).then_some(frame)
}

/// Writes the header before the payload.
fn finish(mut frame: Vec<u8>, kind: u8, epoch: u64) -> Bytes {
    let payload = &frame[HEADER..];
    let (len, sum) = (payload.len() as u32, crc32fast::hash(payload));
    let mut header = frame.as_mut_slice();
    header.put_u32_le(len);
    header.put_u8(kind);
    header.put_u64_le(epoch);
    header.put_u32_le(sum);
    let sum = crc32fast::hash(&frame[..HEADER - 4]);
    frame[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
    Bytes::from(frame)
}

/// Looks at the beginning of what came.
///
/// # Errors
/// It is no frame. Nothing that follows can be believed.
pub fn decode(input: &[u8]) -> Result<Decoded<'_>, FrameError> {
    let Some((header, rest)) = input.split_first_chunk::<HEADER>() else {
        return Ok(Decoded::Needs(HEADER));
    };
    let (fields, header_sum) = header.split_at(HEADER - 4);
    if crc32fast::hash(fields) != u32_at(header_sum, 0) {
        return Err(FrameError::Header);
    }
    let (len, kind) = (u32_at(fields, 0) as usize, fields[4]);
    if len > MOST_PAYLOAD {
        return Err(FrameError::TooLong(len));
    }
    let Some(payload) = rest.get(..len) else { return Ok(Decoded::Needs(HEADER + len)) };
    if crc32fast::hash(payload) != u32_at(fields, 13) {
        return Err(FrameError::Payload(len));
    }
    let message = match kind {
        MESSAGE => Some(Cow::Borrowed(payload)),
        COMPRESSED => Some(Cow::Owned(decompress(payload)?)),
        ALIVE if len == 0 => None,
        _ => return Err(FrameError::Kind(kind)),
    };
    let epoch = u64::from(u32_at(fields, 5)) | u64::from(u32_at(fields, 9)) << 32;
    Ok(Decoded::Whole(Frame { epoch, message }, HEADER + len))
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let wrong = FrameError::Compression(payload.len());
    let (len, block) = payload.split_first_chunk::<4>().ok_or(wrong)?;
    let len = u32::from_le_bytes(*len) as usize;
    if len > MOST_PAYLOAD || len > block.len().saturating_mul(MOST_RATIO) {
        return Err(wrong);
    }
    let mut raw = vec![0; len];
    match lz4_flex::block::decompress_into(block, &mut raw) {
        Ok(written) if written == len => Ok(raw),
        _ => Err(wrong),
    }
}

/// A little endian number within a header, whose length is known.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_le_bytes(*four))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
