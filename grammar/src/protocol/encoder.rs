//! One side's bytes of a connection: envelopes appended to one buffer, in whatever framing is in force.
//!
//! An envelope is begun, its body appended to [`Encoder::body`], and finished: its length is reserved first and patched
//! then. In v5 framing consecutive envelopes share a segment while they fit; larger ones are split over several.
//! Nothing is copied, save what is compressed or crosses the end of a segment.

use super::compression::{Compression, compress_body};
use super::envelope::Extras;
use super::error::ProtocolError;
use super::header::{
    Direction, Flags, HEADER_LENGTH, Header, MAX_FRAME_AFTER_AUTH, Opcode, Version,
};
use super::primitive::{patch, write_bytes_map};
use super::request::Request;
use super::response::Response;
use super::segment;

/// Bodies shorter than this are not worth compressing.
const MIN_COMPRESSED_BODY: usize = 512;

/// Where the length stands in an envelope's header.
const LENGTH_OFFSET: usize = HEADER_LENGTH - 4;

/// Buffers with room for more than this are sparse: what was never written to takes no memory. What is written takes
/// whole pages, and those may be large ones.
const SPARSE: usize = 32 << 20;
const LARGE_PAGE: usize = 2 << 20;

/// Writes a connection's envelopes.
#[derive(Debug, Default)]
pub struct Encoder {
    compression: Option<Compression>,
    segments: bool,
    out: Vec<u8>,
    /// Where the open segment starts in `out`. Invariant: room for its header is there, envelopes follow to the end.
    segment: Option<usize>,
    scratch: Vec<u8>,
}

/// An envelope that was begun and must be finished or abandoned.
#[derive(Debug)]
#[must_use = "an envelope that is begun must be finished or abandoned"]
pub struct OpenEnvelope {
    /// Where its header starts in the buffer.
    start: usize,
    version: Version,
    stream: i16,
}

impl OpenEnvelope {
    /// The stream that it answers.
    pub fn stream(&self) -> i16 {
        self.stream
    }
}

impl Encoder {
    /// An encoder of bare, uncompressed envelopes: how every connection starts.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// An encoder with nothing in it that writes as this one does: what it has [finished](Self::into_finished) may be
    /// [appended](Self::append_finished) here.
    pub fn twin(&self) -> Encoder {
        Encoder { compression: self.compression, segments: self.segments, ..Encoder::default() }
    }

    /// From here on bodies (v4) or segments (v5) are compressed.
    pub fn set_compression(&mut self, compression: Option<Compression>) {
        self.compression = compression;
    }

    /// From here on envelopes travel in segments: for v5, a server calls this after READY or AUTHENTICATE is finished,
    /// a client when it has read either.
    pub fn switch_to_segments(&mut self) {
        self.segments = true;
    }

    /// Begins an envelope. `flags` announce what the caller puts before the message; compression is not its concern.
    pub fn begin(
        &mut self,
        version: Version,
        opcode: Opcode,
        stream: i16,
        flags: Flags,
    ) -> OpenEnvelope {
        if self.segments && self.segment.is_none() {
            self.segment = Some(self.out.len());
            segment::reserve_header(&mut self.out, self.compression);
        }
        let start = self.out.len();
        let direction = opcode.direction();
        Header { version, direction, flags, stream, opcode, length: 0 }.encode(&mut self.out);
        OpenEnvelope { start, version, stream }
    }

    /// The buffer, to append the open envelope's body to. What stands in it already must stay.
    pub fn body(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Ends an envelope. A body above [`MAX_FRAME_AFTER_AUTH`] is refused, and the envelope abandoned.
    pub fn finish(&mut self, envelope: OpenEnvelope) -> Result<(), ProtocolError> {
        let OpenEnvelope { start, version, stream } = envelope;
        let body = start + HEADER_LENGTH;
        let announced = self.out.len().saturating_sub(body);
        if announced > MAX_FRAME_AFTER_AUTH {
            self.out.truncate(start);
            self.drop_empty_segment();
            return Err(ProtocolError::BodyTooLong {
                announced,
                limit: MAX_FRAME_AFTER_AUTH,
                version,
                stream,
            });
        }
        if !self.segments && self.compression.is_some() && announced >= MIN_COMPRESSED_BODY {
            self.compress(start);
        }
        let length = i32::try_from(self.out.len() - body).expect("bounded by the limit above");
        patch(&mut self.out, start + LENGTH_OFFSET, &length.to_be_bytes());
        if self.segments {
            self.keep_segment_bounded(start);
        }
        Ok(())
    }

    /// Takes back an envelope that was begun, with what was appended to it, and its segment if nothing else is in it.
    pub fn abandon(&mut self, envelope: OpenEnvelope) {
        self.out.truncate(envelope.start);
        self.drop_empty_segment();
    }

    /// All bytes so far, ready to be sent; ends the open segment. [`Encoder::clear`] when they are sent.
    pub fn finished(&mut self) -> &[u8] {
        self.end_segment();
        &self.out
    }

    /// All bytes so far, given away.
    pub fn into_finished(mut self) -> Vec<u8> {
        self.end_segment();
        self.out
    }

    /// Appends what a [twin](Self::twin) finished.
    pub fn append_finished(&mut self, mut bytes: Vec<u8>) {
        self.end_segment();
        if self.out.is_empty() {
            self.out = bytes;
        } else {
            self.out.append(&mut bytes);
        }
    }

    /// Whether what is finished is more than its bytes as they were appended: it takes that memory once more.
    pub fn transforms(&self) -> bool {
        self.segments || self.compression.is_some()
    }

    /// How many bytes of memory it holds.
    pub fn memory(&self) -> usize {
        memory_of(&self.out) + self.scratch.capacity()
    }

    /// How many bytes wait to be sent.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Forgets all bytes; the buffer keeps its memory up to `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.out.clear();
        self.segment = None;
        self.out.shrink_to(keep);
        self.scratch.clear();
        self.scratch.shrink_to(keep);
    }

    /// A whole request.
    pub fn request(
        &mut self,
        version: Version,
        stream: i16,
        tracing: bool,
        payload: &[(&str, Option<&[u8]>)],
        request: &Request<'_>,
    ) -> Result<(), ProtocolError> {
        debug_assert_eq!(request.opcode().direction(), Direction::Request);
        let mut flags = if tracing { Flags::TRACING } else { Flags::default() };
        if !payload.is_empty() {
            flags = flags.with(Flags::CUSTOM_PAYLOAD);
        }
        let envelope = self.begin(version, request.opcode(), stream, flags);
        if !payload.is_empty() {
            write_bytes_map(&mut self.out, payload);
        }
        request.encode(&mut self.out, version);
        self.finish(envelope)
    }

    /// A whole response.
    pub fn response(
        &mut self,
        version: Version,
        stream: i16,
        extras: &Extras<'_>,
        response: &Response<'_>,
    ) -> Result<(), ProtocolError> {
        let envelope = self.begin_response(version, response.opcode(), stream, extras);
        response.encode(&mut self.out, version);
        self.finish(envelope)
    }

    /// Begins a response's envelope and appends what goes before the message.
    pub fn begin_response(
        &mut self,
        version: Version,
        opcode: Opcode,
        stream: i16,
        extras: &Extras<'_>,
    ) -> OpenEnvelope {
        let envelope = self.begin(version, opcode, stream, extras.flags());
        extras.encode(&mut self.out);
        envelope
    }

    /// Compresses the body of the v4 envelope at `start`, if that makes it shorter.
    fn compress(&mut self, start: usize) {
        let body_start = start + HEADER_LENGTH;
        let Some(body) = self.out.get(body_start..) else { return };
        self.scratch.clear();
        compress_body(body, &mut self.scratch);
        if self.scratch.len() >= body.len() {
            return;
        }
        self.out.truncate(body_start);
        self.out.extend_from_slice(&self.scratch);
        if let Some(flags) = self.out.get_mut(start + 1) {
            *flags = Flags(*flags).with(Flags::COMPRESSION).0;
        }
    }

    /// Moves the envelope at `start` to segments of its own if the open one can't hold it.
    fn keep_segment_bounded(&mut self, start: usize) {
        let Some(segment) = self.segment else { return };
        let payload = segment + segment::header_length(self.compression);
        if self.out.len() - payload <= segment::MAX_PAYLOAD {
            return;
        }
        let envelope = self.out.split_off(start);
        self.end_segment();
        if envelope.len() > segment::MAX_PAYLOAD {
            segment::split(&envelope, self.compression, &mut self.scratch, &mut self.out);
            return;
        }
        self.segment = Some(self.out.len());
        segment::reserve_header(&mut self.out, self.compression);
        self.out.extend_from_slice(&envelope);
    }

    fn drop_empty_segment(&mut self) {
        let header_length = segment::header_length(self.compression);
        if let Some(start) = self.segment.filter(|start| self.out.len() == start + header_length) {
            self.out.truncate(start);
            self.segment = None;
        }
    }

    fn end_segment(&mut self) {
        if let Some(start) = self.segment.take() {
            segment::close(&mut self.out, start, self.compression, true, &mut self.scratch);
        }
    }
}

/// Whether a buffer has room for so much that what is in it is all the memory that it takes, and that is enough for pages
/// of its own.
pub fn is_sparse(buffer: &Vec<u8>) -> bool {
    buffer.capacity() > SPARSE && buffer.len() >= LARGE_PAGE
}

/// How many bytes of memory a buffer takes that was only ever appended to.
pub fn memory_of(buffer: &Vec<u8>) -> usize {
    match is_sparse(buffer) {
        true => buffer.len().next_multiple_of(LARGE_PAGE),
        false => buffer.capacity(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_not_used_takes_no_memory() {
        let mut buffer = Vec::with_capacity(SPARSE * 2);
        assert_eq!(memory_of(&buffer), SPARSE * 2, "so little is better moved");
        buffer.resize(LARGE_PAGE + 1, 0);
        assert_eq!((is_sparse(&buffer), memory_of(&buffer)), (true, 2 * LARGE_PAGE));
        buffer.shrink_to_fit();
        assert_eq!((is_sparse(&buffer), memory_of(&buffer)), (false, buffer.capacity()));
    }

    #[test]
    fn what_is_abandoned_leaves_no_empty_segment() {
        let mut encoder = Encoder::new();
        encoder.switch_to_segments();
        let envelope = encoder.begin(Version::V5, Opcode::Result, 1, Flags::default());
        encoder.body().extend_from_slice(b"taken back");
        encoder.abandon(envelope);
        assert!(encoder.is_empty());
        assert!(encoder.finished().is_empty());

        let kept = encoder.begin(Version::V5, Opcode::Result, 2, Flags::default());
        encoder.finish(kept).unwrap();
        let length = encoder.len();
        let envelope = encoder.begin(Version::V5, Opcode::Result, 3, Flags::default());
        encoder.abandon(envelope);
        assert_eq!(encoder.len(), length, "the segment of the first stays");
    }
}
