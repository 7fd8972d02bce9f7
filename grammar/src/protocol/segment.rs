//! The segments of v5 (native protocol v5, section 2.2, "Framing"): checksummed, optionally compressed wrappers.
//!
//! ```text
//! uncompressed  | 17 bits payload length | 1 bit self-contained | 6 bits 0 |              CRC24 | payload | CRC32 |
//! compressed    | 17 bits payload length | 17 bits length decompressed | 1 bit self-contained | 5 bits 0 | CRC24 | ...
//! ```
//!
//! Everything here is little-endian, unlike the rest of the protocol. The payload of a self-contained segment is one
//! or more whole envelopes; an envelope that does not fit in one is cut over several that are not self-contained. In
//! compressed framing a decompressed length of 0 says that the payload is stored as it is.

use super::compression::{Compression, compress_block, decompress_block};
use super::error::ProtocolError;
use super::primitive::patch;

/// Longest payload of a segment: what 17 bits can say.
pub const MAX_PAYLOAD: usize = (1 << LENGTH_BITS) - 1;

/// Length of the CRC32 after the payload.
pub const TRAILER_LENGTH: usize = 4;

const LENGTH_BITS: u32 = 17;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const CRC24_LENGTH: usize = 3;
const CRC24_INITIAL: u32 = 0x87_5060;
const CRC24_POLYNOMIAL: u32 = 0x197_4F0B;
/// Bytes that the CRC32 of a payload begins with, so that zeros do not check out as zero.
const CRC32_PREFIX: [u8; 4] = [0xFA, 0x2D, 0x55, 0xCA];

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Length of the payload as it travels.
    pub payload_length: usize,
    /// Length of the payload decompressed, if it is compressed.
    pub decompressed_length: Option<usize>,
    /// Whether the payload is whole envelopes.
    pub self_contained: bool,
}

/// Length of a segment's header.
pub const fn header_length(compression: Option<Compression>) -> usize {
    match compression {
        None => 3 + CRC24_LENGTH,
        Some(_) => 5 + CRC24_LENGTH,
    }
}

impl SegmentHeader {
    /// Reads the header at the start of `input`, or `None` if it has not come whole yet.
    pub fn decode(
        input: &[u8],
        compression: Option<Compression>,
    ) -> Result<Option<SegmentHeader>, ProtocolError> {
        let length = header_length(compression);
        let Some((fields, stored)) =
            input.get(..length).and_then(|header| header.split_at_checked(length - CRC24_LENGTH))
        else {
            return Ok(None);
        };
        let stored = u32::try_from(little_endian(stored)).unwrap_or(u32::MAX);
        let computed = crc24(fields);
        if computed != stored {
            return Err(ProtocolError::SegmentHeaderChecksum { computed, stored });
        }
        let bits = little_endian(fields);
        let field = |bits: u64| usize::try_from(bits & LENGTH_MASK).unwrap_or(usize::MAX);
        let decompressed_length = match compression {
            None => None,
            Some(_) => Some(field(bits >> LENGTH_BITS)).filter(|&length| length > 0),
        };
        let flag = flag_bit(compression);
        Ok(Some(SegmentHeader {
            payload_length: field(bits),
            decompressed_length,
            self_contained: bits >> flag & 1 == 1,
        }))
    }

    fn encode(&self, compression: Option<Compression>) -> [u8; 8] {
        assert!(
            self.payload_length <= MAX_PAYLOAD,
            "the encoder ends a segment before it is too long"
        );
        let mut bits =
            self.payload_length as u64 | u64::from(self.self_contained) << flag_bit(compression);
        if compression.is_some() {
            bits |= (self.decompressed_length.unwrap_or(0) as u64) << LENGTH_BITS;
        }
        let fields = header_length(compression) - CRC24_LENGTH;
        let mut header = bits.to_le_bytes();
        let crc = crc24(header.get(..fields).unwrap_or(&[]));
        patch(&mut header, fields, crc.to_le_bytes().get(..CRC24_LENGTH).unwrap_or(&[]));
        header
    }
}

const fn flag_bit(compression: Option<Compression>) -> u32 {
    match compression {
        None => LENGTH_BITS,
        Some(_) => 2 * LENGTH_BITS,
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// CRC24 of a segment's header.
pub fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(CRC24_INITIAL, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 16, |crc, _| {
            let shifted = crc << 1;
            if shifted & 0x100_0000 == 0 { shifted } else { shifted ^ CRC24_POLYNOMIAL }
        })
    })
}

/// CRC32 of a segment's payload.
pub fn payload_crc32(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&CRC32_PREFIX);
    hasher.update(payload);
    hasher.finalize()
}

/// Holds a payload against the CRC32 after it.
pub fn verify_payload(payload: &[u8], trailer: &[u8]) -> Result<(), ProtocolError> {
    let stored = u32::try_from(little_endian(trailer)).unwrap_or(u32::MAX);
    let computed = payload_crc32(payload);
    if computed == stored {
        Ok(())
    } else {
        Err(ProtocolError::SegmentPayloadChecksum { computed, stored })
    }
}

/// Decompresses a payload into `out`, replacing what it holds.
pub(super) fn decompress_payload(
    payload: &[u8],
    length: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    decompress_block(payload, length, out)
}

/// Makes room for a segment's header at the end of `out`.
pub(super) fn reserve_header(out: &mut Vec<u8>, compression: Option<Compression>) {
    out.resize(out.len() + header_length(compression), 0);
}

/// Ends the segment at `start`, whose payload goes to the end of `out`: compresses it where that makes it shorter,
/// patches the header, appends the checksum. A segment without payload is taken back.
///
/// Invariant: the payload is at most [`MAX_PAYLOAD`] long.
pub(super) fn close(
    out: &mut Vec<u8>,
    start: usize,
    compression: Option<Compression>,
    self_contained: bool,
    scratch: &mut Vec<u8>,
) {
    let payload_start = start + header_length(compression);
    let Some(payload) = out.get(payload_start..).filter(|payload| !payload.is_empty()) else {
        out.truncate(start);
        return;
    };
    let mut header =
        SegmentHeader { payload_length: payload.len(), decompressed_length: None, self_contained };
    if compression.is_some() {
        scratch.clear();
        compress_block(payload, scratch);
        if scratch.len() < payload.len() {
            header.payload_length = scratch.len();
            header.decompressed_length = Some(payload.len());
            out.truncate(payload_start);
            out.extend_from_slice(scratch);
        }
    }
    let encoded = header.encode(compression);
    patch(out, start, encoded.get(..header_length(compression)).unwrap_or(&[]));
    let crc = payload_crc32(out.get(payload_start..).unwrap_or(&[]));
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Appends an envelope cut over segments that are not self-contained.
pub(super) fn split(
    envelope: &[u8],
    compression: Option<Compression>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    for chunk in envelope.chunks(MAX_PAYLOAD) {
        let start = out.len();
        reserve_header(out, compression);
        out.extend_from_slice(chunk);
        close(out, start, compression, false, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the checksums of the Python driver (3.30): header 09 00 02 of an OPTIONS in a segment, and its payload.
    #[test]
    fn checksums_of_another_encoder() {
        assert_eq!(crc24(&[0x09, 0x00, 0x02]), 0xC1_C8A4);
        assert_eq!(payload_crc32(&[5, 0, 0, 5, 5, 0, 0, 0, 0]), 0x1DE5_17A3);
    }

    #[test]
    fn headers_come_back() {
        for compression in [None, Some(Compression::Lz4)] {
            for payload_length in [0, 1, 255, 65_536, MAX_PAYLOAD] {
                for self_contained in [false, true] {
                    let decompressed_length =
                        compression.map(|_| MAX_PAYLOAD - payload_length).filter(|&l| l > 0);
                    let header =
                        SegmentHeader { payload_length, decompressed_length, self_contained };
                    let bytes = header.encode(compression);
                    let bytes = &bytes[..header_length(compression)];
                    assert_eq!(SegmentHeader::decode(bytes, compression), Ok(Some(header)));
                    assert_eq!(SegmentHeader::decode(&bytes[1..], compression), Ok(None));
                }
            }
        }
    }
}
