//! One row by its full key.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::StorageError;
use crate::memtable::{Memtable, SharedRow};
use crate::model::entry::{RowBuf, RowRef};
use crate::model::merge::{compare_cells, merge_rows};
use crate::model::row::{CellRef, RowBuilder, RowItem};
use crate::model::{ColumnId, Deletion, Liveness, Seconds, Timestamp, WRITTEN_KEYS};
use crate::read::floors::{self, Floors};
use crate::sstable::{BlockRow, SsTable};

/// A row that was read, with its bytes.
#[derive(Clone, Debug)]
pub struct PointRow {
    bytes: PointBytes,
}

#[derive(Clone, Debug)]
enum PointBytes {
    /// A memtable's own.
    Shared(SharedRow),
    /// An SSTable's own.
    Block(BlockRow),
    Owned(RowBuf),
}

impl PointRow {
    /// A row that was made for this.
    pub fn owned(row: RowBuf) -> Self {
        PointRow { bytes: PointBytes::Owned(row) }
    }

    /// The row, without anything that a deletion above it deletes.
    pub fn row(&self) -> RowRef<'_> {
        match &self.bytes {
            PointBytes::Shared(row) => row.row(),
            PointBytes::Block(row) => row.row(),
            PointBytes::Owned(row) => row.as_row(),
        }
    }
}

/// The reading of one row (or static row), source by source, newest first.
#[derive(Debug)]
pub struct PointRead<'a> {
    key: &'a [u8],
    partition_len: usize,
    /// The columns asked for; `None` for all.
    columns: Option<&'a [ColumnId]>,
    now: Seconds,
    /// Whose cells count: see [`TableSettings::columns`](crate::engine::TableSettings::columns).
    current: Option<Arc<[ColumnId]>>,
    floors: Option<Arc<Floors>>,
    versions: SmallVec<[PointRow; 2]>,
    /// The greatest deletion above the row that was seen.
    deletion: Deletion,
    files: usize,
}

impl<'a> PointRead<'a> {
    /// Begins to read the row of a full key. If `columns` are given, others may be missing from the result, but whether
    /// the row exists is right all the same.
    pub fn new(
        key: &'a [u8],
        partition_len: usize,
        columns: Option<&'a [ColumnId]>,
        now: Seconds,
    ) -> Self {
        let (versions, deletion) = (SmallVec::new(), Deletion::NONE);
        let (current, floors, files) = (None, None, 0);
        PointRead { key, partition_len, columns, now, current, floors, versions, deletion, files }
    }

    /// Lets only cells of these columns (ascending) make the row exist; `None` lets all.
    #[must_use]
    pub fn within_columns(mut self, columns: Option<Arc<[ColumnId]>>) -> Self {
        self.current = columns;
        self
    }

    /// Leaves out what was written to columns up to their floors: see [`floors`].
    #[must_use]
    pub fn above(mut self, floors: Option<Arc<Floors>>) -> Self {
        self.floors = floors;
        self
    }

    /// Looks into a memtable.
    pub fn memtable(&mut self, memtable: &Memtable) {
        let found = memtable.row(self.key, self.partition_len);
        self.deletion = self.deletion.max(found.deletion);
        let row = found.row.map(|row| PointRow { bytes: PointBytes::Shared(row) });
        self.versions.extend(row);
    }

    /// Looks into an SSTable.
    ///
    /// # Errors
    /// What its blocks meet.
    pub fn table(&mut self, table: &Arc<SsTable>) -> Result<(), StorageError> {
        let Some(found) = table.row(self.key, self.partition_len)? else { return Ok(()) };
        self.files += 1;
        self.deletion = self.deletion.max(found.deletion);
        let row = found.row.map(|row| PointRow { bytes: PointBytes::Block(row) });
        self.versions.extend(row);
        Ok(())
    }

    /// Whether nothing written at or before `timestamp` can change the result any more, so that sources with nothing
    /// newer need no look.
    ///
    /// # Errors
    /// When a row does not decode.
    pub fn is_settled(&self, timestamp: Timestamp) -> Result<bool, StorageError> {
        if self.deletion.deletes(timestamp) {
            return Ok(true);
        }
        let Some(columns) = self.columns else { return Ok(false) };
        if self.versions.is_empty() {
            return Ok(false);
        }
        let mut found: SmallVec<[Option<CellRef<'_>>; 8]> =
            SmallVec::from_elem(None, columns.len());
        let mut exists = false;
        for version in &self.versions {
            let (header, items) = version.row().parts()?;
            if header.deletion.is_some_and(|deletion| deletion.deletes(timestamp)) {
                return Ok(true);
            }
            let is_newer = |liveness: Liveness| {
                liveness.timestamp > timestamp.max(self.deletion.timestamp)
                    && liveness.is_live(self.now)
            };
            exists |= header.liveness.is_some_and(is_newer);
            for item in items {
                let RowItem::Cell(cell @ CellRef { path: None, .. }) = item? else { continue };
                if cell.timestamp <= timestamp {
                    continue;
                }
                if let Some(index) = columns.iter().position(|column| *column == cell.column) {
                    let winner = &mut found[index];
                    if winner.is_none_or(|winner| compare_cells(&winner, &cell).is_lt()) {
                        *winner = Some(cell);
                    }
                }
            }
        }
        // No deletion is above these cells that is not above all that is older. A floor may be.
        let is_live = |cell: &CellRef<'_>| cell.column < WRITTEN_KEYS && cell.is_live(self.now);
        exists |= self.floors.is_none() && found.iter().flatten().any(is_live);
        Ok(exists && found.iter().all(Option::is_some))
    }

    /// How many SSTables were looked into, as their filters allowed.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Whether there was anything of the row, or a deletion above it.
    pub fn found_any(&self) -> bool {
        !self.versions.is_empty() || !self.deletion.is_none()
    }

    /// The row from all that was looked into; `None` if it does not exist.
    ///
    /// # Errors
    /// When a row does not decode.
    pub fn finish(mut self) -> Result<Option<PointRow>, StorageError> {
        let row = match self.versions.len() {
            0 => return Ok(None),
            1 if self.deletion.is_none() => self.versions.swap_remove(0),
            _ => {
                let rows: SmallVec<[RowRef<'_>; 4]> =
                    self.versions.iter().map(PointRow::row).collect();
                let room = rows.iter().map(|row| row.len()).max().unwrap_or(0) + 16;
                let mut merged = RowBuilder::with_capacity(room).under(self.deletion);
                merge_rows(&rows, &mut merged)?;
                PointRow { bytes: PointBytes::Owned(merged.finish()) }
            }
        };
        let left = match &self.floors {
            Some(floors) => floors::above(row.row(), floors)?,
            None => None,
        };
        let row = left.map_or(row, |left| PointRow { bytes: PointBytes::Owned(left) });
        let is_live = row.row().is_live_within(self.current.as_deref(), self.now)?;
        Ok(is_live.then_some(row))
    }
}
