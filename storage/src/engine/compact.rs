//! Running a compaction: inputs and outputs change places in one manifest edit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::context::{Context, apply_edit, remove_orphan};
use super::jobs::Running;
use super::options::BackgroundDriver;
use super::output::Output;
use super::state::{OpenFile, TableState};
use super::table::{TableStore, open_new_file};
use crate::StorageError;
use crate::compaction::{
    FileStats, Job, JobKind, Moment, Pace, PurgeSettings, PurgingWriter, Strategy, bytes_per_second,
};
use crate::manifest::{FileNumber, ManifestEdit, TableFile};
use crate::model::entry::Direction;
use crate::model::position::token_of;
use crate::model::{Seconds, Timestamp};
use crate::planted::planted;
use crate::read::merge::MergeCursor;
use crate::read::source::Source;
use crate::sstable::BlockCache;

/// Blocks of inputs are read once: what is kept of them would push out what requests need.
const INPUT_CACHE_BYTES: u64 = 1 << 20;

/// After so many entries, progress is told and a stop is noticed.
const STEP_ENTRIES: u32 = 64;

/// Files that a job has for itself.
struct Claim<'a> {
    table: &'a TableStore,
    job: Job,
    running: Running<'a>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.table.claimed.lock();
        claimed.retain(|number| !self.job.inputs.contains(number));
        self.table.unclaimed.notify_all();
    }
}

impl TableStore {
    /// Merges what the strategy picks; whether there was anything.
    pub(super) fn compact_next(&self, context: &Context) -> Result<bool, StorageError> {
        if !self.settings().compaction.enabled || self.is_dropped() {
            return Ok(false);
        }
        match self.claim_next(context) {
            Some(claim) => self.run(context, &claim).map(|()| true),
            None => Ok(false),
        }
    }

    /// Merges certain files, or all: into one run. Waits for jobs that have any of them.
    pub(super) fn compact_files(
        &self,
        context: &Context,
        numbers: Option<&BTreeSet<FileNumber>>,
    ) -> Result<(), StorageError> {
        let claim = {
            let mut claimed = self.claimed.lock();
            loop {
                let (mut files, _) = self.files_at(context);
                files.retain(|(_, damaged)| !damaged);
                let mut files: Vec<FileStats> = files.into_iter().map(|(file, _)| file).collect();
                files.retain(|file| numbers.is_none_or(|wanted| wanted.contains(&file.number)));
                if files.is_empty() {
                    return Ok(());
                }
                if !files.iter().any(|file| claimed.contains(&file.number)) {
                    let job = self.settings().compaction.strategy.job(JobKind::Merge, &files);
                    claimed.extend(&job.inputs);
                    break self.start(context, job, u64::MAX);
                }
                self.unclaimed.wait(&mut claimed);
            }
        };
        claim.map_or(Ok(()), |claim| self.run(context, &claim))
    }

    /// Picks a job for which there is room, and takes its files.
    fn claim_next<'a>(&'a self, context: &'a Context) -> Option<Claim<'a>> {
        let settings = self.settings();
        let mut claimed = self.claimed.lock();
        let (files, moment) = self.files_at(context);
        let mut files: Vec<FileStats> = files
            .into_iter()
            .map(|(file, damaged)| FileStats {
                held: damaged || claimed.contains(&file.number),
                ..file
            })
            .collect();
        let dir = &context.options.data_dir;
        // A file system that can't tell sets no limit: a job that finds it full gives up without harm.
        let available = context.fs.available_bytes(dir).unwrap_or(u64::MAX);
        let mut put_off = None;
        while let Some(job) = settings.compaction.strategy.pick(&files, moment) {
            let (bytes, inputs) = (job.bytes, job.inputs.clone());
            if let Some(claim) = self.start(context, job, available) {
                claimed.extend(&inputs);
                return Some(claim);
            }
            put_off = put_off.or(Some(bytes));
            let is_input = |file: &&mut FileStats| inputs.contains(&file.number);
            files.iter_mut().filter(is_input).for_each(|file| file.held = true);
        }
        self.tell_of_disk(put_off, available);
        None
    }

    /// Says that a compaction of so many bytes waits for room on the disk, or that none does any more: when that changes.
    fn tell_of_disk(&self, put_off: Option<u64>, available: u64) {
        let did_wait = self.waits_for_disk.swap(put_off.is_some(), Ordering::Relaxed);
        let settings = self.settings();
        match put_off {
            Some(bytes) if !did_wait => tracing::warn!(
                table = %settings.full_name(), bytes, available,
                "a compaction waits for room on the disk: free some, or drop what is not needed"
            ),
            None if did_wait => tracing::info!(
                table = %settings.full_name(),
                "no compaction waits for room on the disk any more"
            ),
            _ => {}
        }
    }

    fn start<'a>(&'a self, context: &'a Context, job: Job, available: u64) -> Option<Claim<'a>> {
        let settings = self.settings();
        let name = (settings.keyspace.as_str(), settings.name.as_str());
        let started_at = context.clock.now_micros();
        let running = context.jobs.start(name, &job, started_at, available)?;
        Some(Claim { table: self, job, running })
    }

    /// Figures of the files, each with whether it is damaged, and the moment they hold for.
    pub(super) fn files_at(&self, context: &Context) -> (Vec<(FileStats, bool)>, Moment) {
        let now = context.now();
        let gc_before = self.gc_before(now);
        // Asked for first: a hold that is gone by then has let go of what the state has.
        let held = self.holds.any();
        let state = self.state.load();
        let stats =
            |file: &Arc<OpenFile>| (FileStats::of(&file.meta, gc_before), file.is_damaged());
        let files = state.files.iter().map(stats).collect();
        let memory = state.memtables().map(|memtable| memtable.timestamps().0).min();
        // What is inbound may be of any age: nothing is worth a job for its tombstones, or goes unread.
        let memory = if held { Some(Timestamp::MIN) } else { memory };
        (files, Moment { now, gc_before, memory: memory.unwrap_or(Timestamp::MAX) })
    }

    fn gc_before(&self, now: Seconds) -> Seconds {
        now.saturating_sub(self.settings().gc_grace_seconds)
    }

    fn run(&self, context: &Context, claim: &Claim<'_>) -> Result<(), StorageError> {
        let job = &claim.job;
        let state = self.state.load_full();
        let inputs: Option<Vec<Arc<OpenFile>>> =
            job.inputs.iter().map(|number| state.file(*number).cloned()).collect();
        // Gone in the meantime: truncated or dropped.
        let Some(inputs) = inputs else { return Ok(()) };
        drop(state);
        let outputs = match job.kind {
            JobKind::Expired => Vec::new(),
            JobKind::Merge | JobKind::Tombstones => self
                .merge(context, claim, &inputs)
                .inspect_err(|error| tell_damage(&inputs, error))?,
        };
        self.replace(context, job, &inputs, outputs)?;
        drop(inputs);
        context.retired.remove_files();
        Ok(())
    }

    /// Puts the outputs in the place of the inputs, unless those are gone.
    fn replace(
        &self,
        context: &Context,
        job: &Job,
        inputs: &[Arc<OpenFile>],
        add: Vec<TableFile>,
    ) -> Result<(), StorageError> {
        let mut manifest = self.manifest.lock();
        let state = self.state.load_full();
        let still_there = job.inputs.iter().all(|number| state.file(*number).is_some());
        if !still_there || self.is_dropped() {
            add.iter().for_each(|file| remove_orphan(&*context.fs, &manifest.path(file.number)));
            return Ok(());
        }
        let written: u64 = add.iter().map(|file| file.statistics.file_bytes).sum();
        let mut remove = job.inputs.clone();
        if planted!(RemoveInputsFirst) {
            let remove = std::mem::take(&mut remove);
            manifest.apply(ManifestEdit { remove, ..ManifestEdit::default() })?;
        }
        let edit = ManifestEdit { add: add.clone(), remove, ..ManifestEdit::default() };
        apply_edit(&*context.fs, &mut manifest, edit)?;
        let mut files = state.files.clone();
        files.retain(|file| !job.inputs.contains(&file.meta.number));
        files.extend(add.into_iter().map(|meta| open_new_file(context, &manifest, meta)));
        let (active, frozen) = (Arc::clone(&state.active), state.frozen.clone());
        self.state.store(Arc::new(TableState::new(active, frozen, files)));
        inputs.iter().for_each(|input| context.retired.file(&input.table));
        context.compactions.fetch_add(1, Ordering::Relaxed);
        if job.kind == JobKind::Expired {
            context.expired_files.fetch_add(inputs.len() as u64, Ordering::Relaxed);
        }
        context.compacted_bytes.fetch_add(written, Ordering::Relaxed);
        Ok(())
    }

    fn merge(
        &self,
        context: &Context,
        claim: &Claim<'_>,
        inputs: &[Arc<OpenFile>],
    ) -> Result<Vec<TableFile>, StorageError> {
        let settings = self.settings();
        let now = context.now();
        let gc_before = self.gc_before(now);
        let base = inputs.iter().map(|input| input.meta.statistics.min_timestamp).min();
        let cache = Arc::new(BlockCache::new(INPUT_CACHE_BYTES));
        let source =
            |input: &Arc<OpenFile>| Source::Table(input.table.with_cache(Arc::clone(&cache)));
        let sources = inputs.iter().map(source).collect();
        let mut merge = MergeCursor::open(sources, &[], &[], Direction::Forward)?;
        let mut max_purgeable = |partition: &[u8]| self.least_outside(inputs, partition);
        let mut purging = PurgingWriter::new(PurgeSettings { now, gc_before }, &mut max_purgeable)
            .within_columns(self.kept_columns())
            .above(self.floors());
        let fragment_bytes = settings.compaction.strategy.fragment_bytes;
        let output =
            Output::new(context, self, base.unwrap_or(0)).cut(claim.job.slices, fragment_bytes);
        output.write(|output| {
            let (mut pace, mut written, mut entries) = (Pace::default(), 0_u64, 0_u32);
            while let Some(entry) = merge.advance()? {
                purging.add(entry, &mut |entry| output.add(entry))?;
                entries += 1;
                if entries.is_multiple_of(STEP_ENTRIES) {
                    claim.running.read(merge.bytes_read());
                    // What a file takes is known when it is finished: a little less than it seemed.
                    let total = output.bytes();
                    breathe(context, &mut pace, total.saturating_sub(written))?;
                    written = total;
                }
            }
            Ok(())
        })
    }

    /// The least timestamp that any source but the inputs may hold of a partition (4.2). Memtables count, and with them
    /// all of the log that could be replayed; so does what may be inbound.
    fn least_outside(&self, inputs: &[Arc<OpenFile>], partition: &[u8]) -> Timestamp {
        // Before the state is looked at: a hold ends when the state has what it was for.
        if self.holds.hold(token_of(partition)) {
            return Timestamp::MIN;
        }
        let state = self.state.load();
        let is_input =
            |file: &OpenFile| inputs.iter().any(|input| input.meta.number == file.meta.number);
        let files = state.files.iter().filter(|file| !is_input(file));
        let in_files = files
            .filter(|file| file.may_contain(partition))
            .map(|file| file.meta.statistics.min_timestamp);
        let in_memory = state.memtables().map(|memtable| memtable.min_timestamp_of(partition));
        let in_memory = in_memory.filter(|_| !planted!(IgnoreMemtablesWhenPurging));
        in_files.chain(in_memory).min().unwrap_or(Timestamp::MAX)
    }
}

/// Gives up if the engine stops, and sleeps if the job is ahead of its rate.
fn breathe(context: &Context, pace: &mut Pace, written: u64) -> Result<(), StorageError> {
    if context.is_stopping() {
        return Err(StorageError::Unusable("the storage engine is closing".into()));
    }
    if context.options.background == BackgroundDriver::Caller {
        return Ok(());
    }
    let calm = context.options.compaction_bytes_per_second;
    let rate = || bytes_per_second(calm, context.backlog_bytes.load(Ordering::Relaxed));
    if let Some(micros) = pace.moved(written, &*context.clock, rate).filter(|micros| *micros > 0) {
        std::thread::sleep(Duration::from_micros(micros));
    } else {
        std::thread::yield_now();
    }
    Ok(())
}

/// Says that an input turned out to be damaged: it keeps out of compactions, as what is left of it must not be taken for
/// all.
fn tell_damage(inputs: &[Arc<OpenFile>], error: &StorageError) {
    let StorageError::Corrupt { file, .. } = error else { return };
    if inputs.iter().any(|input| input.table.path() == file) {
        tracing::error!(file = %file.display(), "this file is damaged and will not be compacted");
    }
}
