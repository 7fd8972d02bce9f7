//! One table: writing to its memtable, reading all of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

use super::context::{Context, remove_orphan};
use super::hold::Holds;
use super::options::TableSettings;
use super::state::{OpenFile, TableState};
use super::stats::{DamagedRange, SsTableStats, TableStats};
use crate::StorageError;
use crate::commitlog::LogPosition;
use crate::compaction::{FileStats, Moment, Strategy};
use crate::manifest::{FileNumber, Manifest, TableFile};
use crate::memtable::{Memtable, NotApplied};
use crate::model::entry::Direction;
use crate::model::mutation::Mutation;
use crate::model::{ColumnId, Seconds, Timestamp};
use crate::read::figures::{PointOutcome, ReadFigures};
use crate::read::floors::Floors;
use crate::read::live::LiveRows;
use crate::read::merge::MergeCursor;
use crate::read::point::{PointRead, PointRow};
use crate::read::source::Source;
use crate::schema::TableId;
use crate::sstable::{DamageLog, SsTable};

/// One table of the engine.
pub struct TableStore {
    id: TableId,
    settings: ArcSwap<TableSettings>,
    pub(super) state: ArcSwap<TableState>,
    /// Held while `state` is replaced, so that replacements don't undo each other.
    pub(super) manifest: Mutex<Manifest>,
    /// Held by the one flush of this table.
    pub(super) flushing: Mutex<()>,
    /// Files that a compaction has for itself; the condition is told when it lets go of them.
    pub(super) claimed: Mutex<BTreeSet<FileNumber>>,
    pub(super) unclaimed: Condvar,
    /// Where nothing is purged for now.
    pub(super) holds: Arc<Holds>,
    /// Since when the active memtable gathers what a flush period counts from, in microseconds.
    pub(super) gathers_since: AtomicI64,
    dropped: AtomicBool,
    /// Whether a compaction was put off for want of room on the disk.
    pub(super) waits_for_disk: AtomicBool,
    writes: AtomicU64,
    figures: Arc<ReadFigures>,
}

impl TableStore {
    /// Opens the table's directory, and removes what a crash left over there.
    pub(super) fn open(context: &Context, settings: TableSettings) -> Result<Self, StorageError> {
        let dir = context.table_dir(&settings);
        let manifest = Manifest::open(Arc::clone(&context.fs), &dir)?;
        for orphan in manifest.orphans()? {
            tracing::info!(file = %orphan.display(), "removing a file that no manifest names");
            remove_orphan(&*context.fs, &orphan);
        }
        let files = manifest.files().files.values();
        let files = files.map(|file| open_file(context, &manifest, file.clone())).collect();
        let active = Arc::new(Memtable::new(context.options.shards));
        Ok(TableStore {
            id: settings.id,
            settings: ArcSwap::from_pointee(settings),
            state: ArcSwap::from_pointee(TableState::new(active, Vec::new(), files)),
            manifest: Mutex::new(manifest),
            flushing: Mutex::new(()),
            claimed: Mutex::new(BTreeSet::new()),
            unclaimed: Condvar::new(),
            holds: Arc::default(),
            gathers_since: AtomicI64::new(context.clock.now_micros()),
            dropped: AtomicBool::new(false),
            waits_for_disk: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            figures: Arc::default(),
        })
    }

    /// The table's identity.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// What the engine was told of it last.
    pub fn settings(&self) -> Arc<TableSettings> {
        self.settings.load_full()
    }

    /// The rows of `lower..upper` (full keys or parts of them; an empty `upper` is the end) that exist at `now`. For part
    /// of one partition both bounds must lie within it: its prefix followed by 0xFF is after everything in it.
    ///
    /// # Errors
    /// What a file's first block meets.
    pub fn scan(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
        now: Seconds,
    ) -> Result<LiveRows, StorageError> {
        let sources = self.state.load().sources_within(lower, upper);
        let merge = MergeCursor::open(sources, lower, upper, direction)?;
        Ok(self.live_rows(merge, direction, now))
    }

    /// [`scan`](Self::scan) of part of one partition, whose prefix is the first `partition_len` bytes of `lower`: files
    /// whose filters exclude the partition are left out.
    ///
    /// # Errors
    /// What a file's first block meets.
    pub fn scan_partition(
        &self,
        partition_len: usize,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
        now: Seconds,
    ) -> Result<LiveRows, StorageError> {
        let sources = self.sources(lower, upper, Some(&lower[..partition_len]))?;
        let merge = MergeCursor::open(sources, lower, upper, direction)?;
        Ok(self.live_rows(merge, direction, now))
    }

    /// What may have keys in `lower..upper`, all of which are of a partition if one is given.
    pub(super) fn sources(
        &self,
        lower: &[u8],
        upper: &[u8],
        partition: Option<&[u8]>,
    ) -> Result<Vec<Source>, StorageError> {
        let state = self.state.load();
        let sources = state.sources_within(lower, upper);
        match partition {
            Some(partition) if !state.files.is_empty() => sources_with(sources, partition),
            _ => Ok(sources),
        }
    }

    /// The row, or static row, of a full key, if it exists at `now`.
    ///
    /// # Errors
    /// What a file's blocks meet.
    pub fn row(
        &self,
        key: &[u8],
        partition_len: usize,
        now: Seconds,
    ) -> Result<Option<PointRow>, StorageError> {
        self.read(PointRead::new(key, partition_len, None, now), &key[..partition_len])
    }

    /// [`row`](Self::row) for certain columns, statics or regulars: others may be missing from the result. Older files
    /// are left alone once nothing in them can matter.
    ///
    /// # Errors
    /// What a file's blocks meet.
    pub fn row_columns(
        &self,
        key: &[u8],
        partition_len: usize,
        columns: &[ColumnId],
        now: Seconds,
    ) -> Result<Option<PointRow>, StorageError> {
        self.read(PointRead::new(key, partition_len, Some(columns), now), &key[..partition_len])
    }

    fn read(
        &self,
        read: PointRead<'_>,
        partition: &[u8],
    ) -> Result<Option<PointRow>, StorageError> {
        let mut read = read.within_columns(self.current_columns()).above(self.floors());
        let state = self.state.load();
        state.memtables().for_each(|memtable| read.memtable(memtable));
        for file in &state.files {
            // Files come with the newest data first, so what holds for one holds for all after it.
            if read.is_settled(file.meta.statistics.max_timestamp)? {
                break;
            }
            if file.concerns_partition(partition) {
                read.table(&file.table)?;
            }
        }
        let (files, found_any) = (read.files(), read.found_any());
        let row = read.finish()?;
        let outcome = match (&row, found_any) {
            (Some(_), _) => PointOutcome::Live,
            (None, true) => PointOutcome::Dead,
            (None, false) => PointOutcome::Absent,
        };
        self.figures.point(files, outcome);
        Ok(row)
    }

    fn live_rows(&self, merge: MergeCursor, direction: Direction, now: Seconds) -> LiveRows {
        LiveRows::new(merge, direction, now)
            .within_columns(self.current_columns())
            .above(self.floors())
            .counted(Arc::clone(&self.figures))
    }

    /// Applies a mutation to the memtable that takes writes; `first` runs before, under the same lock. Also says by how
    /// many bytes that memtable grew.
    pub(super) fn apply<T>(
        &self,
        mutation: &Mutation,
        mut first: impl FnMut() -> Result<T, StorageError>,
    ) -> Result<(T, isize), StorageError> {
        loop {
            if self.dropped.load(Ordering::Acquire) {
                return Err(StorageError::UnknownTable(self.id));
            }
            match self.state.load().active.apply(mutation, &mut first) {
                Ok(applied) => {
                    self.writes.fetch_add(1, Ordering::Relaxed);
                    return Ok(applied);
                }
                // The next memtable was put in place before the lock that told so was released.
                Err(NotApplied::Frozen) => {}
                Err(NotApplied::Failed(error)) => return Err(error),
            }
        }
    }

    /// How long until the table's flush period is over, if it has one.
    pub(super) fn flush_due_in(&self, context: &Context) -> Option<Duration> {
        let period = self.settings.load().flush_period;
        let since = self.gathers_since.load(Ordering::Relaxed);
        let gathered = u64::try_from(context.clock.now_micros().saturating_sub(since)).unwrap_or(0);
        let left = period.saturating_sub(Duration::from_micros(gathered));
        (!period.is_zero()).then_some(left)
    }

    /// Whether what is in memory is to be flushed because its table's flush period is over. A period with no writes is
    /// followed by the next one.
    pub(super) fn is_flush_due(&self, context: &Context) -> bool {
        if self.flush_due_in(context) != Some(Duration::ZERO) {
            return false;
        }
        let is_empty = self.state.load().active.is_empty();
        if is_empty {
            self.gathers_since.store(context.clock.now_micros(), Ordering::Relaxed);
        }
        !is_empty
    }

    /// Whether a compaction was put off for want of room on the disk, when that was last looked at.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.waits_for_disk.load(Ordering::Relaxed)
    }

    /// Records before this are in SSTables.
    pub(super) fn flushed(&self) -> LogPosition {
        self.manifest.lock().files().flushed
    }

    pub(super) fn is_durable(&self) -> bool {
        self.settings.load().durable_writes
    }

    /// See [`TableSettings::floors`].
    pub(super) fn floors(&self) -> Option<Arc<Floors>> {
        self.settings.load().floors.clone()
    }

    /// Whose cells a compaction keeps: those that count, and those that may count again.
    pub(super) fn kept_columns(&self) -> Option<Arc<[ColumnId]>> {
        let (columns, floors) = (self.current_columns()?, self.floors().unwrap_or_default());
        let mut kept: Vec<ColumnId> = columns.to_vec();
        kept.extend(floors.iter().map(|(column, _)| *column));
        kept.sort_unstable();
        kept.dedup();
        Some(kept.into())
    }

    pub(super) fn current_columns(&self) -> Option<Arc<[ColumnId]>> {
        self.settings.load().columns.clone()
    }

    pub(super) fn alter(&self, settings: TableSettings) {
        self.settings.store(Arc::new(settings));
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Refuses writes from now on.
    pub(super) fn mark_dropped(&self) {
        let _manifest = self.manifest.lock();
        self.state.load().active.freeze(|| self.dropped.store(true, Ordering::Release));
    }

    /// Damage in its files.
    pub(super) fn damage(&self) -> Vec<DamagedRange> {
        let settings = self.settings.load();
        let of = |file: &Arc<OpenFile>| -> Vec<DamagedRange> {
            let range = |found| DamagedRange {
                keyspace: settings.keyspace.clone(),
                table: settings.name.clone(),
                file: file.table.path().to_path_buf(),
                number: file.meta.number,
                found,
            };
            file.table.damage_log().found().into_iter().map(range).collect()
        };
        self.state.load().files.iter().flat_map(of).collect()
    }

    /// The highest timestamp in it; `MIN` if it is empty.
    pub(super) fn max_timestamp(&self) -> Timestamp {
        let state = self.state.load();
        let memory = state.memtables().map(|memtable| memtable.timestamps().1);
        let files = state.files.iter().map(|file| file.meta.statistics.max_timestamp);
        memory.chain(files).max().unwrap_or(Timestamp::MIN)
    }

    /// Bytes that are to be compacted.
    pub(super) fn backlog_bytes(&self, context: &Context) -> u64 {
        let settings = self.settings.load();
        if !settings.compaction.enabled || self.is_dropped() {
            return 0;
        }
        let (files, moment) = self.files_at(context);
        let files: Vec<FileStats> =
            files.into_iter().map(|(file, damaged)| FileStats { held: damaged, ..file }).collect();
        settings.compaction.strategy.backlog(&files, moment)
    }

    pub(super) fn stats(&self, context: &Context) -> TableStats {
        let settings = self.settings.load();
        let state = self.state.load();
        let (files, moment) = self.files_at(context);
        let files: Vec<FileStats> =
            files.into_iter().map(|(file, damaged)| FileStats { held: damaged, ..file }).collect();
        let strategy = &settings.compaction.strategy;
        let statistics = || state.files.iter().map(|file| &file.meta.statistics);
        let sizes = || statistics().filter_map(|statistics| statistics.partition_sizes.as_ref());
        TableStats {
            id: self.id,
            keyspace: settings.keyspace.clone(),
            name: settings.name.clone(),
            memtable_bytes: state.memtables().map(|memtable| memtable.bytes()).sum(),
            max_partition_bytes: sizes().map(|sizes| sizes.max_bytes).max().unwrap_or(0),
            partitions: statistics().map(|statistics| statistics.partitions).sum(),
            files: state
                .files
                .iter()
                .map(|file| (file.meta.number, file.meta.statistics.file_bytes))
                .collect(),
            compaction_backlog_bytes: strategy.backlog(&files, moment),
            pending_compactions: pending(strategy, files, moment),
            writes: self.writes.load(Ordering::Relaxed),
            reads: self.figures.snapshot(),
        }
    }

    /// Its SSTables, newest data first.
    pub(super) fn sstables(&self, context: &Context) -> Vec<SsTableStats> {
        let settings = self.settings.load();
        let gc_before = context.now().saturating_sub(settings.gc_grace_seconds);
        let claimed = self.claimed.lock().clone();
        let of = |file: &Arc<OpenFile>| SsTableStats {
            keyspace: settings.keyspace.clone(),
            table: settings.name.clone(),
            path: file.table.path().to_path_buf(),
            compacting: claimed.contains(&file.meta.number),
            damaged: file.is_damaged(),
            droppable_tombstones: FileStats::of(&file.meta, gc_before).old_tombstones,
            file: file.meta.clone(),
        };
        self.state.load().files.iter().map(of).collect()
    }
}

impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.load();
        write!(f, "TableStore({}.{}, {})", settings.keyspace, settings.name, self.id)
    }
}

pub(super) fn open_file(context: &Context, manifest: &Manifest, meta: TableFile) -> Arc<OpenFile> {
    let path = manifest.path(meta.number);
    let clock = Arc::clone(&context.clock);
    let damage = Arc::new(DamageLog::new(move || clock.now_micros()));
    let (fs, cache) = (Arc::clone(&context.fs), Arc::clone(&context.cache));
    Arc::new(OpenFile { meta, table: SsTable::with_damage_log(fs, path, cache, damage) })
}

/// [`open_file`] for a file that was just written: what its reads need is read now, in the background, so that none of
/// them has to wait for it.
pub(super) fn open_new_file(
    context: &Context,
    manifest: &Manifest,
    meta: TableFile,
) -> Arc<OpenFile> {
    let file = open_file(context, manifest, meta);
    if let Err(error) = file.table.warm_up() {
        tracing::warn!(%error, "a new SSTable could not be opened yet");
    }
    file
}

/// How many jobs the files of now make.
fn pending(strategy: &impl Strategy, mut files: Vec<FileStats>, moment: Moment) -> usize {
    let mut jobs = 0;
    while let Some(job) = strategy.pick(&files, moment) {
        let is_input = |file: &&mut FileStats| job.inputs.contains(&file.number);
        files.iter_mut().filter(is_input).for_each(|file| file.held = true);
        jobs += 1;
    }
    jobs
}

fn sources_with(sources: Vec<Source>, partition: &[u8]) -> Result<Vec<Source>, StorageError> {
    let mut kept = Vec::with_capacity(sources.len());
    for source in sources {
        match &source {
            Source::Table(table) if !table.may_contain(partition)? => {}
            _ => kept.push(source),
        }
    }
    Ok(kept)
}
