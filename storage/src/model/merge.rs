//! How several versions of a row become one (spec sections 2 and 3.1-3.2).
//!
//! Encoded rows are merged item by item straight into an encoded row; nothing is decoded into memory of its own. All
//! results are commutative, associative and idempotent, and canonical: equal content has equal bytes.

use std::cmp::{Ordering, Reverse};

use smallvec::SmallVec;

use crate::model::entry::RowRef;
use crate::model::row::{CellRef, RowBuilder, RowError, RowItem, RowItems};
use crate::model::{CellState, ColumnId, Deletion, Liveness, Seconds};
use crate::planted::planted;

/// Which of two cells at one place stays: the greater (2.1).
pub fn compare_cells(a: &CellRef<'_>, b: &CellRef<'_>) -> Ordering {
    a.timestamp.cmp(&b.timestamp).then_with(|| {
        let (a_class, a_when, a_ttl) = rank(a.state);
        let (b_class, b_when, b_ttl) = rank(b.state);
        (a_class, a_when, a.value, Reverse(a_ttl)).cmp(&(b_class, b_when, b.value, Reverse(b_ttl)))
    })
}

/// Which of two livenesses stays: the greater (3.1).
pub fn compare_liveness(a: &Liveness, b: &Liveness) -> Ordering {
    let key = |l: &Liveness| {
        let expires_at = if l.ttl > 0 { l.expires_at } else { 0 };
        (l.timestamp, l.ttl > 0, expires_at, Reverse(l.ttl))
    };
    key(a).cmp(&key(b))
}

/// Merges versions of one row into `out`, which may lie [under](RowBuilder::under) a greater deletion (3.2).
///
/// # Errors
/// When a row does not decode; `out` is then to be thrown away.
pub fn merge_rows(rows: &[RowRef<'_>], out: &mut RowBuilder) -> Result<(), RowError> {
    let mut liveness: Option<Liveness> = None;
    let mut deletion = Deletion::NONE;
    let mut inputs: SmallVec<[Input<'_>; 4]> = SmallVec::new();
    for row in rows {
        let (header, items) = row.parts()?;
        liveness = match (liveness, header.liveness) {
            (Some(a), Some(b)) if compare_liveness(&a, &b).is_gt() => Some(a),
            (a, b) => b.or(a),
        };
        deletion = deletion.max(header.deletion.unwrap_or(Deletion::NONE));
        inputs.extend(Input::open(items)?);
    }
    out.deletion(deletion);
    if let Some(liveness) = liveness {
        out.liveness(liveness);
    }
    while inputs.len() > 1 {
        let winner = take_least(&mut inputs)?;
        out.item(winner);
    }
    if let Some(Input { head, rest }) = inputs.pop() {
        out.item(head);
        for item in rest {
            out.item(item?);
        }
    }
    Ok(())
}

/// Takes the items at the least place off all inputs that have one there: the one that stays.
fn take_least<'a>(inputs: &mut SmallVec<[Input<'a>; 4]>) -> Result<RowItem<'a>, RowError> {
    let mut winner = inputs[0].head;
    for input in &inputs[1..] {
        winner = match place(&input.head).cmp(&place(&winner)) {
            Ordering::Less => input.head,
            Ordering::Equal => stronger(input.head, winner),
            Ordering::Greater => winner,
        };
    }
    let least = place(&winner);
    let mut index = 0;
    while index < inputs.len() {
        if place(&inputs[index].head) == least && !inputs[index].advance()? {
            inputs.swap_remove(index);
        } else {
            index += 1;
        }
    }
    Ok(winner)
}

struct Input<'a> {
    head: RowItem<'a>,
    rest: RowItems<'a>,
}

impl<'a> Input<'a> {
    fn open(mut rest: RowItems<'a>) -> Result<Option<Self>, RowError> {
        Ok(rest.next().transpose()?.map(|head| Input { head, rest }))
    }

    fn advance(&mut self) -> Result<bool, RowError> {
        match self.rest.next().transpose()? {
            Some(head) => self.head = head,
            None => return Ok(false),
        }
        Ok(true)
    }
}

/// Where in a row an item is: a complex deletion comes before its column's cells.
fn place<'a>(item: &RowItem<'a>) -> (ColumnId, bool, Option<&'a [u8]>) {
    match item {
        RowItem::Deletion { column, .. } => (*column, false, None),
        RowItem::Cell(cell) => (cell.column, true, cell.path),
    }
}

fn stronger<'a>(a: RowItem<'a>, b: RowItem<'a>) -> RowItem<'a> {
    let a_wins = match (&a, &b) {
        (RowItem::Deletion { deletion: a, .. }, RowItem::Deletion { deletion: b, .. }) => a > b,
        (RowItem::Cell(a), RowItem::Cell(b)) => compare_cells(a, b).is_gt(),
        // Never at one place.
        _ => true,
    };
    if a_wins { a } else { b }
}

fn rank(state: CellState) -> (u8, Seconds, u32) {
    if planted!(TieKeepsLiveCell) && matches!(state, CellState::Live) {
        return (3, 0, 0);
    }
    match state {
        CellState::Live => (0, 0, 0),
        CellState::Expiring { expires_at, ttl } => (1, expires_at, ttl),
        CellState::Tombstone { deleted_at } => (2, deleted_at, 0),
    }
}
