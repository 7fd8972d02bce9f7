//! How an SSTable is written.

use crate::model::Timestamp;
use crate::model::entry::RowRef;
use crate::sstable::{KeyTypes, RowSummary};

/// How blocks are compressed. A block that does not get smaller is stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4, block format.
    Lz4,
    /// Zstandard at a level of 1 to 22.
    Zstd {
        /// The level.
        level: i32,
    },
}

/// Rewrites a row's body relative to another base, appending it to the buffer, and says what is in the row. An error says
/// what is wrong with it.
pub type RowTranscode = fn(RowRef<'_>, Timestamp, &mut Vec<u8>) -> Result<RowSummary, String>;

/// Looks into a stored row and says what is in it. An error says what is wrong with the row.
pub type RowCheck = fn(RowRef<'_>) -> Result<RowSummary, String>;

/// Options of an SSTable to be written.
#[derive(Clone, Copy, Debug)]
pub struct SsTableOptions {
    /// How blocks are compressed.
    pub compression: Compression,
    /// A block is closed when it has this many bytes, before compression.
    pub block_bytes: usize,
    /// Share of absent partitions that the filter may let through, 0.0001 to 1; at 1 there is no filter.
    pub filter_false_positives: f64,
    /// What the rows' timestamps are stored relative to: best the least of them.
    pub base: Timestamp,
    /// When this is, in microseconds since 1970: for the statistics. 0 if it is not known.
    pub written_at: Timestamp,
    /// The types of the partition key.
    pub key_types: KeyTypes,
    /// The row codec.
    pub transcode: RowTranscode,
}

impl SsTableOptions {
    /// The usual options: LZ4, blocks of 16 KiB, 1 % false positives.
    pub fn new(base: Timestamp, transcode: RowTranscode) -> Self {
        SsTableOptions {
            compression: Compression::Lz4,
            block_bytes: 16 << 10,
            filter_false_positives: 0.01,
            base,
            written_at: 0,
            key_types: KeyTypes::NONE,
            transcode,
        }
    }
}
