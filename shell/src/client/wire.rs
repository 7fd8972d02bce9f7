//! The socket and its codecs: one request out, its response in, whatever else comes kept or dropped.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::encoder::Encoder;
use tholos_grammar::protocol::envelope::{Envelope, ResponseMessage};
use tholos_grammar::protocol::header::{Opcode, Version};
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::ErrorMessage;
use tholos_grammar::protocol::response::event::Event;

use super::error::ClientError;

/// How much is read at a time, at least.
const READ_SIZE: usize = 64 * 1024;

/// Memory that idle buffers keep.
const KEPT: usize = 1024 * 1024;

/// A socket with the state of the protocol on it.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    pub(super) version: Version,
    encoder: Encoder,
    decoder: Decoder,
    /// Bytes that came; those before `taken` are done with.
    buffer: Vec<u8>,
    taken: usize,
    stream: i16,
    events: VecDeque<Event>,
    cancelled: Arc<AtomicBool>,
}

impl Wire {
    pub(super) fn new(socket: TcpStream, version: Version) -> Wire {
        Wire {
            socket,
            version,
            encoder: Encoder::new(),
            decoder: Decoder::of_responses(),
            buffer: Vec::new(),
            taken: 0,
            stream: 0,
            events: VecDeque::new(),
            cancelled: Arc::default(),
        }
    }

    /// A second handle of the socket, and the mark to leave before it is shut down.
    pub(super) fn cancel_handle(&self) -> io::Result<(TcpStream, Arc<AtomicBool>)> {
        Ok((self.socket.try_clone()?, Arc::clone(&self.cancelled)))
    }

    /// Whether the other side has not closed the connection.
    pub(super) fn is_open(&self) -> bool {
        if self.socket.set_nonblocking(true).is_err() {
            return false;
        }
        let is_open = match self.socket.peek(&mut [0]) {
            Ok(length) => length > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        is_open && self.socket.set_nonblocking(false).is_ok()
    }

    /// What STARTUP agreed on takes effect.
    pub(super) fn started(&mut self, compression: Option<Compression>) {
        self.decoder.set_version(self.version);
        self.encoder.set_compression(compression);
        self.decoder.set_compression(compression);
        if self.version >= Version::V5 {
            self.encoder.switch_to_segments();
            self.decoder.switch_to_segments();
        }
    }

    /// In v4 the answer to STARTUP can be compressed already.
    pub(super) fn expect_compression(&mut self, compression: Option<Compression>) {
        if self.version == Version::V4 {
            self.decoder.set_compression(compression);
        }
    }

    /// Sends a request and reads its response with `read`. An ERROR becomes [`ClientError::Server`].
    pub(super) fn exchange<T>(
        &mut self,
        request: &Request<'_>,
        tracing: bool,
        timeout: Duration,
        read: impl FnOnce(ResponseMessage<'_>) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + timeout;
        // A response that comes after its time was up carries an older stream and is dropped.
        self.stream = self.stream.checked_add(1).unwrap_or(1);
        self.encoder
            .request(self.version, self.stream, tracing, &[], request)
            .map_err(ClientError::TooLong)?;
        self.send(deadline, timeout)?;
        loop {
            let mut input = self.buffer.get(self.taken..).unwrap_or(&[]);
            let before = input.len();
            let envelope = self.decoder.next(&mut input)?;
            self.taken += before - input.len();
            match envelope {
                Some(envelope) if answers(&envelope, self.stream) => {
                    return open(&envelope, read);
                }
                Some(envelope) => keep_event(&envelope, &mut self.events)?,
                None => self.fill(deadline, timeout)?,
            }
        }
    }

    /// Sends requests together and reads their answers, in the order of the requests: an ERROR, or no matter what.
    pub(super) fn exchange_all<'r>(
        &mut self,
        requests: impl ExactSizeIterator<Item = Request<'r>>,
        timeout: Duration,
    ) -> Result<Vec<Result<(), ErrorMessage>>, ClientError> {
        let deadline = Instant::now() + timeout;
        let count = requests.len();
        // The streams are consecutive, so that a stream tells which request it answers.
        let room = usize::from(i16::MAX.abs_diff(self.stream));
        let first = if room > count { self.stream + 1 } else { 1 };
        for (stream, request) in (first..).zip(requests) {
            self.encoder.request(self.version, stream, false, &[], &request)?;
            self.stream = stream;
        }
        self.send(deadline, timeout)?;
        let mut answers: Vec<Option<Result<(), ErrorMessage>>> = vec![None; count];
        let mut missing = count;
        while missing > 0 {
            let mut input = self.buffer.get(self.taken..).unwrap_or(&[]);
            let before = input.len();
            let envelope = self.decoder.next(&mut input)?;
            self.taken += before - input.len();
            let Some(envelope) = envelope else {
                self.fill(deadline, timeout)?;
                continue;
            };
            let index = usize::try_from(i32::from(envelope.header.stream) - i32::from(first));
            match index.ok().and_then(|index| answers.get_mut(index)) {
                Some(answer) => {
                    missing -= usize::from(answer.is_none());
                    *answer = Some(match open(&envelope, |_| Ok(())) {
                        Ok(()) => Ok(()),
                        Err(ClientError::Server(error)) => Err(error),
                        Err(other) => return Err(other),
                    });
                }
                None if answers_all(&envelope) => open(&envelope, |_| Ok(()))?,
                None => keep_event(&envelope, &mut self.events)?,
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The next event, waiting at most `timeout` for one.
    pub(super) fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let mut input = self.buffer.get(self.taken..).unwrap_or(&[]);
            let before = input.len();
            let envelope = self.decoder.next(&mut input)?;
            self.taken += before - input.len();
            match envelope {
                Some(envelope) => keep_event(&envelope, &mut self.events)?,
                None => match self.fill(deadline, timeout) {
                    Err(ClientError::Timeout { .. }) => return Ok(None),
                    other => other?,
                },
            }
        }
    }

    fn send(&mut self, deadline: Instant, timeout: Duration) -> Result<(), ClientError> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_write_timeout(Some(left))?;
        let sent = self.socket.write_all(self.encoder.finished());
        self.encoder.clear(KEPT);
        // A request that was sent in part can't be followed by another.
        sent.map_err(|error| match self.failed(error, timeout) {
            ClientError::Timeout { .. } => ClientError::Io(io::ErrorKind::TimedOut.into()),
            other => other,
        })
    }

    /// Reads more, after making room for it.
    fn fill(&mut self, deadline: Instant, timeout: Duration) -> Result<(), ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Timeout { after: timeout });
        }
        self.socket.set_read_timeout(Some(left))?;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT);
        }
        let end = self.buffer.len();
        let wanted = self.decoder.wanted().saturating_sub(end).clamp(READ_SIZE, KEPT);
        self.buffer.resize(end + wanted, 0);
        let room = self.buffer.get_mut(end..).unwrap_or(&mut []);
        let read = loop {
            match self.socket.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(end + read.as_ref().map_or(0, |&length| length));
        match read {
            Ok(0) if self.cancelled.load(Ordering::Acquire) => Err(ClientError::Cancelled),
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(error, timeout)),
        }
    }

    fn failed(&self, error: io::Error, timeout: Duration) -> ClientError {
        if self.cancelled.load(Ordering::Acquire) {
            return ClientError::Cancelled;
        }
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Timeout { after: timeout }
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ClientError::Closed,
            _ => ClientError::Io(error),
        }
    }
}

/// Whether an envelope answers the request on that stream: an ERROR on stream 0, which no request has, is about the
/// connection as a whole.
fn answers(envelope: &Envelope<'_>, stream: i16) -> bool {
    envelope.header.stream == stream || answers_all(envelope)
}

/// Whether an envelope is an ERROR about the connection as a whole.
fn answers_all(envelope: &Envelope<'_>) -> bool {
    envelope.header.stream == 0 && envelope.header.opcode == Opcode::Error
}

/// Reads the response in an envelope.
fn open<T>(
    envelope: &Envelope<'_>,
    read: impl FnOnce(ResponseMessage<'_>) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let message = envelope.response()?;
    match message.response {
        Response::Error(error) => Err(ClientError::Server(error)),
        _ => read(message),
    }
}

/// Keeps an envelope's event, if it is one.
fn keep_event(envelope: &Envelope<'_>, events: &mut VecDeque<Event>) -> Result<(), ClientError> {
    if envelope.header.opcode == Opcode::Event
        && let Response::Event(event) = envelope.response()?.response
    {
        events.push_back(event);
    }
    Ok(())
}
