//! The order between the disk and the network: what may only be said once something is durable waits here.

use std::collections::VecDeque;

use crate::planted::planted;

/// Numbers what is to be persisted, from 1 on.
pub type Ticket = u64;

/// Holds things back until what was to be persisted before them is durable. They leave in the order in which they came.
///
/// ```text
/// persist() -> 1   hold(a)   persist() -> 2   hold(b)
/// persisted(1)     release() -> a, then nothing
/// persisted(2)     release() -> b
/// ```
#[derive(Clone, Debug)]
pub struct Gate<T> {
    last: Ticket,
    durable: Ticket,
    held: VecDeque<(Ticket, T)>,
}

impl<T> Gate<T> {
    /// One that nothing waits at.
    pub fn new() -> Gate<T> {
        Gate { last: 0, durable: 0, held: VecDeque::new() }
    }

    /// A number for something that is to be persisted now.
    pub fn persist(&mut self) -> Ticket {
        self.last += 1;
        self.last
    }

    /// Holds something back until all that was to be persisted up to now is durable.
    pub fn hold(&mut self, what: T) {
        let after = if planted!(AnswerBeforeSync) { 0 } else { self.last };
        self.held.push_back((after, what));
    }

    /// That is durable now, and all before it.
    pub fn persisted(&mut self, ticket: Ticket) {
        self.durable = self.durable.max(ticket.min(self.last));
    }

    /// The next of what may go.
    pub fn release(&mut self) -> Option<T> {
        let may_go = self.held.front().is_some_and(|(ticket, _)| *ticket <= self.durable);
        if may_go { self.held.pop_front().map(|(_, what)| what) } else { None }
    }
}

impl<T> Default for Gate<T> {
    fn default() -> Gate<T> {
        Gate::new()
    }
}
