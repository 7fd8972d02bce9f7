//! The replay of a node's hints: when it is up, it is sent them in order, as fast as it grants.
//!
//! At first one batch, whose answer says how many bytes per second it takes; then several are on their way at once. What was
//! answered, and everything before it, is done; a batch that was refused, or not answered in time, and all after it are sent
//! again after a pause, which doubles. So a hint may come twice, and never is one left out.
//!
//! ```text
//! Up                         -> Send(1)
//! Acked(1, 1 MiB/s)          -> Send(2) Send(3)      advance past 1
//! Acked(3)                   -> Send(4)              2 is not answered yet: nothing is done
//! 2 is late                  -> nothing for a while, then Send(5), which has what 2 had
//! ```

use std::collections::VecDeque;

use tholos_storage::model::Timestamp;
use uuid::Uuid;

use super::ledger::Cursor;
use super::record::Hint;
use super::store::{Chunk, HintStore, Verdict};
use crate::planted::planted;
use crate::request::read::Micros;

/// The smallest batch, in bytes: also where credit is scarce.
const MIN_BATCH_BYTES: usize = 4 << 10;
/// Batches per second into which a credit is divided, as far as their size allows.
const BATCHES_PER_SECOND: u64 = 20;
/// Who was told to wait asks again after so long.
const PROBE_AFTER: Micros = 1_000_000;
const SECOND: u64 = 1_000_000;

/// How a replay goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// Bytes of a batch; one hint may be larger.
    pub batch_bytes: usize,
    /// Batches on their way at once.
    pub in_flight: usize,
    /// Time after which a batch counts as lost.
    pub timeout: Micros,
    /// The first pause after a refusal or a loss.
    pub min_pause: Micros,
    /// The longest.
    pub max_pause: Micros,
    /// Bytes per second, also where more is granted.
    pub throttle: Option<u64>,
    /// Nothing is sent.
    pub paused: bool,
}

impl Default for ReplayLimits {
    fn default() -> ReplayLimits {
        ReplayLimits {
            batch_bytes: 128 << 10,
            in_flight: 4,
            timeout: 10_000_000,
            min_pause: 500_000,
            max_pause: 30_000_000,
            throttle: None,
            paused: false,
        }
    }
}

/// The time by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// By one that never goes back.
    pub at: Micros,
    /// By the one on the wall, which gives hints their ages.
    pub wall: Timestamp,
}

/// What a replay works on.
pub struct Context<'a> {
    /// The time.
    pub now: Now,
    /// The hints.
    pub store: &'a mut HintStore,
    /// What the schema says of them.
    pub judge: &'a dyn Fn(&Hint) -> Verdict,
    /// How to go about it.
    pub limits: ReplayLimits,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The target took a batch, durably, and grants so many bytes per second.
    Acked {
        /// The batch.
        batch: u64,
        /// Bytes per second; 0 is not now.
        rate: u64,
    },
    /// The target did not take a batch, or not all of it.
    Refused {
        /// The batch.
        batch: u64,
    },
    /// Time went on, or there may be more hints.
    Tick,
}

/// Hints to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// To whom.
    pub target: Uuid,
    /// Its number, by which it is answered.
    pub batch: u64,
    /// The hints, in the order in which they were made.
    pub hints: Vec<Hint>,
}

/// A replay. It exists while its target is up.
#[derive(Debug)]
pub struct Replay {
    target: Uuid,
    /// Where to read on.
    next: Cursor,
    sent: VecDeque<Sent>,
    last_batch: u64,
    /// Bytes per second that were granted last; until then one batch asks.
    rate: Option<u64>,
    /// Nothing is sent before.
    not_before: Micros,
    failures: u32,
    /// There was nothing more to send.
    is_idle: bool,
}

/// A batch that is not done.
#[derive(Debug)]
struct Sent {
    batch: u64,
    /// What it had; the hints themselves are gone.
    chunk: Chunk,
    hints: u64,
    deadline: Micros,
    acked: bool,
}

impl Replay {
    /// A replay for a target that is up. `first_batch` is larger than the number of any batch that was sent before.
    pub fn begin(store: &HintStore, target: Uuid, first_batch: u64) -> Replay {
        Replay {
            target,
            next: store.start(target),
            sent: VecDeque::new(),
            last_batch: first_batch,
            rate: None,
            not_before: Micros::MIN,
            failures: 0,
            is_idle: false,
        }
    }

    /// Goes on. It may wait for the disk.
    pub fn on(&mut self, context: &mut Context<'_>, input: Input, out: &mut Vec<Batch>) {
        match input {
            Input::Acked { batch, rate } => self.acked(context, batch, rate),
            Input::Refused { batch } => {
                if self.sent.iter().any(|sent| sent.batch == batch) {
                    self.pause(context);
                }
            }
            Input::Tick => {
                let is_late = |sent: &Sent| !sent.acked && sent.deadline <= context.now.at;
                if self.sent.iter().any(is_late) {
                    self.pause(context);
                }
            }
        }
        self.send(context, out);
    }

    /// When a [`Tick`](Input::Tick) is due. There may be none before there are more hints.
    pub fn wakes_at(&self, limits: &ReplayLimits) -> Option<Micros> {
        let deadlines = self.sent.iter().filter(|sent| !sent.acked).map(|sent| sent.deadline);
        let may_send = !self.is_idle && !limits.paused && self.sent.len() < self.window(limits);
        deadlines.chain(may_send.then_some(self.not_before)).min()
    }

    /// The number of the last batch.
    pub fn last_batch(&self) -> u64 {
        self.last_batch
    }

    fn acked(&mut self, context: &mut Context<'_>, batch: u64, rate: u64) {
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.batch == batch) else { return };
        if std::mem::replace(&mut sent.acked, true) {
            return;
        }
        self.failures = 0;
        if rate == 0 {
            self.rate = None;
            self.not_before = self.not_before.max(context.now.at.saturating_add(PROBE_AFTER));
        } else {
            self.rate = Some(rate);
        }
        self.settle(context);
    }

    /// Lets go of what is answered, up to the first that is not.
    fn settle(&mut self, context: &mut Context<'_>) {
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.acked) {
            context.store.advance(self.target, &sent.chunk, sent.hints);
        }
    }

    /// Begins again after a while, behind what is done.
    fn pause(&mut self, context: &Context<'_>) {
        let ReplayLimits { min_pause, max_pause, .. } = context.limits;
        let doubled = min_pause.saturating_mul(1 << self.failures.min(30));
        self.failures += 1;
        self.not_before = context.now.at.saturating_add(doubled.min(max_pause));
        self.rate = None;
        self.sent.clear();
        self.next = context.store.start(self.target);
        self.is_idle = false;
    }

    fn window(&self, limits: &ReplayLimits) -> usize {
        if self.rate.is_some() { limits.in_flight.max(1) } else { 1 }
    }

    fn send(&mut self, context: &mut Context<'_>, out: &mut Vec<Batch>) {
        let Now { at, wall } = context.now;
        while !context.limits.paused
            && at >= self.not_before
            && self.sent.len() < self.window(&context.limits)
        {
            let rate = self.effective_rate(&context.limits);
            let max_bytes = batch_bytes(rate, context.limits.batch_bytes);
            let chunk = context.store.read(wall, self.target, self.next, max_bytes, context.judge);
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::warn!(target = %self.target, %error, "hints could not be read: they will be tried again");
                    return self.pause(context);
                }
            };
            self.is_idle = chunk.at_end;
            let is_nothing = chunk.next == self.next;
            self.next = chunk.next;
            if is_nothing && chunk.hints.is_empty() && self.is_idle {
                return;
            }
            let hints = std::mem::take(&mut chunk.hints);
            let acked = hints.is_empty() || planted!(HintDeliveredWhenSent);
            self.last_batch += 1;
            let (batch, count) = (self.last_batch, hints.len() as u64);
            self.not_before = self.not_before.max(at).saturating_add(time_of(chunk.bytes, rate));
            let deadline = at.saturating_add(context.limits.timeout);
            self.sent.push_back(Sent { batch, chunk, hints: count, deadline, acked });
            if !hints.is_empty() {
                out.push(Batch { target: self.target, batch, hints });
            }
            self.settle(context);
        }
    }

    fn effective_rate(&self, limits: &ReplayLimits) -> Option<u64> {
        let granted = self.rate.into_iter();
        granted.chain(limits.throttle).min().map(|rate| rate.max(1))
    }
}

/// Small batches where credit is scarce, so that it is used evenly; and where it is not known, as many may ask at once.
fn batch_bytes(rate: Option<u64>, limit: usize) -> usize {
    let share = rate.map_or(0, |rate| rate / BATCHES_PER_SECOND);
    usize::try_from(share).unwrap_or(limit).clamp(MIN_BATCH_BYTES.min(limit), limit)
}

/// How long so many bytes take.
fn time_of(bytes: usize, rate: Option<u64>) -> Micros {
    let micros = rate.map_or(0, |rate| (bytes as u64).saturating_mul(SECOND) / rate.max(1));
    Micros::try_from(micros).unwrap_or(Micros::MAX)
}
