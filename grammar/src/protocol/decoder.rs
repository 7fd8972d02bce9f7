//! The other side's bytes of a connection: envelopes out of a growing buffer, in whatever framing is in force.
//!
//! The caller keeps the buffer. Envelopes borrow from it wherever they lie in it whole and uncompressed, and from the
//! decoder where they were decompressed or put together from several segments.

use std::ops::Range;

use super::compression::{Compression, announced_length, decompress_body};
use super::envelope::Envelope;
use super::error::ProtocolError;
use super::header::{Direction, Flags, HEADER_LENGTH, Header, MAX_FRAME_BEFORE_AUTH, Version};
use super::segment::{self, SegmentHeader, TRAILER_LENGTH};

/// Memory that the decoder keeps between envelopes; what a larger one took is given back. Little: there is a decoder for
/// each connection, and most are idle.
const KEPT: usize = 16 * 1024;

/// Reads a connection's envelopes.
#[derive(Debug)]
pub struct Decoder {
    direction: Direction,
    body_limit: usize,
    /// Bodies that decompress to more are handed out as they came.
    unpack_limit: usize,
    /// Envelopes that need more memory are not put together.
    room: usize,
    version: Option<Version>,
    compression: Option<Compression>,
    segments: bool,
    /// Bytes of the payload of a self-contained segment that stand verified at the front of the input.
    verified: usize,
    /// A decompressed body, or the decompressed payload of a self-contained segment.
    scratch: Vec<u8>,
    /// How much of the payload in `scratch` was handed out.
    scratch_read: usize,
    /// The part of an envelope that came in segments that are not self-contained.
    assembly: Vec<u8>,
    /// Whether what is in `assembly` was handed out.
    assembled: bool,
    wanted: usize,
    needed: usize,
}

/// Where the bytes of an envelope are.
enum Place<'i> {
    Input(&'i [u8]),
    Scratch(Range<usize>),
    Assembly,
}

impl Decoder {
    /// A server's decoder: of bare requests, bounded by [`MAX_FRAME_BEFORE_AUTH`].
    pub fn of_requests() -> Decoder {
        Decoder::new(Direction::Request, MAX_FRAME_BEFORE_AUTH)
    }

    /// A client's decoder: of bare responses, bounded by [`super::header::MAX_FRAME_AFTER_AUTH`].
    pub fn of_responses() -> Decoder {
        Decoder::new(Direction::Response, super::header::MAX_FRAME_AFTER_AUTH)
    }

    fn new(direction: Direction, body_limit: usize) -> Decoder {
        Decoder {
            direction,
            body_limit,
            unpack_limit: usize::MAX,
            room: usize::MAX,
            version: None,
            compression: None,
            segments: false,
            verified: 0,
            scratch: Vec::new(),
            scratch_read: 0,
            assembly: Vec::new(),
            assembled: false,
            wanted: 0,
            needed: 0,
        }
    }

    /// The longest body accepted from here on; [`super::header::MAX_FRAME_AFTER_AUTH`] once the peer is authenticated.
    pub fn set_body_limit(&mut self, limit: usize) {
        self.body_limit = limit;
    }

    /// Bodies of v4 that decompress to more than this are handed out [packed](Envelope::is_packed): the reader of bytes
    /// is not the one to do so much work.
    pub fn set_unpack_limit(&mut self, bytes: usize) {
        self.unpack_limit = bytes;
    }

    /// Memory that the envelope at the front of the input may take. One that comes in several segments and needs more is
    /// not put together: [`next`](Self::next) says `None` and takes no more input, [`needed`](Self::needed) says how much
    /// it is.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// See [`set_room`](Self::set_room).
    pub fn room(&self) -> usize {
        self.room
    }

    /// Whether part of an envelope was taken off the input that has not come whole.
    pub fn is_assembling(&self) -> bool {
        !self.assembly.is_empty() && !self.assembled
    }

    /// The one version accepted from here on: that of STARTUP.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// The compression that STARTUP agreed on.
    pub fn set_compression(&mut self, compression: Option<Compression>) {
        self.compression = compression;
    }

    /// From here on the input is segments: for v5, a server calls this when it answers READY or AUTHENTICATE, a client
    /// when it has read either.
    pub fn switch_to_segments(&mut self) {
        self.segments = true;
    }

    /// How many bytes of input the envelope or segment at its front needs, as far as is known; 0 if nothing is. Set
    /// when [`Decoder::next`] says `None`; a hint for how much to read or to make room for.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// How much memory the envelope or segment at the front of the input needs, in the caller's buffer and here, as far as
    /// is known; 0 if nothing is. Set when [`Decoder::next`] says `None`.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Gives away the envelope that was handed out last, header and all, if it was put together here.
    pub fn take_assembled(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.assembled).then(|| std::mem::take(&mut self.assembly))
    }

    /// How many bytes of memory the decoder itself holds.
    pub fn memory(&self) -> usize {
        self.scratch.capacity() + self.assembly.capacity()
    }

    /// Takes the next whole envelope off the front of `input`, or says `None` if it has not come whole yet.
    ///
    /// `input` may be taken from when `None` is said too: what was taken is kept here. After an error that
    /// [is fatal](ProtocolError::is_fatal) (all from here are) nothing more can be read.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Envelope<'a>>, ProtocolError> {
        (self.wanted, self.needed) = (0, 0);
        let found =
            if self.segments { self.next_in_segments(input)? } else { self.next_bare(input)? };
        let Some((header, place)) = found else { return Ok(None) };
        if let Some(agreed) = self.version.filter(|&agreed| agreed != header.version) {
            return Err(ProtocolError::VersionChanged {
                agreed,
                found: header.version,
                stream: header.stream,
            });
        }
        let body = match place {
            Place::Input(body) => body,
            Place::Scratch(range) => self.scratch.get(range).unwrap_or(&[]),
            Place::Assembly => self.assembly.get(HEADER_LENGTH..).unwrap_or(&[]),
        };
        Ok(Some(Envelope { header, body }))
    }

    fn next_bare<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<(Header, Place<'i>)>, ProtocolError> {
        self.scratch.clear();
        self.scratch.shrink_to(KEPT);
        let Some(mut header) = Header::decode(input, self.direction, self.body_limit)? else {
            return Ok(None);
        };
        let Header { version, stream, .. } = header;
        let compressed = header.flags.has(Flags::COMPRESSION);
        if compressed && (self.compression.is_none() || version != Version::V4) {
            return Err(ProtocolError::CompressionNotAgreed { version, stream });
        }
        let Some((body, rest)) = split_envelope(input, &header) else {
            self.wanted = HEADER_LENGTH + header.length;
            self.needed = self.wanted;
            return Ok(None);
        };
        *input = rest;
        if !compressed {
            return Ok(Some((header, Place::Input(body))));
        }
        if announced_length(&header, body, self.body_limit)? > self.unpack_limit {
            return Ok(Some((header, Place::Input(body))));
        }
        decompress_body(&header, body, self.body_limit, &mut self.scratch)?;
        header.flags = header.flags.without(Flags::COMPRESSION);
        Ok(Some((header, Place::Scratch(0..self.scratch.len()))))
    }

    fn next_in_segments<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<(Header, Place<'i>)>, ProtocolError> {
        if self.assembled {
            self.assembled = false;
            self.assembly.clear();
            self.assembly.shrink_to(KEPT);
        }
        loop {
            if self.verified > 0 {
                return self.next_verified(input).map(Some);
            }
            if self.scratch_read < self.scratch.len() {
                return self.next_in_scratch().map(Some);
            }
            if !self.has_room()? || !self.open_segment(input)? {
                return Ok(None);
            }
            if let Some(header) = self.assembled_header()? {
                self.assembled = true;
                return Ok(Some((header, Place::Assembly)));
            }
        }
    }

    /// Whether the envelope that is being put together may go on; makes room for all of it as soon as it is known how
    /// long it is.
    fn has_room(&mut self) -> Result<bool, ProtocolError> {
        let Some(header) = self.assembly_header()? else { return Ok(true) };
        self.needed = HEADER_LENGTH + header.length;
        if self.needed > self.room {
            return Ok(false);
        }
        self.assembly.reserve_exact(self.needed.saturating_sub(self.assembly.len()));
        Ok(true)
    }

    /// The next envelope of the verified payload at the front of the input.
    fn next_verified<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<(Header, Place<'i>), ProtocolError> {
        let payload = input.get(..self.verified).unwrap_or(input);
        let (header, body) = self.whole_envelope(payload)?;
        let length = HEADER_LENGTH + header.length;
        self.verified -= length;
        let skip = if self.verified == 0 { length + TRAILER_LENGTH } else { length };
        *input = input.get(skip..).unwrap_or(&[]);
        Ok((header, Place::Input(body)))
    }

    /// The next envelope of the decompressed payload.
    fn next_in_scratch<'i>(&mut self) -> Result<(Header, Place<'i>), ProtocolError> {
        let payload = self.scratch.get(self.scratch_read..).unwrap_or(&[]);
        let (header, _) = self.whole_envelope(payload)?;
        let start = self.scratch_read + HEADER_LENGTH;
        self.scratch_read = start + header.length;
        Ok((header, Place::Scratch(start..self.scratch_read)))
    }

    /// The envelope at the start of a self-contained segment's payload; it must be whole.
    fn whole_envelope<'p>(&self, payload: &'p [u8]) -> Result<(Header, &'p [u8]), ProtocolError> {
        Header::decode(payload, self.direction, self.body_limit)?
            .and_then(|header| split_envelope(payload, &header).map(|(body, _)| (header, body)))
            .map(|(header, body)| (in_segment(header), body))
            .ok_or(ProtocolError::SegmentBoundary(
                "a self-contained segment ends inside an envelope",
            ))
    }

    /// Takes up the segment at the front of the input, if it has come whole.
    fn open_segment(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        let Some(header) = SegmentHeader::decode(input, self.compression)? else {
            return Ok(false);
        };
        let header_length = segment::header_length(self.compression);
        let length = header_length + header.payload_length + TRAILER_LENGTH;
        let Some((segment, rest)) = input.split_at_checked(length) else {
            self.wanted = length;
            self.needed += length;
            return Ok(false);
        };
        let body = segment.get(header_length..).unwrap_or(&[]);
        let (payload, trailer) =
            body.split_at_checked(header.payload_length).unwrap_or((body, &[]));
        segment::verify_payload(payload, trailer)?;
        if header.self_contained && !self.assembly.is_empty() {
            let what = "a self-contained segment came before the end of a split envelope";
            return Err(ProtocolError::SegmentBoundary(what));
        }
        match header.decompressed_length {
            None if header.self_contained && !payload.is_empty() => {
                self.verified = payload.len();
                *input = input.get(header_length..).unwrap_or(&[]);
                return Ok(true);
            }
            None => self.assembly.extend_from_slice(payload),
            Some(decompressed) => {
                segment::decompress_payload(payload, decompressed, &mut self.scratch)?;
                self.scratch_read = 0;
                if !header.self_contained {
                    self.assembly.append(&mut self.scratch);
                }
            }
        }
        *input = rest;
        Ok(true)
    }

    /// The header of the split envelope, once all of it is here.
    fn assembled_header(&self) -> Result<Option<Header>, ProtocolError> {
        let Some(header) = self.assembly_header()? else { return Ok(None) };
        match self.assembly.len().cmp(&(HEADER_LENGTH + header.length)) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Equal => Ok(Some(in_segment(header))),
            std::cmp::Ordering::Greater => {
                Err(ProtocolError::SegmentBoundary("a split envelope goes on beyond its length"))
            }
        }
    }

    fn assembly_header(&self) -> Result<Option<Header>, ProtocolError> {
        if self.assembly.is_empty() {
            return Ok(None);
        }
        Header::decode(&self.assembly, self.direction, self.body_limit)
    }
}

/// In v5 segments are compressed and not bodies: the flag, which some drivers set all the same, says nothing.
fn in_segment(mut header: Header) -> Header {
    header.flags = header.flags.without(Flags::COMPRESSION);
    header
}

/// Body and rest of the envelope at the start of `input`, if it is whole.
fn split_envelope<'i>(input: &'i [u8], header: &Header) -> Option<(&'i [u8], &'i [u8])> {
    input.get(HEADER_LENGTH..)?.split_at_checked(header.length)
}
