//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::figures::LinkFigures;

/// How much may wait. What is being written counts until it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes. A single message may have more, if nothing else waits.
    pub bytes: usize,
    /// Messages.
    pub messages: usize,
}

/// Frames in the order in which they leave.
#[derive(Debug)]
pub(super) struct Outbox {
    bounds: Bounds,
    figures: Arc<LinkFigures>,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Each with the time from which on nobody waits for it.
    frames: VecDeque<(Bytes, Option<Instant>)>,
    /// Of the frames, and of those that were taken and are not written.
    bytes: usize,
    messages: usize,
    /// Nothing is taken any more.
    is_closed: bool,
}

impl Outbox {
    pub(super) fn new(bounds: Bounds, figures: Arc<LinkFigures>) -> Outbox {
        Outbox { bounds, figures, queue: Mutex::default(), filled: Notify::new() }
    }

    /// Whether there is room for a frame; then it will be written, unless the connection ends, or its time.
    pub(super) fn push(&self, frame: Bytes, expires: Option<Instant>) -> bool {
        let mut queue = self.queue.lock();
        let bytes = queue.bytes.saturating_add(frame.len());
        let has_room = queue.messages < self.bounds.messages && bytes <= self.bounds.bytes;
        if queue.is_closed || !(has_room || queue.messages == 0) {
            self.figures.refused_full.fetch_add(1, Relaxed);
            return false;
        }
        queue.put(frame, expires);
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Appends a sign of life, if nothing waits that is one as well.
    pub(super) fn push_if_empty(&self, frame: impl FnOnce() -> Bytes) {
        let mut queue = self.queue.lock();
        if queue.messages == 0 && !queue.is_closed {
            queue.put(frame(), None);
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Waits until there is something, and takes all of it.
    pub(super) async fn take(&self, into: &mut Vec<Bytes>) {
        loop {
            let filled = self.filled.notified();
            if self.take_now(into) {
                return;
            }
            filled.await;
        }
    }

    /// Takes all that somebody still waits for. Whether there is any.
    pub(super) fn take_now(&self, into: &mut Vec<Bytes>) -> bool {
        let queue = &mut *self.queue.lock();
        let now = (!queue.frames.is_empty()).then(Instant::now);
        for (frame, expires) in queue.frames.drain(..) {
            if expires.is_some_and(|expires| Some(expires) <= now) {
                queue.bytes -= frame.len();
                queue.messages -= 1;
                self.figures.expired.fetch_add(1, Relaxed);
            } else {
                into.push(frame);
            }
        }
        !into.is_empty()
    }

    /// So many of what was taken were written.
    pub(super) fn written(&self, messages: usize, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.messages -= messages;
        queue.bytes -= bytes;
    }

    /// Takes nothing any more: what is not written is lost.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.frames.clear();
        let lost = std::mem::take(&mut queue.messages);
        self.figures.lost.fetch_add(lost as u64, Relaxed);
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }
}

impl Queue {
    fn put(&mut self, frame: Bytes, expires: Option<Instant>) {
        self.bytes += frame.len();
        self.messages += 1;
        self.frames.push_back((frame, expires));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;

    fn outbox(bytes: usize, messages: usize) -> Outbox {
        Outbox::new(Bounds { bytes, messages }, Arc::default())
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Relaxed)
    }

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    #[test]
    fn it_is_bounded_by_bytes_and_number_until_what_was_taken_is_written() {
        let outbox = outbox(100, 3);
        assert!(outbox.push(frame(60), None));
        assert!(!outbox.push(frame(41), None), "too many bytes");
        assert!(outbox.push(frame(40), None));
        let mut taken = Vec::new();
        assert!(outbox.take_now(&mut taken));
        assert!(!outbox.push(frame(1), None), "they are not written yet");
        outbox.written(1, 60);
        assert!(outbox.push(frame(1), None) && outbox.push(frame(1), None));
        assert!(!outbox.push(frame(1), None), "too many");
        assert_eq!(outbox.bytes(), 42);
        outbox.close();
        assert_eq!((get(&outbox.figures.lost), get(&outbox.figures.refused_full)), (3, 3));
        assert!(!outbox.push(frame(1), None), "closed");
    }

    #[test]
    fn a_message_beyond_the_bound_goes_alone() {
        let outbox = outbox(10, 3);
        assert!(outbox.push(frame(50), None));
        assert!(!outbox.push(frame(1), None));
        outbox.push_if_empty(|| frame(1));
        assert_eq!(outbox.bytes(), 50);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_written() {
        let outbox = outbox(100, 3);
        let (past, later) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        for expires in [Some(past), Some(later), None] {
            assert!(outbox.push(frame(30), expires));
        }
        let mut taken = Vec::new();
        assert!(outbox.take_now(&mut taken));
        assert_eq!((taken.len(), outbox.bytes(), get(&outbox.figures.expired)), (2, 60, 1));
        outbox.written(2, 60);
        assert!(outbox.push(frame(30), Some(past)));
        taken.clear();
        assert!(!outbox.take_now(&mut taken), "there is nothing to write");
        assert_eq!((outbox.bytes(), get(&outbox.figures.expired)), (0, 2));
    }
}
