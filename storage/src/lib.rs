//! Storage: one sorted space of bytes per table, on one node.
//!
//! - [`schema`]: the catalogue model (keyspaces, tables, columns, options) and its pure changes.
//! - [`model`]: deletions, cells, rows and mutations, with the merge rules of the reconciliation spec.
//! - [`engine`]: all tables of a node: writing, reading, flushing, compacting.
//! - [`memtable`]: what was written since the last flush.
//! - [`read`]: several sources as one stream, and what a reader sees of it.
//! - [`compaction`]: which files to merge, and what may be forgotten then.
//! - [`commitlog`], [`sstable`], [`manifest`]: what is on disk.
//! - [`layout`]: names of files that must be there.
//! - [`snapshot`], [`verify`]: copies of tables, and whether everything on disk is what was written.
//! - [`presence`]: whether everything is there that was there before.
//! - [`stream`]: parts of tables on their way from node to node.
//! - [`key`]: byte-comparable encoding of key components.
//! - [`fs`]: the one way to the disk: the real one, and one that can fail and forget.
//!
//! A table is one sorted sequence of entries: partition deletions, static rows, rows and range-tombstone markers. Keys
//! compare by memcmp alone; only [`key`] knows CQL types. Time is always an argument.
//!
//! Invariant: no clock, no thread-local randomness, no randomly seeded map and no async runtime in this crate.

pub mod commitlog;
pub mod compaction;
pub mod engine;
pub mod error;
pub mod fs;
pub mod fuzz;
pub mod journal;
pub mod key;
pub mod layout;
pub mod manifest;
pub mod memtable;
pub mod model;
pub mod planted;
pub mod presence;
pub mod read;
pub mod schema;
pub mod snapshot;
pub mod sstable;
pub mod stream;
pub mod varint;
pub mod verify;

pub use error::StorageError;
