//! What can go wrong in storage.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::nowait::may_wait;
use crate::layout;
use crate::model::row::RowError;
use crate::schema::TableId;

/// An error of the storage engine. Every variant says what was hit and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Bytes on disk are not what was written: a checksum or a structure does not hold.
    #[error("{} is damaged at offset {offset}: {what}. {}", file.display(), advice(file))]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not hold.
        what: String,
    },
    /// What was there is not there any more. Nothing is made in its place.
    #[error(
        "{} is missing, and it was there before: {holds}. Is a volume not mounted, or was it moved? Nothing was changed: \
         put it back and start again. If it is lost for good, {instead}", file.display()
    )]
    Missing {
        /// The file or directory.
        file: PathBuf,
        /// What is in it.
        holds: String,
        /// What to do when it is lost for good.
        instead: &'static str,
    },
    /// The commit log has records of a table that the schema does not know.
    #[error(
        "{} has writes to a table that the schema does not know and did not drop (id {table}): was the schema's journal put \
         back from an older copy? Nothing was changed: bring back the one that belongs to this data and start again. If it \
         is lost for good, start with --set-aside-damaged-log: such segments are kept under another name, and what is only \
         in them is not there", file.display()
    )]
    UnknownInLog {
        /// The segment of the log.
        file: PathBuf,
        /// The table.
        table: TableId,
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
        "a stored row is damaged: {0}. Nothing was served from it; `tholos verify` names its file, and a snapshot brings its rows back (tholos restore)"
    )]
    Row(#[from] RowError),
    /// A mutation says something that no table can hold.
    #[error("the mutation is malformed and was refused: {0}")]
    Malformed(&'static str),
    /// The table is not there (any more).
    #[error("table {0} is unknown to the storage engine: it was dropped, or never created here")]
    UnknownTable(TableId),
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
    /// The thread must not wait, others need it, and the work is long.
    #[error(
        "the read takes too long for a thread that serves others: another one is to do it all over"
    )]
    WouldTakeLong,
    /// The data directory is in use, of another format version, or otherwise not usable.
    #[error("{0}")]
    Unusable(String),
}

/// What to do about a file whose bytes are not what was written.
pub(crate) fn advice(file: &Path) -> &'static str {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.ends_with(".sst") {
        return "Nothing is served from there, all else goes on; bring its rows back from a snapshot (tholos restore)";
    }
    if name.ends_with(".log") {
        return "Start with --set-aside-damaged-log: writes that are only in the damaged part are lost; bring back what is missing from a snapshot (tholos restore)";
    }
    if name.ends_with(".hints") || name == layout::HINTS_LEDGER {
        return "It is set aside, and all else goes on; other nodes may lack writes that it had: repair them";
    }
    match name {
        layout::MANIFEST => {
            "Put it back from a copy of this data directory; or move its table's directory away, start with --recreate-missing, and bring the table back from a snapshot (tholos restore)"
        }
        layout::LOG_SEGMENTS => {
            "Put it back from a copy of this data directory; or move the directory that it is in away and start with --recreate-missing: writes that are in no SSTable yet are lost"
        }
        layout::SNAPSHOT => "Nothing can be brought back from this snapshot: use another one",
        _ => {
            "Put it back from a copy of this data directory; or begin with an empty directory, and bring the tables back from a snapshot (tholos restore)"
        }
    }
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
