//! The proposer: one attempt, with one ballot, to have a value decided.

use std::collections::BTreeSet;

use super::{Ballot, Reply, Request, majority};
use crate::planted::planted;

/// An attempt. `A` is what acceptors are known by.
#[derive(Clone, Debug)]
pub struct Proposer<A, V> {
    acceptors: BTreeSet<A>,
    ballot: Ballot,
    phase: Phase<A, V>,
}

#[derive(Clone, Debug)]
enum Phase<A, V> {
    Prepare {
        own: V,
        promised: BTreeSet<A>,
        /// Of the values that were accepted before, that of the highest ballot.
        found: Option<(Ballot, V)>,
    },
    Accept {
        value: V,
        accepted: BTreeSet<A>,
    },
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<V> {
    /// Nothing new.
    Waiting,
    /// A majority promised: all acceptors are to be sent [`Proposer::request`], which is another now.
    Promised,
    /// A majority accepted it: that is the value.
    Decided(V),
    /// Somebody else has a higher ballot: another attempt needs one above that.
    Overtaken(Ballot),
}

impl<A: Ord + Copy, V: Clone> Proposer<A, V> {
    /// An attempt that begins with asking for promises.
    pub fn prepare(acceptors: BTreeSet<A>, ballot: Ballot, own: V) -> Proposer<A, V> {
        let phase = Phase::Prepare { own, promised: BTreeSet::new(), found: None };
        Proposer { acceptors, ballot, phase }
    }

    /// An attempt with a ballot that a majority of the acceptors promised, and with which nothing was proposed yet.
    pub fn accept(acceptors: BTreeSet<A>, ballot: Ballot, value: V) -> Proposer<A, V> {
        Proposer { acceptors, ballot, phase: Phase::Accept { value, accepted: BTreeSet::new() } }
    }

    /// Its ballot.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// What acceptors are asked now.
    pub fn request(&self) -> Request<V> {
        match &self.phase {
            Phase::Prepare { .. } => Request::Prepare(self.ballot),
            Phase::Accept { value, .. } => Request::Accept(self.ballot, value.clone()),
        }
    }

    /// The value that acceptors are asked to accept; from then on it may be decided, whatever becomes of the attempt.
    pub fn proposed(&self) -> Option<&V> {
        match &self.phase {
            Phase::Prepare { .. } => None,
            Phase::Accept { value, .. } => Some(value),
        }
    }

    /// Acceptors that have not answered what they are asked now.
    pub fn waiting_for(&self) -> impl Iterator<Item = A> + '_ {
        let answered = match &self.phase {
            Phase::Prepare { promised: answered, .. }
            | Phase::Accept { accepted: answered, .. } => answered,
        };
        self.acceptors.difference(answered).copied()
    }

    /// Acceptors that it takes, and how many of them have answered what they are asked now.
    pub fn counts(&self) -> (usize, usize) {
        (majority(self.acceptors.len()), self.acceptors.len() - self.waiting_for().count())
    }

    /// Goes on with an answer. What comes twice, late, or from somebody who was not asked, changes nothing.
    pub fn on(&mut self, from: A, reply: Reply<V>) -> Outcome<V> {
        let (Reply::Promised { ballot, .. }
        | Reply::Accepted { ballot }
        | Reply::Refused { ballot, .. }) = reply;
        if ballot != self.ballot || !self.acceptors.contains(&from) {
            return Outcome::Waiting;
        }
        let enough = match planted!(MinorityDecides) {
            true => 1,
            false => majority(self.acceptors.len()),
        };
        match (&mut self.phase, reply) {
            (_, Reply::Refused { promised, .. }) => Outcome::Overtaken(promised),
            (Phase::Prepare { own, promised, found }, Reply::Promised { accepted, .. }) => {
                promised.insert(from);
                if let Some((at, value)) = accepted
                    && found.as_ref().is_none_or(|(known, _)| *known < at)
                {
                    *found = Some((at, value));
                }
                if promised.len() < majority(self.acceptors.len()) {
                    return Outcome::Waiting;
                }
                let value = found.take().map_or_else(|| own.clone(), |(_, value)| value);
                self.phase = Phase::Accept { value, accepted: BTreeSet::new() };
                Outcome::Promised
            }
            (Phase::Accept { value, accepted }, Reply::Accepted { .. }) => {
                accepted.insert(from);
                match accepted.len() >= enough {
                    true => Outcome::Decided(value.clone()),
                    false => Outcome::Waiting,
                }
            }
            // A promise after the majority's.
            _ => Outcome::Waiting,
        }
    }
}
