//! Groups of several partitions in the order of their first rows: GROUP BY with ORDER BY and IN on the partition key.
//!
//! Groups are written as they end, partition by partition, and their bytes put in order once all are there.

use std::ops::Range;

use tholos_storage::model::entry::Direction;

use super::order::order_len;
use crate::error::QueryError;
use crate::query::select::plan::SelectPlan;

/// The groups that were written.
pub(super) struct SortedGroups {
    columns: usize,
    groups: Vec<Written>,
}

struct Written {
    /// The columns of its first row that order it; nothing for a partition with only a static row.
    order: Vec<u8>,
    /// Where its bytes are.
    bytes: Range<usize>,
}

impl SortedGroups {
    /// Of a statement that orders groups by so many clustering columns.
    pub(super) fn by(columns: usize) -> Self {
        SortedGroups { columns, groups: Vec::new() }
    }

    /// What was written lies so much further to the front now.
    pub(super) fn move_back(&mut self, by: usize) {
        for group in &mut self.groups {
            group.bytes = group.bytes.start - by..group.bytes.end - by;
        }
    }

    /// A group whose first row is at `first` was written.
    pub(super) fn push(
        &mut self,
        plan: &SelectPlan,
        first: &[u8],
        bytes: Range<usize>,
    ) -> Result<(), QueryError> {
        let length = order_len(&plan.table, first, self.columns)?.unwrap_or(0);
        let order = first.get(..length).unwrap_or_default().to_vec();
        self.groups.push(Written { order, bytes });
        Ok(())
    }

    /// Where the bytes of the first `limit` groups are, in order. Equal ones come as they were written.
    pub(super) fn in_order(
        mut self,
        direction: Direction,
        limit: Option<u32>,
    ) -> impl Iterator<Item = Range<usize>> {
        self.groups.sort_by(|a, b| match direction {
            Direction::Forward => a.order.cmp(&b.order),
            Direction::Reverse => b.order.cmp(&a.order),
        });
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        self.groups.into_iter().map(|group| group.bytes).take(limit)
    }
}
