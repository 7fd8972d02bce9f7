//! Proposing: what this node wants to be decided, one after the other.

use uuid::Uuid;

use super::{Attempt, Effect, Held, Message, MetadataLog, Proposal, ProposeError, RESEND};
use crate::metadata::entry::Entry;
use crate::paxos::{Ballot, Outcome, Proposer, Reply, majority};
use crate::planted::planted;

/// Microseconds to wait after being overtaken, at most: this, doubled each time, up to the bound.
const BACKOFF: i64 = 5_000;
const MAX_BACKOFF: i64 = 500_000;

/// A proposal of this node.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: Uuid,
    entry: Entry,
    pub(super) deadline: i64,
    /// The last epoch that members were asked to accept it for.
    pub(super) proposed_for: Option<u64>,
}

impl Own {
    pub(super) fn new(id: Uuid, entry: Entry, deadline: i64) -> Own {
        Own { id, entry, deadline, proposed_for: None }
    }
}

impl MetadataLog {
    /// Begins an attempt for the first of what this node is to propose, if it is time.
    pub(super) fn propose_next(&mut self, now: i64, out: &mut Vec<Effect>) {
        while self.attempt.is_none() && self.retry_at <= now {
            let Some(own) = self.queue.front() else { return };
            let entry = own.entry.clone();
            match self.state.after(&entry) {
                Ok(after) => {
                    let proposal = Proposal { id: own.id, entry: entry.by_name(&after.schema) };
                    self.begin_attempt(now, proposal, out);
                }
                Err(error) => {
                    let result = Err(ProposeError::Refused(error));
                    let done = Effect::Done(own.id, result);
                    self.queue.pop_front();
                    self.gate.hold(Held::Done(done));
                }
            }
        }
    }

    fn begin_attempt(&mut self, now: i64, proposal: Proposal, out: &mut Vec<Effect>) {
        let promised = self.acceptor.state().promised;
        let members = self.state.members.clone();
        let proposer = match self.kept.take().filter(|kept| Some(*kept) == promised) {
            Some(ballot) => Proposer::accept(members, ballot, proposal),
            None => {
                let ballot = Ballot::above(self.seen.max(promised), now, self.me);
                // Its own promise is durable before anybody hears of the ballot: so it uses none twice.
                let promise = self.acceptor.promise_own(ballot);
                self.hold_reply(self.me, promise, out);
                Proposer::prepare(members, ballot, proposal)
            }
        };
        self.attempt = Some(Attempt { proposer, resend_at: now });
        self.ask(now);
    }

    /// Asks the members that have not answered.
    fn ask(&mut self, now: i64) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.resend_at = now + RESEND;
        let epoch = self.state.epoch + 1;
        let request = attempt.proposer.request();
        for member in attempt.proposer.waiting_for() {
            let message = Message::Request { epoch, request: request.clone() };
            self.gate.hold(Held::Send(member, message));
        }
        let proposed = attempt.proposer.proposed().map(|proposal| proposal.id);
        let own = self.queue.front_mut().filter(|own| Some(own.id) == proposed);
        if let Some(own) = own {
            own.proposed_for = Some(epoch);
            if planted!(AnswerBeforeDecided) {
                let done = Effect::Done(own.id, Ok(epoch));
                self.queue.pop_front();
                self.gate.hold(Held::Done(done));
            }
        }
    }

    pub(super) fn on_reply(
        &mut self,
        now: i64,
        bits: u64,
        from: Uuid,
        epoch: u64,
        reply: Reply<Proposal>,
        out: &mut Vec<Effect>,
    ) {
        if epoch != self.state.epoch + 1 {
            return;
        }
        let Some(attempt) = &mut self.attempt else { return };
        let ballot = attempt.proposer.ballot();
        match attempt.proposer.on(from, reply) {
            Outcome::Waiting => {}
            Outcome::Promised => self.ask(now),
            Outcome::Decided(proposal) => {
                let members = self.state.members.clone();
                self.learn(now, bits, proposal.clone(), out);
                self.overtaken = 0;
                self.retry_at = now;
                let may_keep = self.state.members == members || planted!(KeepBallotTooLong);
                self.kept = may_keep.then_some(ballot);
                self.push(proposal);
            }
            Outcome::Overtaken(by) => {
                self.seen = self.seen.max(Some(by));
                self.attempt = None;
                self.overtaken += 1;
                self.back_off(now, bits);
            }
        }
    }

    /// Waits for a while, so that one of those who overtake each other comes through.
    pub(super) fn back_off(&mut self, now: i64, bits: u64) {
        let bound = BACKOFF << self.overtaken.min(10);
        self.retry_at = now + (bits % bound.min(MAX_BACKOFF) as u64) as i64;
    }

    /// Gives up what nobody waits for any more, and asks again whoever has not answered.
    pub(super) fn on_tick(&mut self, now: i64, out: &mut Vec<Effect>) {
        let next = self.state.epoch + 1;
        let mut at = 0;
        while let Some(own) = self.queue.get(at) {
            if own.deadline > now {
                at += 1;
                continue;
            }
            let error = match own.proposed_for == Some(next) {
                true => ProposeError::Unknown,
                false => self.no_majority(),
            };
            out.push(Effect::Done(own.id, Err(error)));
            self.queue.remove(at);
            if at == 0 {
                // Nothing else may be proposed with its ballot.
                self.attempt = None;
            }
        }
        if self.attempt.as_ref().is_some_and(|attempt| attempt.resend_at <= now) {
            self.ask(now);
        }
    }

    fn no_majority(&self) -> ProposeError {
        let counts = self.attempt.as_ref().map(|attempt| attempt.proposer.counts());
        let (required, answered) = counts.unwrap_or((majority(self.state.members.len()), 0));
        ProposeError::NoMajority { required, answered }
    }
}
