//! A latency histogram without locks: a counter per bucket, the sum beside them.
//!
//! Buckets are fixed, each a step of about 1.6 above the last, from 10 microseconds to 10 seconds. A reader may see a
//! request counted whose time is not in the sum yet; nothing else can go apart.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in microseconds; what is above all of them goes to one more bucket.
const BOUNDS_US: [u64; 29] = [
    10, 16, 25, 40, 63, 100, 160, 250, 400, 630, 1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000,
    25_000, 40_000, 63_000, 100_000, 160_000, 250_000, 400_000, 630_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A bucket of a [`Histogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(usize);

/// Latencies of one kind of request.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// The bucket of a latency.
    pub fn bucket_of(latency: Duration) -> Bucket {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        Bucket(BOUNDS_US.partition_point(|bound| bound * 1000 < nanos))
    }

    /// Counts some of one bucket; `sum_ns` is all of them together.
    pub fn observe(&self, bucket: Bucket, count: u64, sum_ns: u64) {
        self.buckets[bucket.0].fetch_add(count, Ordering::Relaxed);
        self.sum_ns.fetch_add(sum_ns, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

impl EncodeMetric for &Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sum = self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds
            .zip(&self.buckets)
            .map(|(bound, bucket)| (bound, bucket.load(Ordering::Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_goes_to_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 10, 11, 10_000_000, 10_000_001] {
            histogram.observe(
                Histogram::bucket_of(Duration::from_micros(micros)),
                1,
                micros * 1_000,
            );
        }
        let load = |i: usize| histogram.buckets[i].load(Ordering::Relaxed);
        assert_eq!((load(0), load(1), load(28), load(29)), (2, 1, 1, 1));
        assert_eq!(histogram.count(), 5);
        assert!(BOUNDS_US.is_sorted());
    }
}
