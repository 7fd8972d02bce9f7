//! The header of an envelope (native protocol v5, section 2): version and direction, flags, stream, opcode, length.
//!
//! ```text
//! 0        1        2                 4        5                                   9
//! +--------+--------+-----------------+--------+-----------------------------------+
//! | version| flags  | stream (i16)    | opcode | length of the body (i32)          |
//! +--------+--------+-----------------+--------+-----------------------------------+
//! ```
//!
//! Headers are read and written by `codec.rs`.

mod codec;

use std::fmt;

/// Length of an envelope's header.
pub const HEADER_LENGTH: usize = 9;

/// Longest body accepted once a connection is authenticated; the spec's own limit.
pub const MAX_FRAME_AFTER_AUTH: usize = 256 * 1024 * 1024;

/// Longest body accepted from a peer that is not authenticated yet.
pub const MAX_FRAME_BEFORE_AUTH: usize = 64 * 1024;

/// A version of the protocol that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Native protocol v4: bare envelopes.
    V4,
    /// Native protocol v5: envelopes in checksummed segments after STARTUP.
    V5,
}

/// Which way an envelope travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    Request,
    /// From server to client.
    Response,
}

/// The kind of message in an envelope (section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the message of that name
#[repr(u8)]
pub enum Opcode {
    Error = 0x00,
    Startup = 0x01,
    Ready = 0x02,
    Authenticate = 0x03,
    Options = 0x05,
    Supported = 0x06,
    Query = 0x07,
    Result = 0x08,
    Prepare = 0x09,
    Execute = 0x0A,
    Register = 0x0B,
    Event = 0x0C,
    Batch = 0x0D,
    AuthChallenge = 0x0E,
    AuthResponse = 0x0F,
    AuthSuccess = 0x10,
}

/// The flags of an envelope (section 2.2). Bits without a meaning are kept and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

/// The header of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the protocol.
    pub version: Version,
    /// Request or response.
    pub direction: Direction,
    /// What the body begins with, and whether it is compressed.
    pub flags: Flags,
    /// Stream: chosen by the client, echoed by the server, -1 for events.
    pub stream: i16,
    /// Kind of the message.
    pub opcode: Opcode,
    /// Length of the body in bytes, as it travels (compressed if the flag says so).
    pub length: usize,
}

impl Version {
    /// The versions spoken here, highest first: the order in which a client tries them.
    pub const ALL: [Version; 2] = [Version::V5, Version::V4];

    /// The version's number, 4 or 5.
    pub const fn number(self) -> u8 {
        match self {
            Version::V4 => 4,
            Version::V5 => 5,
        }
    }

    /// The version of that number.
    pub fn from_number(number: u8) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.number() == number)
    }
}

impl Direction {
    const fn described(self) -> &'static str {
        match self {
            Direction::Request => "a request",
            Direction::Response => "a response",
        }
    }
}

impl Opcode {
    /// All opcodes.
    pub const ALL: [Opcode; 16] = [
        Opcode::Error,
        Opcode::Startup,
        Opcode::Ready,
        Opcode::Authenticate,
        Opcode::Options,
        Opcode::Supported,
        Opcode::Query,
        Opcode::Result,
        Opcode::Prepare,
        Opcode::Execute,
        Opcode::Register,
        Opcode::Event,
        Opcode::Batch,
        Opcode::AuthChallenge,
        Opcode::AuthResponse,
        Opcode::AuthSuccess,
    ];

    /// The opcode's number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The opcode of that number.
    pub const fn from_code(code: u8) -> Option<Opcode> {
        Some(match code {
            0x00 => Opcode::Error,
            0x01 => Opcode::Startup,
            0x02 => Opcode::Ready,
            0x03 => Opcode::Authenticate,
            0x05 => Opcode::Options,
            0x06 => Opcode::Supported,
            0x07 => Opcode::Query,
            0x08 => Opcode::Result,
            0x09 => Opcode::Prepare,
            0x0A => Opcode::Execute,
            0x0B => Opcode::Register,
            0x0C => Opcode::Event,
            0x0D => Opcode::Batch,
            0x0E => Opcode::AuthChallenge,
            0x0F => Opcode::AuthResponse,
            0x10 => Opcode::AuthSuccess,
            _ => return None,
        })
    }

    /// The name that the spec gives it, such as `AUTH_RESPONSE`.
    pub const fn name(self) -> &'static str {
        match self {
            Opcode::Error => "ERROR",
            Opcode::Startup => "STARTUP",
            Opcode::Ready => "READY",
            Opcode::Authenticate => "AUTHENTICATE",
            Opcode::Options => "OPTIONS",
            Opcode::Supported => "SUPPORTED",
            Opcode::Query => "QUERY",
            Opcode::Result => "RESULT",
            Opcode::Prepare => "PREPARE",
            Opcode::Execute => "EXECUTE",
            Opcode::Register => "REGISTER",
            Opcode::Event => "EVENT",
            Opcode::Batch => "BATCH",
            Opcode::AuthChallenge => "AUTH_CHALLENGE",
            Opcode::AuthResponse => "AUTH_RESPONSE",
            Opcode::AuthSuccess => "AUTH_SUCCESS",
        }
    }

    /// Which way messages of this kind travel.
    pub const fn direction(self) -> Direction {
        match self {
            Opcode::Startup
            | Opcode::Options
            | Opcode::Query
            | Opcode::Prepare
            | Opcode::Execute
            | Opcode::Register
            | Opcode::Batch
            | Opcode::AuthResponse => Direction::Request,
            _ => Direction::Response,
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Flags {
    /// The body is compressed (v4 only; v5 compresses segments).
    pub const COMPRESSION: Flags = Flags(0x01);
    /// In a request: trace it. In a response: the body begins with the trace's id.
    pub const TRACING: Flags = Flags(0x02);
    /// The body begins with a custom payload, after the tracing id and warnings if there are any.
    pub const CUSTOM_PAYLOAD: Flags = Flags(0x04);
    /// The body begins with warnings, after the tracing id if there is one.
    pub const WARNING: Flags = Flags(0x08);
    /// The client is ready for a version in beta. None is, so it changes nothing.
    pub const BETA: Flags = Flags(0x10);

    /// Whether all the given flags are set.
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and those.
    #[must_use]
    pub const fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }

    /// These flags without those.
    #[must_use]
    pub const fn without(self, flags: Flags) -> Flags {
        Flags(self.0 & !flags.0)
    }
}
