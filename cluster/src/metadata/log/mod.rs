//! The metadata log: all nodes come to the same entries in the same order.
//!
//! The entry that leads to epoch e is decided by [Paxos](crate::paxos) among the members of epoch e - 1. Any node may
//! propose, for the epoch after its own alone, so that it knows who decides and that its entry fits. Who decided an entry
//! sends it to all nodes; whoever hears of a higher epoch asks for what it lacks, from any node.
//!
//! ```text
//! node a, at epoch 4                        members a, b, c                      node d
//!   Request 5, Prepare 7.a             ->   a, b, c promise
//!   Request 5, Accept 7.a, CREATE ..   ->   a, b, c accept
//!   decided: epoch 5 is CREATE ..      ->   Entries 5                       ->   Entries 5
//!                                      <-   Have 5                          <-   Have 5
//!   Request 6, Accept 7.a, DROP ..     ->   its ballot still holds: one round trip
//! ```
//!
//! A promise holds for all later epochs too. Who decided an entry with a ballot may propose the next one with it, as long
//! as the members are the same: when they promised they were at the epoch before, so they had accepted nothing later.
//!
//! Invariants:
//! - One entry is decided for an epoch, and never changes: then all nodes have the same value at the same epoch.
//! - What a node says of itself (a promise, an acceptance, an epoch it has) is durable on it before.
//! - A snapshot replaces the whole value by a later one. What it lacks was dropped by an entry, never forgotten.

mod learn;
mod message;
mod propose;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

pub use self::message::{Effect, Input, Message, Proposal, ProposeError, Record};
use self::propose::Own;
use super::state::ClusterState;
use crate::paxos::{Acceptor, AcceptorState, Ballot, Gate, Proposer, Request, Unsynced};
use crate::planted::planted;

/// Microseconds after which a member that has not answered is asked again.
const RESEND: i64 = 200_000;

/// How many entries are kept for nodes that lack them; beyond that they get a snapshot.
const TAIL: usize = 512;

/// One node's part in the log.
#[derive(Debug)]
pub struct MetadataLog {
    me: Uuid,
    state: Arc<ClusterState>,
    /// The entries that led to the last epochs.
    tail: VecDeque<Proposal>,
    /// What this node promised; what it accepted for the epoch after its own.
    acceptor: Acceptor<Proposal>,
    /// What waits until it is durable here.
    gate: Gate<Held>,
    /// What this node is to propose; the first is at work.
    queue: VecDeque<Own>,
    /// For the epoch after its own.
    attempt: Option<Attempt>,
    /// A ballot of this node's that a majority of the members promised, and that it may use for the next epoch.
    kept: Option<Ballot>,
    /// The highest ballot that it heard of.
    seen: Option<Ballot>,
    /// How often it was overtaken since an entry was decided, and when it may try again.
    overtaken: u32,
    retry_at: i64,
    /// When it may ask again for what it lacks.
    pull_at: i64,
    /// The epochs that other nodes have.
    reached: BTreeMap<Uuid, u64>,
}

#[derive(Debug)]
struct Attempt {
    proposer: Proposer<Uuid, Proposal>,
    resend_at: i64,
}

/// What may be done once all before it is durable.
#[derive(Debug)]
enum Held {
    Send(Uuid, Message),
    Done(Effect),
}

/// The records of a node do not follow each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata log goes from epoch {have} to {found}: entries between are missing")]
pub struct Gap {
    /// The epoch up to which it is whole.
    pub have: u64,
    /// The epoch that comes next.
    pub found: u64,
}

impl MetadataLog {
    /// A node's log that begins with that value. Its first record is [`checkpoint`](Self::checkpoint)'s.
    pub fn new(me: Uuid, state: Arc<ClusterState>) -> MetadataLog {
        MetadataLog {
            me,
            state,
            tail: VecDeque::new(),
            acceptor: Acceptor::new(AcceptorState::default()),
            gate: Gate::new(),
            queue: VecDeque::new(),
            attempt: None,
            kept: None,
            seen: None,
            overtaken: 0,
            retry_at: i64::MIN,
            pull_at: i64::MIN,
            reached: BTreeMap::new(),
        }
    }

    /// A node's log from its records, oldest first; `None` if there is no snapshot among them.
    ///
    /// # Errors
    /// Entries are missing.
    pub fn open(
        me: Uuid,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Option<MetadataLog>, Gap> {
        let mut log: Option<MetadataLog> = None;
        let mut last = (0, AcceptorState::default());
        for record in records {
            match (record, &mut log) {
                (Record::Acceptor { epoch, state }, _) => last = (epoch, state),
                (Record::Snapshot(state), log) => *log = Some(MetadataLog::new(me, state)),
                (Record::Entry { epoch, .. }, None) => return Err(Gap { have: 0, found: epoch }),
                (Record::Entry { epoch, proposal }, Some(log)) => {
                    let have = log.state.epoch;
                    if epoch != have + 1 {
                        return Err(Gap { have, found: epoch });
                    }
                    log.advance(proposal).ok();
                }
            }
        }
        if let Some(log) = &mut log {
            let (epoch, mut state) = last;
            if epoch != log.state.epoch + 1 {
                state.accepted = None;
            }
            if planted!(ForgetPromise) {
                state.promised = None;
            }
            log.seen = state.promised;
            log.acceptor = Acceptor::new(state);
        }
        Ok(log)
    }

    /// Records that have all of this log's present: the file may be replaced by them, and everything that was to be
    /// persisted until now is durable then.
    pub fn checkpoint(&self) -> [Record; 2] {
        let (epoch, state) = (self.state.epoch + 1, self.acceptor.state().clone());
        [Record::Snapshot(Arc::clone(&self.state)), Record::Acceptor { epoch, state }]
    }

    /// The newest metadata that this node knows of, be it durable here yet or not.
    pub fn state(&self) -> &Arc<ClusterState> {
        &self.state
    }

    /// The epoch that another node has for certain; 0 if it has said nothing.
    pub fn epoch_of(&self, host: Uuid) -> u64 {
        self.reached.get(&host).copied().unwrap_or(0)
    }

    /// When it wants to be told [`Input::Tick`] at the latest, in microseconds; `None` while there is nothing to do.
    pub fn next_tick(&self) -> Option<i64> {
        let deadlines = self.queue.iter().map(|own| own.deadline);
        let next = self.attempt.as_ref().map(|attempt| attempt.resend_at);
        let retry = (next.is_none() && !self.queue.is_empty()).then_some(self.retry_at);
        deadlines.chain(next).chain(retry).min()
    }

    /// Goes on. `now` is in microseconds; `bits` are random.
    pub fn on(&mut self, now: i64, bits: u64, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Propose { id, entry, deadline } => {
                self.queue.push_back(Own::new(id, entry, deadline))
            }
            Input::Message { from, message } => self.on_message(now, bits, from, message, out),
            Input::Seen { from, epoch } => self.note_epoch(now, from, epoch),
            Input::Persisted(ticket) => self.gate.persisted(ticket),
            Input::Tick => self.on_tick(now, out),
        }
        // What is released may be for this node itself, and lead to more.
        loop {
            self.propose_next(now, out);
            let Some(held) = self.gate.release() else { break };
            match held {
                Held::Send(to, message) if to == self.me => {
                    self.on_message(now, bits, to, message, out);
                }
                Held::Send(to, message) => out.push(Effect::Send(to, message)),
                Held::Done(effect) => out.push(effect),
            }
        }
    }

    fn on_message(
        &mut self,
        now: i64,
        bits: u64,
        from: Uuid,
        message: Message,
        out: &mut Vec<Effect>,
    ) {
        match message {
            Message::Request { epoch, request } => self.on_request(from, epoch, request, out),
            Message::Reply { epoch, reply } => self.on_reply(now, bits, from, epoch, reply, out),
            Message::Entries { first, entries, epoch } => {
                self.on_entries(now, bits, from, (first, entries), out);
                self.note_epoch(now, from, epoch);
            }
            Message::Snapshot(state) => self.on_snapshot(from, state, out),
            Message::Pull { epoch } => {
                self.bring_up(from, epoch);
                self.note_epoch(now, from, epoch);
            }
            Message::Have { epoch } => {
                let known = self.reached.entry(from).or_default();
                if *known < epoch {
                    *known = epoch;
                    out.push(Effect::Reached(from, epoch));
                }
                self.note_epoch(now, from, epoch);
            }
        }
    }

    /// What a member is asked, if it is one: who asks goes by the members of the epoch.
    fn on_request(
        &mut self,
        from: Uuid,
        epoch: u64,
        request: Request<Proposal>,
        out: &mut Vec<Effect>,
    ) {
        let (Request::Prepare(ballot) | Request::Accept(ballot, _)) = request;
        self.seen = self.seen.max(Some(ballot));
        let mine = self.state.epoch;
        if epoch <= mine {
            self.bring_up(from, epoch.saturating_sub(1));
        } else if epoch > mine + 1 {
            self.gate.hold(Held::Send(from, Message::Pull { epoch: mine }));
        } else {
            let unsynced = self.acceptor.on(request);
            self.hold_reply(from, unsynced, out);
        }
    }

    fn hold_reply(&mut self, to: Uuid, reply: Unsynced<Proposal>, out: &mut Vec<Effect>) {
        let epoch = self.state.epoch + 1;
        let wrap = |reply| Held::Send(to, Message::Reply { epoch, reply });
        if let Some((ticket, state)) = reply.hold(&mut self.gate, wrap) {
            out.push(Effect::Persist(ticket, Record::Acceptor { epoch, state }));
        }
    }
}
