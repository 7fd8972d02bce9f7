//! Answering reads of other nodes: pages of what this one has.

use std::sync::Arc;

use super::TableStore;
use crate::StorageError;
use crate::model::entry::Direction;
use crate::model::read::{AnswerKind, KeyInterval, ReadCommand};
use crate::read::budget::PageBudget;
use crate::read::merge::MergeCursor;
use crate::read::page::{Answer, Page, digest};
use crate::read::page_maker::{PageMaker, PageRules};

impl TableStore {
    /// Answers a command. In a thread that must not wait only what is short.
    ///
    /// # Errors
    /// What a file's blocks meet; [`StorageError::WouldWait`] and [`StorageError::WouldTakeLong`] for another thread.
    pub fn answer(&self, command: &ReadCommand) -> Result<Answer, StorageError> {
        let pages = self.pages(command)?;
        Ok(match command.answer {
            AnswerKind::Data => Answer::Pages(pages.into_iter().map(Arc::new).collect()),
            AnswerKind::Digest => Answer::Digest(digest(&pages)),
        })
    }

    /// The pages that answer a command: one for each of its first intervals, as far as its limits allow, and what may be
    /// walked; the last one may be cut.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn pages(&self, command: &ReadCommand) -> Result<Vec<Page>, StorageError> {
        self.pages_within(command, PageBudget::DEFAULT)
    }

    /// As [`pages`](Self::pages), with a budget of one's own.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn pages_within(
        &self,
        command: &ReadCommand,
        budget: PageBudget,
    ) -> Result<Vec<Page>, StorageError> {
        let settings = self.settings();
        let rules = PageRules {
            now: command.now,
            gc_before: command.now.saturating_sub(settings.gc_grace_seconds),
            columns: settings.columns.clone(),
            floors: settings.floors.clone(),
        };
        let ReadCommand { intervals, direction, limits, .. } = command;
        let mut maker = PageMaker::new(rules, *limits, budget);
        maker.pages(intervals, *direction, |interval| self.walk(interval, *direction))
    }

    fn walk(
        &self,
        interval: &KeyInterval,
        direction: Direction,
    ) -> Result<MergeCursor, StorageError> {
        let KeyInterval { lower, upper, .. } = interval;
        let partition = Some(interval.partition()).filter(|_| interval.is_of_one_partition());
        MergeCursor::open(self.sources(lower, upper, partition)?, lower, upper, direction)
    }
}
