//! The bytes of a message.
//!
//! ```text
//! message  = 1, id, unsigned time left, request | 2, id, response | 3, kind, what another protocol says
//! id       = unsigned operation, unsigned part
//! request  = 1, unsigned mutations, (u32 length, mutation)* | 2, read command
//! response = 1 (written) | 2, unsigned pages, page* | 3, digest (16 bytes) | 4, why refused
//! ```
//! Unsigned numbers are varints, u32 is little endian. A mutation of the same table as the one before it does not name it
//! again. Nothing may follow a message in its frame.

use std::sync::Arc;

use bytes::Bytes;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::mutation_codec::{decode_mutation, encode_mutation};
use tholos_storage::model::read::{Digest, MOST_INTERVALS, ReadCommand};
use tholos_storage::model::row::RowError;
use tholos_storage::read::page::{Answer, Page, PageError};
use tholos_storage::varint::{decode_u64, encode_u64};

use super::{Message, Request, RequestId, Response};
use crate::request::Refusal;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const PEER: u8 = 3;

const WRITE: u8 = 1;
const READ: u8 = 2;

const WRITTEN: u8 = 1;
const PAGES: u8 = 2;
const DIGEST: u8 = 3;
const REFUSED: u8 = 4;

/// Mutations that one message may have.
pub const MOST_MUTATIONS: usize = 1 << 16;

/// Bytes that a mutation in a list has at least: its length, and nothing of its table, partition and updates.
const LEAST_MUTATION: usize = 4;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Something other than what it carries.
    #[error("a message of a node is malformed: {0}")]
    Malformed(&'static str),
    /// A mutation.
    #[error("a mutation that a node sent is malformed: {0}")]
    Mutation(#[from] RowError),
    /// A page.
    #[error(transparent)]
    Page(#[from] PageError),
}

const ENDS_EARLY: MessageError = MessageError::Malformed("it ends early");

/// Appends a message's bytes.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    match message {
        Message::Request { id, time_left, request } => {
            out.push(REQUEST);
            encode_id(*id, out);
            encode_u64(out, u64::from(*time_left));
            encode_request(request, out);
        }
        Message::Response { id, response } => {
            out.push(RESPONSE);
            encode_id(*id, out);
            encode_response(response, out);
        }
        Message::Peer { kind, bytes } => {
            out.extend_from_slice(&[PEER, *kind]);
            out.extend_from_slice(bytes);
        }
    }
}

/// The message that these bytes are. Whatever it carries was looked at: no row and no page in it is malformed.
///
/// # Errors
/// What is wrong with them.
pub fn decode(mut input: &[u8]) -> Result<Message, MessageError> {
    let input = &mut input;
    let message = match take_byte(input)? {
        REQUEST => Message::Request {
            id: decode_id(input)?,
            time_left: decode_u32(input)?,
            request: decode_request(input)?,
        },
        RESPONSE => Message::Response { id: decode_id(input)?, response: decode_response(input)? },
        PEER => Message::Peer {
            kind: take_byte(input)?,
            bytes: Bytes::copy_from_slice(std::mem::take(input)),
        },
        _ => return Err(MessageError::Malformed("it is of an unknown kind")),
    };
    match input.is_empty() {
        true => Ok(message),
        false => Err(MessageError::Malformed("something follows it")),
    }
}

fn encode_id(id: RequestId, out: &mut Vec<u8>) {
    encode_u64(out, id.operation);
    encode_u64(out, u64::from(id.part));
}

fn decode_id(input: &mut &[u8]) -> Result<RequestId, MessageError> {
    let operation = decode_u64(input).ok_or(ENDS_EARLY)?;
    Ok(RequestId { operation, part: decode_u32(input)? })
}

fn encode_request(request: &Request, out: &mut Vec<u8>) {
    match request {
        Request::Write(mutations) => {
            out.push(WRITE);
            encode_mutations(mutations, out);
        }
        Request::Read(command) => {
            out.push(READ);
            command.encode(out);
        }
    }
}

fn decode_request(input: &mut &[u8]) -> Result<Request, MessageError> {
    match take_byte(input)? {
        WRITE => Ok(Request::Write(decode_mutations(input)?)),
        READ => {
            let command = ReadCommand::decode(input);
            let command = command.ok_or(MessageError::Malformed("its command is malformed"))?;
            Ok(Request::Read(Arc::new(command)))
        }
        _ => Err(MessageError::Malformed("it asks for something unknown")),
    }
}

fn encode_mutations(mutations: &[Mutation], out: &mut Vec<u8>) {
    encode_u64(out, mutations.len() as u64);
    let mut previous = None;
    for mutation in mutations {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        encode_mutation(out, mutation, previous);
        previous = Some(mutation.table);
        // One that does not fit makes a frame that is too long, which is refused as a whole.
        let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }
}

fn decode_mutations(input: &mut &[u8]) -> Result<Arc<[Mutation]>, MessageError> {
    let count = decode_count(input, MOST_MUTATIONS, "it has too many mutations")?;
    let mut mutations: Vec<Mutation> = Vec::with_capacity(count.min(input.len() / LEAST_MUTATION));
    for _ in 0..count {
        let (len, rest) = input.split_first_chunk::<4>().ok_or(ENDS_EARLY)?;
        let len = u32::from_le_bytes(*len) as usize;
        let (bytes, rest) = rest.split_at_checked(len).ok_or(ENDS_EARLY)?;
        *input = rest;
        let previous = mutations.last().map(|mutation| mutation.table);
        let mutation = decode_mutation(bytes, previous)
            .ok_or(MessageError::Malformed("one of its mutations is not one"))?;
        mutation.validate()?;
        mutations.push(mutation);
    }
    Ok(mutations.into())
}

fn encode_response(response: &Response, out: &mut Vec<u8>) {
    match response {
        Response::Written => out.push(WRITTEN),
        Response::Answer(Answer::Pages(pages)) => {
            out.push(PAGES);
            encode_u64(out, pages.len() as u64);
            pages.iter().for_each(|page| page.encode(out));
        }
        Response::Answer(Answer::Digest(digest)) => {
            out.push(DIGEST);
            out.extend_from_slice(&digest.0);
        }
        Response::Refused(refusal) => out.extend_from_slice(&[REFUSED, refusal_code(*refusal)]),
    }
}

fn decode_response(input: &mut &[u8]) -> Result<Response, MessageError> {
    match take_byte(input)? {
        WRITTEN => Ok(Response::Written),
        PAGES => {
            let count = decode_count(input, MOST_INTERVALS, "it has too many pages")?;
            // A page that is decoded takes far more room than the bytes it has at least.
            let mut pages = Vec::new();
            for _ in 0..count {
                pages.push(Arc::new(Page::decode(input)?));
            }
            Ok(Response::Answer(Answer::Pages(pages)))
        }
        DIGEST => {
            let (digest, rest) = input.split_first_chunk::<16>().ok_or(ENDS_EARLY)?;
            *input = rest;
            Ok(Response::Answer(Answer::Digest(Digest(*digest))))
        }
        REFUSED => {
            let code = take_byte(input)?;
            let refusal = ALL_REFUSALS.into_iter().find(|refusal| refusal_code(*refusal) == code);
            let unknown = MessageError::Malformed("it refuses for an unknown reason");
            refusal.map(Response::Refused).ok_or(unknown)
        }
        _ => Err(MessageError::Malformed("it answers something unknown")),
    }
}

const ALL_REFUSALS: [Refusal; 3] = [Refusal::Failed, Refusal::Overloaded, Refusal::Unreachable];

fn refusal_code(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Failed => 0,
        Refusal::Overloaded => 1,
        Refusal::Unreachable => 2,
    }
}

fn take_byte(input: &mut &[u8]) -> Result<u8, MessageError> {
    let (byte, rest) = input.split_first().ok_or(ENDS_EARLY)?;
    *input = rest;
    Ok(*byte)
}

fn decode_u32(input: &mut &[u8]) -> Result<u32, MessageError> {
    let number = decode_u64(input).ok_or(ENDS_EARLY)?;
    u32::try_from(number).map_err(|_| MessageError::Malformed("a number in it is too large"))
}

fn decode_count(input: &mut &[u8], most: usize, told: &'static str) -> Result<usize, MessageError> {
    let count = decode_u64(input).ok_or(ENDS_EARLY)?;
    let count = usize::try_from(count).ok().filter(|count| *count <= most);
    count.ok_or(MessageError::Malformed(told))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
