//! A page that is made in several rounds, as what it needs is fetched: what it wants, and what it has in between.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Effort, Group, Limits, Page};
use crate::execute::paging::PagingState;
use crate::execute::select::sorted::SortedGroups;
use crate::query::select::plan::Projection;

/// What was made of a page before more had to be fetched for it.
pub struct SoFar {
    limits: Limits,
    left_in_partition: Option<u32>,
    rows: u32,
    group: Option<Group>,
    sorted: Option<SortedGroups>,
    left_in_lanes: BTreeMap<Vec<u8>, u32>,
    full: Option<PagingState>,
    /// Where to go on.
    resume: Option<PagingState>,
    page_end: Option<Instant>,
    visited: u32,
    effort: Effort,
    begins: usize,
    room: usize,
}

impl SoFar {
    /// What was written of the page lies so much further to the front of its buffer now.
    pub fn move_back(&mut self, by: usize) {
        self.begins -= by;
        self.room = self.room.saturating_sub(by);
        if let Some(sorted) = &mut self.sorted {
            sorted.move_back(by);
        }
    }

    /// The partition in which it goes on; empty if that is not known.
    pub(in crate::execute::select) fn partition(&self) -> &[u8] {
        self.resume.as_ref().map_or(&[], |state| &state.partition)
    }
}

impl std::fmt::Debug for SoFar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SoFar({} rows)", self.rows)
    }
}

impl Page<'_> {
    /// Whether rows of a group are being gathered.
    pub(in crate::execute::select) fn is_in_group(&self) -> bool {
        self.group.is_some() && self.plan.group_by.is_some()
    }

    /// What is left of the rows of a partition that is merged with others, as far as it was begun.
    pub(in crate::execute::select) fn left_in_lane(&self, partition: &[u8]) -> Option<u32> {
        self.left_in_lanes.get(partition).copied()
    }

    /// Notes what is left of the rows of such a partition.
    pub(in crate::execute::select) fn note_left_in_lane(
        &mut self,
        partition: &[u8],
        left: Option<u32>,
    ) {
        if let Some(left) = left {
            self.left_in_lanes.insert(partition.to_vec(), left);
        }
    }

    /// How many rows that exist are enough to go on with; `None` if it depends on what is in them. `left` is what is left
    /// of those of one partition.
    pub(in crate::execute::select) fn rows_wanted(&self, left: Option<u32>) -> Option<u32> {
        let is_exact = self.conditions.is_empty() || limits_come_first();
        if !is_exact || matches!(self.plan.projection, Projection::Aggregates { .. }) {
            return None;
        }
        // One more tells whether there is a further page.
        let in_page = self.limits.page.map(|page| page.saturating_sub(self.rows).saturating_add(1));
        let left = left.or(self.limits.per_partition).filter(|left| *left > 0);
        [self.limits.total, in_page, left].into_iter().flatten().min()
    }

    /// What the page has to go on with when what it wants is there.
    pub(in crate::execute::select) fn suspend(self) -> SoFar {
        SoFar {
            limits: self.limits,
            left_in_partition: self.left_in_partition,
            rows: self.rows,
            group: self.group,
            sorted: self.sorted,
            left_in_lanes: self.left_in_lanes,
            full: self.full,
            resume: self.next,
            page_end: self.time.page_end,
            visited: self.visited,
            effort: self.effort,
            begins: self.begins,
            room: self.room,
        }
    }

    /// Goes on with what was suspended; says where.
    pub(in crate::execute::select) fn resume(&mut self, so_far: SoFar) -> Option<PagingState> {
        self.limits = so_far.limits;
        self.left_in_partition = so_far.left_in_partition;
        self.rows = so_far.rows;
        self.group = so_far.group;
        self.sorted = so_far.sorted;
        self.left_in_lanes = so_far.left_in_lanes;
        self.full = so_far.full;
        self.time.page_end = so_far.page_end;
        self.visited = so_far.visited;
        self.effort = Effort { inline: self.effort.inline, ..so_far.effort };
        self.begins = so_far.begins;
        self.room = so_far.room;
        so_far.resume
    }

    /// The page goes on in the same place when what it wants is there.
    pub(in crate::execute::select) fn resume_at(&mut self, state: Option<PagingState>) {
        self.next = state;
    }
}

/// Whether a rule is broken on purpose: see [`Planted`](tholos_storage::planted::Planted).
fn limits_come_first() -> bool {
    #[cfg(test)]
    return tholos_storage::planted::is_planted(
        tholos_storage::planted::Planted::LimitsBeforeFilter,
    );
    #[cfg(not(test))]
    false
}
