//! Metrics: counted without locks where requests pass, gathered when somebody asks.
//!
//! [`Metrics`] holds what connections and sessions count. What other parts know of themselves (memtables, the commit
//! log, SSTables) is asked of them at each scrape, as [`Gauges`].

mod histogram;
mod tables;
mod tally;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tholos_storage::commitlog::CommitLogStats;
use tholos_storage::engine::TableStats;

pub use self::histogram::Histogram;
pub use self::tally::Tally;

/// Kinds of requests, as metrics tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RequestKind {
    Read,
    Write,
    Batch,
    Schema,
    Prepare,
    Other,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Ok,
    /// The client's mistake: syntax, an unknown table, a wrong type, a broken message.
    ClientError,
    /// Not enough replicas, too much work.
    Unavailable,
    /// It took too long.
    Timeout,
    /// The server's fault.
    ServerError,
}

impl RequestKind {
    const ALL: [(RequestKind, &'static str); 6] = [
        (RequestKind::Read, "read"),
        (RequestKind::Write, "write"),
        (RequestKind::Batch, "batch"),
        (RequestKind::Schema, "schema"),
        (RequestKind::Prepare, "prepare"),
        (RequestKind::Other, "other"),
    ];
}

impl Outcome {
    const ALL: [(Outcome, &'static str); 5] = [
        (Outcome::Ok, "ok"),
        (Outcome::ClientError, "client_error"),
        (Outcome::Unavailable, "unavailable"),
        (Outcome::Timeout, "timeout"),
        (Outcome::ServerError, "server_error"),
    ];
}

/// What is counted as requests pass.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [[AtomicU64; Outcome::ALL.len()]; RequestKind::ALL.len()],
    latency: [Histogram; RequestKind::ALL.len()],
    /// Connections that are open.
    pub connections: AtomicI64,
    /// Connections ever accepted.
    pub connections_accepted: AtomicU64,
    /// Connections refused because there were too many.
    pub connections_refused: AtomicU64,
    /// Connections closed because a frame was not finished in time.
    pub unfinished_frames: AtomicU64,
    /// Bytes read from clients.
    pub received_bytes: AtomicU64,
    /// Bytes written to clients.
    pub sent_bytes: AtomicU64,
    /// EXECUTEs whose statement was not in the cache.
    pub prepared_misses: AtomicU64,
    /// Statements planned anew because the schema changed.
    pub replans: AtomicU64,
    /// Requests that had to wait for the disk to read from it.
    pub cold_requests: AtomicU64,
    /// Writes that had to wait for room in memory.
    pub stalled_writes: AtomicU64,
    /// Writes that had to wait because another request had a lock of their partition.
    pub contended_writes: AtomicU64,
    /// Reads that were too long for the threads that serve connections.
    pub long_reads: AtomicU64,
    /// Reads, or pages of them, that walked over more tombstones than `reads.tombstone_warn_threshold`.
    pub tombstone_warnings: AtomicU64,
}

impl Metrics {
    /// How many requests of that kind ended so.
    pub fn requests(&self, kind: RequestKind, outcome: Outcome) -> u64 {
        self.requests[kind as usize][outcome as usize].load(Ordering::Relaxed)
    }
}

/// Asked at each scrape: name, what it is, unit, value.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// The name, without the prefix `tholos_`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Whether it only grows.
    pub counter: bool,
    /// The value.
    pub value: u64,
}

/// What other parts know of themselves at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Single figures.
    pub gauges: Vec<Gauge>,
    /// Tables.
    pub tables: Vec<TableStats>,
    /// How many of those, the largest, are told one by one; the others are told together.
    pub most_tables: usize,
    /// The commit log.
    pub log: CommitLogStats,
}

/// Who knows gauges.
pub trait Gauges: Send + Sync + 'static {
    /// All of them, now.
    fn sample(&self) -> Sample;
}

/// Metrics in Prometheus' text format.
pub struct Exporter {
    registry: Registry,
}

impl Exporter {
    /// An exporter of what is counted and of what these know.
    pub fn new(metrics: Arc<Metrics>, gauges: Arc<dyn Gauges>) -> Exporter {
        let mut registry = Registry::with_prefix("tholos");
        registry.register_collector(Box::new(Source { metrics, gauges }));
        Exporter { registry }
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a String does not fail.
            Err(fmt::Error) => String::new(),
        }
    }
}

struct Source {
    metrics: Arc<Metrics>,
    gauges: Arc<dyn Gauges>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.encode_requests(&mut encoder)?;
        let sample = self.gauges.sample();
        tables::encode_tables(&mut encoder, &sample.tables, sample.most_tables)?;
        tables::encode_syncs(&mut encoder, &sample.log)?;
        let metrics = &*self.metrics;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let open = u64::try_from(metrics.connections.load(Ordering::Relaxed)).unwrap_or(0);
        let mut all = vec![
            gauge("connections", "Client connections that are open.", open),
            counter("connections_accepted", "Connections.", load(&metrics.connections_accepted)),
            counter(
                "connections_refused",
                "Refused connections.",
                load(&metrics.connections_refused),
            ),
            counter(
                "unfinished_frames",
                "Connections closed because a frame was not finished in time.",
                load(&metrics.unfinished_frames),
            ),
            counter("received_bytes", "Bytes read from clients.", load(&metrics.received_bytes)),
            counter("sent_bytes", "Bytes written to clients.", load(&metrics.sent_bytes)),
            counter(
                "prepared_misses",
                "EXECUTE of unknown statements.",
                load(&metrics.prepared_misses),
            ),
            counter("replans", "Plans made anew after schema changes.", load(&metrics.replans)),
            counter(
                "cold_requests",
                "Requests that had to wait for the disk to read from it.",
                load(&metrics.cold_requests),
            ),
            counter(
                "stalled_writes",
                "Writes that had to wait for room in memory.",
                load(&metrics.stalled_writes),
            ),
            counter(
                "contended_writes",
                "Writes that had to wait because another request had a lock of their partition.",
                load(&metrics.contended_writes),
            ),
        ];
        let log = &sample.log;
        all.extend([
            counter(
                "long_reads",
                "Reads that were too long for the threads that serve connections.",
                load(&metrics.long_reads),
            ),
            counter(
                "tombstone_warnings",
                "Reads, or pages of them, over reads.tombstone_warn_threshold.",
                load(&metrics.tombstone_warnings),
            ),
            gauge("commitlog_bytes", "Bytes of commit log segments in use.", log.bytes),
            gauge("commitlog_segments", "Commit log segments in use.", log.segments),
            counter("commitlog_written_bytes", "Bytes of the commit log.", log.written_bytes),
            counter("commitlog_syncs", "Syncs of the commit log.", log.syncs.count()),
            counter(
                "commitlog_recycled_segments",
                "Commit log segments done with, whose files are used again.",
                log.recycled_segments,
            ),
        ]);
        all.extend(sample.gauges);
        for Gauge { name, help, counter, value } in all {
            if counter {
                let metric = ConstCounter::new(value);
                let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
                metric.encode(encoder)?;
            } else {
                let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
                metric.encode(encoder)?;
            }
        }
        Ok(())
    }
}

impl Source {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let metric = ConstCounter::new(0u64);
        let help = "Requests answered, by kind and outcome.";
        let mut requests =
            encoder.encode_descriptor("requests", help, None, metric.metric_type())?;
        for (kind, kind_name) in RequestKind::ALL {
            for (outcome, outcome_name) in Outcome::ALL {
                let labels = [("kind", kind_name), ("outcome", outcome_name)];
                let metric = ConstCounter::new(self.metrics.requests(kind, outcome));
                metric.encode(requests.encode_family(&labels)?)?;
            }
        }
        let help = "From the request's last byte read to its answer made.";
        let unit = Unit::Seconds;
        let kind = (&self.metrics.latency[0]).metric_type();
        let mut latency = encoder.encode_descriptor("request_duration", help, Some(&unit), kind)?;
        for (kind, kind_name) in RequestKind::ALL {
            let histogram = &self.metrics.latency[kind as usize];
            histogram.encode(latency.encode_family(&[("kind", kind_name)])?)?;
        }
        Ok(())
    }
}

/// A value that goes up and down.
pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Gauge {
    Gauge { name, help, counter: false, value }
}

/// A value that only grows.
pub fn counter(name: &'static str, help: &'static str, value: u64) -> Gauge {
    Gauge { name, help, counter: true, value }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Two;

    impl Gauges for Two {
        fn sample(&self) -> Sample {
            let gauges = vec![gauge("memtable_bytes", "m", 7), counter("flushes", "f", 9)];
            Sample { gauges, ..Sample::default() }
        }
    }

    #[test]
    fn the_text_has_every_kind_and_outcome() {
        let metrics = Arc::new(Metrics::default());
        let mut tally = Tally::default();
        tally.observe(&metrics, RequestKind::Read, Outcome::Ok, Duration::from_micros(20));
        tally.observe(&metrics, RequestKind::Read, Outcome::Ok, Duration::from_micros(30));
        tally.observe(&metrics, RequestKind::Write, Outcome::Timeout, Duration::from_secs(11));
        tally.tell(&metrics);
        metrics.connections.fetch_add(3, Ordering::Relaxed);
        let text = Exporter::new(metrics, Arc::new(Two)).text();
        for line in [
            "tholos_requests_total{kind=\"read\",outcome=\"ok\"} 2",
            "tholos_requests_total{kind=\"write\",outcome=\"timeout\"} 1",
            "tholos_request_duration_seconds_count{kind=\"read\"} 2",
            "tholos_request_duration_seconds_bucket{le=\"0.000025\",kind=\"read\"} 1",
            "tholos_request_duration_seconds_bucket{le=\"+Inf\",kind=\"write\"} 1",
            "tholos_connections 3",
            "tholos_memtable_bytes 7",
            "tholos_flushes_total 9",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
