//! The constants and fixed parts of the SSTable format; `docs/format-sstable.md` describes it as a whole.
//!
//! Changing anything here changes the format: raise [`VERSION`] and keep reading the old one.

use crate::model::{Deletion, Timestamp};
use crate::varint::{decode_i64, encode_i64};

/// First and last bytes of every SSTable.
pub(super) const MAGIC: [u8; 8] = *b"THLSsst\n";
/// The format version that is written, and the only one that is read.
pub const VERSION: u32 = 3;
/// Length of the footer, at the end of the file.
pub(super) const FOOTER_BYTES: usize = 80;
/// A restart, from which keys can be decoded, every so many entries of a data block.
pub(super) const RESTART_INTERVAL: usize = 16;
/// Blocks that claim to decompress to more than [`max_raw_len`] are refused before memory is taken for them.
const ALWAYS_ALLOWED_RAW_BYTES: u64 = 1 << 20;
/// No compression ratio above this is stored: LZ4's own limit.
const MAX_RATIO: u64 = 255;

/// Bytes that do not have the structure they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// How much a stored block of `len` bytes may decompress to.
pub(super) fn max_raw_len(len: u32) -> u64 {
    ALWAYS_ALLOWED_RAW_BYTES.max(u64::from(len) * MAX_RATIO)
}

/// Appends a deletion, its timestamp relative to `base`.
pub(super) fn encode_deletion(out: &mut Vec<u8>, deletion: Deletion, base: Timestamp) {
    encode_i64(out, deletion.timestamp.wrapping_sub(base));
    encode_i64(out, deletion.deleted_at);
}

pub(super) fn decode_deletion(input: &mut &[u8], base: Timestamp) -> Option<Deletion> {
    let timestamp = decode_i64(input)?.wrapping_add(base);
    Some(Deletion { timestamp, deleted_at: decode_i64(input)? })
}

/// A part of the file that is not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

impl Section {
    /// Whether it lies within a file of that length.
    pub(super) fn fits(self, file_len: u64) -> bool {
        self.offset.checked_add(u64::from(self.len)).is_some_and(|end| end <= file_len)
    }
}

/// What the end of the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Footer {
    pub(super) top_index: Section,
    /// Of length 0 if there is no filter.
    pub(super) filter: Section,
    pub(super) statistics: Section,
    pub(super) base: Timestamp,
    pub(super) file_len: u64,
}

/// Why a footer is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FooterError {
    Malformed(Malformed),
    Version(u32),
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for section in [self.top_index, self.filter, self.statistics] {
            out.extend_from_slice(&section.offset.to_le_bytes());
            out.extend_from_slice(&section.len.to_le_bytes());
            out.extend_from_slice(&section.crc.to_le_bytes());
        }
        out.extend_from_slice(&self.base.to_le_bytes());
        out.extend_from_slice(&self.file_len.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.extend_from_slice(&MAGIC);
        out.try_into().expect("the fields above are 80 bytes long")
    }

    pub(super) fn decode(bytes: &[u8; FOOTER_BYTES], file_len: u64) -> Result<Footer, FooterError> {
        let malformed = |what| FooterError::Malformed(Malformed(what));
        let mut input = bytes.as_slice();
        let sections = [section(&mut input), section(&mut input), section(&mut input)];
        let (base, len) =
            (i64::from_le_bytes(take(&mut input)), u64::from_le_bytes(take(&mut input)));
        let version = u32::from_le_bytes(take(&mut input));
        let crc = u32::from_le_bytes(take(&mut input));
        if input != MAGIC {
            return Err(malformed(
                "it does not end as an SSTable does: cut off, or another kind of file",
            ));
        }
        if crc32fast::hash(&bytes[..FOOTER_BYTES - 12]) != crc {
            return Err(malformed("the footer's checksum does not match"));
        }
        if version != VERSION {
            return Err(FooterError::Version(version));
        }
        if len != file_len || !sections.iter().all(|section| section.fits(file_len)) {
            return Err(malformed("the footer tells another length than the file has"));
        }
        let [top_index, filter, statistics] = sections;
        Ok(Footer { top_index, filter, statistics, base, file_len })
    }
}

/// The next bytes of a footer, whose length is fixed.
fn take<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let (head, rest) = input.split_first_chunk().expect("a footer has room for all its fields");
    *input = rest;
    *head
}

fn section(input: &mut &[u8]) -> Section {
    Section {
        offset: u64::from_le_bytes(take(input)),
        len: u32::from_le_bytes(take(input)),
        crc: u32::from_le_bytes(take(input)),
    }
}
