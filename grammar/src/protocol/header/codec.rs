//! Headers to bytes and back. Limits are enforced here, before anything is allocated for the body.

use super::{Direction, Flags, HEADER_LENGTH, Header, Opcode, Version};
use crate::protocol::error::ProtocolError;

/// Set in the first byte of a response.
const RESPONSE: u8 = 0x80;

impl Header {
    /// Reads the header at the start of `input`, or `None` if it has not come whole yet.
    ///
    /// A version that is not spoken here is told from the first bytes alone, since older versions have shorter headers.
    /// `limit` is the longest body accepted.
    pub fn decode(
        input: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Header>, ProtocolError> {
        let Some(&first) = input.first() else { return Ok(None) };
        if (first & RESPONSE != 0) != (direction == Direction::Response) {
            return Err(ProtocolError::WrongDirection {
                byte: first,
                expected: direction.described(),
            });
        }
        let Some(version) = Version::from_number(first & !RESPONSE) else {
            return unsupported_version(first & !RESPONSE, input);
        };
        let Some(&[_, flags, s0, s1, opcode, l0, l1, l2, l3]) =
            input.first_chunk::<HEADER_LENGTH>()
        else {
            return Ok(None);
        };
        let stream = i16::from_be_bytes([s0, s1]);
        let length = i32::from_be_bytes([l0, l1, l2, l3]);
        let length = usize::try_from(length).map_err(|_| ProtocolError::NegativeBodyLength {
            length,
            version,
            stream,
        })?;
        if length > limit {
            return Err(ProtocolError::BodyTooLong { announced: length, limit, version, stream });
        }
        let opcode = Opcode::from_code(opcode).ok_or(ProtocolError::UnknownOpcode {
            opcode,
            version,
            stream,
        })?;
        if opcode.direction() != direction {
            return Err(ProtocolError::WrongOpcode {
                opcode,
                expected: direction.described(),
                stream,
            });
        }
        Ok(Some(Header { version, direction, flags: Flags(flags), stream, opcode, length }))
    }

    /// Appends the header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let direction = if self.direction == Direction::Response { RESPONSE } else { 0 };
        out.extend_from_slice(&[self.version.number() | direction, self.flags.0]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.push(self.opcode.code());
        let length =
            i32::try_from(self.length).expect("the encoder refuses bodies above the spec's limit");
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// The error for a version that is not spoken here, once its stream can be read: v1 and v2 have one byte for it.
fn unsupported_version(version: u8, input: &[u8]) -> Result<Option<Header>, ProtocolError> {
    let stream = match input {
        [_, _, stream, ..] if version <= 2 => i16::from(stream.cast_signed()),
        [_, _, high, low, ..] => i16::from_be_bytes([*high, *low]),
        _ => return Ok(None),
    };
    Err(ProtocolError::UnsupportedVersion { version, stream })
}
