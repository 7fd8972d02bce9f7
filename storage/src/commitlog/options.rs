//! How a commit log works, and what its replay found.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::schema::TableId;

/// When a write counts as logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Acknowledged means on disk. One sync serves all writes that gathered during the one before it.
    Group,
    /// Acknowledged means on disk. Who waits syncs at once, in its own thread.
    Batch,
    /// Acknowledged at once, handed to the system within 10 ms, on disk within `interval`: a crash of the machine may
    /// lose that much, a crash of the process next to nothing.
    Periodic {
        /// Time between syncs.
        interval: Duration,
    },
}

/// Who writes and syncs what has gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncDriver {
    /// A thread of the log's own.
    Thread,
    /// Whoever calls [`CommitLog::sync`](super::CommitLog::sync): for simulations in one thread.
    Caller,
}

/// Options of a commit log.
#[derive(Clone, Copy, Debug)]
pub struct CommitLogOptions {
    /// Size of a segment file in bytes; a mutation may take up to half of it.
    pub segment_bytes: u32,
    /// When a write counts as logged.
    pub mode: SyncMode,
    /// Who writes and syncs.
    pub driver: SyncDriver,
    /// Above this many bytes of segments in use, `needs_flush` names the tables that hold the oldest one.
    pub total_bytes: u64,
    /// Above this many bytes not yet written, `append` refuses with [`LogBehind`](crate::StorageError::LogBehind).
    pub pending_bytes: usize,
    /// Write zeros over a new segment before its first use, so that syncs never have to allocate.
    pub zero_fill: bool,
    /// Ids of new segments are at least this: above every position up to which a table is flushed, or a later replay
    /// would take their records for flushed. It matters when the log was made anew.
    pub first_segment: u64,
    /// Move a segment that is damaged, or has records of a table that is lost, away and go on, instead of refusing to
    /// start. Writes in it are lost here: repair.
    pub set_aside_damaged: bool,
}

impl Default for CommitLogOptions {
    fn default() -> Self {
        CommitLogOptions {
            segment_bytes: 32 << 20,
            mode: SyncMode::Group,
            driver: SyncDriver::Thread,
            total_bytes: 2 << 30,
            pending_bytes: 64 << 20,
            zero_fill: true,
            first_segment: 0,
            set_aside_damaged: false,
        }
    }
}

/// What the replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read.
    pub segments: usize,
    /// Records yielded.
    pub records: u64,
    /// Bytes of valid frames.
    pub bytes: u64,
    /// Tables that have records in them, wanted or not.
    pub tables: BTreeSet<TableId>,
    /// Segments moved away: damaged, or with records of a table that is lost.
    pub set_aside: Vec<SetAside>,
}

/// A damaged segment that was moved away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub file: PathBuf,
    /// Where the first damage is; 0 if it is whole.
    pub offset: u64,
    /// Tables that have valid records in it, before or after the damage: they need repair.
    pub tables: Vec<TableId>,
}
