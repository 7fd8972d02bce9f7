//! What waits to be written to a connection.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

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
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// Of the frames, and of those that were taken and are not written.
    bytes: usize,
    messages: usize,
    /// Nothing is taken any more.
    is_closed: bool,
}

impl Outbox {
    pub(super) fn new(bounds: Bounds) -> Outbox {
        Outbox { bounds, queue: Mutex::default(), filled: Notify::new() }
    }

    /// Whether there is room for a frame; then it will be written, unless the connection ends.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let mut queue = self.queue.lock();
        let bytes = queue.bytes.saturating_add(frame.len());
        let has_room = queue.messages < self.bounds.messages && bytes <= self.bounds.bytes;
        if queue.is_closed || !(has_room || queue.messages == 0) {
            return false;
        }
        queue.put(frame);
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Appends a sign of life, if nothing waits that is one as well.
    pub(super) fn push_if_empty(&self, frame: impl FnOnce() -> Bytes) {
        let mut queue = self.queue.lock();
        if queue.messages == 0 && !queue.is_closed {
            queue.put(frame());
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

    /// Takes all that there is.
    pub(super) fn take_now(&self, into: &mut Vec<Bytes>) -> bool {
        let mut queue = self.queue.lock();
        into.extend(queue.frames.drain(..));
        !into.is_empty()
    }

    /// So many of what was taken were written.
    pub(super) fn written(&self, messages: usize, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.messages -= messages;
        queue.bytes -= bytes;
    }

    /// Takes nothing any more. Returns how many frames are not written.
    pub(super) fn close(&self) -> usize {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.frames.clear();
        std::mem::take(&mut queue.messages)
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }
}

impl Queue {
    fn put(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.messages += 1;
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    #[test]
    fn it_is_bounded_by_bytes_and_number_until_what_was_taken_is_written() {
        let outbox = Outbox::new(Bounds { bytes: 100, messages: 3 });
        assert!(outbox.push(frame(60)));
        assert!(!outbox.push(frame(41)), "too many bytes");
        assert!(outbox.push(frame(40)));
        let mut taken = Vec::new();
        assert!(outbox.take_now(&mut taken));
        assert!(!outbox.push(frame(1)), "they are not written yet");
        outbox.written(1, 60);
        assert!(outbox.push(frame(1)) && outbox.push(frame(1)));
        assert!(!outbox.push(frame(1)), "too many");
        assert_eq!(outbox.bytes(), 42);
        assert_eq!(outbox.close(), 3);
        assert!(!outbox.push(frame(1)), "closed");
    }

    #[test]
    fn a_message_beyond_the_bound_goes_alone() {
        let outbox = Outbox::new(Bounds { bytes: 10, messages: 3 });
        assert!(outbox.push(frame(50)));
        assert!(!outbox.push(frame(1)));
        outbox.push_if_empty(|| frame(1));
        assert_eq!(outbox.bytes(), 50);
    }
}
