//! System tables whose rows are stored: what this node must not forget, and what is replicated as users' rows are.
//!
//! A definition here is a format on disk. The table's id is made of its names, and a column's id is its place in the
//! list, so names stay, columns only come at the end, and a table stays here once it was released: the commit log may
//! have records of it. A table of another shape gets another name.

use super::TableDefinition;

/// A stored system table.
pub(in crate::system) struct StoredDefinition {
    pub(in crate::system) table: TableDefinition,
    /// The `compaction` option of WITH.
    pub(in crate::system) compaction: &'static [(&'static str, &'static str)],
}

/// Those of `system`, which are this node's alone.
pub(super) const STORED_SYSTEM_TABLES: &[StoredDefinition] = &[
    StoredDefinition {
        table: TableDefinition {
            name: "batches",
            comment: "logged batches that are under way",
            columns: "id timeuuid p, mutations list<blob>, version int",
        },
        // What is written is deleted soon: the more files are merged, the less of it is left.
        compaction: &[("class", SIZE_TIERED), ("max_threshold", "32"), ("min_threshold", "2")],
    },
    StoredDefinition {
        table: TableDefinition {
            name: "paxos",
            comment: "proposals of lightweight transactions",
            columns: "row_key blob p, cf_id uuid c, in_progress_ballot timeuuid, in_progress_read_ballot timeuuid, \
                      most_recent_commit blob, most_recent_commit_at timeuuid, most_recent_commit_version int, \
                      proposal blob, proposal_ballot timeuuid, proposal_version int",
        },
        // Rows are written over and over, and read by key each time.
        compaction: &[("class", LEVELED)],
    },
];

const SIZE_TIERED: &str = "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy";
const LEVELED: &str = "org.apache.cassandra.db.compaction.LeveledCompactionStrategy";
