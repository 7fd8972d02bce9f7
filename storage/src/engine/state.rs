//! What a table consists of at one moment.

use std::sync::Arc;

use crate::commitlog::LogPosition;
use crate::manifest::{FileNumber, TableFile};
use crate::memtable::Memtable;
use crate::read::source::Source;
use crate::sstable::SsTable;

/// What a table consists of at one moment. Never changed: replaced as a whole, so that a reader who has it has all.
pub(super) struct TableState {
    /// Takes the writes.
    pub(super) active: Arc<Memtable>,
    /// Wait for their flush, newest first.
    pub(super) frozen: Vec<Frozen>,
    /// Newest data first.
    pub(super) files: Vec<Arc<OpenFile>>,
    /// All of the above, for reading.
    pub(super) sources: Vec<Source>,
}

/// A memtable that waits for its flush.
#[derive(Clone)]
pub(super) struct Frozen {
    pub(super) memtable: Arc<Memtable>,
    /// All records of the table strictly before this are in this memtable or in older ones.
    pub(super) up_to: LogPosition,
}

/// An SSTable with what the manifest says of it.
pub(super) struct OpenFile {
    pub(super) meta: TableFile,
    pub(super) table: Arc<SsTable>,
}

impl TableState {
    pub(super) fn new(
        active: Arc<Memtable>,
        frozen: Vec<Frozen>,
        mut files: Vec<Arc<OpenFile>>,
    ) -> Self {
        files.sort_by_key(|file| {
            std::cmp::Reverse((file.meta.statistics.max_timestamp, file.meta.number))
        });
        let mut sources = vec![Source::Memtable(Arc::clone(&active))];
        sources.extend(frozen.iter().map(|frozen| Source::Memtable(Arc::clone(&frozen.memtable))));
        sources.extend(files.iter().map(|file| Source::Table(Arc::clone(&file.table))));
        TableState { active, frozen, files, sources }
    }

    pub(super) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.frozen.iter().map(|frozen| &frozen.memtable))
    }

    pub(super) fn file(&self, number: FileNumber) -> Option<&Arc<OpenFile>> {
        self.files.iter().find(|file| file.meta.number == number)
    }

    /// Memtables, and the files whose keys may concern `lower..upper`, newest first.
    pub(super) fn sources_within(&self, lower: &[u8], upper: &[u8]) -> Vec<Source> {
        if self.files.is_empty() {
            return self.sources.clone();
        }
        let memtables = self.memtables().map(|memtable| Source::Memtable(Arc::clone(memtable)));
        let files = self.files.iter().filter(|file| file.concerns(lower, upper));
        memtables.chain(files.map(|file| Source::Table(Arc::clone(&file.table)))).collect()
    }
}

impl OpenFile {
    /// Whether some of it could not be read: it stays as it is then, out of compactions.
    pub(super) fn is_damaged(&self) -> bool {
        self.table.damage_log().lost_keys()
    }

    /// Whether anything here is in `lower..upper`, or deletes something there.
    pub(super) fn concerns(&self, lower: &[u8], upper: &[u8]) -> bool {
        let statistics = &self.meta.statistics;
        // A partition's deletion reaches beyond the greatest key, but not beyond its token.
        let token = |key: &[u8]| key.len().min(8);
        let last = &statistics.max_key[..token(&statistics.max_key)];
        let ends_before = last < &lower[..token(lower)];
        let starts_after = !upper.is_empty() && statistics.min_key[..] >= *upper;
        !ends_before && !starts_after
    }

    /// Whether the file's keys allow for anything of a partition.
    pub(super) fn concerns_partition(&self, partition: &[u8]) -> bool {
        let min_key = &self.meta.statistics.min_key[..];
        self.concerns(partition, &[]) && (min_key < partition || min_key.starts_with(partition))
    }

    /// Whether the file may hold anything of a partition. A file that can't tell may.
    pub(super) fn may_contain(&self, partition: &[u8]) -> bool {
        self.concerns_partition(partition) && self.table.may_contain(partition).unwrap_or(true)
    }
}
