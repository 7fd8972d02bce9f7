//! What one connection has counted and not told yet.
//!
//! Counters are shared by all cores: a request that touched four of them would pay for it with more than its memtable.
//! Requests of one turn mostly are of one kind and about equally fast, so runs of them are told as one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::histogram::Bucket;
use super::{Histogram, Metrics, Outcome, RequestKind};

/// A run of requests that count alike. It must be [told](Tally::tell) before the connection waits for anything.
#[derive(Debug, Default)]
pub struct Tally {
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    kind: RequestKind,
    outcome: Outcome,
    bucket: Bucket,
    count: u64,
    sum_ns: u64,
}

impl Tally {
    /// Counts a request that is answered.
    pub fn observe(
        &mut self,
        metrics: &Metrics,
        kind: RequestKind,
        outcome: Outcome,
        latency: Duration,
    ) {
        let bucket = Histogram::bucket_of(latency);
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        match &mut self.run {
            Some(run) if (run.kind, run.outcome, run.bucket) == (kind, outcome, bucket) => {
                run.count += 1;
                run.sum_ns = run.sum_ns.saturating_add(nanos);
            }
            _ => {
                self.tell(metrics);
                self.run = Some(Run { kind, outcome, bucket, count: 1, sum_ns: nanos });
            }
        }
    }

    /// Adds what was counted to the metrics of all.
    pub fn tell(&mut self, metrics: &Metrics) {
        let Some(Run { kind, outcome, bucket, count, sum_ns }) = self.run.take() else { return };
        metrics.requests[kind as usize][outcome as usize].fetch_add(count, Ordering::Relaxed);
        metrics.latency[kind as usize].observe(bucket, count, sum_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_in_the_end() {
        let (metrics, mut tally) = (Metrics::default(), Tally::default());
        for (kind, outcome, micros) in [
            (RequestKind::Read, Outcome::Ok, 1),
            (RequestKind::Read, Outcome::Ok, 2),
            (RequestKind::Read, Outcome::Ok, 2_000),
            (RequestKind::Read, Outcome::Timeout, 2_000),
            (RequestKind::Write, Outcome::Ok, 1),
        ] {
            tally.observe(&metrics, kind, outcome, Duration::from_micros(micros));
        }
        assert_eq!(metrics.requests(RequestKind::Write, Outcome::Ok), 0, "not told yet");
        tally.tell(&metrics);
        tally.tell(&metrics);
        assert_eq!(metrics.requests(RequestKind::Read, Outcome::Ok), 3);
        assert_eq!(metrics.requests(RequestKind::Read, Outcome::Timeout), 1);
        assert_eq!(metrics.requests(RequestKind::Write, Outcome::Ok), 1);
        assert_eq!(metrics.latency[RequestKind::Read as usize].count(), 4);
    }
}
