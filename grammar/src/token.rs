//! The token of a partition key: Murmur3 as the drivers compute it, and the serialised form of a partition key that it
//! is computed from.
//!
//! - [`Token::of`]: the token of a serialised partition key.
//! - [`encode_partition_key`], [`PartitionKeyComponents`]: the serialised key from its components and back.
//!
//! A key of one component is that component's bytes. A key of several is, for each component,
//! `length: u16 | bytes | 0x00`. Drivers route by these very bytes, so neither the layout nor the hash may differ.

use std::fmt;

/// The most bytes that a serialised partition key may have; also the most that one component of it may have.
pub const MAX_PARTITION_KEY_BYTES: usize = u16::MAX as usize;

/// A position on the ring: Cassandra's Murmur3 x64-128, first half, with tail bytes sign-extended, and `i64::MIN`
/// mapped to `i64::MAX` (`i64::MIN` stands for "before every token").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub i64);

/// A partition key that can't be serialised or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionKeyError {
    /// No components were given.
    #[error("a partition key needs at least one component")]
    NoComponents,
    /// The key, or one component of it, is too long.
    #[error(
        "a partition key of {bytes} bytes is too long: the limit is {MAX_PARTITION_KEY_BYTES}; use a shorter key"
    )]
    TooLong {
        /// Bytes of the key so far.
        bytes: usize,
    },
    /// The bytes of a composite key do not follow its layout.
    #[error(
        "composite partition key is malformed at byte {offset}: each component is a u16 length, its bytes and 0x00"
    )]
    Malformed {
        /// Offset from the start of the key.
        offset: usize,
    },
}

impl Token {
    /// The token of a serialised partition key (see the module's page for its layout).
    pub fn of(serialized_partition_key: &[u8]) -> Token {
        match murmur3_first_half(serialized_partition_key) {
            i64::MIN => Token(i64::MAX),
            hash => Token(hash),
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Appends the serialised form of a partition key to `out`, from the protocol's bytes of its components in order.
///
/// On an error `out` is as it was.
pub fn encode_partition_key<C: AsRef<[u8]>>(
    components: &[C],
    out: &mut Vec<u8>,
) -> Result<(), PartitionKeyError> {
    let start = out.len();
    let result = match components {
        [] => Err(PartitionKeyError::NoComponents),
        [single] => {
            out.extend_from_slice(single.as_ref());
            Ok(())
        }
        several => several.iter().try_for_each(|component| push_component(component.as_ref(), out)),
    };
    let result = result.and_then(|()| match out.len() - start {
        bytes if bytes > MAX_PARTITION_KEY_BYTES => Err(PartitionKeyError::TooLong { bytes }),
        _ => Ok(()),
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn push_component(component: &[u8], out: &mut Vec<u8>) -> Result<(), PartitionKeyError> {
    let length = u16::try_from(component.len())
        .map_err(|_| PartitionKeyError::TooLong { bytes: component.len() })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(component);
    out.push(0);
    Ok(())
}

/// The components of a serialised partition key, borrowed from it: as many as the key has columns, or an error last.
#[derive(Clone, Debug)]
pub struct PartitionKeyComponents<'a> {
    rest: &'a [u8],
    offset: usize,
    remaining: usize,
    composite: bool,
}

impl<'a> PartitionKeyComponents<'a> {
    /// Reads `serialized` as the key of a table whose partition key has `columns` columns.
    pub fn new(serialized: &'a [u8], columns: usize) -> Self {
        PartitionKeyComponents {
            rest: serialized,
            offset: 0,
            remaining: columns,
            composite: columns > 1,
        }
    }

    fn split_first(&mut self) -> Option<&'a [u8]> {
        if !self.composite {
            return Some(self.rest);
        }
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (component, rest) = rest.split_at_checked(length)?;
        let rest = rest.strip_prefix(&[0])?;
        // What comes after the last component belongs to no column.
        if self.remaining == 1 && !rest.is_empty() {
            return None;
        }
        self.rest = rest;
        self.offset += length + 3;
        Some(component)
    }
}

impl<'a> Iterator for PartitionKeyComponents<'a> {
    type Item = Result<&'a [u8], PartitionKeyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        let component =
            self.split_first().ok_or(PartitionKeyError::Malformed { offset: self.offset });
        self.remaining = if component.is_ok() { self.remaining - 1 } else { 0 };
        Some(component)
    }
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// MurmurHash3 x64-128 with seed 0, first 64 bits. Unlike the original, bytes of the tail (the last `length % 16`)
/// are sign-extended before they are shifted in: an early slip that every driver has had to keep.
fn murmur3_first_half(data: &[u8]) -> i64 {
    let (blocks, tail) = data.as_chunks::<16>();
    let (mut h1, mut h2) = (0u64, 0u64);
    for block in blocks {
        let block = u128::from_le_bytes(*block);
        h1 ^= mix_k1(block as u64);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix_k2((block >> 64) as u64);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    if !high.is_empty() {
        h2 ^= mix_k2(sign_extended(high));
    }
    if !low.is_empty() {
        h1 ^= mix_k1(sign_extended(low));
    }
    let length = data.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2)) as i64
}

fn sign_extended(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .enumerate()
        .fold(0, |word, (i, &byte)| word ^ ((byte as i8 as i64 as u64) << (8 * i)))
}

fn mix_k1(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix_k2(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut h: u64) -> u64 {
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens as computed by the public Python driver's `murmur3`.
    #[test]
    fn equals_the_drivers() {
        let named: [(&[u8], i64); 12] = [
            (b"", 0),
            (b"a", -8_839_064_797_231_613_815),
            (b"hello", -3_758_069_500_696_749_310),
            ("käse→漢字".as_bytes(), 6_325_999_033_341_944_170),
            (&0i32.to_be_bytes(), -3_485_513_579_396_041_028),
            (&1i32.to_be_bytes(), -4_069_959_284_402_364_209),
            (&(-1i32).to_be_bytes(), 7_297_452_126_230_313_552),
            (&i32::MAX.to_be_bytes(), -765_994_672_030_311_617),
            (&42i64.to_be_bytes(), 8_623_491_988_607_824_794),
            (&(-1i64).to_be_bytes(), 7_071_048_584_287_372_947),
            (&i64::MIN.to_be_bytes(), 9_204_767_954_415_360_687),
            (&[0xff; 15], -2_195_530_867_418_009_455),
        ];
        for (key, token) in named {
            assert_eq!(Token::of(key), Token(token), "{key:02x?}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Token::of(&all), Token(2_060_892_794_568_774_329));
        assert_eq!(Token::of(&[0x80; 17]), Token(-7_492_040_465_024_918_340));
    }

    /// Every tail length, with bytes on both sides of 0x80; from the public Python driver.
    #[test]
    fn equals_the_drivers_at_every_tail_length() {
        let tokens: [i64; 34] = [
            0,
            8767593904841234184,
            8551458551468207177,
            -5465341066557569400,
            -3911373240647710302,
            -1828970475804892962,
            -8496742475496379604,
            426601887845913003,
            -4678429924413853511,
            -4292954590981019969,
            -68584266168389174,
            5041763673550091032,
            -6680028829540181441,
            -6116471232442778299,
            -4221007093404022157,
            5149536173678928199,
            -2394263699328671249,
            -7328878423990659103,
            1257000550033734997,
            -5939986969830403550,
            9033310634290285334,
            5170889959433400835,
            -3672595009024606649,
            -3808480367931669798,
            -7700429734640773396,
            6203046661072616701,
            7556769786727650009,
            -2526693301415237251,
            -8134067600481424878,
            -5660725286569959704,
            3665284120447876286,
            -2138218665440544259,
            2404478712611688640,
            -6183732659606032408,
        ];
        for (length, token) in tokens.into_iter().enumerate() {
            let key: Vec<u8> = (0..length).map(|i| ((200 + i * 7) % 256) as u8).collect();
            assert_eq!(Token::of(&key), Token(token), "length {length}");
        }
    }

    #[test]
    fn composite_layout() {
        let mut out = vec![9];
        encode_partition_key(&[b"ab".as_slice(), b""], &mut out).unwrap();
        assert_eq!(out, [9, 0, 2, b'a', b'b', 0, 0, 0, 0]);
        let mut single = Vec::new();
        encode_partition_key(&[b"ab"], &mut single).unwrap();
        assert_eq!(single, b"ab");
        let too_long = encode_partition_key(&[vec![0; 65_536], vec![]], &mut single);
        assert_eq!(too_long, Err(PartitionKeyError::TooLong { bytes: 65_536 }));
        assert_eq!(single, b"ab");
    }

    #[test]
    fn malformed_composites_are_refused() {
        let one = [0, 1, 7, 0];
        let three = [one, one, one].concat();
        for bytes in [&[][..], &[0], &[0, 2, 1, 0], &[0, 1, 7, 1], &[0, 1, 7], &one, &three] {
            assert!(PartitionKeyComponents::new(bytes, 2).any(|c| c.is_err()), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn components_round_trip(components in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5)) {
            let mut key = Vec::new();
            encode_partition_key(&components, &mut key).unwrap();
            let back: Result<Vec<_>, _> = PartitionKeyComponents::new(&key, components.len()).collect();
            prop_assert_eq!(back.unwrap(), components);
        }
    }
}
