//! One page of a result: takes rows one by one, leaves out, groups, writes, counts, and says when to stop.

mod rounds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tholos_grammar::protocol::response::rows_writer::RowsWriter;
use tholos_grammar::value::codec::writer::push_value;
use tholos_storage::fs::nowait::may_wait;
use tholos_storage::model::Seconds;
use tholos_storage::model::entry::RowRef;
use tholos_storage::read::budget::ReadBudget;

pub use self::rounds::SoFar;
use super::aggregate::Gathered;
use super::filter::Condition;
use super::project;
use super::row::{ClusteringValues, Layout, Partition, RowView};
use super::sorted::SortedGroups;
use crate::budget::Credit;
use crate::clock::Deadline;
use crate::error::QueryError;
use crate::execute::RequestWatch;
use crate::execute::paging::{PagingState, fingerprint};
use crate::halt::{Halt, PutOff};
use crate::query::expression::{Aggregate, Expr, ExprKind};
use crate::query::restriction::evaluate::Evaluator;
use crate::query::select::plan::{Across, Projection, SelectPlan};

/// How often a read looks at the clock.
const ROWS_PER_LOOK_AT_CLOCK: u32 = 256;

/// How many entries that no reader sees are walked over between looks at the clock; the page looks when it gets rows.
const LOOK_AFTER_TOMBSTONES: u64 = 4096;

/// What may be walked in a thread that serves connections: a few milliseconds' worth. A longer read is done all over by a
/// thread of its own.
const INLINE_BUDGET: ReadBudget =
    ReadBudget { entries: 10_000, tombstones: 10_000, bytes: 8 << 20 };

/// An answer without pages that gets larger than this is given up: it would have to be held in memory as a whole.
const MOST_RESULT_BYTES: usize = 256 << 20;

/// Memory for an answer is asked for in steps of at least this; the first is for nothing.
const ROOM_STEP: usize = 64 << 10;

/// An answer above this may become any length: its buffer gets room for [`ROOM`] at once. A buffer that grew by doubling
/// would be copied, and leave all that it was before to the allocator, which keeps it for a while, for each thread apart.
/// What is never written to takes no memory.
const LARGE: usize = 128 << 10;

/// More than what the allocator cuts up for its threads: the next answer takes the place of the one before.
const ROOM: usize = 64 << 20;

/// What to do after a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    /// Nothing more of this partition is wanted.
    SkipPartition,
    Stop,
}

/// How many rows are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Rows in this page.
    pub(super) page: Option<u32>,
    /// Rows in all pages from here on.
    pub(super) total: Option<u32>,
    /// Rows of each partition.
    pub(super) per_partition: Option<u32>,
}

/// The page being made.
pub(super) struct Page<'a> {
    pub(super) plan: &'a SelectPlan,
    pub(super) layout: Layout,
    pub(super) now: Seconds,
    evaluator: Evaluator<'a>,
    conditions: Vec<Condition<'a>>,
    limits: Limits,
    left_in_partition: Option<u32>,
    rows: u32,
    out: &'a mut Vec<u8>,
    writer: &'a mut RowsWriter,
    clustering: ClusteringValues,
    group: Option<Group>,
    /// Groups that are not shown in the order in which they end.
    sorted: Option<SortedGroups>,
    /// What is left of PER PARTITION LIMIT in partitions whose rows are merged, by prefix.
    left_in_lanes: BTreeMap<Vec<u8>, u32>,
    /// Where the page ended, once it is full: it has a next one only if there is a further row.
    full: Option<PagingState>,
    next: Option<PagingState>,
    time: PageTime<'a>,
    /// Rows looked at, shown or not.
    visited: u32,
    effort: Effort,
    /// Where this page's bytes begin in `out`.
    begins: usize,
    /// How long `out` may get before more memory is asked for, and where.
    room: usize,
    credit: Option<Arc<Mutex<Credit>>>,
}

/// How long a page may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageTime<'a> {
    /// The read is given up then.
    pub(super) deadline: Deadline<'a>,
    /// A page that can go on later ends then.
    pub(super) page_end: Option<Instant>,
}

impl<'a> PageTime<'a> {
    /// A page that can end early does so after `page`, and when half of the request's time is over: its client is to have
    /// it in time.
    pub(super) fn until(deadline: Deadline<'a>, page: Option<Duration>) -> PageTime<'a> {
        let now = deadline.now();
        let left = deadline.at.saturating_duration_since(now);
        let page_end = page.map(|page| now + page.min(left / 2));
        PageTime { deadline, page_end }
    }
}

/// What the walks of a page have done.
struct Effort {
    walked: ReadBudget,
    /// The page's time is over: it is to end at the next entry.
    is_late: bool,
    /// This thread serves other clients too: only so much may be walked.
    inline: bool,
    /// More tombstones than this are worth a warning.
    tombstone_threshold: u64,
    /// The partition in which they became too many.
    over_threshold: Option<Vec<u8>>,
}

/// The group being gathered.
struct Group {
    /// The values that make it: lengths and bytes of the grouping columns.
    key: Vec<u8>,
    gathered: Vec<Gathered>,
    /// Where its first row was, if groups are sorted by that.
    first: Vec<u8>,
    /// Where its last row was.
    partition: Vec<u8>,
    position: Vec<u8>,
    left_in_partition: Option<u32>,
}

impl<'a> Page<'a> {
    #[allow(clippy::too_many_arguments)] // made in one place only
    pub(super) fn new(
        plan: &'a SelectPlan,
        evaluator: Evaluator<'a>,
        conditions: Vec<Condition<'a>>,
        limits: Limits,
        now: Seconds,
        time: PageTime<'a>,
        watch: &RequestWatch,
        out: &'a mut Vec<u8>,
        writer: &'a mut RowsWriter,
    ) -> Self {
        Page {
            layout: Layout::new(plan),
            plan,
            now,
            evaluator,
            conditions,
            limits,
            left_in_partition: limits.per_partition,
            rows: 0,
            begins: out.len(),
            room: out.len() + if may_wait() { ROOM_STEP } else { watch.inline_bytes },
            credit: watch.room.clone(),
            out,
            writer,
            clustering: ClusteringValues::default(),
            group: None,
            sorted: match plan.across {
                Across::SortedGroups(columns) => Some(SortedGroups::by(columns)),
                Across::InTurn | Across::Merged(_) => None,
            },
            left_in_lanes: BTreeMap::new(),
            full: None,
            next: None,
            time,
            visited: 0,
            effort: Effort {
                walked: ReadBudget::NOTHING,
                is_late: false,
                inline: !may_wait(),
                tombstone_threshold: match watch.tombstone_threshold {
                    0 => u64::MAX,
                    threshold => threshold,
                },
                over_threshold: None,
            },
        }
    }

    /// Begins a partition; `left` is what an earlier page left of its rows.
    pub(super) fn begin_partition(&mut self, left: Option<u32>) {
        self.left_in_partition = left.or(self.limits.per_partition);
    }

    /// How many more rows of this partition are wanted; `None` without a limit.
    pub(super) fn left_in_partition(&self) -> Option<u32> {
        self.left_in_partition
    }

    /// Takes a row: `None` is the row of a partition that has only a static row.
    pub(super) fn visit(
        &mut self,
        partition: &Partition,
        position: &[u8],
        row: Option<RowRef<'_>>,
    ) -> Result<Flow, Halt> {
        self.visited = self.visited.wrapping_add(1);
        if self.visited.is_multiple_of(ROWS_PER_LOOK_AT_CLOCK) {
            self.check_deadline()?;
        }
        // The view borrows the decoded key, while the page is changed beside it.
        let mut clustering = std::mem::take(&mut self.clustering);
        clustering.decode(&self.plan.table, position, &self.layout)?;
        let flow = self.visit_decoded(partition, position, &clustering, row);
        self.clustering = clustering;
        flow
    }

    fn visit_decoded(
        &mut self,
        partition: &Partition,
        position: &[u8],
        clustering: &ClusteringValues,
        row: Option<RowRef<'_>>,
    ) -> Result<Flow, Halt> {
        let plan = self.plan;
        let view = RowView::open(plan, &self.layout, partition, clustering, row, self.now)?;
        for condition in &self.conditions {
            if !condition.met(&view)? {
                return Ok(Flow::Continue);
            }
        }
        if let Projection::Aggregates { aggregates, .. } = &plan.projection {
            let first = if row.is_some() { position } else { &[] };
            return self.gather(aggregates, &view, partition, position, first);
        }
        if let Some(state) = self.full.take() {
            self.next = Some(state);
            return Ok(Flow::Stop);
        }
        if self.left_in_partition == Some(0) {
            return Ok(Flow::SkipPartition);
        }
        match &plan.projection {
            Projection::Columns(slots) => {
                for slot in slots {
                    view.write(*slot, self.out)?;
                    self.check_room()?;
                }
            }
            Projection::Expressions(items) => {
                for item in items {
                    let value = project::evaluate(item, &view, self.evaluator)?;
                    write(value.as_deref(), self.out)?;
                    self.check_room()?;
                }
            }
            Projection::Aggregates { .. } => {}
        }
        Ok(self.count_row(&partition.prefix, position))
    }

    /// How far a walk that has come so far may go before the next look at the clock; nothing, if the page is to end here.
    /// A walk that has not begun gets at least one entry, so that every page gets on.
    pub(super) fn allowance(&self, walked: &ReadBudget, budget: &ReadBudget) -> ReadBudget {
        let spent = &self.effort.walked;
        if walked.entries > 0 && (self.effort.is_late || budget.is_spent(spent)) {
            return ReadBudget::NOTHING;
        }
        let left = |budget: u64, spent: u64| budget.saturating_sub(spent).max(1);
        let mut tombstones = left(budget.tombstones, spent.tombstones).min(LOOK_AFTER_TOMBSTONES);
        if self.effort.over_threshold.is_none() {
            let until_warning = self.effort.tombstone_threshold.saturating_sub(spent.tombstones);
            tombstones = tombstones.min(until_warning.saturating_add(1));
        }
        ReadBudget {
            entries: walked.entries.saturating_add(left(budget.entries, spent.entries)),
            tombstones: walked.tombstones.saturating_add(tombstones),
            bytes: walked.bytes.saturating_add(left(budget.bytes, spent.bytes)),
        }
    }

    /// A walk went from here to there.
    ///
    /// # Errors
    /// [`PutOff::Long`] when this thread has to serve others.
    pub(super) fn note_walk(&mut self, from: &ReadBudget, to: &ReadBudget) -> Result<(), Halt> {
        let walked = &mut self.effort.walked;
        walked.entries += to.entries - from.entries;
        walked.tombstones += to.tombstones - from.tombstones;
        walked.bytes += to.bytes - from.bytes;
        if self.effort.inline && INLINE_BUDGET.is_spent(&self.effort.walked) {
            return Err(PutOff::Long.into());
        }
        Ok(())
    }

    /// Something was looked up by its key.
    ///
    /// # Errors
    /// [`PutOff::Long`] when this thread has to serve others; a timeout.
    pub(super) fn note_lookup(&mut self) -> Result<(), Halt> {
        let before = self.effort.walked;
        let after = ReadBudget { entries: before.entries + 1, ..before };
        if after.entries.is_multiple_of(u64::from(ROWS_PER_LOOK_AT_CLOCK)) {
            self.check_deadline()?;
        }
        self.note_walk(&before, &after)
    }

    /// Whether more tombstones were walked over than is good, and nobody knows where yet.
    pub(super) fn wants_partition(&self) -> bool {
        self.effort.over_threshold.is_none()
            && self.effort.walked.tombstones > self.effort.tombstone_threshold
    }

    /// The tombstones became too many in this partition.
    pub(super) fn over_threshold_in(&mut self, partition: &[u8]) {
        self.effort.over_threshold = Some(partition.to_vec());
    }

    /// What is to be warned of: where, how many tombstones, how many rows that exist.
    pub(super) fn many_tombstones(&self) -> Option<(&[u8], u64, u64)> {
        let partition = self.effort.over_threshold.as_deref()?;
        Some((partition, self.effort.walked.tombstones, u64::from(self.visited)))
    }

    /// Lets the page end when its time is over, if it can go on later; otherwise gives the read up.
    pub(super) fn check_deadline(&mut self) -> Result<(), QueryError> {
        let now = self.time.deadline.now();
        if self.time.page_end.is_some_and(|end| now > end) {
            self.effort.is_late = true;
        }
        if now <= self.time.deadline.at {
            return Ok(());
        }
        let table = &self.plan.table;
        Err(QueryError::ReadTimeout(format!(
            "the read of {}.{} was given up after {} rows, when its time was over: read less (a key, a LIMIT, smaller pages) or allow more time",
            table.keyspace, table.name, self.visited
        )))
    }

    /// Sees to it that there is memory for what is written.
    fn check_room(&mut self) -> Result<(), Halt> {
        if self.out.len() <= self.room { Ok(()) } else { self.more_room() }
    }

    #[cold]
    fn more_room(&mut self) -> Result<(), Halt> {
        let length = self.out.len() - self.begins;
        if length > MOST_RESULT_BYTES {
            let table = &self.plan.table;
            return Err(QueryError::invalid(format!(
                "the rows of {}.{} make more than {} MiB in one answer: set a page size, or select less",
                table.keyspace,
                table.name,
                MOST_RESULT_BYTES >> 20
            )).into());
        }
        if self.effort.inline {
            return Err(PutOff::Long.into());
        }
        let more = (self.out.len() - self.room).max(length / 4).max(ROOM_STEP);
        if let Some(credit) = &self.credit
            && !credit.lock().grow(more)
        {
            return Err(PutOff::NoMemory.into());
        }
        if length > LARGE && self.out.capacity() < ROOM {
            self.out.reserve(ROOM - self.out.len());
        }
        self.room += more;
        Ok(())
    }

    /// Counts a row that was written, and says whether another may be.
    fn count_row(&mut self, partition: &[u8], position: &[u8]) -> Flow {
        self.writer.end_row();
        self.rows += 1;
        for left in [&mut self.limits.total, &mut self.left_in_partition].into_iter().flatten() {
            *left = left.saturating_sub(1);
        }
        if self.limits.total == Some(0) {
            return Flow::Stop;
        }
        if self.limits.page.is_some_and(|page| self.rows >= page) {
            self.full = Some(self.state(partition, position, true, self.left_in_partition));
        }
        let partition_done = self.plan.distinct || self.left_in_partition == Some(0);
        if partition_done { Flow::SkipPartition } else { Flow::Continue }
    }

    fn state(
        &self,
        partition: &[u8],
        position: &[u8],
        saw_row: bool,
        left_in_partition: Option<u32>,
    ) -> PagingState {
        PagingState {
            fingerprint: fingerprint(self.plan, self.evaluator.values),
            partition: partition.to_vec(),
            position: position.to_vec(),
            saw_row,
            remaining: self.limits.total,
            remaining_in_partition: left_in_partition,
        }
    }

    /// The read ran out of its budget at a key: the page ends here, and the next one goes on.
    pub(super) fn end_at(&mut self, partition: &[u8], position: &[u8], saw_row: bool) {
        self.next = Some(self.state(partition, position, saw_row, self.left_in_partition));
    }

    fn gather(
        &mut self,
        aggregates: &'a [Aggregate],
        view: &RowView<'_>,
        partition: &Partition,
        position: &[u8],
        first: &[u8],
    ) -> Result<Flow, Halt> {
        let key = match &self.plan.group_by {
            Some(groups) => group_key(groups, view, self.evaluator)?,
            None => Vec::new(),
        };
        if self.group.as_ref().is_some_and(|group| group.key != key) {
            let flow = self.end_group()?;
            if flow == Flow::Stop {
                return Ok(flow);
            }
        }
        if self.group.is_none() && self.plan.group_by.is_some() {
            if self.left_in_partition == Some(0) {
                return Ok(Flow::SkipPartition);
            }
            if let Some(left) = &mut self.left_in_partition {
                *left -= 1;
            }
        }
        let group = self.group.get_or_insert_with(|| Group {
            key,
            gathered: aggregates.iter().map(Gathered::new).collect(),
            first: if self.sorted.is_some() { first.to_vec() } else { Vec::new() },
            partition: Vec::new(),
            position: Vec::new(),
            left_in_partition: self.left_in_partition,
        });
        for (gathered, aggregate) in group.gathered.iter_mut().zip(aggregates) {
            gathered.add(aggregate, view, self.evaluator)?;
        }
        if self.plan.group_by.is_some() {
            group.partition.clone_from(&partition.prefix);
            group.position.clear();
            group.position.extend_from_slice(position);
        }
        // DISTINCT counts partitions: each is one row.
        Ok(if self.plan.distinct { Flow::SkipPartition } else { Flow::Continue })
    }

    /// Writes the group that was gathered.
    fn end_group(&mut self) -> Result<Flow, Halt> {
        let Some(group) = self.group.take() else { return Ok(Flow::Continue) };
        let Projection::Aggregates { aggregates, items } = &self.plan.projection else {
            return Ok(Flow::Continue);
        };
        let finished = group.gathered.into_iter().zip(aggregates);
        let finished = finished.map(|(gathered, aggregate)| gathered.finish(aggregate));
        let finished = finished.collect::<Result<Vec<_>, _>>()?;
        let start = self.out.len();
        for item in items {
            let value = project::evaluate(item, &project::Group(&finished), self.evaluator)?;
            write(value.as_deref(), self.out)?;
        }
        self.check_room()?;
        if let Some(sorted) = &mut self.sorted {
            sorted.push(self.plan, &group.first, start..self.out.len())?;
            return Ok(Flow::Continue);
        }
        self.writer.end_row();
        self.rows += 1;
        if self.plan.group_by.is_some()
            && let Some(total) = &mut self.limits.total
        {
            *total = total.saturating_sub(1);
            if *total == 0 {
                return Ok(Flow::Stop);
            }
        }
        if self.limits.page.is_some_and(|page| self.rows >= page) {
            let left = group.left_in_partition;
            self.next = Some(self.state(&group.partition, &group.position, true, left));
            return Ok(Flow::Stop);
        }
        Ok(Flow::Continue)
    }

    /// Ends the page after the last row; `stopped` says that there may be more rows, which are not wanted here.
    pub(super) fn finish(mut self, stopped: bool) -> Result<Option<PagingState>, Halt> {
        if let Projection::Aggregates { aggregates, .. } = &self.plan.projection
            && !stopped
        {
            if self.group.is_none() && self.plan.group_by.is_none() {
                let gathered = aggregates.iter().map(Gathered::new).collect();
                let empty = Vec::new;
                self.group = Some(Group {
                    key: empty(),
                    gathered,
                    first: empty(),
                    partition: empty(),
                    position: empty(),
                    left_in_partition: None,
                });
            }
            self.end_group()?;
            self.next = None;
        }
        if let Some(sorted) = self.sorted.take() {
            self.write_sorted(sorted)?;
        }
        Ok(self.next)
    }

    /// Puts groups that were written as they ended in order, and leaves out those beyond the limit.
    fn write_sorted(&mut self, sorted: SortedGroups) -> Result<(), Halt> {
        let unsorted = self.begins..self.out.len();
        for group in sorted.in_order(self.plan.direction, self.limits.total) {
            self.out.extend_from_within(group);
            self.writer.end_row();
            self.check_room()?;
        }
        self.out.drain(unsorted);
        Ok(())
    }
}

fn write(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), QueryError> {
    push_value(value, out).map_err(|error| QueryError::invalid(error.to_string()))
}

fn group_key<'x, 'r: 'x>(
    groups: &'x [Expr],
    view: &RowView<'r>,
    evaluator: Evaluator<'x>,
) -> Result<Vec<u8>, Halt> {
    let mut key = Vec::new();
    for group in groups {
        let value = match group.kind {
            ExprKind::Column(slot) => view.group_value(slot)?,
            _ => project::evaluate(group, view, evaluator)?,
        };
        write(value.as_deref(), &mut key)?;
    }
    Ok(key)
}
