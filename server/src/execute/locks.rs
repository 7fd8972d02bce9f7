//! Locks of partitions, for requests that read before they write (counters, lists by index or value): no change of
//! another one on this node comes between.
//!
//! Nobody blocks on a lock. A request gets all that it needs or none, so it never holds some while it waits for others,
//! and two can't wait for each other. One that gets none is kept as it came and tried again when the partition is free:
//!
//! ```text
//! a: try_lock(1, 2)   -> has both
//! b: try_lock(2, 3)   -> taken: 2; poll_free(2) is pending, 3 stays free for others
//! a is done           -> b's task is woken, and tries again
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tholos_grammar::token::Token;

/// The partitions that are locked, by their tokens, each with the tasks that wait for it.
///
/// Partitions of equal token share a lock, which is rare enough.
#[derive(Debug, Default)]
pub struct PartitionLocks {
    held: Mutex<BTreeMap<Token, Vec<Waker>>>,
}

/// Locks that are held, for as long as a request takes; dropping frees them.
#[derive(Debug)]
#[must_use]
pub struct PartitionGuard {
    locks: Arc<PartitionLocks>,
    tokens: SmallVec<[Token; 1]>,
}

impl PartitionLocks {
    /// Locks all of them, or none.
    ///
    /// # Errors
    /// One that another request has.
    pub fn try_lock(self: &Arc<Self>, tokens: &[Token]) -> Result<PartitionGuard, Token> {
        let mut guard = PartitionGuard { locks: Arc::clone(self), tokens: SmallVec::new() };
        if tokens.is_empty() {
            return Ok(guard);
        }
        guard.tokens.extend_from_slice(tokens);
        guard.tokens.sort_unstable();
        guard.tokens.dedup();
        let mut held = self.held.lock();
        if let Some(taken) = guard.tokens.iter().find(|token| held.contains_key(token)).copied() {
            drop(held);
            guard.tokens.clear();
            return Err(taken);
        }
        held.extend(guard.tokens.iter().map(|token| (*token, Vec::new())));
        drop(held);
        Ok(guard)
    }

    /// Ready when nobody has that one; else the task is woken when it is free.
    pub(crate) fn poll_free(&self, token: Token, cx: &mut Context<'_>) -> Poll<()> {
        match self.held.lock().get_mut(&token) {
            None => Poll::Ready(()),
            Some(waiting) => {
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for PartitionGuard {
    fn drop(&mut self) {
        if self.tokens.is_empty() {
            return;
        }
        let mut woken: SmallVec<[Waker; 4]> = SmallVec::new();
        {
            let mut held = self.locks.held.lock();
            for token in &self.tokens {
                woken.extend(held.remove(token).into_iter().flatten());
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn all_or_none_are_locked() {
        let locks = Arc::new(PartitionLocks::default());
        let first = locks.try_lock(&[Token(2), Token(1), Token(2)]).unwrap();
        assert_eq!(locks.try_lock(&[Token(3), Token(2)]).unwrap_err(), Token(2));
        let third = locks.try_lock(&[Token(3)]).unwrap();
        drop(first);
        assert_eq!(locks.try_lock(&[Token(3), Token(2)]).unwrap_err(), Token(3));
        drop(third);
        drop(locks.try_lock(&[Token(3), Token(2)]).unwrap());
        assert!(locks.held.lock().is_empty());
    }

    #[test]
    fn a_task_that_waits_is_woken_once_when_it_is_free() {
        let locks = Arc::new(PartitionLocks::default());
        let guard = locks.try_lock(&[Token(1)]).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(locks.poll_free(Token(1), &mut cx).is_pending());
        assert!(locks.poll_free(Token(1), &mut cx).is_pending());
        assert!(locks.poll_free(Token(2), &mut cx).is_ready());
        drop(guard);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(locks.poll_free(Token(1), &mut cx).is_ready());
    }
}
