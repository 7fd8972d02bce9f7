//! Variable-length integers of the on-disk formats: 7 bits per byte, least significant first, the top bit says that
//! another byte follows. At most 10 bytes; signed numbers are zigzag-coded first.

/// Appends an unsigned number.
pub fn encode_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// An unsigned number's bytes, for where there is no `Vec` to append to.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    bytes: [u8; 10],
    len: usize,
}

impl Encoded {
    /// The number's bytes.
    pub fn of(mut value: u64) -> Self {
        let mut encoded = Encoded { bytes: [0; 10], len: 0 };
        while value >= 0x80 {
            encoded.push(value as u8 | 0x80);
            value >>= 7;
        }
        encoded.push(value as u8);
        encoded
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

impl std::ops::Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Appends a signed number; small magnitudes are short.
pub fn encode_i64(out: &mut Vec<u8>, value: i64) {
    encode_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes an unsigned number off the front; `None` if it is cut off or does not fit.
#[inline]
pub fn decode_u64(input: &mut &[u8]) -> Option<u64> {
    match **input {
        [byte @ 0..0x80, ref rest @ ..] => {
            *input = rest;
            Some(u64::from(byte))
        }
        _ => decode_longer(input),
    }
}

fn decode_longer(input: &mut &[u8]) -> Option<u64> {
    let Some(first) = input.first_chunk() else { return decode_bytes(input) };
    let word = u64::from_le_bytes(*first);
    let ends = !word & TOP_BITS;
    if ends == 0 {
        return decode_bytes(input);
    }
    // All of its bytes at once: 7 bits of each, then 14 of each pair, then 28 of each four are pushed together.
    let bits = ends.trailing_zeros() + 1;
    let sevens = word & (u64::MAX >> (64 - bits)) & !TOP_BITS;
    let pairs = (sevens & 0x007f_007f_007f_007f) | ((sevens & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    *input = &input[(bits / 8) as usize..];
    Some((fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4))
}

/// The top bit of each byte.
const TOP_BITS: u64 = 0x8080_8080_8080_8080;

fn decode_bytes(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, byte) in input.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *input = &input[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a signed number off the front; `None` if it is cut off or does not fit.
#[inline]
pub fn decode_i64(input: &mut &[u8]) -> Option<i64> {
    let coded = decode_u64(input)?;
    Some((coded >> 1) as i64 ^ -((coded & 1) as i64))
}

/// Takes a length-checked slice off the front: a varint length, then that many bytes.
#[inline]
pub fn decode_slice<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(decode_u64(input)?).ok()?;
    let (slice, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(slice)
}

/// Appends a varint length and the bytes.
pub fn encode_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    encode_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i64, shift in 0u32..64) {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut out = Vec::new();
            encode_u64(&mut out, unsigned);
            encode_i64(&mut out, signed);
            let mut input = out.as_slice();
            prop_assert!(input.starts_with(&Encoded::of(unsigned)));
            prop_assert_eq!(decode_u64(&mut input), Some(unsigned));
            prop_assert_eq!(decode_i64(&mut input), Some(signed));
            prop_assert!(input.is_empty());
        }

        /// With more than a word behind it a number is taken apart in another way than at the end.
        #[test]
        fn what_comes_behind_makes_no_difference(bytes: [u8; 12], len in 0usize..=12, top: [bool; 12]) {
            let bytes = std::array::from_fn::<u8, 12, _>(|i| bytes[i] & 0x7f | u8::from(top[i]) << 7);
            let (mut input, mut by_byte) = (&bytes[..len], &bytes[..len]);
            prop_assert_eq!(decode_u64(&mut input), decode_bytes(&mut by_byte));
            prop_assert_eq!(input, by_byte);
        }
    }

    #[test]
    fn too_long_and_cut_off_numbers_are_refused() {
        assert_eq!(decode_u64(&mut [0x80; 11].as_slice()), None);
        assert_eq!(
            decode_u64(&mut [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2].as_slice()),
            None
        );
        assert_eq!(decode_u64(&mut [0x80].as_slice()), None);
        assert_eq!(decode_slice(&mut [3, 1, 2].as_slice()), None);
    }
}
