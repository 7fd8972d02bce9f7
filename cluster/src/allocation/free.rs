//! Places on the ring that can be had.

use std::collections::BTreeSet;

use tholos_grammar::token::Token;

use crate::random::mix;

/// Where a token is, counted from the ring's beginning.
pub(super) fn position(token: Token) -> u64 {
    (token.0 as u64) ^ (1 << 63)
}

/// The token at a place.
pub(super) fn token_at(position: u64) -> Token {
    Token((position ^ (1 << 63)) as i64)
}

/// Tokens that nobody has, of whatever data centre: all but these.
#[derive(Debug, Default)]
pub(super) struct Free(pub(super) BTreeSet<u64>);

impl Free {
    /// Takes a token, or the next free one.
    pub(super) fn take(&mut self, mut position: u64) -> u64 {
        // The ring's beginning stands for "before every token" and belongs to nobody.
        while position == 0 || !self.0.insert(position) {
            position = position.wrapping_add(1);
        }
        position
    }

    pub(super) fn evenly_spaced(&mut self, count: usize, seed: u64) -> Vec<u64> {
        let step = (u64::MAX / count.max(1) as u64).max(1);
        let first = mix(seed) % step;
        (0..count as u64).map(|i| self.take(first.wrapping_add(i.wrapping_mul(step)))).collect()
    }
}
