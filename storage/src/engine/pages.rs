//! Answering reads of other nodes: pages of what this one has.

use std::sync::Arc;

use super::TableStore;
use crate::StorageError;
use crate::model::entry::Direction;
use crate::model::read::{AnswerKind, KeyInterval, ReadCommand};
use crate::read::merge::MergeCursor;
use crate::read::page::{Answer, Page, digest};
use crate::read::page_maker::{PageMaker, PageRules};

impl TableStore {
    /// Answers a command.
    ///
    /// # Errors
    /// What a file's blocks meet.
    pub fn answer(&self, command: &ReadCommand) -> Result<Answer, StorageError> {
        let pages = self.pages(command)?;
        Ok(match command.answer {
            AnswerKind::Data => Answer::Pages(pages.into_iter().map(Arc::new).collect()),
            AnswerKind::Digest => Answer::Digest(digest(&pages)),
        })
    }

    /// The pages that answer a command: one for each of its first intervals, as far as its limits allow; the last one may
    /// be cut.
    ///
    /// # Errors
    /// What a file's blocks meet.
    pub fn pages(&self, command: &ReadCommand) -> Result<Vec<Page>, StorageError> {
        let settings = self.settings();
        let rules = PageRules {
            now: command.now,
            gc_before: command.now.saturating_sub(settings.gc_grace_seconds),
            columns: settings.columns.clone(),
            floors: settings.floors.clone(),
        };
        let mut maker = PageMaker::new(rules, command.limits);
        let mut pages = Vec::new();
        for interval in &command.intervals {
            if maker.is_spent() {
                break;
            }
            let walk = self.walk(interval, command.direction)?;
            let page = maker.page(walk, interval, command.direction)?;
            let is_cut = page.is_cut();
            pages.push(page);
            if is_cut {
                break;
            }
        }
        Ok(pages)
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
