//! Requests (native protocol v5, section 4.1): what a client says.
//!
//! Decoding borrows everything from the envelope's body. Bytes after the end of a message are ignored.

pub mod auth_response;
pub mod batch;
pub mod execute;
pub mod parameters;
pub mod prepare;
pub mod query;
pub mod register;
pub mod startup;

use super::error::NotationError;
use super::header::{Header, Opcode, Version};
use auth_response::AuthResponse;
use batch::Batch;
use execute::Execute;
use prepare::Prepare;
use query::Query;
use register::Register;
use startup::Startup;

/// A request.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each is the message of that name
pub enum Request<'a> {
    Startup(Startup<'a>),
    Options,
    Query(Query<'a>),
    Prepare(Prepare<'a>),
    Execute(Execute<'a>),
    Batch(Batch<'a>),
    Register(Register),
    AuthResponse(AuthResponse<'a>),
}

impl<'a> Request<'a> {
    /// The opcode of an envelope that holds this request.
    pub fn opcode(&self) -> Opcode {
        match self {
            Request::Startup(_) => Opcode::Startup,
            Request::Options => Opcode::Options,
            Request::Query(_) => Opcode::Query,
            Request::Prepare(_) => Opcode::Prepare,
            Request::Execute(_) => Opcode::Execute,
            Request::Batch(_) => Opcode::Batch,
            Request::Register(_) => Opcode::Register,
            Request::AuthResponse(_) => Opcode::AuthResponse,
        }
    }

    /// Reads the message of an envelope from its body, past whatever stands before the message
    /// ([`super::envelope::Envelope::request`] does both). At an error `body` stands where it could not be read.
    pub fn decode(header: &Header, body: &mut &'a [u8]) -> Result<Request<'a>, NotationError> {
        let version = header.version;
        Ok(match header.opcode {
            Opcode::Startup => Request::Startup(Startup::decode(body)?),
            Opcode::Options => Request::Options,
            Opcode::Query => Request::Query(Query::decode(body, version)?),
            Opcode::Prepare => Request::Prepare(Prepare::decode(body, version)?),
            Opcode::Execute => Request::Execute(Execute::decode(body, version)?),
            Opcode::Batch => Request::Batch(Batch::decode(body, version)?),
            Opcode::Register => Request::Register(Register::decode(body)?),
            Opcode::AuthResponse => Request::AuthResponse(AuthResponse::decode(body)?),
            opcode => {
                return Err(NotationError::UnknownCode {
                    what: "request",
                    code: opcode.code().into(),
                });
            }
        })
    }

    /// Appends the message's body.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        match self {
            Request::Startup(message) => message.encode(out),
            Request::Options => {}
            Request::Query(message) => message.encode(out, version),
            Request::Prepare(message) => message.encode(out, version),
            Request::Execute(message) => message.encode(out, version),
            Request::Batch(message) => message.encode(out, version),
            Request::Register(message) => message.encode(out),
            Request::AuthResponse(message) => message.encode(out),
        }
    }
}
