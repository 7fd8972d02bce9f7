//! Compaction: which files to merge, and what the merge may leave out.
//!
//! - [`Strategy`]: pure functions over figures of the files. There is one algorithm, [`Unified`]; size-tiered, leveled
//!   and time-window compaction are parameters of it (`options.rs`).
//! - [`PurgingWriter`]: writes a merged stream, without what may be forgotten (spec section 4).
//!
//! Files are merged for two reasons: many of them lie over one place, which reads suffer from; or many small ones lie
//! beside each other (`crowd.rs`), so that there are never more files than their bytes account for.
//!
//! A run is cut at fixed bounds: the ring is divided into a power of two of equal slices, and no file of the run crosses
//! a bound. Files of several runs so make small groups that overlap each other and nothing else, each of which is a job
//! by itself: its inputs are released as soon as its outputs are there, in one manifest edit.

mod crowd;
mod expiry;
mod levels;
mod options;
mod overlap;
mod pace;
mod purging;
mod slices;
#[cfg(test)]
mod tests;
mod unified;

pub use self::levels::{Levels, Step};
pub use self::options::{CompactionOptions, scaling_steps, size_in_bytes};
pub use self::pace::{Pace, bytes_per_second};
pub use self::purging::{PurgeSettings, PurgingWriter};
pub use self::slices::slice_of;
pub use self::unified::{Unified, Window};

use crate::manifest::{FileNumber, TableFile};
use crate::model::position::token_of;
use crate::model::{Seconds, Timestamp};

/// What a strategy knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStats {
    /// Its number.
    pub number: FileNumber,
    /// Its size.
    pub bytes: u64,
    /// Into how many slices of the ring its run was cut: a power of two.
    pub slices: u32,
    /// Token of the first partition.
    pub first: i64,
    /// Token of the last partition.
    pub last: i64,
    /// Least timestamp of anything in it.
    pub min_timestamp: Timestamp,
    /// Greatest timestamp of anything in it.
    pub max_timestamp: Timestamp,
    /// When the last thing in it was deleted or expires; `Seconds::MAX` if anything lives for ever.
    pub max_deleted_at: Seconds,
    /// Cells, and deletions beside them.
    pub cells: u64,
    /// How many of those were deleted, or expired, before `gc_before`; never too many.
    pub old_tombstones: u64,
    /// No job may have it: one has it already, or it is damaged. What is in it counts all the same.
    pub held: bool,
}

impl FileStats {
    /// What the manifest says of a file.
    pub fn of(file: &TableFile, gc_before: Seconds) -> FileStats {
        let statistics = &file.statistics;
        FileStats {
            number: file.number,
            bytes: statistics.file_bytes,
            slices: file.slices.max(1),
            first: token_of(&statistics.min_key),
            last: token_of(&statistics.max_key),
            min_timestamp: statistics.min_timestamp,
            max_timestamp: statistics.max_timestamp,
            max_deleted_at: statistics.max_deleted_at,
            cells: statistics.cells + statistics.partition_deletions + statistics.range_deletions,
            // What was made at `gc_before` itself stays: counted here, it would be compacted again and again.
            old_tombstones: statistics.tombstones_until(gc_before.saturating_sub(1)),
            held: false,
        }
    }

    /// How large a run over the whole ring would be that is as dense as this file.
    pub fn density(&self) -> u64 {
        self.bytes.saturating_mul(u64::from(self.slices))
    }

    /// Whether there may be a partition in both.
    pub fn overlaps(&self, other: &FileStats) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// When, and beside what, a choice is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: Seconds,
    /// Deletions made before this are old enough to be forgotten: `now - gc_grace_seconds`.
    pub gc_before: Seconds,
    /// Least timestamp in memtables and the log behind them; `Timestamp::MAX` if they are empty.
    pub memory: Timestamp,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Several files become one run.
    Merge,
    /// Everything in the files expired: they go unread (spec 4.5).
    Expired,
    /// One file is written anew without its tombstones.
    Tombstones,
}

impl JobKind {
    /// A word for logs and tables.
    pub fn name(self) -> &'static str {
        match self {
            JobKind::Merge => "compaction",
            JobKind::Expired => "expiry",
            JobKind::Tombstones => "tombstone compaction",
        }
    }
}

/// Files to be merged, or to be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What for.
    pub kind: JobKind,
    /// Their numbers, ascending.
    pub inputs: Vec<FileNumber>,
    /// Size of all of them: the most that the outputs take.
    pub bytes: u64,
    /// Into how many slices of the ring the output is cut.
    pub slices: u32,
}

/// Which files of a table to merge next. Pure: the same figures give the same choice, in whatever order they come.
pub trait Strategy {
    /// The next job, if any is worth its while.
    fn pick(&self, files: &[FileStats], moment: Moment) -> Option<Job>;

    /// Bytes that are still to be rewritten until nothing is left to pick, as far as the files of now go.
    fn backlog(&self, files: &[FileStats], moment: Moment) -> u64;

    /// The window of time that a file belongs to: files of different windows are kept apart, unless there are very many
    /// windows with small files.
    fn window(&self, file: &FileStats) -> Window;
}
