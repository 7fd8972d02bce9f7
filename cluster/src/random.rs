//! Chance that a seed gives: the same seed, the same numbers. Not for secrets.

/// SplitMix64's last step (Steele, Lea, Flood 2014): spreads a number over all 64 bits.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What SplitMix64 adds per number: the golden ratio, as 64 bits, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of numbers from a seed.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64 { state: seed }
    }

    /// The next number, any of 64 bits.
    pub fn bits(&mut self) -> u64 {
        let bits = mix(self.state);
        self.state = self.state.wrapping_add(GAMMA);
        bits
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The upper half of a product: even for every bound, up to 1 in 2^64 / bound.
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True that often of a hundred times.
    pub fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }

    /// Moves up to `count` elements, chosen evenly, to the front, and returns them.
    pub fn choose<'a, T>(&mut self, from: &'a mut [T], count: usize) -> &'a [T] {
        let count = count.min(from.len());
        for place in 0..count {
            let other = place + self.below((from.len() - place) as u64) as usize;
            from.swap(place, other);
        }
        &from[..count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        let mut random = SplitMix64::new(1_234_567);
        let numbers = [random.bits(), random.bits(), random.bits()];
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn choices_are_distinct_and_even() {
        let mut random = SplitMix64::new(7);
        let mut chosen = [0_u32; 10];
        for _ in 0..10_000 {
            let mut numbers: Vec<usize> = (0..10).collect();
            let three = random.choose(&mut numbers, 3);
            assert!(three[0] != three[1] && three[1] != three[2] && three[0] != three[2]);
            three.iter().for_each(|number| chosen[*number] += 1);
        }
        assert!(chosen.iter().all(|times| (2_700..3_300).contains(times)), "{chosen:?}");
        assert_eq!(random.choose(&mut [1], 3), [1]);
        assert_eq!(random.below(0), 0);
    }
}
