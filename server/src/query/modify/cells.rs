//! From column writes to the encoded row.

use tholos_storage::model::entry::RowRef;
use tholos_storage::model::row::{CellRef, RowBuilder, RowItem};
use tholos_storage::model::{CellState, ColumnId, Timestamp};

use super::elements::{ElementCell, ElementContext, ListPaths, several, unreadable, whole};
use super::operations::{ColumnWrite, Count, Write};
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::expression::{Evaluated, Expr};

/// Appends what some writes come to; they are sorted by column id.
///
/// # Errors
/// [`QueryError::Invalid`] for values that don't fit; see [`several`].
pub fn write_columns<'v>(
    builder: &mut RowBuilder,
    writes: &'v [ColumnWrite],
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<(), Halt> {
    for column in writes {
        match &column.write {
            Write::Value(expr) if column.cql_type.is_multi_cell() => {
                write_whole(builder, column, expr, paths, context)?;
            }
            Write::Value(expr) => match expr.evaluate(context.values, context.call)? {
                Evaluated::Unset => {}
                Evaluated::Null => write_tombstone(builder, column.id, context),
                Evaluated::Bytes(value) => {
                    let state = context.time.state();
                    write_cell(builder, column.id, state, &value, context);
                }
            },
            Write::Delete if column.cql_type.is_multi_cell() => {
                builder.complex_deletion(column.id, context.time.deletion());
            }
            Write::Delete => write_tombstone(builder, column.id, context),
            Write::Elements(elements) => {
                let cells = several(column, elements, paths, context)?;
                write_elements(builder, column.id, &cells, context);
            }
            Write::Count(counts) => write_count(builder, column, counts, context)?,
        }
    }
    Ok(())
}

/// Assigns a multi-cell column as a whole, null included: earlier elements are deleted just before what the request
/// writes, so that elements added at the same timestamp stay.
fn write_whole<'v>(
    builder: &mut RowBuilder,
    column: &'v ColumnWrite,
    expr: &'v Expr,
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<(), Halt> {
    match expr.evaluate(context.values, context.call)? {
        Evaluated::Unset => {}
        Evaluated::Null => builder.complex_deletion(column.id, context.time.overwrite()),
        Evaluated::Bytes(bytes) => {
            builder.complex_deletion(column.id, context.time.overwrite());
            let cells = whole(&column.cql_type, bytes, paths, context)?;
            write_elements(builder, column.id, &cells, context);
        }
    }
    Ok(())
}

fn write_elements(
    builder: &mut RowBuilder,
    column: ColumnId,
    cells: &[ElementCell<'_>],
    context: ElementContext<'_, '_>,
) {
    for cell in cells {
        builder.cell(CellRef {
            column,
            path: Some(&cell.path),
            timestamp: context.time.timestamp,
            state: cell.state,
            value: &cell.value,
        });
    }
}

fn write_tombstone(builder: &mut RowBuilder, column: ColumnId, context: ElementContext<'_, '_>) {
    write_cell(builder, column, context.time.tombstone(), &[], context);
}

fn write_cell(
    builder: &mut RowBuilder,
    column: ColumnId,
    state: CellState,
    value: &[u8],
    context: ElementContext<'_, '_>,
) {
    let timestamp = context.time.timestamp;
    builder.cell(CellRef { column, path: None, timestamp, state, value });
}

/// Writes a counter's new value: the one it has, changed, so that it wins over the one it has. The timestamp is the
/// statement's, unless the counter was written later: then an increment must not be lost. Whoever executes this sees to
/// it that nobody else does so at the same time.
fn write_count(
    builder: &mut RowBuilder,
    column: &ColumnWrite,
    counts: &[Count],
    context: ElementContext<'_, '_>,
) -> Result<(), Halt> {
    let Some(change) = change(column, counts, context)? else { return Ok(()) };
    let current = match context.existing {
        Some(row) => live_count(row, column.id, context)?,
        None => None,
    };
    let (count, written) = current.unwrap_or((0, i64::MIN));
    let (old, new) = (count.to_be_bytes(), count.wrapping_add(change).to_be_bytes());
    // Of two values of one timestamp the greater bytes win.
    let least = if new >= old { Some(written) } else { written.checked_add(1) };
    let Some(least) = least else {
        return Err(QueryError::invalid(format!(
            "counter {} was written at the greatest timestamp there is and can't change any more: delete it and count anew",
            column.name
        )).into());
    };
    let timestamp = context.time.timestamp.max(least);
    builder.cell(CellRef {
        column: column.id,
        path: None,
        timestamp,
        state: CellState::Live,
        value: &new,
    });
    Ok(())
}

/// By how much a statement changes a counter; `None` if nothing is set.
fn change(
    column: &ColumnWrite,
    counts: &[Count],
    context: ElementContext<'_, '_>,
) -> Result<Option<i64>, Halt> {
    let mut change: Option<i64> = None;
    for Count { by, negative } in counts {
        let by = by.evaluate(context.values, context.call)?;
        if by == Evaluated::Unset {
            continue;
        }
        let Some(Ok(by)) = by.bytes().map(|bytes| bytes.try_into().map(i64::from_be_bytes)) else {
            return Err(QueryError::invalid(format!(
                "the change of counter {} is null: counters change by a number",
                column.name
            ))
            .into());
        };
        let before = change.unwrap_or(0);
        change = Some(if *negative { before.wrapping_sub(by) } else { before.wrapping_add(by) });
    }
    Ok(change)
}

/// A counter's value and when it was written, if it has one.
fn live_count(
    row: RowRef<'_>,
    column: ColumnId,
    context: ElementContext<'_, '_>,
) -> Result<Option<(i64, Timestamp)>, QueryError> {
    for item in row.items().map_err(unreadable)? {
        if let RowItem::Cell(cell) = item.map_err(unreadable)?
            && cell.column == column
            && cell.is_live(context.time.now)
        {
            let count = cell.value.try_into().map(i64::from_be_bytes).unwrap_or(0);
            return Ok(Some((count, cell.timestamp)));
        }
    }
    Ok(None)
}
