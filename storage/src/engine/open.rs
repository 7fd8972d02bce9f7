//! Opening an engine: tables, then the log's records that no SSTable holds.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::background::{self, Signals};
use super::context::Context;
use super::options::{BackgroundDriver, Clock, EngineOptions, TableSettings};
use super::replay::replay;
use super::table::TableStore;
use super::{Engine, Inner, Tables};
use crate::StorageError;
use crate::fs::limited::LimitedFs;
use crate::fs::{Fs, create_dir_durably};

impl Engine {
    /// Opens the engine: locks the data directory, reads the manifests of the tables, removes what a crash left over,
    /// and replays the log. Files are opened when they are first read.
    ///
    /// # Errors
    /// `Unusable` when another process has the directory; `Corrupt` and `Io` for what is on disk.
    pub fn open(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        options: EngineOptions,
        tables: impl IntoIterator<Item = TableSettings>,
    ) -> Result<Engine, StorageError> {
        let fs: Arc<dyn Fs> = Arc::new(LimitedFs::new(fs, options.open_files));
        let lock = lock_dir(&*fs, &options)?;
        let context = Context::new(fs, clock, options);
        let mut stores = Tables::new();
        for settings in tables {
            let store = TableStore::open(&context, settings)?;
            stores.insert(store.id(), Arc::new(store));
        }
        warn_of_unknown_dirs(&context, &stores);
        let log = replay(&context, &stores)?;
        let inner = Arc::new(Inner {
            context,
            log,
            tables: ArcSwap::from_pointee(stores),
            changing: Mutex::new(()),
            snapshots: Mutex::new(()),
            signals: Arc::new(Signals::default()),
            threads: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            _lock: lock,
        });
        let clock = Arc::clone(&inner.context.clock);
        inner.log.time_syncs(move || clock.now_micros());
        if inner.context.options.background == BackgroundDriver::Threads {
            *inner.threads.lock() = background::start(&inner)?;
        }
        Ok(Engine(inner))
    }
}

fn lock_dir(fs: &dyn Fs, options: &EngineOptions) -> Result<Box<dyn Send + Sync>, StorageError> {
    let dir = &options.data_dir;
    create_dir_durably(fs, dir).map_err(|error| StorageError::io("create", dir, error))?;
    fs.lock_dir(dir).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Unusable(format!(
            "the data directory {} is in use by another process: stop it, or choose another directory",
            dir.display()
        )),
        _ => StorageError::io("lock", dir, error),
    })
}

/// A table's directory that no table of the schema names was left over by a crash during DROP, or comes from elsewhere.
/// Nobody but its owner can tell, so it stays.
fn warn_of_unknown_dirs(context: &Context, tables: &Tables) {
    let known = tables.values().map(|table| context.table_dir(&table.settings())).collect();
    for dir in unknown_table_dirs(&*context.fs, &context.options.data_dir, &known) {
        tracing::warn!(
            dir = %dir.display(),
            "no table of the schema has this directory: it was left over when its table was dropped, or was put there. \
             Nothing reads it. If its data is not needed, remove it; to use it, restore a snapshot of the table"
        );
    }
}

/// Directories below `data_dir` that look like tables and are not known. What can't be read is left out.
fn unknown_table_dirs(fs: &dyn Fs, data_dir: &Path, known: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let data = data_dir.join("data");
    let children = |dir: &Path| -> Vec<PathBuf> {
        let names = fs.list(dir).unwrap_or_default();
        names.into_iter().map(|name| dir.join(name)).collect()
    };
    let tables = children(&data).into_iter().flat_map(|keyspace| children(&keyspace));
    tables.filter(|dir| !known.contains(dir) && fs.list(dir).is_ok()).collect()
}
