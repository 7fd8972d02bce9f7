//! Snapshots on disk: hard links to SSTables, with the manifests and the schema that make tables of them again.
//!
//! ```text
//! <dir>/<keyspace>/<table>-<id>/<number>.sst    links to the table's files
//! <dir>/<keyspace>/<table>-<id>/manifest        what the table consisted of: a manifest as in a table's own directory
//! <dir>/snapshot                                a journal (magic `THLSsnap`) of one JSON record: a [`Snapshot`]
//! ```
//!
//! The file `snapshot` is written last and removed first: a directory without it is no snapshot, whatever a crash left
//! in it. It holds the checksums of the manifests, and those hold the lengths of the files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::fs::Fs;
use crate::journal::{Journal, JournalFormat, read_file, read_records};
use crate::layout;
use crate::manifest::{self, TableFile};
use crate::model::Timestamp;
use crate::schema::{Schema, Table, TableId};

const FORMAT: JournalFormat = JournalFormat { magic: *b"THLSsnap", version: 2, oldest: 1 };

/// Longest name of a snapshot, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was taken, in microseconds since 1970.
    pub created_at: Timestamp,
    /// It was taken without being asked for, before a table lost its data: it may go by itself. Earlier releases did not
    /// tell.
    #[serde(default)]
    pub automatic: bool,
    /// The keyspaces, types and tables that are in it, and no others.
    pub schema: Schema,
    /// The tables' files.
    pub tables: Vec<SnapshotTable>,
}

/// How long automatic snapshots stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Older ones go, in microseconds; for ever if there is none.
    pub max_age: Option<i64>,
    /// Above so many bytes the oldest go, never the newest; if there is none, above a tenth of what would be free on the
    /// disk without them.
    pub max_bytes: Option<u64>,
}

/// A table in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotTable {
    /// The keyspace.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: TableId,
    /// How many files it has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Checksum of the manifest in the snapshot.
    pub manifest_crc32: u32,
}

impl SnapshotTable {
    /// The table's directory in a snapshot's.
    pub fn dir(&self, snapshot: &Path) -> PathBuf {
        snapshot.join(&self.keyspace).join(table_dir_name(&self.name, self.id))
    }
}

impl Snapshot {
    /// The definition of a table in it.
    pub fn table(&self, table: &SnapshotTable) -> Option<&Arc<Table>> {
        self.schema.keyspaces.get(table.keyspace.as_str())?.tables.get(table.name.as_str())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

/// The name of a table's directory: its name is for people, its id makes it unique.
pub fn table_dir_name(name: &str, id: TableId) -> String {
    format!("{name}-{}", id.0.simple())
}

/// Refuses names that are no plain file names.
///
/// # Errors
/// `Unusable`, with what a name may be.
pub fn check_name(name: &str) -> Result<(), StorageError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    if !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.starts_with('.')
        && name.bytes().all(is_plain)
    {
        return Ok(());
    }
    Err(StorageError::Unusable(format!(
        "{name:?} can't be a snapshot's name: use letters, digits, '-', '_', '+' and '.', at most {MAX_NAME_BYTES}"
    )))
}

/// Reads what a snapshot says of itself.
///
/// # Errors
/// `Unusable` if the directory is no snapshot, or only a part of one; `Corrupt` and `Io`.
pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Snapshot, StorageError> {
    let path = dir.join(layout::SNAPSHOT);
    if !fs.exists(&path).map_err(|error| StorageError::io("look up", &path, error))? {
        return Err(StorageError::Unusable(format!(
            "{} is no snapshot, or one that was not finished: it has no file {}",
            dir.display(),
            layout::SNAPSHOT
        )));
    }
    let corrupt = |what: String| StorageError::Corrupt { file: path.clone(), offset: 0, what };
    let records = read_records(&path, FORMAT, &read_file(fs, &path)?)?;
    let [record] = records.as_slice() else {
        return Err(corrupt("it does not hold exactly one record".into()));
    };
    decode(record).map_err(corrupt)
}

/// What a record says, with the types that it names.
fn decode(record: &[u8]) -> Result<Snapshot, String> {
    let snapshot: Snapshot = serde_json::from_slice(record).map_err(|error| error.to_string())?;
    let schema = snapshot.schema.resolved().map_err(|error| error.to_string())?;
    Ok(Snapshot { schema, ..snapshot })
}

/// Makes the directory a snapshot: everything else in it must be there and synced.
pub(crate) fn write(fs: &Arc<dyn Fs>, dir: &Path, snapshot: &Snapshot) -> Result<(), StorageError> {
    let by_name = Snapshot { schema: snapshot.schema.by_name(), ..snapshot.clone() };
    let unusable = |error: String| {
        StorageError::Unusable(format!(
            "the record of snapshot {} can't be made: {error}",
            snapshot.name
        ))
    };
    let record = serde_json::to_vec(&by_name).map_err(|error| unusable(error.to_string()))?;
    // A snapshot that nobody can read is none.
    if decode(&record).map_err(unusable)? != *snapshot {
        return Err(unusable("it says something else when it is read".to_string()));
    }
    Journal::create(Arc::clone(fs), &dir.join(layout::SNAPSHOT), FORMAT, [record.as_slice()])
        .map(drop)
}

/// The files of a table in a snapshot, with what the manifest says of them.
///
/// # Errors
/// `Corrupt` when the manifest is not the one that was written, or a file is missing or of another length; `Io`.
pub fn table_files(
    fs: &dyn Fs,
    snapshot: &Path,
    table: &SnapshotTable,
) -> Result<Vec<(PathBuf, TableFile)>, StorageError> {
    let dir = table.dir(snapshot);
    let path = dir.join(layout::MANIFEST);
    let bytes = read_file(fs, &path)?;
    let corrupt = |file: &Path, what: String| StorageError::Corrupt {
        file: file.to_path_buf(),
        offset: 0,
        what,
    };
    if crc32fast::hash(&bytes) != table.manifest_crc32 {
        return Err(corrupt(&path, "its checksum is not the one that the snapshot has".into()));
    }
    let files = manifest::read_manifest(&path, &bytes)?.files;
    let files = files.into_values().map(|file| (manifest::file_path(&dir, file.number), file));
    let files: Vec<(PathBuf, TableFile)> = files.collect();
    for (path, file) in &files {
        let len = fs.open(path, true).and_then(|file| file.len());
        let len = len.map_err(|error| StorageError::io("open", path, error))?;
        if len != file.statistics.file_bytes {
            let expected = file.statistics.file_bytes;
            return Err(corrupt(path, format!("it has {len} bytes, not {expected} as it should")));
        }
    }
    Ok(files)
}

/// A name among snapshots, and what it says of itself if it is a whole one.
pub type Listed = (String, Result<Snapshot, StorageError>);

/// The names of a directory of snapshots, and what those that are whole say of themselves.
///
/// # Errors
/// `Io`.
pub fn list(fs: &dyn Fs, snapshots: &Path) -> Result<Vec<Listed>, StorageError> {
    let names = match fs.list(snapshots) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(|error| StorageError::io("list", snapshots, error))?,
    };
    let found = names.into_iter().map(|name| {
        let snapshot = read(fs, &snapshots.join(&name));
        (name, snapshot)
    });
    Ok(found.collect())
}

/// Removes a snapshot, or what is left of one.
///
/// # Errors
/// `Io`: what is left then is no snapshot any more.
pub fn delete(fs: &dyn Fs, dir: &Path) -> Result<(), StorageError> {
    let path = dir.join(layout::SNAPSHOT);
    match fs.remove(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => {
            result.map_err(|error| StorageError::io("remove", &path, error))?;
            fs.sync_dir(dir).map_err(|error| StorageError::io("sync", dir, error))?;
        }
    }
    remove_tree(fs, dir).map_err(|error| StorageError::io("remove", dir, error))
}

/// Removes a directory with all that is in it.
pub(crate) fn remove_tree(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    for name in fs.list(dir)? {
        let path = dir.join(name);
        match fs.list(&path) {
            Ok(_) => remove_tree(fs, &path)?,
            Err(_) => fs.remove(&path)?,
        }
    }
    fs.remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_file_names() {
        for name in ["a", "2024-01-02T03.04", "dropped-1700-t", "A_b+c"] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", "a/b", ".hidden", "a b", "a\0", &"x".repeat(201)] {
            let error = check_name(name).unwrap_err().to_string();
            assert!(error.contains("letters"), "{error}");
        }
    }
}
