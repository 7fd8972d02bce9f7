//! Making pages: from a walk through what a replica has of an interval.

use std::sync::Arc;

use super::floors::Floors;
use super::merge::MergeCursor;
use super::page::Page;
use crate::StorageError;
use crate::compaction::{PurgeSettings, PurgingWriter};
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
}

impl PageMaker {
    /// For one command.
    pub fn new(rules: PageRules, limits: ReadLimits) -> Self {
        let rows_left = limits.rows.unwrap_or(u32::MAX);
        PageMaker { rules, rows_left, bytes_left: limits.bytes.max(1) as usize }
    }

    /// Whether no further interval is to be begun.
    pub fn is_spent(&self) -> bool {
        self.rows_left == 0 && !planted!(LimitsBeforeFilter)
    }

    /// The page of an interval, from a walk through all of it that has not begun.
    ///
    /// # Errors
    /// What the walk meets.
    pub fn page(
        &mut self,
        mut walk: MergeCursor,
        interval: &KeyInterval,
        direction: Direction,
    ) -> Result<Page, StorageError> {
        let at_start = walk.deletions_at_start();
        let mut entries = Entries::new(direction);
        let cut_at = self.gather(&mut walk, &mut entries)?;
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
        while let Some(entry) = walk.advance()? {
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
            let Some(is_row) = taken else { continue };
            self.rows_left = self.rows_left.saturating_sub(u32::from(is_row));
            if self.rows_left == 0 || entries.len() >= self.bytes_left {
                let at = walk.current();
                return Ok(at.map(|Entry { key, partition_len, .. }| Last {
                    key: key.to_vec(),
                    partition_len,
                }));
            }
        }
        Ok(None)
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

/// The entry at which a limit cut a walk off.
struct Last {
    key: Vec<u8>,
    partition_len: usize,
}
