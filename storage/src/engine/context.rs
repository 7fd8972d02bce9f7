//! What all tables of an engine share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::jobs::Jobs;
use super::options::{BackgroundDriver, Clock, EngineOptions, TableSettings};
use super::retired::Retired;
use crate::StorageError;
use crate::fs::Fs;
use crate::manifest::{FileNumber, Manifest, ManifestEdit};
use crate::model::Seconds;
use crate::snapshot::table_dir_name;
use crate::sstable::BlockCache;

/// What all tables of an engine share.
pub(super) struct Context {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: EngineOptions,
    pub(super) cache: Arc<BlockCache>,
    /// Bytes of memtables that take writes. May be off by what is just being applied.
    pub(super) active_bytes: AtomicI64,
    /// Bytes of memtables that wait for their flush.
    pub(super) flushing_bytes: AtomicI64,
    stopping: AtomicBool,
    /// Compactions that run.
    pub(super) jobs: Jobs,
    /// What is still to be compacted, when it was last looked at.
    pub(super) backlog_bytes: AtomicU64,
    pub(super) retired: Retired,
    pub(super) flushes: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) compacted_bytes: AtomicU64,
    pub(super) expired_files: AtomicU64,
}

impl Context {
    pub(super) fn new(fs: Arc<dyn Fs>, clock: Arc<dyn Clock>, options: EngineOptions) -> Self {
        Context {
            fs,
            clock,
            cache: Arc::new(BlockCache::new(options.block_cache_bytes)),
            options,
            active_bytes: AtomicI64::new(0),
            flushing_bytes: AtomicI64::new(0),
            stopping: AtomicBool::new(false),
            jobs: Jobs::default(),
            backlog_bytes: AtomicU64::new(0),
            retired: Retired::default(),
            flushes: AtomicU64::new(0),
            compactions: AtomicU64::new(0),
            compacted_bytes: AtomicU64::new(0),
            expired_files: AtomicU64::new(0),
        }
    }

    /// Lets compactions that run give up.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Seconds {
        self.clock.now_micros().div_euclid(1_000_000)
    }

    /// A table's directory.
    pub(super) fn table_dir(&self, table: &TableSettings) -> PathBuf {
        let name = table_dir_name(&table.name, table.id);
        self.options.data_dir.join("data").join(&table.keyspace).join(name)
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.options.data_dir.join("commitlog")
    }

    /// The limit of memtables that take writes.
    pub(super) fn memtable_limit(&self) -> i64 {
        i64::try_from(self.options.memtable_bytes).unwrap_or(i64::MAX)
    }

    /// Whether the memtables that take writes are to be flushed.
    pub(super) fn wants_flush(&self) -> bool {
        self.active_bytes.load(Ordering::Relaxed) > self.memtable_limit()
    }

    /// Bytes of all memtables as a share of their limit.
    pub(super) fn memory_share(&self) -> f64 {
        let total =
            self.active_bytes.load(Ordering::Relaxed) + self.flushing_bytes.load(Ordering::Relaxed);
        total as f64 / self.memtable_limit().max(1) as f64
    }

    /// Whether no more writes are to be admitted.
    pub(super) fn is_full(&self) -> bool {
        self.memory_share() > 2.0
    }

    /// Whether even writes that were admitted are too many.
    pub(super) fn is_over_full(&self) -> bool {
        match self.options.background {
            BackgroundDriver::Threads => self.memory_share() > 2.25,
            BackgroundDriver::Caller => self.is_full(),
        }
    }
}

/// Applies an edit. If the disk is too full for it, the files that it would have added go: else every further try would
/// leave some more behind.
pub(super) fn apply_edit(
    fs: &dyn Fs,
    manifest: &mut Manifest,
    edit: ManifestEdit,
) -> Result<(), StorageError> {
    let added: Vec<FileNumber> = edit.add.iter().map(|file| file.number).collect();
    let result = manifest.apply(edit);
    // After any other error the edit may be on disk, and then its files must be.
    if matches!(result, Err(StorageError::DiskFull { .. })) && !manifest.is_fenced() {
        added.into_iter().for_each(|number| remove_orphan(fs, &manifest.path(number)));
    }
    result
}

/// Removes a file that may be there; what fails is said in the log, since an orphan does no harm.
pub(super) fn remove_orphan(fs: &dyn Fs, path: &std::path::Path) {
    if let Err(error) = fs.remove(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let error = StorageError::io("remove", path, error);
        tracing::warn!(%error, "a file that nothing needs could not be removed");
    }
}
