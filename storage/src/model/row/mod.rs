//! The one encoded form of a row, as a head and a body: what the commit log, the memtable and the SSTable hold.
//!
//! ```text
//! head     = flags, item*                               (lengths of head and body are known from outside)
//! body     = [stamp], [deletion], content*              (one for each item)
//! flags    = 1: STAMP, 2: EXPIRING (the stamp), 4: LIVENESS (the stamp is the row's liveness), 8: DELETION
//! stamp    = signed(timestamp - base), [unsigned ttl, expiry]
//! deletion = signed(timestamp - base), age
//! item     = unsigned(column delta << 4 | PATH (8) | kind)
//! content  = [path], what belongs to the kind
//! path     = unsigned length, bytes
//! kind     = 0 SAME       value                                         timestamp, ttl and expiry of the stamp
//!            1 LIVE       signed(timestamp - stamp), value
//!            2 EXPIRING   signed(timestamp - stamp), unsigned ttl, expiry, value
//!            3 TOMBSTONE  signed(timestamp - stamp), age
//!            4 DELETION   signed(timestamp - stamp), age                earlier elements of a multi-cell column
//!            5 LIVE_AT    value                                         timestamp of the stamp
//!            6 EXPIRING_AT  unsigned ttl, expiry, value
//!            7 TOMBSTONE_AT age
//! value    = unsigned length, bytes; of the last item only the bytes, to the end of the body
//! expiry   = signed(expires_at - ttl - timestamp / 1,000,000)
//! age      = signed(deleted_at - timestamp / 1,000,000)
//! ```
//!
//! The head is what rows of a table have in common, so that a sorted run need not repeat it. Where a row stands alone, its
//! *whole* form is `unsigned length of the head, head, body`.
//!
//! Integers are in [`varint`](crate::varint) form. The first column's delta is its id; 0 thereafter means one more item
//! of the same multi-cell column. The stamp is the liveness, or the first cell's timestamp and expiry; if a complex
//! deletion comes before any cell, one microsecond above it (that is how an assignment writes them).
//!
//! Columns from [`WRITTEN_KEYS`] on hold clustering values as they were written; they make no row exist.
//!
//! Invariants: items ascend by (column, path), a complex deletion before the cells of its column; each kind is the first
//! that fits in the order 0, 5-7, 1-3; nothing is held that the row's own or its column's deletion deletes (spec 1.4).
//! So equal rows of one base have equal bytes. Only the beginning of the body depends on the base.

mod builder;
mod error;
mod items;
mod summary;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use smallvec::SmallVec;

pub use self::builder::RowBuilder;
pub use self::error::RowError;
pub use self::items::{CellRef, RowItem, RowItems};
pub use self::summary::{check, transcode};

use crate::model::entry::{RowBuf, RowRef};
use crate::model::{
    Cell, CellState, ColumnCells, ColumnId, Deletion, Liveness, Row, Seconds, Timestamp,
    WRITTEN_KEYS,
};
use crate::varint::{Encoded, decode_i64, decode_slice, decode_u64, encode_i64};

const STAMP: u8 = 1;
const STAMP_EXPIRING: u8 = 2;
const LIVENESS: u8 = 4;
const DELETION: u8 = 8;

/// What a row says before its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHeader {
    /// Present when an INSERT wrote the row.
    pub liveness: Option<Liveness>,
    /// The row's own deletion.
    pub deletion: Option<Deletion>,
}

impl<'a> RowRef<'a> {
    /// What comes before the cells, and the cells.
    #[inline]
    pub fn parts(self) -> Result<(RowHeader, RowItems<'a>), RowError> {
        let (&flags, heads) = self.head.split_first().ok_or(RowError("a row of no bytes"))?;
        let mut rest = self.body;
        if flags & !(STAMP | STAMP_EXPIRING | LIVENESS | DELETION) != 0 {
            return Err(RowError("a row has unknown flags"));
        }
        let stamp = match flags & STAMP != 0 {
            true => Some(decode_stamp(&mut rest, flags, self.base).ok_or(CUT)?),
            false if flags & (LIVENESS | STAMP_EXPIRING) != 0 => {
                return Err(RowError("a row has liveness but no timestamp"));
            }
            false => None,
        };
        let deletion = match flags & DELETION != 0 {
            true => Some(decode_deletion(&mut rest, self.base).ok_or(CUT)?),
            false => None,
        };
        let liveness = stamp.filter(|_| flags & LIVENESS != 0);
        Ok((RowHeader { liveness, deletion }, RowItems::new(heads, rest, stamp)))
    }

    /// Whether and until when the row exists by itself.
    pub fn liveness(self) -> Result<Option<Liveness>, RowError> {
        Ok(self.parts()?.0.liveness)
    }

    /// The row's own deletion.
    pub fn deletion(self) -> Result<Option<Deletion>, RowError> {
        Ok(self.parts()?.0.deletion)
    }

    /// Cells and complex deletions, ascending by column and path.
    #[inline]
    pub fn items(self) -> Result<RowItems<'a>, RowError> {
        Ok(self.parts()?.1)
    }

    /// Whether the flags alone say that the row exists: it does by itself, and without end. Most rows do.
    #[inline]
    fn exists_without_end(self) -> bool {
        self.head.first().is_some_and(|flags| flags & (LIVENESS | STAMP_EXPIRING) == LIVENESS)
    }

    /// Whether a reader at `now` sees the row: its liveness or some cell is live (3.3). What is malformed behind what
    /// that takes goes unnoticed.
    pub fn is_live(self, now: Seconds) -> Result<bool, RowError> {
        self.is_live_within(None, now)
    }

    /// As [`is_live`](Self::is_live), when only cells of these columns (ascending) count: others were dropped (4.8).
    #[inline]
    pub fn is_live_within(
        self,
        columns: Option<&[ColumnId]>,
        now: Seconds,
    ) -> Result<bool, RowError> {
        if self.exists_without_end() { Ok(true) } else { self.holds_live(columns, now) }
    }

    fn holds_live(self, columns: Option<&[ColumnId]>, now: Seconds) -> Result<bool, RowError> {
        let (header, items) = self.parts()?;
        if header.liveness.is_some_and(|liveness| liveness.is_live(now)) {
            return Ok(true);
        }
        for item in items {
            let RowItem::Cell(cell) = item? else { continue };
            if cell.column >= WRITTEN_KEYS {
                break;
            }
            let counts = || columns.is_none_or(|ids| ids.binary_search(&cell.column).is_ok());
            if cell.is_live(now) && counts() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The decoded row.
    pub fn decode(self) -> Result<Row, RowError> {
        let (RowHeader { liveness, deletion }, items) = self.parts()?;
        let mut row = Row { liveness, deletion, columns: Vec::new() };
        for item in items {
            match item? {
                RowItem::Deletion { column, deletion } => {
                    row.columns.push((column, ColumnCells::Complex { deletion, cells: Vec::new() }))
                }
                RowItem::Cell(cell) => decode_cell(&mut row, cell),
            }
        }
        Ok(row)
    }

    /// Checks the whole row: that it decodes, and that its items ascend and survive its deletions. Returns its least and
    /// greatest timestamp; (`MAX`, `MIN`) if it says nothing.
    pub fn validate(self) -> Result<(Timestamp, Timestamp), RowError> {
        let (header, items) = self.parts()?;
        let own = header.deletion.unwrap_or(Deletion::NONE);
        if header.liveness.is_some_and(|liveness| own.deletes(liveness.timestamp)) {
            return Err(RowError("a row's deletion deletes its liveness"));
        }
        let (mut least, mut greatest) = (Timestamp::MAX, Timestamp::MIN);
        let mut note = |timestamp: Timestamp| {
            least = least.min(timestamp);
            greatest = greatest.max(timestamp);
        };
        header.liveness.iter().for_each(|liveness| note(liveness.timestamp));
        header.deletion.iter().for_each(|deletion| note(deletion.timestamp));
        let mut last: Option<(u32, Option<&[u8]>, bool)> = None;
        let mut active = own;
        for item in items {
            let item = item?;
            let (column, path, complex) = match item {
                RowItem::Deletion { column, deletion } => {
                    note(deletion.timestamp);
                    (column, None, true)
                }
                RowItem::Cell(cell) => {
                    note(cell.timestamp);
                    (cell.column, cell.path, cell.path.is_some())
                }
            };
            match last {
                Some((before, last_path, was_complex)) if before == column => {
                    if !(was_complex && complex && path > last_path) {
                        return Err(RowError("cells of a row are out of order"));
                    }
                }
                _ => active = own,
            }
            if !survives(item, &mut active) {
                return Err(RowError("a row holds what it deletes"));
            }
            last = Some((column, path, complex));
        }
        Ok((least, greatest))
    }

    /// Appends the body of the same row with timestamps relative to another base; the head is the same.
    pub fn copy_body(self, base: Timestamp, out: &mut Vec<u8>) -> Result<(), RowError> {
        let mut rest = self.body;
        if base == self.base {
            out.extend_from_slice(rest);
            return Ok(());
        }
        let flags = *self.head.first().ok_or(CUT)?;
        if flags & STAMP != 0 {
            let timestamp = decode_i64(&mut rest).ok_or(CUT)?.wrapping_add(self.base);
            encode_i64(out, timestamp.wrapping_sub(base));
        }
        if flags & DELETION != 0 {
            if flags & STAMP_EXPIRING != 0 {
                let expiry = rest;
                decode_u64(&mut rest).and_then(|_| decode_i64(&mut rest)).ok_or(CUT)?;
                out.extend_from_slice(&expiry[..expiry.len() - rest.len()]);
            }
            let timestamp = decode_i64(&mut rest).ok_or(CUT)?.wrapping_add(self.base);
            encode_i64(out, timestamp.wrapping_sub(base));
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

const CUT: RowError = RowError("a row ends early");

impl<'a> RowRef<'a> {
    /// A row in its whole form. If that is cut off, the row is one that does not decode.
    #[inline]
    pub fn of_whole(whole: &'a [u8], base: Timestamp) -> Self {
        let mut body = whole;
        let head = decode_slice(&mut body).unwrap_or_default();
        RowRef { head, body, base }
    }

    /// The parts that the whole form consists of.
    pub fn whole(self) -> (Encoded, &'a [u8], &'a [u8]) {
        (Encoded::of(self.head.len() as u64), self.head, self.body)
    }

    /// Bytes that it takes.
    pub const fn len(self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether the row says nothing at all, so that it does not exist (3.2f).
    pub const fn is_empty(self) -> bool {
        self.head.len() <= 1 && self.body.is_empty()
    }

    /// The row with bytes of its own.
    pub fn to_buf(self) -> Result<RowBuf, RowError> {
        let mut body = Vec::with_capacity(self.body.len() + 8);
        self.copy_body(0, &mut body)?;
        Ok(RowBuf { head: SmallVec::from_slice(self.head), body })
    }
}

impl RowBuf {
    /// The row, for reading.
    pub fn as_row(&self) -> RowRef<'_> {
        RowRef { head: &self.head, body: &self.body, base: 0 }
    }

    /// Whether the row says nothing at all, so that it does not exist (3.2f).
    pub fn is_empty(&self) -> bool {
        self.as_row().is_empty()
    }
}

impl From<&Row> for RowBuf {
    fn from(row: &Row) -> Self {
        let mut builder = RowBuilder::new();
        if let Some(liveness) = row.liveness {
            builder.liveness(liveness);
        }
        if let Some(deletion) = row.deletion {
            builder.deletion(deletion);
        }
        for (column, cells) in &row.columns {
            match cells {
                ColumnCells::Simple(cell) => builder.cell(CellRef::new(*column, None, cell)),
                ColumnCells::Complex { deletion, cells } => {
                    builder.complex_deletion(*column, *deletion);
                    for (path, cell) in cells {
                        builder.cell(CellRef::new(*column, Some(path), cell));
                    }
                }
            }
        }
        builder.finish()
    }
}

impl Liveness {
    /// Whether the row exists by itself at `now`.
    pub const fn is_live(&self, now: Seconds) -> bool {
        self.ttl == 0 || now < self.expires_at
    }

    const fn state(&self) -> CellState {
        match self.ttl {
            0 => CellState::Live,
            ttl => CellState::Expiring { expires_at: self.expires_at, ttl },
        }
    }
}

/// Whether an item outlives the deletions above it; `active` becomes the column's own where that is greater.
fn survives(item: RowItem<'_>, active: &mut Deletion) -> bool {
    match item {
        RowItem::Deletion { deletion, .. } => {
            let survives = deletion > *active;
            *active = deletion.max(*active);
            survives
        }
        RowItem::Cell(cell) => !active.deletes(cell.timestamp),
    }
}

fn decode_cell(row: &mut Row, cell: CellRef<'_>) {
    let owned = Cell {
        timestamp: cell.timestamp,
        state: cell.state,
        value: Bytes::copy_from_slice(cell.value),
    };
    let Some(path) = cell.path else {
        row.columns.push((cell.column, ColumnCells::Simple(owned)));
        return;
    };
    let element = (Bytes::copy_from_slice(path), owned);
    if let Some((column, ColumnCells::Complex { cells, .. })) = row.columns.last_mut()
        && *column == cell.column
    {
        cells.push(element);
        return;
    }
    let column = ColumnCells::Complex { deletion: Deletion::NONE, cells: vec![element] };
    row.columns.push((cell.column, column));
}

#[inline]
fn decode_stamp(bytes: &mut &[u8], flags: u8, base: Timestamp) -> Option<Liveness> {
    let timestamp = decode_i64(bytes)?.wrapping_add(base);
    if flags & STAMP_EXPIRING == 0 {
        return Some(Liveness { timestamp, ttl: 0, expires_at: 0 });
    }
    let (ttl, expires_at) = decode_expiry(bytes, timestamp)?;
    Some(Liveness { timestamp, ttl, expires_at })
}

fn decode_expiry(bytes: &mut &[u8], timestamp: Timestamp) -> Option<(u32, Seconds)> {
    let ttl = u32::try_from(decode_u64(bytes)?).ok().filter(|ttl| *ttl > 0)?;
    let expires_at = decode_i64(bytes)?.wrapping_add(seconds_of(timestamp));
    Some((ttl, expires_at.wrapping_add(Seconds::from(ttl))))
}

/// Takes a deletion off the front, its timestamp relative to `from`.
fn decode_deletion(bytes: &mut &[u8], from: Timestamp) -> Option<Deletion> {
    let timestamp = decode_i64(bytes)?.wrapping_add(from);
    Some(Deletion { timestamp, deleted_at: decode_age(bytes, timestamp)? })
}

fn decode_age(bytes: &mut &[u8], timestamp: Timestamp) -> Option<Seconds> {
    Some(decode_i64(bytes)?.wrapping_add(seconds_of(timestamp)))
}

/// When a write of that timestamp was probably made: what deletion and expiry times are stored relative to.
const fn seconds_of(timestamp: Timestamp) -> Seconds {
    timestamp.div_euclid(1_000_000)
}
