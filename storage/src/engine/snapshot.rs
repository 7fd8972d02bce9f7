//! Snapshots of tables, and files from elsewhere made part of one.
//!
//! A snapshot flushes its tables, then links each table's files under the lock of its manifest, so that the links and
//! the manifest's copy are of one moment; writes go on meanwhile. Tables are linked one after the other: what is written
//! while a snapshot is taken may be in it or not.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Engine;
use super::context::{Context, remove_orphan};
use super::state::TableState;
use super::table::{TableStore, open_file};
use crate::StorageError;
use crate::commitlog::LogPosition;
use crate::fs::{Fs, create_dir_durably};
use crate::layout;
use crate::manifest::{self, ManifestEdit, TableFile};
use crate::model::Timestamp;
use crate::model::token_range::TokenRanges;
use crate::schema::{Schema, TableId};
use crate::snapshot::{self, Listed, Snapshot, SnapshotLimits, SnapshotTable};
use crate::sstable::Inspector;

/// Where links can't reach, files are copied in pieces of this size.
const COPY_BYTES: usize = 1 << 20;

impl Engine {
    /// Where snapshots are.
    pub fn snapshots_dir(&self) -> PathBuf {
        self.0.context.options.data_dir.join("snapshots")
    }

    /// Takes a snapshot of all tables in `schema`, which goes into it: everything that was written before is in it.
    ///
    /// # Errors
    /// `Unusable` for a name that is taken or no name; `UnknownTable`; what flushing, linking and writing meets. There
    /// is no snapshot then.
    pub fn snapshot(&self, name: &str, schema: Schema) -> Result<Snapshot, StorageError> {
        self.take_snapshot(name, schema, false)
    }

    /// [`snapshot`](Self::snapshot) that nobody asked for: [`expire_snapshots`](Self::expire_snapshots) removes it.
    ///
    /// # Errors
    /// As there.
    pub fn automatic_snapshot(&self, name: &str, schema: Schema) -> Result<Snapshot, StorageError> {
        self.take_snapshot(name, schema, true)
    }

    fn take_snapshot(
        &self,
        name: &str,
        schema: Schema,
        automatic: bool,
    ) -> Result<Snapshot, StorageError> {
        snapshot::check_name(name)?;
        let _one_at_a_time = self.0.snapshots.lock();
        let (context, dir) = (&self.0.context, self.snapshots_dir().join(name));
        let fs = &context.fs;
        let exists =
            |path: &Path| fs.exists(path).map_err(|error| StorageError::io("look up", path, error));
        if exists(&dir.join(layout::SNAPSHOT))? {
            return Err(StorageError::Unusable(format!(
                "there is a snapshot {name} already: delete it, or choose another name"
            )));
        }
        if exists(&dir)? {
            // What a crash left of one.
            snapshot::delete(&**fs, &dir)?;
        }
        let taken = self.link_tables(name, schema, automatic, &dir);
        if taken.is_err()
            && let Err(error) = snapshot::delete(&**fs, &dir)
        {
            tracing::warn!(dir = %dir.display(), %error, "what there is of a snapshot that failed stays");
        }
        taken
    }

    fn link_tables(
        &self,
        name: &str,
        schema: Schema,
        automatic: bool,
        dir: &Path,
    ) -> Result<Snapshot, StorageError> {
        let context = &self.0.context;
        let keyspaces = schema.keyspaces.values();
        let ids: Vec<TableId> =
            keyspaces.flat_map(|keyspace| keyspace.tables.values().map(|table| table.id)).collect();
        ids.iter().try_for_each(|id| self.flush(*id))?;
        create_dir_durably(&*context.fs, dir)
            .map_err(|error| StorageError::io("create", dir, error))?;
        let mut tables = Vec::with_capacity(ids.len());
        for id in ids {
            tables.push(self.table(id)?.link_files(context, dir)?);
        }
        let created_at = context.clock.now_micros();
        let snapshot = Snapshot { name: name.to_string(), created_at, automatic, schema, tables };
        snapshot::write(&context.fs, dir, &snapshot)?;
        Ok(snapshot)
    }

    /// The snapshots there are; what is not whole is listed with the reason.
    ///
    /// # Errors
    /// `Io`.
    pub fn snapshots(&self) -> Result<Vec<Listed>, StorageError> {
        snapshot::list(&*self.0.context.fs, &self.snapshots_dir())
    }

    /// Removes a snapshot. The tables' own files are not touched.
    ///
    /// # Errors
    /// `Unusable` if there is none of that name; `Io`.
    pub fn delete_snapshot(&self, name: &str) -> Result<(), StorageError> {
        snapshot::check_name(name)?;
        let _one_at_a_time = self.0.snapshots.lock();
        let (fs, dir) = (&self.0.context.fs, self.snapshots_dir().join(name));
        if !fs.exists(&dir).map_err(|error| StorageError::io("look up", &dir, error))? {
            return Err(StorageError::Unusable(format!(
                "there is no snapshot {name}: `tholos snapshot list` lists those that there are"
            )));
        }
        snapshot::delete(&**fs, &dir)
    }

    /// Removes automatic snapshots that are too old, or too many bytes with those that are newer. Their names.
    ///
    /// # Errors
    /// `Io`; what was removed until then is gone.
    pub fn expire_snapshots(&self, limits: SnapshotLimits) -> Result<Vec<String>, StorageError> {
        let context = &self.0.context;
        let whole = self.snapshots()?.into_iter().filter_map(|(_, snapshot)| snapshot.ok());
        let mut found: Vec<Snapshot> = whole.filter(|snapshot| snapshot.automatic).collect();
        found.sort_by_key(|snapshot| {
            std::cmp::Reverse((snapshot.created_at, snapshot.name.clone()))
        });
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let total: u64 = found.iter().map(Snapshot::bytes).sum();
        let dir = &context.options.data_dir;
        let free = context.fs.available_bytes(dir);
        let free =
            free.map_err(|error| StorageError::io("ask for the free space of", dir, error))?;
        let max_bytes = limits.max_bytes.unwrap_or_else(|| free.saturating_add(total) / 10);
        let (now, mut bytes, mut gone) = (context.clock.now_micros(), 0, Vec::new());
        for (place, snapshot) in found.iter().enumerate() {
            bytes += snapshot.bytes();
            let age = now.saturating_sub(snapshot.created_at);
            let is_old = limits.max_age.is_some_and(|max_age| age > max_age);
            if is_old || (place > 0 && bytes > max_bytes) {
                self.delete_snapshot(&snapshot.name)?;
                gone.push(snapshot.name.clone());
            }
        }
        Ok(gone)
    }

    /// Makes files from elsewhere part of a table, all in one manifest edit: linked, or copied where links can't reach.
    /// Meanwhile no deletion is purged there.
    /// Their rows must be encoded with this table's column ids. Returns how many there are.
    ///
    /// # Errors
    /// `UnknownTable`; `Corrupt` for a file that is not what its description says; `Io`. Nothing of it is there then.
    pub fn ingest(
        &self,
        id: TableId,
        files: &[(PathBuf, TableFile)],
    ) -> Result<usize, StorageError> {
        let table = self.table(id)?;
        let _hold = self.hold_purges(id, &TokenRanges::all())?;
        table.ingest(&self.0.context, files)?;
        self.0.signals.want_compaction();
        Ok(files.len())
    }
}

impl TableStore {
    /// Whether there is nothing in it: no file, and nothing in memory.
    pub fn is_empty(&self) -> bool {
        let state = self.state.load();
        state.files.is_empty() && state.memtables().all(|memtable| memtable.is_empty())
    }

    /// Links the files of this moment into a snapshot, with a copy of the manifest.
    fn link_files(
        &self,
        context: &Context,
        snapshot: &Path,
    ) -> Result<SnapshotTable, StorageError> {
        let settings = self.settings();
        let manifest = self.manifest.lock();
        if self.is_dropped() {
            return Err(StorageError::UnknownTable(self.id()));
        }
        let files = manifest.files();
        let mut table = SnapshotTable {
            keyspace: settings.keyspace.clone(),
            name: settings.name.clone(),
            id: self.id(),
            files: files.files.len() as u64,
            bytes: files.files.values().map(|file| file.statistics.file_bytes).sum(),
            manifest_crc32: 0,
        };
        let dir = table.dir(snapshot);
        create_dir_durably(&*context.fs, &dir)
            .map_err(|error| StorageError::io("create", &dir, error))?;
        for number in files.files.keys() {
            let (from, to) = (manifest.path(*number), manifest::file_path(&dir, *number));
            context
                .fs
                .hard_link(&from, &to)
                .map_err(|error| StorageError::io("link", &from, error))?;
        }
        // Syncs the directory too, and with it the links.
        table.manifest_crc32 = manifest.write_copy(&dir)?;
        Ok(table)
    }

    fn ingest(
        &self,
        context: &Context,
        files: &[(PathBuf, TableFile)],
    ) -> Result<(), StorageError> {
        let mut added = Vec::with_capacity(files.len());
        let brought =
            self.bring(context, files, &mut added).and_then(|()| self.add(context, &added));
        let manifest = self.manifest.lock();
        // After a failed sync nobody knows whether the edit is on disk: the next start removes what is not named.
        if brought.is_err() && !manifest.is_fenced() {
            let orphans = added.iter().map(|file: &TableFile| manifest.path(file.number));
            orphans.for_each(|path| remove_orphan(&*context.fs, &path));
        }
        brought
    }

    /// Links or copies the files under numbers of this table, durably.
    fn bring(
        &self,
        context: &Context,
        files: &[(PathBuf, TableFile)],
        added: &mut Vec<TableFile>,
    ) -> Result<(), StorageError> {
        let fs = &*context.fs;
        let mut runs = BTreeMap::new();
        for (from, file) in files {
            check(fs, from, file)?;
            let (number, to) = {
                let mut manifest = self.manifest.lock();
                let number = manifest.next_number();
                (number, manifest.path(number))
            };
            let run = *runs.entry(file.run).or_insert(number);
            // Nothing is known of repairs of what came from elsewhere.
            added.push(TableFile { number, run, repaired_at: 0, ..file.clone() });
            link_or_copy(fs, from, &to)?;
        }
        let dir = context.table_dir(&self.settings());
        fs.sync_dir(&dir).map_err(|error| StorageError::io("sync", &dir, error))
    }

    fn add(&self, context: &Context, added: &[TableFile]) -> Result<(), StorageError> {
        self.add_if(context, added, |_| true).map(drop)
    }

    /// Makes files under numbers of this table part of it, in one edit, if its last truncation is as it should be;
    /// whether it was. The files must be synced.
    pub(super) fn add_if(
        &self,
        context: &Context,
        added: &[TableFile],
        fits: impl FnOnce(Option<(LogPosition, Timestamp)>) -> bool,
    ) -> Result<bool, StorageError> {
        let mut manifest = self.manifest.lock();
        if self.is_dropped() {
            return Err(StorageError::UnknownTable(self.id()));
        }
        if !fits(manifest.files().truncated) {
            return Ok(false);
        }
        manifest.apply(ManifestEdit { add: added.to_vec(), ..ManifestEdit::default() })?;
        let state = self.state.load_full();
        let mut files = state.files.clone();
        files.extend(added.iter().map(|meta| open_file(context, &manifest, meta.clone())));
        let (active, frozen) = (Arc::clone(&state.active), state.frozen.clone());
        self.state.store(Arc::new(TableState::new(active, frozen, files)));
        Ok(true)
    }
}

/// Whether the file is the one that is described: its statistics have the extent of its keys and timestamps.
fn check(fs: &dyn Fs, path: &Path, file: &TableFile) -> Result<(), StorageError> {
    if Inspector::open(fs, path)?.statistics()? == file.statistics {
        return Ok(());
    }
    let what = "its statistics are not those that the manifest beside it has".into();
    Err(StorageError::Corrupt { file: path.to_path_buf(), offset: 0, what })
}

fn link_or_copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<(), StorageError> {
    match fs.hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Err(StorageError::io("link", to, error))
        }
        Err(_) => copy(fs, from, to),
    }
}

fn copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<(), StorageError> {
    let reading = |error| StorageError::io("read", from, error);
    let source = fs.open(from, true).map_err(reading)?;
    let len = source.len().map_err(reading)?;
    let target = fs.create(to).map_err(|error| StorageError::io("create", to, error))?;
    let mut offset = 0;
    while offset < len {
        let mut piece = vec![0; (len - offset).min(COPY_BYTES as u64) as usize];
        source.read_exact_at(&mut piece, offset).map_err(reading)?;
        target
            .write_all_at(&piece, offset)
            .map_err(|error| StorageError::io("write", to, error))?;
        offset += piece.len() as u64;
    }
    target.sync_data().map_err(|error| StorageError::io("sync", to, error))
}
