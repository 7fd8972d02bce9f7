//! Walking the cells of an encoded row.

use super::{CUT, RowError, decode_age, decode_deletion, decode_expiry};
use crate::model::{Cell, CellState, ColumnId, Deletion, Liveness, Seconds, Timestamp};
use crate::varint::{decode_i64, decode_slice, decode_u64};

/// Set in an item's head: a path follows.
pub(super) const PATH: u64 = 8;
pub(super) const SAME: u64 = 0;
pub(super) const LIVE: u64 = 1;
pub(super) const EXPIRING: u64 = 2;
pub(super) const TOMBSTONE: u64 = 3;
pub(super) const COMPLEX_DELETION: u64 = 4;
pub(super) const LIVE_AT: u64 = 5;
pub(super) const EXPIRING_AT: u64 = 6;
pub(super) const TOMBSTONE_AT: u64 = 7;

/// One cell, borrowed from an encoded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRef<'a> {
    /// Its column.
    pub column: ColumnId,
    /// Where in a multi-cell column; `None` in a column of one cell.
    pub path: Option<&'a [u8]>,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Live, expiring or a tombstone.
    pub state: CellState,
    /// The protocol's bytes; empty for tombstones.
    pub value: &'a [u8],
}

impl<'a> CellRef<'a> {
    /// A cell at its place.
    pub fn new(column: ColumnId, path: Option<&'a [u8]>, cell: &'a Cell) -> Self {
        CellRef { column, path, timestamp: cell.timestamp, state: cell.state, value: &cell.value }
    }

    /// Whether it has a value at `now` (2.2).
    pub const fn is_live(&self, now: Seconds) -> bool {
        match self.state {
            CellState::Live => true,
            CellState::Expiring { expires_at, .. } => now < expires_at,
            CellState::Tombstone { .. } => false,
        }
    }
}

/// One thing in a row after its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowItem<'a> {
    /// Deletes earlier elements of a multi-cell column; comes before that column's cells.
    Deletion {
        /// The column.
        column: ColumnId,
        /// Its deletion.
        deletion: Deletion,
    },
    /// A cell.
    Cell(CellRef<'a>),
}

impl RowItem<'_> {
    /// The column it belongs to.
    pub const fn column(&self) -> ColumnId {
        match self {
            RowItem::Deletion { column, .. } => *column,
            RowItem::Cell(cell) => cell.column,
        }
    }
}

/// Iterator over the items of a row. After an error it is at its end.
#[derive(Clone, Copy, Debug)]
pub struct RowItems<'a> {
    heads: &'a [u8],
    rest: &'a [u8],
    stamp: Option<Liveness>,
    column: Option<ColumnId>,
}

impl<'a> RowItems<'a> {
    pub(super) const fn new(heads: &'a [u8], rest: &'a [u8], stamp: Option<Liveness>) -> Self {
        RowItems { heads, rest, stamp, column: None }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.rest.is_empty()
    }

    #[inline]
    fn decode_item(&mut self) -> Result<RowItem<'a>, RowError> {
        let head = decode_u64(&mut self.heads).ok_or(CUT)?;
        let delta = u32::try_from(head >> 4).map_err(|_| RowError("a column id is too large"))?;
        let column = match self.column {
            None => delta,
            Some(_) if delta == 0 && head & PATH == 0 => {
                return Err(RowError("a column has two values"));
            }
            Some(last) => last.checked_add(delta).ok_or(RowError("a column id is too large"))?,
        };
        self.column = Some(column);
        let stamp = self.stamp.ok_or(RowError("a row has cells but no timestamp"))?;
        if head & 0xf == COMPLEX_DELETION {
            let deletion = decode_deletion(&mut self.rest, stamp.timestamp).ok_or(CUT)?;
            return Ok(RowItem::Deletion { column, deletion });
        }
        let path = match head & PATH != 0 {
            true => Some(decode_slice(&mut self.rest).ok_or(CUT)?),
            false => None,
        };
        let (timestamp, state, value) = self.decode_body(head & 7, stamp)?;
        Ok(RowItem::Cell(CellRef { column, path, timestamp, state, value }))
    }

    #[inline]
    fn decode_body(
        &mut self,
        kind: u64,
        stamp: Liveness,
    ) -> Result<(Timestamp, CellState, &'a [u8]), RowError> {
        let rest = &mut self.rest;
        let timestamp = match kind {
            LIVE | EXPIRING | TOMBSTONE => {
                decode_i64(rest).ok_or(CUT)?.wrapping_add(stamp.timestamp)
            }
            COMPLEX_DELETION => return Err(RowError("a complex deletion has a path")),
            _ => stamp.timestamp,
        };
        let state = match kind {
            SAME => stamp.state(),
            EXPIRING | EXPIRING_AT => {
                let (ttl, expires_at) = decode_expiry(rest, timestamp).ok_or(CUT)?;
                CellState::Expiring { expires_at, ttl }
            }
            TOMBSTONE | TOMBSTONE_AT => {
                let deleted_at = decode_age(rest, timestamp).ok_or(CUT)?;
                return Ok((timestamp, CellState::Tombstone { deleted_at }, &[]));
            }
            _ => CellState::Live,
        };
        let value = match self.heads.is_empty() {
            true => std::mem::take(rest),
            false => decode_slice(rest).ok_or(CUT)?,
        };
        Ok((timestamp, state, value))
    }

    #[inline]
    fn next_item(&mut self) -> Result<Option<RowItem<'a>>, RowError> {
        match (self.heads.is_empty(), self.rest.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => Err(RowError("a row goes on after its last cell")),
            _ => self.decode_item().map(Some),
        }
    }
}

impl<'a> Iterator for RowItems<'a> {
    type Item = Result<RowItem<'a>, RowError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_item();
        if item.is_err() {
            (self.heads, self.rest) = (&[], &[]);
        }
        item.transpose()
    }
}
