//! Walks: from keys to rows, in the order of the result, going on where an earlier page ended.
//!
//! - [`partitions`]: partitions one after the other, each by its intervals of positions, forward or in reverse.
//! - [`merge`](super::merge): partitions side by side, their rows merged in clustering order (IN with ORDER BY).
//! - [`scan`]: a range of tokens.
//!
//! A partition without live rows but with a live static row shows one row without clustering, if nothing restricts rows.

use smallvec::SmallVec;
use tholos_storage::key::decode_component;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::{AFTER, HEADER, ROW, STATIC};
use tholos_storage::read::live::{LiveRows, ReadBudget};
use tholos_storage::schema::Table;

use super::page::{Flow, Page};
use super::row::{Partition, StaticRow};
use super::source::RowSource;
use crate::error::QueryError;
use crate::execute::paging::PagingState;
use crate::query::intervals::Interval;
use crate::query::keys;
use crate::query::modify::elements::unreadable;
use crate::query::select::plan::SelectPlan;

/// How many unwanted rows of a partition are walked over before a new walk is opened behind it.
const SKIP_BY_WALKING: u32 = 16;

/// What a walk works with.
pub(super) struct Walk<'w, 'c> {
    pub(super) plan: &'w SelectPlan,
    pub(super) source: &'w RowSource<'w, 'c>,
    pub(super) resume: Option<PagingState>,
    pub(super) budget: ReadBudget,
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

    pub(super) fn read_static(&self, prefix: &[u8]) -> Result<Option<StaticRow>, QueryError> {
        let mut key: SmallVec<[u8; 64]> = SmallVec::from_slice(prefix);
        key.push(STATIC);
        Ok(self.source.row(&key, prefix.len())?.map(StaticRow::Point))
    }

    pub(super) fn open(&self, prefix: &[u8], page: &Page<'_>) -> Result<Partition, QueryError> {
        let mut partition = Partition::open(prefix, &page.layout, &self.plan.table)?;
        if page.layout.needs_static() {
            partition.static_row = self.read_static(prefix)?;
        }
        Ok(partition)
    }

    /// Where an earlier page ended, if it was in this list of partitions.
    pub(super) fn resumed_at(&self, prefixes: &[keys::Partition]) -> Result<usize, QueryError> {
        let Some(state) = &self.resume else { return Ok(0) };
        prefixes.iter().position(|prefix| **prefix == *state.partition).ok_or_else(|| {
            QueryError::invalid(
                "the paging state belongs to a partition that the statement does not read: send it with the values that it came from, or start again without one",
            )
        })
    }

    /// Partitions one after the other. Returns whether the walk was stopped.
    pub(super) fn partitions(
        &self,
        prefixes: &[keys::Partition],
        intervals: &[Interval],
        points: bool,
        page: &mut Page<'_>,
    ) -> Result<bool, QueryError> {
        let first = self.resumed_at(prefixes)?;
        for (place, prefix) in prefixes.iter().enumerate().skip(first) {
            let resume = self.resume.as_ref().filter(|_| place == first);
            page.note_lookup()?;
            page.begin_partition(resume.and_then(|state| state.remaining_in_partition));
            if resume.is_some_and(|state| self.is_done(state)) {
                continue;
            }
            let mut partition = self.open(prefix, page)?;
            let mut saw_row = resume.is_some_and(|state| state.saw_row);
            let after = resume.map(|state| state.position.as_slice());
            let flow = match points {
                true => self.points(&partition, intervals, after, &mut saw_row, page)?,
                false => self.intervals(&partition, intervals, after, &mut saw_row, page)?,
            };
            if flow == Flow::Stop || self.static_only(&mut partition, saw_row, page)? == Flow::Stop
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether nothing more of the partition that a page ended in is wanted.
    fn is_done(&self, state: &PagingState) -> bool {
        (self.plan.distinct && state.saw_row) || state.remaining_in_partition == Some(0)
    }

    fn static_only(
        &self,
        partition: &mut Partition,
        saw_row: bool,
        page: &mut Page<'_>,
    ) -> Result<Flow, QueryError> {
        if saw_row || !self.shows_static_only() {
            return Ok(Flow::Continue);
        }
        if partition.static_row.is_none() {
            partition.static_row = self.read_static(&partition.prefix)?;
        }
        match partition.static_row {
            Some(_) => page.visit(partition, self.end_position(), None),
            None => Ok(Flow::Continue),
        }
    }

    /// Rows whose full keys are known.
    fn points(
        &self,
        partition: &Partition,
        intervals: &[Interval],
        after: Option<&[u8]>,
        saw_row: &mut bool,
        page: &mut Page<'_>,
    ) -> Result<Flow, QueryError> {
        let prefix_len = partition.prefix.len();
        let mut key: SmallVec<[u8; 96]> = SmallVec::new();
        for interval in self.in_direction(intervals) {
            let Some((_, components)) = interval.lower.split_last() else { continue };
            key.clear();
            key.extend_from_slice(&partition.prefix);
            key.extend_from_slice(components);
            key.push(ROW);
            let position = key.get(prefix_len..).unwrap_or_default();
            if after.is_some_and(|after| !self.is_behind(position, after)) {
                continue;
            }
            page.note_lookup()?;
            let Some(row) = self.source.row(&key, prefix_len)? else { continue };
            *saw_row = true;
            match page.visit(partition, position, Some(row.row()))? {
                Flow::Continue => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Continue)
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
        after: Option<&[u8]>,
        saw_row: &mut bool,
        page: &mut Page<'_>,
    ) -> Result<Flow, QueryError> {
        for interval in self.in_direction(intervals) {
            let Some((lower, upper)) = self.bounds(&partition.prefix, interval, after) else {
                continue;
            };
            let mut rows =
                self.source.scan_partition(&partition.prefix, &lower, &upper, self.direction())?;
            while self.step(&mut rows, page)? {
                let Some(live) = rows.current() else { break };
                if live.is_static() {
                    continue;
                }
                *saw_row = true;
                match page.visit(partition, live.position(), Some(live.row))? {
                    Flow::Continue => {}
                    flow => return Ok(flow),
                }
            }
            if let Some(key) = self.spent_at(&rows) {
                let position = key.get(partition.prefix.len()..).unwrap_or_default();
                page.end_at(&partition.prefix, position, *saw_row);
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// Moves to the next live row; says whether there is one. Without one, either the walk is over or the page is to end
    /// where it is: see [`spent_at`](Self::spent_at).
    pub(super) fn step(
        &self,
        rows: &mut LiveRows,
        page: &mut Page<'_>,
    ) -> Result<bool, QueryError> {
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
                && let Some(key) = rows.current().map(|live| live.key).or(self.spent_at(rows))
            {
                let length = partition_len(&self.plan.table, key)?;
                page.over_threshold_in(key.get(..length).unwrap_or_default());
            }
            if found {
                return Ok(true);
            }
            if rows.resume_at().is_none() || allowance == ReadBudget::NOTHING {
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

    /// A range of keys over many partitions, forward.
    pub(super) fn scan(
        &self,
        lower: &[u8],
        upper: &[u8],
        page: &mut Page<'_>,
    ) -> Result<bool, QueryError> {
        let mut current: Option<Current> = None;
        let mut start = lower.to_vec();
        if let Some(state) = &self.resume {
            let mut key = state.partition.clone();
            match self.is_done(state) {
                true => key.push(0xff),
                false => {
                    key.extend_from_slice(&state.position);
                    key.push(0);
                    page.begin_partition(state.remaining_in_partition);
                    let mut partition = self.open(&state.partition, page)?;
                    if self.shows_static_only() && partition.static_row.is_none() {
                        partition.static_row = self.read_static(&state.partition)?;
                    }
                    current = Some(Current { partition, saw_row: state.saw_row, skipped: None });
                }
            }
            start = start.max(key);
        }
        let mut rows = self.open_scan(&start, upper)?;
        while self.step(&mut rows, page)? {
            let Some(live) = rows.current() else { break };
            let same = current.as_ref().is_some_and(|c| c.partition.prefix == live.partition());
            if !same {
                if let Some(last) = &mut current
                    && self.static_only(&mut last.partition, last.saw_row, page)? == Flow::Stop
                {
                    return Ok(true);
                }
                page.begin_partition(None);
                let partition = Partition::open(live.partition(), &page.layout, &self.plan.table)?;
                current = Some(Current { partition, saw_row: false, skipped: None });
            }
            let Some(now) = &mut current else { continue };
            if let Some(skipped) = &mut now.skipped {
                *skipped += 1;
                if *skipped > SKIP_BY_WALKING {
                    let mut key = now.partition.prefix.clone();
                    key.push(0xff);
                    rows = self.open_scan(&key, upper)?;
                }
                continue;
            }
            if live.is_static() {
                if page.layout.needs_static() || self.shows_static_only() {
                    now.partition.static_row = Some(StaticRow::copy(live.row).map_err(unreadable)?);
                }
                continue;
            }
            now.saw_row = true;
            match page.visit(&now.partition, live.position(), Some(live.row))? {
                Flow::Continue => {}
                Flow::SkipPartition => now.skipped = Some(0),
                Flow::Stop => return Ok(true),
            }
        }
        self.end_scan(&rows, current, page)
    }

    fn open_scan(&self, lower: &[u8], upper: &[u8]) -> Result<LiveRows, QueryError> {
        self.source.scan(lower, upper)
    }

    fn end_scan(
        &self,
        rows: &LiveRows,
        current: Option<Current>,
        page: &mut Page<'_>,
    ) -> Result<bool, QueryError> {
        let Some(key) = self.spent_at(rows) else {
            let Some(mut last) = current else { return Ok(false) };
            let flow = self.static_only(&mut last.partition, last.saw_row, page)?;
            return Ok(flow == Flow::Stop);
        };
        match current {
            Some(last) if key.starts_with(&last.partition.prefix) => {
                let position = key.get(last.partition.prefix.len()..).unwrap_or_default();
                page.end_at(&last.partition.prefix, position, last.saw_row);
            }
            // The entry is a tombstone of a partition that has shown nothing: what is before it is done with.
            last => {
                if let Some(mut last) = last
                    && self.static_only(&mut last.partition, last.saw_row, page)? == Flow::Stop
                {
                    return Ok(true);
                }
                let length = partition_len(&self.plan.table, key)?;
                let (prefix, position) = key.split_at_checked(length).unwrap_or((key, &[]));
                page.begin_partition(None);
                page.end_at(prefix, position, false);
            }
        }
        Ok(true)
    }
}

/// How many bytes of a full key are the partition prefix.
fn partition_len(table: &Table, key: &[u8]) -> Result<usize, QueryError> {
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

/// The partition that a scan is in.
struct Current {
    partition: Partition,
    saw_row: bool,
    /// How many unwanted rows were walked over since nothing more of it is wanted.
    skipped: Option<u32>,
}
