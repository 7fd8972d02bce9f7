//! Where rows come from: memtables, SSTables and pages of other replicas alike.

use std::sync::Arc;

use crate::StorageError;
use crate::memtable::{Memtable, MemtableCursor};
use crate::model::Deletion;
use crate::model::entry::{Content, Cursor, Direction, Entry};
use crate::model::position;
use crate::read::page::Page;
use crate::sstable::{BlockRunCursor, SsTable, SsTableCursor};

/// A sorted run.
#[derive(Clone, Debug)]
pub enum Source {
    /// In memory.
    Memtable(Arc<Memtable>),
    /// On disk.
    Table(Arc<SsTable>),
    /// What a replica sent: walked only between its bounds.
    Page(Arc<Page>),
}

impl Source {
    /// A walk through `lower..upper`; an empty `upper` is the end.
    pub fn cursor(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<SourceCursor, StorageError> {
        match self {
            Source::Memtable(memtable) => {
                Ok(SourceCursor::Memtable(Box::new(memtable.cursor(lower, upper, direction))))
            }
            Source::Table(table) => {
                let upper = Some(upper).filter(|upper| !upper.is_empty());
                Ok(SourceCursor::Table(Box::new(table.cursor(lower, upper, direction)?)))
            }
            Source::Page(page) => {
                Ok(SourceCursor::Page(Box::new(page.run().cursor(lower, upper, direction)?)))
            }
        }
    }

    /// Whether it may hold the deletion of any partition.
    pub(super) fn may_have_partition_deletions(&self) -> Result<bool, StorageError> {
        match self {
            Source::Memtable(_) | Source::Page(_) => Ok(true),
            Source::Table(table) => table.has_partition_deletions(),
        }
    }

    /// The deletion of a partition, here.
    pub(super) fn partition_deletion(&self, partition: &[u8]) -> Result<Deletion, StorageError> {
        match self {
            Source::Memtable(memtable) => return Ok(memtable.partition_deletion(partition)),
            Source::Page(page) => {
                let start = page.run().start();
                if *start.partition == *partition && !start.partition_deletion.is_none() {
                    return Ok(start.partition_deletion);
                }
            }
            Source::Table(table) => {
                if !table.may_contain(partition)? {
                    return Ok(Deletion::NONE);
                }
            }
        }
        let header = [partition, &[position::HEADER]].concat();
        let after = [partition, &[position::HEADER + 1]].concat();
        let mut cursor = self.cursor(&header, &after, Direction::Forward)?;
        match cursor.advance()? {
            Some(Entry { content: Content::Partition(deletion), .. }) => Ok(deletion),
            _ => Ok(Deletion::NONE),
        }
    }
}

/// A walk through a [`Source`].
#[derive(Debug)]
#[allow(missing_docs)]
pub enum SourceCursor {
    Memtable(Box<MemtableCursor>),
    Table(Box<SsTableCursor>),
    Page(Box<BlockRunCursor>),
}

impl SourceCursor {
    /// How far a forward walk is in its file; 0 in memory.
    pub(super) fn bytes_read(&self) -> u64 {
        match self {
            SourceCursor::Memtable(_) | SourceCursor::Page(_) => 0,
            SourceCursor::Table(cursor) => cursor.bytes_read(),
        }
    }
}

impl Cursor for SourceCursor {
    fn move_on(&mut self) -> Result<(), StorageError> {
        match self {
            SourceCursor::Memtable(cursor) => cursor.move_on(),
            SourceCursor::Table(cursor) => cursor.move_on(),
            SourceCursor::Page(cursor) => cursor.move_on(),
        }
    }

    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        match self {
            SourceCursor::Memtable(cursor) => cursor.current(),
            SourceCursor::Table(cursor) => cursor.current(),
            SourceCursor::Page(cursor) => cursor.current(),
        }
    }

    fn open_deletion(&self) -> Deletion {
        match self {
            SourceCursor::Memtable(cursor) => cursor.open_deletion(),
            SourceCursor::Table(cursor) => cursor.open_deletion(),
            SourceCursor::Page(cursor) => cursor.open_deletion(),
        }
    }

    fn partition_deletion(&self) -> Deletion {
        match self {
            SourceCursor::Memtable(cursor) => cursor.partition_deletion(),
            SourceCursor::Table(cursor) => cursor.partition_deletion(),
            SourceCursor::Page(cursor) => cursor.partition_deletion(),
        }
    }
}
