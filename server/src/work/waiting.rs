//! Requests that wait until they can be tried again: writes for which memory has no room, and those that need a partition
//! which another request has locked. And pauses of clients that write faster than the disk takes it.
//!
//! They are tried again in the order in which they came, until one must wait on. Reads of the same client go on meanwhile.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tholos_grammar::token::Token;

use super::deferred::Deferred;
use crate::execute::locks::PartitionLocks;

/// How often a write that waits for room is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Room in memory for what it writes.
    Room,
    /// A lock of that partition.
    Lock(Token),
}

/// The waiting requests of one client.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    requests: VecDeque<(Cause, Deferred)>,
    bytes: usize,
    /// When the first one is tried again, if it waits for room.
    retry_at: Option<Instant>,
    /// Nothing is read from the client before.
    pause_until: Option<Instant>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether nothing is to be read from the client: it pauses, or too much of it waits.
    pub(crate) fn holds_input(&self, limit: usize) -> bool {
        self.bytes > limit || (self.requests.is_empty() && self.pause_until.is_some())
    }

    /// Keeps a request that came now.
    pub(crate) fn push(&mut self, cause: Cause, request: Deferred) {
        self.bytes += size(&request);
        self.requests.push_back((cause, request));
    }

    /// Keeps a request that was tried again in vain: it stays the first.
    pub(crate) fn put_back(&mut self, cause: Cause, request: Deferred) {
        self.bytes += size(&request);
        self.requests.push_front((cause, request));
    }

    /// The next request to try.
    pub(crate) fn pop(&mut self) -> Option<Deferred> {
        let Some((_, request)) = self.requests.pop_front() else {
            // A client of which nothing waits holds no memory.
            self.requests = VecDeque::new();
            return None;
        };
        self.bytes -= size(&request);
        Some(request)
    }

    /// The client reads nothing until then.
    pub(crate) fn pause_until(&mut self, end: Instant) {
        self.pause_until = Some(end);
    }

    /// When [`poll`](Self::poll) is to be asked again, if nothing wakes its task before: at the latest when the time of the
    /// first one is over, which is `timeout`.
    pub(crate) fn due(&self, timeout: Duration) -> Option<Instant> {
        let given_up = self.requests.front().map(|(_, request)| request.started + timeout);
        given_up.into_iter().chain(self.retry_at).chain(self.pause_until).min()
    }

    /// Whether the client pauses.
    pub(crate) fn pauses(&self) -> bool {
        self.pause_until.is_some()
    }

    /// Ready when a pause is over, or requests are to be tried again, for the last time if their time is over.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        timeout: Duration,
        locks: &PartitionLocks,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let pause_is_over = self.pause_until.take_if(|end| *end <= now).is_some();
        let tries_again = match self.requests.front() {
            None => false,
            Some((_, request)) if request.started + timeout <= now => true,
            Some((Cause::Lock(token), _)) => locks.poll_free(*token, cx).is_ready(),
            Some((Cause::Room, _)) => *self.retry_at.get_or_insert(now + RETRY) <= now,
        };
        if tries_again {
            self.retry_at = None;
        }
        if pause_is_over || tries_again { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What a waiting request takes, roughly.
fn size(request: &Deferred) -> usize {
    request.bytes() + size_of::<(Cause, Deferred)>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use super::*;
    use crate::work::deferred::tests::request;
    use crate::work::pool::Class;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn poll(waiting: &mut Waiting, now: Instant, locks: &PartitionLocks) -> bool {
        waiting.poll(now, TIMEOUT, locks, &mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn writes_without_room_are_tried_again_in_their_order() {
        let (mut waiting, locks, now) =
            (Waiting::default(), Arc::new(PartitionLocks::default()), Instant::now());
        for stream in 0..3 {
            waiting.push(Cause::Room, request(stream, Class::Long, now));
        }
        assert!(!poll(&mut waiting, now, &locks));
        assert_eq!(waiting.due(TIMEOUT), Some(now + RETRY));
        assert!(poll(&mut waiting, now + RETRY, &locks));
        let first = waiting.pop().unwrap();
        let second = waiting.pop().unwrap();
        assert_eq!((first.header.stream, second.header.stream), (0, 1));
        waiting.put_back(Cause::Room, second);
        assert!(!poll(&mut waiting, now + RETRY, &locks));
        assert!(poll(&mut waiting, now + 2 * RETRY, &locks));
        assert_eq!(waiting.pop().unwrap().header.stream, 1);
        assert_eq!(waiting.pop().unwrap().header.stream, 2);
        assert!(waiting.pop().is_none() && waiting.is_empty());
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn one_that_needs_a_lock_is_tried_again_when_that_is_free() {
        let (mut waiting, locks, now) =
            (Waiting::default(), Arc::new(PartitionLocks::default()), Instant::now());
        let lock = locks.try_lock(&[Token(7)]).unwrap();
        waiting.push(Cause::Lock(Token(7)), request(0, Class::Long, now));
        assert!(!poll(&mut waiting, now + RETRY, &locks));
        assert_eq!(
            waiting.due(TIMEOUT),
            Some(now + TIMEOUT),
            "whoever has the lock wakes the task"
        );
        assert!(poll(&mut waiting, now + TIMEOUT, &locks), "then it is refused");
        assert!(!poll(&mut waiting, now, &locks));
        drop(lock);
        assert!(poll(&mut waiting, now, &locks));
    }

    #[test]
    fn a_pause_holds_the_input_and_ends() {
        let (mut waiting, locks, now) =
            (Waiting::default(), Arc::new(PartitionLocks::default()), Instant::now());
        waiting.pause_until(now + RETRY);
        assert!(waiting.holds_input(1));
        assert!(!poll(&mut waiting, now, &locks));
        assert!(poll(&mut waiting, now + RETRY, &locks));
        assert!(!waiting.holds_input(1));
        assert!(!waiting.pauses() && waiting.due(TIMEOUT).is_none());
    }
}
