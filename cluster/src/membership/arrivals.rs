//! How regularly a peer is heard, and how surprising its silence is: the phi accrual failure detector (Hayashibara et
//! al., SRDS 2004).
//!
//! Intervals between arrivals are taken as normally distributed, with the mean and deviation of the last [`WINDOW`] of
//! them. Phi is minus the decimal logarithm of the chance that an interval is longer than the silence so far: 1 is one in
//! ten, 8 is one in 100 million. The normal distribution's tail is approximated by a logistic function, which is as exact
//! as anybody needs:
//!
//! ```text
//! y   = (silence - mean) / max(deviation, 100 ms)
//! e   = exp(-y (1.5976 + 0.070566 y^2))
//! phi = -log10(e / (1 + e))
//!
//! mean 250 ms, deviation 20 ms:   silence 250 ms -> 0.3    500 ms -> 2.2    1,000 ms -> 18.1
//! ```
//!
//! The least deviation keeps a peer that beats like a clock from being suspected at its first late beat.

use super::{HEARTBEAT_INTERVAL, Micros};

/// How many intervals are remembered: 16 seconds of beats.
const WINDOW: usize = 64;

const MIN_DEVIATION: f64 = 100_000.0;

/// A longer interval is a pause or a broken network: it says nothing about the rhythm, and would hide the next one.
const MAX_INTERVAL: Micros = 2_000_000;

/// What is assumed before anything was heard: about the interval at which nodes beat.
const ASSUMED: [u32; 2] =
    [(HEARTBEAT_INTERVAL * 3 / 4) as u32, (HEARTBEAT_INTERVAL * 5 / 4) as u32];

/// Arrivals from one peer.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// When something was heard last.
    last: Option<Micros>,
    /// When the last interval ended.
    last_beat: Option<Micros>,
    /// A ring of the last intervals, in microseconds.
    intervals: [u32; WINDOW],
    len: usize,
    next: usize,
    /// Of the intervals in the window, as whole numbers: nothing is lost however often one is added and taken off.
    sum: u64,
    sum_of_squares: u64,
}

impl Default for Arrivals {
    fn default() -> Arrivals {
        let mut arrivals = Arrivals {
            last: None,
            last_beat: None,
            intervals: [0; WINDOW],
            len: 0,
            next: 0,
            sum: 0,
            sum_of_squares: 0,
        };
        ASSUMED.into_iter().for_each(|interval| arrivals.remember(interval));
        arrivals
    }
}

impl Arrivals {
    /// A regular beat arrived.
    pub fn beat(&mut self, now: Micros) {
        self.heard(now);
        let last = self.last_beat.replace(now);
        let interval = last.map(|last| now - last).filter(|interval| *interval <= MAX_INTERVAL);
        if let Some(interval) = interval.and_then(|interval| u32::try_from(interval).ok()) {
            self.remember(interval);
        }
    }

    /// Something arrived outside of the rhythm: the silence is over, and no interval of it is learnt.
    pub fn heard(&mut self, now: Micros) {
        self.last = Some(now);
    }

    /// How surprising it is that nothing arrived since; 0 before the first arrival. Finite, and never less than 0.
    pub fn phi(&self, now: Micros) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        let y = ((now - last) as f64 - self.mean()) / self.deviation().max(MIN_DEVIATION);
        let exponent = y * (1.5976 + 0.070566 * y * y);
        // -ln(e / (1 + e)) with e = exp(-exponent), in a form that neither overflows nor loses its digits.
        let nats = exponent.max(0.0) + (-exponent.abs()).exp().ln_1p();
        nats / std::f64::consts::LN_10
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.len as f64
    }

    fn deviation(&self) -> f64 {
        let (mean, count) = (self.mean(), self.len as f64);
        (self.sum_of_squares as f64 / count - mean * mean).max(0.0).sqrt()
    }

    fn remember(&mut self, interval: u32) {
        let square = |interval: u32| u64::from(interval).pow(2);
        if self.len == WINDOW {
            let oldest = self.intervals[self.next];
            self.sum -= u64::from(oldest);
            self.sum_of_squares -= square(oldest);
        } else {
            self.len += 1;
        }
        self.intervals[self.next] = interval;
        self.sum += u64::from(interval);
        self.sum_of_squares += square(interval);
        self.next = (self.next + 1) % WINDOW;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Micros = 1_000;

    /// Arrivals at those intervals, and when the last one was.
    fn after(intervals: impl IntoIterator<Item = Micros>) -> (Arrivals, Micros) {
        let (mut arrivals, mut now) = (Arrivals::default(), 0);
        arrivals.beat(now);
        for interval in intervals {
            now += interval;
            arrivals.beat(now);
        }
        (arrivals, now)
    }

    #[test]
    fn phi_is_what_the_formula_says() {
        let (arrivals, now) = after([230 * MS, 270 * MS].repeat(40));
        let phi = |silence| (arrivals.phi(now + silence * MS) * 10.0).round() / 10.0;
        assert_eq!([250, 500, 1_000].map(phi), [0.3, 2.2, 18.1]);
        assert_eq!(arrivals.phi(now), arrivals.phi(now).max(0.0));
    }

    #[test]
    fn nobody_is_surprising_before_the_first_arrival_and_little_after_it() {
        assert_eq!(Arrivals::default().phi(i64::MAX), 0.0);
        let (arrivals, now) = after([]);
        assert!(arrivals.phi(now + 500 * MS) < 4.0);
        assert!(arrivals.phi(now + 1_500 * MS) > 8.0);
    }

    #[test]
    fn a_pause_does_not_become_the_rhythm() {
        let (regular, now) = after([250 * MS].repeat(64));
        let (paused, later) = after([vec![250 * MS; 64], vec![3_000 * MS]].concat());
        assert_eq!(regular.phi(now + 900 * MS), paused.phi(later + 900 * MS));
    }

    #[test]
    fn answers_to_pings_end_a_silence_and_are_no_rhythm() {
        let (mut pinged, now) = after([250 * MS].repeat(64));
        let regular = pinged.clone();
        (1..60).for_each(|ms| pinged.heard(now + ms * MS));
        assert_eq!(pinged.phi(now + 759 * MS), regular.phi(now + 700 * MS));
        pinged.beat(now + 250 * MS);
        assert_eq!(pinged.phi(now + 950 * MS), regular.phi(now + 700 * MS));
    }

    #[test]
    fn an_irregular_peer_gets_more_time() {
        let (regular, now) = after([250 * MS].repeat(64));
        let (irregular, later) = after([100 * MS, 900 * MS].repeat(32));
        assert!(irregular.phi(later + 1_500 * MS) < 8.0);
        assert!(regular.phi(now + 1_500 * MS) > 8.0);
    }

    proptest! {
        #[test]
        fn phi_is_finite_grows_with_silence_and_knows_the_last_window_alone(
            old in proptest::collection::vec(0..5_000_000_i64, 0..100),
            intervals in proptest::collection::vec(0..MAX_INTERVAL, WINDOW),
            silences in proptest::collection::vec(0..1_000_000_000_000_i64, 1..20),
        ) {
            let mut silences = silences;
            silences.sort_unstable();
            let (arrivals, now) = after(old.into_iter().chain(intervals.iter().copied()));
            let (fresh, fresh_now) = after(intervals);
            let phis: Vec<f64> = silences.iter().map(|silence| arrivals.phi(now + silence)).collect();
            let expected: Vec<f64> =
                silences.iter().map(|silence| fresh.phi(fresh_now + silence)).collect();
            prop_assert_eq!(&phis, &expected);
            prop_assert!(phis.iter().all(|phi| phi.is_finite() && *phi >= 0.0));
            prop_assert!(phis.is_sorted(), "{:?}", phis);
        }
    }
}
