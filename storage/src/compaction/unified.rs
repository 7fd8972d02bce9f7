//! The one strategy: windows of time, levels of density, and groups of files that overlap.
//!
//! After "Unified Compaction Strategy" (CEP-26): how dense a file is, its size over its share of the ring, says how often
//! its data was merged; files of one level are merged where enough of them lie over each other. Few files over a place
//! and large fans write less, threshold 2 reads less.
//!
//! Beside that, crowds of small files are merged wherever they lie (`crowd.rs`): those of one window, and those of old
//! windows where there are very many of these.
//!
//! Levels that are each 4 times as dense as the one before, where 4 files over one place are merged; level 0 ends below
//! 400 MB. A file of 110 MB in one of 4 slices is as dense as one of 440 MB that nobody cut:
//!
//! ```text
//! files                      density      level
//! a b c d   30 MB, uncut      30 MB       0: four over each place, so they are merged
//! e f g h   110 MB, a run    440 MB       1: one over each place, nothing to do
//!           in 4 slices
//! i j       500 MB, uncut    500 MB       1: with the run three over each place, one more and all of level 1 is merged
//! ```
//!
//! a to d become one file of 120 MB, which is of level 0 again: so do three more such files, and the four of them one of
//! level 1, where it is the fourth over each place. A byte is written again each time its file gets four times as large.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::crowd::{Crowd, Crowds};
use super::expiry::{expired, full_of_tombstones};
use super::levels::{Level, Levels};
use super::overlap::{Group, groups};
use super::slices::slices_around;
use super::{FileStats, Job, JobKind, Moment, Strategy};
use crate::manifest::FileNumber;
use crate::model::{Seconds, Timestamp};

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
    /// one run each. Small files of old windows are merged across windows if there are many of both.
    pub window: Option<i64>,
    /// A file is written anew by itself when this share of its cells can be forgotten.
    pub tombstone_threshold: f64,
    /// Expired files go even if they may hide something older.
    pub drops_expired_blindly: bool,
}

/// Files that are to be merged.
struct Candidate {
    /// How many times the files are as many as it takes.
    excess: usize,
    /// The level of a group; none for a crowd.
    level: Option<usize>,
    group: Group,
}

/// Small files beside each other are a crowd from so many on: as many as usually are merged of those over each other.
const CROWD: usize = 4;
/// Files beside each other cost reads little: so many times as many are as urgent to merge as files over each other.
const CROWD_WEIGHT: usize = 8;
/// So many windows, the newest ones, are kept apart however small they are: they expire one by one, and a read of some
/// time finds its files. A week of hours, four months of days.
const WINDOWS_APART: usize = 128;
/// Files are small if they are this part of what an output may be, so that fewer come out of a crowd than go into it.
const SMALL_PART: u64 = 8;
/// Fragments that are wanted to be smaller than this are not taken at their word for what is small.
const LEAST_FRAGMENT_BYTES: u64 = 8 << 20;

impl Unified {
    fn candidates(&self, files: &[FileStats]) -> Vec<Candidate> {
        let free: Vec<FileStats> = files.iter().filter(|file| !file.held).copied().collect();
        let windows = self.windows(&free);
        let newest = windows.len().saturating_sub(1);
        let once = Levels::One { threshold: 2 };
        let mut candidates = Vec::new();
        let mut alone = Vec::new();
        for (index, files) in windows.iter().enumerate() {
            let (levels, crowd) = match index == newest {
                true => (&self.levels, self.levels.first_threshold().max(CROWD)),
                false => (&once, 2),
            };
            let deep = deep_groups(levels, files);
            let rest = without(files, &deep);
            candidates.extend(deep);
            let crowds = self.crowds(&rest, crowd);
            alone.push(without(&rest, &crowds));
            candidates.extend(crowds);
        }
        alone.truncate(windows.len().saturating_sub(WINDOWS_APART));
        candidates.extend(self.crowds_of_old_windows(&alone.concat()));
        candidates
    }

    /// Crowds among files of one window.
    fn crowds(&self, files: &[FileStats], threshold: usize) -> Vec<Candidate> {
        let mut neighbours = files.to_vec();
        neighbours.sort_by_key(|file| (file.first, file.number));
        self.crowds_among(&neighbours, threshold)
    }

    /// Crowds among what is left of windows that nobody keeps apart. What lives for ever is not mixed with what expires,
    /// which would then never go whole.
    fn crowds_of_old_windows(&self, files: &[FileStats]) -> Vec<Candidate> {
        let mut neighbours = files.to_vec();
        neighbours.sort_by_key(|file| (self.window(file), file.number));
        let (lasting, expiring): (Vec<FileStats>, Vec<FileStats>) =
            neighbours.into_iter().partition(|file| file.max_deleted_at == Seconds::MAX);
        let of = |files: Vec<FileStats>| self.crowds_among(&files, CROWD);
        [of(lasting), of(expiring)].into_iter().flatten().collect()
    }

    fn crowds_among(&self, neighbours: &[FileStats], threshold: usize) -> Vec<Candidate> {
        let crowds = Crowds { small_bytes: self.small_bytes(), threshold, most: self.max_files };
        let candidate = |Crowd { files, count }| {
            let excess = (count / threshold / CROWD_WEIGHT).max(1);
            Candidate { excess, level: None, group: Group::of(files) }
        };
        crowds.among(neighbours).into_iter().map(candidate).collect()
    }

    /// Files of fewer bytes are small.
    fn small_bytes(&self) -> u64 {
        let fragment = match self.base_slices {
            (0 | 1, _) => self.fragment_bytes,
            (_, min_bytes) => self.fragment_bytes.min(min_bytes.max(LEAST_FRAGMENT_BYTES)),
        };
        fragment / SMALL_PART
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
        let (bytes, widest) = extent(files);
        Job { kind, inputs: numbers(files), bytes, slices: self.slices(bytes, widest) }
    }

    /// The job that merges a crowd: into no more fragments than their size asks for, since the files are too many.
    fn crowd_job(&self, files: &[FileStats]) -> Job {
        let (bytes, widest) = extent(files);
        let slices = self.needed_slices(bytes, widest);
        Job { kind: JobKind::Merge, inputs: numbers(files), bytes, slices }
    }

    /// Into how many slices of the ring the ring-wide equivalent of `bytes` in one of `widest` slices is to be cut.
    pub(crate) fn slices(&self, bytes: u64, widest: u32) -> u32 {
        let (base, min_bytes) = self.base_slices;
        let density = bytes.saturating_mul(u64::from(widest));
        let base = u64::from(base).min(density / min_bytes.max(1));
        self.needed_slices(bytes, widest).max(power_of_two(base))
    }

    /// [`slices`](Self::slices) for the sake of their size alone.
    fn needed_slices(&self, bytes: u64, widest: u32) -> u32 {
        let density = bytes.saturating_mul(u64::from(widest));
        power_of_two(density.div_ceil(self.fragment_bytes.max(1))).max(widest)
    }
}

/// Groups of a level that are deep enough to be merged.
fn deep_groups(levels: &Levels, files: &[FileStats]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (level, Level { threshold, files }) in levels.split(files).into_iter().enumerate() {
        let deep = groups(&files).into_iter().filter(|group| group.depth >= threshold);
        candidates.extend(deep.map(|group| Candidate {
            excess: group.depth / threshold,
            level: Some(level),
            group,
        }));
    }
    candidates
}

/// The files that no candidate has.
fn without(files: &[FileStats], candidates: &[Candidate]) -> Vec<FileStats> {
    let taken = candidates.iter().flat_map(|candidate| &candidate.group.files);
    let taken: BTreeSet<FileNumber> = taken.map(|file| file.number).collect();
    files.iter().filter(|file| !taken.contains(&file.number)).copied().collect()
}

fn numbers(files: &[FileStats]) -> Vec<FileNumber> {
    let mut numbers: Vec<FileNumber> = files.iter().map(|file| file.number).collect();
    numbers.sort_unstable();
    numbers
}

/// Bytes of some files, and of how many slices of the ring one holds them all: as far as is known, since a file that was
/// not cut may lie anywhere.
fn extent(files: &[FileStats]) -> (u64, u32) {
    let first = files.iter().map(|file| file.first).min().unwrap_or(i64::MIN);
    let last = files.iter().map(|file| file.last).max().unwrap_or(i64::MAX);
    let widest = files.iter().map(|file| file.slices).min().unwrap_or(1).max(1);
    (files.iter().map(|file| file.bytes).sum(), widest.min(slices_around(first, last)))
}

fn power_of_two(slices: u64) -> u32 {
    u32::try_from(slices.clamp(1, MAX_SLICES).next_power_of_two()).unwrap_or(u32::MAX)
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
            let level = candidate.level.unwrap_or(usize::MAX);
            (candidate.excess, Reverse(level), Reverse(candidate.group.bytes()))
        };
        let oldest = |group: &Group| group.files.iter().map(|file| file.number).min();
        let most = self
            .candidates(files)
            .into_iter()
            .max_by_key(|candidate| (urgency(candidate), Reverse(oldest(&candidate.group))));
        if let Some(Candidate { group, level, .. }) = most {
            return Some(match level {
                Some(_) => self.job(JobKind::Merge, &group.take(self.max_files.max(2))),
                None => self.crowd_job(&group.files),
            });
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
