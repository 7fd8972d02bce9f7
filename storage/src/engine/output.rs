//! Writing the SSTables that a flush or a compaction makes.

use std::path::PathBuf;
use std::sync::Arc;

use super::context::{Context, remove_orphan};
use super::table::TableStore;
use crate::StorageError;
use crate::compaction::slice_of;
use crate::manifest::{FileNumber, TableFile};
use crate::model::Timestamp;
use crate::model::entry::Entry;
use crate::model::position::token_of;
use crate::model::row::transcode;
use crate::sstable::{SsTableOptions, SsTableWriter};

/// A run of SSTables being written; there is no file until there is an entry.
pub(super) struct Output<'a> {
    context: &'a Context,
    table: &'a TableStore,
    base: Timestamp,
    /// Into how many slices of the ring the run is cut: a power of two.
    slices: u32,
    /// A fragment that got this large ends with its partition.
    fragment_bytes: u64,
    writer: Option<(FileNumber, SsTableWriter)>,
    /// Of the last entry.
    token: i64,
    finished: Vec<TableFile>,
    finished_bytes: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(context: &'a Context, table: &'a TableStore, base: Timestamp) -> Self {
        Output {
            context,
            table,
            base,
            slices: 1,
            fragment_bytes: u64::MAX,
            writer: None,
            token: 0,
            finished: Vec::new(),
            finished_bytes: 0,
        }
    }

    /// Cuts the run at the bounds of so many slices, and where a fragment gets too large.
    pub(super) fn cut(self, slices: u32, fragment_bytes: u64) -> Self {
        Output { slices, fragment_bytes, ..self }
    }

    pub(super) fn add(&mut self, entry: Entry<'_>) -> Result<(), StorageError> {
        let token = token_of(entry.key);
        if token != self.token && self.ends_before(token) {
            self.finish_file()?;
        }
        self.token = token;
        let (_, writer) = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(create(self.context, self.table, self.base)?),
        };
        writer.add(entry)
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.finished_bytes + self.writer.as_ref().map_or(0, |(_, writer)| writer.bytes())
    }

    /// Runs `fill`, then finishes the files; removes them if anything fails. None if nothing was added.
    pub(super) fn write(
        mut self,
        fill: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<Vec<TableFile>, StorageError> {
        let result = fill(&mut self).and_then(|()| self.finish_file());
        match result {
            Ok(()) => Ok(std::mem::take(&mut self.finished)),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Whether an entry of that token goes to another file than the one before.
    fn ends_before(&self, token: i64) -> bool {
        let Some((_, writer)) = &self.writer else { return false };
        slice_of(token, self.slices) != slice_of(self.token, self.slices)
            || writer.bytes() >= self.fragment_bytes
    }

    fn finish_file(&mut self) -> Result<(), StorageError> {
        let Some((number, writer)) = self.writer.take() else { return Ok(()) };
        let path = writer.path().to_path_buf();
        let statistics =
            writer.finish().inspect_err(|_| remove_orphan(&*self.context.fs, &path))?;
        self.finished_bytes += statistics.file_bytes;
        let run = self.finished.first().map_or(number, |first| first.run);
        let slices = self.slices;
        self.finished.push(TableFile { number, run, slices, repaired_at: 0, statistics });
        Ok(())
    }

    fn abandon(&mut self) {
        let fs = &*self.context.fs;
        if let Some((_, writer)) = self.writer.take() {
            let path = writer.path().to_path_buf();
            drop(writer);
            remove_orphan(fs, &path);
        }
        let paths: Vec<PathBuf> = {
            let manifest = self.table.manifest.lock();
            self.finished.drain(..).map(|file| manifest.path(file.number)).collect()
        };
        paths.iter().for_each(|path| remove_orphan(fs, path));
    }
}

pub(super) fn create(
    context: &Context,
    table: &TableStore,
    base: Timestamp,
) -> Result<(FileNumber, SsTableWriter), StorageError> {
    let (number, path) = {
        let mut manifest = table.manifest.lock();
        let number = manifest.next_number();
        (number, manifest.path(number))
    };
    let settings = table.settings();
    let options = SsTableOptions {
        compression: settings.compression,
        block_bytes: settings.block_bytes,
        filter_false_positives: settings.filter_false_positives,
        written_at: context.clock.now_micros(),
        key_types: settings.key_types,
        ..SsTableOptions::new(base, transcode)
    };
    let writer = SsTableWriter::create(Arc::clone(&context.fs), path, options)?;
    Ok((number, writer))
}
