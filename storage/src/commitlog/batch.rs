//! Batches: what a replay hands out. Records are still encoded, so that whoever applies them may decode them in threads,
//! and sort them, which keeps what a thread touches close together.

use std::path::Path;
use std::sync::Arc;

use super::LogPosition;
use crate::StorageError;
use crate::model::mutation::Mutation;
use crate::model::mutation_codec::decode_record;
use crate::schema::TableId;

/// Takes what a replay finds.
pub trait Replayer {
    /// Whether a record is needed: it is not if it is in an SSTable, or its table is gone.
    fn wants(&self, table: TableId, position: LogPosition) -> bool;

    /// Whether a table is neither there nor known to be gone, so that leaving out its records would lose them.
    fn is_lost(&self, _table: TableId) -> bool {
        false
    }

    /// About how many bytes of records a batch shall have.
    fn batch_bytes(&self) -> usize;

    /// Takes the next records that it wants; batches come in the order of the log.
    ///
    /// # Errors
    /// The replay ends.
    fn apply(&mut self, batch: Batch) -> Result<(), StorageError>;

    /// All records were handed out; returns once they are all applied.
    ///
    /// # Errors
    /// The replay ends.
    fn finish(&mut self) -> Result<(), StorageError>;
}

/// Some records of one segment.
#[derive(Clone, Debug)]
pub struct Batch {
    segment: u64,
    path: Arc<Path>,
    file: Arc<Vec<u8>>,
    records: Vec<LogRecord>,
    bytes: usize,
}

/// A record that is not decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its table.
    pub table: TableId,
    /// The first 8 bytes of its partition's prefix: the token, in an order that unsigned numbers have.
    pub(super) token: u64,
    /// Offset of its length in the segment.
    pub(super) offset: u32,
    /// Bytes after its length.
    pub(super) len: u32,
}

impl Batch {
    pub(super) fn new(segment: u64, path: Arc<Path>, file: Arc<Vec<u8>>) -> Batch {
        Batch { segment, path, file, records: Vec::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, record: LogRecord) {
        self.bytes += record.len as usize;
        self.records.push(record);
    }

    /// The records so far; it is empty then.
    pub(super) fn take(&mut self) -> Batch {
        let next = self.clone_empty();
        std::mem::replace(self, next)
    }

    /// Bytes of the encoded records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records, in the order of the log unless they were sorted.
    pub fn records(&self) -> &[LogRecord] {
        &self.records
    }

    /// Where a record of this batch is.
    pub fn position(&self, record: &LogRecord) -> LogPosition {
        LogPosition { segment: self.segment, offset: record.offset }
    }

    /// What a record of this batch says.
    ///
    /// # Errors
    /// `Corrupt` if it is no mutation although its checksum matches.
    pub fn decode(&self, record: &LogRecord) -> Result<Mutation, StorageError> {
        let mutation = decode_record(&self.file, record.offset as usize, record.table);
        mutation.ok_or_else(|| malformed(&self.path, record.offset))
    }

    /// Cuts it into at most `parts` (a power of two) by equal ranges of the ring, so that no partition is in two of them.
    pub fn split(self, parts: usize) -> Vec<Batch> {
        let bits = parts.max(1).ilog2();
        let part = |record: &LogRecord| record.token.checked_shr(u64::BITS - bits).unwrap_or(0);
        let mut cut: Vec<Batch> = (0..1 << bits).map(|_| self.clone_empty()).collect();
        for record in &self.records {
            if let Some(batch) = cut.get_mut(part(record) as usize) {
                batch.push(*record);
            }
        }
        cut.retain(|batch| !batch.records.is_empty());
        cut
    }

    /// Sorts the records by table and token; those of one partition stay in order.
    pub fn sort(&mut self) {
        self.records.sort_unstable_by_key(|record| (record.table, record.token, record.offset));
    }

    fn clone_empty(&self) -> Batch {
        Batch::new(self.segment, Arc::clone(&self.path), Arc::clone(&self.file))
    }
}

pub(super) fn malformed(path: &Path, offset: u32) -> StorageError {
    StorageError::Corrupt {
        file: path.to_path_buf(),
        offset: u64::from(offset),
        what: "a record is malformed although its checksum matches".into(),
    }
}
