//! Connections: one task each, and none per request.
//!
//! In one turn a connection reads what has come, executes every whole envelope of it inline, appends the answers to one
//! buffer and writes that once. Answers to writes that the log has not synced yet are held back; the connection goes on
//! reading meanwhile, and they go out together when the log says so.
//!
//! Bounds: before STARTUP 64 KiB frames and a deadline; then the configured frame size, and a deadline for each frame that
//! was begun. Nothing more is read while answers beyond the configured bytes wait, for the disk or for the client, nor
//! while there is no memory for the rest of a frame: what a connection holds beyond a turn is taken from the node's budget
//! (`crate::budget`). An idle connection holds no buffers.

mod dispatch;
mod elsewhere;
pub mod listener;
mod reading;
mod resume;

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tholos_grammar::protocol::encoder::Encoder;
use tholos_grammar::protocol::envelope::Extras;
use tholos_grammar::protocol::error::ProtocolError;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::{ErrorKind as ProtocolErrorKind, ErrorMessage};
use tholos_grammar::protocol::response::event::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use self::elsewhere::Done;
use self::reading::{FREE_BYTES, Reading};
use crate::budget::{Account, Credit};
use crate::events::Subscription;
use crate::metrics::Tally;
use crate::node::{Client, Node};
use crate::session::Session;
use crate::work::Work;
use crate::work::operations::Operations;

/// How long, and how much, a connection that is being closed still takes from its client.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// What a connection waited for.
enum Woken {
    /// Bytes came and were worked off.
    Turn,
    /// Requests that waited for the log, or for other nodes, went on.
    Released,
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
    /// A request that was carried out elsewhere is through.
    Done(Box<Done>),
    /// A pause is over, or writes that wait for room are to be tried again.
    Retry,
}

/// One client's connection.
pub(crate) struct Connection {
    node: Arc<Node>,
    stream: TcpStream,
    peer: SocketAddr,
    reading: Reading,
    encoder: Encoder,
    /// What this client holds of the node's memory.
    account: Arc<Account>,
    /// For the envelope at the front of what was read.
    frame_credit: Credit,
    /// For everything else that is here when a turn is over.
    credit: Credit,
    /// Version of the answers before STARTUP agrees on one.
    version: Version,
    session: Option<Session>,
    client: Option<(u64, Arc<Client>)>,
    /// The requests that wait.
    work: Work<Done>,
    /// What is under way with other nodes, and the threads that may take their time.
    operations: Arc<Operations>,
    /// Something was written in this turn.
    wrote: bool,
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
        operations: Arc<Operations>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: &CancellationToken,
    ) -> Connection {
        let account = Account::new(Arc::clone(node.budget()));
        let timer = Box::pin(tokio::time::sleep(node.config().limits.startup_timeout()));
        Connection {
            reading: Reading::new(&node),
            node,
            stream,
            peer,
            encoder: Encoder::new(),
            frame_credit: account.nothing(),
            credit: account.nothing(),
            account,
            version: Version::V4,
            session: None,
            client: None,
            work: Work::default(),
            operations,
            wrote: false,
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
            self.release_durable(&mut Context::from_waker(Waker::noop()));
            self.take_replies(&mut Context::from_waker(Waker::noop()));
            self.tally.tell(self.node.metrics());
            if !self.encoder.is_empty() {
                self.flush().await?;
            }
            self.settle();
            self.start_jobs();
            if (self.reading.left_over || self.reading.share.is_of_too_much()) && !self.closing {
                // Others first.
                tokio::task::yield_now().await;
            }
            if self.closing && self.work.is_empty() {
                self.stream.shutdown().await?;
                if self.refused {
                    self.linger().await;
                }
                return Ok(());
            }
            match std::future::poll_fn(|cx| self.poll_woken(cx)).await? {
                Woken::Turn | Woken::Released => {}
                Woken::Event(event) => self.tell(&event),
                Woken::Closed | Woken::GiveUp => return Ok(()),
                Woken::Stop => self.closing = true,
                Woken::Overdue => {
                    self.give_up_overdue();
                    if self.frame_is_overdue() {
                        return self.give_up_frame();
                    }
                }
                Woken::Retry => self.retry_waiting(),
                Woken::Done(done) => self.answer_done(*done),
            }
        }
    }

    /// Waits for whatever comes first. A turn of work runs right here, while its bytes are in this thread's buffer.
    fn poll_woken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        if let Poll::Ready(woken) = self.poll_work(cx) {
            return Poll::Ready(Ok(woken));
        }
        self.run_frame_clock();
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
        if !self.takes_more() {
            // What comes now does not wait for a thread.
            self.reading.share.waits(0);
            return Poll::Pending;
        }
        self.poll_input(cx)
    }

    /// Looks whether a request that waited can go on.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        if self.work.is_idle() {
            return Poll::Pending;
        }
        if self.release_durable(cx) || self.take_replies(cx) {
            return Poll::Ready(Woken::Released);
        }
        if let Poll::Ready(done) = self.work.jobs.poll(cx) {
            return Poll::Ready(Woken::Done(Box::new(done)));
        }
        let (now, timeout) = (Instant::now(), self.node.request_timeout());
        if self.work.waiting.poll(now, timeout, self.node.locks(), cx).is_ready() {
            return Poll::Ready(Woken::Retry);
        }
        if let Some(due) = self.work.due(timeout) {
            self.arm(due);
        }
        Poll::Pending
    }

    /// Whether more requests may be taken up.
    fn takes_more(&self) -> bool {
        !self.closing && !self.work.holds_input(self.node.config().limits.in_flight_bytes())
    }

    /// Counts what is here as this client's.
    fn settle(&mut self) {
        let memory = self.reading.memory() + self.encoder.memory();
        let bytes = memory + self.work.bytes();
        let more = bytes.saturating_sub(self.frame_credit.bytes());
        self.credit.set(if more > FREE_BYTES { more.next_multiple_of(FREE_BYTES) } else { 0 });
    }

    /// Sees to it that this task looks around at that time, if not before.
    fn arm(&mut self, at: Instant) {
        let at = tokio::time::Instant::from_std(at);
        if self.timer.as_ref().is_none_or(|timer| timer.deadline() > at) {
            self.timer = Some(Box::pin(tokio::time::sleep_until(at)));
        }
    }

    /// Part of a frame came, and the rest does not, or there is no memory for it.
    fn give_up_frame(&self) -> io::Result<()> {
        tracing::debug!(peer = %self.peer, "a frame was not finished in time (limits.frame_timeout_ms)");
        self.node.metrics().unfinished_frames.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Answers bytes that can't be followed any further, and closes.
    fn refuse(&mut self, error: &ProtocolError) {
        let version = self.session.as_ref().map_or(error.answer_version(), Session::version);
        let message = ErrorMessage::new(ProtocolErrorKind::Protocol, error.to_string());
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

    /// Writes everything that is ready.
    async fn flush(&mut self) -> io::Result<()> {
        let length = self.encoder.finished().len();
        let mut sent = 0;
        while sent < length {
            let rest = self.encoder.finished().get(sent..).unwrap_or(&[]);
            match self.stream.try_write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        self.encoder.clear(0);
        self.node.metrics().sent_bytes.fetch_add(length as u64, Relaxed);
        Ok(())
    }

    /// Waits until the client has read some of what it was answered. It may take its time, unless others lack the memory
    /// that its answers take.
    async fn writable(&mut self) -> io::Result<()> {
        self.settle();
        self.reading.share.waits(0);
        let limit = self.node.config().limits.frame_timeout();
        loop {
            match tokio::time::timeout(limit, self.stream.writable()).await {
                Ok(writable) => return writable,
                Err(_) if self.account.budget().is_short() => {
                    let what = "the client does not read its answers, and memory is short";
                    return Err(io::Error::new(ErrorKind::TimedOut, what));
                }
                Err(_) => {}
            }
        }
    }
}
