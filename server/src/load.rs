//! When there is too much to do: which requests to refuse at once, so that the others are served in time.
//!
//! Requests wait where nobody counts them: in the system's buffers of 64 sockets, say. Whoever reads sees what is behind
//! it, and the sum of that is the queue. It is too long when there are more requests in it than clients that wait for
//! answers before they send more have in flight ([`FEW`]), and working them off takes longer than they should wait.
//! From then on each connection has its part of every [`ROUND`] for carrying requests out, and what it reads beyond that
//! is refused, so the next round finds only what came during this one. When hardly anything is refused any more, or the
//! threads have time, nothing is.
//!
//! ```text
//! 64 connections send ten times too much, slices of 80 us: each has 62 us of 4 ms, so it carries out one request, is
//! 18 us in debt, and refuses the nine that came with it; in every fifth round or so it refuses all
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// While there is too much to do, how often each connection gets its part of the time: about what a request waits.
const ROUND: Duration = Duration::from_millis(4);

/// A queue that takes less to work off is no reason to refuse anything.
const LONG: Duration = Duration::from_millis(6);

/// Nor are so many requests for each thread, however long they take.
const FEW: u64 = 16_384;

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
    /// Bytes that have come and wait for the next turn of their connection.
    waiting: AtomicI64,
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

/// What one connection did in a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) carried_out: u64,
    pub(crate) refused: u64,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

/// One connection's part.
#[derive(Debug)]
pub(crate) struct Share {
    load: Arc<Load>,
    waiting: u64,
    turns: u64,
    /// What may be spent, in nanoseconds; not counted while there is not too much to do.
    credit: Option<i64>,
    /// The round that the credit is of, and the last epoch with a turn.
    round: u64,
    epoch: u64,
}

impl Load {
    /// Nothing yet; so many threads serve connections.
    pub(crate) fn new(workers: usize) -> Load {
        Load {
            workers: workers as u64,
            refused: AtomicU64::new(0),
            waiting: AtomicI64::new(0),
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

    /// More waits than before: perhaps too much.
    fn look(&self, waiting: u64) {
        let requests = waiting / self.request_bytes.load(Relaxed).max(1);
        let takes = requests.saturating_mul(self.cost_ns.load(Relaxed)) / self.workers;
        if requests > FEW * self.workers && u128::from(takes) > LONG.as_nanos() {
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
        window.busy += turn.took;
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
        Share { load, waiting: 0, turns: 0, credit: None, round: 0, epoch: 0 }
    }

    /// So many bytes have come and wait for the next turn.
    pub(crate) fn waits(&mut self, bytes: u64) {
        if bytes == self.waiting {
            return;
        }
        let more = bytes as i64 - self.waiting as i64;
        self.waiting = bytes;
        let all = self.load.waiting.fetch_add(more, Relaxed) + more;
        if more > 0 && !self.load.is_too_much.load(Relaxed) {
            self.load.look(u64::try_from(all).unwrap_or(0));
        }
    }

    /// Begins a turn. There are so many connections.
    pub(crate) fn begin(&mut self, connections: u64, now: Instant) {
        if !self.load.is_too_much.load(Relaxed) {
            self.credit = None;
            return;
        }
        let since = now.saturating_duration_since(self.load.began).as_nanos();
        let number = |span: Duration| u64::try_from(since / span.as_nanos()).unwrap_or(u64::MAX);
        let active = self.count_in(number(EPOCH), connections);
        let round = number(ROUND);
        if self.credit.is_none() || self.round != round {
            self.round = round;
            let part = ROUND.as_nanos() as u64 * self.load.workers / active.max(1);
            // Nothing is saved up, and what was overdrawn is paid back.
            self.credit = Some(self.credit.unwrap_or(0).min(0) + part as i64);
        }
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

    /// Whether a request is to be refused now.
    pub(crate) fn refuses(&self) -> bool {
        self.credit.is_some_and(|credit| credit <= 0)
    }

    /// A request was carried out.
    pub(crate) fn spend(&mut self, took: Duration) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_sub(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX));
        }
    }

    /// Ends a turn.
    pub(crate) fn end(&mut self, turn: &Turn, now: Instant) {
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
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.waits(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Duration = Duration::from_micros(80);
    const BYTES: u64 = 60;
    /// What a turn takes beside the requests that it carries out.
    const OVERHEAD: Duration = Duration::from_micros(10);

    /// One thread, on which requests of 60 bytes take 80 us.
    fn load() -> Arc<Load> {
        let load = Load::new(1);
        load.measure(&Turn { carried_out: 100, refused: 0, bytes: 100 * BYTES, took: 100 * COST });
        Arc::new(load)
    }

    /// Rounds over connections that each find so many requests in each; what was carried out and refused in the last.
    fn rounds(shares: &mut [Share], rounds: u32, requests: u64, now: &mut Instant) -> Turn {
        let connections = shares.len() as u64;
        let mut last = Turn::default();
        for _ in 0..rounds {
            last = Turn::default();
            for share in &mut *shares {
                let mut turn = Turn { bytes: requests * BYTES, ..Turn::default() };
                share.begin(connections, *now);
                for _ in 0..requests {
                    if share.refuses() {
                        turn.refused += 1;
                        continue;
                    }
                    share.spend(COST);
                    turn.carried_out += 1;
                    turn.took += COST;
                }
                *now += turn.took + OVERHEAD;
                share.end(&turn, *now);
                last.carried_out += turn.carried_out;
                last.refused += turn.refused;
                last.took += turn.took;
            }
        }
        last
    }

    fn shares(load: &Arc<Load>) -> Vec<Share> {
        (0..64).map(|_| Share::new(Arc::clone(load))).collect()
    }

    #[test]
    fn what_is_too_much_is_refused_until_it_is_no_more() {
        let (load, mut now) = (load(), Instant::now());
        let mut shares = shares(&load);
        assert_eq!(rounds(&mut shares, 1, 8, &mut now).refused, 0);
        for share in &mut shares {
            share.waits(300 * BYTES);
        }
        let (mut worked, began) = (Duration::ZERO, now);
        for _ in 0..100 {
            let last = rounds(&mut shares, 1, 8, &mut now);
            assert!(last.took <= 2 * ROUND && last.refused > 0, "{last:?}");
            worked += last.took;
        }
        // Next to all of the time is used.
        assert!(worked >= (now - began).mul_f64(0.75), "{worked:?} of {:?}", now - began);
        for share in &mut shares {
            share.waits(0);
        }
        now += WINDOW;
        rounds(&mut shares, 1, 0, &mut now);
        now += WINDOW;
        rounds(&mut shares, 1, 0, &mut now);
        assert_eq!(rounds(&mut shares, 1, 8, &mut now).refused, 0);
    }

    #[test]
    fn clients_that_wait_for_answers_are_not_refused_however_slow_they_are_served() {
        let (load, mut now) = (load(), Instant::now());
        let mut shares = shares(&load);
        for share in &mut shares {
            share.waits(250 * BYTES);
        }
        assert_eq!(rounds(&mut shares, 10, 64, &mut now).refused, 0);
    }

    #[test]
    fn a_connection_that_ends_leaves_nothing_behind() {
        let load = load();
        let mut shares = shares(&load);
        shares[0].waits(20_000 * BYTES);
        assert!(load.is_too_much.load(Relaxed));
        drop(shares);
        assert_eq!(load.waiting.load(Relaxed), 0);
    }

    #[test]
    fn one_busy_connection_has_the_time_of_all() {
        let (load, mut now) = (load(), Instant::now());
        let mut shares = vec![Share::new(Arc::clone(&load))];
        shares[0].waits(20_000 * BYTES);
        let first = rounds(&mut shares, 1, 500, &mut now);
        assert_eq!(first.carried_out, ROUND.as_nanos() as u64 / COST.as_nanos() as u64);
        // Nothing more before the next part of time.
        now -= ROUND / 2;
        assert_eq!(rounds(&mut shares, 1, 500, &mut now).carried_out, 0);
    }
}
