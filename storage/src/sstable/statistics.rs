//! What a file says about its content: for compaction, purging and skipping of whole files.

use std::collections::BTreeMap;

use super::partition_sizes::{PartitionSizes, PartitionSizesBuilder};
use crate::model::{Deletion, Seconds, Timestamp};
use crate::varint::{decode_i64, decode_slice, decode_u64, encode_i64, encode_slice, encode_u64};

/// What one row contributes to the statistics; the row codec's transcoding yields it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSummary {
    /// Least timestamp of anything in the row.
    pub min_timestamp: Timestamp,
    /// Greatest timestamp of anything in the row.
    pub max_timestamp: Timestamp,
    /// Least timestamp of what is not a tombstone; `i64::MAX` if everything is.
    pub min_live_timestamp: Timestamp,
    /// Least `deleted_at` or `expires_at`; `Seconds::MAX` if nothing is deleted or expires.
    pub min_deleted_at: Seconds,
    /// Greatest `deleted_at` or `expires_at`; `Seconds::MAX` if anything in it lives for ever.
    pub max_deleted_at: Seconds,
    /// Greatest `deleted_at` of its tombstones and `expires_at` of what expires; only meaningful if `tombstones > 0`.
    pub last_tombstone: Seconds,
    /// Cells, tombstones among them.
    pub cells: u32,
    /// Row deletion, complex deletions, cell tombstones and expiring cells.
    pub tombstones: u32,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Partitions.
    pub partitions: u64,
    /// Rows, static ones too.
    pub rows: u64,
    /// Cells, tombstones among them.
    pub cells: u64,
    /// Deletions and expiring cells of all kinds; a range tombstone counts once.
    pub tombstones: u64,
    /// Partition deletions.
    pub partition_deletions: u64,
    /// Range tombstones.
    pub range_deletions: u64,
    /// Least timestamp, deletions too.
    pub min_timestamp: Timestamp,
    /// Greatest timestamp, deletions too.
    pub max_timestamp: Timestamp,
    /// Least timestamp of what is not a tombstone; `i64::MAX` if there is none.
    pub min_live_timestamp: Timestamp,
    /// Least `deleted_at` or `expires_at`; `Seconds::MAX` if there is none.
    pub min_deleted_at: Seconds,
    /// Greatest `deleted_at` or `expires_at`; `Seconds::MAX` if anything lives for ever, `MIN` if there is nothing.
    pub max_deleted_at: Seconds,
    /// Least key.
    pub min_key: Vec<u8>,
    /// Greatest key.
    pub max_key: Vec<u8>,
    /// Tombstones by the time they were made: the end of each time bucket and how many are in it, ascending, at most
    /// [`Statistics::HISTOGRAM_BUCKETS`].
    pub tombstone_times: Vec<(Seconds, u64)>,
    /// Bytes of all blocks before compression.
    pub uncompressed_bytes: u64,
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// How large its partitions are; `None` in files that were written before this was gathered.
    pub partition_sizes: Option<PartitionSizes>,
}

impl Statistics {
    /// How many buckets `tombstone_times` has at most.
    pub const HISTOGRAM_BUCKETS: usize = 64;
    /// Added to the number of buckets when partition sizes follow: statistics without them have their old form.
    const WITH_PARTITION_SIZES: u64 = 128;
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            partitions: 0,
            rows: 0,
            cells: 0,
            tombstones: 0,
            partition_deletions: 0,
            range_deletions: 0,
            min_timestamp: Timestamp::MAX,
            max_timestamp: Timestamp::MIN,
            min_live_timestamp: Timestamp::MAX,
            min_deleted_at: Seconds::MAX,
            max_deleted_at: Seconds::MIN,
            min_key: Vec::new(),
            max_key: Vec::new(),
            tombstone_times: Vec::new(),
            uncompressed_bytes: 0,
            file_bytes: 0,
            partition_sizes: None,
        }
    }
}

impl Statistics {
    /// About how many tombstones were made (or expired) at or before that time; never too many.
    pub fn tombstones_until(&self, seconds: Seconds) -> u64 {
        let ended = self.tombstone_times.iter().take_while(|(end, _)| *end <= seconds);
        ended.map(|(_, count)| count).sum()
    }

    /// Appends the encoded statistics.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [
            self.partitions,
            self.rows,
            self.cells,
            self.tombstones,
            self.partition_deletions,
            self.range_deletions,
            self.uncompressed_bytes,
            self.file_bytes,
        ] {
            encode_u64(out, number);
        }
        for number in [
            self.min_timestamp,
            self.max_timestamp,
            self.min_live_timestamp,
            self.min_deleted_at,
            self.max_deleted_at,
        ] {
            encode_i64(out, number);
        }
        encode_slice(out, &self.min_key);
        encode_slice(out, &self.max_key);
        let extended = if self.partition_sizes.is_some() { Self::WITH_PARTITION_SIZES } else { 0 };
        encode_u64(out, self.tombstone_times.len() as u64 + extended);
        for (end, count) in &self.tombstone_times {
            encode_i64(out, *end);
            encode_u64(out, *count);
        }
        if let Some(sizes) = &self.partition_sizes {
            sizes.encode(out);
        }
    }

    /// Takes encoded statistics off the front; `None` if they are malformed.
    pub fn decode(input: &mut &[u8]) -> Option<Statistics> {
        let mut statistics = Statistics {
            partitions: decode_u64(input)?,
            rows: decode_u64(input)?,
            cells: decode_u64(input)?,
            tombstones: decode_u64(input)?,
            partition_deletions: decode_u64(input)?,
            range_deletions: decode_u64(input)?,
            uncompressed_bytes: decode_u64(input)?,
            file_bytes: decode_u64(input)?,
            min_timestamp: decode_i64(input)?,
            max_timestamp: decode_i64(input)?,
            min_live_timestamp: decode_i64(input)?,
            min_deleted_at: decode_i64(input)?,
            max_deleted_at: decode_i64(input)?,
            min_key: decode_slice(input)?.to_vec(),
            max_key: decode_slice(input)?.to_vec(),
            tombstone_times: Vec::new(),
            partition_sizes: None,
        };
        let number = decode_u64(input)?;
        let buckets = number % Self::WITH_PARTITION_SIZES;
        if buckets > Self::HISTOGRAM_BUCKETS as u64 || number >= 2 * Self::WITH_PARTITION_SIZES {
            return None;
        }
        for _ in 0..buckets {
            statistics.tombstone_times.push((decode_i64(input)?, decode_u64(input)?));
        }
        if number >= Self::WITH_PARTITION_SIZES {
            statistics.partition_sizes = Some(PartitionSizes::decode(input)?);
        }
        Some(statistics)
    }
}

/// Gathers statistics while a file is written.
#[derive(Debug, Default)]
pub(super) struct StatisticsBuilder {
    pub(super) statistics: Statistics,
    times: TombstoneTimes,
    sizes: PartitionSizesBuilder,
    /// Of the partition that is being written.
    partition_bytes: u64,
    rows_before: u64,
}

impl StatisticsBuilder {
    pub(super) fn row(&mut self, row: &RowSummary) {
        let statistics = &mut self.statistics;
        statistics.rows += 1;
        statistics.cells += u64::from(row.cells);
        statistics.tombstones += u64::from(row.tombstones);
        statistics.min_timestamp = statistics.min_timestamp.min(row.min_timestamp);
        statistics.max_timestamp = statistics.max_timestamp.max(row.max_timestamp);
        statistics.min_live_timestamp = statistics.min_live_timestamp.min(row.min_live_timestamp);
        statistics.min_deleted_at = statistics.min_deleted_at.min(row.min_deleted_at);
        statistics.max_deleted_at = statistics.max_deleted_at.max(row.max_deleted_at);
        if row.tombstones > 0 {
            self.times.add(row.last_tombstone, u64::from(row.tombstones));
        }
    }

    pub(super) fn partition_deletion(&mut self, deletion: Deletion) {
        self.statistics.partition_deletions += 1;
        self.deletion(deletion);
        self.statistics.tombstones += 1;
        self.times.add(deletion.deleted_at, 1);
    }

    /// A marker: its opening side counts as a range deletion.
    pub(super) fn marker(&mut self, before: Deletion, after: Deletion) {
        for side in [before, after].into_iter().filter(|side| !side.is_none()) {
            self.deletion(side);
        }
        if !after.is_none() {
            self.statistics.range_deletions += 1;
            self.statistics.tombstones += 1;
            self.times.add(after.deleted_at, 1);
        }
    }

    fn deletion(&mut self, deletion: Deletion) {
        let statistics = &mut self.statistics;
        statistics.min_timestamp = statistics.min_timestamp.min(deletion.timestamp);
        statistics.max_timestamp = statistics.max_timestamp.max(deletion.timestamp);
        statistics.min_deleted_at = statistics.min_deleted_at.min(deletion.deleted_at);
        statistics.max_deleted_at = statistics.max_deleted_at.max(deletion.deleted_at);
    }

    /// An entry of the current partition took so many bytes.
    pub(super) fn entry_bytes(&mut self, bytes: u64) {
        self.partition_bytes += bytes;
    }

    /// The current partition, if there is one, is whole.
    pub(super) fn end_partition(&mut self, key: &[u8]) {
        if key.is_empty() {
            return;
        }
        let rows = self.statistics.rows - self.rows_before;
        self.sizes.partition(key, self.partition_bytes, rows);
        (self.partition_bytes, self.rows_before) = (0, self.statistics.rows);
    }

    pub(super) fn finish(mut self, written_at: Timestamp) -> Statistics {
        self.statistics.tombstone_times = self.times.buckets.into_iter().collect();
        self.statistics.partition_sizes = Some(self.sizes.finish(written_at));
        self.statistics
    }
}

/// Counts by time; buckets get wider as they get too many.
#[derive(Debug)]
struct TombstoneTimes {
    width: Seconds,
    buckets: BTreeMap<Seconds, u64>,
}

impl Default for TombstoneTimes {
    fn default() -> Self {
        TombstoneTimes { width: 60, buckets: BTreeMap::new() }
    }
}

impl TombstoneTimes {
    fn add(&mut self, at: Seconds, count: u64) {
        *self.buckets.entry(self.end_of_bucket(at)).or_default() += count;
        while self.buckets.len() > Statistics::HISTOGRAM_BUCKETS {
            self.width = self.width.saturating_mul(2);
            for (end, count) in std::mem::take(&mut self.buckets) {
                *self.buckets.entry(self.end_of_bucket(end)).or_default() += count;
            }
        }
    }

    fn end_of_bucket(&self, at: Seconds) -> Seconds {
        match at.rem_euclid(self.width) {
            0 => at,
            into => at.saturating_add(self.width - into),
        }
    }
}
