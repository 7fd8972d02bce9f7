//! An envelope: a header and a body (native protocol v5, section 2), and what may stand in the body before the message.
//!
//! In a response: the trace's id, warnings, the custom payload, in this order, each if its flag is set. In a request:
//! the custom payload alone.

use uuid::Uuid;

use super::compression::{announced_length, decompress_body};
use super::error::{NotationError, ProtocolError};
use super::header::{Flags, Header};
use super::primitive::{
    BytesMap, read_bytes_map, read_string_list, read_uuid, write_bytes_map, write_string_list,
    write_uuid,
};
use super::request::Request;
use super::response::Response;

/// An envelope, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The header. `length` is that of the body as it travelled; the flag of compression is there only if the body still
    /// is.
    pub header: Header,
    /// The body; decompressed, unless the envelope [is packed](Self::is_packed).
    pub body: &'a [u8],
}

/// A request with what came with it.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestMessage<'a> {
    /// The message itself.
    pub request: Request<'a>,
    /// Whether the client asks for a trace.
    pub tracing: bool,
    /// The custom payload; empty if there was none.
    pub payload: BytesMap<'a>,
}

/// A response with what came with it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseMessage<'a> {
    /// The message itself.
    pub response: Response<'a>,
    /// The trace's id, if the request was traced.
    pub tracing_id: Option<Uuid>,
    /// What a person should know of a statement that was carried out all the same.
    pub warnings: Vec<&'a str>,
    /// The custom payload; empty if there was none.
    pub payload: BytesMap<'a>,
}

impl<'a> Envelope<'a> {
    /// Whether the body is compressed still: it was too large to be [decompressed where it was
    /// read](super::decoder::Decoder::set_unpack_limit).
    pub fn is_packed(&self) -> bool {
        self.header.flags.has(Flags::COMPRESSION)
    }

    /// How long the body is once it is decompressed; at most `limit`.
    pub fn unpacked_length(&self, limit: usize) -> Result<usize, ProtocolError> {
        if self.is_packed() {
            announced_length(&self.header, self.body, limit)
        } else {
            Ok(self.body.len())
        }
    }

    /// The envelope with its body decompressed into `out`; at most `limit` bytes.
    pub fn unpack(
        mut self,
        limit: usize,
        out: &'a mut Vec<u8>,
    ) -> Result<Envelope<'a>, ProtocolError> {
        if self.is_packed() {
            decompress_body(&self.header, self.body, limit, out)?;
            self.body = out;
            self.header.flags = self.header.flags.without(Flags::COMPRESSION);
        }
        Ok(self)
    }

    /// Reads the request in this envelope.
    pub fn request(&self) -> Result<RequestMessage<'a>, ProtocolError> {
        let mut body = self.body;
        let tracing = self.header.flags.has(Flags::TRACING);
        let payload = self.payload(&mut body)?;
        let request = Request::decode(&self.header, &mut body)
            .map_err(|source| self.malformed(body, source))?;
        Ok(RequestMessage { request, tracing, payload })
    }

    /// Reads the response in this envelope.
    pub fn response(&self) -> Result<ResponseMessage<'a>, ProtocolError> {
        let flags = self.header.flags;
        let mut body = self.body;
        let tracing_id = if flags.has(Flags::TRACING) {
            Some(read_uuid(&mut body).map_err(|source| self.malformed(body, source))?)
        } else {
            None
        };
        let warnings = if flags.has(Flags::WARNING) {
            read_string_list(&mut body).map_err(|source| self.malformed(body, source))?
        } else {
            Vec::new()
        };
        let payload = self.payload(&mut body)?;
        let response = Response::decode(&self.header, &mut body)
            .map_err(|source| self.malformed(body, source))?;
        Ok(ResponseMessage { response, tracing_id, warnings, payload })
    }

    fn payload(&self, body: &mut &'a [u8]) -> Result<BytesMap<'a>, ProtocolError> {
        if !self.header.flags.has(Flags::CUSTOM_PAYLOAD) {
            return Ok(Vec::new());
        }
        read_bytes_map(body).map_err(|source| self.malformed(body, source))
    }

    /// The error for a notation at the start of `rest`.
    fn malformed(&self, rest: &[u8], source: NotationError) -> ProtocolError {
        let Header { opcode, version, stream, .. } = self.header;
        ProtocolError::Malformed {
            opcode,
            offset: self.body.len() - rest.len(),
            source,
            version,
            stream,
        }
    }
}

/// What goes before a response's message in its body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras<'a> {
    /// The trace's id, if the request was traced.
    pub tracing_id: Option<Uuid>,
    /// Warnings, at most 65,535.
    pub warnings: &'a [String],
    /// The custom payload; left out if empty.
    pub payload: &'a [(&'a str, Option<&'a [u8]>)],
}

impl Extras<'_> {
    /// The flags that announce what there is.
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        if self.tracing_id.is_some() {
            flags = flags.with(Flags::TRACING);
        }
        if !self.warnings.is_empty() {
            flags = flags.with(Flags::WARNING);
        }
        if !self.payload.is_empty() {
            flags = flags.with(Flags::CUSTOM_PAYLOAD);
        }
        flags
    }

    /// Appends what there is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.tracing_id {
            write_uuid(out, id);
        }
        if !self.warnings.is_empty() {
            write_string_list(out, self.warnings);
        }
        if !self.payload.is_empty() {
            write_bytes_map(out, self.payload);
        }
    }
}
