//! A sorted run in memory that is one block: what pages are made of.
//!
//! The bytes are a data block's as files have them, with timestamps relative to 0 and no short forms of keys: so equal
//! entries are equal bytes. What is in force where the run begins is not among them, but said beside it.

use std::sync::Arc;

use super::block::{Block, BlockBuilder, Kind, NewEntry};
use super::block_cursor::{BlockCursor, BlockEntry};
use super::content::{decode_content, encode_marker};
use super::format::encode_deletion;
use super::index::StartState;
use super::short_key::KeyTypes;
use super::state_at::StateAt;
use crate::StorageError;
use crate::model::entry::{Content, Cursor, Direction, Entry};
use crate::model::position;
use crate::model::row::RowError;
use crate::model::{Deletion, Timestamp};

/// What timestamps are relative to.
const BASE: Timestamp = 0;

/// Builds a run's block from entries in order.
#[derive(Debug)]
pub struct BlockRunBuilder {
    block: BlockBuilder,
    payload: Vec<u8>,
}

impl BlockRunBuilder {
    /// Of no entries.
    pub fn new() -> Self {
        BlockRunBuilder { block: BlockBuilder::new(KeyTypes::NONE), payload: Vec::new() }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.block.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// When its row does not decode.
    pub fn add(&mut self, entry: Entry<'_>) -> Result<(), RowError> {
        let Entry { key, partition_len, content } = entry;
        self.payload.clear();
        let mut row_head: &[u8] = &[];
        let kind = match content {
            Content::Row(row) => {
                row.copy_body(BASE, &mut self.payload)?;
                row_head = row.head;
                if key.last() == Some(&position::STATIC) { Kind::StaticRow } else { Kind::Row }
            }
            Content::Partition(deletion) => {
                encode_deletion(&mut self.payload, deletion, BASE);
                Kind::Header
            }
            Content::Marker { before, after } => {
                encode_marker(&mut self.payload, before, after, BASE)
            }
        };
        self.block.add(NewEntry { kind, key, partition_len, row_head, payload: &self.payload });
        Ok(())
    }

    /// The block's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.block.finish(&mut bytes);
        bytes
    }
}

impl Default for BlockRunBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// What is in force where a run begins, if it begins inside a partition whose header lies before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// The partition's prefix; empty if the run begins between partitions.
    pub partition: Box<[u8]>,
    /// The partition's deletion.
    pub partition_deletion: Deletion,
    /// The range deletion.
    pub range_deletion: Deletion,
}

impl RunStart {
    /// Between partitions.
    pub fn between() -> Self {
        RunStart {
            partition: Box::default(),
            partition_deletion: Deletion::NONE,
            range_deletion: Deletion::NONE,
        }
    }
}

/// A sorted run in memory. Its entries were all looked at, so walking it meets no malformed ones.
#[derive(Clone, Debug)]
pub struct BlockRun {
    block: Arc<Block>,
    start: RunStart,
}

impl BlockRun {
    /// A run of a block's bytes, from anywhere, whose keys must lie in `lower..upper` (an empty `upper` is the end).
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(
        bytes: Vec<u8>,
        start: RunStart,
        lower: &[u8],
        upper: &[u8],
    ) -> Result<BlockRun, &'static str> {
        let block = Arc::new(Block::parse(bytes).map_err(|what| what.0)?);
        if block.types().len() > 0 {
            return Err("a run's keys are in short form");
        }
        let mut check = Check::new(&start, lower);
        let mut cursor = BlockCursor::new(Arc::clone(&block));
        loop {
            cursor.next().map_err(|what| what.0)?;
            let Some(entry) = cursor.entry() else { break };
            if !upper.is_empty() && entry.key >= upper {
                return Err("a run has keys behind its end");
            }
            if entry.kind.is_change() {
                let listed = check.changes < block.changes()
                    && Some(block.change(check.changes)) == cursor.offset();
                if !listed {
                    return Err("a run does not list a change that it has");
                }
                check.changes += 1;
            }
            check.entry(&entry)?;
        }
        if check.changes != block.changes() {
            return Err("a run lists changes that it does not have");
        }
        check.end(upper)?;
        Ok(BlockRun { block, start })
    }

    /// A run of a builder's bytes.
    ///
    /// # Errors
    /// None: a builder's bytes are a block.
    pub fn built(bytes: Vec<u8>, start: RunStart) -> Result<BlockRun, StorageError> {
        let block = Block::parse(bytes).map_err(|what| StorageError::Malformed(what.0))?;
        Ok(BlockRun { block: Arc::new(block), start })
    }

    /// The block's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    /// What is in force where it begins.
    pub fn start(&self) -> &RunStart {
        &self.start
    }

    /// A walk through `lower..upper`; an empty `upper` is the end.
    ///
    /// # Errors
    /// None: what is there was looked at.
    pub fn cursor(
        &self,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<BlockRunCursor, StorageError> {
        BlockRunCursor::open(self, lower, upper, direction)
    }
}

const UNCLOSED: &str = "a range deletion is not closed at the end of its partition";

/// What must hold from entry to entry.
struct Check {
    last_key: Vec<u8>,
    last_partition_len: usize,
    range: Deletion,
    lower: Option<Vec<u8>>,
    changes: usize,
}

impl Check {
    fn new(start: &RunStart, lower: &[u8]) -> Self {
        Check {
            last_key: start.partition.to_vec(),
            last_partition_len: start.partition.len(),
            range: start.range_deletion,
            lower: Some(lower.to_vec()),
            changes: 0,
        }
    }

    fn entry(&mut self, entry: &BlockEntry<'_>) -> Result<(), &'static str> {
        let BlockEntry { kind, key, partition_len, .. } = *entry;
        let (partition, position) =
            key.split_at_checked(partition_len).ok_or("a key has no position")?;
        if partition_len < 8 || position.is_empty() {
            return Err("a key has no token or no position");
        }
        if self.lower.take().is_some_and(|lower| key < lower.as_slice())
            || key <= self.last_key.as_slice()
        {
            return Err("keys do not ascend");
        }
        let last = &self.last_key[..self.last_partition_len];
        if last != partition {
            if !last.is_empty() && (key.starts_with(last) || last.starts_with(partition)) {
                return Err("a partition's key begins with that of another");
            }
            if !self.range.is_none() {
                return Err(UNCLOSED);
            }
        }
        let is_alone = matches!(kind, Kind::Header | Kind::StaticRow);
        if is_alone && position.len() != 1 {
            return Err("a partition's entry has a position of its own");
        }
        match decode_content(entry, BASE).map_err(|what| what.0)? {
            Content::Row(row) => drop(row.validate().map_err(|error| error.0)?),
            Content::Partition(deletion) if deletion.is_none() => {
                return Err("a partition deletion deletes nothing");
            }
            Content::Partition(_) => {}
            Content::Marker { before, after } => {
                let is_bound =
                    matches!(position.last(), Some(&(position::BEFORE | position::AFTER)));
                if before != self.range || before == after || !is_bound {
                    return Err("a range marker does not follow the one before it");
                }
                self.range = after;
            }
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.last_partition_len = partition_len;
        Ok(())
    }

    /// Only where the run ends inside its last partition, a range deletion may be in force.
    fn end(&self, upper: &[u8]) -> Result<(), &'static str> {
        let ends_inside = upper.starts_with(&self.last_key[..self.last_partition_len]);
        if self.range.is_none() || ends_inside { Ok(()) } else { Err(UNCLOSED) }
    }
}

/// A walk through a part of a [`BlockRun`].
#[derive(Debug)]
pub struct BlockRunCursor {
    data: BlockCursor,
    lower: Box<[u8]>,
    upper: Box<[u8]>,
    direction: Direction,
    place: Place,
    open_deletion: Deletion,
    partition_deletion: Deletion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first entry, which `data` is at.
    Before,
    At,
    Ended,
}

impl BlockRunCursor {
    fn open(
        run: &BlockRun,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<Self, StorageError> {
        let mut data = BlockCursor::new(Arc::clone(&run.block));
        let bound = if direction == Direction::Forward { lower } else { upper };
        let RunStart { partition, partition_deletion, range_deletion } = &run.start;
        let start = StartState {
            partition_len: partition.len(),
            partition: *partition_deletion,
            range: *range_deletion,
        };
        let mut state = StateAt::block_start(partition, &start, bound);
        let malformed = |_| StorageError::Malformed("a run that was looked at");
        state.find(&mut data, bound, BASE).map_err(malformed)?;
        if direction == Direction::Reverse && state.header_is_at_or_after(bound, lower) {
            state.partition = Deletion::NONE;
        }
        match direction {
            Direction::Forward => data.seek_at_or_after(bound),
            Direction::Reverse if upper.is_empty() => data.last(),
            Direction::Reverse => data.seek_before(bound),
        }
        .map_err(malformed)?;
        Ok(BlockRunCursor {
            data,
            lower: lower.into(),
            upper: upper.into(),
            direction,
            place: Place::Before,
            open_deletion: state.range,
            partition_deletion: state.partition,
        })
    }

    fn is_within(&self, key: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => self.upper.is_empty() || key < &*self.upper,
            Direction::Reverse => key >= &*self.lower,
        }
    }
}

impl Cursor for BlockRunCursor {
    fn move_on(&mut self) -> Result<(), StorageError> {
        let moved = match (self.place, self.direction) {
            (Place::Ended, _) => return Ok(()),
            (Place::Before, _) => Ok(()),
            (Place::At, Direction::Forward) => self.data.next(),
            (Place::At, Direction::Reverse) => self.data.prev(),
        };
        let is_there = self.data.entry().is_some_and(|entry| self.is_within(entry.key));
        self.place = if is_there && moved.is_ok() { Place::At } else { Place::Ended };
        moved.map_err(|what| StorageError::Malformed(what.0))
    }

    #[inline]
    fn current(&self) -> Option<Entry<'_>> {
        let entry = self.data.entry().filter(|_| self.place == Place::At)?;
        let content = decode_content(&entry, BASE).ok()?;
        Some(Entry { key: entry.key, partition_len: entry.partition_len, content })
    }

    fn open_deletion(&self) -> Deletion {
        self.open_deletion
    }

    fn partition_deletion(&self) -> Deletion {
        self.partition_deletion
    }
}
