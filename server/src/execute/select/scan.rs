//! A range of tokens: partitions as storage has them, one after the other.
//!
//! What was fetched of it may lie in several pieces, one for each set of replicas; a partition never lies in two of those.

use tholos_storage::model::position::AFTER;
use tholos_storage::model::read::KeyInterval;
use tholos_storage::read::live::LiveRows;

use super::fetched::Want;
use super::page::{Flow, Page};
use super::row::{Partition, StaticRow};
use super::walk::{Walk, Walked, partition_len};
use crate::error::QueryError;
use crate::execute::paging::{PagingState, elsewhere};
use crate::halt::Halt;
use crate::query::modify::elements::unreadable;

/// How many unwanted rows of a partition are walked over before a new walk is opened behind it.
const SKIP_BY_WALKING: u32 = 16;

impl Walk<'_, '_> {
    /// A range of keys over many partitions, forward.
    pub(super) fn scan(
        &self,
        lower: &[u8],
        upper: &[u8],
        page: &mut Page<'_>,
    ) -> Result<bool, Halt> {
        let mut current: Option<Current> = None;
        let mut start = lower.to_vec();
        let mut inside = None;
        if let Some(state) = &self.resume {
            self.check_within(state, lower, upper)?;
            let mut key = state.partition.clone();
            match self.is_done(state, page) {
                true => key.push(0xff),
                false => {
                    key.extend_from_slice(&state.position);
                    key.push(0);
                    inside = Some(state.partition.len());
                    page.begin_partition(state.remaining_in_partition);
                    current = self.resumed_partition(state, page)?;
                    if current.is_none() {
                        let from = start.max(key);
                        self.stop_scan(state.clone(), (from, inside), upper, page);
                        return Ok(true);
                    }
                }
            }
            start = start.max(key);
        }
        let Some(mut rows) = self.source.scan(&start, upper)? else {
            self.want_scan((start, inside), upper, page);
            page.resume_at(self.resume.clone());
            return Ok(true);
        };
        loop {
            if !self.step(&mut rows, page)? {
                // What was fetched may lie in several pieces, one for each set of replicas.
                match rows.resume_at().filter(|_| rows.is_at_cut()) {
                    Some(bound) => match self.source.scan(bound, upper)? {
                        Some(next) => rows = next,
                        None => break,
                    },
                    None => break,
                }
                continue;
            }
            let Some(live) = rows.current() else { break };
            let same = current.as_ref().is_some_and(|c| c.partition.prefix == live.partition());
            if !same {
                if let Some(last) = &mut current
                    && self.ends_partition(last, page)?
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
                    let Some(behind) = self.source.scan(&key, upper)? else {
                        page.end_at(&now.partition.prefix, &[AFTER], true);
                        self.want_scan((key, None), upper, page);
                        return Ok(true);
                    };
                    rows = behind;
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
        self.end_scan(&rows, current, upper, page)
    }

    /// Looks whether a state's partition is one of the range: what a page of it gave is, what somebody made up may not be.
    fn check_within(
        &self,
        state: &PagingState,
        lower: &[u8],
        upper: &[u8],
    ) -> Result<(), QueryError> {
        let partition = state.partition.as_slice();
        let is_inside = partition >= lower && (upper.is_empty() || partition < upper);
        let is_whole =
            || partition_len(&self.plan.table, partition).is_ok_and(|l| l == partition.len());
        if is_inside && is_whole() { Ok(()) } else { Err(elsewhere()) }
    }

    /// The partition in which an earlier page ended; `None` if its static row is still to be fetched.
    fn resumed_partition(
        &self,
        state: &PagingState,
        page: &Page<'_>,
    ) -> Result<Option<Current>, Halt> {
        let Some(mut partition) = self.open(&state.partition, page)? else { return Ok(None) };
        if self.shows_static_only()
            && partition.static_row.is_none()
            && !self.fill_static(&mut partition, page)?
        {
            return Ok(None);
        }
        Ok(Some(Current { partition, saw_row: state.saw_row, skipped: None }))
    }

    /// Wants a range of keys, and before it the static row of the partition in which it begins.
    fn want_scan(&self, (lower, inside): (Vec<u8>, Option<usize>), upper: &[u8], page: &Page<'_>) {
        let prefix = inside.and_then(|len| lower.get(..len));
        let mut intervals: Vec<KeyInterval> =
            prefix.and_then(|prefix| self.static_interval(prefix, page)).into_iter().collect();
        let rest = KeyInterval { lower, upper: upper.to_vec(), partition_len: inside };
        if !rest.is_empty() {
            intervals.push(rest);
        }
        if !intervals.is_empty() {
            let want = Want { intervals, rows: page.rows_wanted(None) };
            self.wants.borrow_mut().push(want);
        }
    }

    fn stop_scan(
        &self,
        state: PagingState,
        from: (Vec<u8>, Option<usize>),
        upper: &[u8],
        page: &mut Page<'_>,
    ) {
        self.want_scan(from, upper, page);
        page.resume_at(Some(state));
    }

    /// Shows the static row of a partition that had nothing else; says whether that stops the walk.
    fn ends_partition(&self, last: &mut Current, page: &mut Page<'_>) -> Result<bool, Halt> {
        match self.static_only(&mut last.partition, last.saw_row, page)? {
            Walked::Flow(flow) => Ok(flow == Flow::Stop),
            Walked::Unknown => Err(QueryError::Internal(
                "a walk passed a partition whose static row was not fetched".to_string(),
            )
            .into()),
        }
    }

    fn end_scan(
        &self,
        rows: &LiveRows,
        current: Option<Current>,
        upper: &[u8],
        page: &mut Page<'_>,
    ) -> Result<bool, Halt> {
        let Some(key) = self.spent_at(rows) else {
            let Some(mut last) = current else { return Ok(false) };
            return self.ends_partition(&mut last, page);
        };
        let length = match &current {
            Some(last) if key.starts_with(&last.partition.prefix) => last.partition.prefix.len(),
            _ => partition_len(&self.plan.table, key)?,
        };
        let (prefix, position) = key.split_at_checked(length).unwrap_or((key, &[]));
        match current {
            Some(last) if last.partition.prefix == prefix => {
                page.end_at(prefix, position, last.saw_row);
            }
            // The entry is a tombstone of a partition that has shown nothing: what is before it is done with.
            last => {
                if let Some(mut last) = last
                    && self.ends_partition(&mut last, page)?
                {
                    return Ok(true);
                }
                page.begin_partition(None);
                page.end_at(prefix, position, false);
            }
        }
        if rows.is_at_cut() {
            let mut from = key.to_vec();
            from.push(0);
            self.want_scan((from, Some(length)), upper, page);
        }
        Ok(true)
    }
}

/// The partition that a scan is in.
struct Current {
    partition: Partition,
    saw_row: bool,
    /// How many unwanted rows were walked over since nothing more of it is wanted.
    skipped: Option<u32>,
}
