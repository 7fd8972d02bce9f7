//! How large the partitions of a file are, and which are the largest.
//!
//! A partition's size is what it takes in the file's data blocks before compression: keys share their beginnings there,
//! so the sizes of all partitions make up about [`uncompressed_bytes`](super::Statistics::uncompressed_bytes).

use crate::model::Timestamp;
use crate::varint::{decode_i64, decode_slice, decode_u64, encode_i64, encode_slice, encode_u64};

/// Buckets of a file's histogram: sizes up to 1, 2, 4, ... 2^62 bytes, and above.
const BUCKETS: usize = 64;

/// A partition that is among the largest of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargePartition {
    /// The partition prefix: token and partition key.
    pub key: Vec<u8>,
    /// What it takes in this file.
    pub bytes: u64,
    /// Its rows in this file, the static one too.
    pub rows: u64,
}

/// The partitions of a file by their size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSizes {
    /// When the file was written, in microseconds since 1970; 0 if whoever wrote it had no clock.
    pub written_at: Timestamp,
    /// The size of the largest partition.
    pub max_bytes: u64,
    /// The largest partitions, the largest first, at most [`PartitionSizes::MOST_LARGEST`]; those with longer keys than
    /// [`PartitionSizes::LONGEST_KEY`] are left out.
    pub largest: Vec<LargePartition>,
    /// By size: the greatest size that a bucket holds and how many partitions are in it, ascending, without empty ones.
    pub histogram: Vec<(u64, u64)>,
}

impl PartitionSizes {
    /// How many partitions `largest` has at most.
    pub const MOST_LARGEST: usize = 10;
    /// Bytes of a key in `largest` at most.
    pub const LONGEST_KEY: usize = 1024;

    /// How many partitions there are.
    pub fn count(&self) -> u64 {
        self.histogram.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_i64(out, self.written_at);
        encode_u64(out, self.max_bytes);
        encode_u64(out, self.largest.len() as u64);
        for partition in &self.largest {
            encode_slice(out, &partition.key);
            encode_u64(out, partition.bytes);
            encode_u64(out, partition.rows);
        }
        encode_u64(out, self.histogram.len() as u64);
        for (bound, count) in &self.histogram {
            encode_u64(out, bucket_of(*bound) as u64);
            encode_u64(out, *count);
        }
    }

    pub(super) fn decode(input: &mut &[u8]) -> Option<PartitionSizes> {
        let mut sizes = PartitionSizes {
            written_at: decode_i64(input)?,
            max_bytes: decode_u64(input)?,
            ..PartitionSizes::default()
        };
        let largest = decode_u64(input)?;
        if largest > Self::MOST_LARGEST as u64 {
            return None;
        }
        for _ in 0..largest {
            let key = decode_slice(input)?.to_vec();
            let (bytes, rows) = (decode_u64(input)?, decode_u64(input)?);
            sizes.largest.push(LargePartition { key, bytes, rows });
        }
        let buckets = decode_u64(input)?;
        if buckets > BUCKETS as u64 {
            return None;
        }
        for _ in 0..buckets {
            let bucket = usize::try_from(decode_u64(input)?).ok().filter(|b| *b < BUCKETS)?;
            sizes.histogram.push((bound(bucket), decode_u64(input)?));
        }
        sizes.histogram.is_sorted_by(|a, b| a.0 < b.0).then_some(sizes)
    }
}

/// The greatest size that a bucket holds.
fn bound(bucket: usize) -> u64 {
    if bucket + 1 < BUCKETS { 1 << bucket } else { u64::MAX }
}

fn bucket_of(bytes: u64) -> usize {
    let bits = u64::BITS - bytes.saturating_sub(1).leading_zeros();
    (bits as usize).min(BUCKETS - 1)
}

/// Gathers sizes while a file is written.
#[derive(Debug)]
pub(super) struct PartitionSizesBuilder {
    sizes: PartitionSizes,
    counts: [u64; BUCKETS],
}

impl Default for PartitionSizesBuilder {
    fn default() -> Self {
        PartitionSizesBuilder { sizes: PartitionSizes::default(), counts: [0; BUCKETS] }
    }
}

impl PartitionSizesBuilder {
    /// A partition is whole.
    pub(super) fn partition(&mut self, key: &[u8], bytes: u64, rows: u64) {
        self.counts[bucket_of(bytes)] += 1;
        self.sizes.max_bytes = self.sizes.max_bytes.max(bytes);
        let largest = &mut self.sizes.largest;
        let is_full = largest.len() >= PartitionSizes::MOST_LARGEST;
        if key.len() > PartitionSizes::LONGEST_KEY
            || (is_full && largest.last().is_some_and(|least| least.bytes >= bytes))
        {
            return;
        }
        // The memory of the one that has to go serves the one that comes.
        let mut partition = match is_full.then(|| largest.pop()).flatten() {
            Some(gone) => LargePartition { bytes, rows, ..gone },
            None => LargePartition { key: Vec::new(), bytes, rows },
        };
        partition.key.clear();
        partition.key.extend_from_slice(key);
        let place = largest.partition_point(|other| other.bytes >= bytes);
        largest.insert(place, partition);
    }

    /// What came together.
    pub(super) fn finish(mut self, written_at: Timestamp) -> PartitionSizes {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        self.sizes.histogram = counts.map(|(bucket, count)| (bound(bucket), *count)).collect();
        self.sizes.written_at = written_at;
        self.sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(partitions: impl IntoIterator<Item = (u64, u64)>) -> PartitionSizes {
        let mut builder = PartitionSizesBuilder::default();
        for (key, bytes) in partitions {
            builder.partition(&key.to_be_bytes(), bytes, 1);
        }
        builder.finish(7)
    }

    #[test]
    fn the_largest_are_kept_in_order() {
        let sizes = sizes((0..100).map(|i| (i, (i * 37) % 101 + 1)));
        let mut all: Vec<u64> = (0..100).map(|i| (i * 37) % 101 + 1).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let kept: Vec<u64> = sizes.largest.iter().map(|partition| partition.bytes).collect();
        assert_eq!(kept, all[..PartitionSizes::MOST_LARGEST]);
        for partition in &sizes.largest {
            let key = u64::from_be_bytes(partition.key[..].try_into().unwrap());
            assert_eq!((key * 37) % 101 + 1, partition.bytes);
        }
        assert_eq!(sizes.max_bytes, all[0]);
        assert_eq!(sizes.histogram.iter().map(|(_, count)| count).sum::<u64>(), 100);
    }

    #[test]
    fn buckets_hold_what_is_not_above_their_bound() {
        let sizes = sizes([(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, u64::MAX)]);
        assert_eq!(sizes.histogram, [(1, 1), (2, 1), (4, 2), (8, 1), (u64::MAX, 1)]);
    }

    #[test]
    fn a_long_key_is_not_named_but_counted() {
        let mut builder = PartitionSizesBuilder::default();
        builder.partition(&[1; PartitionSizes::LONGEST_KEY + 1], 500, 1);
        builder.partition(&[1; 9], 5, 1);
        let sizes = builder.finish(0);
        assert_eq!((sizes.max_bytes, sizes.largest.len()), (500, 1));
        assert_eq!(sizes.histogram, [(8, 1), (512, 1)]);
    }

    #[test]
    fn they_survive_their_encoding_and_damage_is_told() {
        let sizes = sizes((0..50).map(|i| (i, i * i)));
        let mut bytes = Vec::new();
        sizes.encode(&mut bytes);
        assert_eq!(PartitionSizes::decode(&mut &bytes[..]), Some(sizes));
        for cut in 0..bytes.len() {
            assert_eq!(PartitionSizes::decode(&mut &bytes[..cut]), None, "{cut}");
        }
    }
}
