//! Compaction: which files to merge, and what the merge may leave out.
//!
//! - [`Strategy`]: pure functions over figures of the files; [`SizeTiered`] is one.
//! - [`PurgingWriter`]: writes a merged stream, without what may be forgotten (spec section 4).

mod purging;
mod size_tiered;

pub use self::purging::{PurgeSettings, PurgingWriter};
pub use self::size_tiered::SizeTiered;

use crate::manifest::FileNumber;

/// What a strategy knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStats {
    /// Its number.
    pub number: FileNumber,
    /// Its size.
    pub bytes: u64,
}

/// Files to be merged into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Their numbers, ascending.
    pub inputs: Vec<FileNumber>,
}

/// Which files of a table to merge next. Pure: the same figures give the same choice.
pub trait Strategy {
    /// The next job, if any is worth its while.
    fn pick(&self, files: &[FileStats]) -> Option<Job>;

    /// Bytes that are still to be rewritten until nothing is left to pick, as far as the files of now go.
    fn backlog(&self, files: &[FileStats]) -> u64;
}
