//! Small files beside each other: too many of them are merged, although none lies over another.
//!
//! A table that gets one new partition with each flush has as many files as it had flushes, and no two of them overlap.
//! So the small files of a window are put into tiers by their sizes, each four times the one below, and where a tier has
//! enough of them, neighbours are merged. What comes out is of a higher tier, as a rule: a byte is written once per tier,
//! and of each tier a few files stay. With four to a crowd, by size in KiB:
//!
//! ```text
//! 5 6 5          three are no crowd
//! 5 6 5 7        four are: they become one
//! 22 5 6 5       of another tier: three again
//! 22 23 21 22    after three more crowds; becomes 88, and so on up to what counts as small
//! ```

use super::FileStats;

/// Sizes below this are of the first tier: a file of one row has some KiB at least.
const FIRST_TIER_BYTES: u64 = 16 << 10;

/// What counts as a crowd.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowds {
    /// Files of fewer bytes are small; larger ones stay as they are.
    pub(super) small_bytes: u64,
    /// So many files of a tier are a crowd.
    pub(super) threshold: usize,
    /// How many files are merged at once.
    pub(super) most: usize,
}

/// Neighbours of one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crowd {
    /// No more than are merged at once.
    pub(super) files: Vec<FileStats>,
    /// How many files the tier has in all.
    pub(super) count: usize,
}

impl Crowds {
    /// The crowds among some files, which come in the order in which they are neighbours; smallest first.
    pub(super) fn among(self, files: &[FileStats]) -> Vec<Crowd> {
        let small = files.iter().filter(|file| file.bytes < self.small_bytes);
        let mut tiers: Vec<Vec<FileStats>> = Vec::new();
        for file in small {
            let tier = tier(file.bytes);
            tiers.resize(tiers.len().max(tier + 1), Vec::new());
            tiers[tier].push(*file);
        }
        let most = self.most.max(2);
        let enough = self.threshold.clamp(2, most);
        tiers.retain(|files| files.len() >= self.threshold.max(2));
        let crowd = |files: &Vec<FileStats>| -> Vec<Crowd> {
            let crowds = files.chunks(most).filter(|chunk| chunk.len() >= enough);
            crowds.map(|chunk| Crowd { files: chunk.to_vec(), count: files.len() }).collect()
        };
        tiers.iter().flat_map(crowd).collect()
    }
}

fn tier(bytes: u64) -> usize {
    (bytes / FIRST_TIER_BYTES).checked_ilog(4).map_or(0, |tier| tier as usize + 1)
}
