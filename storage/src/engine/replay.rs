//! Replaying the log into memtables, within the limit of memory.
//!
//! With one thread, records are applied in order, and a flush is done where memory is full: the same every time. With
//! more, the calling thread reads, checks and cuts up batches ahead of the others, who decode and apply them, each batch
//! in any order (merging makes order irrelevant, spec M1), and flush. As when they are written to, memtables are flushed
//! while others fill, so that at most twice their limit is in memory.
//!
//! Invariant: a memtable that is to be flushed holds all its table's records before the position at which it was
//! switched, and none from there on. So a line is drawn only while no record is being applied.

mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::workers::Workers;
use super::Tables;
use super::context::Context;
use super::table::TableStore;
use crate::StorageError;
use crate::commitlog::{
    Batch, CommitLog, CommitLogOptions, LogPosition, LogRecord, ReplayReport, Replayer,
};
use crate::planted::planted;
use crate::schema::TableId;

/// Bytes of records that are handed out at once, at most.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Batches that fill memtables to their limit, at least. Sorted together, more records miss fewer caches.
const BATCHES_PER_FILL: usize = 16;
/// Parts of a batch per thread: they do not all take equally long.
const PARTS_PER_THREAD: usize = 2;

/// Replays the log of an engine into its tables, then opens it.
///
/// # Errors
/// What is damaged, missing or unknown. Nothing of the log is lost then.
pub(super) fn replay(context: &Context, tables: &Tables) -> Result<Replayed, StorageError> {
    let targets = Targets::new(context, tables);
    let (log, report) = match context.options.replay_threads {
        0 | 1 => open_log(&targets, &mut InOrder { targets: &targets })?,
        threads => Workers::new(&targets).run(threads, |workers| {
            open_log(&targets, &mut Parallel { targets: &targets, workers, threads })
        })?,
    };
    for aside in &report.set_aside {
        tracing::error!(
            file = %aside.file.display(), offset = aside.offset, tables = ?aside.tables,
            "a segment of the commit log was set aside: repair these tables"
        );
    }
    if report.records > 0 {
        tracing::info!(records = report.records, bytes = report.bytes, "replayed the commit log");
    }
    for table in tables.values() {
        log.mark_flushed(table.id(), table.flushed());
    }
    let dropped = &context.options.expected.dropped;
    let is_unknown = |id: &TableId| !tables.contains_key(id) && !dropped.contains(id);
    let unknown: BTreeSet<TableId> = report.tables.into_iter().filter(is_unknown).collect();
    if !unknown.is_empty() && report.set_aside.is_empty() {
        tracing::warn!(tables = ?unknown, "records of tables that are not there were left out: they were dropped");
    }
    Ok(Replayed { log, unknown })
}

/// A log that was replayed.
pub(super) struct Replayed {
    pub(super) log: CommitLog,
    /// Tables whose records were left out, although they were not known to be dropped.
    pub(super) unknown: BTreeSet<TableId>,
}

fn open_log(
    targets: &Targets<'_>,
    replayer: &mut dyn Replayer,
) -> Result<(CommitLog, ReplayReport), StorageError> {
    let context = targets.context;
    let flushed = targets.tables.values().map(|(_, flushed)| flushed.segment + 1).max();
    let first_segment = flushed.unwrap_or(0);
    let options = CommitLogOptions { first_segment, ..context.options.commit_log };
    CommitLog::open(Arc::clone(&context.fs), &context.log_dir(), options, replayer)
}

/// Where records go.
struct Targets<'a> {
    context: &'a Context,
    /// With what was flushed before the replay. What is flushed during it was replayed before.
    tables: BTreeMap<TableId, (&'a TableStore, LogPosition)>,
}

impl<'a> Targets<'a> {
    fn new(context: &'a Context, tables: &'a Tables) -> Self {
        let tables = tables.iter().map(|(id, table)| (*id, (&**table, table.flushed()))).collect();
        Targets { context, tables }
    }

    fn is_lost(&self, table: TableId) -> bool {
        let expected = &self.context.options.expected;
        let is_known = self.tables.contains_key(&table) || expected.dropped.contains(&table);
        expected.knows_all_dropped && !is_known
    }

    fn wants(&self, table: TableId, position: LogPosition) -> bool {
        let flushed = self.tables.get(&table).map(|(_, flushed)| *flushed);
        flushed.is_some_and(|flushed| position >= flushed || planted!(ReplayBelowFlushed))
    }

    /// Applies a record; says by how many bytes a memtable grew.
    fn apply(&self, batch: &Batch, record: &LogRecord) -> Result<isize, StorageError> {
        // Records of other tables are not wanted, so that they are in no batch.
        let Some((table, _)) = self.tables.get(&record.table) else { return Ok(0) };
        let ((), grown) = table.apply(&batch.decode(record)?, || Ok(()))?;
        Ok(grown)
    }

    fn note_growth(&self, grown: isize) {
        self.context.active_bytes.fetch_add(grown as i64, Ordering::Relaxed);
    }

    /// Gives the table with the largest memtable a new one. All records before `line` are applied, and none after it.
    fn switch_largest(&self, line: LogPosition) -> Option<&'a TableStore> {
        let tables = self.tables.values().map(|(table, _)| *table);
        let largest = tables.max_by_key(|table| table.state.load().active.bytes())?;
        largest.switch(self.context, || line);
        Some(largest)
    }
}

/// Applies records in their order, in the calling thread.
struct InOrder<'a> {
    targets: &'a Targets<'a>,
}

impl Replayer for InOrder<'_> {
    fn wants(&self, table: TableId, position: LogPosition) -> bool {
        self.targets.wants(table, position)
    }

    fn is_lost(&self, table: TableId) -> bool {
        self.targets.is_lost(table)
    }

    fn batch_bytes(&self) -> usize {
        MAX_BATCH_BYTES
    }

    fn apply(&mut self, batch: Batch) -> Result<(), StorageError> {
        for record in batch.records() {
            if self.targets.context.wants_flush()
                && let Some(table) = self.targets.switch_largest(batch.position(record))
            {
                while table.flush_oldest(self.targets.context)?.is_some() {}
            }
            self.targets.note_growth(self.targets.apply(&batch, record)?);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// Has other threads apply records and flush.
struct Parallel<'a, 'c> {
    targets: &'a Targets<'a>,
    workers: &'c Workers<'a>,
    threads: usize,
}

impl Parallel<'_, '_> {
    /// Has memtables flushed if they are at their limit. `line` is the position of the next record.
    fn make_room(&self, line: LogPosition) -> Result<(), StorageError> {
        // What is not applied yet counts when it is: a batch is a small part of the memory.
        while self.targets.context.wants_flush() {
            self.workers.wait_until_idle()?;
            if let Some(table) = self.targets.switch_largest(line) {
                self.workers.flush(table);
            }
        }
        Ok(())
    }
}

impl Replayer for Parallel<'_, '_> {
    fn wants(&self, table: TableId, position: LogPosition) -> bool {
        self.targets.wants(table, position)
    }

    fn is_lost(&self, table: TableId) -> bool {
        self.targets.is_lost(table)
    }

    fn batch_bytes(&self) -> usize {
        (self.targets.context.options.memtable_bytes / BATCHES_PER_FILL).min(MAX_BATCH_BYTES)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), StorageError> {
        let Some(first) = batch.records().first() else { return Ok(()) };
        self.make_room(batch.position(first))?;
        let parts = (self.threads * PARTS_PER_THREAD).next_power_of_two();
        self.workers.apply(batch.split(parts))
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        self.workers.wait_until_idle()
    }
}
