//! A walk through a part of an SSTable, both ways.
//!
//! A partition A in two blocks; its index says of each where it begins and what is deleted there:
//!
//! ```text
//! index                          block
//! A/1   nothing                  A/1 a row,  A/3 from here on deleted at 7
//! A/5   a range, deleted at 7    A/5 a row,  A/8 up to here,  A/9 a row
//! ```
//!
//! A walk forward from A/6 finds the block that A/6 would be in, the second. What the index says, and the changes in the
//! block before A/6 (there are none), tell what is in force: deleted at 7. Then it goes to A/5, the entry before, and the
//! first step leads to A/8. In reverse it goes to A/8, the entry behind, and steps lead to A/5, then through the block
//! before to A/3 and A/1. Neither reads a block only to learn what is deleted.

use std::sync::Arc;

use super::block::Kind;
use super::block_cursor::{BlockCursor, BlockEntry};
use super::content::decode_deletions;
use super::format::Malformed;
use super::index::IndexEntry;
use super::index_cursor::IndexCursor;
use super::state_at::StateAt;
use super::table::{Opened, SsTable};
use crate::StorageError;
use crate::model::Deletion;
use crate::model::entry::{Content, Cursor, Direction, Entry, RowRef};

/// A walk through a part of an SSTable.
#[derive(Debug)]
pub struct SsTableCursor {
    table: Arc<SsTable>,
    opened: Arc<Opened>,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    direction: Direction,
    blocks: IndexCursor,
    data: BlockCursor,
    /// Of the block that `data` is in.
    data_offset: u64,
    place: Place,
    /// Whether `data` is at an entry, and it and all decoded ones after it are within the bounds.
    within_bounds: bool,
    open_deletion: Deletion,
    partition_deletion: Deletion,
    covered: Option<(Deletion, Vec<u8>)>,
    blocks_skipped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `blocks` is at the first block to read, which is not loaded; `data` is nowhere.
    BeforeBlock,
    /// `data` is in its block, one step before the first entry.
    BeforeEntry,
    AtEntry,
    Ended,
}

impl SsTable {
    /// A walk through `lower..upper` (`None`: to the end of the file). Deletions in force at the start are those of the
    /// partition that the starting bound lies in: in reverse that is `upper`, so give a bound inside the partition
    /// (its prefix followed by 0xFF is after everything in it).
    pub fn cursor(
        self: &Arc<Self>,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<SsTableCursor, StorageError> {
        SsTableCursor::open(self.clone(), self.opened()?.clone(), lower, upper, direction)
    }
}

impl SsTableCursor {
    fn open(
        table: Arc<SsTable>,
        opened: Arc<Opened>,
        lower: &[u8],
        upper: Option<&[u8]>,
        direction: Direction,
    ) -> Result<SsTableCursor, StorageError> {
        let blocks = IndexCursor::new(&opened);
        let data = BlockCursor::new(opened.top_index.clone());
        let mut cursor = SsTableCursor {
            table,
            opened,
            lower: lower.to_vec(),
            upper: upper.map(<[u8]>::to_vec),
            direction,
            blocks,
            data,
            data_offset: 0,
            place: Place::BeforeBlock,
            within_bounds: false,
            open_deletion: Deletion::NONE,
            partition_deletion: Deletion::NONE,
            covered: None,
            blocks_skipped: 0,
        };
        cursor.start()?;
        Ok(cursor)
    }

    /// Says that everything up to `until` (exclusive, in walking direction) is covered by a deletion of another source:
    /// blocks in that range with nothing newer and without deletions of their own are skipped unread.
    pub fn skip_covered(&mut self, deletion: Deletion, until: &[u8]) {
        self.covered = Some((deletion, until.to_vec()));
    }

    /// How many blocks were skipped because a deletion covers them.
    pub fn blocks_skipped(&self) -> u64 {
        self.blocks_skipped
    }

    /// How far a forward walk is in the file.
    pub fn bytes_read(&self) -> u64 {
        if self.place == Place::Ended { self.opened.footer.file_len } else { self.data_offset }
    }

    /// Goes to where the walk starts and finds which deletions are in force there.
    fn start(&mut self) -> Result<(), StorageError> {
        let SsTableCursor { table, opened, .. } = self;
        let bound = match self.direction {
            Direction::Forward => &self.lower,
            Direction::Reverse => match &self.upper {
                Some(upper) => upper,
                None => return self.blocks.last(table, opened),
            },
        };
        self.blocks.seek(table, opened, bound)?;
        let Some((separator, entry)) = self.blocks.entry(table, opened)? else { return Ok(()) };
        let mut state = StateAt::block_start(separator, &entry.start, bound);
        let block = table.block(opened, entry.pointer)?;
        self.data.replace(block);
        self.data_offset = entry.pointer.offset;
        let malformed = |what| table.malformed(entry.pointer.offset, what);
        if entry.has_changes {
            state.find(&mut self.data, bound, opened.footer.base).map_err(malformed)?;
        }
        if self.direction == Direction::Reverse && state.header_is_at_or_after(bound, &self.lower) {
            state.partition = Deletion::NONE;
        }
        (self.open_deletion, self.partition_deletion) = (state.range, state.partition);
        match self.direction {
            // One before the wanted entry: `advance` makes the step.
            Direction::Forward => self.data.seek_before(bound).map_err(malformed)?,
            Direction::Reverse => self.data.seek_at_or_after(bound).map_err(malformed)?,
        }
        self.place = Place::BeforeEntry;
        Ok(())
    }

    /// Goes to the next entry in walking direction, whatever the bounds.
    fn step(&mut self) -> Result<(), StorageError> {
        loop {
            match (self.place, self.direction) {
                (Place::Ended, _) => return Ok(()),
                (Place::BeforeBlock, _) => {
                    if !self.load_block()? {
                        self.place = Place::Ended;
                        return Ok(());
                    }
                    // `load_block` left `data` at the block's first entry in walking direction.
                }
                (_, Direction::Forward) => self.step_data(BlockCursor::next)?,
                (Place::BeforeEntry, Direction::Reverse) if self.data.entry().is_none() => {
                    // All of the block is before the upper bound.
                    self.step_data(BlockCursor::last)?;
                }
                (_, Direction::Reverse) => self.step_data(BlockCursor::prev)?,
            }
            if self.data.entry().is_some() {
                self.place = Place::AtEntry;
                return Ok(());
            }
            match self.direction {
                Direction::Forward => self.blocks.next(&self.table, &self.opened)?,
                Direction::Reverse if self.begins_at_or_before_lower() => {
                    self.place = Place::Ended;
                    return Ok(());
                }
                Direction::Reverse => self.blocks.prev(&self.table, &self.opened)?,
            }
            self.place = Place::BeforeBlock;
        }
    }

    /// Whether everything before the block that `blocks` is at is below the lower bound.
    fn begins_at_or_before_lower(&self) -> bool {
        self.blocks.separator().is_some_and(|separator| separator <= self.lower.as_slice())
    }

    /// Whether everything from the block that `blocks` is at on is at or above the upper bound: then it need not be
    /// read, and does no harm if it can't be.
    fn begins_at_or_after_upper(&self) -> bool {
        let (Some(upper), Some(separator)) = (&self.upper, self.blocks.separator()) else {
            return false;
        };
        separator >= upper.as_slice()
    }

    fn step_data(
        &mut self,
        step: fn(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<(), StorageError> {
        step(&mut self.data).map_err(|what| self.table.malformed(self.data_offset, what))
    }

    /// Loads the block that `blocks` is at, or the next one that is not wholly deleted. False if there is none.
    fn load_block(&mut self) -> Result<bool, StorageError> {
        if self.direction == Direction::Forward && self.begins_at_or_after_upper() {
            return Ok(false);
        }
        let SsTableCursor { table, opened, .. } = self;
        let mut candidate = self.blocks.entry(table, opened)?.map(|(_, entry)| entry);
        while let Some(entry) = candidate {
            if !self.may_skip(&entry)? {
                break;
            }
            self.blocks_skipped += 1;
            match self.direction {
                Direction::Forward => self.blocks.next(&self.table, &self.opened)?,
                Direction::Reverse => self.blocks.prev(&self.table, &self.opened)?,
            }
            candidate = self.blocks.entry(&self.table, &self.opened)?.map(|(_, entry)| entry);
        }
        let Some(entry) = candidate else { return Ok(false) };
        self.data.replace(self.table.block(&self.opened, entry.pointer)?);
        self.data_offset = entry.pointer.offset;
        match self.direction {
            Direction::Forward => self.step_data(BlockCursor::next)?,
            Direction::Reverse => self.step_data(BlockCursor::last)?,
        }
        Ok(true)
    }

    /// Whether nothing in the block that `blocks` is at can be seen: a deletion covers it, and it has none itself.
    fn may_skip(&mut self, entry: &IndexEntry) -> Result<bool, StorageError> {
        if entry.has_changes {
            return Ok(false);
        }
        let own = entry.start.partition.max(entry.start.range);
        // A row's own deletion of just that timestamp may still supersede it, by when it was made (spec 1.2).
        let hides = |deletion: Deletion| entry.max_timestamp < deletion.timestamp;
        if entry.one_partition && hides(own) {
            return Ok(true);
        }
        let covered = self.covered.as_ref().filter(|(deletion, _)| hides(*deletion));
        let Some((_, until)) = covered else { return Ok(false) };
        let SsTableCursor { table, opened, .. } = self;
        if self.direction == Direction::Reverse {
            return Ok(self
                .blocks
                .separator()
                .is_some_and(|separator| separator > until.as_slice()));
        }
        // The block ends where the next one begins: look there and come back.
        self.blocks.next(table, opened)?;
        let next = self.blocks.separator();
        let ends_before = next.is_some_and(|separator| separator <= until.as_slice());
        if next.is_some() {
            self.blocks.prev(table, opened)?;
        } else {
            self.blocks.last(table, opened)?;
        }
        Ok(ends_before)
    }

    fn is_within_bounds(&self, key: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => self.upper.as_ref().is_none_or(|upper| key < upper.as_slice()),
            Direction::Reverse => key >= self.lower.as_slice(),
        }
    }

    fn step_within_bounds(&mut self) -> Result<(), StorageError> {
        self.within_bounds = false;
        self.step()?;
        let Some(entry) = self.data.entry().filter(|_| self.place == Place::AtEntry) else {
            return Ok(());
        };
        self.check_content()?;
        let furthest = self.data.furthest_decoded(self.direction);
        if furthest.is_some_and(|key| self.is_within_bounds(key)) {
            self.within_bounds = true;
        } else if !self.is_within_bounds(entry.key) {
            self.place = Place::Ended;
        }
        Ok(())
    }

    /// Rows are checked where they are taken apart.
    #[inline]
    fn check_content(&self) -> Result<(), StorageError> {
        if self.data.kind().is_none_or(Kind::has_row_head) {
            Ok(())
        } else {
            self.check_deletions()
        }
    }

    fn check_deletions(&self) -> Result<(), StorageError> {
        let Some(entry) = self.data.entry() else { return Ok(()) };
        let decoded = decode_deletions(entry.kind, entry.payload, self.opened.footer.base);
        decoded.map(drop).map_err(|what| self.table.malformed(self.data_offset, what))
    }

    fn end(&mut self) {
        (self.place, self.within_bounds) = (Place::Ended, false);
    }
}

impl Cursor for SsTableCursor {
    #[inline]
    fn move_on(&mut self) -> Result<(), StorageError> {
        // Most steps are to an entry that is decoded already, and needs no comparison.
        let moved = match self.within_bounds && self.data.step_decoded(self.direction) {
            true => self.check_content(),
            false => self.step_within_bounds(),
        };
        moved.inspect_err(|_| self.end())
    }

    // Inlined all the way up: an entry is several words, and handing it on costs more than finding it.
    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        if self.place != Place::AtEntry {
            return None;
        }
        let BlockEntry { kind, key, partition_len, row_head, payload } = self.data.entry()?;
        let base = self.opened.footer.base;
        if kind.has_row_head() {
            let content = Content::Row(RowRef { head: row_head, body: payload, base });
            return Some(Entry { key, partition_len, content });
        }
        let content = decode_deletions(kind, payload, base).ok()?;
        Some(Entry { key, partition_len, content })
    }

    fn open_deletion(&self) -> Deletion {
        self.open_deletion
    }

    fn partition_deletion(&self) -> Deletion {
        self.partition_deletion
    }
}
