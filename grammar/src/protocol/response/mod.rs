//! Responses (native protocol v5, section 4.2): what a server says.
//!
//! A client decodes them, borrowing rows from the envelope's body; texts of errors and events are copied, as they are
//! rare. A server encodes them, and rows through [`rows_writer::RowsWriter`] without building a message first.

pub mod auth;
pub mod error;
pub mod event;
pub mod failure;
pub mod metadata;
pub mod result;
pub mod rows_writer;
pub mod supported;

use super::error::NotationError;
use super::header::{Header, Opcode, Version};
use super::primitive::{read_string, write_string};
use auth::AuthToken;
use error::ErrorMessage;
use event::Event;
use result::QueryResult;
use supported::Supported;

/// A response.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each is the message of that name
pub enum Response<'a> {
    Error(ErrorMessage),
    Ready,
    /// The full class name of the authenticator.
    Authenticate(&'a str),
    Supported(Supported<'a>),
    Result(QueryResult<'a>),
    Event(Event),
    AuthChallenge(AuthToken<'a>),
    AuthSuccess(AuthToken<'a>),
}

impl<'a> Response<'a> {
    /// The opcode of an envelope that holds this response.
    pub fn opcode(&self) -> Opcode {
        match self {
            Response::Error(_) => Opcode::Error,
            Response::Ready => Opcode::Ready,
            Response::Authenticate(_) => Opcode::Authenticate,
            Response::Supported(_) => Opcode::Supported,
            Response::Result(_) => Opcode::Result,
            Response::Event(_) => Opcode::Event,
            Response::AuthChallenge(_) => Opcode::AuthChallenge,
            Response::AuthSuccess(_) => Opcode::AuthSuccess,
        }
    }

    /// Reads the message of an envelope from its body, past whatever stands before the message
    /// ([`super::envelope::Envelope::response`] does both). At an error `body` stands where it could not be read.
    pub fn decode(header: &Header, body: &mut &'a [u8]) -> Result<Response<'a>, NotationError> {
        let version = header.version;
        Ok(match header.opcode {
            Opcode::Error => Response::Error(ErrorMessage::decode(body, version)?),
            Opcode::Ready => Response::Ready,
            Opcode::Authenticate => Response::Authenticate(read_string(body)?),
            Opcode::Supported => Response::Supported(Supported::decode(body)?),
            Opcode::Result => Response::Result(QueryResult::decode(body, version)?),
            Opcode::Event => Response::Event(Event::decode(body)?),
            Opcode::AuthChallenge => Response::AuthChallenge(AuthToken::decode(body)?),
            Opcode::AuthSuccess => Response::AuthSuccess(AuthToken::decode(body)?),
            opcode => {
                return Err(NotationError::UnknownCode {
                    what: "response",
                    code: opcode.code().into(),
                });
            }
        })
    }

    /// Appends the message's body.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        match self {
            Response::Error(message) => message.encode(out, version),
            Response::Ready => {}
            Response::Authenticate(authenticator) => write_string(out, authenticator),
            Response::Supported(message) => message.encode(out),
            Response::Result(message) => message.encode(out, version),
            Response::Event(message) => message.encode(out),
            Response::AuthChallenge(token) | Response::AuthSuccess(token) => token.encode(out),
        }
    }
}
