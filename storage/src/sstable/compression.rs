//! Compressing and decompressing blocks.

use super::format::{Malformed, max_raw_len};
use super::index::Codec;
use super::options::Compression;

/// Compresses a block if that makes it smaller. Returns how it is stored; `out` holds the stored bytes unless raw.
pub(super) fn compress(compression: Compression, raw: &[u8], out: &mut Vec<u8>) -> Codec {
    let (codec, len) = match compression {
        Compression::None => return Codec::Raw,
        Compression::Lz4 => {
            out.resize(lz4_flex::block::get_maximum_output_size(raw.len()), 0);
            (Codec::Lz4, lz4_flex::block::compress_into(raw, out).ok())
        }
        Compression::Zstd { level } => {
            out.resize(zstd::zstd_safe::compress_bound(raw.len()), 0);
            (Codec::Zstd, zstd::bulk::compress_to_buffer(raw, out.as_mut_slice(), level).ok())
        }
    };
    match len.filter(|len| *len < raw.len() && raw.len() as u64 <= max_raw_len(*len as u32)) {
        Some(len) => {
            out.truncate(len);
            codec
        }
        None => Codec::Raw,
    }
}

/// Restores a block of exactly `raw_len` bytes.
pub(super) fn decompress(
    codec: Codec,
    stored: Vec<u8>,
    raw_len: usize,
) -> Result<Vec<u8>, Malformed> {
    let mut raw = Vec::new();
    let len = match codec {
        Codec::Raw => return Ok(stored),
        Codec::Lz4 => {
            raw.resize(raw_len, 0);
            lz4_flex::block::decompress_into(&stored, &mut raw).ok()
        }
        Codec::Zstd => {
            raw.resize(raw_len, 0);
            zstd::bulk::decompress_to_buffer(&stored, raw.as_mut_slice()).ok()
        }
    };
    if len == Some(raw_len) {
        Ok(raw)
    } else {
        Err(Malformed("a block does not decompress to its length"))
    }
}
