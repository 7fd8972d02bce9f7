//! Connections: one task each, and none per request.
//!
//! In one turn a connection reads what has come, executes every whole envelope of it inline, appends the answers to one
//! buffer and writes that once. Answers to writes that the log has not synced yet are held back; the connection goes on
//! reading meanwhile, and they go out together when the log says so.
//!
//! Bounds: before STARTUP 64 KiB frames and a deadline; then the configured frame size. Nothing more is read while
//! answers beyond the configured bytes wait, for the disk or for the client. An idle connection holds no buffers: bytes
//! are read into one buffer per thread, and only what is left of an unfinished envelope is kept.

mod cold;
mod dispatch;
mod held;
pub mod listener;
mod stalled;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::encoder::Encoder;
use tholos_grammar::protocol::envelope::Extras;
use tholos_grammar::protocol::error::ProtocolError;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::response::event::Event;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use self::cold::{Cold, Fetched};
use self::held::HeldAnswers;
use self::stalled::Stalled;
use crate::events::Subscription;
use crate::metrics::Tally;
use crate::node::{Client, Node};
use crate::session::Session;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Room set aside for the answers of a turn.
const FIRST_ANSWER_BYTES: usize = 1 << 10;

/// A turn ends when its answers have this many bytes, so that others get their turn too.
const TURN_BYTES: usize = 256 << 10;

/// How long, and how much, a connection that is being closed still takes from its client.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

thread_local! {
    /// Where bytes are read to. Never held across an await: a turn runs in one poll.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What a connection waited for.
enum Woken {
    /// Bytes came and were worked off.
    Turn,
    /// Held answers may go out.
    Durable,
    /// Something happened that the client registered for.
    Event(Arc<Event>),
    /// The client closed its side.
    Closed,
    /// The session was not opened in time, or it did not keep up with events.
    GiveUp,
    /// The node stops.
    Stop,
    /// A held answer may be overdue.
    Overdue,
    /// A request that waited for the disk is through.
    Fetched(Fetched),
    /// A pause is over, or writes that wait for room are to be tried again.
    Retry,
}

/// One client's connection.
pub(crate) struct Connection {
    node: Arc<Node>,
    stream: TcpStream,
    peer: SocketAddr,
    decoder: Decoder,
    encoder: Encoder,
    /// The start of an envelope that has not come whole, or whole ones that had to wait.
    unread: Vec<u8>,
    /// `unread` holds whole envelopes that were left when a turn ended early.
    left_over: bool,
    /// Version of the answers before STARTUP agrees on one.
    version: Version,
    session: Option<Session>,
    client: Option<(u64, Arc<Client>)>,
    held: HeldAnswers,
    stalled: Stalled,
    cold: Cold,
    events: Option<Subscription>,
    timer: Option<Pin<Box<Sleep>>>,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Nothing more is read: the connection ends once what waits has been written.
    closing: bool,
    /// It ends because the client broke the protocol.
    refused: bool,
    /// Requests that were answered and are not in the node's metrics yet: at the end of each turn they are.
    tally: Tally,
    /// When the last request was answered, if it was.
    answered_at: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(
        node: Arc<Node>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: &CancellationToken,
    ) -> Connection {
        let timer = Box::pin(tokio::time::sleep(node.config().limits.startup_timeout()));
        Connection {
            node,
            stream,
            peer,
            decoder: Decoder::of_requests(),
            encoder: Encoder::new(),
            unread: Vec::new(),
            left_over: false,
            version: Version::V4,
            session: None,
            client: None,
            held: HeldAnswers::default(),
            stalled: Stalled::default(),
            cold: Cold::default(),
            events: None,
            timer: Some(timer),
            stop: Some(Box::pin(stop.clone().cancelled_owned())),
            closing: false,
            refused: false,
            tally: Tally::default(),
            answered_at: None,
        }
    }

    /// Serves the client until it goes, breaks the protocol, or the node stops.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.serve().await {
            tracing::debug!(peer = %self.peer, %error, "connection lost");
        }
        self.tally.tell(self.node.metrics());
        if let Some((id, _)) = self.client.take() {
            self.node.remove_client(id);
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        loop {
            self.release_held(&mut Context::from_waker(Waker::noop()));
            self.tally.tell(self.node.metrics());
            if !self.encoder.is_empty() {
                self.flush().await?;
            }
            if self.left_over && !self.closing {
                self.work_off_unread();
                continue;
            }
            if self.closing && self.waits_for_nothing() {
                self.stream.shutdown().await?;
                if self.refused {
                    self.linger().await;
                }
                return Ok(());
            }
            match std::future::poll_fn(|cx| self.poll_woken(cx)).await? {
                Woken::Turn | Woken::Durable => {}
                Woken::Event(event) => self.tell(&event),
                Woken::Closed | Woken::GiveUp => return Ok(()),
                Woken::Stop => self.closing = true,
                Woken::Overdue => self.give_up_overdue(),
                Woken::Retry => self.retry_stalled(),
                Woken::Fetched(fetched) => self.answer_fetched(fetched),
            }
        }
    }

    /// Whether every request that came is answered.
    fn waits_for_nothing(&self) -> bool {
        self.held.is_empty() && self.stalled.is_empty() && self.cold.is_empty()
    }

    /// Waits for whatever comes first. A turn of work runs right here, while its bytes are in this thread's buffer.
    fn poll_woken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        if !self.held.is_empty() {
            if self.release_held(cx) {
                return Poll::Ready(Ok(Woken::Durable));
            }
            self.arm_overdue();
        }
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            self.stop = None;
            return Poll::Ready(Ok(Woken::Stop));
        }
        if let Some(events) = &mut self.events
            && let Poll::Ready(event) = events.queue.poll_recv(cx)
        {
            return Poll::Ready(Ok(event.map_or(Woken::GiveUp, Woken::Event)));
        }
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            self.timer = None;
            let opened = self.session.is_some();
            return Poll::Ready(Ok(if opened { Woken::Overdue } else { Woken::GiveUp }));
        }
        if !self.cold.is_empty()
            && let Poll::Ready(fetched) = self.cold.poll(cx)
        {
            return Poll::Ready(Ok(Woken::Fetched(fetched)));
        }
        if self.stalled.poll(cx).is_ready() {
            return Poll::Ready(Ok(Woken::Retry));
        }
        let limit = self.node.config().limits.in_flight_bytes();
        if self.closing
            || self.held.bytes() > limit
            || self.stalled.holds_input(limit)
            || self.cold.holds_input()
        {
            return Poll::Pending;
        }
        INPUT.with_borrow_mut(|input| self.poll_turn(input, cx))
    }

    /// Reads once and works off what came.
    fn poll_turn(&mut self, input: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        let mut buffer = ReadBuf::new(input);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(Woken::Closed));
        }
        self.node.metrics().received_bytes.fetch_add(bytes.len() as u64, Relaxed);
        if self.unread.is_empty() {
            let mut rest = bytes;
            self.work_off(&mut rest);
            self.unread.extend_from_slice(rest);
        } else {
            self.unread.extend_from_slice(bytes);
            self.work_off_unread();
        }
        Poll::Ready(Ok(Woken::Turn))
    }

    fn work_off_unread(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        self.work_off(&mut rest);
        let done = unread.len() - rest.len();
        let mut unread = unread;
        unread.drain(..done);
        if unread.is_empty() {
            unread = Vec::new();
        }
        self.unread = unread;
    }

    /// Executes every whole envelope of `input`, until the answers are enough for one turn.
    fn work_off(&mut self, input: &mut &[u8]) {
        self.left_over = false;
        self.encoder.body().reserve(FIRST_ANSWER_BYTES);
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::of_requests());
        let mut started = Instant::now();
        while !self.closing {
            if self.encoder.len() >= TURN_BYTES {
                self.left_over = true;
                break;
            }
            let envelope = match decoder.next(input) {
                Ok(Some(envelope)) => envelope,
                Ok(None) => break,
                Err(error) => {
                    self.refuse(&error);
                    break;
                }
            };
            self.answered_at = None;
            let opened = self.dispatch(&envelope, started);
            if let Some(opened) = opened {
                opened.apply(&mut decoder, self.node.config().limits.frame_bytes());
            }
            // When one request ends, the next begins: the clock is looked at once.
            started = self.answered_at.unwrap_or_else(Instant::now);
        }
        self.decoder = decoder;
        self.pause_writer();
    }

    /// Answers bytes that can't be followed any further, and closes.
    fn refuse(&mut self, error: &ProtocolError) {
        let version = self.session.as_ref().map_or(error.answer_version(), Session::version);
        let message = ErrorMessage::new(ErrorKind::Protocol, error.to_string());
        self.respond(version, error.stream(), &Response::Error(message));
        self.closing = true;
        self.refused = true;
    }

    fn respond(&mut self, version: Version, stream: i16, response: &Response<'_>) {
        self.respond_with(version, stream, &Extras::default(), response);
    }

    fn respond_with(
        &mut self,
        version: Version,
        stream: i16,
        extras: &Extras<'_>,
        response: &Response<'_>,
    ) {
        if let Err(error) = self.encoder.response(version, stream, extras, response) {
            // Only rows can be too long, and they are not written here.
            tracing::error!(peer = %self.peer, %error, "an answer could not be written");
            self.closing = true;
        }
    }

    fn tell(&mut self, event: &Arc<Event>) {
        let version = self.session.as_ref().map_or(self.version, Session::version);
        self.respond(version, Event::STREAM, &Response::Event(Event::clone(event)));
    }

    /// Takes what the client still sends, for a moment: closing on unread bytes would reset the connection, and the
    /// client might never see its last answer.
    async fn linger(&mut self) {
        let mut bytes = vec![0; 512];
        let mut left = LINGER_BYTES;
        let drain = async {
            while let Ok(read @ 1..) = self.stream.read(&mut bytes).await {
                left = left.saturating_sub(read);
                if left == 0 {
                    break;
                }
            }
        };
        // Whoever does not close in time is cut off.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }

    async fn flush(&mut self) -> io::Result<()> {
        let bytes = self.encoder.finished();
        let length = bytes.len() as u64;
        self.stream.write_all(bytes).await?;
        self.encoder.clear(0);
        self.node.metrics().sent_bytes.fetch_add(length, Relaxed);
        Ok(())
    }
}
