//! What can go wrong in storage.

use std::io;
use std::path::PathBuf;

use crate::fs::nowait::may_wait;

/// An error of the storage engine. Every variant says what was hit and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Bytes on disk are not what was written: a checksum or a structure does not hold.
    #[error("{} is damaged at offset {offset}: {what}. Nothing was served from it; restore the file from a replica or a snapshot", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not hold.
        what: String,
    },
    /// The operating system refused.
    #[error("{operation} {} failed: {source}", file.display())]
    Io {
        /// `read`, `write`, `sync`, `open`, ...
        operation: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier sync failed, so what is on disk is unknown: writes are refused until a restart.
    #[error("writes are stopped: an earlier sync of {} failed, so its content on disk is unknown. Reads go on; check the disk, then restart", file.display())]
    Fenced {
        /// The file whose sync failed.
        file: PathBuf,
    },
    /// The disk is full: writes are refused, reads go on.
    #[error("the disk that holds {} is full: writes are refused until there is room, reads go on", file.display())]
    DiskFull {
        /// The file that could not grow.
        file: PathBuf,
    },
    /// A row that some source holds does not decode.
    #[error(
        "a stored row is damaged: {0}. Nothing was served from it; restore its file from a replica or a snapshot"
    )]
    Row(#[from] crate::model::row::RowError),
    /// A mutation says something that no table can hold.
    #[error("the mutation is malformed and was refused: {0}")]
    Malformed(&'static str),
    /// The table is not there (any more).
    #[error("table {0} is unknown to the storage engine: it was dropped, or never created here")]
    UnknownTable(crate::schema::TableId),
    /// A mutation is larger than the log can hold.
    #[error("mutation of {bytes} bytes is larger than the limit of {limit} bytes: split it")]
    MutationTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More was appended to the commit log than the disk could take.
    #[error(
        "the commit log is behind: {pending} bytes wait for the disk. The write was refused; slow down and send it again"
    )]
    LogBehind {
        /// Bytes not yet written.
        pending: usize,
    },
    /// More was written to memory than could be flushed.
    #[error(
        "memtables take more than twice the {limit} bytes they may, and flushes do not keep up. The write was refused; slow down and send it again"
    )]
    MemtablesFull {
        /// The limit that flushes are to keep.
        limit: usize,
    },
    /// The thread must not wait for the disk (see [`without_waiting`](crate::fs::nowait::without_waiting)), and would have
    /// had to.
    #[error("{} would have to be read from the disk: this thread must not wait for it", file.display())]
    WouldWait {
        /// The file.
        file: PathBuf,
    },
    /// The data directory is in use, of another format version, or otherwise not usable.
    #[error("{0}")]
    Unusable(String),
}

impl StorageError {
    /// Wraps what the system said of an operation on a file; a full disk becomes [`StorageError::DiskFull`].
    pub fn io(operation: &'static str, file: impl Into<PathBuf>, source: io::Error) -> Self {
        let file = file.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::DiskFull { file }
            }
            io::ErrorKind::WouldBlock if !may_wait() => StorageError::WouldWait { file },
            _ => StorageError::Io { operation, file, source },
        }
    }
}
