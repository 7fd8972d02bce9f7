//! What expressions ask of the row that they are evaluated over.

use std::borrow::Cow;

use super::CellFact;
use crate::error::QueryError;
use crate::query::keys::Component;

/// A row, or what was gathered of a group of rows.
pub trait Row<'v> {
    /// Whether what is evaluated is shown: only then may lists and maps hold nulls.
    const IS_SHOWN: bool = true;

    /// The value of a slot.
    ///
    /// # Errors
    /// [`QueryError::Internal`] for damaged rows.
    fn column(&self, slot: usize) -> Result<Option<Cow<'v, [u8]>>, QueryError>;

    /// A fact about a slot's cells.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn cells(
        &self,
        fact: CellFact,
        slot: usize,
        cells: &Cells,
    ) -> Result<Option<Cow<'v, [u8]>>, QueryError>;

    /// The token of the row's partition.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn token(&self) -> Result<[u8; 8], QueryError>;

    /// What was gathered of that number.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn gathered(&self, number: usize) -> Result<Option<Cow<'v, [u8]>>, QueryError>;
}

/// Which cells of a column.
pub enum Cells {
    /// All of them.
    All,
    /// That of the element or field of this path.
    At(Component),
    /// Those of elements between two paths.
    Between(Option<Component>, Option<Component>),
}

/// Where there is no row.
pub struct NoRow;

fn no_row<T>() -> Result<T, QueryError> {
    Err(QueryError::Internal("an expression over a row was evaluated without one".to_string()))
}

impl<'v> Row<'v> for NoRow {
    const IS_SHOWN: bool = false;

    fn column(&self, _: usize) -> Result<Option<Cow<'v, [u8]>>, QueryError> {
        no_row()
    }

    fn cells(&self, _: CellFact, _: usize, _: &Cells) -> Result<Option<Cow<'v, [u8]>>, QueryError> {
        no_row()
    }

    fn token(&self) -> Result<[u8; 8], QueryError> {
        no_row()
    }

    fn gathered(&self, _: usize) -> Result<Option<Cow<'v, [u8]>>, QueryError> {
        no_row()
    }
}
