//! The Bloom filter over partition prefixes: split blocks of 256 bits, so that a lookup touches one cache line.
//!
//! A key's xxh3-64 hash picks the block by its upper half and, multiplied by eight odd salts, one bit in each of the
//! block's eight 32-bit words by its lower half. Stored as the blocks' words, little endian. See F. Putze, P. Sanders,
//! J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters" (2007); the salts are those of the Parquet format.

const BLOCK_BYTES: usize = 32;
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// A filter that was read.
#[derive(Debug)]
pub(super) struct Filter {
    bytes: Box<[u8]>,
}

/// What stands for a partition in the filter.
pub(super) fn hash(partition: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(partition)
}

/// Builds a filter of the size that these keys need.
pub(super) fn build(hashes: &[u64], false_positives: f64) -> Vec<u8> {
    if hashes.is_empty() || false_positives >= 1.0 {
        return Vec::new();
    }
    // A key sets 8 bits, one in each word: a word answers "yes" by chance with probability p^(1/8).
    let per_word = false_positives.max(0.0001).powf(1.0 / 8.0);
    // Blocks fill unevenly, which costs the more the rarer false positives shall be (fitted to measurements).
    let unevenness = 1.02 + 0.0147 * false_positives.max(0.0001).log10().powi(2);
    let bits = hashes.len() as f64 * (-8.0 / (1.0 - per_word).ln()) * unevenness;
    let blocks = ((bits / (8 * BLOCK_BYTES) as f64).ceil() as usize)
        .clamp(1, u32::MAX as usize / BLOCK_BYTES);
    let mut bytes = vec![0; blocks * BLOCK_BYTES];
    for hash in hashes {
        for (at, mask) in bits_of(*hash, blocks) {
            bytes[at] |= mask;
        }
    }
    bytes
}

/// The eight bytes, and a bit in each, that belong to a hash.
fn bits_of(hash: u64, blocks: usize) -> impl Iterator<Item = (usize, u8)> {
    let block = ((hash >> 32) * blocks as u64) >> 32;
    SALTS.iter().enumerate().map(move |(word, salt)| {
        let bit = ((hash as u32).wrapping_mul(*salt) >> 27) as usize;
        (block as usize * BLOCK_BYTES + word * 4 + bit / 8, 1 << (bit % 8))
    })
}

impl Filter {
    /// `None` if the bytes are no whole number of blocks, or none at all.
    pub(super) fn new(bytes: Vec<u8>) -> Option<Filter> {
        let whole = !bytes.is_empty() && bytes.len().is_multiple_of(BLOCK_BYTES);
        whole.then(|| Filter { bytes: bytes.into_boxed_slice() })
    }

    pub(super) fn may_contain(&self, hash: u64) -> bool {
        bits_of(hash, self.bytes.len() / BLOCK_BYTES).all(|(at, mask)| self.bytes[at] & mask != 0)
    }

    /// Bytes of memory it takes.
    /// The share of absent keys that it lets through, from the bits that are set.
    pub(super) fn false_positives(&self) -> f64 {
        let share = |block: &[u8]| -> f64 {
            let words = block.chunks_exact(4);
            words
                .map(|word| f64::from(word.iter().map(|b| b.count_ones()).sum::<u32>()) / 32.0)
                .product()
        };
        let blocks = self.bytes.len() / BLOCK_BYTES;
        self.bytes.chunks_exact(BLOCK_BYTES).map(share).sum::<f64>() / blocks as f64
    }

    pub(super) fn weight(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_false_negatives_and_as_few_false_positives_as_asked_for() {
        for wanted in [0.001, 0.01, 0.1] {
            let hashes: Vec<u64> = (0..20_000u64).map(|key| hash(&key.to_be_bytes())).collect();
            let bytes = build(&hashes, wanted);
            let bits_per_key = bytes.len() as f64 * 8.0 / hashes.len() as f64;
            let filter = Filter::new(bytes).unwrap();
            assert!(hashes.iter().all(|hash| filter.may_contain(*hash)));
            let absent = 200_000u64;
            let hits = (0..absent)
                .filter(|key| filter.may_contain(hash(&(key + 1_000_000).to_be_bytes())))
                .count();
            let share = hits as f64 / absent as f64;
            let computed = filter.false_positives();
            assert!((computed / share - 1.0).abs() < 0.35, "{computed} computed, {share} measured");
            assert!(share < wanted * 1.3, "{share} for {wanted} at {bits_per_key} bits per key");
        }
        assert!(build(&[1], 1.0).is_empty());
        assert!(Filter::new(vec![0; 33]).is_none());
    }
}
