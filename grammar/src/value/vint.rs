//! Variable-length integers as the native protocol has them (v5 specification, section 3, `[vint]` and
//! `[unsigned vint]`).
//!
//! The number of leading one bits of the first byte says how many bytes follow; the remaining bits, big endian, are
//! the number. Signed numbers are zigzag-mapped first, so that small negative ones are short too. Encoding is minimal;
//! decoding accepts longer forms.

/// The most bytes that a vint takes.
pub const MAX_VINT_BYTES: usize = 9;

/// Appends `value` to `out`, in as few bytes as it takes.
pub fn encode_unsigned(value: u64, out: &mut Vec<u8>) {
    let extra = unsigned_size(value) - 1;
    if extra == 8 {
        out.push(0xff);
        out.extend_from_slice(&value.to_be_bytes());
        return;
    }
    let ones = !(0xffu8 >> extra);
    let bytes = (value | (u64::from(ones) << (8 * extra))).to_be_bytes();
    out.extend_from_slice(bytes.get(7 - extra..).unwrap_or_default());
}

/// How many bytes [`encode_unsigned`] takes for `value`: 1 to 9.
pub const fn unsigned_size(value: u64) -> usize {
    let significant = 64 - (value | 1).leading_zeros() as usize;
    if significant > 56 { 9 } else { significant.div_ceil(7) }
}

/// Reads an unsigned vint off the front of `input`; `None`, and `input` as it was, if it is cut short.
pub fn decode_unsigned(input: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = input.split_first()?;
    let extra = first.leading_ones() as usize;
    let (bytes, rest) = rest.split_at_checked(extra)?;
    let head = u64::from(first) & (0xff >> extra);
    *input = rest;
    Some(bytes.iter().fold(head, |value, &byte| (value << 8) | u64::from(byte)))
}

/// Appends `value` to `out`, zigzag-mapped.
pub fn encode_signed(value: i64, out: &mut Vec<u8>) {
    encode_unsigned(((value << 1) ^ (value >> 63)) as u64, out);
}

/// Reads a signed vint off the front of `input`; `None`, and `input` as it was, if it is cut short.
pub fn decode_signed(input: &mut &[u8]) -> Option<i64> {
    let mapped = decode_unsigned(input)?;
    Some((mapped >> 1) as i64 ^ -((mapped & 1) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode_unsigned(value, &mut out);
        out
    }

    #[test]
    fn known_bytes() {
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(127), [0x7f]);
        assert_eq!(encoded(128), [0x80, 0x80]);
        assert_eq!(encoded(256_000), [0xc3, 0xe8, 0x00]);
        assert_eq!(encoded((1 << 56) - 1), [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(encoded(1 << 56), [0xff, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(u64::MAX), [0xff; 9]);
        let mut signed = Vec::new();
        encode_signed(-1, &mut signed);
        encode_signed(1, &mut signed);
        assert_eq!(signed, [1, 2]);
    }

    #[test]
    fn cut_short_is_none() {
        for length in 0..9 {
            let mut input = &[0xff_u8; 9][..length];
            assert_eq!(decode_unsigned(&mut input), None);
            assert_eq!(input.len(), length);
        }
    }

    proptest! {
        #[test]
        fn round_trips(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let bytes = encoded(value);
            prop_assert_eq!(bytes.len(), unsigned_size(value));
            let mut input = &bytes[..];
            prop_assert_eq!(decode_unsigned(&mut input), Some(value));
            prop_assert!(input.is_empty());
            let (mut out, signed) = (Vec::new(), value as i64);
            encode_signed(signed, &mut out);
            prop_assert_eq!(decode_signed(&mut &out[..]), Some(signed));
        }
    }
}
