//! The engine: all tables of one node, their log, files and background work.
//!
//! A write is appended to the log and applied to the table's memtable under one lock, so that the position at which a
//! flush draws its line divides the log exactly: everything before is in the old memtable, everything else in the new
//! one. The manifest records that position together with the file, and a replay skips what is before it.
//!
//! Layout: `<data_dir>/commitlog`, `<data_dir>/data/<keyspace>/<table>-<id>`.

mod background;
mod compact;
mod context;
mod flush;
mod hold;
mod incoming;
mod jobs;
mod open;
mod options;
mod output;
mod pages;
mod pressure;
mod receive;
mod replay;
mod retired;
mod send;
mod snapshot;
mod state;
mod stats;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rpds::RedBlackTreeMapSync;

use self::background::Signals;
use self::context::Context;
pub use self::hold::PurgeHold;
pub use self::incoming::ReceivedStream;
pub use self::options::{
    BackgroundDriver, Clock, EngineOptions, Expected, MAX_BLOCK_KIB, TableSettings,
};
pub use self::receive::StreamReceiver;
pub use self::send::{SentStream, StreamSender};
pub use self::stats::{DamagedRange, EngineStats, JobStats, SsTableStats, TableStats};
pub use self::table::TableStore;
use crate::StorageError;
use crate::commitlog::{CommitLog, LogPosition};
use crate::manifest::FileNumber;
use crate::model::Timestamp;
use crate::model::mutation::Mutation;
use crate::schema::TableId;
use crate::sstable::Damage;

/// All tables of one node. Clones are the same engine; it stops when the last one is dropped, but only
/// [`close`](Engine::close) leaves an empty log behind.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    context: Context,
    log: CommitLog,
    tables: ArcSwap<Tables>,
    /// Held while tables come and go. Has those that went, each with the last segment that may have records of it.
    changing: Mutex<BTreeMap<TableId, u64>>,
    /// Tables whose records a replay left out, although they were not known to be dropped.
    unknown: BTreeSet<TableId>,
    /// Held while a snapshot comes or goes.
    snapshots: Mutex<()>,
    signals: Arc<Signals>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
    /// The newest segment of the log that a write went to.
    seen_segment: AtomicU64,
    _lock: Box<dyn Send + Sync>,
}

/// A changed copy shares most with the original: a table comes or goes at the same cost, however many there are.
type Tables = RedBlackTreeMapSync<TableId, Arc<TableStore>>;

impl Engine {
    /// Adds a table; what its directory holds from before is there again. If the table is there, nothing happens. A table
    /// that was written to before the last stop must be given to [`open`](Self::open) instead, which alone replays its
    /// part of the log.
    ///
    /// # Errors
    /// `Corrupt` and `Io` for what is in its directory.
    pub fn create_table(&self, settings: TableSettings) -> Result<Arc<TableStore>, StorageError> {
        let mut dropped = self.0.changing.lock();
        if let Some(table) = self.0.tables.load().get(&settings.id) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(TableStore::open(&self.0.context, settings)?);
        if dropped.contains_key(&table.id()) {
            // What the log still has of the table that had this id before is not this one's.
            table.skip_log(self.0.log.end())?;
            dropped.remove(&table.id());
        }
        self.0.with_tables(|tables| tables.insert_mut(table.id(), Arc::clone(&table)));
        self.0.tell_of_period(&table);
        Ok(table)
    }

    /// Gives a table new settings; files written from now on follow them.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub fn alter_table(&self, settings: TableSettings) -> Result<(), StorageError> {
        let table = self.table(settings.id)?;
        table.alter(settings);
        self.0.tell_of_period(&table);
        self.0.signals.want_compaction();
        Ok(())
    }

    /// Removes a table with all its data. The schema must have forgotten the table for good before: its log records are
    /// skipped by a replay only because nobody opens the table any more.
    ///
    /// # Errors
    /// `UnknownTable`; a file that could not be removed is only logged.
    pub fn drop_table(&self, id: TableId) -> Result<(), StorageError> {
        let mut dropped = self.0.changing.lock();
        let table = self.table(id)?;
        self.0.with_tables(|tables| tables.remove_mut(&id));
        table.mark_dropped();
        dropped.insert(id, self.0.log.end().segment);
        self.0.log.mark_flushed(id, LogPosition::END);
        table.remove_files(&self.0.context);
        self.0.signals.made_room();
        self.0.signals.want_compaction();
        Ok(())
    }

    /// Tables that were dropped and of which the log has no more records, not even for a restart: nobody needs to know of
    /// them any more. Each is named once. Writes what the log has to write of its segments.
    pub fn forgotten_drops(&self) -> BTreeSet<TableId> {
        let mut dropped = self.0.changing.lock();
        let oldest = self.0.log.oldest_segment();
        let gone = dropped.extract_if(.., |_, last| *last < oldest);
        gone.map(|(id, _)| id).collect()
    }

    /// Tables whose records the replay left out, although they were not known to be dropped.
    pub fn unknown_tables(&self) -> &BTreeSet<TableId> {
        &self.0.unknown
    }

    /// Removes all data of a table.
    ///
    /// # Errors
    /// `UnknownTable`, and what writing the manifest meets: then the data is still there.
    pub fn truncate(&self, id: TableId) -> Result<(), StorageError> {
        let up_to = self.table(id)?.truncate(&self.0.context, || self.0.log.end())?;
        self.0.log.mark_flushed(id, up_to);
        self.0.signals.made_room();
        self.0.signals.want_compaction();
        Ok(())
    }

    /// A table.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub fn table(&self, id: TableId) -> Result<Arc<TableStore>, StorageError> {
        self.0.tables.load().get(&id).cloned().ok_or(StorageError::UnknownTable(id))
    }

    /// Logs a mutation, then makes it visible. It is durable when [`poll_durable`](Self::poll_durable) says so. Never
    /// waits; writers are to ask [`admits_writes`](Self::admits_writes) first.
    ///
    /// # Errors
    /// Nothing was written then: `UnknownTable`, `MutationTooLarge`, `LogBehind`, `MemtablesFull`, `DiskFull`, `Fenced`.
    pub fn apply(&self, mutation: &Mutation) -> Result<LogPosition, StorageError> {
        let table = self.table(mutation.table)?;
        self.apply_to(&table, mutation)
    }

    /// [`apply`](Self::apply) without looking the table up.
    ///
    /// # Errors
    /// As `apply`.
    pub fn apply_to(
        &self,
        table: &TableStore,
        mutation: &Mutation,
    ) -> Result<LogPosition, StorageError> {
        let Inner { context, log, .. } = &*self.0;
        if context.is_over_full() {
            self.0.make_room()?;
        }
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(StorageError::Unusable("the storage engine is closed".to_string()));
        }
        let (position, grown) = match table.is_durable() {
            true => table.apply(mutation, || log.append(mutation))?,
            false => table.apply(mutation, || Ok(LogPosition::default()))?,
        };
        let before = context.active_bytes.fetch_add(grown as i64, Ordering::Relaxed);
        // What the log needs flushed changes with its segments.
        let segment = position.segment;
        let is_new = segment > self.0.seen_segment.load(Ordering::Relaxed)
            && segment > self.0.seen_segment.fetch_max(segment, Ordering::Relaxed);
        if is_new || before + grown as i64 > context.memtable_limit() {
            self.0.signals.want_flush();
        }
        Ok(position)
    }

    /// Whether the write at that position counts as logged; if not, the waker is called when it does.
    pub fn poll_durable(
        &self,
        position: LogPosition,
        context: &mut TaskContext<'_>,
    ) -> Poll<Result<(), StorageError>> {
        if position == LogPosition::default() {
            return Poll::Ready(Ok(()));
        }
        self.0.log.poll_durable(position, context)
    }

    /// Whether writes count as logged as soon as they are applied, so that nobody needs to wait.
    pub fn is_durable_at_once(&self) -> bool {
        self.0.log.counts_at_once()
    }

    /// Blocks until the write at that position counts as logged.
    ///
    /// # Errors
    /// `Fenced` when the sync failed: whether the write survives a crash is unknown.
    pub fn wait_durable(&self, position: LogPosition) -> Result<(), StorageError> {
        if position == LogPosition::default() {
            return Ok(());
        }
        self.0.log.wait_durable(position)
    }

    /// Writes and syncs the log as far as it goes, in this thread.
    ///
    /// # Errors
    /// `Fenced` when the sync failed.
    pub fn sync_log(&self) -> Result<(), StorageError> {
        self.0.log.sync()
    }

    /// Writes what a table has in memory to an SSTable.
    ///
    /// # Errors
    /// `UnknownTable`, and what writing meets; the memtable then stays.
    pub fn flush(&self, id: TableId) -> Result<(), StorageError> {
        let table = self.table(id)?;
        table.switch(&self.0.context, || self.0.log.end());
        while self.0.flush_oldest(&table).inspect_err(|_| self.0.signals.want_flush())? {}
        Ok(())
    }

    /// Writes what all tables have in memory to SSTables.
    ///
    /// # Errors
    /// What writing meets; the rest is not tried then.
    pub fn flush_all(&self) -> Result<(), StorageError> {
        let tables = self.0.tables.load_full();
        tables.keys().try_for_each(|id| match self.flush(*id) {
            Err(StorageError::UnknownTable(_)) => Ok(()),
            other => other,
        })
    }

    /// Flushes a table, then merges all its files into one run.
    ///
    /// # Errors
    /// `UnknownTable`, and what reading and writing meets; the files then stay as they were.
    pub fn compact(&self, id: TableId) -> Result<(), StorageError> {
        self.flush(id)?;
        self.table(id)?.compact_files(&self.0.context, None)
    }

    /// Merges some of a table's files into one run; those that are not there any more are left out.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn compact_files(&self, id: TableId, numbers: &[FileNumber]) -> Result<(), StorageError> {
        let numbers = numbers.iter().copied().collect();
        self.table(id)?.compact_files(&self.0.context, Some(&numbers))
    }

    /// Takes one step of background work, if there is any to do: a flush, a compaction, or the log's next file.
    ///
    /// # Errors
    /// What reading and writing meets; nothing is lost by it.
    pub fn background_step(&self) -> Result<bool, StorageError> {
        let flushed = self.0.flush_step();
        self.0.signals.note_flush(&flushed);
        // A log's file is not worth waiting for: without one it is made when it is needed.
        Ok(flushed? || self.0.compaction_step()? || self.0.log.prepare_step())
    }

    /// Stops writes and background work, writes everything to SSTables and syncs the log.
    ///
    /// # Errors
    /// What writing meets; what was acknowledged is in the log all the same.
    pub fn close(&self) -> Result<(), StorageError> {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.context.stop();
        self.0.signals.stop();
        for thread in self.0.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread of the storage engine panicked");
            }
        }
        let flushed = self.flush_all();
        self.0.log.sync()?;
        flushed
    }

    /// Damage that was found in files that are in use, since the start.
    pub fn damage(&self) -> Vec<DamagedRange> {
        self.0.tables.load().values().flat_map(|table| table.damage()).collect()
    }

    /// Verifies one file of a table; what is damaged is remembered, and listed by [`damage`](Self::damage). `None` if
    /// the table does not have that file (any more).
    ///
    /// # Errors
    /// `UnknownTable`; `Io` when the file can't be read.
    pub fn verify_file(
        &self,
        id: TableId,
        number: FileNumber,
    ) -> Result<Option<Vec<Damage>>, StorageError> {
        let state = self.table(id)?.state.load_full();
        let Some(file) = state.file(number) else { return Ok(None) };
        file.table.verify_with(Some(crate::model::row::check)).map(Some)
    }

    /// Why writes are not taken, or soon will not be, if that is so: the log takes none, or flushes fail.
    pub fn trouble(&self) -> Option<String> {
        match self.0.log.health() {
            Err(error) => Some(error.to_string()),
            Ok(()) => self.0.signals.flush_failure().map(|error| format!("flushes fail: {error}")),
        }
    }

    /// The highest timestamp in all tables, where every one above `limit` counts as `limit`; `MIN` if there is none.
    pub fn max_timestamp(&self, limit: Timestamp) -> Timestamp {
        let tables = self.0.tables.load();
        let highest = tables.values().map(|table| table.max_timestamp().min(limit)).max();
        highest.unwrap_or(Timestamp::MIN)
    }

    /// The SSTables of all tables, of each with the newest data first.
    pub fn sstables(&self) -> Vec<SsTableStats> {
        let Inner { context, tables, .. } = &*self.0;
        tables.load().values().flat_map(|table| table.sstables(context)).collect()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> EngineStats {
        let Inner { context, log, tables, .. } = &*self.0;
        let tables: Vec<TableStats> =
            tables.load().values().map(|table| table.stats(context)).collect();
        EngineStats {
            memtable_bytes: tables.iter().map(|table| table.memtable_bytes).sum(),
            log: log.stats(),
            flushes: context.flushes.load(Ordering::Relaxed),
            compactions: context.compactions.load(Ordering::Relaxed),
            compacted_bytes: context.compacted_bytes.load(Ordering::Relaxed),
            expired_files: context.expired_files.load(Ordering::Relaxed),
            jobs: context.jobs.stats(),
            tables,
        }
    }
}

impl Inner {
    fn with_tables<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        let mut tables = Tables::clone(&self.tables.load());
        let result = change(&mut tables);
        self.tables.store(Arc::new(tables));
        result
    }

    /// Lets the flushing thread know of a table whose flush period it may not know yet.
    fn tell_of_period(&self, table: &TableStore) {
        if !table.settings().flush_period.is_zero() {
            self.signals.want_flush();
        }
    }

    /// Flushes, if nobody else does; otherwise refuses.
    fn make_room(&self) -> Result<(), StorageError> {
        if self.context.options.background == BackgroundDriver::Caller {
            while self.context.is_full() && self.flush_step()? {}
            return Ok(());
        }
        self.signals.want_flush();
        Err(StorageError::MemtablesFull { limit: self.context.options.memtable_bytes })
    }

    /// Flushes one memtable: one that waits, or else the largest if there are too many bytes in memory, or one whose
    /// table's flush period is over, or whose records keep the log from shrinking.
    fn flush_step(&self) -> Result<bool, StorageError> {
        self.context.retired.free_memtables();
        let tables = self.tables.load_full();
        for table in tables.values() {
            if self.flush_oldest(table)? {
                return Ok(true);
            }
        }
        if self.context.wants_flush() {
            let largest = tables.values().max_by_key(|table| table.state.load().active.bytes());
            if let Some(table) = largest {
                table.switch(&self.context, || self.log.end());
                return self.flush_oldest(table);
            }
        }
        if let Some(table) = tables.values().find(|table| table.is_flush_due(&self.context)) {
            table.switch(&self.context, || self.log.end());
            return self.flush_oldest(table);
        }
        for id in self.log.needs_flush() {
            match tables.get(&id) {
                Some(table) => {
                    table.switch(&self.context, || self.log.end());
                    return self.flush_oldest(table);
                }
                None => self.log.mark_flushed(id, LogPosition::END),
            }
        }
        Ok(false)
    }

    fn flush_oldest(&self, table: &TableStore) -> Result<bool, StorageError> {
        let Some(up_to) = table.flush_oldest(&self.context)? else { return Ok(false) };
        self.log.mark_flushed(table.id(), up_to);
        self.signals.made_room();
        // The threads also let go of what was replaced, whoever does this.
        self.signals.want_flush();
        self.signals.want_compaction();
        Ok(true)
    }

    /// Runs one compaction.
    fn compaction_step(&self) -> Result<bool, StorageError> {
        self.context.retired.remove_files();
        let tables = self.tables.load_full();
        let backlog = |table: &Arc<TableStore>| table.backlog_bytes(&self.context);
        let mut by_need: Vec<(u64, &Arc<TableStore>)> =
            tables.values().map(|table| (backlog(table), table)).collect();
        let total = by_need.iter().map(|(bytes, _)| bytes).sum();
        self.context.backlog_bytes.store(total, Ordering::Relaxed);
        // A table with nothing to merge may still have files that expired.
        by_need.sort_by_key(|(bytes, table)| (std::cmp::Reverse(*bytes), table.id()));
        for (_, table) in by_need {
            if table.compact_next(&self.context)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.signals.stop();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.0.context.options.data_dir.display())
    }
}

#[cfg(test)]
mod tests;
