//! The commit log: every mutation is here before it is acknowledged, until its table is flushed.
//!
//! One log per data directory, a row of segment files that are recycled and overwritten in place (`segments.rs`), each
//! made of checksummed frames (`frame.rs`). Writers append to a shared buffer under a short lock (`buffer.rs`); a
//! thread writes and syncs what has gathered as one frame and wakes those who wait (`shared.rs`, `writer.rs`). A
//! segment is recycled when every table that has records in it is flushed beyond them (`accounting.rs`).
//! `docs/format-commitlog.md` has the bytes.
//!
//! A failed sync fences the log for good: what is on disk is then unknown, and a second sync would lie. A full disk
//! does not: appends are refused until what waits in memory could be written.

mod accounting;
mod batch;
mod buffer;
mod durable;
mod figures;
mod frame;
mod options;
mod replay;
mod segments;
mod shared;
mod verify;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::accounting::Accounting;
pub use self::batch::{Batch, LogRecord, Replayer};
use self::buffer::Buffer;
pub use self::figures::CommitLogStats;
pub use self::options::{CommitLogOptions, ReplayReport, SetAside, SyncDriver, SyncMode};
use self::replay::Replay;
pub use self::replay::read_segment;
use self::segments::Segments;
use self::shared::Shared;
pub use self::verify::{DamagedSegment, verify_segments};
use crate::StorageError;
use crate::fs::Fs;
use crate::model::mutation::Mutation;
use crate::schema::TableId;

/// How long to wait before trying again on a full disk.
const FULL_DISK_RETRY: Duration = Duration::from_millis(100);

/// A place in the log. Ids of segments only ever grow, also across restarts; the default is before every record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// The segment's id.
    pub segment: u64,
    /// Offset in bytes within the segment.
    pub offset: u32,
}

impl LogPosition {
    /// After every record there will ever be: for `mark_flushed` of a dropped table.
    pub const END: LogPosition = LogPosition { segment: u64::MAX, offset: u32::MAX };
}

/// The commit log of a data directory. Dropped, it writes and syncs what was appended, if it has a thread of its own.
#[derive(Debug)]
pub struct CommitLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl CommitLog {
    /// Has the log in `dir` (created if missing) replayed, then opens it for appending. Segments that hold a record which
    /// `replayer` wanted stay until its table is flushed.
    ///
    /// # Errors
    /// `Corrupt` for a bad record that valid ones follow, unless `set_aside_damaged`; what `replayer` returns.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: CommitLogOptions,
        replayer: &mut dyn Replayer,
    ) -> Result<(CommitLog, ReplayReport), StorageError> {
        let mut segments = Segments::open(fs.clone(), dir, options)?;
        let mut replay = Replay {
            fs: &*fs,
            options,
            replayer,
            report: ReplayReport::default(),
            accounting: Accounting::default(),
            rescued: Vec::new(),
        };
        let damaged = replay.run(&segments)?;
        let Replay { mut report, mut accounting, rescued, .. } = replay;
        let first = segments.reserved().max(options.first_segment);
        let reserved = segments.reserve(first)?;
        accounting.begin(first);
        accounting.take_released();
        for (segment, _) in segments.live() {
            if !accounting.needs(segment) && !damaged.contains(&segment) {
                segments.release(segment);
            }
        }
        segments.settle()?;
        if let Some(job) = segments.begin_preparing() {
            job.run()?;
            segments.end_preparing(&job, true);
        }
        let buffer = Buffer::new(first, reserved, accounting, &options);
        let log =
            CommitLog { shared: Arc::new(Shared::new(options, buffer, segments)), thread: None };
        log.set_damaged_aside(&damaged, rescued, &mut report)?;
        Ok((log.with_thread()?, report))
    }

    /// Logs anew what could be read of damaged segments, then moves their files away.
    fn set_damaged_aside(
        &self,
        damaged: &[u64],
        rescued: Vec<(u64, Mutation)>,
        report: &mut ReplayReport,
    ) -> Result<(), StorageError> {
        for (_, mutation) in rescued {
            match self.append(&mutation) {
                Err(StorageError::LogBehind { .. }) => {
                    self.sync()?;
                    self.append(&mutation)?;
                }
                result => drop(result?),
            }
        }
        if !damaged.is_empty() {
            self.sync()?;
        }
        for (segment, set_aside) in damaged.iter().zip(&mut report.set_aside) {
            set_aside.file = self.shared.writer.lock().segments.set_aside(*segment)?;
        }
        Ok(())
    }

    fn with_thread(mut self) -> Result<CommitLog, StorageError> {
        if self.shared.options.driver == SyncDriver::Thread {
            let shared = self.shared.clone();
            let thread =
                std::thread::Builder::new().name("commit-log".into()).spawn(move || shared.run());
            let failed = |error| {
                StorageError::Unusable(format!("the commit log's thread cannot start: {error}"))
            };
            self.thread = Some(thread.map_err(failed)?);
        }
        Ok(self)
    }

    /// Appends a mutation to the buffer. Never waits for the disk. To be called, and the mutation applied to its
    /// memtable, under one lock that a flush of the table takes too: see [`end`](Self::end).
    ///
    /// # Errors
    /// `Fenced`, `DiskFull`, `MutationTooLarge`, `LogBehind`: nothing was appended.
    pub fn append(&self, mutation: &Mutation) -> Result<LogPosition, StorageError> {
        let mut buffer = self.shared.buffer.lock();
        let was_empty = buffer.is_empty();
        let position = buffer.append(mutation);
        drop(buffer);
        if was_empty && self.thread.is_some() {
            self.shared.signal();
        }
        position
    }

    /// Whether the record at `position` counts as logged (see [`SyncMode`]); if not, the waker is called when it does,
    /// or when it is known that it does not.
    ///
    /// # Errors
    /// `Fenced`: what is on disk is unknown. `DiskFull`: it is not on disk, but may get there once there is room.
    pub fn poll_durable(
        &self,
        position: LogPosition,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), StorageError>> {
        let shared = &*self.shared;
        if shared.counts_as_logged(position) {
            return Poll::Ready(shared.buffer_health_if_periodic());
        }
        if shared.options.mode == SyncMode::Batch && self.thread.is_some() {
            return Poll::Ready(shared.flush(true));
        }
        if let Err(error) = shared.buffer.lock().health.check() {
            // It may have become durable just before.
            return Poll::Ready(if shared.counts_as_logged(position) {
                Ok(())
            } else {
                Err(error)
            });
        }
        if !shared.durable.register(position, context.waker()) {
            return Poll::Ready(Ok(()));
        }
        // A failure just before the registration has not called this waker.
        match shared.buffer.lock().health.check() {
            Err(error) if !shared.counts_as_logged(position) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }

    /// Whether a record counts as logged as soon as it is appended: in `periodic` mode.
    pub fn counts_at_once(&self) -> bool {
        matches!(self.shared.options.mode, SyncMode::Periodic { .. })
    }

    /// Waits, blocking the thread, until the record at `position` counts as logged.
    ///
    /// # Errors
    /// As [`poll_durable`](Self::poll_durable).
    pub fn wait_durable(&self, position: LogPosition) -> Result<(), StorageError> {
        let shared = &*self.shared;
        if self.thread.is_none() || shared.options.mode == SyncMode::Batch {
            return if shared.counts_as_logged(position) { Ok(()) } else { shared.flush(true) };
        }
        while !shared.counts_as_logged(position) {
            if let Err(error) = shared.buffer.lock().health.check() {
                return if shared.counts_as_logged(position) { Ok(()) } else { Err(error) };
            }
            shared.durable.wait_beyond(position);
        }
        shared.buffer_health_if_periodic()
    }

    /// Writes and syncs everything appended so far, in the calling thread, whatever the mode.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.shared.flush(true)
    }

    /// Makes a file for the next segment, if there is none and this log has no thread that would; whether it did.
    pub fn prepare_step(&self) -> bool {
        self.thread.is_none() && self.shared.prepare_in_turn()
    }

    /// Where the next record goes, at the earliest: everything appended so far is strictly before it. A flush takes it
    /// while it holds the table's append locks; it is the flushed position that goes to the manifest.
    pub fn end(&self) -> LogPosition {
        self.shared.buffer.lock().end()
    }

    /// Says that all records of the table strictly before `up_to` are in SSTables (or the table is gone): segments that
    /// nobody needs any more are recycled.
    pub fn mark_flushed(&self, table: TableId, up_to: LogPosition) {
        self.shared.buffer.lock().accounting.flushed(table, up_to);
    }

    /// The oldest segment that a restart would read; 0 if that can't be told, because the disk takes no more.
    pub fn oldest_segment(&self) -> u64 {
        let mut writer = self.shared.writer.lock();
        if writer.segments.settle().is_err() {
            return 0;
        }
        let live = writer.segments.live().first().map(|(segment, _)| *segment);
        live.unwrap_or_else(|| self.shared.buffer.lock().end().segment)
    }

    /// Tables to flush to bring the log below its size limit: those with records in the oldest segments. Empty while
    /// the log is within its limit.
    pub fn needs_flush(&self) -> Vec<TableId> {
        let options = &self.shared.options;
        let allowed = usize::try_from(options.total_bytes / u64::from(options.segment_bytes))
            .unwrap_or(usize::MAX);
        let buffer = self.shared.buffer.lock();
        match buffer.accounting.in_use().checked_sub(allowed) {
            None | Some(0) => Vec::new(),
            Some(excess) => buffer.accounting.tables_of_oldest(excess),
        }
    }

    /// Whether it takes writes.
    ///
    /// # Errors
    /// `DiskFull` for now, `Fenced` for good.
    pub fn health(&self) -> Result<(), StorageError> {
        self.shared.buffer.lock().health.check()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> CommitLogStats {
        let segments = self.shared.buffer.lock().accounting.in_use() as u64;
        self.shared.figures.snapshot(segments, self.shared.options.segment_bytes)
    }

    /// Lets syncs be timed, for [`stats`](Self::stats), by a clock that tells microseconds.
    pub fn time_syncs(&self, clock: impl Fn() -> i64 + Send + Sync + 'static) {
        self.shared.figures.set_clock(Box::new(clock));
    }
}

impl Drop for CommitLog {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let mut signals = self.shared.signals.lock();
            signals.stop = true;
            self.shared.work.notify_all();
            drop(signals);
            if thread.join().is_err() {
                tracing::error!("the commit log's thread panicked");
            }
            let mut writer = self.shared.writer.lock();
            if let Err(error) = writer.segments.settle() {
                tracing::warn!(%error, "released commit log segments will be replayed in vain");
            }
        }
    }
}

#[cfg(test)]
mod tests;
