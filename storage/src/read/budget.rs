//! How much a read may do before it stops with a place to go on from, or leaves the work to another thread.

/// How much a read may walk before it stops with a place to go on from. It stops after the entry that spends the
/// budget, so that every read gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBudget {
    /// Entries of any kind: rows that exist, rows that do not, partition deletions and markers.
    pub entries: u64,
    /// Those that a reader does not see.
    pub tombstones: u64,
    /// Bytes of keys and rows.
    pub bytes: u64,
}

impl ReadBudget {
    /// Nothing yet.
    pub const NOTHING: ReadBudget = ReadBudget { entries: 0, tombstones: 0, bytes: 0 };

    /// No limit.
    pub const UNLIMITED: ReadBudget =
        ReadBudget { entries: u64::MAX, tombstones: u64::MAX, bytes: u64::MAX };

    /// Whether what was walked is all that was allowed.
    pub fn is_spent(&self, walked: &ReadBudget) -> bool {
        walked.entries >= self.entries
            || walked.tombstones >= self.tombstones
            || walked.bytes >= self.bytes
    }

    /// A few milliseconds' worth: what may be walked in a thread that serves others too.
    pub const INLINE: ReadBudget =
        ReadBudget { entries: 10_000, tombstones: 10_000, bytes: 8 << 20 };

    /// What one page may walk; its reader goes on with the next one.
    pub const PAGE: ReadBudget =
        ReadBudget { entries: 1_000_000, tombstones: 100_000, bytes: 32 << 20 };

    /// What is left after a walk.
    #[must_use]
    pub fn after(&self, walked: &ReadBudget) -> ReadBudget {
        ReadBudget {
            entries: self.entries.saturating_sub(walked.entries),
            tombstones: self.tombstones.saturating_sub(walked.tombstones),
            bytes: self.bytes.saturating_sub(walked.bytes),
        }
    }
}

/// How much making the pages of one answer may walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBudget {
    /// In a thread that must not wait (see [`may_wait`](crate::fs::nowait::may_wait)): more is
    /// [`WouldTakeLong`](crate::StorageError::WouldTakeLong), and another thread does it all over.
    pub inline: ReadBudget,
    /// In any other thread: the page is cut there.
    pub page: ReadBudget,
}

impl PageBudget {
    /// What replicas have.
    pub const DEFAULT: PageBudget =
        PageBudget { inline: ReadBudget::INLINE, page: ReadBudget::PAGE };

    /// No limit.
    pub const UNLIMITED: PageBudget =
        PageBudget { inline: ReadBudget::UNLIMITED, page: ReadBudget::UNLIMITED };
}
