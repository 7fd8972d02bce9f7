//! A walk through a part of an SSTable, both ways.

use std::sync::Arc;

use super::block::Kind;
use super::block_cursor::{BlockCursor, BlockEntry};
use super::format::{Malformed, decode_deletion};
use super::index::{IndexEntry, StartState};
use super::index_cursor::IndexCursor;
use super::table::{Opened, SsTable};
use crate::StorageError;
use crate::model::entry::{Content, Cursor, Direction, Entry, RowRef};
use crate::model::{Deletion, Timestamp, position};

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

impl SsTableCursor {
    pub(super) fn open(
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
                Direction::Reverse if self.begins_at_or_before_lower()? => {
                    self.place = Place::Ended;
                    return Ok(());
                }
                Direction::Reverse => self.blocks.prev(&self.table, &self.opened)?,
            }
            self.place = Place::BeforeBlock;
        }
    }

    /// Whether everything before the block that `blocks` is at is below the lower bound.
    fn begins_at_or_before_lower(&self) -> Result<bool, StorageError> {
        let found = self.blocks.entry(&self.table, &self.opened)?;
        Ok(found.is_some_and(|(separator, _)| separator <= self.lower.as_slice()))
    }

    /// Whether everything from the block that `blocks` is at on is at or above the upper bound: then it need not be
    /// read, and does no harm if it can't be.
    fn begins_at_or_after_upper(&self) -> Result<bool, StorageError> {
        let Some(upper) = &self.upper else { return Ok(false) };
        let found = self.blocks.entry(&self.table, &self.opened)?;
        Ok(found.is_some_and(|(separator, _)| separator >= upper.as_slice()))
    }

    fn step_data(
        &mut self,
        step: fn(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<(), StorageError> {
        step(&mut self.data).map_err(|what| self.table.malformed(self.data_offset, what))
    }

    /// Loads the block that `blocks` is at, or the next one that is not wholly deleted. False if there is none.
    fn load_block(&mut self) -> Result<bool, StorageError> {
        if self.direction == Direction::Forward && self.begins_at_or_after_upper()? {
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
            let found = self.blocks.entry(table, opened)?;
            return Ok(found.is_some_and(|(separator, _)| separator > until.as_slice()));
        }
        // The block ends where the next one begins: look there and come back.
        self.blocks.next(table, opened)?;
        let next = self.blocks.entry(table, opened)?;
        let ends_before = next.is_some_and(|(separator, _)| separator <= until.as_slice());
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
        self.step()?;
        if let Some(entry) = self.data.entry().filter(|_| self.place == Place::AtEntry) {
            decode_content(&entry, self.opened.footer.base)
                .map_err(|what| self.table.malformed(self.data_offset, what))?;
            if !self.is_within_bounds(entry.key) {
                self.place = Place::Ended;
            }
        }
        Ok(())
    }
}

impl Cursor for SsTableCursor {
    fn move_on(&mut self) -> Result<(), StorageError> {
        self.step_within_bounds().inspect_err(|_| self.place = Place::Ended)
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        let entry = self.data.entry().filter(|_| self.place == Place::AtEntry)?;
        let content = decode_content(&entry, self.opened.footer.base).ok()?;
        Some(Entry { key: entry.key, partition_len: entry.partition_len, content })
    }

    fn open_deletion(&self) -> Deletion {
        self.open_deletion
    }

    fn partition_deletion(&self) -> Deletion {
        self.partition_deletion
    }
}

#[inline]
pub(super) fn decode_content<'a>(
    entry: &BlockEntry<'a>,
    base: Timestamp,
) -> Result<Content<'a>, Malformed> {
    match entry.kind {
        Kind::Row | Kind::StaticRow => {
            Ok(Content::Row(RowRef { head: entry.row_head, body: entry.payload, base }))
        }
        _ => decode_deletions(entry, base),
    }
}

fn decode_deletions<'a>(entry: &BlockEntry<'a>, base: Timestamp) -> Result<Content<'a>, Malformed> {
    let mut input = entry.payload;
    let mut deletion =
        || decode_deletion(&mut input, base).ok_or(Malformed("a deletion is malformed"));
    let (before, after) = match entry.kind {
        Kind::Row | Kind::StaticRow => return Err(Malformed("a row is no deletion")),
        Kind::Header => return Ok(Content::Partition(deletion()?)),
        Kind::Open => (Deletion::NONE, deletion()?),
        Kind::Close => (deletion()?, Deletion::NONE),
        Kind::Boundary => (deletion()?, deletion()?),
        Kind::Whole => return Err(Malformed("a data block holds an index entry")),
    };
    Ok(Content::Marker { before, after })
}

/// Which deletions are in force just before a bound, and how long the prefix of their partition is.
struct StateAt {
    partition_len: usize,
    partition: Deletion,
    range: Deletion,
}

impl StateAt {
    /// What the index says, if the bound is in the partition that it says it of.
    fn block_start(separator: &[u8], start: &StartState, bound: &[u8]) -> StateAt {
        let StartState { partition_len, partition, range } = *start;
        if partition_len > 0
            && separator.get(..partition_len).is_some_and(|prefix| bound.starts_with(prefix))
        {
            StateAt { partition_len, partition, range }
        } else {
            StateAt { partition_len: 0, partition: Deletion::NONE, range: Deletion::NONE }
        }
    }

    /// Takes the changes in the block before the bound into account: the last marker and the last header, if they are
    /// of the bound's partition.
    fn find(
        &mut self,
        data: &mut BlockCursor,
        bound: &[u8],
        base: Timestamp,
    ) -> Result<(), Malformed> {
        let Some(offset) = data.offset_before(bound)? else { return Ok(()) };
        data.seek_change(offset, false)?;
        let Some(change) = data.entry().filter(|entry| is_in_partition_of(entry, bound)) else {
            return Ok(());
        };
        self.partition_len = change.partition_len;
        match decode_content(&change, base)? {
            Content::Partition(deletion) => {
                self.partition = deletion;
                self.range = Deletion::NONE;
                return Ok(());
            }
            Content::Marker { after, .. } => self.range = after,
            Content::Row(_) => return Err(Malformed("a block's list of changes points to a row")),
        }
        data.seek_change(offset, true)?;
        if let Some(header) = data.entry().filter(|entry| is_in_partition_of(entry, bound))
            && let Content::Partition(deletion) = decode_content(&header, base)?
        {
            self.partition = deletion;
        }
        Ok(())
    }

    /// Whether the partition's header is at or after `lower`.
    fn header_is_at_or_after(&self, bound: &[u8], lower: &[u8]) -> bool {
        let prefix = bound.get(..self.partition_len).unwrap_or_default();
        match lower.strip_prefix(prefix) {
            Some(rest) => [position::HEADER].as_slice() >= rest,
            None => prefix > lower,
        }
    }
}

fn is_in_partition_of(entry: &BlockEntry<'_>, bound: &[u8]) -> bool {
    entry.key.get(..entry.partition_len).is_some_and(|prefix| bound.starts_with(prefix))
}
