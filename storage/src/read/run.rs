//! What several replicas have of one interval, merged as it is walked.
//!
//! ```text
//! asked for a .. z      replica 1:  a .. c 0, cut    rows a, b, c     (b deleted here)
//!                       replica 2:  a .. z           rows b, f
//! together              a .. c 0, cut: rows a, c. Row f counts for nothing yet: replica 1 may have deleted it.
//! ```
//! The run is good only up to the least key that all of its pages got to; what lies behind is asked for again. That one
//! rule is all the protection that short reads need.

use std::sync::Arc;

use smallvec::SmallVec;

use super::live::LiveRows;
use super::merge::MergeCursor;
use super::page::Page;
use super::point::PointRow;
use super::source::Source;
use crate::StorageError;
use crate::model::Seconds;
use crate::model::entry::{Content, Direction, Entry};
use crate::planted::planted;

/// What several replicas have of one interval.
#[derive(Clone, Debug)]
pub struct MergedRun {
    pages: SmallVec<[Arc<Page>; 3]>,
    lower: Box<[u8]>,
    upper: Box<[u8]>,
    is_cut: bool,
}

impl MergedRun {
    /// Of pages that answer the same interval; `None` if there are none.
    pub fn new(pages: impl IntoIterator<Item = Arc<Page>>) -> Option<MergedRun> {
        let pages: SmallVec<[Arc<Page>; 3]> = pages.into_iter().collect();
        let lower = pages.iter().map(|page| page.lower()).max()?;
        // An empty bound is the end.
        let ends = pages.iter().map(|page| (page.upper().is_empty(), page.upper()));
        let end = if planted!(RowsBeyondTheLeastKey) { ends.max() } else { ends.min() };
        let (_, upper) = end?;
        let (lower, upper) = (lower.into(), upper.into());
        let is_cut = pages.iter().any(|page| page.is_cut());
        Some(MergedRun { pages, lower, upper, is_cut })
    }

    /// The bound before the first key that it is good for.
    pub fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// The bound after the last key that it is good for; empty: the table's end.
    pub fn upper(&self) -> &[u8] {
        &self.upper
    }

    /// Whether it does not get to the end of the interval that was asked for.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What each replica has, in the order in which they were given.
    pub fn pages(&self) -> &[Arc<Page>] {
        &self.pages
    }

    /// Bytes of memory it takes, roughly.
    pub fn weight(&self) -> usize {
        self.pages.iter().map(|page| page.weight()).sum()
    }

    /// Whether it says what is at a key.
    pub fn covers(&self, key: &[u8]) -> bool {
        *self.lower <= *key && (self.upper.is_empty() || *key < *self.upper)
    }

    /// How far a walk through `lower..upper` gets that starts within the run: the whole of it, or up to the bound at which
    /// it is to go on elsewhere. `None` if the walk does not start within the run.
    pub fn reach(&self, lower: &[u8], upper: &[u8], direction: Direction) -> Option<Reach> {
        match direction {
            Direction::Forward => {
                let gets_there =
                    self.upper.is_empty() || (!upper.is_empty() && *upper <= *self.upper);
                self.covers(lower).then_some(match gets_there {
                    true => Reach::All,
                    false => Reach::UpTo(self.upper.clone()),
                })
            }
            Direction::Reverse => {
                let starts_here =
                    self.upper.is_empty() || (!upper.is_empty() && *upper <= *self.upper);
                let starts_here = starts_here && (upper.is_empty() || *upper > *self.lower);
                starts_here.then_some(match *lower >= *self.lower {
                    true => Reach::All,
                    false => Reach::UpTo(self.lower.clone()),
                })
            }
        }
    }

    /// The rows in `lower..upper` that exist at `now`. A walk that ends where the run does, and not where it was to end,
    /// says where to go on.
    ///
    /// # Errors
    /// When a row does not decode. Outside of the run nothing is known: `None`.
    pub fn rows(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
        now: Seconds,
    ) -> Result<Option<LiveRows>, StorageError> {
        let Some(reach) = self.reach(lower, upper, direction) else { return Ok(None) };
        let (mut lower, mut upper) = (lower, upper);
        let cut_at = match &reach {
            Reach::All => None,
            Reach::UpTo(bound) => {
                match direction {
                    Direction::Forward => upper = bound,
                    Direction::Reverse => lower = bound,
                }
                Some(bound.to_vec())
            }
        };
        let walk = self.walk(lower, upper, direction)?;
        Ok(Some(LiveRows::new(walk, direction, now).cut_at(cut_at)))
    }

    /// The row, or static row, of a full key if it exists; its key lies within the run.
    ///
    /// # Errors
    /// When the row does not decode.
    pub fn row(&self, key: &[u8], now: Seconds) -> Result<Option<PointRow>, StorageError> {
        let upper = [key, &[0]].concat();
        let mut walk = self.walk(key, &upper, Direction::Forward)?;
        match walk.advance()? {
            Some(Entry { content: Content::Row(row), .. }) if row.is_live(now)? => {
                Ok(Some(PointRow::owned(row.to_buf()?)))
            }
            _ => Ok(None),
        }
    }

    /// Everything in bounds that lie within the run.
    ///
    /// # Errors
    /// When a row does not decode.
    pub fn walk(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<MergeCursor, StorageError> {
        let sources = self.pages.iter().map(|page| Source::Page(Arc::clone(page))).collect();
        MergeCursor::open(sources, lower, upper, direction)
    }
}

/// How far a run leads a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To its end.
    All,
    /// To that bound.
    UpTo(Box<[u8]>),
}
