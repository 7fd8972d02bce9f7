//! From column writes to the encoded row.

use std::borrow::Cow;

use tholos_storage::model::row::{CellRef, RowBuilder, RowItem};
use tholos_storage::model::{CellState, ColumnId};

use super::elements::{ElementCell, ElementContext, ListPaths, several, unreadable, whole};
use super::operations::{ColumnWrite, Write};
use crate::error::QueryError;
use crate::query::term::{Evaluated, Expr};

/// Appends what some writes come to; they are sorted by column id.
///
/// # Errors
/// [`QueryError::Invalid`] for values that don't fit; see [`several`].
pub fn write_columns<'v>(
    builder: &mut RowBuilder,
    writes: &'v [ColumnWrite],
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<(), QueryError> {
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
            Write::Count { by, negative } => write_count(builder, column, by, *negative, context)?,
        }
    }
    Ok(())
}

/// Assigns a multi-cell column as a whole: earlier elements are deleted just before the new ones are written.
fn write_whole<'v>(
    builder: &mut RowBuilder,
    column: &'v ColumnWrite,
    expr: &'v Expr,
    paths: &mut ListPaths,
    context: ElementContext<'_, 'v>,
) -> Result<(), QueryError> {
    match expr.evaluate(context.values, context.call)? {
        Evaluated::Unset => {}
        Evaluated::Null => builder.complex_deletion(column.id, context.time.deletion()),
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

/// Writes a counter's new value: the one it has, changed, at a timestamp above every one it had. Whoever executes this
/// sees to it that nobody else does so at the same time.
fn write_count(
    builder: &mut RowBuilder,
    column: &ColumnWrite,
    by: &Expr,
    negative: bool,
    context: ElementContext<'_, '_>,
) -> Result<(), QueryError> {
    let by = match by.evaluate(context.values, context.call)? {
        Evaluated::Unset => return Ok(()),
        Evaluated::Null => Cow::Borrowed(&[][..]),
        Evaluated::Bytes(bytes) => bytes,
    };
    let Ok(by) = by.as_ref().try_into().map(i64::from_be_bytes) else {
        return Err(QueryError::invalid(format!(
            "the change of counter {} is null: counters change by a number",
            column.name
        )));
    };
    // Clients' clocks may be behind that of whoever deleted the counter: an increment must not be lost for it.
    let (mut current, mut timestamp) = (0, context.time.timestamp.max(context.call.time.micros));
    let items = context.existing.map(|row| row.items().map_err(unreadable)).transpose()?;
    for item in items.into_iter().flatten() {
        if let RowItem::Cell(cell) = item.map_err(unreadable)?
            && cell.column == column.id
        {
            timestamp = timestamp.max(cell.timestamp.saturating_add(1));
            if cell.is_live(context.time.now) {
                current = cell.value.try_into().map(i64::from_be_bytes).unwrap_or(0);
            }
        }
    }
    let value =
        if negative { i64::wrapping_sub(current, by) } else { i64::wrapping_add(current, by) };
    builder.cell(CellRef {
        column: column.id,
        path: None,
        timestamp,
        state: CellState::Live,
        value: &value.to_be_bytes(),
    });
    Ok(())
}
