//! What a data directory must have once a node was started in it. A start refuses when something is missing, and
//! `tholos verify` names it, both by what is here and in [`tholos_storage::presence`].
//!
//! A new directory is told from one that lost its content by `node.journal`, which is made first of all: without it, and
//! with nothing else that a node makes, the directory is new.

use std::path::Path;

use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::presence::{exists, lost};

use crate::{identity, schema_store};

/// Below the data directory: tables and the commit log.
pub const STORAGE: &str = "storage";

/// Whether `node.journal` is there, or the directory is new.
///
/// # Errors
/// `Missing`.
pub fn check_identity(fs: &dyn Fs, dir: &Path) -> Result<(), StorageError> {
    let journal = dir.join(identity::FILE);
    let is_new = !exists(fs, &dir.join(schema_store::FILE))? && !exists(fs, &dir.join(STORAGE))?;
    if is_new || exists(fs, &journal)? {
        return Ok(());
    }
    Err(lost(&journal, "it tells which node the data beside it belongs to"))
}

/// Whether `schema.journal` is there, if it must be.
///
/// # Errors
/// `Missing`.
pub fn check_schema(fs: &dyn Fs, dir: &Path, established: bool) -> Result<(), StorageError> {
    let journal = dir.join(schema_store::FILE);
    if !established || exists(fs, &journal)? {
        return Ok(());
    }
    Err(lost(&journal, "it tells which keyspaces and tables there are"))
}
