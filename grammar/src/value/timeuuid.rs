//! Time-based UUIDs (version 1, RFC 4122): the time in them, and the bounds of a millisecond.
//!
//! Times here are in ticks of 100 ns or in milliseconds, since 1970-01-01T00:00Z. Those of a UUID reach from
//! 1582-10-15 to 5236.

use uuid::Uuid;

/// Ticks of 100 ns from 1582-10-15, where UUIDs count from, to 1970-01-01.
const EPOCH_TICKS: i64 = 0x01b2_1dd2_1381_4000;

/// Ticks in a millisecond.
pub const TICKS_PER_MS: i64 = 10_000;

/// Ticks that a UUID has room for.
const TICKS_LIMIT: i64 = 1 << 60;

/// The smallest clock sequence and node in the order of timeuuids, which compares signed bytes.
const SMALLEST_REST: u64 = 0x8080_8080_8080_8080;
/// The largest.
const LARGEST_REST: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// The version-1 UUID of a time, with `rest` (clock sequence and node) as its last eight bytes as they are.
/// `None` if the time is outside of what a UUID can say.
pub fn from_ticks(ticks: i64, rest: u64) -> Option<Uuid> {
    let time =
        ticks.checked_add(EPOCH_TICKS).filter(|time| (0..TICKS_LIMIT).contains(time))? as u64;
    let (low, middle, high) = (time & 0xffff_ffff, (time >> 32) & 0xffff, time >> 48);
    Some(Uuid::from_u64_pair(low << 32 | middle << 16 | 1 << 12 | high, rest))
}

/// `minTimeuuid`: not above any timeuuid of that millisecond. It is no valid UUID: for comparisons only.
pub fn min_for(unix_ms: i64) -> Option<Uuid> {
    from_ticks(unix_ms.checked_mul(TICKS_PER_MS)?, SMALLEST_REST)
}

/// `maxTimeuuid`: not below any timeuuid of that millisecond. It is no valid UUID: for comparisons only.
pub fn max_for(unix_ms: i64) -> Option<Uuid> {
    from_ticks(unix_ms.checked_mul(TICKS_PER_MS)?.checked_add(TICKS_PER_MS - 1)?, LARGEST_REST)
}

/// The time of a version-1 UUID, in ticks of 100 ns since 1970; `None` of another version.
pub fn unix_ticks(uuid: &Uuid) -> Option<i64> {
    let (high, _) = uuid.as_u64_pair();
    if (high >> 12) & 0xf != 1 {
        return None;
    }
    let time = (high & 0xfff) << 48 | ((high >> 16) & 0xffff) << 32 | high >> 32;
    Some(time as i64 - EPOCH_TICKS)
}

/// The time of a version-1 UUID, in milliseconds since 1970, rounded down; `None` of another version.
pub fn unix_ms(uuid: &Uuid) -> Option<i64> {
    unix_ticks(uuid).map(|ticks| ticks.div_euclid(TICKS_PER_MS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Native;
    use crate::value::compare::compare;

    #[test]
    fn known_times() {
        let uuid = "13814000-1dd2-11b2-8080-808080808080".parse().unwrap();
        assert_eq!(min_for(0), Some(uuid));
        assert_eq!(unix_ms(&uuid), Some(0));
        let uuid: Uuid = "d2177dd0-eaa2-11de-a572-001b779c76e3".parse().unwrap();
        assert_eq!(unix_ms(&uuid), Some(1_261_009_589_805), "as Python's uuid module says");
        assert_eq!(unix_ms(&"123e4567-e89b-42d3-a456-426655440000".parse().unwrap()), None);
        assert_eq!(min_for(i64::MAX), None);
        assert_eq!(min_for(-12_219_292_800_001), None, "before 1582-10-15");
        assert_eq!(unix_ms(&min_for(-12_219_292_800_000).unwrap()), Some(-12_219_292_800_000));
    }

    proptest! {
        #[test]
        fn bounds_hold_their_millisecond(ms in -12_219_292_800_000i64..100_000_000_000_000, tick in 0..10_000i64, rest: u64) {
            let uuid = from_ticks(ms * TICKS_PER_MS + tick, rest).unwrap();
            let (min, max) = (min_for(ms).unwrap(), max_for(ms).unwrap());
            let order = |a: &Uuid, b: &Uuid| compare(&Native::Timeuuid.into(), a.as_bytes(), b.as_bytes());
            prop_assert!(order(&min, &uuid).is_le() && order(&uuid, &max).is_le());
            prop_assert_eq!(unix_ms(&uuid), Some(ms));
            prop_assert_eq!((unix_ms(&min), unix_ms(&max)), (Some(ms), Some(ms)));
            prop_assert!(order(&uuid, &min_for(ms + 1).unwrap()).is_lt());
        }
    }
}
