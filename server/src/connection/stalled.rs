//! Writes that wait for room in memory, and pauses of clients that write faster than the disk takes it.
//!
//! The slow path of a node that is behind: a write for which there is no room is kept as it came and tried again until
//! its time is over, while reads of the same connection go on. Before that point is reached, a connection that writes
//! reads nothing for a moment after each turn.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tholos_grammar::protocol::envelope::Envelope;
use tholos_grammar::protocol::header::{HEADER_LENGTH, Header};
use tokio::time::Sleep;

use super::Connection;
use super::cold::{Wait, is_heavy};
use super::reading::TURN_TIME;

/// How often a waiting write is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// What a connection holds back, and why.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    requests: VecDeque<Request>,
    bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
    retrying: bool,
    /// Something was written in this turn.
    pub(super) wrote: bool,
}

#[derive(Debug)]
struct Request {
    header: Header,
    /// Header and body.
    bytes: Vec<u8>,
    started: Instant,
}

impl Stalled {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Keeps a request as it came.
    fn push(&mut self, envelope: &Envelope<'_>, started: Instant) {
        self.bytes += envelope.body.len() + size_of::<Request>();
        let bytes = [&[0; HEADER_LENGTH], envelope.body].concat();
        self.requests.push_back(Request { header: envelope.header, bytes, started });
    }

    /// What they take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is to be read from the client: it pauses, or too much of it waits.
    pub(super) fn holds_input(&self, limit: usize) -> bool {
        self.bytes > limit || (self.requests.is_empty() && self.timer.is_some())
    }

    /// Ready when a pause is over or waiting writes are to be tried again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() && !self.requests.is_empty() {
            self.sleep(RETRY);
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        std::task::ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }

    fn sleep(&mut self, duration: Duration) {
        self.timer = Some(Box::pin(tokio::time::sleep(duration)));
    }
}

impl Connection {
    /// Keeps a write for which there is no room.
    pub(super) fn stall(&mut self, envelope: &Envelope<'_>, started: Instant) {
        if !self.stalled.retrying {
            self.node.metrics().stalled_writes.fetch_add(1, Ordering::Relaxed);
        }
        self.stalled.push(envelope, started);
    }

    /// At the end of a turn: a client that wrote pauses if the node is behind.
    pub(super) fn pause_writer(&mut self) {
        if std::mem::take(&mut self.stalled.wrote) && self.stalled.timer.is_none() {
            let pause = self.node.engine().write_pause();
            if !pause.is_zero() {
                self.stalled.sleep(pause);
            }
        }
    }

    /// Tries the waiting writes again, in order, until one must wait on.
    pub(super) fn retry_stalled(&mut self) {
        self.stalled.retrying = true;
        self.retry_in_order();
        self.stalled.retrying = false;
    }

    fn retry_in_order(&mut self) {
        let began = Instant::now();
        while let Some(Request { header, bytes, started }) = self.stalled.requests.pop_front() {
            let envelope = Envelope { header, body: bytes.get(HEADER_LENGTH..).unwrap_or(&[]) };
            self.stalled.bytes -= envelope.body.len() + size_of::<Request>();
            let before = self.stalled.requests.len();
            if is_heavy(&envelope) {
                self.enqueue_copy(&envelope, started, Wait::Turn);
                continue;
            }
            self.dispatch(&envelope, started);
            if self.stalled.requests.len() > before {
                // It is at the end of the queue now: the others have waited less, and it would be first again.
                self.stalled.requests.rotate_right(1);
                return;
            }
            if began.elapsed() >= TURN_TIME {
                // Others get their turn too; these are tried again in a moment.
                return;
            }
        }
        self.stalled.requests = VecDeque::new();
    }
}
