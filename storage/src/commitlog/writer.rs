//! Writing and syncing what has gathered. One at a time: whoever does it holds the [`LogWriter`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::LogPosition;
use super::buffer::Chunk;
use super::figures::LogFigures;
use super::frame::{FILE_HEADER_BYTES, finish_frame, seal_frame};
use super::segments::Segments;
use crate::StorageError;
use crate::fs::File;
use crate::planted::planted;

/// Frames larger than this do not leave their memory for the next.
const MAX_SPARE_BYTES: usize = 8 << 20;

/// The writing end of the log.
#[derive(Debug)]
pub(super) struct LogWriter {
    pub(super) segments: Segments,
    /// Taken from the buffer, not yet written.
    backlog: VecDeque<Chunk>,
    active: Option<Active>,
    spare: Vec<u8>,
    /// Segments to recycle once everything before is written.
    pub(super) released: Vec<u64>,
    figures: Arc<LogFigures>,
}

#[derive(Debug)]
struct Active {
    segment: u64,
    file: Arc<dyn File>,
    written: u32,
    synced: u32,
}

/// What went wrong, and whether trying again may help.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) error: StorageError,
    pub(super) lasting: bool,
}

impl LogWriter {
    pub(super) fn new(segments: Segments, figures: Arc<LogFigures>) -> Self {
        LogWriter {
            segments,
            backlog: VecDeque::new(),
            active: None,
            spare: Vec::new(),
            released: Vec::new(),
            figures,
        }
    }

    /// Memory for the next frame.
    pub(super) fn take_spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    pub(super) fn enqueue(&mut self, chunks: VecDeque<Chunk>) {
        self.backlog.extend(chunks);
    }

    /// Writes the backlog, as far as it gets; `written` is told the bytes.
    pub(super) fn write(&mut self, written: &mut dyn FnMut(usize)) -> Result<(), WriteError> {
        while let Some(mut chunk) = self.backlog.pop_front() {
            if let Err(error) = self.write_chunk(&mut chunk) {
                self.backlog.push_front(chunk);
                return Err(error);
            }
            written(chunk.frame.len());
            if chunk.frame.capacity() <= MAX_SPARE_BYTES {
                chunk.frame.clear();
                self.spare = chunk.frame;
            }
        }
        Ok(())
    }

    /// Syncs what was written. Returns where the durable part of the log ends, if it is known to have grown.
    pub(super) fn sync(&mut self) -> Result<Option<LogPosition>, WriteError> {
        let Some(active) = &mut self.active else { return Ok(None) };
        if active.synced < active.written {
            if !planted!(AcknowledgeBeforeSync) {
                self.figures.time_sync(|| active.file.sync_data()).map_err(|error| {
                    let error = StorageError::io("sync", active.file.path(), error);
                    WriteError { error, lasting: !planted!(RetryFailedSync) }
                })?;
            }
            active.synced = active.written;
        }
        Ok(Some(LogPosition { segment: active.segment, offset: active.synced }))
    }

    fn write_chunk(&mut self, chunk: &mut Chunk) -> Result<(), WriteError> {
        let active = match &mut self.active {
            Some(active) if active.segment == chunk.segment => active,
            _ => self.activate(chunk.segment)?,
        };
        let mut end = chunk.offset + chunk.frame.len() as u32;
        if !chunk.frame.is_empty() {
            finish_frame(&mut chunk.frame, chunk.segment, chunk.offset, active.synced);
        }
        let bare_len = chunk.frame.len();
        if chunk.seals {
            let seal = seal_frame(chunk.segment, end, active.synced);
            chunk.frame.extend_from_slice(&seal);
            end += seal.len() as u32;
        }
        let result = active.file.write_all_at(&chunk.frame, u64::from(chunk.offset));
        chunk.frame.truncate(bare_len);
        result.map_err(|error| {
            let error = StorageError::io("write", active.file.path(), error);
            WriteError { lasting: !matches!(error, StorageError::DiskFull { .. }), error }
        })?;
        active.written = end;
        self.figures.written_bytes.fetch_add(u64::from(end - chunk.offset), Ordering::Relaxed);
        // A segment is whole on disk before the next one begins: a gap before valid frames is damage, never a crash.
        if chunk.seals { self.sync().map(drop) } else { Ok(()) }
    }

    fn activate(&mut self, segment: u64) -> Result<&mut Active, WriteError> {
        let file = self.segments.activate(segment).map_err(|error| {
            let lasting = !matches!(error, StorageError::DiskFull { .. });
            WriteError { error, lasting }
        })?;
        let active =
            Active { segment, file, written: FILE_HEADER_BYTES, synced: FILE_HEADER_BYTES };
        Ok(self.active.insert(active))
    }
}
