//! Columns that were dropped with a timestamp of the user's and may come back: what was written to them up to that
//! timestamp is gone, what is newer counts again once the column does.
//!
//! ```text
//! ALTER TABLE t DROP c USING TIMESTAMP 10;  ALTER TABLE t ADD c int
//!   c written at 10: not there       c written at 11: there
//! ```

use crate::model::entry::{RowBuf, RowRef};
use crate::model::row::{RowBuilder, RowError, RowItem};
use crate::model::{ColumnId, Timestamp};

/// Columns with their floors: what was written to a column at or before its floor is not there.
pub type Floors = [(ColumnId, Timestamp)];

/// What is left of a row above the floors of its columns; `None` if that is all of it, as it mostly is.
///
/// # Errors
/// When the row does not decode.
pub fn above(row: RowRef<'_>, floors: &Floors) -> Result<Option<RowBuf>, RowError> {
    let below = |item: &RowItem<'_>| {
        let timestamp = match item {
            RowItem::Deletion { deletion, .. } => deletion.timestamp,
            RowItem::Cell(cell) => cell.timestamp,
        };
        floors.iter().any(|(column, floor)| *column == item.column() && timestamp <= *floor)
    };
    let mut is_whole = true;
    for item in row.parts()?.1 {
        is_whole &= !below(&item?);
    }
    if is_whole {
        return Ok(None);
    }
    let (header, items) = row.parts()?;
    let mut left = RowBuilder::with_capacity(row.len());
    if let Some(deletion) = header.deletion {
        left.deletion(deletion);
    }
    if let Some(liveness) = header.liveness {
        left.liveness(liveness);
    }
    for item in items {
        match item? {
            item if below(&item) => {}
            RowItem::Deletion { column, deletion } => left.complex_deletion(column, deletion),
            RowItem::Cell(cell) => left.cell(cell),
        }
    }
    Ok(Some(left.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::row::CellRef;
    use crate::model::{CellState, Deletion};

    fn row(cells: &[(ColumnId, Timestamp)]) -> RowBuf {
        let mut builder = RowBuilder::new();
        for (column, timestamp) in cells {
            let (path, state) = (None, CellState::Live);
            builder.cell(CellRef {
                column: *column,
                path,
                timestamp: *timestamp,
                state,
                value: b"x",
            });
        }
        builder.finish()
    }

    #[test]
    fn what_is_at_or_below_the_floor_goes() {
        let floors = [(2, 10), (3, 5)];
        let of = |cells| above(row(cells).as_row(), &floors).unwrap();
        assert_eq!(of(&[(1, 1), (2, 11), (3, 6)]), None);
        assert_eq!(of(&[(1, 1), (2, 10), (3, 6)]), Some(row(&[(1, 1), (3, 6)])));
        assert!(of(&[(2, 9), (3, 5)]).unwrap().is_empty());
        let mut multi = RowBuilder::new();
        multi.complex_deletion(2, Deletion { timestamp: 10, deleted_at: 1 });
        assert!(above(multi.finish().as_row(), &floors).unwrap().unwrap().is_empty());
    }
}
