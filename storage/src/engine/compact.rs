//! Running a compaction: inputs and output change places in one manifest edit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::context::{Context, remove_orphan};
use super::output::Output;
use super::state::{OpenFile, TableState};
use super::table::{TableStore, open_file};
use crate::StorageError;
use crate::compaction::{Job, PurgeSettings, PurgingWriter};
use crate::manifest::{ManifestEdit, TableFile};
use crate::model::Timestamp;
use crate::model::entry::Direction;
use crate::read::merge::MergeCursor;
use crate::read::source::Source;

impl TableStore {
    /// Merges what the strategy picks; whether there was anything.
    pub(super) fn compact_next(&self, context: &Context) -> Result<bool, StorageError> {
        let Some(_compacting) = self.compacting.try_lock() else { return Ok(false) };
        match self.pick_compaction() {
            Some(job) => self.run(context, &job).map(|()| true),
            None => Ok(false),
        }
    }

    /// Merges all files into one.
    pub(super) fn compact_all(&self, context: &Context) -> Result<(), StorageError> {
        let _compacting = self.compacting.lock();
        let mut inputs: Vec<u64> = self.file_stats().iter().map(|file| file.number).collect();
        inputs.sort_unstable();
        if inputs.is_empty() { Ok(()) } else { self.run(context, &Job { inputs }) }
    }

    fn run(&self, context: &Context, job: &Job) -> Result<(), StorageError> {
        let state = self.state.load_full();
        let inputs: Option<Vec<Arc<OpenFile>>> =
            job.inputs.iter().map(|number| state.file(*number).cloned()).collect();
        // Gone in the meantime: truncated or dropped.
        let Some(inputs) = inputs else { return Ok(()) };
        drop(state);
        let output = self.merge(context, &inputs).inspect_err(|error| set_aside(&inputs, error))?;

        let mut manifest = self.manifest.lock();
        let state = self.state.load_full();
        let still_there = job.inputs.iter().all(|number| state.file(*number).is_some());
        if !still_there || self.is_dropped() {
            if let Some(output) = output {
                remove_orphan(&*context.fs, &manifest.path(output.number));
            }
            return Ok(());
        }
        let add: Vec<TableFile> = output.into_iter().collect();
        let written: u64 = add.iter().map(|file| file.statistics.file_bytes).sum();
        let remove = job.inputs.clone();
        manifest.apply(ManifestEdit { add: add.clone(), remove, ..ManifestEdit::default() })?;
        let mut files = state.files.clone();
        files.retain(|file| !job.inputs.contains(&file.meta.number));
        files.extend(add.into_iter().map(|meta| open_file(context, &manifest, meta)));
        let (active, frozen) = (Arc::clone(&state.active), state.frozen.clone());
        self.state.store(Arc::new(TableState::new(active, frozen, files)));
        inputs.iter().for_each(|input| input.table.remove_when_unused());
        context.compactions.fetch_add(1, Ordering::Relaxed);
        context.compacted_bytes.fetch_add(written, Ordering::Relaxed);
        Ok(())
    }

    fn merge(
        &self,
        context: &Context,
        inputs: &[Arc<OpenFile>],
    ) -> Result<Option<TableFile>, StorageError> {
        let now = context.now();
        let gc_before = now.saturating_sub(self.settings().gc_grace_seconds);
        let base = inputs.iter().map(|input| input.meta.statistics.min_timestamp).min();
        let sources = inputs.iter().map(|input| Source::Table(Arc::clone(&input.table))).collect();
        let mut merge = MergeCursor::open(sources, &[], &[], Direction::Forward)?;
        let mut max_purgeable = |partition: &[u8]| self.least_outside(inputs, partition);
        let mut purging = PurgingWriter::new(PurgeSettings { now, gc_before }, &mut max_purgeable)
            .within_columns(self.current_columns());
        Output::new(context, self, base.unwrap_or(0)).write(|output| {
            while let Some(entry) = merge.advance()? {
                if context.is_stopping() {
                    return Err(StorageError::Unusable("the storage engine is closing".into()));
                }
                purging.add(entry, &mut |entry| output.add(entry))?;
            }
            Ok(())
        })
    }

    /// The least timestamp that any source but the inputs may hold of a partition (4.2). Memtables count, and with them
    /// all of the log that could be replayed.
    fn least_outside(&self, inputs: &[Arc<OpenFile>], partition: &[u8]) -> Timestamp {
        let state = self.state.load();
        let is_input =
            |file: &OpenFile| inputs.iter().any(|input| input.meta.number == file.meta.number);
        let files = state.files.iter().filter(|file| !is_input(file));
        let in_files = files
            .filter(|file| file.may_contain(partition))
            .map(|file| file.meta.statistics.min_timestamp);
        let in_memory = state.memtables().map(|memtable| memtable.min_timestamp_of(partition));
        in_files.chain(in_memory).min().unwrap_or(Timestamp::MAX)
    }
}

/// Keeps a file that turned out to be damaged out of further compactions: what is left of it must not be taken for all.
fn set_aside(inputs: &[Arc<OpenFile>], error: &StorageError) {
    let StorageError::Corrupt { file, .. } = error else { return };
    for input in inputs.iter().filter(|input| input.table.path() == file) {
        tracing::error!(file = %file.display(), "this file is damaged and will not be compacted");
        input.damaged.store(true, Ordering::Relaxed);
    }
}
