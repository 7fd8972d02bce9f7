//! What appending, waiting and syncing threads share, and the thread that syncs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::buffer::{Buffer, Health};
use super::durable::Durable;
use super::figures::LogFigures;
use super::segments::{FileJob, Segments};
use super::writer::{LogWriter, WriteError};
use super::{CommitLogOptions, FULL_DISK_RETRY, LogPosition, SyncMode};
use crate::StorageError;

/// How long what was appended may wait before it is handed to the system, in periodic mode.
const PERIODIC_WRITE: Duration = Duration::from_millis(10);
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: CommitLogOptions,
    pub(super) buffer: Mutex<Buffer>,
    pub(super) work: Condvar,
    pub(super) signals: Mutex<Signals>,
    pub(super) writer: Mutex<LogWriter>,
    pub(super) durable: Durable,
    pub(super) figures: Arc<LogFigures>,
}

/// What the sync thread should know.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) appended: bool,
    pub(super) stop: bool,
    pub(super) asleep: bool,
}

impl Shared {
    pub(super) fn new(options: CommitLogOptions, buffer: Buffer, segments: Segments) -> Self {
        let figures = Arc::<LogFigures>::default();
        Shared {
            options,
            buffer: Mutex::new(buffer),
            work: Condvar::new(),
            signals: Mutex::default(),
            writer: Mutex::new(LogWriter::new(segments, Arc::clone(&figures))),
            durable: Durable::default(),
            figures,
        }
    }

    pub(super) fn counts_as_logged(&self, position: LogPosition) -> bool {
        matches!(self.options.mode, SyncMode::Periodic { .. }) || self.durable.covers(position)
    }

    /// In periodic mode a write counts as logged at once, unless it is known that the log is broken.
    pub(super) fn buffer_health_if_periodic(&self) -> Result<(), StorageError> {
        match self.options.mode {
            SyncMode::Periodic { .. } => self.buffer.lock().health.check(),
            SyncMode::Group | SyncMode::Batch => Ok(()),
        }
    }

    /// Wakes the thread, if it sleeps.
    pub(super) fn signal(&self) {
        let mut signals = self.signals.lock();
        signals.appended = true;
        if signals.asleep {
            self.work.notify_one();
        }
    }

    /// Writes what has gathered and, if asked to, syncs it.
    pub(super) fn flush(&self, sync: bool) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        let spare = writer.take_spare();
        let (released, end) = {
            let mut buffer = self.buffer.lock();
            if let fenced @ Health::Fenced(_) = &buffer.health {
                return fenced.check();
            }
            writer.enqueue(buffer.take(spare));
            writer.released.extend(buffer.accounting.take_released());
            (std::mem::take(&mut writer.released), buffer.end())
        };
        let result = self.write_and_sync(&mut writer, sync);
        match result {
            Ok(durable) => {
                let recycled = &self.figures.recycled_segments;
                recycled.fetch_add(released.len() as u64, Ordering::Relaxed);
                released.into_iter().for_each(|segment| writer.segments.release(segment));
                let reserved = writer.segments.reserve(end.segment + 1);
                let mut buffer = self.buffer.lock();
                if buffer.health != Health::Fine {
                    tracing::info!("the commit log takes writes again");
                    buffer.health = Health::Fine;
                }
                // Running out of ids is noticed by appends; until then there is time to try again.
                buffer.reserved = reserved.unwrap_or(buffer.reserved);
                drop(buffer);
                drop(writer);
                durable.into_iter().for_each(|position| self.durable.advance(position));
                Ok(())
            }
            Err(WriteError { error, lasting }) => {
                writer.released = released;
                self.fail(&error, lasting);
                Err(error)
            }
        }
    }

    fn write_and_sync(
        &self,
        writer: &mut LogWriter,
        sync: bool,
    ) -> Result<Option<LogPosition>, WriteError> {
        writer.write(&mut |bytes| self.buffer.lock().written(bytes))?;
        if sync { writer.sync() } else { Ok(None) }
    }

    fn fail(&self, error: &StorageError, lasting: bool) {
        let file = match error {
            StorageError::Io { file, .. } | StorageError::DiskFull { file } => file.clone(),
            _ => Default::default(),
        };
        let mut buffer = self.buffer.lock();
        let before = buffer.health.clone();
        buffer.health = if lasting { Health::Fenced(file) } else { Health::Full(file) };
        if buffer.health != before {
            tracing::error!(%error, lasting, "the commit log takes no writes");
        }
        drop(buffer);
        self.durable.wake_all();
    }

    /// The sync thread.
    pub(super) fn run(self: &Arc<Self>) {
        let mut preparing = None;
        // What was written and how long ago, at most, it was not synced: only in periodic mode.
        let mut unsynced = Duration::ZERO;
        loop {
            let (stop, waited) = self.wait_for_work(unsynced.is_zero());
            unsynced += waited;
            let sync = match self.options.mode {
                SyncMode::Periodic { interval } => stop || unsynced >= interval,
                SyncMode::Group | SyncMode::Batch => true,
            };
            if sync {
                unsynced = Duration::ZERO;
            }
            // Who waits is told by `fail`; the thread goes on, to try again on a full disk.
            let failed = self.flush(sync).is_err();
            if stop {
                break;
            }
            if failed {
                let mut signals = self.signals.lock();
                if !signals.stop {
                    self.work.wait_for(&mut signals, FULL_DISK_RETRY);
                }
            } else {
                preparing = self.prepare_file().or(preparing);
            }
        }
        if preparing.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that makes commit log files panicked");
        }
    }

    /// Sleeps until there is something to do. Returns whether to stop, and (in periodic mode) how long it slept.
    fn wait_for_work(&self, all_synced: bool) -> (bool, Duration) {
        let is_full = matches!(self.buffer.lock().health, Health::Full(_));
        let mut signals = self.signals.lock();
        while all_synced && !signals.appended && !signals.stop && !is_full {
            signals.asleep = true;
            self.work.wait(&mut signals);
            signals.asleep = false;
        }
        signals.appended = false;
        let SyncMode::Periodic { interval } = self.options.mode else {
            return (signals.stop, Duration::ZERO);
        };
        // Every tick is counted in full: no clock is needed, and a sync comes rather too early than too late.
        let tick = PERIODIC_WRITE.min(interval);
        if !signals.stop {
            self.work.wait_for(&mut signals, tick);
        }
        (signals.stop, tick)
    }

    /// After a roll, makes the next segment's file ahead of its use, in a thread of its own: writing so many zeros may
    /// take long, and syncs must not wait for it.
    fn prepare_file(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let job = self.writer.lock().segments.begin_preparing()?;
        let shared = self.clone();
        let run = move || _ = shared.run_preparing(&job);
        let spawned = std::thread::Builder::new().name("commit-log-file".into()).spawn(run);
        spawned
            .inspect_err(|error| tracing::warn!(%error, "no thread to prepare a commit log file"))
            .ok()
    }

    /// The same in the calling thread; whether a file was made.
    pub(super) fn prepare_in_turn(&self) -> bool {
        let job = self.writer.lock().segments.begin_preparing();
        job.is_some_and(|job| self.run_preparing(&job))
    }

    fn run_preparing(&self, job: &FileJob) -> bool {
        let result = job.run();
        if let Err(error) = &result {
            tracing::warn!(%error, "no file could be prepared for the next commit log segment");
        }
        self.writer.lock().segments.end_preparing(job, result.is_ok());
        result.is_ok()
    }
}
