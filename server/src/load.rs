//! When there is too much to do: which requests to refuse at once, so that the others are served in time.
//!
//! Requests wait where nobody counts them: in the system's buffers of 64 sockets, say. Whoever reads sees what is behind
//! it, and the sum of that is the queue. A long queue alone is no reason to refuse anything: clients that wait for answers
//! before they send more keep so much in flight, and it grows no further. And whose requests wait for no others but its
//! own has nothing of a refusal. So there is too much to do when
//! - so many connections have requests waiting that a turn of each takes longer than a request should wait ([`LONG`]),
//! - working the queue off takes longer than that too,
//! - and queues grow on from look to look, while they are served: not at the first look at a connection, which finds what
//!   its client has in flight, nor at the second, which finds the rest of a burst.
//!
//! ```text
//! 64 connections, 16 requests of 80 us in flight on each: 82 ms to work off, but at the second look at a connection as
//! many wait as at the first: all are served
//! 64 connections send ten times too much: at each look there are ten more than at the last, and one was served: after
//! some 50 ms the rest is refused
//! ```
//!
//! Looks are turns, so turns are short as long as it is not known whether queues grow. Once it is too much each connection
//! has its part of the time, and what it reads beyond that is refused. What it carries out is the last that came, which
//! has waited least; the others before it have become old for nothing, and whoever sent them is told so at once. Refusing
//! is paid from the same part, but never takes all of it. When hardly anything is refused any more, or the threads have
//! time, nothing is.
//!
//! ```text
//! 64 connections send ten times too much, slices of 80 us: each has 250 us of 16 ms. At a turn it finds 30 requests,
//! refuses 27, which takes 20 us, and carries out the last three; it is 10 us in debt, which the next part pays back
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// While there is too much to do, a connection is given its part of so much time at most, however long ago its last turn
/// was: about what the others take until it has another.
const ROUND: Duration = Duration::from_millis(16);

/// What part of it refusing can't take.
const KEPT_PART: u32 = 8;

/// A queue that takes less to work off is no reason to refuse anything.
const LONG: Duration = Duration::from_millis(6);

/// How long a turn may take while few connections have requests waiting, and however many have.
const LONGEST_TURN: Duration = Duration::from_micros(500);
const SHORTEST_TURN: Duration = Duration::from_micros(64);

/// How long it is looked whether queues grow, how often in a row they must, and how much: by this part of what is
/// carried out meanwhile.
const STEP: Duration = Duration::from_millis(4);
const STEPS: u32 = 2;
const GROWTH: i64 = 8;

/// So many requests for each thread are too many even if they became so many slowly.
const MANY: u64 = 16_384;

/// Connections that had a turn in so long a time are those that share.
const EPOCH: Duration = Duration::from_millis(32);

/// How long it is looked whether there is still too much to do, and what part of the requests is too few refusals.
const WINDOW: Duration = Duration::from_millis(50);
const FEW_REFUSALS: u64 = 10;

/// Threads that carry requests out for less than this part of their time could do more.
const IDLE: f64 = 0.4;

/// What a request costs is measured over about so many.
const COST_WINDOW: u64 = 512;

/// It is measured in one of so many turns of each connection.
const MEASURED_TURNS: u64 = 8;

/// What all connections have to do.
#[derive(Debug)]
pub(crate) struct Load {
    workers: u64,
    refused: AtomicU64,
    /// Bytes that have come and wait for the next turn of their connection, and connections that have any.
    waiting: AtomicI64,
    crowd: AtomicU64,
    /// By how many bytes queues that were there already have grown in this step.
    grown: AtomicI64,
    growth: Mutex<Growth>,
    /// Turns are short, so that it is soon seen whether queues grow.
    hurries: AtomicBool,
    /// What carrying out a request takes, in nanoseconds.
    cost_ns: AtomicU64,
    request_bytes: AtomicU64,
    is_too_much: AtomicBool,
    window: Mutex<Window>,
    began: Instant,
    /// The number of the current epoch, the connections that had a turn in it, and those of the one before.
    epoch: AtomicU64,
    active: AtomicU64,
    active_before: AtomicU64,
}

/// What happened lately, while there was too much to do.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    requests: u64,
    refused: u64,
    busy: Duration,
}

/// How queues grew lately, while it takes long to work them off.
#[derive(Debug, Default)]
struct Growth {
    began: Option<Instant>,
    steps: u32,
    /// So many requests waited when queues did not grow.
    known: u64,
}

/// What one connection did in a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) carried_out: u64,
    pub(crate) refused: u64,
    pub(crate) bytes: u64,
    /// What carrying requests out took.
    pub(crate) took: Duration,
    /// What refusing others took.
    pub(crate) refusing: Duration,
    /// Bytes that have come and wait for the next turn.
    pub(crate) waiting: u64,
}

/// One connection's part.
#[derive(Debug)]
pub(crate) struct Share {
    load: Arc<Load>,
    waiting: u64,
    /// How often in a row more waited than before.
    growing: u32,
    turns: u64,
    /// What may be spent, in nanoseconds; not counted while there is not too much to do.
    credit: Option<i64>,
    /// What of it was given at the beginning of the turn, and when.
    part: i64,
    given: Option<Instant>,
    /// The last bytes of the input that there is credit for.
    kept: usize,
    /// The last epoch with a turn.
    epoch: u64,
}

impl Load {
    /// Nothing yet; so many threads serve connections.
    pub(crate) fn new(workers: usize) -> Load {
        Load {
            workers: workers as u64,
            refused: AtomicU64::new(0),
            waiting: AtomicI64::new(0),
            crowd: AtomicU64::new(0),
            grown: AtomicI64::new(0),
            growth: Mutex::default(),
            hurries: AtomicBool::new(true),
            cost_ns: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            is_too_much: AtomicBool::new(false),
            window: Mutex::default(),
            began: Instant::now(),
            epoch: AtomicU64::new(0),
            active: AtomicU64::new(0),
            active_before: AtomicU64::new(0),
        }
    }

    /// Requests that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn measure(&self, turn: &Turn) {
        let took = u64::try_from(turn.took.as_nanos()).unwrap_or(u64::MAX);
        let weight = (turn.carried_out * MEASURED_TURNS).min(COST_WINDOW);
        let learn = |known: &AtomicU64, new: u64| {
            let before = known.load(Relaxed);
            let after = match before {
                0 => new,
                _ => {
                    let kept = before - before * weight / COST_WINDOW;
                    kept + new.saturating_mul(weight) / COST_WINDOW
                }
            };
            known.store(after.max(1), Relaxed);
        };
        learn(&self.cost_ns, took / turn.carried_out);
        learn(&self.request_bytes, turn.bytes / (turn.carried_out + turn.refused));
    }

    /// How long a turn may take.
    fn turn_time(&self) -> Duration {
        let is_short = self.hurries.load(Relaxed) && self.is_crowded();
        if is_short { SHORTEST_TURN } else { LONGEST_TURN }
    }

    /// Whether so many connections have requests waiting that a turn of each takes longer than a request may wait.
    fn is_crowded(&self) -> bool {
        let crowd = u32::try_from(self.crowd.load(Relaxed)).unwrap_or(u32::MAX);
        LONGEST_TURN.saturating_mul(crowd) / self.workers as u32 > LONG
    }

    /// Whether it is too much now.
    fn look(&self, now: Instant) {
        let Some(mut growth) = self.growth.try_lock() else { return };
        let waiting = u64::try_from(self.waiting.load(Relaxed)).unwrap_or(0);
        let requests = waiting / self.request_bytes.load(Relaxed).max(1);
        let cost = self.cost_ns.load(Relaxed).max(1);
        let takes = Duration::from_nanos(requests.saturating_mul(cost) / self.workers);
        if takes <= LONG || !self.is_crowded() {
            *growth = Growth::default();
            self.hurries.store(true, Relaxed);
            return;
        }
        let span = match growth.began {
            Some(began) => now.saturating_duration_since(began),
            None => {
                growth.began = Some(now);
                self.grown.store(0, Relaxed);
                return;
            }
        };
        if span < STEP {
            return;
        }
        growth.began = Some(now);
        let grown = self.grown.swap(0, Relaxed) / self.request_bytes.load(Relaxed).max(1) as i64;
        let served = span.as_nanos() as u64 * self.workers / cost;
        if grown.saturating_mul(GROWTH) > served as i64 {
            growth.steps += 1;
        } else {
            growth.steps = 0;
            growth.known = requests.max(growth.known - growth.known / 16);
        }
        let hurries = growth.steps > 0 || requests > growth.known + growth.known / 4;
        self.hurries.store(hurries, Relaxed);
        if growth.steps >= STEPS || requests > MANY * self.workers {
            *growth = Growth::default();
            *self.window.lock() = Window::default();
            self.active_before.store(0, Relaxed);
            self.is_too_much.store(true, Relaxed);
        }
    }

    /// Whether it is still too much.
    fn look_again(&self, turn: &Turn, now: Instant) {
        let Some(mut window) = self.window.try_lock() else { return };
        window.requests += turn.carried_out + turn.refused;
        window.refused += turn.refused;
        window.busy += turn.took + turn.refusing;
        let began = *window.began.get_or_insert(now);
        if now.saturating_duration_since(began) < WINDOW {
            return;
        }
        let busy = window.busy.as_secs_f64() / self.workers as f64;
        let idles = busy < IDLE * now.saturating_duration_since(began).as_secs_f64();
        if idles || window.refused.saturating_mul(FEW_REFUSALS) <= window.requests {
            self.is_too_much.store(false, Relaxed);
        }
        *window = Window::default();
    }
}

impl Share {
    pub(crate) fn new(load: Arc<Load>) -> Share {
        let (waiting, growing, turns, epoch) = (0, 0, 0, 0);
        Share { load, waiting, growing, turns, credit: None, part: 0, given: None, kept: 0, epoch }
    }

    /// So many bytes have come and wait for the next turn.
    pub(crate) fn waits(&mut self, bytes: u64) {
        let before = std::mem::replace(&mut self.waiting, bytes);
        if bytes == before {
            return;
        }
        let more = bytes as i64 - before as i64;
        self.load.waiting.fetch_add(more, Relaxed);
        match (before, bytes) {
            (0, _) => _ = self.load.crowd.fetch_add(1, Relaxed),
            (_, 0) => _ = self.load.crowd.fetch_sub(1, Relaxed),
            _ => {}
        }
        // What a client has in flight all along is seen at the first look, and the rest of a burst at the second.
        self.growing = if before > 0 && more > 0 { self.growing + 1 } else { 0 };
        if more < 0 || self.growing > 1 {
            self.load.grown.fetch_add(more, Relaxed);
        }
    }

    /// Begins a turn, and says how long it may take. There are so many connections.
    pub(crate) fn begin(&mut self, connections: u64, now: Instant) -> Duration {
        let load = &self.load;
        if !load.is_too_much.load(Relaxed) {
            (self.credit, self.given) = (None, None);
            return load.turn_time();
        }
        let since = now.saturating_duration_since(load.began).as_nanos();
        let epoch = u64::try_from(since / EPOCH.as_nanos()).unwrap_or(u64::MAX);
        let active = self.count_in(epoch, connections);
        let load = &self.load;
        let since = self.given.map_or(ROUND, |given| now.saturating_duration_since(given));
        self.part = (since.min(ROUND).as_nanos() as u64 * load.workers / active.max(1)) as i64;
        // Nothing is saved up, and what was overdrawn is paid back.
        let credit = self.credit.unwrap_or(0).min(0) + self.part;
        (self.credit, self.given) = (Some(credit), Some(now));
        let requests = credit.max(0) as u64 / load.cost_ns.load(Relaxed).max(1) + 1;
        let bytes = requests.saturating_mul(load.request_bytes.load(Relaxed));
        self.kept = usize::try_from(bytes).unwrap_or(usize::MAX);
        LONGEST_TURN
    }

    /// Counts this connection among those that have turns, and says how many have.
    fn count_in(&mut self, epoch: u64, connections: u64) -> u64 {
        let load = &self.load;
        let known = load.epoch.load(Relaxed);
        if known != epoch && load.epoch.compare_exchange(known, epoch, Relaxed, Relaxed).is_ok() {
            load.active_before.store(load.active.swap(0, Relaxed), Relaxed);
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            load.active.fetch_add(1, Relaxed);
        }
        match load.active_before.load(Relaxed) {
            0 => connections,
            before => before.max(load.active.load(Relaxed)),
        }
    }

    /// Whether others have to have their turns before this has another.
    pub(crate) fn is_of_too_much(&self) -> bool {
        self.load.is_too_much.load(Relaxed)
    }

    /// Whether a request is to be refused now, behind which there are so many bytes of input.
    pub(crate) fn refuses(&self, behind: usize) -> bool {
        self.credit.is_some_and(|credit| credit <= 0 || behind >= self.kept)
    }

    /// A request was carried out.
    pub(crate) fn spend(&mut self, took: Duration) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_sub(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX));
        }
    }

    /// Others were refused, which took so long.
    pub(crate) fn spend_refusing(&mut self, took: Duration) {
        let most = (self.part - self.part / i64::from(KEPT_PART)).max(0) as u64;
        self.spend(took.min(Duration::from_nanos(most)));
    }

    /// Ends a turn.
    pub(crate) fn end(&mut self, turn: &Turn, now: Instant) {
        self.waits(turn.waiting);
        let load = &self.load;
        if turn.refused > 0 {
            load.refused.fetch_add(turn.refused, Relaxed);
        }
        if self.turns.is_multiple_of(MEASURED_TURNS) && turn.carried_out > 0 {
            load.measure(turn);
        }
        self.turns += 1;
        if load.is_too_much.load(Relaxed) {
            load.look_again(turn, now);
        } else if load.crowd.load(Relaxed) > 0 {
            load.look(now);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.waits(0);
    }
}

#[cfg(test)]
mod tests;
