//! LZ4, of v4 envelopes and of v5 segments.
//!
//! A compressed v4 body is a 4-byte big-endian length of what it decompresses to, then one LZ4 block. A v5 segment
//! holds the block alone; its header has the length. Snappy is not spoken here and not offered.
//!
//! Lengths from outside are held against what LZ4 can reach at all before memory is set aside, and a block that
//! decompresses to more or less than it announces is refused, so no byte of anything else ever shows.

use super::error::ProtocolError;
use super::header::Header;

/// Bytes of the length before a v4 body's block.
const LENGTH_PREFIX: usize = 4;

/// No byte of an LZ4 block stands for more bytes than this.
const MAX_RATIO: usize = 255;

/// A compression that STARTUP can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// LZ4, block format.
    Lz4,
}

impl Compression {
    /// All that are spoken here, as SUPPORTED offers them.
    pub const ALL: [Compression; 1] = [Compression::Lz4];

    /// The name in STARTUP and SUPPORTED.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::Lz4 => "lz4",
        }
    }

    /// The compression of that name, in any case.
    pub fn from_name(name: &str) -> Option<Compression> {
        Compression::ALL
            .into_iter()
            .find(|compression| compression.name().eq_ignore_ascii_case(name))
    }
}

/// Decompresses the body of a v4 envelope into `out`, replacing what it holds; at most `limit` bytes.
pub fn decompress_body(
    header: &Header,
    body: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let announced = announced_length(header, body, limit)?;
    let block = body.get(LENGTH_PREFIX..).unwrap_or(&[]);
    // An empty body is compressed to the length alone by some drivers, and to a block of one zero byte by others.
    if announced == 0 && block.is_empty() {
        out.clear();
        return Ok(());
    }
    decompress_block(block, announced, out)
}

/// What the body of a v4 envelope decompresses to, if it is what it says. At most `limit`, and no more than a block of
/// this length can hold.
pub fn announced_length(
    header: &Header,
    body: &[u8],
    limit: usize,
) -> Result<usize, ProtocolError> {
    let Header { version, stream, .. } = *header;
    let Some((prefix, block)) = body.split_first_chunk::<LENGTH_PREFIX>() else {
        let reason = "the length before the block is cut off";
        return Err(ProtocolError::Compression { compressed: body.len(), announced: 0, reason });
    };
    let announced = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(ProtocolError::BodyTooLong { announced, limit, version, stream });
    }
    check_ratio(block, announced)?;
    Ok(announced)
}

/// Appends a v4 body compressed.
///
/// # Panics
/// At 4 GiB and above; the encoder refuses bodies of a sixteenth of that.
pub fn compress_body(body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len()).expect("bodies are bounded far below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    compress_block(body, out);
}

/// Decompresses a block of exactly `announced` bytes into `out`, replacing what it holds.
pub(super) fn decompress_block(
    block: &[u8],
    announced: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let wrong = |reason| ProtocolError::Compression { compressed: block.len(), announced, reason };
    out.clear();
    check_ratio(block, announced)?;
    out.resize(announced, 0);
    match lz4_flex::block::decompress_into(block, out) {
        Ok(length) if length == announced => Ok(()),
        Ok(_) => {
            out.clear();
            Err(wrong("the block holds less than announced"))
        }
        Err(_) => {
            out.clear();
            Err(wrong("the block is damaged or holds more than announced"))
        }
    }
}

fn check_ratio(block: &[u8], announced: usize) -> Result<(), ProtocolError> {
    if announced <= block.len().saturating_mul(MAX_RATIO) {
        return Ok(());
    }
    let reason = "no block of this length holds that much";
    Err(ProtocolError::Compression { compressed: block.len(), announced, reason })
}

/// Appends a block.
pub(super) fn compress_block(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
    let room = out.get_mut(start..).expect("the buffer was just made longer than this");
    let length = lz4_flex::block::compress_into(bytes, room)
        .expect("the room is the most that a block can take");
    out.truncate(start + length);
}
