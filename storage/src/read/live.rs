//! What a reader sees: the static rows and rows that exist at `now` (spec 3.3).

use std::sync::Arc;

pub use super::budget::ReadBudget;
use super::figures::ReadFigures;
use super::floors::{self, Floors};
use super::merge::MergeCursor;
use crate::StorageError;
use crate::model::entry::{Content, Direction, Entry, RowBuf, RowRef};
use crate::model::position;
use crate::model::{ColumnId, Seconds};

/// A live row, or static row.
#[derive(Clone, Copy, Debug)]
pub struct LiveRow<'a> {
    /// The full key.
    pub key: &'a [u8],
    /// How many bytes of `key` are the partition prefix.
    pub partition_len: usize,
    /// The row, without anything that a deletion above it deletes. Some of its cells may be dead:
    /// see [`CellRef::is_live`](crate::model::row::CellRef::is_live).
    pub row: RowRef<'a>,
}

impl<'a> LiveRow<'a> {
    /// The partition prefix.
    pub fn partition(&self) -> &'a [u8] {
        &self.key[..self.partition_len]
    }

    /// Where in the partition.
    pub fn position(&self) -> &'a [u8] {
        &self.key[self.partition_len..]
    }

    /// Whether it is the partition's static row.
    pub fn is_static(&self) -> bool {
        self.position() == [position::STATIC]
    }
}

/// A walk over the rows that exist at `now`.
#[derive(Debug)]
pub struct LiveRows {
    merge: MergeCursor,
    direction: Direction,
    now: Seconds,
    /// Whose cells count: see [`TableSettings::columns`](crate::engine::TableSettings::columns).
    columns: Option<Arc<[ColumnId]>>,
    floors: Option<Arc<Floors>>,
    /// What is left of the current row above the floors, if that is not all of it.
    left: Option<RowBuf>,
    resume: Option<Vec<u8>>,
    /// Where what is known ends, short of where the walk was to end.
    cut_at: Option<Vec<u8>>,
    /// Live rows so far.
    rows: u64,
    /// Told of the walk at its end.
    figures: Option<Arc<ReadFigures>>,
}

impl LiveRows {
    /// The live rows of a merged stream.
    pub fn new(merge: MergeCursor, direction: Direction, now: Seconds) -> Self {
        let (columns, resume, figures) = (None, None, None);
        let (floors, left, cut_at) = (None, None, None);
        LiveRows { merge, direction, now, columns, floors, left, resume, cut_at, rows: 0, figures }
    }

    /// Lets only cells of these columns (ascending) make a row exist; `None` lets all.
    #[must_use]
    pub fn within_columns(mut self, columns: Option<Arc<[ColumnId]>>) -> Self {
        self.columns = columns;
        self
    }

    /// Leaves out what was written to columns up to their floors: see [`floors`].
    #[must_use]
    pub fn above(mut self, floors: Option<Arc<Floors>>) -> Self {
        self.floors = floors;
        self
    }

    /// Lets the walk end with that to go on with, as if its budget were spent there: what is behind it is not known here.
    #[must_use]
    pub fn cut_at(mut self, bound: Option<Vec<u8>>) -> Self {
        self.cut_at = bound;
        self
    }

    /// Whether the walk came to the end of what is known here.
    pub fn is_at_cut(&self) -> bool {
        self.cut_at.is_some() && self.resume == self.cut_at
    }

    /// Counts the walk among the reads of its table when it ends.
    #[must_use]
    pub fn counted(mut self, figures: Arc<ReadFigures>) -> Self {
        self.figures = Some(figures);
        self
    }

    /// Lets the walk not count: it is going to be done all over.
    pub fn do_not_count(&mut self) {
        self.figures = None;
    }

    /// Limits the work from here on; what was walked so far counts. A walk that stopped for want of budget goes on where
    /// it stopped.
    pub fn set_budget(&mut self, budget: ReadBudget) {
        self.resume = None;
        self.merge.set_budget(budget);
    }

    /// The next live row; `None` at the end, or when the budget is spent: see [`resume_at`](Self::resume_at).
    ///
    /// # Errors
    /// What the sources meet.
    #[allow(clippy::should_implement_trait)] // rows borrow from the walk
    #[inline]
    pub fn next(&mut self) -> Result<Option<LiveRow<'_>>, StorageError> {
        Ok(if self.find_next()? { self.current() } else { None })
    }

    fn find_next(&mut self) -> Result<bool, StorageError> {
        loop {
            if self.merge.is_spent() {
                break;
            }
            self.merge.step().inspect_err(|error| {
                // It is going to be done all over.
                if let StorageError::WouldWait { .. } = error {
                    self.figures = None;
                }
            })?;
            // Whatever was walked last was left out, and it may have spent the budget.
            let Some(entry) = self.merge.current() else { break };
            if let Content::Row(whole) = entry.content {
                if let Some(floors) = &self.floors {
                    self.left = floors::above(whole, floors)?;
                }
                let row = self.left.as_ref().map_or(whole, RowBuf::as_row);
                if row.is_live_within(self.columns.as_deref(), self.now)? {
                    self.rows += 1;
                    return Ok(true);
                }
            }
            self.merge.note_tombstone();
        }
        self.stop();
        Ok(false)
    }

    /// The row it is at.
    #[inline(always)]
    pub fn current(&self) -> Option<LiveRow<'_>> {
        let Entry { key, partition_len, content } = self.merge.current()?;
        match content {
            Content::Row(whole) => {
                let row = self.left.as_ref().map_or(whole, RowBuf::as_row);
                Some(LiveRow { key, partition_len, row })
            }
            _ => None,
        }
    }

    /// After the budget was spent, or the walk was cut: the bound that a further scan of the rest is to have as `lower`, or
    /// in reverse as `upper`. `None` while there is nothing to go on with.
    pub fn resume_at(&self) -> Option<&[u8]> {
        self.resume.as_deref()
    }

    /// What was walked so far.
    pub fn walked(&self) -> ReadBudget {
        self.merge.walked()
    }

    fn stop(&mut self) {
        if self.resume.is_some() {
            return;
        }
        self.resume = self.merge.key().map(|key| {
            let mut key = key.to_vec();
            if self.direction == Direction::Forward {
                key.push(0);
            }
            key
        });
        if self.resume.is_none() {
            self.resume = self.cut_at.clone();
        }
    }
}

impl Drop for LiveRows {
    fn drop(&mut self) {
        if let Some(figures) = &self.figures {
            figures.walk(self.rows, self.merge.walked().tombstones);
        }
    }
}
