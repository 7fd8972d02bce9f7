//! Making pages: from a walk through what a replica has of an interval.
//!
//! A walk may be long and leave nothing: rows that are deleted, tombstones that grace is over for. So there is a budget
//! beside the limits, and where it is spent a page is cut too, behind whatever was walked last.
//!
//! ```text
//! asked for a .. z, budget 3 entries      this replica has: rows a to m, all deleted with their partition; row n
//!   page  a .. c 0, cut, without entries      the coordinator goes on behind c
//! ```
//! How far a budget goes depends on what a replica has not compacted yet. Two of equal content may be cut in different
//! places then, and their digests differ: their pages say what they have in common. In a thread that must not wait a
//! budget cuts nothing, so there what is short enough to be answered is answered as any other thread would.

use std::sync::Arc;

use super::budget::{PageBudget, ReadBudget};
use super::floors::Floors;
use super::merge::MergeCursor;
use super::page::Page;
use crate::StorageError;
use crate::compaction::{PurgeSettings, PurgingWriter};
use crate::fs::nowait::may_wait;
use crate::model::entry::{Content, Direction, Entry, RowBuf};
use crate::model::position;
use crate::model::read::{KeyInterval, ReadLimits};
use crate::model::{ColumnId, Deletion, Seconds, Timestamp};
use crate::planted::planted;
use crate::sstable::{BlockRun, BlockRunBuilder, RunStart};

/// What of a table's entries pages leave out.
#[derive(Clone, Debug)]
pub struct PageRules {
    /// What expiry is compared with.
    pub now: Seconds,
    /// Deletions made before this are left out: `now - gc_grace_seconds`.
    pub gc_before: Seconds,
    /// Whose cells are there: see [`TableSettings::columns`](crate::engine::TableSettings::columns).
    pub columns: Option<Arc<[ColumnId]>>,
    /// See [`floors`](super::floors).
    pub floors: Option<Arc<Floors>>,
}

/// Makes the pages that answer one command, interval by interval.
#[derive(Debug)]
pub struct PageMaker {
    rules: PageRules,
    rows_left: u32,
    bytes_left: usize,
    /// What is left of what may be walked.
    work_left: ReadBudget,
    /// Whether work is given up when that is spent, and not cut.
    inline: bool,
}

impl PageMaker {
    /// For one command.
    pub fn new(rules: PageRules, limits: ReadLimits, budget: PageBudget) -> Self {
        let inline = !may_wait();
        PageMaker {
            rules,
            rows_left: limits.rows.unwrap_or(u32::MAX).max(1),
            bytes_left: limits.bytes.max(1) as usize,
            work_left: if inline { budget.inline } else { budget.page },
            inline,
        }
    }

    /// The pages of these intervals, each from a walk through all of it: of all of them, or of the first ones, and then
    /// the last one is cut.
    ///
    /// # Errors
    /// What a walk meets; [`StorageError::WouldTakeLong`].
    pub fn pages(
        &mut self,
        intervals: &[KeyInterval],
        direction: Direction,
        mut walk: impl FnMut(&KeyInterval) -> Result<MergeCursor, StorageError>,
    ) -> Result<Vec<Page>, StorageError> {
        let mut pages: Vec<Page> = Vec::new();
        for interval in intervals {
            if let Some(last) = pages.last_mut()
                && (last.is_cut || self.is_spent())
            {
                // It may be complete: it is cut where it ends then.
                last.is_cut = true;
                break;
            }
            pages.push(self.page(walk(interval)?, interval, direction)?);
        }
        Ok(pages)
    }

    /// Whether no further interval is to be begun.
    fn is_spent(&self) -> bool {
        let no_rows_left = self.rows_left == 0 && !planted!(LimitsBeforeFilter);
        no_rows_left || self.work_left.is_spent(&ReadBudget::NOTHING)
    }

    /// The page of an interval, from a walk through all of it that has not begun.
    fn page(
        &mut self,
        mut walk: MergeCursor,
        interval: &KeyInterval,
        direction: Direction,
    ) -> Result<Page, StorageError> {
        let at_start = walk.deletions_at_start();
        let mut entries = Entries::new(direction);
        walk.set_budget(self.work_left);
        let cut_at = self.gather(&mut walk, &mut entries)?;
        self.note_walk(walk.walked())?;
        let limits_end_it = planted!(LimitsBeforeFilter) && self.rows_left == 0;
        let last = cut_at.filter(|_| !limits_end_it);
        let is_cut = last.is_some();
        let (mut lower, mut upper) = (interval.lower.clone(), interval.upper.clone());
        let mut inside = interval.partition_len;
        match (direction, last) {
            (Direction::Forward, Some(last)) => {
                upper = last.key;
                upper.push(0);
            }
            (Direction::Reverse, Some(last)) => {
                (lower, inside) = (last.key, Some(last.partition_len));
            }
            (_, None) => {}
        }
        let mut start = RunStart::between();
        if let Some(len) = inside {
            let in_force = match direction {
                Direction::Forward => at_start,
                Direction::Reverse => walk.deletions_below(&lower[..len])?,
            };
            start = self.start(&lower, len, in_force);
        }
        let run = BlockRun::built(entries.build()?, start)?;
        // What spends it is cut: so an answer ends with a page that is cut, or has one for each interval.
        self.bytes_left = self.bytes_left.saturating_sub(run.bytes().len()).max(1);
        Ok(Page { lower: lower.into(), upper: upper.into(), run, is_cut })
    }

    /// Takes what pages have of a walk, up to the limits; says where they cut it off.
    fn gather(
        &mut self,
        walk: &mut MergeCursor,
        entries: &mut Entries,
    ) -> Result<Option<Last>, StorageError> {
        let PageRules { now, gc_before, columns, floors } = self.rules.clone();
        // A read has merged all sources: nothing is outside.
        let mut max_purgeable = |_: &[u8]| Timestamp::MAX;
        let mut writer = PurgingWriter::new(PurgeSettings { now, gc_before }, &mut max_purgeable)
            .within_columns(columns)
            .above(floors);
        if planted!(LimitsBeforeFilter) && self.rows_left == 0 {
            return Ok(None);
        }
        loop {
            walk.step()?;
            // Without an entry it is over, or the budget was spent on what is left out.
            let Some(entry) = walk.current() else { break };
            let mut taken = None;
            writer.add(entry, &mut |entry| {
                let exists = match entry.content {
                    Content::Row(row) => row.is_live(now)?,
                    _ => false,
                };
                if !exists && planted!(TombstonesLeftOutOfPages) {
                    return Ok(());
                }
                taken = Some(exists && !is_static(&entry));
                entries.push(entry)
            })?;
            match taken {
                Some(is_row) => self.rows_left = self.rows_left.saturating_sub(u32::from(is_row)),
                None => walk.note_tombstone(),
            }
            if self.rows_left == 0 || entries.len() >= self.bytes_left || walk.is_spent() {
                break;
            }
        }
        let last = |(key, partition_len): (&[u8], usize)| Last { key: key.to_vec(), partition_len };
        let is_whole = planted!(SpentPagesAreWhole) && walk.is_spent();
        Ok(walk.place().filter(|_| !is_whole).map(last))
    }

    /// Counts a walk, and that there was one.
    fn note_walk(&mut self, walked: ReadBudget) -> Result<(), StorageError> {
        let walked = ReadBudget { entries: walked.entries.saturating_add(1), ..walked };
        self.work_left = self.work_left.after(&walked);
        if self.inline && self.work_left.is_spent(&ReadBudget::NOTHING) {
            return Err(StorageError::WouldTakeLong);
        }
        Ok(())
    }

    /// What is in force where a page begins, as far as pages have it.
    fn start(
        &self,
        lower: &[u8],
        partition_len: usize,
        (partition, range): (Deletion, Deletion),
    ) -> RunStart {
        let is_old = |deletion: Deletion| deletion.deleted_at < self.rules.gc_before;
        let kept = |deletion: Deletion| match is_old(deletion) || planted!(TombstonesLeftOutOfPages)
        {
            true => Deletion::NONE,
            false => deletion,
        };
        let header_is_inside = lower[partition_len..] <= [position::HEADER][..];
        RunStart {
            partition: lower[..partition_len].into(),
            partition_deletion: if header_is_inside { Deletion::NONE } else { kept(partition) },
            range_deletion: kept(range),
        }
    }
}

fn is_static(entry: &Entry<'_>) -> bool {
    entry.key[entry.partition_len..] == [position::STATIC]
}

/// The entries of a page, in the order of the walk.
#[allow(clippy::large_enum_variant)] // one for each page, on the stack
enum Entries {
    Forward(BlockRunBuilder),
    /// A block has them in the order of keys: they wait for that.
    Reverse {
        entries: Vec<Kept>,
        bytes: usize,
    },
}

struct Kept {
    key: Vec<u8>,
    partition_len: usize,
    content: KeptContent,
}

enum KeptContent {
    Partition(Deletion),
    Row(RowBuf),
    Marker { before: Deletion, after: Deletion },
}

impl Entries {
    fn new(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Entries::Forward(BlockRunBuilder::new()),
            Direction::Reverse => Entries::Reverse { entries: Vec::new(), bytes: 0 },
        }
    }

    /// Bytes of what is there.
    fn len(&self) -> usize {
        match self {
            Entries::Forward(builder) => builder.len(),
            Entries::Reverse { bytes, .. } => *bytes,
        }
    }

    fn push(&mut self, entry: Entry<'_>) -> Result<(), StorageError> {
        let (entries, bytes) = match self {
            Entries::Forward(builder) => return Ok(builder.add(entry)?),
            Entries::Reverse { entries, bytes } => (entries, bytes),
        };
        let content = match entry.content {
            Content::Partition(deletion) => KeptContent::Partition(deletion),
            Content::Marker { before, after } => KeptContent::Marker { before, after },
            Content::Row(row) => {
                *bytes += row.len();
                KeptContent::Row(row.to_buf()?)
            }
        };
        *bytes += entry.key.len();
        let (key, partition_len) = (entry.key.to_vec(), entry.partition_len);
        entries.push(Kept { key, partition_len, content });
        Ok(())
    }

    /// The bytes of a block.
    fn build(self) -> Result<Vec<u8>, StorageError> {
        let entries = match self {
            Entries::Forward(builder) => return Ok(builder.finish()),
            Entries::Reverse { entries, .. } => entries,
        };
        let mut builder = BlockRunBuilder::new();
        for Kept { key, partition_len, content } in entries.iter().rev() {
            let content = match content {
                KeptContent::Partition(deletion) => Content::Partition(*deletion),
                KeptContent::Row(row) => Content::Row(row.as_row()),
                KeptContent::Marker { before, after } => {
                    Content::Marker { before: *before, after: *after }
                }
            };
            builder.add(Entry { key, partition_len: *partition_len, content })?;
        }
        Ok(builder.finish())
    }
}

/// The entry at which a limit or the budget cut a walk off.
struct Last {
    key: Vec<u8>,
    partition_len: usize,
}
