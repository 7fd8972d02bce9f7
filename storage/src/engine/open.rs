//! Opening an engine: tables, then the log's records that no SSTable holds.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use uuid::Uuid;

use super::background::{self, Signals};
use super::context::Context;
use super::options::{BackgroundDriver, Clock, EngineOptions, TableSettings};
use super::replay::{Replayed, replay};
use super::table::TableStore;
use super::{Engine, Inner, Tables};
use crate::fs::limited::LimitedFs;
use crate::fs::{Fs, create_dir_durably};
use crate::schema::TableId;
use crate::snapshot::remove_tree;
use crate::{StorageError, presence};

impl Engine {
    /// Opens the engine: locks the data directory, reads the manifests of the tables, removes what a crash left over,
    /// and replays the log. Files are opened when they are first read.
    ///
    /// # Errors
    /// `Unusable` when another process has the directory; `Missing` and `UnknownInLog` for what was expected otherwise;
    /// `Corrupt` and `Io` for what is on disk.
    pub fn open(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        options: EngineOptions,
        tables: impl IntoIterator<Item = TableSettings>,
    ) -> Result<Engine, StorageError> {
        let fs: Arc<dyn Fs> = Arc::new(LimitedFs::new(fs, options.open_files));
        let tables: Vec<TableSettings> = tables.into_iter().collect();
        if options.expected.opened_before {
            refuse_if_missing(&*fs, &options, &tables)?;
        }
        let lock = lock_dir(&*fs, &options)?;
        let context = Context::new(fs, clock, options);
        remove_dropped_dirs(&context);
        let mut stores = Tables::default();
        for settings in tables {
            let store = TableStore::open(&context, settings)?;
            stores.insert_mut(store.id(), Arc::new(store));
        }
        warn_of_unknown_dirs(&context, &stores);
        let Replayed { log, unknown } = replay(&context, &stores)?;
        let gone = context.options.expected.dropped.iter().chain(&unknown);
        let gone = gone.map(|id| (*id, log.end().segment)).collect();
        let inner = Arc::new(Inner {
            context,
            log,
            tables: ArcSwap::from_pointee(stores),
            changing: Mutex::new(gone),
            unknown,
            snapshots: Mutex::new(()),
            signals: Arc::new(Signals::default()),
            threads: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            seen_segment: AtomicU64::new(0),
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

fn refuse_if_missing(
    fs: &dyn Fs,
    options: &EngineOptions,
    tables: &[TableSettings],
) -> Result<(), StorageError> {
    let new = &options.expected.new_tables;
    let old = tables.iter().filter(|table| !new.contains(&table.id));
    let mut missing = presence::missing(fs, &options.data_dir, old)?;
    let more = missing.len().saturating_sub(1);
    match missing.first_mut() {
        None => return Ok(()),
        Some(StorageError::Missing { holds, .. }) if more > 0 => {
            holds.push_str(&format!(" (and {more} more: tholos verify names all)"));
        }
        Some(_) => {}
    }
    Err(missing.swap_remove(0))
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

/// What a crash left over of tables that were dropped.
fn remove_dropped_dirs(context: &Context) {
    let dropped = &context.options.expected.dropped;
    if dropped.is_empty() {
        return;
    }
    for dir in unknown_table_dirs(&*context.fs, &context.options.data_dir, &BTreeSet::new()) {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.rsplit_once('-').and_then(|(_, id)| Uuid::try_parse(id).ok()).map(TableId);
        if id.is_some_and(|id| dropped.contains(&id))
            && let Err(error) = remove_tree(&*context.fs, &dir)
        {
            tracing::warn!(dir = %dir.display(), %error, "a dropped table's directory stays for now");
        }
    }
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
