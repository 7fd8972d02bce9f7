//! What the tests of single messages share, and properties of all messages and of whole connections.

mod arbitrary;
mod connection;
mod messages;

use super::envelope::Envelope;
use super::error::ProtocolError;
use super::header::{Flags, Header, Opcode, Version};
use super::request::Request;
use super::response::Response;

/// Bytes of a hexadecimal text; spaces are left out.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    assert!(digits.len().is_multiple_of(2), "whole bytes");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn envelope(opcode: Opcode, version: Version, body: &[u8]) -> Envelope<'_> {
    let direction = opcode.direction();
    let header = Header {
        version,
        direction,
        flags: Flags::default(),
        stream: 5,
        opcode,
        length: body.len(),
    };
    Envelope { header, body }
}

/// A request is these very bytes, these bytes are the request, and no part of them is any.
pub(super) fn check_request(request: &Request<'_>, version: Version, expected: &str) {
    let mut body = Vec::new();
    request.encode(&mut body, version);
    assert_eq!(hex(&body), hex(&bytes(expected)));
    assert_eq!(&envelope(request.opcode(), version, &body).request().unwrap().request, request);
    check_truncations(&body, |body| {
        envelope(request.opcode(), version, body).request().map(|_| ())
    });
}

/// As [`check_request`], for a response.
pub(super) fn check_response(response: &Response<'_>, version: Version, expected: &str) {
    let mut body = Vec::new();
    response.encode(&mut body, version);
    assert_eq!(hex(&body), hex(&bytes(expected)));
    assert_eq!(&envelope(response.opcode(), version, &body).response().unwrap().response, response);
    check_truncations(&body, |body| {
        envelope(response.opcode(), version, body).response().map(|_| ())
    });
}

/// Every beginning of a message is refused, with an offset inside it.
fn check_truncations(body: &[u8], decode: impl Fn(&[u8]) -> Result<(), ProtocolError>) {
    for length in 0..body.len() {
        match decode(&body[..length]) {
            Err(ProtocolError::Malformed { offset, .. }) => assert!(offset <= length),
            other => panic!("{length} of {} bytes gave {other:?}", body.len()),
        }
    }
}
