//! Learning what was decided, and telling others.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use super::{Effect, Held, Message, MetadataLog, Proposal, ProposeError, Record, TAIL};
use crate::metadata::entry::MetadataError;
use crate::metadata::state::ClusterState;
use crate::planted::planted;

/// How many entries one message has at most.
const BATCH: usize = 64;

/// Microseconds after which a node that did not get what it asked for asks again.
const PULL_AGAIN: i64 = 100_000;

impl MetadataLog {
    /// Goes to the next epoch; says whether the entry fitted.
    pub(super) fn advance(&mut self, proposal: Proposal) -> Result<(), MetadataError> {
        let (state, fits) = self.state.decided(&proposal.entry);
        self.state = Arc::new(state);
        self.acceptor.next_decision();
        self.tail.push_back(proposal);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        fits
    }

    /// Takes the entry that was decided for the epoch after this node's.
    pub(super) fn learn(&mut self, now: i64, bits: u64, proposal: Proposal, out: &mut Vec<Effect>) {
        let id = proposal.id;
        let fits = self.advance(proposal.clone());
        let epoch = self.state.epoch;
        let ticket = self.gate.persist();
        out.push(Effect::Persist(ticket, Record::Entry { epoch, proposal }));
        self.gate.hold(Held::Done(Effect::Changed(Arc::clone(&self.state))));
        self.attempt = None;
        self.kept = None;
        if let Some(at) = self.queue.iter().position(|own| own.id == id) {
            self.queue.remove(at);
            let result = fits.map(|()| epoch).map_err(ProposeError::Refused);
            self.gate.hold(Held::Done(Effect::Done(id, result)));
        } else if !self.queue.is_empty() {
            // Others want something too: not everybody at once.
            self.overtaken = 0;
            self.back_off(now, bits);
        }
    }

    pub(super) fn on_entries(
        &mut self,
        now: i64,
        bits: u64,
        from: Uuid,
        (first, entries): (u64, Vec<Proposal>),
        out: &mut Vec<Effect>,
    ) {
        for (epoch, proposal) in (first..).zip(entries) {
            if epoch == self.state.epoch + 1 {
                self.learn(now, bits, proposal, out);
                self.pull_at = now;
            }
        }
        self.tell_epoch(from);
    }

    /// Takes a whole value in place of its own, if it is a later one.
    pub(super) fn on_snapshot(
        &mut self,
        from: Uuid,
        state: Arc<ClusterState>,
        out: &mut Vec<Effect>,
    ) {
        let is_later = state.epoch > self.state.epoch || planted!(OlderSnapshotReplaces);
        if state.cluster != self.state.cluster || !is_later {
            return self.tell_epoch(from);
        }
        self.state = state;
        self.tail.clear();
        self.acceptor.next_decision();
        let ticket = self.gate.persist();
        out.push(Effect::Persist(ticket, Record::Snapshot(Arc::clone(&self.state))));
        self.gate.hold(Held::Done(Effect::Changed(Arc::clone(&self.state))));
        self.attempt = None;
        self.kept = None;
        // What was proposed for an epoch in between may have been decided.
        let queue = std::mem::take(&mut self.queue);
        let (gone, rest): (VecDeque<_>, _) =
            queue.into_iter().partition(|own| own.proposed_for.is_some());
        self.queue = rest;
        for own in gone {
            self.gate.hold(Held::Done(Effect::Done(own.id, Err(ProposeError::Unknown))));
        }
        self.tell_epoch(from);
    }

    /// Says what this node has, once it is durable.
    fn tell_epoch(&mut self, to: Uuid) {
        self.gate.hold(Held::Send(to, Message::Have { epoch: self.state.epoch }));
    }

    /// Somebody has that epoch: if it is a higher one, it is asked for what is missing here.
    pub(super) fn note_epoch(&mut self, now: i64, from: Uuid, epoch: u64) {
        if epoch > self.state.epoch && self.pull_at <= now {
            self.pull_at = now + PULL_AGAIN;
            self.gate.hold(Held::Send(from, Message::Pull { epoch: self.state.epoch }));
        }
    }

    /// Sends what a node lacks that is at that epoch: the entries, or all there is.
    pub(super) fn bring_up(&mut self, to: Uuid, epoch: u64) {
        let Some(missing) = self.state.epoch.checked_sub(epoch).filter(|missing| *missing > 0)
        else {
            return;
        };
        let skipped = (self.tail.len() as u64).checked_sub(missing);
        let message = match skipped {
            Some(skipped) => Message::Entries {
                first: epoch + 1,
                entries: self.tail.iter().skip(skipped as usize).take(BATCH).cloned().collect(),
                epoch: self.state.epoch,
            },
            None => Message::Snapshot(Arc::clone(&self.state)),
        };
        self.gate.hold(Held::Send(to, message));
    }

    /// Sends an entry that was decided here to all other nodes.
    pub(super) fn push(&mut self, proposal: Proposal) {
        let epoch = self.state.epoch;
        for node in self.state.ring.nodes().iter().filter(|node| node.host_id != self.me) {
            let entries = vec![proposal.clone()];
            let message = Message::Entries { first: epoch, entries, epoch };
            self.gate.hold(Held::Send(node.host_id, message));
        }
    }
}
