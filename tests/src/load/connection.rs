//! One non-blocking connection of the load generator: frames out, answers in, the time of each in flight.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes of an envelope's header.
pub const HEADER_BYTES: usize = 9;
const OPCODE_ERROR: u8 = 0x00;
/// STARTUP {"CQL_VERSION": "3.0.0"} in v4.
const STARTUP: &[u8] =
    b"\x04\x00\x00\x00\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0";

/// What has arrived on one connection since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrived {
    /// Answers.
    pub answers: u64,
    /// Answers that are errors.
    pub errors: u64,
    /// Bytes of all answers.
    pub bytes: u64,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    /// When the request of each stream was meant to be sent, in nanoseconds.
    intended: Vec<u64>,
    free: Vec<i16>,
    first_error: Option<String>,
}

impl Connection {
    /// Connects and says STARTUP; at most `streams` requests can be in flight.
    ///
    /// # Errors
    /// What the system or the server says.
    pub fn open(address: SocketAddr, streams: i16) -> io::Result<Connection> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.write_all(STARTUP)?;
        let mut ready = [0; HEADER_BYTES];
        socket.read_exact(&mut ready)?;
        if ready[4] != 0x02 {
            return Err(io::Error::other(format!(
                "STARTUP was answered by opcode {:#x}",
                ready[4]
            )));
        }
        socket.set_nonblocking(true)?;
        Ok(Connection {
            socket,
            input: Vec::with_capacity(64 * 1024),
            output: Vec::with_capacity(64 * 1024),
            sent: 0,
            intended: vec![0; streams.unsigned_abs().into()],
            free: (0..streams).rev().collect(),
            first_error: None,
        })
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.intended.len() - self.free.len()
    }

    /// What the first error answer said, if any.
    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// Queues a request that was meant to be sent at that time; `write` appends its frame. False: no stream is free.
    pub fn queue(&mut self, intended: u64, write: impl FnOnce(i16, &mut Vec<u8>)) -> bool {
        let Some(stream) = self.free.pop() else { return false };
        self.intended[stream as usize] = intended;
        write(stream, &mut self.output);
        true
    }

    /// Sends what is queued, as far as the socket takes it; true when all is sent.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads what is there and gives the intended time of each answered request to `each`, and whether the answer is an
    /// error.
    ///
    /// # Errors
    /// What the system says, or `UnexpectedEof` when the server closed.
    pub fn receive(&mut self, mut each: impl FnMut(u64, bool)) -> io::Result<Arrived> {
        let mut chunk = [0; 64 * 1024];
        match self.socket.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.input.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Arrived::default()),
            Err(error) => return Err(error),
        }
        let mut arrived = Arrived::default();
        let mut at = 0;
        while let Some(header) = self.input.get(at..at + HEADER_BYTES) {
            let stream = i16::from_be_bytes([header[2], header[3]]);
            let opcode = header[4];
            let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize;
            let Some(body) = self.input.get(at + HEADER_BYTES..at + HEADER_BYTES + length) else {
                break;
            };
            if opcode == OPCODE_ERROR {
                arrived.errors += 1;
                self.first_error.get_or_insert_with(|| String::from_utf8_lossy(body).into_owned());
            }
            at += HEADER_BYTES + length;
            if let Some(intended) = self.intended.get(stream as usize) {
                each(*intended, opcode == OPCODE_ERROR);
                self.free.push(stream);
                arrived.answers += 1;
            }
        }
        arrived.bytes = at as u64;
        self.input.drain(..at);
        Ok(arrived)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
