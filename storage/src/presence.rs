//! What an engine's directory must have once the engine was open, and what of it is missing: a volume that is not mounted
//! looks like an empty directory, and to begin with an empty one would be to lose what is on the volume.
//!
//! A start and a verification look by the same functions. The order of things makes it safe to insist: a table's
//! directory and manifest are durable before the schema names the table, and are removed after it was forgotten.

use std::path::{Path, PathBuf};

use crate::StorageError;
use crate::engine::TableSettings;
use crate::fs::Fs;
use crate::layout;
use crate::snapshot::table_dir_name;

/// What is missing, the outermost of each: `StorageError::Missing`.
///
/// # Errors
/// What is there can't be looked up.
pub fn missing<'a>(
    fs: &dyn Fs,
    dir: &Path,
    tables: impl IntoIterator<Item = &'a TableSettings>,
) -> Result<Vec<StorageError>, StorageError> {
    let mut found = Vec::new();
    if !exists(fs, dir)? {
        return Ok(vec![lost(dir, "all tables and the commit log are in it")]);
    }
    let log = dir.join("commitlog");
    if !exists(fs, &log)? {
        found.push(lost(&log, "writes that are in no SSTable yet are in it"));
    } else if !exists(fs, &log.join(layout::LOG_SEGMENTS))? {
        let what = "it tells which of the files beside it are the commit log";
        found.push(lost(&log.join(layout::LOG_SEGMENTS), what));
    }
    let data = dir.join("data");
    for table in tables {
        if !exists(fs, &data)? {
            found.push(lost(&data, "all tables are in it"));
            break;
        }
        if let Some(lost) = missing_of_table(fs, &data, table)?
            && !found.iter().any(|other| path_of(other) == path_of(&lost))
        {
            found.push(lost);
        }
    }
    Ok(found)
}

/// Whether there is a file or directory.
///
/// # Errors
/// It can't be looked up.
pub fn exists(fs: &dyn Fs, path: &Path) -> Result<bool, StorageError> {
    fs.exists(path).map_err(|error| StorageError::io("look up", path, error))
}

/// A part of a data directory that is missing, and what was in it.
pub fn lost(path: &Path, holds: impl Into<String>) -> StorageError {
    StorageError::Missing { file: path.to_path_buf(), holds: holds.into(), instead: RECREATE }
}

/// What to do about what is missing for good.
const RECREATE: &str = "start with --recreate-missing: it is made anew, empty, and tables can be brought back from a \
                        snapshot (tholos restore)";

fn missing_of_table(
    fs: &dyn Fs,
    data: &Path,
    table: &TableSettings,
) -> Result<Option<StorageError>, StorageError> {
    let keyspace = data.join(&table.keyspace);
    let dir = keyspace.join(table_dir_name(&table.name, table.id));
    let manifest = dir.join(layout::MANIFEST);
    // Nearly always all is there: one look is enough then.
    if exists(fs, &manifest)? {
        return Ok(None);
    }
    let name = table.full_name();
    Ok(Some(if !exists(fs, &keyspace)? {
        lost(&keyspace, format!("the tables of keyspace {} are in it", table.keyspace))
    } else if !exists(fs, &dir)? {
        lost(&dir, format!("the rows of table {name} are in it"))
    } else {
        lost(&manifest, format!("it tells which SSTables table {name} consists of"))
    }))
}

fn path_of(error: &StorageError) -> Option<&PathBuf> {
    match error {
        StorageError::Missing { file, .. } => Some(file),
        _ => None,
    }
}
