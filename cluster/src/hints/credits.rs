//! What a node grants to those who bring it hints: so many bytes per second, in equal parts.
//!
//! Each batch of hints asks, and its answer says how fast its sender may go on. Who has not asked for a while has no part.
//!
//! ```text
//! 900 bytes/s for all      a asks: 900      b asks: 450      a asks: 450      b is silent for 10 s      a asks: 900
//! ```

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::request::read::Micros;

/// Who has not asked for so long has no part of the credit. A sender that is told to wait asks again within less.
const SILENCE: Micros = 10_000_000;

/// Credit of a receiver.
#[derive(Clone, Debug)]
pub struct Credits {
    total: u64,
    asked: BTreeMap<Uuid, Micros>,
}

impl Credits {
    /// Credit of so many bytes per second in all.
    pub fn new(total: u64) -> Credits {
        Credits { total, asked: BTreeMap::new() }
    }

    /// Changes the whole credit, for a node that is busy; 0 lets everyone wait. Senders learn it with their next answer.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
    }

    /// A sender brought hints: the bytes per second at which it may go on. 0 means not now.
    pub fn grant(&mut self, now: Micros, sender: Uuid) -> u64 {
        self.asked.retain(|_, asked| now.saturating_sub(*asked) < SILENCE);
        self.asked.insert(sender, now);
        self.total / self.asked.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_have_equal_parts_and_silent_ones_none() {
        let mut credits = Credits::new(900);
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        assert_eq!(credits.grant(0, a), 900);
        assert_eq!(credits.grant(1, b), 450);
        assert_eq!(credits.grant(2, a), 450, "asking twice takes no second part");
        assert_eq!(credits.grant(3, c), 300);
        assert_eq!(credits.grant(SILENCE + 2, c), 900, "the others were silent for long enough");
        credits.set_total(0);
        assert_eq!(credits.grant(SILENCE + 3, a), 0);
    }
}
