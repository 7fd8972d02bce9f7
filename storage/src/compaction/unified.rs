//! The one strategy: windows of time, levels of density, and groups of files that overlap.
//!
//! After "Unified Compaction Strategy" (CEP-26): how dense a file is, its size over its share of the ring, says how often
//! its data was merged; files of one level are merged where enough of them lie over each other. Few files over a place
//! and large fans write less, threshold 2 reads less.

use std::cmp::Reverse;

use super::expiry::{expired, full_of_tombstones};
use super::levels::{Level, Levels};
use super::overlap::{Group, groups};
use super::{FileStats, Job, JobKind, Moment, Strategy};
use crate::model::Timestamp;

/// A window of time: the number of its length since 1970; 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(pub i64);

/// The parameters of compaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Unified {
    /// How files are put into levels, and how many it takes.
    pub levels: Levels,
    /// How many files are merged at once, at most.
    pub max_files: usize,
    /// Outputs are cut so that a fragment has about this many bytes at most.
    pub fragment_bytes: u64,
    /// Outputs of at least this many bytes for each are cut into so many slices whatever their size, so that later jobs
    /// can go side by side.
    pub base_slices: (u32, u64),
    /// Length of a window in units of timestamps (microseconds, as a rule). All windows but the newest are merged into
    /// one run each.
    pub window: Option<i64>,
    /// A file is written anew by itself when this share of its cells can be forgotten.
    pub tombstone_threshold: f64,
    /// Expired files go even if they may hide something older.
    pub drops_expired_blindly: bool,
}

/// A group of one level that is to be merged.
struct Candidate {
    level: usize,
    threshold: usize,
    group: Group,
}

impl Unified {
    fn candidates(&self, files: &[FileStats]) -> Vec<Candidate> {
        let free: Vec<FileStats> = files.iter().filter(|file| !file.held).copied().collect();
        let windows = self.windows(&free);
        let newest = windows.len().saturating_sub(1);
        let once = Levels::One { threshold: 2 };
        let mut candidates = Vec::new();
        for (index, files) in windows.iter().enumerate() {
            let levels = if index == newest { &self.levels } else { &once };
            for (level, Level { threshold, files }) in levels.split(files).into_iter().enumerate() {
                let deep = groups(&files).into_iter().filter(|group| group.depth >= threshold);
                candidates.extend(deep.map(|group| Candidate { level, threshold, group }));
            }
        }
        candidates
    }

    /// The files by window, oldest first.
    fn windows(&self, files: &[FileStats]) -> Vec<Vec<FileStats>> {
        let mut sorted = files.to_vec();
        sorted.sort_by_key(|file| self.window(file));
        let same = |a: &FileStats, b: &FileStats| self.window(a) == self.window(b);
        sorted.chunk_by(same).map(<[FileStats]>::to_vec).collect()
    }

    /// The job that merges some files.
    pub fn job(&self, kind: JobKind, files: &[FileStats]) -> Job {
        let mut inputs: Vec<u64> = files.iter().map(|file| file.number).collect();
        inputs.sort_unstable();
        let bytes = files.iter().map(|file| file.bytes).sum();
        // The widest input covers what all of them cover.
        let widest = files.iter().map(|file| file.slices).min().unwrap_or(1).max(1);
        Job { kind, inputs, bytes, slices: self.slices(bytes, widest) }
    }

    /// Into how many slices of the ring the ring-wide equivalent of `bytes` in one of `widest` slices is to be cut.
    pub(crate) fn slices(&self, bytes: u64, widest: u32) -> u32 {
        let density = bytes.saturating_mul(u64::from(widest));
        let wanted = density.div_ceil(self.fragment_bytes.max(1));
        let (base, min_bytes) = self.base_slices;
        let base = u64::from(base).min(density / min_bytes.max(1));
        let slices = wanted.max(base).clamp(1, MAX_SLICES).next_power_of_two();
        u32::try_from(slices).unwrap_or(u32::MAX).max(widest)
    }
}

/// More slices than any table needs: files of 1 GiB up to 64 TiB.
const MAX_SLICES: u64 = 1 << 16;

impl Strategy for Unified {
    fn pick(&self, files: &[FileStats], moment: Moment) -> Option<Job> {
        let expired = expired(files, moment, !self.drops_expired_blindly);
        if !expired.is_empty() {
            return Some(self.job(JobKind::Expired, &expired));
        }
        // Where most files too many lie over one place reads suffer most; then small files first, they cost the least.
        let urgency = |candidate: &Candidate| {
            let excess = candidate.group.depth / candidate.threshold;
            (excess, Reverse(candidate.level), Reverse(candidate.group.bytes()))
        };
        let oldest = |group: &Group| group.files.iter().map(|file| file.number).min();
        let most = self
            .candidates(files)
            .into_iter()
            .max_by_key(|candidate| (urgency(candidate), Reverse(oldest(&candidate.group))));
        if let Some(Candidate { group, .. }) = most {
            return Some(self.job(JobKind::Merge, &group.take(self.max_files.max(2))));
        }
        let full = full_of_tombstones(files, moment, self.tombstone_threshold)?;
        Some(self.job(JobKind::Tombstones, &[full]))
    }

    fn backlog(&self, files: &[FileStats], _moment: Moment) -> u64 {
        self.candidates(files).iter().map(|candidate| candidate.group.bytes()).sum()
    }

    fn window(&self, file: &FileStats) -> Window {
        self.window.map_or(Window::default(), |length| window_of(file.max_timestamp, length))
    }
}

fn window_of(timestamp: Timestamp, length: i64) -> Window {
    Window(timestamp.div_euclid(length.max(1)))
}
