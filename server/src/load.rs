//! When there is too much to do: what part of the requests to refuse at once, so that the others are served in time.
//!
//! Requests wait where nobody sees them: in the system's buffers of 64 sockets, say. So each connection notes, whenever it
//! reads, how many bytes had come by then ([`Arrivals`]). What it takes up later came after the last note that does not
//! cover it: that is how long it may have waited, and in that time [`Load`] has seen a number of requests from everybody.
//!
//! ```text
//! a round over 64 connections took 5 ms; 10,000 requests came in it, of which this thread can do one in 4 us: 1,250
//! waited 5 ms > TARGET, 10,000 > FEW: each connection carries out 1,250 of 10,000, every 8th of its own, and refuses 7
//! ```
//!
//! Both bounds must be passed: clients that wait for answers before they send more keep few requests in flight, however
//! slow each of them is, and are never refused; short delays are no reason however many come.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests that waited less are not refused.
const TARGET: Duration = Duration::from_millis(3);

/// Nor are any while so many are waiting for each thread, or fewer.
const FEW: u64 = 4096;

/// Of what can be done so much is, even if the queue is long already: it is to shrink, but not at the price of idling.
const LEAST_OF_CAPACITY: f64 = 0.8;

/// What a request costs is measured over about so many.
const COST_WINDOW: u64 = 512;

/// It is measured in one of so many turns.
const MEASURED_TURNS: u64 = 8;

/// Notes that a connection keeps.
const MOST_NOTES: usize = 32;

/// What all connections had to do so far.
#[derive(Debug)]
pub(crate) struct Load {
    workers: u64,
    turns: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
    /// What carrying out a request takes, in nanoseconds.
    cost_ns: AtomicU64,
}

/// How far everybody had come at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: Instant,
    turns: u64,
    requests: u64,
}

impl Moment {
    /// When it was.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }
}

/// What one connection did in a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) carried_out: u64,
    pub(crate) refused: u64,
    pub(crate) took: Duration,
}

impl Load {
    /// Nothing yet; so many threads serve connections.
    pub(crate) fn new(workers: usize) -> Load {
        Load {
            workers: workers as u64,
            turns: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            cost_ns: AtomicU64::new(0),
        }
    }

    /// Requests that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How far everybody has come.
    pub(crate) fn moment(&self, at: Instant) -> Moment {
        let turns = self.turns.load(Ordering::Relaxed);
        Moment { at, turns, requests: self.requests.load(Ordering::Relaxed) }
    }

    /// Counts a turn.
    pub(crate) fn count(&self, turn: &Turn) {
        let number = self.turns.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(turn.carried_out + turn.refused, Ordering::Relaxed);
        if turn.refused > 0 {
            self.refused.fetch_add(turn.refused, Ordering::Relaxed);
        }
        if number.is_multiple_of(MEASURED_TURNS) && turn.carried_out > 0 {
            self.measure(turn);
        }
    }

    fn measure(&self, turn: &Turn) {
        let took = u64::try_from(turn.took.as_nanos()).unwrap_or(u64::MAX);
        let cost = took / turn.carried_out;
        let before = self.cost_ns.load(Ordering::Relaxed);
        let weight = (turn.carried_out * MEASURED_TURNS).min(COST_WINDOW);
        let after = match before {
            0 => cost,
            _ => before - before * weight / COST_WINDOW + cost.saturating_mul(weight) / COST_WINDOW,
        };
        self.cost_ns.store(after.max(1), Ordering::Relaxed);
    }

    /// What part of the requests to carry out that came after `since`; all, when it says `None`. There are so many
    /// connections.
    pub(crate) fn share(&self, since: &Moment, now: Instant, connections: u64) -> Option<f64> {
        let gap = now.saturating_duration_since(since.at);
        if gap <= TARGET {
            return None;
        }
        let turns = self.turns.load(Ordering::Relaxed).saturating_sub(since.turns);
        let requests = self.requests.load(Ordering::Relaxed).saturating_sub(since.requests);
        // Each connection has its turn once in a round: what was noted many rounds ago says little of what came now.
        let round = (connections as f64 / turns.max(1) as f64).min(1.0);
        let (waited, waiting) = (gap.mul_f64(round), requests as f64 * round);
        if waited <= TARGET || waiting <= (FEW * self.workers) as f64 {
            return None;
        }
        let cost = self.cost_ns.load(Ordering::Relaxed).max(1) as f64;
        let capacity = gap.as_nanos() as f64 * self.workers as f64 / cost;
        let haste = (TARGET.as_secs_f64() / waited.as_secs_f64()).max(LEAST_OF_CAPACITY);
        Some(capacity / requests as f64 * haste).filter(|share| *share < 1.0)
    }
}

/// When the bytes of one connection came, as far as it is known.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// Up to which byte all had come, and when that was seen; in order.
    notes: VecDeque<(u64, Moment)>,
}

impl Arrivals {
    /// What comes from the byte at `position` on comes after that moment.
    pub(crate) fn new(position: u64, moment: Moment) -> Arrivals {
        Arrivals { notes: VecDeque::from([(position, moment)]) }
    }

    /// All bytes before `position` had come at that moment.
    pub(crate) fn note(&mut self, position: u64, moment: Moment) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push_back((position, moment));
        }
    }

    /// The byte at `position` and those behind it came after this moment. Earlier ones are not asked about again.
    pub(crate) fn since(&mut self, position: u64) -> Option<Moment> {
        while self.notes.get(1).is_some_and(|(noted, _)| *noted <= position) {
            self.notes.pop_front();
        }
        self.notes.front().map(|(_, moment)| *moment)
    }
}

/// Carries out a share of what comes, evenly.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// Parts of requests that were not used.
    saved: f64,
}

impl Sieve {
    /// Whether the next one is among those to carry out.
    pub(crate) fn admits(&mut self, share: f64) -> bool {
        self.saved += share;
        let admits = self.saved >= 1.0;
        if admits {
            self.saved -= 1.0;
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One thread that does a request in 4 us.
    fn load() -> Load {
        let load = Load::new(1);
        load.measure(&Turn { carried_out: 1000, refused: 0, took: 4 * MS });
        load
    }

    fn turns(load: &Load, turns: u64, requests: u64) {
        for _ in 0..turns {
            load.turns.fetch_add(1, Ordering::Relaxed);
            load.requests.fetch_add(requests / turns, Ordering::Relaxed);
        }
    }

    #[test]
    fn of_ten_times_too_much_a_tenth_is_carried_out() {
        let (load, began) = (load(), Instant::now());
        let since = load.moment(began);
        turns(&load, 64, 10_048);
        let share = load.share(&since, began + 4 * MS, 64).unwrap();
        assert!((0.075..0.1).contains(&share), "{share}");
        let mut sieve = Sieve::default();
        let admitted = (0..1000).filter(|_| sieve.admits(share)).count() as f64;
        assert!((admitted / 1000.0 - share).abs() < 0.01);
    }

    #[test]
    fn short_waits_and_few_requests_are_no_reason() {
        let (load, began) = (load(), Instant::now());
        let since = load.moment(began);
        turns(&load, 64, 6_400);
        assert_eq!(load.share(&since, began + 2 * MS, 64), None);
        let (load, since) = (Load::new(1), since);
        load.measure(&Turn { carried_out: 1, refused: 0, took: MS });
        turns(&load, 64, 4_096);
        assert_eq!(load.share(&since, began + 4000 * MS, 64), None, "slow, but in closed loop");
    }

    #[test]
    fn what_an_idle_client_sends_now_did_not_wait_since_it_spoke_last() {
        let (load, began) = (load(), Instant::now());
        let since = load.moment(began);
        // Ten seconds at four fifths of what one thread can do, in rounds of a millisecond.
        turns(&load, 640_000, 2_560_000);
        assert_eq!(load.share(&since, began + 10_000 * MS, 64), None);
    }

    #[test]
    fn a_byte_came_after_the_last_note_before_it() {
        let (load, began) = (load(), Instant::now());
        let at = |ms: u32| load.moment(began + ms * MS);
        let mut arrivals = Arrivals::new(0, at(0));
        arrivals.note(100, at(1));
        arrivals.note(150, at(2));
        for (position, after) in [(0, 0), (99, 0), (100, 1), (149, 1), (150, 2), (999, 2)] {
            assert_eq!(arrivals.since(position).unwrap().at, began + after * MS, "{position}");
        }
    }
}
