//! Writing an encoded row, item by item.

use smallvec::SmallVec;

use super::items::{
    COMPLEX_DELETION, EXPIRING, EXPIRING_AT, LIVE, LIVE_AT, PATH, SAME, TOMBSTONE, TOMBSTONE_AT,
};
use super::{CellRef, DELETION, LIVENESS, RowItem, STAMP, STAMP_EXPIRING, seconds_of, survives};
use crate::model::entry::RowBuf;
use crate::model::{CellState, ColumnId, Deletion, Liveness, Seconds, Timestamp, WRITTEN_KEYS};
use crate::varint::{Encoded, encode_i64, encode_slice, encode_u64};

/// Writes a row's encoded form directly: liveness and deletion first, then items ascending by column and path, a
/// complex deletion before its column's cells. What a deletion given earlier deletes is left out, so the row is always
/// canonical. Timestamps are relative to 0; see [`copy_body`](crate::model::entry::RowRef::copy_body).
#[derive(Debug)]
pub struct RowBuilder {
    head: SmallVec<[u8; 8]>,
    body: Vec<u8>,
    /// Where in the body the last value begins, as long as it has no length: none is needed if it stays the last.
    value_at: Option<usize>,
    liveness: Option<Liveness>,
    deletion: Option<Deletion>,
    enclosing: Deletion,
    stamp: Option<Liveness>,
    /// The last column written.
    column: Option<ColumnId>,
    /// The column given last, and the greatest deletion above its cells.
    active: Option<(ColumnId, Deletion)>,
}

impl RowBuilder {
    /// An empty row.
    pub fn new() -> Self {
        Self::reusing(RowBuf::default())
    }

    /// An empty row with room for a body of that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let (head, body) = (SmallVec::new(), Vec::with_capacity(bytes));
        Self::reusing(RowBuf { head, body })
    }

    /// An empty row that is written into the memory of another.
    pub fn reusing(RowBuf { mut head, mut body }: RowBuf) -> Self {
        head.clear();
        body.clear();
        RowBuilder {
            head,
            body,
            value_at: None,
            liveness: None,
            deletion: None,
            enclosing: Deletion::NONE,
            stamp: None,
            column: None,
            active: None,
        }
    }

    /// Leaves out whatever this deletion of the partition or of a range deletes, too. Before anything else.
    pub fn under(mut self, enclosing: Deletion) -> Self {
        self.enclosing = enclosing;
        self
    }

    /// The row exists by itself, as INSERT writes it. Before any cell.
    pub fn liveness(&mut self, liveness: Liveness) {
        debug_assert!(self.active.is_none(), "liveness comes before the cells");
        self.liveness = Some(liveness);
    }

    /// The row's own deletion. Before any cell.
    pub fn deletion(&mut self, deletion: Deletion) {
        debug_assert!(self.active.is_none(), "the row deletion comes before the cells");
        self.deletion = Some(deletion).filter(|deletion| *deletion > self.enclosing);
    }

    /// Deletes earlier elements of a multi-cell column. Before the column's cells; [`Deletion::NONE`] writes nothing.
    pub fn complex_deletion(&mut self, column: ColumnId, deletion: Deletion) {
        let active = self.active_above(column);
        if !survives(RowItem::Deletion { column, deletion }, active) {
            return;
        }
        let timestamp = deletion.timestamp.wrapping_add(1);
        let stamp = self.stamp_or(Liveness { timestamp, ttl: 0, expires_at: 0 });
        self.item_head(column, COMPLEX_DELETION);
        encode_i64(&mut self.body, deletion.timestamp.wrapping_sub(stamp.timestamp));
        encode_age(&mut self.body, deletion.deleted_at, deletion.timestamp);
    }

    /// A cell. A tombstone's value is left out.
    pub fn cell(&mut self, cell: CellRef<'_>) {
        if !survives(RowItem::Cell(cell), self.active_above(cell.column)) {
            return;
        }
        let (ttl, expires_at) = match cell.state {
            CellState::Expiring { expires_at, ttl } => (ttl, expires_at),
            _ => (0, 0),
        };
        let own = Liveness { timestamp: cell.timestamp, ttl, expires_at };
        let stamp = self.stamp_or(own);
        let kind = kind_of(cell.timestamp, cell.state, stamp);
        self.item_head(cell.column, kind | if cell.path.is_some() { PATH } else { 0 });
        let out = &mut self.body;
        if let Some(path) = cell.path {
            encode_slice(out, path);
        }
        if matches!(kind, LIVE | EXPIRING | TOMBSTONE) {
            encode_i64(out, cell.timestamp.wrapping_sub(stamp.timestamp));
        }
        match cell.state {
            CellState::Tombstone { deleted_at } => {
                return encode_age(out, deleted_at, cell.timestamp);
            }
            CellState::Expiring { .. } if kind != SAME => encode_expiry(out, &own),
            _ => {}
        }
        self.value_at = Some(out.len());
        out.extend_from_slice(cell.value);
    }

    /// An item of another row.
    pub fn item(&mut self, item: RowItem<'_>) {
        match item {
            RowItem::Deletion { column, deletion } => self.complex_deletion(column, deletion),
            RowItem::Cell(cell) => self.cell(cell),
        }
    }

    /// Whether nothing makes the row exist so far: no liveness, and no cell of a column.
    pub fn is_bare(&self) -> bool {
        self.liveness.is_none() && self.column.is_none_or(|column| column >= WRITTEN_KEYS)
    }

    /// The row; [`RowBuf::is_empty`] if it says nothing.
    pub fn finish(mut self) -> RowBuf {
        if self.head.is_empty() {
            let liveness = self.surviving_liveness();
            self.stamp = liveness;
            self.write_header(liveness.is_some());
        }
        RowBuf { head: self.head, body: self.body }
    }

    fn surviving_liveness(&self) -> Option<Liveness> {
        let deletion = self.deletion.unwrap_or(self.enclosing);
        self.liveness.filter(|liveness| !deletion.deletes(liveness.timestamp))
    }

    fn active_above(&mut self, column: ColumnId) -> &mut Deletion {
        let own = self.deletion.unwrap_or(self.enclosing);
        match &mut self.active {
            Some((current, _)) if *current == column => {}
            other => *other = Some((column, own)),
        }
        &mut self.active.get_or_insert((column, own)).1
    }

    /// The stamp; the first item decides it, if there is no liveness, and it ends the header.
    fn stamp_or(&mut self, first: Liveness) -> Liveness {
        if let Some(stamp) = self.stamp {
            return stamp;
        }
        let liveness = self.surviving_liveness();
        let stamp = liveness.unwrap_or(first);
        self.stamp = Some(stamp);
        self.write_header(liveness.is_some());
        stamp
    }

    fn write_header(&mut self, is_liveness: bool) {
        let mut flags = if is_liveness { LIVENESS } else { 0 };
        if let Some(stamp) = self.stamp {
            flags |= STAMP;
            encode_i64(&mut self.body, stamp.timestamp);
            if stamp.ttl > 0 {
                flags |= STAMP_EXPIRING;
                encode_expiry(&mut self.body, &stamp);
            }
        }
        if let Some(deletion) = self.deletion {
            flags |= DELETION;
            encode_i64(&mut self.body, deletion.timestamp);
            encode_age(&mut self.body, deletion.deleted_at, deletion.timestamp);
        }
        self.head.push(flags);
    }

    /// Begins another item: the value before it is not the last one, so it gets its length.
    fn item_head(&mut self, column: ColumnId, bits: u64) {
        if let Some(at) = self.value_at.take() {
            let end = self.body.len();
            encode_u64(&mut self.body, (end - at) as u64);
            let len_bytes = self.body.len() - end;
            self.body[at..].rotate_right(len_bytes);
        }
        let last = self.column.replace(column).unwrap_or(0);
        debug_assert!(last <= column, "columns ascend: {column} comes after {last}");
        let head = Encoded::of(u64::from(column.wrapping_sub(last)) << 4 | bits);
        self.head.extend_from_slice(&head);
    }
}

impl Default for RowBuilder {
    fn default() -> Self {
        Self::new()
    }
}

const fn kind_of(timestamp: Timestamp, state: CellState, stamp: Liveness) -> u64 {
    let at_stamp = timestamp == stamp.timestamp;
    match state {
        CellState::Live if at_stamp && stamp.ttl == 0 => SAME,
        CellState::Live if at_stamp => LIVE_AT,
        CellState::Live => LIVE,
        CellState::Expiring { expires_at, ttl }
            if at_stamp && ttl == stamp.ttl && expires_at == stamp.expires_at =>
        {
            SAME
        }
        CellState::Expiring { .. } if at_stamp => EXPIRING_AT,
        CellState::Expiring { .. } => EXPIRING,
        CellState::Tombstone { .. } if at_stamp => TOMBSTONE_AT,
        CellState::Tombstone { .. } => TOMBSTONE,
    }
}

fn encode_expiry(out: &mut Vec<u8>, expiring: &Liveness) {
    encode_u64(out, u64::from(expiring.ttl));
    let expected = seconds_of(expiring.timestamp).wrapping_add(Seconds::from(expiring.ttl));
    encode_i64(out, expiring.expires_at.wrapping_sub(expected));
}

fn encode_age(out: &mut Vec<u8>, deleted_at: Seconds, timestamp: Timestamp) {
    encode_i64(out, deleted_at.wrapping_sub(seconds_of(timestamp)));
}
