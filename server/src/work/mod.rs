//! What waits, whoever asked for it. No sockets, no runtime: what it depends on is given, the time too.
//!
//! A client's connection carries requests out in its turn. What can't be answered there is here:
//!
//! - [`Durable`]: carried out; answered when the log is on disk.
//! - [`Waiting`]: kept as it came, and tried again: there was no room for what it writes, or another request has a lock.
//! - [`Jobs`]: given, as it came, to the node's [`Pool`](pool::Pool) of threads that may take their time.
//! - [`Replies`]: under way with other nodes.
//!
//! All of that is one client's and goes with it. The pool is the node's, and so are its [`operations`]: what is under way
//! with other nodes, for clients of this one and for theirs.

pub(crate) mod deferred;
pub(crate) mod durable;
mod gather;
pub(crate) mod jobs;
mod log_acks;
pub mod mailbox;
pub mod operations;
pub mod pool;
pub(crate) mod replies;
#[cfg(test)]
mod tests;
pub(crate) mod waiting;

use std::time::{Duration, Instant};

use self::durable::Durable;
use self::jobs::Jobs;
use self::replies::Replies;
use self::waiting::Waiting;

/// What one client waits for; `T` is what a job comes to.
#[derive(Debug)]
pub(crate) struct Work<T> {
    pub(crate) durable: Durable,
    pub(crate) waiting: Waiting,
    pub(crate) jobs: Jobs<T>,
    pub(crate) replies: Replies,
}

impl<T> Default for Work<T> {
    fn default() -> Self {
        Work {
            durable: Durable::default(),
            waiting: Waiting::default(),
            jobs: Jobs::default(),
            replies: Replies::default(),
        }
    }
}

impl<T: Send + 'static> Work<T> {
    /// Whether every request that came is answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.durable.is_empty()
            && self.waiting.is_empty()
            && self.jobs.is_empty()
            && self.replies.is_empty()
    }

    /// Whether nothing is to be looked after: no request waits, nor does the client pause.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_empty() && !self.waiting.pauses()
    }

    /// Whether no more requests are to be taken up, if so many bytes may wait.
    pub(crate) fn holds_input(&self, limit: usize) -> bool {
        self.durable.bytes() > limit
            || self.waiting.holds_input(limit)
            || self.jobs.holds_input()
            || self.replies.holds_input(limit)
    }

    /// Memory of what waits for an answer, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.durable.bytes() + self.replies.bytes()
    }

    /// When somebody is to look, if nothing wakes the client's task before.
    pub(crate) fn due(&self, timeout: Duration) -> Option<Instant> {
        self.durable.due(timeout).into_iter().chain(self.waiting.due(timeout)).min()
    }
}
