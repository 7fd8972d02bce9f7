//! Frames: what a segment file is made of.
//!
//! A segment file begins with 8 bytes of magic, the format version (u32) and 4 bytes of zeros. Frames follow, each of
//! what had gathered when it was written: length of the body (u32), the segment's bytes known to be on disk when the
//! frame was written (u32), crc32 of the header, crc32 of the body (seeded with the header's), body. All little endian.
//! The header's crc also covers the segment's id and the frame's offset: nothing of an earlier life of the file, and no
//! copy, is ever taken for a frame. A frame with an empty body seals the segment: nothing comes after it.
//!
//! Body: records of a varint length and an encoded mutation.
//!
//! Where no valid frame is, the log ends, if that can be: if a later valid frame says that those bytes were on disk
//! before it was written, they are damaged; and so is a file that ends there, for it had its full length before.

use super::batch::LogRecord;
use crate::model::mutation::Mutation;
use crate::model::mutation_codec::{decode_record, peek};
use crate::varint::decode_slice;

/// First bytes of every segment file.
pub(super) const MAGIC: [u8; 8] = *b"THLSclog";
/// The format version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 3;
/// Where frames begin in a segment file.
pub(super) const FILE_HEADER_BYTES: u32 = 16;
pub(super) const FRAME_HEADER_BYTES: usize = 16;

/// What a segment file begins with.
pub(super) fn file_header() -> Vec<u8> {
    let mut header = Vec::from(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.resize(FILE_HEADER_BYTES as usize, 0);
    header
}

fn header_crc(segment: u64, offset: u32, len: u32, synced: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&[offset.to_le_bytes(), len.to_le_bytes(), synced.to_le_bytes()].concat());
    hasher.finalize()
}

fn body_crc(header_crc: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(header_crc);
    hasher.update(body);
    hasher.finalize()
}

/// Fills in the header, for which `frame` has room at its beginning.
pub(super) fn finish_frame(frame: &mut [u8], segment: u64, offset: u32, synced: u32) {
    let (header, body) = frame.split_at_mut(FRAME_HEADER_BYTES);
    let len = body.len() as u32;
    let crc = header_crc(segment, offset, len, synced);
    for (field, value) in header.chunks_exact_mut(4).zip([len, synced, crc, body_crc(crc, body)]) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

/// A frame that seals the segment.
pub(super) fn seal_frame(segment: u64, offset: u32, synced: u32) -> [u8; FRAME_HEADER_BYTES] {
    let mut frame = [0; FRAME_HEADER_BYTES];
    finish_frame(&mut frame, segment, offset, synced);
    frame
}

/// A valid frame of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) offset: u32,
    pub(super) synced: u32,
    pub(super) body: &'a [u8],
}

impl Frame<'_> {
    pub(super) fn end(&self) -> u32 {
        self.offset + (FRAME_HEADER_BYTES + self.body.len()) as u32
    }

    pub(super) fn is_seal(&self) -> bool {
        self.body.is_empty()
    }

    /// Its records, not decoded; an error is the offset of one that is none.
    pub(super) fn encoded(&self) -> impl Iterator<Item = Result<LogRecord, u32>> {
        let first = self.offset + FRAME_HEADER_BYTES as u32;
        let mut rest = self.body;
        let total = rest.len();
        let mut previous = None;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let offset = first + (total - rest.len()) as u32;
            let found = decode_slice(&mut rest).and_then(|record| {
                let (table, token) = peek(record, previous)?;
                Some(LogRecord { table, token, offset, len: record.len() as u32 })
            });
            match &found {
                Some(record) => previous = Some(record.table),
                None => rest = &[],
            }
            Some(found.ok_or(offset))
        })
    }

    /// Its mutations and their offsets in the segment; an error is the offset of a record that is none, although the
    /// checksum holds: the writer was at fault.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(u32, Mutation), u32>> {
        let body = self.body;
        let first = self.offset + FRAME_HEADER_BYTES as u32;
        self.encoded().map(move |record| {
            let LogRecord { table, offset, .. } = record?;
            let mutation = decode_record(body, (offset - first) as usize, table);
            mutation.map(|mutation| (offset, mutation)).ok_or(offset)
        })
    }
}

/// A valid header, and what follows it.
struct Header<'a> {
    len: u32,
    synced: u32,
    crc: u32,
    body_crc: u32,
    rest: &'a [u8],
}

fn header_at(file: &[u8], segment: u64, offset: u32) -> Option<Header<'_>> {
    let (header, rest) = file.get(offset as usize..)?.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let field = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (len, synced, crc) = (field(0), field(4), field(8));
    // Most of what a scan sees are zeros and noise: the cheap tests come first.
    let plausible = synced <= offset && (len, synced, crc) != (0, 0, 0);
    let valid = plausible && crc == header_crc(segment, offset, len, synced);
    valid.then_some(Header { len, synced, crc, body_crc: field(12), rest })
}

/// The valid frame at an offset of a segment file, if there is one.
pub(super) fn frame_at(file: &[u8], segment: u64, offset: u32) -> Option<Frame<'_>> {
    let Header { len, synced, crc, body_crc: expected, rest } = header_at(file, segment, offset)?;
    let body = rest.get(..len as usize)?;
    (expected == body_crc(crc, body)).then_some(Frame { offset, synced, body })
}

/// Whether the file was cut off where a frame would be: it had its full length, with room for one more header, before
/// anything was written to it.
fn is_cut_off(file: &[u8], segment: u64, offset: u32) -> bool {
    let lacks_room = file.len() < offset as usize + FRAME_HEADER_BYTES;
    lacks_room
        || header_at(file, segment, offset)
            .is_some_and(|header| header.rest.len() < header.len as usize)
}

/// How the frames of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a seal.
    Sealed,
    /// Without: all that was written before a crash, at least all that was synced, ends at this offset.
    Open(u32),
    /// Bytes at this offset were on disk and are not what was written.
    Damaged(u32),
}

/// Passes the valid frames up to the end to `visit`. With `salvage`, those after a damage too.
pub(super) fn walk<'a, E>(
    file: &'a [u8],
    segment: u64,
    salvage: bool,
    visit: &mut dyn FnMut(Frame<'a>) -> Result<(), E>,
) -> Result<End, E> {
    let mut offset = FILE_HEADER_BYTES;
    while let Some(frame) = frame_at(file, segment, offset) {
        if frame.is_seal() {
            return Ok(End::Sealed);
        }
        visit(frame)?;
        offset = frame.end();
    }
    let later: Vec<u32> = later_frames(file, segment, offset).map(|frame| frame.offset).collect();
    let frames = || later.iter().filter_map(|later| frame_at(file, segment, *later));
    if frames().all(|frame| frame.synced <= offset) && !is_cut_off(file, segment, offset) {
        return Ok(End::Open(offset));
    }
    if salvage {
        frames().filter(|frame| !frame.is_seal()).try_for_each(visit)?;
    }
    Ok(End::Damaged(offset))
}

fn later_frames(file: &[u8], segment: u64, after: u32) -> impl Iterator<Item = Frame<'_>> {
    let mut offset = after.saturating_add(1);
    std::iter::from_fn(move || {
        while (offset as usize) < file.len() {
            match frame_at(file, segment, offset) {
                None => offset += 1,
                Some(frame) => {
                    offset = frame.end();
                    return Some(frame);
                }
            }
        }
        None
    })
}
