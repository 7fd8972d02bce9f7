//! Names of the files that a data directory and what is in it cannot do without. Errors know them too, and say what to
//! do about each.

/// The journal in a table's directory that says which SSTables it consists of (see [`crate::manifest`]).
pub const MANIFEST: &str = "manifest";

/// The journal that makes a directory a snapshot (see [`crate::snapshot`]).
pub const SNAPSHOT: &str = "snapshot";

/// The journal in the commit log's directory that says which segments it consists of (see [`crate::commitlog`]).
pub const LOG_SEGMENTS: &str = "segments";

/// The journal in the directory of the hints that says which segments they consist of, and what other nodes may lack.
pub const HINTS_LEDGER: &str = "ledger";
