//! The acceptor: remembers what it promised and what it accepted.

use serde::{Deserialize, Serialize};

use super::{Ballot, Gate, Reply, Request, Ticket};
use crate::planted::planted;

/// What an acceptor has to remember across crashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptorState<V> {
    /// No lower ballot is taken.
    pub promised: Option<Ballot>,
    /// The value that was accepted last, and its ballot.
    pub accepted: Option<(Ballot, V)>,
}

/// One acceptor of one decision.
#[derive(Clone, Debug)]
pub struct Acceptor<V> {
    state: AcceptorState<V>,
}

/// An answer that must not leave before the acceptor's state is durable: the gate is its only way out.
#[derive(Debug)]
#[must_use = "it is to be held at a gate, and the state to be persisted"]
pub struct Unsynced<V> {
    state: Option<AcceptorState<V>>,
    reply: Option<Reply<V>>,
}

impl<V> Default for AcceptorState<V> {
    fn default() -> AcceptorState<V> {
        AcceptorState { promised: None, accepted: None }
    }
}

impl<V: Clone> Acceptor<V> {
    /// One that remembers that.
    pub fn new(state: AcceptorState<V>) -> Acceptor<V> {
        Acceptor { state }
    }

    /// What it remembers, be it durable yet or not.
    pub fn state(&self) -> &AcceptorState<V> {
        &self.state
    }

    /// Goes on to the next decision: the value is forgotten, the promise holds.
    pub fn next_decision(&mut self) {
        self.state.accepted = None;
    }

    /// What a request comes to. The same request again gets the same answer.
    pub fn on(&mut self, request: Request<V>) -> Unsynced<V> {
        let ballot = match &request {
            Request::Prepare(ballot) | Request::Accept(ballot, _) => *ballot,
        };
        if let Some(promised) = self.state.promised.filter(|promised| *promised > ballot) {
            let reply = Reply::Refused { ballot, promised };
            return Unsynced { state: None, reply: Some(reply) };
        }
        let mut is_new = self.state.promised.replace(ballot) != Some(ballot);
        let reply = match request {
            Request::Prepare(_) => {
                let accepted = self.state.accepted.clone();
                Reply::Promised { ballot, accepted: accepted.filter(|_| !planted!(ForgetAccepted)) }
            }
            Request::Accept(_, value) => {
                is_new |= self.state.accepted.as_ref().is_none_or(|(known, _)| *known != ballot);
                self.state.accepted = Some((ballot, value));
                Reply::Accepted { ballot }
            }
        };
        Unsynced { state: is_new.then(|| self.state.clone()), reply: Some(reply) }
    }

    /// Promises a ballot of this node's own, which is higher than what was promised. Nothing is answered.
    pub fn promise_own(&mut self, ballot: Ballot) -> Unsynced<V> {
        debug_assert!(self.state.promised.is_none_or(|promised| promised < ballot));
        self.state.promised = Some(ballot);
        Unsynced { state: Some(self.state.clone()), reply: None }
    }
}

impl<V> Unsynced<V> {
    /// Holds the answer at the gate. What comes back is to be persisted, in the order of the tickets; `None` if nothing
    /// new is to be: the answer then waits for what is on its way to the disk already.
    #[must_use = "the state is to be persisted"]
    pub fn hold<T>(
        self,
        gate: &mut Gate<T>,
        wrap: impl FnOnce(Reply<V>) -> T,
    ) -> Option<(Ticket, AcceptorState<V>)> {
        let ticket = self.state.is_some().then(|| gate.persist());
        if let Some(reply) = self.reply {
            gate.hold(wrap(reply));
        }
        ticket.zip(self.state)
    }
}
