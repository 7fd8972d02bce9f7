//! What the targets of both protocol versions share: a connection fed in pieces, and messages that must come back.
//!
//! Run one from the folder above with `cargo fuzz run -s none frame_v4` (`RUSTC_BOOTSTRAP=1` lets a stable compiler do
//! it). Each starts from the `seed-` files of its corpus, which are kept with the project.

use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::envelope::Envelope;
use tholos_grammar::protocol::header::{MAX_FRAME_BEFORE_AUTH, Version};
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::response::Response;

/// How a run feeds the decoder, taken from the first byte of the input.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Read responses, not requests.
    pub responses: bool,
    /// The compression agreed on.
    pub compression: Option<Compression>,
    /// A choice of the target's own.
    pub choice: u8,
    /// How many bytes come at a time.
    pub piece: usize,
}

impl Plan {
    /// The plan in that byte.
    pub fn of(byte: u8) -> Plan {
        Plan {
            responses: byte & 1 != 0,
            compression: (byte & 2 != 0).then_some(Compression::Lz4),
            choice: byte >> 2 & 3,
            piece: [1, 7, 64, usize::MAX][usize::from(byte >> 4 & 3)],
        }
    }

    /// A decoder for it, of bare envelopes.
    pub fn decoder(self) -> Decoder {
        let mut decoder =
            if self.responses { Decoder::of_responses() } else { Decoder::of_requests() };
        decoder.set_body_limit(MAX_FRAME_BEFORE_AUTH);
        decoder.set_compression(self.compression);
        decoder
    }
}

/// Feeds the bytes piece by piece, and checks every envelope that comes out.
pub fn feed(mut decoder: Decoder, plan: Plan, bytes: &[u8]) {
    let (mut buffer, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(plan.piece.min(rest.len()));
        rest = after;
        buffer.extend_from_slice(piece);
        let mut input = buffer.as_slice();
        loop {
            match decoder.next(&mut input) {
                Ok(Some(envelope)) => check(&envelope),
                Ok(None) => break,
                Err(error) => {
                    let _ = (error.to_string(), error.stream(), error.answer_version());
                    assert!(error.is_fatal(), "{error:?}");
                    return;
                }
            }
        }
        let taken = buffer.len() - input.len();
        buffer.drain(..taken);
    }
}

/// A message that can be read can be written, and is then read as what it was.
pub fn check(envelope: &Envelope<'_>) {
    let version = envelope.header.version;
    assert!(envelope.body.len() <= MAX_FRAME_BEFORE_AUTH);
    match envelope.request() {
        Ok(message) => again(
            envelope,
            |out| message.request.encode(out, version),
            |envelope| {
                let message = envelope.request().expect("what was written can be read");
                same_request(&message.request, version)
            },
        ),
        Err(error) => assert!(!error.is_fatal(), "{error:?}"),
    }
    match envelope.response() {
        Ok(message) => again(
            envelope,
            |out| message.response.encode(out, version),
            |envelope| {
                let message = envelope.response().expect("what was written can be read");
                same_response(&message.response, version)
            },
        ),
        Err(error) => assert!(!error.is_fatal(), "{error:?}"),
    }
}

/// Writes a message, reads it, and writes it again: the bytes must be the same. The first bytes may differ, since a
/// client may say one thing in several ways.
fn again(
    envelope: &Envelope<'_>,
    write: impl Fn(&mut Vec<u8>),
    reread: impl Fn(&Envelope<'_>) -> Vec<u8>,
) {
    let mut body = Vec::new();
    write(&mut body);
    let mut header = envelope.header;
    header.flags = Default::default();
    header.length = body.len();
    assert_eq!(reread(&Envelope { header, body: &body }), body);
}

fn same_request(request: &Request<'_>, version: Version) -> Vec<u8> {
    let mut body = Vec::new();
    request.encode(&mut body, version);
    body
}

fn same_response(response: &Response<'_>, version: Version) -> Vec<u8> {
    let mut body = Vec::new();
    response.encode(&mut body, version);
    body
}
