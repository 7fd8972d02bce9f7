//! Groups of files that overlap each other.

use super::FileStats;

/// Files that overlap each other, directly or through others of the group, and nothing outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// By first token, then number.
    pub(super) files: Vec<FileStats>,
    /// How many files lie over one token, at most.
    pub(super) depth: usize,
    /// A token over which that many lie.
    deepest: i64,
}

impl Group {
    /// Some files, measured.
    pub(super) fn of(files: Vec<FileStats>) -> Group {
        // The depth only grows where a file begins.
        let lies_over = |file: &FileStats, token: i64| file.first <= token && token <= file.last;
        let over = |token: i64| files.iter().filter(|file| lies_over(file, token)).count();
        let starts = files.iter().map(|file| (over(file.first), file.first));
        let (depth, deepest) = starts.max_by_key(|(depth, _)| *depth).unwrap_or_default();
        Group { files, depth, deepest }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// All files if they are not too many; otherwise the oldest of those over the deepest place.
    pub(super) fn take(&self, most: usize) -> Vec<FileStats> {
        if self.files.len() <= most {
            return self.files.clone();
        }
        let deep = |file: &&FileStats| file.first <= self.deepest && self.deepest <= file.last;
        let mut taken: Vec<FileStats> = self.files.iter().filter(deep).copied().collect();
        taken.sort_by_key(|file| file.number);
        taken.truncate(most);
        taken
    }
}

/// The groups of some files, by first token.
pub(super) fn groups(files: &[FileStats]) -> Vec<Group> {
    let mut sorted = files.to_vec();
    sorted.sort_by_key(|file| (file.first, file.number));
    let mut groups: Vec<Vec<FileStats>> = Vec::new();
    let mut reach = i64::MIN;
    for file in sorted {
        match groups.last_mut().filter(|_| file.first <= reach) {
            Some(group) => group.push(file),
            None => groups.push(vec![file]),
        }
        reach = reach.max(file.last);
    }
    groups.into_iter().map(Group::of).collect()
}
