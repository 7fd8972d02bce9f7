//! The merge of several sorted runs: one canonical stream (spec 3.2, 3.4-3.6).
//!
//! Invariants of the stream: keys strictly ascend (or descend); no entry is deleted by one above it; a marker is there
//! only where the range deletion in force changes, and a range deletion counts only if it supersedes the partition's. So
//! whatever the sources, equal content gives equal streams. A row that one source alone holds and nothing deletes passes
//! through as it is, neither decoded nor copied.
//!
//! One partition in a memtable and an SSTable; numbers are timestamps:
//!
//! ```text
//! key      memtable                   SSTable            the stream
//! header   deleted at 10                                 deleted at 10
//! 1        a at 20                    a at 5, b at 15    a at 20, b at 15
//! 2                                   a at 9             left out: its partition is deleted
//! 3        from here on deleted at 8                     left out: so is all that it deletes
//! 4        from here on deleted at 30                    from here on deleted at 30
//! 5                                   a at 25            left out: its range is deleted
//! 6        a at 31                                       a at 31
//! 7        up to here                                    up to here
//! ```

use smallvec::SmallVec;

use super::budget::ReadBudget;
use super::inputs::Inputs;
use super::source::{Source, SourceCursor};
use crate::StorageError;
use crate::model::Deletion;
use crate::model::entry::{Content, Cursor, Direction, Entry, RowBuf, RowRef};
use crate::model::merge::merge_rows;
use crate::model::position;
use crate::model::row::RowBuilder;

/// A walk through several sources as one.
#[derive(Debug)]
pub struct MergeCursor {
    inputs: Inputs,
    /// Asked for the deletion of each partition in reverse, where headers come last: those that may hold any.
    sources: Vec<Source>,
    direction: Direction,
    /// The bound where the walk starts.
    start: Box<[u8]>,
    /// The partition walked through; empty before the first entry.
    partition: Vec<u8>,
    partition_deletion: Deletion,
    /// The range deletion that the markers put out so far have set.
    range_deletion: Deletion,
    /// What the current entry holds; its key is that of the inputs.
    at: At,
    /// What is in force before and after the current entry, in key order, if it is a deletion.
    change: (Deletion, Deletion),
    merged: RowBuf,
    /// How far blocks may be passed over because of the range deletion in force; empty if that was not said yet.
    skipped_until: Vec<u8>,
    budget: ReadBudget,
    walked: ReadBudget,
}

/// What an entry of the merged stream holds. Small, as it is set and asked at each step: deletions are beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// There is no entry.
    Nowhere,
    /// The input's own row.
    Through,
    /// The row in `merged`.
    Merged,
    /// Nothing is left of what is there.
    LeftOut,
    /// The partition's deletion, which is `change.1`.
    Partition,
    /// The range deletions before and after, which are in `change`.
    Marker,
}

impl MergeCursor {
    /// Opens a walk through `lower..upper` (an empty `upper`: to the end) of all sources.
    ///
    /// # Errors
    /// What a source's walk meets.
    pub fn open(
        sources: Vec<Source>,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<Self, StorageError> {
        let inputs = Inputs::open(&sources, lower, upper, direction)?;
        let start = if direction == Direction::Forward { lower } else { upper };
        let sources = match direction {
            Direction::Forward => Vec::new(),
            Direction::Reverse => with_partition_deletions(sources)?,
        };
        Ok(MergeCursor {
            inputs,
            sources,
            direction,
            start: start.into(),
            partition: Vec::new(),
            partition_deletion: Deletion::NONE,
            range_deletion: Deletion::NONE,
            at: At::Nowhere,
            change: (Deletion::NONE, Deletion::NONE),
            merged: RowBuf::default(),
            skipped_until: Vec::new(),
            budget: ReadBudget::UNLIMITED,
            walked: ReadBudget::NOTHING,
        })
    }

    /// Limits the work from here on; what was walked so far counts.
    pub fn set_budget(&mut self, budget: ReadBudget) {
        self.budget = budget;
    }

    /// What was walked so far.
    pub fn walked(&self) -> ReadBudget {
        self.walked
    }

    /// Whether the budget is spent. The walk goes on all the same, but stops at every entry of its sources.
    pub fn is_spent(&self) -> bool {
        self.budget.is_spent(&self.walked)
    }

    /// How far the walk is in its files, as bytes of them. Only a walk through whole files says something by it.
    pub fn bytes_read(&self) -> u64 {
        self.inputs.iter().map(|input| input.cursor.bytes_read()).sum()
    }

    /// Blocks of files that were passed over unread, because a deletion covers them.
    pub fn blocks_skipped(&self) -> u64 {
        let skipped = self.inputs.iter().map(|input| match &input.cursor {
            SourceCursor::Memtable(_) | SourceCursor::Page(_) => 0,
            SourceCursor::Table(cursor) => cursor.blocks_skipped(),
        });
        skipped.sum()
    }

    /// The partition's deletion and the range deletion in force at the bound where the walk starts; of the partition that
    /// the bound lies in. Before the first step.
    pub(super) fn deletions_at_start(&self) -> (Deletion, Deletion) {
        let deletions = self.inputs.iter().map(|input| input.cursor.partition_deletion());
        let partition = deletions.max().unwrap_or(Deletion::NONE);
        (partition, self.range_deletion_above(partition))
    }

    /// The same below the place that a reverse walk has got to, in that partition.
    pub(super) fn deletions_below(
        &self,
        partition: &[u8],
    ) -> Result<(Deletion, Deletion), StorageError> {
        if self.partition == partition {
            return Ok((self.partition_deletion, self.range_deletion));
        }
        let deletion = self.deletion_of(partition)?;
        Ok((deletion, self.range_deletion_above(deletion)))
    }

    /// The entry it is at is one that no reader sees.
    pub fn note_tombstone(&mut self) {
        self.walked.tombstones += 1;
    }

    /// The key it is at, even if what is there was left out when the budget was spent.
    pub fn key(&self) -> Option<&[u8]> {
        if self.at == At::Nowhere { None } else { self.inputs.current().map(|entry| entry.key) }
    }

    /// The same, and how many of its bytes are the partition prefix.
    pub(super) fn place(&self) -> Option<(&[u8], usize)> {
        self.key().map(|key| (key, self.partition.len()))
    }

    /// Moves to the next entry; `None` at the end, or when the budget is spent before there is one: then
    /// [`key`](Self::key) says where.
    ///
    /// # Errors
    /// What a source's walk meets, and rows that do not decode. The walk is over then.
    #[inline]
    pub fn advance(&mut self) -> Result<Option<Entry<'_>>, StorageError> {
        self.step()?;
        Ok(self.current())
    }

    /// As [`advance`](Self::advance), leaving it to [`current`](Self::current) to say what is there.
    pub(super) fn step(&mut self) -> Result<(), StorageError> {
        self.at = At::Nowhere;
        self.at = self.next().inspect_err(|_| self.inputs.clear())?;
        Ok(())
    }

    /// The entry it is at.
    #[inline(always)]
    pub fn current(&self) -> Option<Entry<'_>> {
        let entry = self.inputs.current()?;
        let (before, after) = self.change;
        let content = match self.at {
            At::Through => return Some(entry),
            At::Nowhere | At::LeftOut => return None,
            At::Merged => Content::Row(self.merged.as_row()),
            At::Partition => Content::Partition(after),
            At::Marker => Content::Marker { before, after },
        };
        Some(Entry { content, ..entry })
    }

    fn next(&mut self) -> Result<At, StorageError> {
        loop {
            self.inputs.step()?;
            if !self.range_deletion.is_none() {
                self.skip_range_deleted();
            }
            let Some(entry) = self.inputs.current() else { return Ok(At::Nowhere) };
            self.walked.entries += 1;
            self.walked.bytes += entry.key.len() as u64;
            let kind = match entry.content {
                Content::Partition(_) => Kind::Partition,
                Content::Row(row) => {
                    self.walked.bytes += row.len() as u64;
                    Kind::Row
                }
                Content::Marker { .. } => Kind::Marker,
            };
            let partition = &entry.key[..entry.partition_len];
            if self.partition != partition {
                let is_first = self.partition.is_empty();
                self.partition.clear();
                self.partition.extend_from_slice(partition);
                self.enter(is_first)?;
            }
            let at = match kind {
                Kind::Partition => self.partition_entry(),
                Kind::Row => self.row()?,
                Kind::Marker => self.marker(),
            };
            if at != At::LeftOut {
                return Ok(at);
            }
            self.walked.tombstones += 1;
            if self.is_spent() {
                return Ok(At::LeftOut);
            }
        }
    }

    /// Finds the deletions in force where the walk enters a partition.
    fn enter(&mut self, is_first: bool) -> Result<(), StorageError> {
        let none_before = self.partition_deletion.is_none() && self.range_deletion.is_none();
        if none_before && !is_first && self.sources.is_empty() {
            // Then no input has one open, and what this partition has comes as entries.
            return Ok(());
        }
        let starts_here = is_first && self.start.starts_with(&self.partition);
        self.partition_deletion = match self.direction {
            Direction::Forward => Deletion::NONE,
            Direction::Reverse => self.deletion_of(&self.partition)?,
        };
        for input in self.inputs.iter_mut() {
            if starts_here {
                let deletion = input.cursor.partition_deletion();
                self.partition_deletion = self.partition_deletion.max(deletion);
            } else {
                input.open = Deletion::NONE;
            }
        }
        self.range_deletion = self.effective_range_deletion();
        self.skip_deleted();
        Ok(())
    }

    /// Lets SSTables pass over blocks of this partition that its deletion covers wholly.
    fn skip_deleted(&mut self) {
        if self.partition_deletion.is_none() {
            return;
        }
        let mut until = self.partition.clone();
        if self.direction == Direction::Forward {
            until.push(0xff);
        }
        for input in self.inputs.iter_mut() {
            if let SourceCursor::Table(cursor) = &mut input.cursor {
                cursor.skip_covered(self.partition_deletion, &until);
            }
        }
    }

    /// Lets SSTables pass over blocks that the range deletion in force covers wholly: as far as to the next entry of the
    /// source that it comes from, up to which nothing can end it.
    fn skip_range_deleted(&mut self) {
        let deletion = self.range_deletion;
        let mut inputs = self.inputs.iter().enumerate();
        let Some((from, input)) = inputs.find(|(_, input)| input.open == deletion) else { return };
        let Some(next) = input.cursor.current() else { return };
        if self.skipped_until == next.key {
            return;
        }
        self.skipped_until.clear();
        self.skipped_until.extend_from_slice(next.key);
        for (index, input) in self.inputs.iter_mut().enumerate() {
            if let SourceCursor::Table(cursor) = &mut input.cursor
                && index != from
            {
                cursor.skip_covered(deletion, &self.skipped_until);
            }
        }
    }

    /// The deletion of a partition in those sources that may have any.
    fn deletion_of(&self, partition: &[u8]) -> Result<Deletion, StorageError> {
        let mut deletion = Deletion::NONE;
        for source in &self.sources {
            deletion = deletion.max(source.partition_deletion(partition)?);
        }
        Ok(deletion)
    }

    fn effective_range_deletion(&self) -> Deletion {
        self.range_deletion_above(self.partition_deletion)
    }

    /// The range deletion in force, if it deletes more than that of the partition.
    fn range_deletion_above(&self, partition: Deletion) -> Deletion {
        let open = self.inputs.iter().map(|input| input.open).max().unwrap_or(Deletion::NONE);
        if open > partition { open } else { Deletion::NONE }
    }

    fn partition_entry(&mut self) -> At {
        let mut deletion = Deletion::NONE;
        for content in self.inputs.taken() {
            if let Content::Partition(other) = content {
                deletion = deletion.max(other);
            }
        }
        if deletion > self.partition_deletion {
            self.partition_deletion = deletion;
            self.skip_deleted();
        }
        self.change = (Deletion::NONE, deletion);
        if deletion.is_none() { At::LeftOut } else { At::Partition }
    }

    fn row(&mut self) -> Result<At, StorageError> {
        let undeleted = self.partition_deletion.is_none() && self.range_deletion.is_none();
        if undeleted && self.inputs.is_alone() {
            return Ok(At::Through);
        }
        self.merge_row()
    }

    fn merge_row(&mut self) -> Result<At, StorageError> {
        let position = self.inputs.current().map(|entry| &entry.key[entry.partition_len..]);
        let enclosing = match position {
            Some([position::STATIC, ..]) => self.partition_deletion,
            _ => self.partition_deletion.max(self.range_deletion),
        };
        if self.inputs.is_alone() && enclosing.is_none() {
            return Ok(At::Through);
        }
        let mut merged = RowBuilder::reusing(std::mem::take(&mut self.merged)).under(enclosing);
        let rows: SmallVec<[RowRef<'_>; 4]> = self
            .inputs
            .taken()
            .filter_map(|content| match content {
                Content::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        merge_rows(&rows, &mut merged)?;
        drop(rows);
        let row = merged.finish();
        let exists = !row.is_empty();
        self.merged = row;
        Ok(if exists { At::Merged } else { At::LeftOut })
    }

    fn marker(&mut self) -> At {
        for input in self.inputs.taken_mut() {
            if let Some(Entry { content: Content::Marker { before, after }, .. }) =
                input.cursor.current()
            {
                input.open = if self.direction == Direction::Forward { after } else { before };
            }
        }
        let next = self.effective_range_deletion();
        let last = std::mem::replace(&mut self.range_deletion, next);
        if last != next {
            self.skipped_until.clear();
            self.skip_deleted();
        }
        self.change = match self.direction {
            Direction::Forward => (last, next),
            Direction::Reverse => (next, last),
        };
        if last == next { At::LeftOut } else { At::Marker }
    }
}

fn with_partition_deletions(sources: Vec<Source>) -> Result<Vec<Source>, StorageError> {
    let mut with = Vec::new();
    for source in sources {
        if source.may_have_partition_deletions()? {
            with.push(source);
        }
    }
    Ok(with)
}

enum Kind {
    Partition,
    Row,
    Marker,
}
