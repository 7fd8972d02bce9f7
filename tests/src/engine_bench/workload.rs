//! Keys and values, the same for every store: the n-th is always the same.

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub const VALUE_BYTES: usize = 100;
/// Bytes of a row as its writer sees them.
pub const ROW_BYTES: usize = KEY_BYTES + VALUE_BYTES;
/// Rows that a slice reads.
pub const SLICE_ROWS: usize = 100;

/// How many of a value's bytes are random; the rest are words, so that LZ4 finds something, as in most data.
const RANDOM_BYTES: usize = 56;
const WORDS: &[u8] = b"colour=green size=large state=shipped region=north ";

/// A key of the table of single rows.
pub type Key = [u8; KEY_BYTES];
/// A value.
pub type Value = [u8; VALUE_BYTES];

/// The n-th key: they come in no order.
pub fn key(n: u64) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&mix(n).to_be_bytes());
    key[8..].copy_from_slice(&mix(n ^ u64::MAX).to_be_bytes());
    key
}

/// A key that [`key`] never yields: its halves do not belong together.
pub fn missing_key(n: u64) -> Key {
    let mut key = key(n);
    key[15] ^= 1;
    key
}

/// The n-th value.
pub fn value(n: u64) -> Value {
    let mut value = [0; VALUE_BYTES];
    let (random, words) = value.split_at_mut(RANDOM_BYTES);
    for (i, part) in random.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&mix(n.wrapping_mul(8).wrapping_add(i as u64)).to_be_bytes());
    }
    words.copy_from_slice(&WORDS[..VALUE_BYTES - RANDOM_BYTES]);
    value
}

/// Numbers that look random, another run of them for each thread.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The run of a thread.
    pub fn of_thread(thread: usize) -> Self {
        Numbers(mix(thread as u64 ^ 0x7468_6f6c_6f73))
    }

    /// The next one below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        // Multiplying takes the upper bits, and is cheaper than a division.
        ((u128::from(mix(self.0)) * u128::from(bound)) >> 64) as u64
    }
}

/// A fixed permutation of 64-bit numbers that looks random (splitmix64's output function).
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_differ_and_missing_ones_are_missing() {
        let keys: BTreeSet<Key> = (0..10_000).map(key).collect();
        assert_eq!(keys.len(), 10_000);
        assert!((0..10_000).all(|n| !keys.contains(&missing_key(n))));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let mut numbers = Numbers::of_thread(1);
        let seen: BTreeSet<u64> = (0..1_000).map(|_| numbers.below(10)).collect();
        assert_eq!(seen, (0..10).collect());
    }
}
