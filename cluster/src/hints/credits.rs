//! What a node grants to those who bring it hints: so many bytes per second, in equal parts.
//!
//! Each batch of hints asks, and its answer says how fast its sender may go on. Who has not asked for a while, though the
//! next batch was due, has no part.
//!
//! ```text
//! 900 bytes/s for all      a asks: 900      b asks: 450      a asks: 450      b is silent for 10 s      a asks: 900
//! ```

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::request::read::Micros;

/// Whose next batch is late by so much has no part of the credit. A sender that is told to wait asks again within less.
const SILENCE: Micros = 10_000_000;
/// Nobody has a part for longer without asking.
const LONGEST: Micros = 600_000_000;

/// Credit of a receiver.
#[derive(Clone, Debug)]
pub struct Credits {
    total: u64,
    /// Senders, and until when they have a part.
    parts: BTreeMap<Uuid, Micros>,
}

impl Credits {
    /// Credit of so many bytes per second in all.
    pub fn new(total: u64) -> Credits {
        Credits { total, parts: BTreeMap::new() }
    }

    /// Changes the whole credit, for a node that is busy; 0 lets everyone wait. Senders learn it with their next answer.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
    }

    /// A sender brought so many bytes of hints: the bytes per second at which it may go on. 0 means not now.
    pub fn grant(&mut self, now: Micros, sender: Uuid, bytes: usize) -> u64 {
        self.parts.retain(|_, until| *until > now);
        self.parts.insert(sender, now);
        let rate = self.total / self.parts.len() as u64;
        // The next batch comes when the time of this one is over.
        let micros = (bytes as u64).saturating_mul(1_000_000).checked_div(rate).unwrap_or(0);
        let due = SILENCE.saturating_add_unsigned(micros).min(LONGEST);
        self.parts.insert(sender, now.saturating_add(due));
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_have_equal_parts_and_silent_ones_none() {
        let mut credits = Credits::new(900);
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        assert_eq!(credits.grant(0, a, 0), 900);
        assert_eq!(credits.grant(1, b, 0), 450);
        assert_eq!(credits.grant(2, a, 0), 450, "asking twice takes no second part");
        assert_eq!(credits.grant(3, c, 0), 300);
        assert_eq!(credits.grant(SILENCE + 2, c, 0), 900, "the others were silent for long enough");
        credits.set_total(0);
        assert_eq!(credits.grant(SILENCE + 3, a, 9_000), 0);
    }

    /// Of many senders each comes seldom; their parts must not grow by that.
    #[test]
    fn who_sends_as_slowly_as_it_may_is_not_silent() {
        const SENDERS: u128 = 50;
        const BATCH: usize = 4_000;
        let mut credits = Credits::new(10_000);
        let mut due: BTreeMap<(Micros, u128), ()> = (0..SENDERS).map(|n| ((0, n), ())).collect();
        let mut taken = 0;
        let until = 300_000_000;
        while let Some(((now, sender), ())) = due.pop_first().filter(|((now, _), ())| *now < until)
        {
            taken += BATCH as u64;
            let rate = credits.grant(now, Uuid::from_u128(sender), BATCH);
            let wait = (BATCH as u64 * 1_000_000 / rate) as Micros;
            due.insert((now + wait, sender), ());
        }
        let first_batches = SENDERS as u64 * BATCH as u64;
        assert!(taken <= 300 * 10_000 + 2 * first_batches, "{taken}");
        assert!(taken > 300 * 10_000 / 2, "{taken}");
    }
}
