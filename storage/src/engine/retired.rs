//! What is part of no table any more and goes once its last reader is done.
//!
//! To free a memtable or to remove a large file takes milliseconds. If readers simply let go of them, the last one would
//! do that in the middle of a request; so each is kept here until nobody else has it, and goes in a background thread.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::memtable::Memtable;
use crate::sstable::SsTable;

/// Memtables that were flushed, and files that were replaced.
#[derive(Default)]
pub(super) struct Retired {
    memtables: Mutex<Vec<Arc<Memtable>>>,
    files: Mutex<Vec<Arc<SsTable>>>,
}

impl Retired {
    pub(super) fn memtable(&self, memtable: &Arc<Memtable>) {
        self.memtables.lock().push(Arc::clone(memtable));
    }

    /// The file is to be removed.
    pub(super) fn file(&self, file: &Arc<SsTable>) {
        file.remove_when_unused();
        self.files.lock().push(Arc::clone(file));
    }

    /// Frees the memtables that nobody else has.
    pub(super) fn free_memtables(&self) {
        drop(unused(&self.memtables));
    }

    /// Whether memtables wait for their last readers.
    pub(super) fn has_memtables(&self) -> bool {
        !self.memtables.lock().is_empty()
    }

    /// Whether files do.
    pub(super) fn has_files(&self) -> bool {
        !self.files.lock().is_empty()
    }

    /// Removes the files that nobody else has.
    pub(super) fn remove_files(&self) {
        drop(unused(&self.files));
    }
}

/// Takes out what only this list has. Nobody can get hold of it anew.
fn unused<T>(retired: &Mutex<Vec<Arc<T>>>) -> Vec<Arc<T>> {
    retired.lock().extract_if(.., |one| Arc::strong_count(one) == 1).collect()
}
