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
pub fn decode_u64(input: &mut &[u8]) -> Option<u64> {
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
pub fn decode_i64(input: &mut &[u8]) -> Option<i64> {
    let coded = decode_u64(input)?;
    Some((coded >> 1) as i64 ^ -((coded & 1) as i64))
}

/// Takes a length-checked slice off the front: a varint length, then that many bytes.
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
