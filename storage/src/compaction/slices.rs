//! Equal slices of the ring, in powers of two: where runs are cut.

/// Which of so many slices a token lies in.
pub fn slice_of(token: i64, slices: u32) -> u64 {
    let sorted = (token ^ i64::MIN) as u64;
    match slices.trailing_zeros() {
        0 => 0,
        bits => sorted >> (64 - bits),
    }
}

/// Of how many slices at most one alone holds both tokens.
pub(super) fn slices_around(first: i64, last: i64) -> u32 {
    let common = (first ^ last).leading_zeros();
    1 << common.min(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_put_into_slices() {
        assert_eq!(slice_of(i64::MIN, 1), 0);
        assert_eq!(slice_of(i64::MAX, 1), 0);
        let quarters =
            [i64::MIN, i64::MIN / 2, 0, i64::MAX / 2 + 1].map(|token| slice_of(token, 4));
        assert_eq!(quarters, [0, 1, 2, 3]);
    }

    #[test]
    fn the_slice_around_two_tokens_is_the_smallest() {
        assert_eq!(slices_around(i64::MIN, i64::MAX), 1);
        assert_eq!(slices_around(-1, 0), 1, "the middle of the ring is a bound of all");
        assert_eq!(slices_around(0, i64::MAX), 2);
        assert_eq!(slices_around(0, i64::MAX / 2), 4);
        assert_eq!(slices_around(5, 5), 1 << 31);
        for (first, last) in [(3, 1 << 40), (-7_i64 << 50, -1), (i64::MIN, -1)] {
            let slices = slices_around(first, last);
            assert_eq!(slice_of(first, slices), slice_of(last, slices));
            assert_ne!(slice_of(first, slices * 2), slice_of(last, slices * 2));
        }
    }
}
