//! The delivery of hints: a replay for every node that is up and has some.
//!
//! Its driver tells it who is up and down, what was answered, and the time; and sends the batches that it gives out.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::record::Hint;
use super::replay::{Batch, Context, Input, Now, Replay, ReplayLimits};
use super::store::{HintStore, Verdict};
use crate::request::read::Micros;

/// The replays of a node.
#[derive(Debug, Default)]
pub struct Delivery {
    limits: ReplayLimits,
    replays: BTreeMap<Uuid, Replay>,
    /// Larger than the number of any batch of a replay that is over: late answers to those are known by it.
    last_batch: u64,
}

impl Delivery {
    /// A delivery that knows of no node yet.
    pub fn new(limits: ReplayLimits) -> Delivery {
        Delivery { limits, ..Delivery::default() }
    }

    /// A node can be reached; it is sent its hints from the next [`tick`](Self::tick) on.
    pub fn up(&mut self, store: &HintStore, target: Uuid) {
        if !self.replays.contains_key(&target) {
            let replay = Replay::begin(store, target, self.last_batch);
            self.replays.insert(target, replay);
        }
    }

    /// A node can't be reached, or left.
    pub fn down(&mut self, target: Uuid) {
        if let Some(replay) = self.replays.remove(&target) {
            self.last_batch = self.last_batch.max(replay.last_batch());
        }
    }

    /// A node took a batch or did not.
    pub fn answered(
        &mut self,
        store: &mut HintStore,
        judge: &dyn Fn(&Hint) -> Verdict,
        now: Now,
        (target, input): (Uuid, Input),
        out: &mut Vec<Batch>,
    ) {
        let limits = self.limits;
        if let Some(replay) = self.replays.get_mut(&target) {
            replay.on(&mut Context { now, store, judge, limits }, input, out);
        }
    }

    /// Time went on, or hints were synced: to be called when [`wakes_at`](Self::wakes_at) says so, and each second or so.
    pub fn tick(
        &mut self,
        store: &mut HintStore,
        judge: &dyn Fn(&Hint) -> Verdict,
        now: Now,
        out: &mut Vec<Batch>,
    ) {
        store.expire(now.wall);
        let limits = self.limits;
        for replay in self.replays.values_mut() {
            replay.on(&mut Context { now, store, judge, limits }, Input::Tick, out);
        }
    }

    /// When the next tick is due, if that is known.
    pub fn wakes_at(&self) -> Option<Micros> {
        self.replays.values().filter_map(|replay| replay.wakes_at(&self.limits)).min()
    }

    /// Stops sending. What was sent may still be answered.
    pub fn pause(&mut self) {
        self.limits.paused = true;
    }

    /// Goes on after a pause, with the next tick.
    pub fn resume(&mut self) {
        self.limits.paused = false;
    }

    /// Whether it was told to pause.
    pub fn is_paused(&self) -> bool {
        self.limits.paused
    }

    /// Bytes per second to each node at most; `None` for what it grants.
    pub fn throttle(&mut self, rate: Option<u64>) {
        self.limits.throttle = rate;
    }
}

#[cfg(test)]
mod tests;
