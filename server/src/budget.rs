//! Memory for the bytes of requests and answers: one budget for all clients, and what is fair among them.
//!
//! Counted is what outlives a turn of a connection: parts of requests that have not come whole, requests that wait,
//! answers that are made or not taken by their client yet. Each client has an [`Account`]; what it holds is [`Credit`],
//! given back when dropped.
//!
//! A client may take more only as long as it then holds no more than is left free for everybody else:
//!
//! ```text
//! budget 64    the first may hold 32, beside it a second 16 (16 are free), beside both a third 8, ...
//! ```
//!
//! So nobody can take all of it, and what a first one took of it late it takes from nobody. Whoever waits is woken when
//! something is given back. When next to nothing is left ([`Budget::is_short`]), clients that hold some and do not get on
//! are cut off, and all others go on in steps so small that they need none. There is no lock on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The budget of a node.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    used: AtomicUsize,
    /// Somebody waits for what is given back.
    awaited: AtomicBool,
    waiting: Mutex<Vec<(Waker, Arc<Account>)>>,
    shortages: AtomicU64,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(total: usize) -> Budget {
        Budget {
            total,
            used: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
            shortages: AtomicU64::new(0),
        }
    }

    /// All of it.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// What is taken. May be more than all of it for a moment: what is there already is counted in any case.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that one client can get, when nobody else has any.
    pub(crate) fn most_of_one(&self) -> usize {
        self.total / 2
    }

    /// Whether next to nothing is left.
    pub(crate) fn is_short(&self) -> bool {
        self.used() > self.total - self.total / 16
    }

    /// How often somebody could not have what it asked for.
    pub(crate) fn shortages(&self) -> u64 {
        self.shortages.load(Ordering::Relaxed)
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst) {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            for (waker, account) in waiting {
                account.waits.store(false, Ordering::SeqCst);
                waker.wake();
            }
        }
    }
}

/// What one client holds of the budget.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    used: AtomicUsize,
    /// It is among those that are woken when something is given back.
    waits: AtomicBool,
}

impl Account {
    /// The account of a new client.
    pub(crate) fn new(budget: Arc<Budget>) -> Arc<Account> {
        Arc::new(Account { budget, used: AtomicUsize::new(0), waits: AtomicBool::new(false) })
    }

    /// The budget.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes so much, if that is fair.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Credit> {
        let mut credit = self.nothing();
        credit.grow(bytes).then_some(credit)
    }

    /// Takes so much, or has the waker called when there is more.
    pub(crate) fn poll_take(self: &Arc<Self>, bytes: usize, cx: &Context<'_>) -> Poll<Credit> {
        if let Some(credit) = self.take(bytes) {
            return Poll::Ready(credit);
        }
        if !self.waits.swap(true, Ordering::SeqCst) {
            self.budget.waiting.lock().push((cx.waker().clone(), Arc::clone(self)));
        }
        self.budget.awaited.store(true, Ordering::SeqCst);
        // Something may have been given back just before.
        self.take(bytes).map_or(Poll::Pending, Poll::Ready)
    }

    /// No bytes yet.
    pub(crate) fn nothing(self: &Arc<Self>) -> Credit {
        Credit { account: Arc::clone(self), bytes: 0 }
    }

    fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::SeqCst);
        self.budget.used.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Adds so much if that is fair. Nobody ever sees what was not fair.
    fn try_add(&self, bytes: usize) -> bool {
        let own = self.used.load(Ordering::SeqCst).saturating_add(bytes);
        let add = |used: usize| {
            let all = used.saturating_add(bytes);
            (own.saturating_add(all) <= self.budget.total).then_some(all)
        };
        let added = self.budget.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add).is_ok();
        if added {
            self.used.fetch_add(bytes, Ordering::SeqCst);
        }
        added
    }

    fn subtract(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        self.budget.give_back(bytes);
    }
}

/// Bytes that somebody holds.
#[derive(Debug)]
pub(crate) struct Credit {
    account: Arc<Account>,
    bytes: usize,
}

impl Credit {
    /// How many.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many more, if that is fair.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let grown = self.account.try_add(bytes);
        if grown {
            self.bytes += bytes;
        } else {
            self.account.budget.shortages.fetch_add(1, Ordering::Relaxed);
        }
        grown
    }

    /// Holds what another one held, too.
    pub(crate) fn absorb(&mut self, mut other: Credit) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Counts what is there, fair or not.
    pub(crate) fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(0) => return,
            Some(more) => self.account.add(more),
            None => self.account.subtract(self.bytes - bytes),
        }
        self.bytes = bytes;
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts<const N: usize>(total: usize) -> (Arc<Budget>, [Arc<Account>; N]) {
        let budget = Arc::new(Budget::new(total));
        (Arc::clone(&budget), std::array::from_fn(|_| Account::new(Arc::clone(&budget))))
    }

    /// The most that an account gets in steps of one.
    fn fill(account: &Arc<Account>) -> Credit {
        let mut credit = account.nothing();
        while credit.grow(1) {}
        credit
    }

    #[test]
    fn each_client_may_hold_what_it_leaves_to_the_others() {
        let (budget, accounts) = accounts::<4>(64);
        let held: Vec<Credit> = accounts.iter().map(fill).collect();
        assert_eq!(held.iter().map(Credit::bytes).collect::<Vec<_>>(), [32, 16, 8, 4]);
        assert_eq!(budget.used(), 60);
        drop(held);
        assert_eq!(budget.used(), 0);
        assert_eq!(fill(&accounts[3]).bytes(), budget.most_of_one());
    }

    #[test]
    fn what_a_client_gives_back_is_for_those_who_hold_less() {
        let (budget, [one, other]) = accounts::<2>(96);
        let (mut first, second) = (fill(&one), fill(&other));
        assert_eq!((first.bytes(), second.bytes()), (48, 24));
        first.set(30);
        assert!(one.take(10).is_none(), "40 for it, 32 for all others");
        assert!(other.take(8).is_some(), "32 for it, 34 for all others");
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_there_counts_although_it_is_too_much() {
        let (budget, [one, other]) = accounts::<2>(100);
        let mut credit = one.nothing();
        credit.set(150);
        assert!(budget.is_short());
        assert!(other.take(1).is_none());
        assert_eq!((budget.used(), budget.shortages()), (150, 1));
        credit.set(10);
        assert!(!budget.is_short());
        assert!(other.take(40).is_some());
    }

    #[test]
    fn who_waits_is_woken_by_what_is_given_back() {
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (_, [one, other]) = accounts::<2>(100);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        let held = one.take(50).unwrap();
        assert!(other.poll_take(40, &cx).is_pending());
        assert!(other.poll_take(40, &cx).is_pending());
        drop(held);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "once, however often it asked");
        assert!(other.poll_take(40, &cx).is_ready());
    }
}
