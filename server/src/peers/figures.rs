//! What was sent and received.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// By the connections of one class to one node. They only grow.
#[derive(Debug, Default)]
pub struct LinkFigures {
    /// Connections that there were.
    pub connections: AtomicU64,
    /// Messages that were written.
    pub messages_sent: AtomicU64,
    /// Bytes that were written, signs of life and frames' headers included.
    pub bytes_sent: AtomicU64,
    /// Writes that this took.
    pub writes: AtomicU64,
    /// Messages that came.
    pub messages_received: AtomicU64,
    /// Bytes that came.
    pub bytes_received: AtomicU64,
    /// Messages that were not sent because too much waited already.
    pub refused_full: AtomicU64,
    /// Requests that were not sent because nobody waited for them any more.
    pub expired: AtomicU64,
    /// Messages that were lost with the connection that they waited for.
    pub lost: AtomicU64,
}

impl LinkFigures {
    pub(super) fn count_sent(&self, messages: usize, bytes: usize) {
        self.messages_sent.fetch_add(messages as u64, Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Relaxed);
        self.writes.fetch_add(1, Relaxed);
    }
}

/// By the port that others connect to. They only grow.
#[derive(Debug, Default)]
pub struct AcceptFigures {
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Those that were refused with a sentence.
    pub refused: AtomicU64,
    /// Those that never greeted, or with something that is no greeting.
    pub no_greeting: AtomicU64,
    /// Those that were closed at once, because too many had not greeted yet.
    pub too_many: AtomicU64,
}
