//! What can be wrong with bytes from the other side.
//!
//! [`NotationError`] is about one notation of the spec (\[string\], \[bytes\], ...); [`ProtocolError`] adds where it
//! happened and says whether the connection can go on.

use super::header::{Opcode, Version};

/// A notation of the protocol could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotationError {
    /// The bytes end too early.
    #[error("[{notation}] needs {needed} bytes, {left} are left")]
    Truncated {
        /// Name of the notation, as in the spec.
        notation: &'static str,
        /// Bytes it needs from here on.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A length below those that have a meaning.
    #[error("[{notation}] has the length {length}")]
    NegativeLength {
        /// Name of the notation, as in the spec.
        notation: &'static str,
        /// The length read.
        length: i32,
    },
    /// Text that is not UTF-8.
    #[error("[{notation}] is not UTF-8 from its byte {valid_up_to} on")]
    NotUtf8 {
        /// Name of the notation, as in the spec.
        notation: &'static str,
        /// Length of the part before that is.
        valid_up_to: usize,
    },
    /// An address that is neither 4 nor 16 bytes long.
    #[error("an [inet] address of {length} bytes: 4 or 16 expected")]
    InetLength {
        /// The length read.
        length: u8,
    },
    /// A number that names nothing.
    #[error("{code:#06x} is no {what}")]
    UnknownCode {
        /// What it should have named.
        what: &'static str,
        /// The number read.
        code: u32,
    },
    /// A word that names nothing.
    #[error("{name:?} is no {what}")]
    UnknownName {
        /// What it should have named.
        what: &'static str,
        /// The word read.
        name: String,
    },
    /// A type inside a type inside a type, beyond what is followed.
    #[error("the type is nested more than {limit} levels deep")]
    TooDeep {
        /// The deepest nesting that is read.
        limit: usize,
    },
    /// Something the spec forbids, although it can be read.
    #[error("{0}")]
    Forbidden(&'static str),
}

/// Bytes from the other side break the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The version byte of an envelope is none that is spoken here. Drivers look for this very text to go down a
    /// version: answer it with ERROR 0x000A in an envelope of [`ProtocolError::answer_version`] and close.
    #[error(
        "Invalid or unsupported protocol version ({version}); supported versions are (4/v4, 5/v5)"
    )]
    UnsupportedVersion {
        /// The version asked for, without the direction bit.
        version: u8,
        /// The stream of the envelope, to answer on.
        stream: i16,
    },
    /// An envelope of another version than the one that STARTUP agreed on.
    #[error("an envelope of protocol version {} on a connection that speaks version {}", found.number(), agreed.number())]
    VersionChanged {
        /// What was agreed on.
        agreed: Version,
        /// What came.
        found: Version,
        /// The stream of the envelope.
        stream: i16,
    },
    /// A request where a response was expected, or the reverse.
    #[error("the version byte {byte:#04x} has the wrong direction: {expected} expected")]
    WrongDirection {
        /// The first byte of the envelope.
        byte: u8,
        /// "a request" or "a response".
        expected: &'static str,
    },
    /// An opcode that the spec does not have.
    #[error("unknown opcode {opcode:#04x}")]
    UnknownOpcode {
        /// The opcode read.
        opcode: u8,
        /// Version of the envelope.
        version: Version,
        /// The stream of the envelope.
        stream: i16,
    },
    /// A response's opcode in a request, or the reverse.
    #[error("{opcode} is not {expected}")]
    WrongOpcode {
        /// What came.
        opcode: Opcode,
        /// "a request" or "a response".
        expected: &'static str,
        /// The stream of the envelope.
        stream: i16,
    },
    /// An envelope that announces more than the limit in force. Nothing was allocated for it.
    #[error("an envelope announces a body of {announced} bytes: at most {limit} are accepted here")]
    BodyTooLong {
        /// The length announced, before or after decompression.
        announced: usize,
        /// The limit in force.
        limit: usize,
        /// Version of the envelope.
        version: Version,
        /// The stream of the envelope.
        stream: i16,
    },
    /// An envelope whose length has its highest bit set.
    #[error("an envelope announces a body of {length} bytes")]
    NegativeBodyLength {
        /// The length read.
        length: i32,
        /// Version of the envelope.
        version: Version,
        /// The stream of the envelope.
        stream: i16,
    },
    /// The body of an envelope says something else than its opcode promises.
    #[error("malformed {opcode} message at byte {offset} of its body: {source}")]
    Malformed {
        /// The message's opcode.
        opcode: Opcode,
        /// Offset in the (decompressed) body of what could not be read.
        offset: usize,
        /// What was wrong there.
        source: NotationError,
        /// Version of the envelope.
        version: Version,
        /// The stream of the envelope.
        stream: i16,
    },
    /// A compressed body or segment that does not decompress to what it announces.
    #[error(
        "compressed data of {compressed} bytes, announced as {announced} decompressed: {reason}"
    )]
    Compression {
        /// Length of the compressed bytes.
        compressed: usize,
        /// Length they were said to have decompressed.
        announced: usize,
        /// What was wrong.
        reason: &'static str,
    },
    /// The compression flag on an envelope although STARTUP named no compression, or inside segments.
    #[error("a compressed envelope on a connection without envelope compression")]
    CompressionNotAgreed {
        /// Version of the envelope.
        version: Version,
        /// The stream of the envelope.
        stream: i16,
    },
    /// The header of a v5 segment does not match its CRC24.
    #[error("segment header checksum mismatch: {computed:#08x} computed, {stored:#08x} stored")]
    SegmentHeaderChecksum {
        /// CRC24 of the header's bytes.
        computed: u32,
        /// CRC24 that came.
        stored: u32,
    },
    /// The payload of a v5 segment does not match its CRC32.
    #[error("segment payload checksum mismatch: {computed:#010x} computed, {stored:#010x} stored")]
    SegmentPayloadChecksum {
        /// CRC32 of the payload's bytes.
        computed: u32,
        /// CRC32 that came.
        stored: u32,
    },
    /// A self-contained segment that does not end where its last envelope does, or a split envelope that goes on
    /// beyond its announced length.
    #[error("a segment does not end where its envelope does: {0}")]
    SegmentBoundary(&'static str),
}

impl ProtocolError {
    /// Whether the connection's bytes can't be followed any further: answer and close.
    ///
    /// A malformed body in an intact envelope concerns that request alone.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, ProtocolError::Malformed { .. })
    }

    /// The stream to answer on; 0 where the error concerns no single envelope.
    pub fn stream(&self) -> i16 {
        match self {
            ProtocolError::UnsupportedVersion { stream, .. }
            | ProtocolError::VersionChanged { stream, .. }
            | ProtocolError::UnknownOpcode { stream, .. }
            | ProtocolError::WrongOpcode { stream, .. }
            | ProtocolError::BodyTooLong { stream, .. }
            | ProtocolError::NegativeBodyLength { stream, .. }
            | ProtocolError::Malformed { stream, .. }
            | ProtocolError::CompressionNotAgreed { stream, .. } => *stream,
            _ => 0,
        }
    }

    /// The version to answer in when no version was agreed on yet.
    ///
    /// Every driver reads v4, and those that take the next version to try from the answer find one that they have.
    pub fn answer_version(&self) -> Version {
        match self {
            ProtocolError::BodyTooLong { version, .. }
            | ProtocolError::NegativeBodyLength { version, .. }
            | ProtocolError::UnknownOpcode { version, .. }
            | ProtocolError::Malformed { version, .. }
            | ProtocolError::CompressionNotAgreed { version, .. } => *version,
            ProtocolError::VersionChanged { agreed, .. } => *agreed,
            _ => Version::V4,
        }
    }
}
