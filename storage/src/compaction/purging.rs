//! Writing a merged stream without what may be forgotten (spec section 4).

use std::sync::Arc;

use crate::StorageError;
use crate::model::entry::{Content, Entry, RowBuf, RowRef};
use crate::model::purge::Purge;
use crate::model::row::{RowBuilder, RowError, RowItem};
use crate::model::{CellState, ColumnId, Deletion, Seconds, Timestamp, WRITTEN_KEYS};
use crate::read::floors::{self, Floors};

/// What may be forgotten at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeSettings {
    /// The time of the compaction.
    pub now: Seconds,
    /// Deletions made before this are old enough: `now - gc_grace_seconds`.
    pub gc_before: Seconds,
}

/// Passes a canonical forward stream on, without what may be forgotten. What stays is canonical.
pub struct PurgingWriter<'a> {
    settings: PurgeSettings,
    /// The least timestamp of a partition in sources outside the compaction (4.2); asked only when it matters.
    max_purgeable: &'a mut dyn FnMut(&[u8]) -> Timestamp,
    /// The partition it was asked for last, and the answer.
    known: Option<(Vec<u8>, Timestamp)>,
    row: RowBuf,
    /// Whose cells stay; `None` for all.
    columns: Option<Arc<[ColumnId]>>,
    floors: Option<Arc<Floors>>,
}

impl<'a> PurgingWriter<'a> {
    /// `max_purgeable` says, for a partition, the least timestamp that any source outside the compaction may hold.
    pub fn new(
        settings: PurgeSettings,
        max_purgeable: &'a mut dyn FnMut(&[u8]) -> Timestamp,
    ) -> Self {
        PurgingWriter {
            settings,
            max_purgeable,
            known: None,
            row: RowBuf::default(),
            columns: None,
            floors: None,
        }
    }

    /// Drops cells of all columns but these (ascending), whatever their age: such columns were dropped, and their ids
    /// are never used again (4.8).
    #[must_use]
    pub fn within_columns(mut self, columns: Option<Arc<[ColumnId]>>) -> Self {
        self.columns = columns;
        self
    }

    /// Drops what was written to columns up to their floors: see [`floors`](crate::read::floors).
    #[must_use]
    pub fn above(mut self, floors: Option<Arc<Floors>>) -> Self {
        self.floors = floors;
        self
    }

    /// Passes on what is left of an entry, if anything.
    ///
    /// # Errors
    /// A row that does not decode; what `write` returns.
    pub fn add(
        &mut self,
        entry: Entry<'_>,
        write: &mut dyn FnMut(Entry<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let left = match (&self.floors, entry.content) {
            (Some(floors), Content::Row(row)) => floors::above(row, floors)?,
            _ => None,
        };
        match &left {
            Some(row) if row.is_empty() => Ok(()),
            Some(row) => self.purged(Entry { content: Content::Row(row.as_row()), ..entry }, write),
            None => self.purged(entry, write),
        }
    }

    fn purged(
        &mut self,
        entry: Entry<'_>,
        write: &mut dyn FnMut(Entry<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let partition = &entry.key[..entry.partition_len];
        let content = match entry.content {
            Content::Partition(deletion) => match self.deletion(partition, deletion) {
                Deletion::NONE => return Ok(()),
                deletion => Content::Partition(deletion),
            },
            Content::Marker { before, after } => {
                let before = self.deletion(partition, before);
                let after = self.deletion(partition, after);
                if before == after {
                    return Ok(());
                }
                Content::Marker { before, after }
            }
            Content::Row(row) if !self.concerns(row)? => entry.content,
            Content::Row(row) => {
                let purge = self.purge(partition);
                let mut left = RowBuilder::reusing(std::mem::take(&mut self.row));
                let columns = self.columns.as_deref();
                purge.row(row, columns, &mut left)?;
                let left = left.finish();
                let exists = !left.is_empty();
                self.row = left;
                if !exists {
                    return Ok(());
                }
                Content::Row(self.row.as_row())
            }
        };
        write(Entry { content, ..entry })
    }

    fn deletion(&mut self, partition: &[u8], deletion: Deletion) -> Deletion {
        if deletion.is_none() || deletion.deleted_at >= self.settings.gc_before {
            return deletion;
        }
        self.purge(partition).deletion(deletion)
    }

    fn purge(&mut self, partition: &[u8]) -> Purge {
        let max_purgeable = match &self.known {
            Some((known, timestamp)) if known == partition => *timestamp,
            _ => {
                let timestamp = (self.max_purgeable)(partition);
                self.known = Some((partition.to_vec(), timestamp));
                timestamp
            }
        };
        let PurgeSettings { now, gc_before } = self.settings;
        Purge { now, gc_before, max_purgeable }
    }

    /// Whether anything in the row is old enough, expired or pointless; most rows pass as they are.
    fn concerns(&self, row: RowRef<'_>) -> Result<bool, RowError> {
        let PurgeSettings { now, gc_before } = self.settings;
        let (header, items) = row.parts()?;
        if header.deletion.is_some_and(|deletion| deletion.deleted_at < gc_before)
            || header.liveness.is_some_and(|liveness| !liveness.is_live(now))
        {
            return Ok(true);
        }
        let mut is_bare = header.liveness.is_none();
        for item in items {
            let item = item?;
            if item.column() >= WRITTEN_KEYS && is_bare {
                return Ok(true);
            }
            let dropped =
                |columns: &Arc<[ColumnId]>| columns.binary_search(&item.column()).is_err();
            if item.column() < WRITTEN_KEYS && self.columns.as_ref().is_some_and(dropped) {
                return Ok(true);
            }
            let concerns = match item {
                RowItem::Deletion { deletion, .. } => deletion.deleted_at < gc_before,
                RowItem::Cell(cell) => match cell.state {
                    CellState::Live => false,
                    CellState::Expiring { expires_at, .. } => expires_at <= now,
                    CellState::Tombstone { deleted_at } => deleted_at < gc_before,
                },
            };
            if concerns {
                return Ok(true);
            }
            is_bare = false;
        }
        Ok(false)
    }
}
