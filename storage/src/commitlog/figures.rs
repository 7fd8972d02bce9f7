//! What the commit log has done since the start: counted by who writes and syncs, never by who appends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::read::figures::{Distribution, Histogram};

/// Figures of a commit log at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitLogStats {
    /// Segments that hold records some table still needs, and the one that is written to.
    pub segments: u64,
    /// Bytes of those segments.
    pub bytes: u64,
    /// Bytes of frames written since the start.
    pub written_bytes: u64,
    /// Microseconds that each sync since the start took; 0 without a clock.
    pub syncs: Distribution,
    /// Segments since the start that nobody needed any more, so that their files are used again.
    pub recycled_segments: u64,
}

/// Tells microseconds.
type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// The counters.
#[derive(Default)]
pub(super) struct LogFigures {
    pub(super) written_bytes: AtomicU64,
    pub(super) recycled_segments: AtomicU64,
    syncs: Histogram,
    clock: OnceLock<Clock>,
}

impl LogFigures {
    /// Lets syncs be timed by this clock from now on; the first one that is given stays.
    pub(super) fn set_clock(&self, clock: Clock) {
        // A second one would tell the same time.
        let _ = self.clock.set(clock);
    }

    /// Runs a sync, and counts it if it succeeds.
    pub(super) fn time_sync<E>(&self, sync: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let now = || self.clock.get().map_or(0, |clock| clock());
        let start = now();
        sync()?;
        self.syncs.add(u64::try_from(now() - start).unwrap_or(0));
        Ok(())
    }

    pub(super) fn snapshot(&self, segments: u64, segment_bytes: u32) -> CommitLogStats {
        CommitLogStats {
            segments,
            bytes: segments * u64::from(segment_bytes),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
            syncs: self.syncs.snapshot(),
            recycled_segments: self.recycled_segments.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for LogFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFigures").finish_non_exhaustive()
    }
}
