//! The shared buffer: what was appended and is not written yet.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::LogPosition;
use super::accounting::Accounting;
use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES};
use super::options::CommitLogOptions;
use crate::StorageError;
use crate::model::mutation::Mutation;
use crate::model::mutation_codec::encode_mutation;
use crate::schema::TableId;
use crate::varint::encode_u64;

/// What was appended and is not written yet, and all that an append needs.
#[derive(Debug)]
pub(super) struct Buffer {
    /// The segment that appends go to, and where its next frame begins or the open one began.
    segment: u64,
    offset: u32,
    /// The open frame, with room for its header; empty if there is none.
    frame: Vec<u8>,
    /// The table of the open frame's last record.
    last_table: Option<TableId>,
    /// Frames that were closed because their segment was full.
    closed: VecDeque<Chunk>,
    pending_bytes: usize,
    /// Segment ids below this may be given out.
    pub(super) reserved: u64,
    pub(super) accounting: Accounting,
    pub(super) health: Health,
    segment_bytes: u32,
    pending_limit: usize,
}

/// Whether the log takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    /// The disk is full. What was appended waits in memory.
    Full(PathBuf),
    /// A sync or write failed: for good.
    Fenced(PathBuf),
}

impl Health {
    pub(super) fn check(&self) -> Result<(), StorageError> {
        match self {
            Health::Fine => Ok(()),
            Health::Full(file) => Err(StorageError::DiskFull { file: file.clone() }),
            Health::Fenced(file) => Err(StorageError::Fenced { file: file.clone() }),
        }
    }
}

/// A frame to be written, its header still to be filled in.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) segment: u64,
    pub(super) offset: u32,
    /// Empty if only a seal is to be written.
    pub(super) frame: Vec<u8>,
    /// Whether the segment ends here.
    pub(super) seals: bool,
}

impl Buffer {
    pub(super) fn new(
        first_segment: u64,
        reserved: u64,
        accounting: Accounting,
        options: &CommitLogOptions,
    ) -> Self {
        Buffer {
            segment: first_segment,
            offset: FILE_HEADER_BYTES,
            frame: Vec::new(),
            last_table: None,
            closed: VecDeque::new(),
            pending_bytes: 0,
            reserved,
            accounting,
            health: Health::Fine,
            segment_bytes: options.segment_bytes,
            pending_limit: options.pending_bytes,
        }
    }

    /// Where the next record goes, at the earliest.
    pub(super) fn end(&self) -> LogPosition {
        LogPosition { segment: self.segment, offset: self.offset + self.frame.len() as u32 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frame.is_empty() && self.closed.is_empty()
    }

    pub(super) fn append(&mut self, mutation: &Mutation) -> Result<LogPosition, StorageError> {
        self.health.check()?;
        let pending = self.pending_bytes + self.frame.len();
        if pending > self.pending_limit {
            return Err(StorageError::LogBehind { pending });
        }
        let (start, bytes) = self.push(mutation);
        let limit = self.segment_bytes as usize / 2;
        if bytes > limit {
            self.take_back(start);
            return Err(StorageError::MutationTooLarge { bytes, limit });
        }
        let mut at = start;
        // There is always room left for a seal.
        if self.offset as usize + self.frame.len() + FRAME_HEADER_BYTES
            > self.segment_bytes as usize
        {
            self.take_back(start);
            if self.segment + 1 >= self.reserved {
                return Err(StorageError::LogBehind { pending });
            }
            self.roll();
            (at, _) = self.push(mutation);
        }
        self.last_table = Some(mutation.table);
        let position = LogPosition { segment: self.segment, offset: self.offset + at as u32 };
        self.accounting.appended(mutation.table, position);
        Ok(position)
    }

    /// Adds a record to the open frame; says where in it, and how long the mutation is.
    fn push(&mut self, mutation: &Mutation) -> (usize, usize) {
        if self.frame.is_empty() {
            self.frame.resize(FRAME_HEADER_BYTES, 0);
            self.last_table = None;
        }
        let start = self.frame.len();
        encode_mutation(&mut self.frame, mutation, self.last_table);
        let end = self.frame.len();
        encode_u64(&mut self.frame, (end - start) as u64);
        // The length is known last and comes first.
        let len_bytes = self.frame.len() - end;
        self.frame[start..].rotate_right(len_bytes);
        (start, end - start)
    }

    /// Undoes the record that begins at `start` of the open frame.
    fn take_back(&mut self, start: usize) {
        self.frame.truncate(start);
        if start == FRAME_HEADER_BYTES {
            self.frame.clear();
        }
    }

    /// Ends the segment.
    fn roll(&mut self) {
        self.close_frame(true, Vec::new());
        self.segment += 1;
        self.offset = FILE_HEADER_BYTES;
        self.accounting.begin(self.segment);
    }

    fn close_frame(&mut self, seals: bool, next: Vec<u8>) {
        let frame = std::mem::replace(&mut self.frame, next);
        self.pending_bytes += frame.len();
        let chunk = Chunk { segment: self.segment, offset: self.offset, frame, seals };
        self.offset += chunk.frame.len() as u32;
        self.closed.push_back(chunk);
    }

    /// Takes what is to be written. `spare` becomes the new open frame's memory.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> VecDeque<Chunk> {
        if !self.frame.is_empty() {
            self.close_frame(false, spare);
        }
        std::mem::take(&mut self.closed)
    }

    /// So many bytes were written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
    }
}
