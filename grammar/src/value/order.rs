//! Bijections that turn a fixed-size type's order into that of unsigned integers.
//!
//! Each pair `to_ordered`/`from_ordered` is exact in both directions for every bit pattern. Storage keys and
//! [`super::compare`] are both built on them.

const F32_NEGATIVE_NANS: u32 = 0x007f_ffff;
const F64_NEGATIVE_NANS: u64 = 0x000f_ffff_ffff_ffff;

/// The bits of a `float`, ordered: -Infinity, negative, -0.0, 0.0, positive, Infinity, then all NaNs.
pub const fn f32_to_ordered(bits: u32) -> u32 {
    // Flipping orders all but NaNs of negative sign, which land at the bottom; turning the circle takes them to the top.
    let flipped = if bits >> 31 == 0 { bits ^ (1 << 31) } else { !bits };
    flipped.wrapping_sub(F32_NEGATIVE_NANS)
}

/// The inverse of [`f32_to_ordered`].
pub const fn f32_from_ordered(ordered: u32) -> u32 {
    let flipped = ordered.wrapping_add(F32_NEGATIVE_NANS);
    if flipped >> 31 == 1 { flipped ^ (1 << 31) } else { !flipped }
}

/// As [`f32_to_ordered`], of a `double`.
pub const fn f64_to_ordered(bits: u64) -> u64 {
    let flipped = if bits >> 63 == 0 { bits ^ (1 << 63) } else { !bits };
    flipped.wrapping_sub(F64_NEGATIVE_NANS)
}

/// The inverse of [`f64_to_ordered`].
pub const fn f64_from_ordered(ordered: u64) -> u64 {
    let flipped = ordered.wrapping_add(F64_NEGATIVE_NANS);
    if flipped >> 63 == 1 { flipped ^ (1 << 63) } else { !flipped }
}

/// The bytes of a `uuid` as a big-endian number, ordered: by version; version 1 by time; then by unsigned bytes.
pub const fn uuid_to_ordered(uuid: u128) -> u128 {
    let (high, low) = ((uuid >> 64) as u64, uuid as u64);
    let version = (high >> 12) & 0xf;
    let rest = if version == 1 {
        time_first(high) & !(0xf << 60)
    } else {
        ((high >> 16) << 12) | (high & 0xfff)
    };
    join(version << 60 | rest, low)
}

/// The inverse of [`uuid_to_ordered`].
pub const fn uuid_from_ordered(ordered: u128) -> u128 {
    let (high, low) = ((ordered >> 64) as u64, ordered as u64);
    let version = high >> 60;
    let high = if version == 1 {
        time_last(high)
    } else {
        let rest = high & !(0xf << 60);
        ((rest >> 12) << 16) | version << 12 | (rest & 0xfff)
    };
    join(high, low)
}

/// The bytes of a `timeuuid` as a big-endian number, ordered: by time, then by the remaining bytes as signed ones.
pub const fn timeuuid_to_ordered(uuid: u128) -> u128 {
    join(time_first((uuid >> 64) as u64), uuid as u64 ^ SIGNS)
}

/// The inverse of [`timeuuid_to_ordered`].
pub const fn timeuuid_from_ordered(ordered: u128) -> u128 {
    join(time_last((ordered >> 64) as u64), ordered as u64 ^ SIGNS)
}

const SIGNS: u64 = 0x8080_8080_8080_8080;

/// `time_low | time_mid | version and time_high` to `version and time_high | time_mid | time_low`.
const fn time_first(high: u64) -> u64 {
    (high << 48) | ((high & 0xffff_0000) << 16) | (high >> 32)
}

const fn time_last(ordered: u64) -> u64 {
    (ordered << 32) | ((ordered >> 16) & 0xffff_0000) | (ordered >> 48)
}

const fn join(high: u64, low: u64) -> u128 {
    (high as u128) << 64 | low as u128
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_in_order() {
        let ascending = [
            f32::NEG_INFINITY,
            -1.0,
            -f32::MIN_POSITIVE,
            -0.0,
            0.0,
            1e-40,
            1.0,
            f32::INFINITY,
            f32::NAN,
        ];
        assert!(
            ascending
                .windows(2)
                .all(|w| f32_to_ordered(w[0].to_bits()) < f32_to_ordered(w[1].to_bits()))
        );
        assert!(f32_to_ordered(0xff80_0001) > f32_to_ordered(f32::INFINITY.to_bits()));
        assert_eq!(f32_to_ordered(f32::NEG_INFINITY.to_bits()), 0);
        assert_eq!(f64_to_ordered(f64::NEG_INFINITY.to_bits()), 0);
        assert!(f64_to_ordered(u64::MAX) > f64_to_ordered(f64::INFINITY.to_bits()));
        assert!(f64_to_ordered((-0.0f64).to_bits()) < f64_to_ordered(0));
    }

    #[test]
    fn timeuuid_order_is_time_then_signed_bytes() {
        let of = |text: &str| timeuuid_to_ordered(text.parse::<uuid::Uuid>().unwrap().as_u128());
        let early = of("ffffffff-0000-1000-8000-000000000000");
        let late = of("00000000-0001-1000-8000-000000000000");
        assert!(early < late);
        let negative = of("00000000-0001-1000-8080-000000000000");
        let positive = of("00000000-0001-1000-807f-000000000000");
        assert!(negative < positive, "0x80 is -128 there");
    }

    #[test]
    fn uuid_order_is_version_first() {
        let of = |text: &str| uuid_to_ordered(text.parse::<uuid::Uuid>().unwrap().as_u128());
        assert!(
            of("ffffffff-ffff-1fff-ffff-ffffffffffff") < of("00000000-0000-4000-8000-000000000000")
        );
        assert!(
            of("ffffffff-0000-1000-8000-000000000000") < of("00000000-0001-1000-8000-000000000000")
        );
        assert!(
            of("00000000-0001-4000-8000-000000000000") < of("ffffffff-0000-4000-8000-000000000000")
        );
    }

    proptest! {
        #[test]
        fn bijections(bits in any::<u128>()) {
            prop_assert_eq!(f32_from_ordered(f32_to_ordered(bits as u32)), bits as u32);
            prop_assert_eq!(f64_from_ordered(f64_to_ordered(bits as u64)), bits as u64);
            prop_assert_eq!(uuid_from_ordered(uuid_to_ordered(bits)), bits);
            prop_assert_eq!(timeuuid_from_ordered(timeuuid_to_ordered(bits)), bits);
            let version_1 = bits & !(0xf << 76) | 1 << 76;
            prop_assert_eq!(uuid_from_ordered(uuid_to_ordered(version_1)), version_1);
        }

        #[test]
        fn float_order_is_total_order_of_numbers(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(f64_to_ordered(a.to_bits()).cmp(&f64_to_ordered(b.to_bits())), a.total_cmp(&b));
        }
    }
}
