//! How much a read may do before it stops with a place to go on from.

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
}
