//! Metrics of tables and of the commit log.
//!
//! Labels are the keyspace and the table. A node may have thousands of tables, and each label set is a line for ever in
//! whatever scrapes it: only the largest tables get lines of their own, all others together make one more.

use std::cmp::Reverse;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tholos_storage::commitlog::CommitLogStats;
use tholos_storage::engine::TableStats;
use tholos_storage::read::figures::{Distribution, ReadDistributions};

/// The labels of the tables that have no lines of their own.
pub(super) const OTHERS: &str = "(others)";

/// Bounds of what a point read touches.
const SSTABLE_BOUNDS: [u64; 7] = [0, 1, 2, 4, 8, 16, 32];
/// Bounds of rows and tombstones of a read.
const ENTRY_BOUNDS: [u64; 9] = [0, 1, 8, 64, 512, 4096, 32_768, 262_144, 2_097_152];
/// Bounds of a sync of the commit log, in microseconds.
const SYNC_BOUNDS_US: [u64; 15] = [
    64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 1_048_576,
    4_194_304,
];

/// What is told of a table, or of several together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Line {
    keyspace: String,
    table: String,
    sstables: u64,
    sstable_bytes: u64,
    memtable_bytes: u64,
    pending_compactions: u64,
    backlog_bytes: u64,
    max_partition_bytes: u64,
    writes: u64,
    reads: ReadDistributions,
}

impl Line {
    fn of(table: &TableStats) -> Line {
        Line {
            keyspace: table.keyspace.clone(),
            table: table.name.clone(),
            sstables: table.files.len() as u64,
            sstable_bytes: table.file_bytes(),
            memtable_bytes: table.memtable_bytes as u64,
            pending_compactions: table.pending_compactions as u64,
            backlog_bytes: table.compaction_backlog_bytes,
            max_partition_bytes: table.max_partition_bytes,
            writes: table.writes,
            reads: table.reads.clone(),
        }
    }

    fn merge(&mut self, other: &Line) {
        self.sstables += other.sstables;
        self.sstable_bytes += other.sstable_bytes;
        self.memtable_bytes += other.memtable_bytes;
        self.pending_compactions += other.pending_compactions;
        self.backlog_bytes += other.backlog_bytes;
        self.max_partition_bytes = self.max_partition_bytes.max(other.max_partition_bytes);
        self.writes += other.writes;
        self.reads.merge(&other.reads);
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [("keyspace", &self.keyspace), ("table", &self.table)]
    }
}

/// The largest tables one by one, the rest as one.
fn lines(tables: &[TableStats], most: usize) -> Vec<Line> {
    let mut by_size: Vec<&TableStats> = tables.iter().collect();
    by_size.sort_by_key(|table| {
        let bytes = table.file_bytes() + table.memtable_bytes as u64;
        (Reverse(bytes), &table.keyspace, &table.name)
    });
    let (own, rest) = by_size.split_at(most.min(by_size.len()));
    let mut lines: Vec<Line> = own.iter().map(|table| Line::of(table)).collect();
    lines.sort_by(|a, b| a.labels().cmp(&b.labels()));
    if !rest.is_empty() {
        let (keyspace, table) = (OTHERS.to_string(), OTHERS.to_string());
        let mut others = Line { keyspace, table, ..Line::default() };
        rest.iter().for_each(|table| others.merge(&Line::of(table)));
        lines.push(others);
    }
    lines
}

/// A value of a table: name, what it is, whether it only grows, and where to find it.
type Value = (&'static str, &'static str, bool, fn(&Line) -> u64);

const VALUES: [Value; 9] = [
    ("table_sstables", "SSTables of a table.", false, |line| line.sstables),
    ("table_sstable_bytes", "Bytes of a table's SSTables.", false, |line| line.sstable_bytes),
    ("table_memtable_bytes", "Bytes of a table's memtables.", false, |line| line.memtable_bytes),
    (
        "table_max_partition_bytes",
        "The largest partition of any SSTable of a table, before compression.",
        false,
        |line| line.max_partition_bytes,
    ),
    ("table_pending_compactions", "Compactions of a table that would start now.", false, |line| {
        line.pending_compactions
    }),
    (
        "table_compaction_backlog_bytes",
        "Bytes that compactions of a table would rewrite now.",
        false,
        |line| line.backlog_bytes,
    ),
    ("table_writes", "Mutations applied to a table.", true, |line| line.writes),
    ("table_reads", "Rows read by key, and walks.", true, |line| line.reads.rows.count()),
    ("table_rows_read", "Rows that reads of a table found.", true, |line| line.reads.rows.sum),
];

/// A distribution of a table.
type Spread = (&'static str, &'static str, &'static [u64], fn(&Line) -> &Distribution);

const SPREADS: [Spread; 3] = [
    (
        "table_sstables_per_read",
        "SSTables looked into by a read of one row.",
        &SSTABLE_BOUNDS,
        |line| &line.reads.sstables,
    ),
    (
        "table_tombstones_per_read",
        "Deleted and expired rows, partition deletions and range markers walked over by a read.",
        &ENTRY_BOUNDS,
        |line| &line.reads.tombstones,
    ),
    ("table_rows_per_read", "Rows that exist found by a read.", &ENTRY_BOUNDS, |line| {
        &line.reads.rows
    }),
];

/// Encodes the metrics of tables, of at most so many by themselves.
pub(super) fn encode_tables(
    encoder: &mut DescriptorEncoder<'_>,
    tables: &[TableStats],
    most: usize,
) -> Result<(), fmt::Error> {
    let lines = lines(tables, most);
    for (name, help, only_grows, value) in VALUES {
        let kind = if only_grows { MetricType::Counter } else { MetricType::Gauge };
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for line in &lines {
            let labels = line.labels();
            let encoder = family.encode_family(&labels)?;
            match only_grows {
                true => ConstCounter::new(value(line)).encode(encoder)?,
                false => {
                    let value = i64::try_from(value(line)).unwrap_or(i64::MAX);
                    ConstGauge::new(value).encode(encoder)?;
                }
            }
        }
    }
    for (name, help, bounds, distribution) in SPREADS {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for line in &lines {
            let histogram = Buckets { distribution: distribution(line), bounds, unit: 1.0 };
            let labels = line.labels();
            histogram.encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// Encodes how long syncs of the commit log took.
pub(super) fn encode_syncs(
    encoder: &mut DescriptorEncoder<'_>,
    log: &CommitLogStats,
) -> Result<(), fmt::Error> {
    let syncs = Buckets { distribution: &log.syncs, bounds: &SYNC_BOUNDS_US, unit: 1e-6 };
    let help = "Syncs of the commit log.";
    let unit = Unit::Seconds;
    let kind = syncs.metric_type();
    syncs.encode(encoder.encode_descriptor("commitlog_sync_duration", help, Some(&unit), kind)?)
}

/// A distribution in fewer buckets.
struct Buckets<'d> {
    distribution: &'d Distribution,
    /// Bounds of some of its buckets, ascending.
    bounds: &'static [u64],
    /// What one of the distribution's numbers is worth.
    unit: f64,
}

impl EncodeMetric for Buckets<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let mut below = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len() + 1);
        for bound in self.bounds {
            let up_to = self.distribution.up_to(*bound);
            buckets.push((*bound as f64 * self.unit, up_to - below));
            below = up_to;
        }
        let count = self.distribution.count();
        buckets.push((f64::INFINITY, count - below));
        let sum = self.distribution.sum as f64 * self.unit;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use tholos_storage::read::figures::BUCKETS;
    use tholos_storage::schema::TableId;
    use uuid::Uuid;

    use super::*;

    fn table(name: &str, bytes: u64) -> TableStats {
        let mut reads = ReadDistributions::default();
        reads.rows.add(bytes, 2);
        TableStats {
            id: TableId(Uuid::from_u128(1)),
            keyspace: "ks".to_string(),
            name: name.to_string(),
            memtable_bytes: 1,
            files: vec![(1, bytes)],
            partitions: 1,
            max_partition_bytes: bytes / 2,
            pending_compactions: 1,
            compaction_backlog_bytes: bytes,
            writes: 3,
            reads,
        }
    }

    #[test]
    fn only_the_largest_tables_have_lines_of_their_own() {
        let tables: Vec<TableStats> = (1..=9).map(|i| table(&format!("t{i}"), i * 10)).collect();
        let lines = lines(&tables, 2);
        let names: Vec<&str> = lines.iter().map(|line| line.table.as_str()).collect();
        assert_eq!(names, ["t8", "t9", OTHERS]);
        let others = &lines[2];
        assert_eq!(others.sstable_bytes, (1..=7).map(|i| i * 10).sum::<u64>());
        assert_eq!((others.sstables, others.writes, others.max_partition_bytes), (7, 21, 35));
        assert_eq!((others.reads.rows.count(), others.reads.rows.max), (14, 70));
        assert_eq!(super::lines(&tables, 9).len(), 9, "no others, no line for them");
    }

    #[test]
    fn bounds_of_metrics_are_bounds_of_buckets() {
        let known: Vec<u64> = (0..BUCKETS).map(Distribution::bound).collect();
        for bounds in [&SSTABLE_BOUNDS[..], &ENTRY_BOUNDS, &SYNC_BOUNDS_US] {
            assert!(bounds.is_sorted());
            assert!(bounds.iter().all(|bound| known.contains(bound)), "{bounds:?}");
        }
    }
}
