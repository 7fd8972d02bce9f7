//! Writing an SSTable that a flush or a compaction makes.

use std::sync::Arc;

use super::context::{Context, remove_orphan};
use super::table::TableStore;
use crate::StorageError;
use crate::manifest::{FileNumber, TableFile};
use crate::model::Timestamp;
use crate::model::entry::Entry;
use crate::model::row::transcode;
use crate::sstable::{SsTableOptions, SsTableWriter};

/// An SSTable being written; there is no file until there is an entry.
pub(super) struct Output<'a> {
    context: &'a Context,
    table: &'a TableStore,
    base: Timestamp,
    writer: Option<(FileNumber, SsTableWriter)>,
}

impl<'a> Output<'a> {
    pub(super) fn new(context: &'a Context, table: &'a TableStore, base: Timestamp) -> Self {
        Output { context, table, base, writer: None }
    }

    pub(super) fn add(&mut self, entry: Entry<'_>) -> Result<(), StorageError> {
        if self.writer.is_none() {
            self.writer = Some(self.create()?);
        }
        match &mut self.writer {
            Some((_, writer)) => writer.add(entry),
            None => Ok(()),
        }
    }

    /// Runs `fill`, then finishes the file; removes it if anything fails. `None` if nothing was added.
    pub(super) fn write(
        mut self,
        fill: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<Option<TableFile>, StorageError> {
        let filled = fill(&mut self);
        let Some((number, writer)) = self.writer.take() else { return filled.map(|()| None) };
        let path = writer.path().to_path_buf();
        let finished = match filled {
            Ok(()) => writer.finish(),
            Err(error) => Err(error),
        };
        match finished {
            Ok(statistics) => {
                Ok(Some(TableFile { number, run: number, repaired_at: 0, statistics }))
            }
            Err(error) => {
                remove_orphan(&*self.context.fs, &path);
                Err(error)
            }
        }
    }

    fn create(&self) -> Result<(FileNumber, SsTableWriter), StorageError> {
        let (number, path) = {
            let mut manifest = self.table.manifest.lock();
            let number = manifest.next_number();
            (number, manifest.path(number))
        };
        let settings = self.table.settings();
        let options = SsTableOptions {
            compression: settings.compression,
            block_bytes: settings.block_bytes,
            filter_false_positives: settings.filter_false_positives,
            ..SsTableOptions::new(self.base, transcode)
        };
        let writer = SsTableWriter::create(Arc::clone(&self.context.fs), path, options)?;
        Ok((number, writer))
    }
}
