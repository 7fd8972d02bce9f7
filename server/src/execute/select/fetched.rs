//! What replicas sent for one request, and what is still wanted of them.
//!
//! A SELECT runs on what came. Where that ends it stops as a page stops, says what it wants to go on, and begins again
//! there when it came: fetching and running take turns until the client's page is full or there is nothing more.
//!
//! ```text
//! SELECT * FROM t WHERE k IN (1, 2) LIMIT 100
//!   run: nothing is there          wants of 1 and of 2 100 rows each; stopped before 1
//!   fetch                          1 complete with 20 rows, 2 up to row 60, where bytes ran out
//!   run: 20 rows, 60 rows          wants of 2 20 rows behind row 60; stopped there
//!   fetch, run: 20 rows            the limit is reached
//! ```

use std::collections::BTreeMap;

use tholos_storage::model::Seconds;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::STATIC;
use tholos_storage::model::read::KeyInterval;
use tholos_storage::read::live::LiveRows;
use tholos_storage::read::run::MergedRun;

use crate::execute::Found;
use crate::halt::Halt;

/// Runs are let go of when they take more than this, and each partition's more than one; what is still needed of them is
/// fetched again.
const MOST_BYTES: usize = 4 << 20;

/// How many runs that begin before a key are asked for it: they may overlap.
const RUNS_ASKED: usize = 4;

/// What replicas sent so far, as far as it is still of use.
#[derive(Debug)]
pub struct Fetched {
    /// Bytes that each replica is to send for one round, all commands together.
    pub(super) round_bytes: u32,
    /// By the bound where they begin.
    runs: BTreeMap<Box<[u8]>, MergedRun>,
    bytes: usize,
}

/// Intervals of one partition, or of ranges of tokens, that are to be fetched together.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) intervals: Vec<KeyInterval>,
    /// Rows that are enough, if that is known.
    pub(super) rows: Option<u32>,
}

impl Fetched {
    /// Nothing yet; each replica is to send so many bytes for one round, all commands together.
    pub fn new(round_bytes: u32) -> Self {
        Fetched { round_bytes, runs: BTreeMap::new(), bytes: 0 }
    }

    /// Whether nothing was fetched.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes of memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what came. What there is of the static row of the partition that goes on is kept in any case.
    pub(super) fn take(&mut self, runs: impl IntoIterator<Item = MergedRun>, partition: &[u8]) {
        if self.bytes > MOST_BYTES {
            let kept = [partition, &[STATIC]].concat();
            self.runs.retain(|lower, _| **lower == *kept);
            self.bytes = self.runs.values().map(MergedRun::weight).sum();
        }
        for run in runs {
            self.bytes += run.weight();
            self.runs.insert(run.lower().into(), run);
        }
    }

    /// The rows of `lower..upper`, as far as they are known; `None` if not even the first of them may be.
    pub(super) fn rows(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
        now: Seconds,
    ) -> Result<Option<LiveRows>, Halt> {
        let all = || self.runs.iter().rev();
        let before = |bound: &[u8]| {
            let end = (std::ops::Bound::Unbounded, std::ops::Bound::Included(bound));
            self.runs.range::<[u8], _>(end).rev()
        };
        let found = match direction {
            Direction::Reverse if upper.is_empty() => {
                all().take(RUNS_ASKED).find(|(_, run)| run.reach(lower, upper, direction).is_some())
            }
            _ => {
                let start = if direction == Direction::Forward { lower } else { upper };
                let mut asked = before(start).take(RUNS_ASKED);
                asked.find(|(_, run)| run.reach(lower, upper, direction).is_some())
            }
        };
        match found {
            Some((_, run)) => Ok(run.rows(lower, upper, direction, now)?),
            None => Ok(None),
        }
    }

    /// The row, or static row, of a full key.
    pub(super) fn row(&self, key: &[u8], now: Seconds) -> Result<Found, Halt> {
        let before = (std::ops::Bound::Unbounded, std::ops::Bound::Included(key));
        let mut asked = self.runs.range::<[u8], _>(before).rev().take(RUNS_ASKED);
        match asked.find(|(_, run)| run.covers(key)) {
            Some((_, run)) => Ok(run.row(key, now)?.into()),
            None => Ok(Found::Unknown),
        }
    }
}
