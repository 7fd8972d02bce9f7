//! Walks: from keys to rows, in the order of the result, going on where an earlier page ended.
//!
//! - [`partitions`]: partitions one after the other, each by its intervals of positions, forward or in reverse.
//! - [`merge`](super::merge): partitions side by side, their rows merged in clustering order (IN with ORDER BY).
//! - [`scan`](super::scan): a range of tokens.
//!
//! What is still to be fetched stops a walk as a full page does: the state says where it goes on, and what is wanted then
//! is noted.
//!
//! A partition without live rows but with a live static row shows one row without clustering, if nothing restricts rows.

use std::cell::RefCell;

use smallvec::SmallVec;
use tholos_storage::key::decode_component;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::{AFTER, HEADER, ROW, STATIC};
use tholos_storage::model::read::KeyInterval;
use tholos_storage::read::live::{LiveRows, ReadBudget};
use tholos_storage::schema::Table;

use super::fetched::Want;
use super::page::{Flow, Page};
use super::row::{Partition, StaticRow};
use super::source::RowSource;
use crate::error::QueryError;
use crate::execute::Found;
use crate::execute::paging::{PagingState, elsewhere};
use crate::halt::Halt;
use crate::query::intervals::Interval;
use crate::query::keys;
use crate::query::select::plan::SelectPlan;

/// Of how many partitions what is wanted is fetched at once.
const PARTITIONS_AT_ONCE: usize = 8;

/// What a walk works with.
pub(super) struct Walk<'w, 'c> {
    pub(super) plan: &'w SelectPlan,
    pub(super) source: &'w RowSource<'w, 'c>,
    pub(super) resume: Option<PagingState>,
    pub(super) budget: ReadBudget,
    /// What is to be fetched before the walk goes on.
    pub(super) wants: RefCell<Vec<Want>>,
}

/// What became of a walk through a partition.
pub(super) enum Walked {
    Flow(Flow),
    /// The rest is still to be fetched.
    Unknown,
}

/// How far the walk through one partition has come.
struct Progress {
    saw_row: bool,
    /// Nothing up to this position, in walking direction, is left to be shown.
    behind: SmallVec<[u8; 64]>,
}

impl Progress {
    fn pass(&mut self, position: &[u8]) {
        self.behind.clear();
        self.behind.extend_from_slice(position);
    }
}

impl Walk<'_, '_> {
    pub(super) fn direction(&self) -> Direction {
        self.plan.direction
    }

    /// Whether a partition with only a static row has a row to show.
    pub(super) fn shows_static_only(&self) -> bool {
        !self.plan.restricts_rows && !self.plan.table.statics.is_empty()
    }

    /// A position behind everything in a partition, in walking direction.
    fn end_position(&self) -> &'static [u8] {
        match self.direction() {
            Direction::Forward => &[AFTER],
            Direction::Reverse => &[HEADER],
        }
    }

    /// A position before everything in a partition, in walking direction.
    pub(super) fn start_position(&self) -> &'static [u8] {
        match self.direction() {
            Direction::Forward => &[],
            Direction::Reverse => &[0xff],
        }
    }

    pub(super) fn read_static(&self, prefix: &[u8], page: &Page<'_>) -> Result<Found, Halt> {
        let mut key: SmallVec<[u8; 64]> = SmallVec::from_slice(prefix);
        key.push(STATIC);
        self.source.row(&key, prefix.len(), page.layout.static_columns())
    }

    /// Puts the static row into a partition that has none yet; says whether it is known.
    pub(super) fn fill_static(
        &self,
        partition: &mut Partition,
        page: &Page<'_>,
    ) -> Result<bool, Halt> {
        match self.read_static(&partition.prefix, page)? {
            Found::Row(row) => partition.static_row = Some(StaticRow::Point(row)),
            Found::Absent => {}
            Found::Unknown => return Ok(false),
        }
        Ok(true)
    }

    /// A partition with its static row, if that is asked for; `None` if it is still to be fetched.
    pub(super) fn open(&self, prefix: &[u8], page: &Page<'_>) -> Result<Option<Partition>, Halt> {
        let mut partition = Partition::open(prefix, &page.layout, &self.plan.table)?;
        let is_known = !page.layout.needs_static() || self.fill_static(&mut partition, page)?;
        Ok(is_known.then_some(partition))
    }

    /// The key of a partition's static row alone, if what is shown may depend on it.
    pub(super) fn static_interval(&self, prefix: &[u8], page: &Page<'_>) -> Option<KeyInterval> {
        let wanted = page.layout.needs_static() || self.shows_static_only();
        let lower = [prefix, &[STATIC]].concat();
        // As where a page is cut: the bound is an entry's key and a zero byte, so that a walk can go on from it.
        let upper = [prefix, &[STATIC, 0]].concat();
        // Sent again and again, a large one would leave no room for rows.
        let is_wanted = wanted && !self.knows(prefix, &lower, &upper);
        is_wanted.then_some(KeyInterval { lower, upper, partition_len: Some(prefix.len()) })
    }

    /// Whether it is known how a walk through these keys of a partition begins.
    fn knows(&self, prefix: &[u8], lower: &[u8], upper: &[u8]) -> bool {
        let rows = self.source.scan_partition(prefix, lower, upper, self.direction());
        rows.is_ok_and(|rows| rows.is_some())
    }

    /// A position, unless it is before everything.
    fn begun<'p>(&self, position: &'p [u8]) -> Option<&'p [u8]> {
        Some(position).filter(|position| *position != self.start_position())
    }

    /// Wants what is left of intervals of a partition behind a position.
    pub(super) fn want_partition<'i>(
        &self,
        prefix: &[u8],
        intervals: impl Iterator<Item = &'i Interval>,
        behind: Option<&[u8]>,
        rows: Option<u32>,
        page: &Page<'_>,
    ) {
        let mut wanted: Vec<KeyInterval> = self.static_interval(prefix, page).into_iter().collect();
        for interval in intervals {
            if let Some((lower, upper)) = self.bounds(prefix, interval, behind) {
                wanted.push(KeyInterval { lower, upper, partition_len: Some(prefix.len()) });
            }
        }
        if !wanted.is_empty() {
            self.wants.borrow_mut().push(Want { intervals: wanted, rows });
        }
    }

    /// Stops before what is not known of the first of these partitions, and wants it and some of what comes then.
    fn stop_for(
        &self,
        prefixes: &[keys::Partition],
        intervals: &[Interval],
        points: bool,
        progress: &Progress,
        page: &mut Page<'_>,
    ) {
        let Some((first, others)) = prefixes.split_first() else { return };
        page.end_at(first, &progress.behind, progress.saw_row);
        let rows_alone: Vec<Interval>;
        let intervals = match points {
            true => {
                rows_alone = intervals.iter().filter_map(row_alone).collect();
                &rows_alone
            }
            false => intervals,
        };
        let rows = page.rows_wanted(page.left_in_partition());
        let behind = self.begun(&progress.behind);
        self.want_partition(first, self.in_direction(intervals), behind, rows, page);
        let first_bounds =
            |prefix: &[u8]| self.bounds(prefix, self.in_direction(intervals).next()?, None);
        for other in others.iter().take(PARTITIONS_AT_ONCE - 1) {
            let Some((lower, upper)) = first_bounds(other) else { break };
            if !self.knows(other, &lower, &upper) {
                let rows = page.rows_wanted(None);
                self.want_partition(other, self.in_direction(intervals), None, rows, page);
            }
        }
    }

    /// Where an earlier page ended, if it was in this list of partitions.
    pub(super) fn resumed_at(&self, prefixes: &[keys::Partition]) -> Result<usize, QueryError> {
        let Some(state) = &self.resume else { return Ok(0) };
        let is_it = |prefix: &keys::Partition| **prefix == *state.partition;
        prefixes.iter().position(is_it).ok_or_else(elsewhere)
    }

    /// Partitions one after the other. Returns whether the walk was stopped.
    pub(super) fn partitions(
        &self,
        prefixes: &[keys::Partition],
        intervals: &[Interval],
        points: bool,
        page: &mut Page<'_>,
    ) -> Result<bool, Halt> {
        let first = self.resumed_at(prefixes)?;
        for (place, prefix) in prefixes.iter().enumerate().skip(first) {
            let resume = self.resume.as_ref().filter(|_| place == first);
            page.note_lookup()?;
            page.begin_partition(resume.and_then(|state| state.remaining_in_partition));
            if resume.is_some_and(|state| self.is_done(state, page)) {
                continue;
            }
            let mut progress = Progress {
                saw_row: resume.is_some_and(|state| state.saw_row),
                behind: SmallVec::from_slice(
                    resume.map_or(self.start_position(), |state| &state.position),
                ),
            };
            let Some(mut partition) = self.open(prefix, page)? else {
                self.stop_for(&prefixes[place..], intervals, points, &progress, page);
                return Ok(true);
            };
            let walked = match points {
                true => self.points(&partition, intervals, &mut progress, page)?,
                false => self.intervals(&partition, intervals, &mut progress, page)?,
            };
            let shown = match walked {
                Walked::Flow(Flow::Stop) => return Ok(true),
                Walked::Flow(_) => self.static_only(&mut partition, progress.saw_row, page)?,
                Walked::Unknown => Walked::Unknown,
            };
            match shown {
                Walked::Flow(Flow::Stop) => return Ok(true),
                Walked::Flow(_) => {}
                Walked::Unknown => {
                    self.stop_for(&prefixes[place..], intervals, points, &progress, page);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether nothing more of the partition that a page ended in is wanted.
    pub(super) fn is_done(&self, state: &PagingState, page: &Page<'_>) -> bool {
        // The last group that is wanted may have more rows.
        let has_shown_all = state.remaining_in_partition == Some(0) && !page.is_in_group();
        (self.plan.distinct && state.saw_row) || has_shown_all
    }

    pub(super) fn static_only(
        &self,
        partition: &mut Partition,
        saw_row: bool,
        page: &mut Page<'_>,
    ) -> Result<Walked, Halt> {
        if saw_row || !self.shows_static_only() {
            return Ok(Walked::Flow(Flow::Continue));
        }
        if partition.static_row.is_none() && !self.fill_static(partition, page)? {
            return Ok(Walked::Unknown);
        }
        let flow = match partition.static_row {
            Some(_) => page.visit(partition, self.end_position(), None)?,
            None => Flow::Continue,
        };
        Ok(Walked::Flow(flow))
    }

    /// Rows whose full keys are known.
    fn points(
        &self,
        partition: &Partition,
        intervals: &[Interval],
        progress: &mut Progress,
        page: &mut Page<'_>,
    ) -> Result<Walked, Halt> {
        let prefix_len = partition.prefix.len();
        let mut key: SmallVec<[u8; 96]> = SmallVec::new();
        for interval in self.in_direction(intervals) {
            let Some((_, components)) = interval.lower.split_last() else { continue };
            key.clear();
            key.extend_from_slice(&partition.prefix);
            key.extend_from_slice(components);
            key.push(ROW);
            let position = key.get(prefix_len..).unwrap_or_default();
            if !self.is_behind(position, &progress.behind) {
                continue;
            }
            page.note_lookup()?;
            let row = match self.source.row(&key, prefix_len, page.layout.regular_columns())? {
                Found::Row(row) => row,
                Found::Absent => {
                    progress.pass(position);
                    continue;
                }
                Found::Unknown => return Ok(Walked::Unknown),
            };
            progress.saw_row = true;
            progress.pass(position);
            match page.visit(partition, position, Some(row.row()))? {
                Flow::Continue => {}
                flow => return Ok(Walked::Flow(flow)),
            }
        }
        Ok(Walked::Flow(Flow::Continue))
    }

    pub(super) fn in_direction<'i>(
        &self,
        intervals: &'i [Interval],
    ) -> impl Iterator<Item = &'i Interval> {
        let reverse = self.direction() == Direction::Reverse;
        let last = intervals.len();
        (0..last).filter_map(move |i| intervals.get(if reverse { last - 1 - i } else { i }))
    }

    /// Whether a position comes strictly after another one, in walking direction.
    pub(super) fn is_behind(&self, position: &[u8], other: &[u8]) -> bool {
        match self.direction() {
            Direction::Forward => position > other,
            Direction::Reverse => position < other,
        }
    }

    fn intervals(
        &self,
        partition: &Partition,
        intervals: &[Interval],
        progress: &mut Progress,
        page: &mut Page<'_>,
    ) -> Result<Walked, Halt> {
        let prefix = &partition.prefix;
        for interval in self.in_direction(intervals) {
            let Some((lower, upper)) = self.bounds(prefix, interval, self.begun(&progress.behind))
            else {
                continue;
            };
            let rows = self.source.scan_partition(prefix, &lower, &upper, self.direction())?;
            let Some(mut rows) = rows else { return Ok(Walked::Unknown) };
            while self.step(&mut rows, page)? {
                let Some(live) = rows.current() else { break };
                if live.is_static() {
                    continue;
                }
                progress.saw_row = true;
                match page.visit(partition, live.position(), Some(live.row))? {
                    Flow::Continue => {}
                    flow => return Ok(Walked::Flow(flow)),
                }
            }
            if let Some(key) = self.spent_at(&rows) {
                let position = key.get(prefix.len()..).unwrap_or_default();
                if rows.is_at_cut() {
                    progress.pass(position);
                    return Ok(Walked::Unknown);
                }
                page.end_at(prefix, position, progress.saw_row);
                return Ok(Walked::Flow(Flow::Stop));
            }
            let end = match self.direction() {
                Direction::Forward => &interval.upper,
                Direction::Reverse => &interval.lower,
            };
            progress.pass(end);
        }
        Ok(Walked::Flow(Flow::Continue))
    }

    /// Moves to the next live row; says whether there is one. Without one, either the walk is over or the page is to end
    /// where it is: see [`spent_at`](Self::spent_at).
    pub(super) fn step(&self, rows: &mut LiveRows, page: &mut Page<'_>) -> Result<bool, Halt> {
        loop {
            let before = rows.walked();
            let allowance = page.allowance(&before, &self.budget);
            rows.set_budget(allowance);
            let found = rows.next()?.is_some();
            if let Err(error) = page.note_walk(&before, &rows.walked()) {
                rows.do_not_count();
                return Err(error);
            }
            if page.wants_partition()
                // Where what was fetched ends there may be no key.
                && let Some(key) = rows
                    .current()
                    .map(|live| live.key)
                    .or(self.spent_at(rows).filter(|_| !rows.is_at_cut()))
            {
                let length = partition_len(&self.plan.table, key)?;
                page.over_threshold_in(key.get(..length).unwrap_or_default());
            }
            if found {
                return Ok(true);
            }
            let is_over = rows.resume_at().is_none() || rows.is_at_cut();
            if is_over || allowance == ReadBudget::NOTHING {
                return Ok(false);
            }
            page.check_deadline()?;
        }
    }

    /// The key of the entry at which a walk's budget was spent.
    pub(super) fn spent_at<'r>(&self, rows: &'r LiveRows) -> Option<&'r [u8]> {
        let bound = rows.resume_at()?;
        match self.direction() {
            // Forward the bound is the entry's key and a zero byte: the first key after it.
            Direction::Forward => bound.split_last().map(|(_, key)| key),
            Direction::Reverse => Some(bound),
        }
    }

    /// The keys of an interval that are left after a position; `None` when none are.
    pub(super) fn bounds(
        &self,
        prefix: &[u8],
        interval: &Interval,
        after: Option<&[u8]>,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut lower = interval.lower.clone();
        let mut upper = interval.upper.clone();
        if let Some(after) = after {
            match self.direction() {
                Direction::Forward => {
                    let mut next = after.to_vec();
                    next.push(0);
                    lower = lower.max(next);
                }
                Direction::Reverse => upper = upper.min(after.to_vec()),
            }
        }
        (lower < upper).then(|| ([prefix, &lower].concat(), [prefix, &upper].concat()))
    }
}

/// The row alone that lies in an interval around it.
fn row_alone(around: &Interval) -> Option<Interval> {
    let (_, components) = around.lower.split_last()?;
    let (lower, upper) = ([components, &[ROW]].concat(), [components, &[ROW, 0]].concat());
    Some(Interval { lower, upper })
}

/// How many bytes of a full key are the partition prefix.
pub(super) fn partition_len(table: &Table, key: &[u8]) -> Result<usize, QueryError> {
    let damaged = || {
        QueryError::Internal(format!(
            "storage gave bytes that are no key of {}.{}",
            table.keyspace, table.name
        ))
    };
    let mut rest = key.get(8..).ok_or_else(damaged)?;
    let mut value = Vec::new();
    for column in &table.partition_key {
        decode_component(&column.cql_type, false, &mut rest, &mut value).map_err(|_| damaged())?;
    }
    Ok(key.len() - rest.len())
}
