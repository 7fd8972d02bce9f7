//! The engine benchmark: our storage engine beside other embedded ones, without a server around it.
//!
//! - [`store`]: what is measured, as a trait of few verbs; [`tholos`] is ours, by the row path that the server takes;
//!   the peers ([`kinds`]) are key-value stores and come with the feature `peers` (or `fjall` and `rocksdb`, one alone).
//! - [`workload`]: keys and values, the same for all.
//! - [`measure`]: threads that repeat an operation; what the process wrote and holds.
//! - [`suite`]: the rows of the table. [`report`] runs it for each store, in a process of its own, so that memory and
//!   bytes written are that store's alone.
//! - [`wide`], [`start`], [`spread`]: one huge partition; a start with many files and a long log; rows that lie in several
//!   files. Only ours.
//!
//! Budgets are equal ([`store::Budgets`]): memtable, block cache, block size, LZ4. All else is each store's default,
//! filters included (about 1 % false positives in all of them). What differs and cannot be made equal: our rows carry a
//! token, a timestamp and a column's id, and are merged cell by cell; the peers overwrite bytes.

pub mod counting;
#[cfg(feature = "fjall")]
pub mod fjall;
pub mod kinds;
pub mod measure;
pub mod report;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
pub mod spread;
pub mod start;
pub mod store;
pub mod suite;
pub mod tholos;
pub mod wide;
pub mod workload;

use tholos_storage::StorageError;
use tholos_storage::key::KeyError;
use tholos_storage::model::row::RowError;

/// Why a benchmark came to no end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Our engine refused something.
    #[error("tholos: {0}")]
    Storage(#[from] StorageError),
    /// A key of the workload could not be encoded.
    #[error("a key of the workload: {0}")]
    Key(#[from] KeyError),
    /// A row that was read did not decode.
    #[error("a row that was read: {0}")]
    Row(#[from] RowError),
    /// A peer refused something.
    #[error("{store}: {error}")]
    Peer {
        /// Which one.
        store: &'static str,
        /// What it said.
        error: String,
    },
    /// Files of the benchmark's own.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A store gave back something else than what was written: its figures would mean nothing.
    #[error("{0}")]
    Wrong(String),
    /// The process that measured a store failed; it said why on standard error.
    #[error("measuring {0} failed")]
    Process(&'static str),
}

/// What comes of a step of the benchmark.
pub type Outcome<T> = Result<T, BenchError>;
