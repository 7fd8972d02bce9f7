//! What reads of a table cost, counted as they pass: SSTables touched, tombstones walked over, rows found.
//!
//! A point read adds to one counter and a walk to four, all relaxed; nothing is locked or allocated. The counters lie
//! apart from the table's own state, so that counting does not take that state's cache lines from other cores. Counts are
//! since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a [`Distribution`]: 0, 1, 2, up to 4, up to 8, ... and all above 2^22.
pub const BUCKETS: usize = 25;

/// Point reads that touched so many SSTables or more are counted together.
const MANY_FILES: usize = 16;

/// How a point read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointOutcome {
    /// Nothing was there.
    Absent,
    /// The row exists.
    Live,
    /// What was there is deleted or expired.
    Dead,
}

/// Counters of one table.
#[derive(Debug, Default)]
pub struct ReadFigures {
    /// By number of SSTables touched, then by outcome: all that there is to say of a point read is in one counter.
    points: [[AtomicU64; 3]; MANY_FILES + 1],
    /// SSTables that those in the last row touched beyond as many as it says.
    more_files: AtomicU64,
    most_files: AtomicU64,
    walk_rows: Histogram,
    walk_tombstones: Histogram,
}

impl ReadFigures {
    /// Counts a read of one row.
    pub fn point(&self, files: usize, outcome: PointOutcome) {
        self.points[files.min(MANY_FILES)][outcome as usize].fetch_add(1, Ordering::Relaxed);
        if files >= MANY_FILES {
            self.more_files.fetch_add((files - MANY_FILES) as u64, Ordering::Relaxed);
            self.most_files.fetch_max(files as u64, Ordering::Relaxed);
        }
    }

    /// Counts a walk.
    pub fn walk(&self, rows: u64, tombstones: u64) {
        self.walk_rows.add(rows);
        self.walk_tombstones.add(tombstones);
    }

    /// The counters of now.
    pub fn snapshot(&self) -> ReadDistributions {
        let mut all = ReadDistributions {
            sstables: Distribution::default(),
            tombstones: self.walk_tombstones.snapshot(),
            rows: self.walk_rows.snapshot(),
        };
        for (files, outcomes) in self.points.iter().enumerate() {
            let [absent, live, dead] = outcomes.each_ref().map(|n| n.load(Ordering::Relaxed));
            all.sstables.add(files as u64, absent + live + dead);
            all.rows.add(1, live);
            all.rows.add(0, absent + dead);
            all.tombstones.add(1, dead);
            all.tombstones.add(0, absent + live);
        }
        all.sstables.sum += self.more_files.load(Ordering::Relaxed);
        all.sstables.max = all.sstables.max.max(self.most_files.load(Ordering::Relaxed));
        all
    }
}

/// What reads of a table cost, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadDistributions {
    /// SSTables looked into by each read of one row; those that a filter or the range of their keys excludes don't count.
    pub sstables: Distribution,
    /// Entries that no reader sees (deleted and expired rows, partition deletions, range markers), for each read of one
    /// row and each walk.
    pub tombstones: Distribution,
    /// Rows that exist, for each read of one row and each walk.
    pub rows: Distribution,
}

impl ReadDistributions {
    /// Adds another table's.
    pub fn merge(&mut self, other: &ReadDistributions) {
        self.sstables.merge(&other.sstables);
        self.tombstones.merge(&other.tombstones);
        self.rows.merge(&other.rows);
    }
}

/// How often numbers of which size came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// By bucket; [`bound`](Self::bound) says what each holds.
    pub counts: [u64; BUCKETS],
    /// All numbers together.
    pub sum: u64,
    /// The greatest number.
    pub max: u64,
}

impl Distribution {
    /// The greatest number that a bucket holds; `u64::MAX` for the last.
    pub fn bound(bucket: usize) -> u64 {
        match bucket {
            0 => 0,
            _ if bucket + 1 < BUCKETS => 1 << (bucket - 1),
            _ => u64::MAX,
        }
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number that a share of all numbers (0 to 1) is not above, rounded up to its bucket's bound, but not above the
    /// greatest number; 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = (share * self.count() as f64).ceil().max(1.0);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen as f64 >= rank {
                return Self::bound(bucket).min(self.max);
            }
        }
        0
    }

    /// How many numbers are at most `limit`, which is a bucket's bound.
    pub fn up_to(&self, limit: u64) -> u64 {
        let buckets = self.counts.iter().enumerate();
        buckets.filter(|(bucket, _)| Self::bound(*bucket) <= limit).map(|(_, count)| count).sum()
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Distribution) {
        self.counts.iter_mut().zip(other.counts).for_each(|(to, from)| *to += from);
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Counts a number that came so often.
    pub fn add(&mut self, number: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.counts[bucket_of(number)] += times;
        self.sum = self.sum.saturating_add(number.saturating_mul(times));
        self.max = self.max.max(number);
    }
}

/// The bucket that holds a number.
fn bucket_of(number: u64) -> usize {
    match number {
        0 => 0,
        // The least power of two that is not below the number.
        _ => ((u64::BITS - (number - 1).leading_zeros()) as usize + 1).min(BUCKETS - 1),
    }
}

/// A [`Distribution`] that is counted by many threads.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Histogram {
    /// Counts a number.
    pub fn add(&self, number: u64) {
        self.counts[bucket_of(number)].fetch_add(1, Ordering::Relaxed);
        if number > 0 {
            self.sum.fetch_add(number, Ordering::Relaxed);
        }
        // Looked at first: a greatest number rarely changes, and reading is no write to a shared line.
        if number > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(number, Ordering::Relaxed);
        }
    }

    /// The counts of now.
    pub fn snapshot(&self) -> Distribution {
        Distribution {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        let bounds: Vec<u64> = (0..6).map(Distribution::bound).collect();
        assert_eq!(bounds, [0, 1, 2, 4, 8, 16]);
        assert_eq!(Distribution::bound(BUCKETS - 2), 1 << 22);
        assert_eq!(Distribution::bound(BUCKETS - 1), u64::MAX);
        for (number, bucket) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (8, 4), (9, 5)] {
            assert_eq!(bucket_of(number), bucket, "{number}");
        }
        assert_eq!(bucket_of(1 << 22), BUCKETS - 2);
        assert_eq!(bucket_of((1 << 22) + 1), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_point_read_counts_for_all_three() {
        let figures = ReadFigures::default();
        figures.point(0, PointOutcome::Live);
        figures.point(2, PointOutcome::Dead);
        figures.point(3, PointOutcome::Absent);
        figures.point(40, PointOutcome::Live);
        figures.walk(100, 7);
        let all = figures.snapshot();
        assert_eq!((all.sstables.count(), all.sstables.sum, all.sstables.max), (4, 45, 40));
        assert_eq!((all.rows.count(), all.rows.sum, all.rows.max), (5, 102, 100));
        assert_eq!((all.tombstones.count(), all.tombstones.sum, all.tombstones.max), (5, 8, 7));
        assert_eq!(all.sstables.quantile(0.5), 2);
        assert_eq!(all.rows.quantile(0.99), 100, "not above the greatest number");
        assert_eq!(all.tombstones.quantile(0.5), 0);
        assert_eq!(ReadFigures::default().snapshot().rows.quantile(0.5), 0);
    }

    proptest! {
        #[test]
        fn quantiles_are_in_the_bucket_of_the_exact_one(
            mut numbers in prop::collection::vec(0u64..5_000_000, 1..200),
            share in 0.0f64..=1.0,
        ) {
            let (histogram, mut distribution) = (Histogram::default(), Distribution::default());
            for number in &numbers {
                histogram.add(*number);
                distribution.add(*number, 1);
            }
            prop_assert_eq!(&histogram.snapshot(), &distribution);
            numbers.sort_unstable();
            let rank = ((share * numbers.len() as f64).ceil() as usize).max(1);
            let exact = numbers[rank - 1];
            let told = distribution.quantile(share);
            prop_assert_eq!(bucket_of(told), bucket_of(exact));
            prop_assert!(told >= exact);
            for bucket in 0..BUCKETS {
                let bound = Distribution::bound(bucket);
                let at_most = numbers.iter().filter(|number| **number <= bound).count() as u64;
                prop_assert_eq!(distribution.up_to(bound), at_most);
            }
        }
    }
}
