//! Size-tiered compaction: files of about one size are merged when there are enough of them.

use super::{FileStats, Job, Strategy};

/// Files of about one size are merged when there are enough of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeTiered {
    /// How many it takes.
    pub min_threshold: usize,
    /// How many at once, at most.
    pub max_threshold: usize,
    /// Files below this size count as one size.
    pub min_file_bytes: u64,
    /// A file belongs to a bucket if its size is between these shares of the bucket's average.
    pub bucket: (f64, f64),
}

struct Bucket {
    average: f64,
    files: Vec<FileStats>,
}

impl SizeTiered {
    /// The files by size, smallest buckets first.
    fn buckets(&self, files: &[FileStats]) -> Vec<Bucket> {
        let mut sorted = files.to_vec();
        sorted.sort_by_key(|file| (file.bytes, file.number));
        let mut buckets: Vec<Bucket> = Vec::new();
        for file in sorted {
            // In ascending order only the last bucket can take the file.
            match buckets.last_mut().filter(|bucket| self.belongs(&file, bucket)) {
                Some(bucket) => bucket.add(file),
                None => {
                    buckets.push(Bucket { average: file.bytes as f64, files: vec![file] });
                }
            }
        }
        buckets
    }

    fn belongs(&self, file: &FileStats, bucket: &Bucket) -> bool {
        let bytes = file.bytes as f64;
        let similar =
            bytes > bucket.average * self.bucket.0 && bytes < bucket.average * self.bucket.1;
        let both_small =
            file.bytes < self.min_file_bytes && bucket.average < self.min_file_bytes as f64;
        similar || both_small
    }

    fn ready<'a>(&self, buckets: &'a [Bucket]) -> impl Iterator<Item = &'a Bucket> {
        let min_threshold = self.min_threshold.max(2);
        buckets.iter().filter(move |bucket| bucket.files.len() >= min_threshold)
    }
}

impl Bucket {
    fn add(&mut self, file: FileStats) {
        let count = self.files.len() as f64;
        self.average = (self.average * count + file.bytes as f64) / (count + 1.0);
        self.files.push(file);
    }
}

impl Strategy for SizeTiered {
    fn pick(&self, files: &[FileStats]) -> Option<Job> {
        let buckets = self.buckets(files);
        // Small files first: they cost the least, and there are the most of them to come.
        let bucket = self.ready(&buckets).next()?;
        let taken = bucket.files.iter().take(self.max_threshold.max(2));
        let mut inputs: Vec<u64> = taken.map(|file| file.number).collect();
        inputs.sort_unstable();
        Some(Job { inputs })
    }

    fn backlog(&self, files: &[FileStats]) -> u64 {
        let buckets = self.buckets(files);
        self.ready(&buckets).flat_map(|bucket| &bucket.files).map(|file| file.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compaction::Strategy as _;

    const MIB: u64 = 1 << 20;

    fn strategy() -> SizeTiered {
        SizeTiered {
            min_threshold: 4,
            max_threshold: 32,
            min_file_bytes: 50 * MIB,
            bucket: (0.5, 1.5),
        }
    }

    fn files(sizes: &[u64]) -> Vec<FileStats> {
        let numbered = sizes.iter().zip(1..);
        numbered.map(|(mib, number)| FileStats { number, bytes: mib * MIB }).collect()
    }

    fn picked(sizes: &[u64]) -> Option<Vec<u64>> {
        strategy().pick(&files(sizes)).map(|job| job.inputs)
    }

    #[test]
    fn files_of_a_size_go_together() {
        assert_eq!(picked(&[]), None);
        assert_eq!(picked(&[100, 100, 100]), None, "too few");
        assert_eq!(picked(&[100, 110, 90, 105]), Some(vec![1, 2, 3, 4]));
        assert_eq!(picked(&[100, 400, 1600, 6400]), None, "all of different sizes");
        assert_eq!(
            picked(&[1000, 100, 110, 90, 105]),
            Some(vec![2, 3, 4, 5]),
            "without the big one"
        );
        assert_eq!(picked(&[1, 49, 20, 5]), Some(vec![1, 2, 3, 4]), "small files are of one size");
        let two_buckets = [200, 210, 190, 205, 1000, 1010, 990, 1005];
        assert_eq!(picked(&two_buckets), Some(vec![1, 2, 3, 4]), "smaller ones first");
        assert_eq!(picked(&[1; 40]).map(|inputs| inputs.len()), Some(32));
    }

    #[test]
    fn the_backlog_is_what_is_ready() {
        assert_eq!(strategy().backlog(&files(&[100, 110, 90, 105, 1000])), 405 * MIB);
        assert_eq!(strategy().backlog(&files(&[100, 1000])), 0);
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_it_ends(sizes in prop::collection::vec(1..5000_u64, 0..60)) {
            let mut files = files(&sizes);
            let picked = strategy().pick(&files);
            files.reverse();
            prop_assert_eq!(&strategy().pick(&files), &picked);
            let mut next = 1000;
            while let Some(job) = strategy().pick(&files) {
                prop_assert!(job.inputs.len() >= 4);
                let inputs = |file: &FileStats| job.inputs.contains(&file.number);
                let bytes = files.iter().filter(|file| inputs(file)).map(|file| file.bytes).sum();
                files.retain(|file| !inputs(file));
                files.push(FileStats { number: next, bytes });
                next += 1;
            }
            prop_assert_eq!(strategy().backlog(&files), 0);
        }
    }
}
