//! Partitions side by side: ORDER BY with IN on the partition key.
//!
//! ```text
//! clustering (c, d), ORDER BY c:
//!   partition 1:  (5, 2) (5, 4)          1 (5, 2), 1 (5, 4), 2 (5, 1), 2 (5, 3), 2 (6, 0)
//!   partition 2:  (5, 1) (5, 3) (6, 0)
//! ```
//! Rows that are equal in what ORDER BY names come partition by partition, as in Cassandra. So where a page ended says
//! what every partition has shown: those before the last one all rows that are equal to the last one, those after it none.

use std::cmp::Ordering;

use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::{AFTER, BEFORE, STATIC};
use tholos_storage::read::live::{LiveRow, LiveRows};

use super::order::order_len;
use super::page::{Flow, Page};
use super::row::Partition;
use super::source::RowSource;
use super::walk::Walk;
use crate::error::QueryError;
use crate::execute::paging::PagingState;
use crate::halt::Halt;
use crate::query::intervals::Interval;
use crate::query::keys;

/// One of the partitions that are merged.
struct Lane {
    partition: Partition,
    /// What is left to walk, the next one last.
    intervals: Vec<Interval>,
    /// What an earlier page left, in walking direction.
    start: Option<Vec<u8>>,
    rows: Option<LiveRows>,
    /// The position at which the page has to end.
    ended_at: Option<Vec<u8>>,
    /// What is behind it is still to be fetched.
    lacks_rows: bool,
    /// How much of the position that it is at says when its turn is.
    order: usize,
    static_only: bool,
    /// What is left of PER PARTITION LIMIT; `None` before its first row.
    left: Option<u32>,
}

impl Lane {
    fn current(&self) -> Option<LiveRow<'_>> {
        if self.static_only { None } else { self.rows.as_ref()?.current() }
    }

    fn position(&self) -> &[u8] {
        match &self.ended_at {
            Some(position) => position,
            None => self.current().map(|live| live.position()).unwrap_or_default(),
        }
    }

    /// What of its position orders it.
    fn order(&self) -> &[u8] {
        self.position().get(..self.order).unwrap_or_default()
    }
}

impl Walk<'_, '_> {
    /// Partitions side by side, ordered by so many clustering columns. Returns whether the walk was stopped.
    pub(super) fn merged(
        &self,
        prefixes: &[keys::Partition],
        intervals: &[Interval],
        columns: usize,
        page: &mut Page<'_>,
    ) -> Result<bool, Halt> {
        let mut lanes = self.lanes(prefixes, intervals, columns, page)?;
        if !self.wants.borrow().is_empty() {
            page.resume_at(self.resume.clone());
            return Ok(true);
        }
        loop {
            let Some(next) = self.first_lane(&lanes) else { return Ok(false) };
            let Some(lane) = lanes.get_mut(next) else { return Ok(false) };
            if let Some(position) = &lane.ended_at {
                // All lanes are at this position or behind it: the next page goes on from here.
                page.end_at(&lane.partition.prefix, position, false);
                if lane.lacks_rows {
                    let rows = page.rows_wanted(lane.left);
                    let prefix = &lane.partition.prefix;
                    let intervals = self.in_direction(intervals);
                    self.want_partition(prefix, intervals, Some(position), rows, page);
                }
                return Ok(true);
            }
            page.begin_partition(lane.left);
            let flow = match (lane.static_only, lane.current()) {
                (false, Some(live)) => {
                    page.visit(&lane.partition, live.position(), Some(live.row))?
                }
                _ => page.visit(&lane.partition, &[], None)?,
            };
            lane.left = page.left_in_partition();
            if matches!(self.source, RowSource::Table { fetched, .. } if !fetched.is_empty()) {
                page.note_left_in_lane(&lane.partition.prefix, lane.left);
            }
            match flow {
                Flow::Stop => return Ok(true),
                Flow::Continue if !lane.static_only && self.advance(lane, columns, page)? => {}
                Flow::Continue | Flow::SkipPartition => {
                    lanes.remove(next);
                }
            }
        }
    }

    fn lanes(
        &self,
        prefixes: &[keys::Partition],
        intervals: &[Interval],
        columns: usize,
        page: &mut Page<'_>,
    ) -> Result<Vec<Lane>, Halt> {
        let last = self.resumed_at(prefixes)?;
        let mut lanes = Vec::with_capacity(prefixes.len());
        for (place, prefix) in prefixes.iter().enumerate() {
            let start = match &self.resume {
                Some(state) => Some(self.lane_start(state, place.cmp(&last), columns)?),
                None => None,
            };
            let Some(partition) = self.open(prefix, page)? else {
                self.want_lane(prefix, intervals, start.as_deref(), page);
                continue;
            };
            let mut lane = Lane {
                partition,
                intervals: self.in_direction(intervals).cloned().collect(),
                start,
                rows: None,
                ended_at: None,
                lacks_rows: false,
                order: 0,
                static_only: false,
                left: page.left_in_lane(prefix),
            };
            lane.intervals.reverse();
            if !self.open_static_only(&mut lane, place <= last, page)? {
                continue;
            }
            if lane.static_only || self.advance(&mut lane, columns, page)? {
                // Nothing of it is known: all that is not is fetched at once.
                if lane.lacks_rows && lane.rows.is_none() {
                    self.want_lane(prefix, intervals, lane.start.as_deref(), page);
                }
                lanes.push(lane);
            }
        }
        Ok(lanes)
    }

    /// Wants what a lane needs from its start on.
    fn want_lane(
        &self,
        prefix: &[u8],
        intervals: &[Interval],
        start: Option<&[u8]>,
        page: &Page<'_>,
    ) {
        let left: Vec<Interval> = self
            .in_direction(intervals)
            .cloned()
            .map(|interval| self.beyond_start(interval, start))
            .collect();
        let rows = page.rows_wanted(page.left_in_lane(prefix));
        self.want_partition(prefix, left.iter(), None, rows, page);
    }

    /// What of an interval is left from where a lane starts.
    fn beyond_start(&self, mut interval: Interval, start: Option<&[u8]>) -> Interval {
        match (self.direction(), start) {
            (_, None) => {}
            (Direction::Forward, Some(start)) if *interval.lower < *start => {
                interval.lower = start.to_vec();
            }
            (Direction::Reverse, Some(start)) if *start < *interval.upper => {
                interval.upper = start.to_vec();
            }
            _ => {}
        }
        interval
    }

    /// Where a lane goes on that comes before or after the one in which the last page ended, or is that one.
    fn lane_start(
        &self,
        state: &PagingState,
        place: Ordering,
        columns: usize,
    ) -> Result<Vec<u8>, QueryError> {
        let position = state.position.as_slice();
        let with = |bytes: &[u8], last: u8| [bytes, &[last]].concat();
        // Before rows of equal order, and behind them and a marker that ends with them. What is no whole key has no equals.
        let (from, behind) = match order_len(&self.plan.table, position, columns)? {
            Some(length) => {
                let order = position.get(..length).unwrap_or_default();
                (with(order, BEFORE), [order, &[AFTER, 0]].concat())
            }
            None => (position.to_vec(), with(position, 0)),
        };
        Ok(match (self.direction(), place) {
            (Direction::Forward, Ordering::Less) => behind,
            (Direction::Forward, Ordering::Equal) => with(position, 0),
            (Direction::Forward, Ordering::Greater) => from,
            (Direction::Reverse, Ordering::Less) => from,
            (Direction::Reverse, Ordering::Equal) => position.to_vec(),
            (Direction::Reverse, Ordering::Greater) => behind,
        })
    }

    /// Finds out whether a lane has only its static row to show. `shown_first` says that of equals it comes no later than
    /// the one in which the last page ended. Returns whether that is known; otherwise it is wanted.
    fn open_static_only(
        &self,
        lane: &mut Lane,
        shown_first: bool,
        page: &Page<'_>,
    ) -> Result<bool, Halt> {
        if !self.shows_static_only() {
            return Ok(true);
        }
        // Without a position this is the row's own, so it has been shown when anything of it or after it has.
        if self
            .resume
            .as_ref()
            .map(|state| &state.position)
            .is_some_and(|last| !self.is_behind(&[], last) && (shown_first || !last.is_empty()))
        {
            return Ok(true);
        }
        let whole = Interval { lower: vec![STATIC + 1], upper: vec![AFTER] };
        let Some(has_rows) = self.has_rows(&lane.partition.prefix, whole, page)? else {
            return Ok(false);
        };
        if has_rows {
            return Ok(true);
        }
        if lane.partition.static_row.is_none() && !self.fill_static(&mut lane.partition, page)? {
            self.want_lane(&lane.partition.prefix, &[], None, page);
            return Ok(false);
        }
        lane.static_only = lane.partition.static_row.is_some();
        Ok(true)
    }

    /// Whether an interval of a partition has any row; `None` if more is to be fetched to know.
    fn has_rows(
        &self,
        prefix: &[u8],
        interval: Interval,
        page: &Page<'_>,
    ) -> Result<Option<bool>, Halt> {
        let mut behind = self.start_position().to_vec();
        while let Some((lower, upper)) = self.bounds(prefix, &interval, Some(&behind)) {
            let rows = self.source.scan_partition(prefix, &lower, &upper, self.direction())?;
            let Some(mut rows) = rows else {
                let interval = std::iter::once(&interval);
                self.want_partition(prefix, interval, Some(&behind), Some(1), page);
                return Ok(None);
            };
            if rows.next()?.is_some() {
                return Ok(Some(true));
            }
            let Some(key) = self.spent_at(&rows).filter(|_| rows.is_at_cut()) else { break };
            behind = key.get(prefix.len()..).unwrap_or_default().to_vec();
        }
        Ok(Some(false))
    }

    /// Moves a lane to its next row, or to where the page has to end; says whether there is either.
    fn advance(&self, lane: &mut Lane, columns: usize, page: &mut Page<'_>) -> Result<bool, Halt> {
        if !self.step_lane(lane, page)? {
            return Ok(false);
        }
        let position = lane.position();
        let length = order_len(&self.plan.table, position, columns)?;
        lane.order = length.unwrap_or(position.len());
        Ok(true)
    }

    fn step_lane(&self, lane: &mut Lane, page: &mut Page<'_>) -> Result<bool, Halt> {
        loop {
            if let Some(rows) = &mut lane.rows {
                while self.step(rows, page)? {
                    if rows.current().is_some_and(|live| !live.is_static()) {
                        return Ok(true);
                    }
                }
                if let Some(key) = self.spent_at(rows) {
                    let position = key.get(lane.partition.prefix.len()..).unwrap_or_default();
                    lane.ended_at = Some(position.to_vec());
                    lane.lacks_rows = rows.is_at_cut();
                    return Ok(true);
                }
                lane.rows = None;
            }
            let Some(interval) = lane.intervals.pop() else { return Ok(false) };
            let interval = self.beyond_start(interval, lane.start.as_deref());
            let prefix = &lane.partition.prefix;
            if let Some((lower, upper)) = self.bounds(prefix, &interval, None) {
                lane.rows = self.source.scan_partition(prefix, &lower, &upper, self.direction())?;
                if lane.rows.is_none() {
                    lane.ended_at = Some(match self.direction() {
                        Direction::Forward => interval.lower,
                        Direction::Reverse => interval.upper,
                    });
                    lane.lacks_rows = true;
                    return Ok(true);
                }
            }
        }
    }

    /// The lane whose row comes first; of equal ones the first lane.
    fn first_lane(&self, lanes: &[Lane]) -> Option<usize> {
        let mut first: Option<(usize, &[u8])> = None;
        for (place, lane) in lanes.iter().enumerate() {
            let order = lane.order();
            let comes_before = first.is_none_or(|(_, best)| match self.direction() {
                Direction::Forward => order < best,
                Direction::Reverse => order > best,
            });
            if comes_before {
                first = Some((place, order));
            }
        }
        first.map(|(place, _)| place)
    }
}
