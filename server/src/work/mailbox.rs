//! What was brought for a task and not taken yet, and the task that waits for it.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// A queue that wakes whoever waits for it.
#[derive(Debug)]
pub struct Mailbox<T>(Mutex<(VecDeque<T>, Option<Waker>)>);

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Mailbox(Mutex::new((VecDeque::new(), None)))
    }
}

impl<T> Mailbox<T> {
    /// Brings one.
    pub fn push(&self, item: T) {
        let waker = {
            let (queue, waker) = &mut *self.0.lock();
            queue.push_back(item);
            waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes the next one; without one the task is woken when it is there.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<T> {
        let (queue, waker) = &mut *self.0.lock();
        match queue.pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
