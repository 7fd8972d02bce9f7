//! Flushing: a memtable becomes an SSTable, and the log lets go of it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::context::{Context, apply_edit, remove_orphan};
use super::output::Output;
use super::state::{Frozen, TableState};
use super::table::{TableStore, open_new_file};
use crate::StorageError;
use crate::commitlog::LogPosition;
use crate::fs::Fs;
use crate::manifest::{ManifestEdit, TableFile};
use crate::memtable::Memtable;
use crate::model::entry::Direction;
use crate::read::merge::MergeCursor;
use crate::read::source::Source;

impl TableStore {
    /// Puts an empty memtable in the place of the active one, which then waits for its flush. `line` is asked, while no
    /// write is under way, for the position that everything before is in the old one.
    pub(super) fn switch(&self, context: &Context, line: impl FnOnce() -> LogPosition) {
        let _manifest = self.manifest.lock();
        self.switch_locked(context, line);
    }

    /// [`switch`](Self::switch) for who holds the manifest's lock.
    fn switch_locked(&self, context: &Context, line: impl FnOnce() -> LogPosition) -> LogPosition {
        let state = self.state.load_full();
        let next = Arc::new(Memtable::new(context.options.shards));
        state.active.freeze(|| {
            let up_to = line();
            let mut frozen = vec![Frozen { memtable: Arc::clone(&state.active), up_to }];
            frozen.extend(state.frozen.iter().cloned());
            self.state.store(Arc::new(TableState::new(next, frozen, state.files.clone())));
            let bytes = state.active.bytes() as i64;
            context.active_bytes.fetch_sub(bytes, Ordering::Relaxed);
            context.flushing_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.gathers_since.store(context.clock.now_micros(), Ordering::Relaxed);
            up_to
        })
    }

    /// Writes the oldest memtable that waits to an SSTable. The position up to which the log is not needed any more;
    /// `None` if none waits.
    pub(super) fn flush_oldest(
        &self,
        context: &Context,
    ) -> Result<Option<LogPosition>, StorageError> {
        let _flushing = self.flushing.lock();
        let Some(frozen) = self.state.load().frozen.last().cloned() else { return Ok(None) };
        let add = self.write_memtable(context, &frozen.memtable)?;

        let mut manifest = self.manifest.lock();
        let state = self.state.load_full();
        let waits =
            |other: &&Frozen| Arc::ptr_eq(&other.memtable, &frozen.memtable) && !self.is_dropped();
        if state.frozen.iter().find(waits).is_none() {
            // Truncated or dropped in the meantime.
            add.iter().for_each(|file| remove_orphan(&*context.fs, &manifest.path(file.number)));
            return Ok(Some(frozen.up_to));
        }
        let flushed = Some(frozen.up_to);
        let edit = ManifestEdit { add: add.clone(), flushed, ..ManifestEdit::default() };
        apply_edit(&*context.fs, &mut manifest, edit)?;
        let mut files = state.files.clone();
        files.extend(add.into_iter().map(|meta| open_new_file(context, &manifest, meta)));
        let mut waiting = state.frozen.clone();
        waiting.retain(|other| !Arc::ptr_eq(&other.memtable, &frozen.memtable));
        self.state.store(Arc::new(TableState::new(Arc::clone(&state.active), waiting, files)));
        context.flushing_bytes.fetch_sub(frozen.memtable.bytes() as i64, Ordering::Relaxed);
        context.retired.memtable(&frozen.memtable);
        context.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(Some(frozen.up_to))
    }

    fn write_memtable(
        &self,
        context: &Context,
        memtable: &Arc<Memtable>,
    ) -> Result<Vec<TableFile>, StorageError> {
        if memtable.is_empty() {
            return Ok(Vec::new());
        }
        let source = Source::Memtable(Arc::clone(memtable));
        let mut merge = MergeCursor::open(vec![source], &[], &[], Direction::Forward)?;
        let output = Output::new(context, self, memtable.timestamps().0);
        output.write(|output| {
            while let Some(entry) = merge.advance()? {
                output.add(entry)?;
            }
            Ok(())
        })
    }

    /// Empties the table: what is there now is gone for good, once the manifest says so.
    pub(super) fn truncate(
        &self,
        context: &Context,
        line: impl FnOnce() -> LogPosition,
    ) -> Result<LogPosition, StorageError> {
        let mut manifest = self.manifest.lock();
        let up_to = self.switch_locked(context, line);
        let state = self.state.load_full();
        manifest.apply(ManifestEdit {
            add: Vec::new(),
            remove: state.files.iter().map(|file| file.meta.number).collect(),
            flushed: Some(up_to),
            truncated: Some((up_to, context.clock.now_micros())),
        })?;
        let emptied = TableState::new(Arc::clone(&state.active), Vec::new(), Vec::new());
        self.state.store(Arc::new(emptied));
        let bytes: usize = state.frozen.iter().map(|frozen| frozen.memtable.bytes()).sum();
        context.flushing_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        state.files.iter().for_each(|file| context.retired.file(&file.table));
        drop(state);
        context.retired.remove_files();
        Ok(up_to)
    }

    /// Records of the table before `position` are none of its own.
    pub(super) fn skip_log(&self, position: LogPosition) -> Result<(), StorageError> {
        let edit = ManifestEdit { flushed: Some(position), ..ManifestEdit::default() };
        self.manifest.lock().apply(edit)
    }

    /// Removes the files of a dropped table: SSTables as soon as nobody reads them, the rest at once.
    pub(super) fn remove_files(&self, context: &Context) {
        let _manifest = self.manifest.lock();
        let state = self.state.load_full();
        let active = Arc::clone(&state.active);
        self.state.store(Arc::new(TableState::new(active, Vec::new(), Vec::new())));
        context.active_bytes.fetch_sub(state.active.bytes() as i64, Ordering::Relaxed);
        let bytes: usize = state.frozen.iter().map(|frozen| frozen.memtable.bytes()).sum();
        context.flushing_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        state.files.iter().for_each(|file| context.retired.file(&file.table));
        drop(state);
        context.retired.remove_files();
        let dir = context.table_dir(&self.settings());
        if let Err(error) = remove_dir(&*context.fs, &dir) {
            tracing::warn!(dir = %dir.display(), %error, "a dropped table's directory stays for now");
        }
    }
}

/// Removes a directory with its files, but for SSTables, which go by themselves.
fn remove_dir(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    for name in fs.list(dir)? {
        if !name.ends_with(SSTABLE_SUFFIX) {
            fs.remove(&dir.join(name))?;
        }
    }
    fs.remove_dir(dir)?;
    dir.parent().map_or(Ok(()), |parent| fs.sync_dir(parent))
}

const SSTABLE_SUFFIX: &str = ".sst";
