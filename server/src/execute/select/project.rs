//! What expressions see of rows and of groups of rows.

use std::borrow::Cow;

use tholos_grammar::types::CqlType;
use tholos_grammar::value::codec::writer::push_value;
use tholos_storage::model::position::token_of;
use tholos_storage::model::row::CellRef;

use super::row::RowView;
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::expression::row::{Cells, Row};
use crate::query::expression::{CellFact, Evaluated, Expr};
use crate::query::restriction::evaluate::Evaluator;

/// The value of an expression; `None` is null.
pub(super) fn evaluate<'x, R: Row<'x>>(
    expr: &'x Expr,
    row: &R,
    evaluator: Evaluator<'x>,
) -> Result<Option<Cow<'x, [u8]>>, Halt> {
    match expr.evaluate_over(row, evaluator.values, evaluator.context)? {
        Evaluated::Bytes(bytes) => Ok(Some(bytes)),
        Evaluated::Null => Ok(None),
        Evaluated::Unset => {
            Err(QueryError::invalid("a value in the select list is not set: bind a value, or null")
                .into())
        }
    }
}

impl<'x, 'r: 'x> Row<'x> for RowView<'r> {
    fn column(&self, slot: usize) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
        self.value(slot)
    }

    fn cells(
        &self,
        fact: CellFact,
        slot: usize,
        cells: &Cells,
    ) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
        let live = self.live_cells(slot)?;
        let several = self.slots.get(slot).is_some_and(|slot| slot.cql_type.is_multi_cell());
        let mut chosen = live.iter().filter(|cell| is_of(cells, cell));
        let number = |cell: &CellRef<'_>| match fact {
            CellFact::Ttl => self.ttl(cell).map(|ttl| ttl.to_be_bytes().to_vec()),
            _ => Some(cell.timestamp.to_be_bytes().to_vec()),
        };
        let numbers: Vec<Option<Vec<u8>>> = match (fact, cells) {
            (CellFact::MaxWritetime, _) => {
                let latest = chosen.max_by_key(|cell| cell.timestamp);
                return Ok(latest.and_then(number).map(Cow::Owned));
            }
            (_, Cells::All | Cells::Between(..)) if several => match self.fields(slot) {
                Some(fields) => of_fields(fields, &live, number),
                None => chosen.map(number).collect(),
            },
            _ => return Ok(chosen.next_back().and_then(number).map(Cow::Owned)),
        };
        list(&numbers)
    }

    fn token(&self) -> Result<[u8; 8], QueryError> {
        Ok(token_of(self.prefix).to_be_bytes())
    }

    fn gathered(&self, _: usize) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
        Err(QueryError::Internal("a row is no group of rows".to_string()))
    }
}

impl RowView<'_> {
    /// How many fields a slot has, if it is a user type whose fields are cells.
    fn fields(&self, slot: usize) -> Option<u16> {
        match self.slots.get(slot).map(|slot| &slot.cql_type) {
            Some(CqlType::Udt { definition, .. }) => u16::try_from(definition.fields.len()).ok(),
            _ => None,
        }
    }
}

fn is_of(cells: &Cells, cell: &CellRef<'_>) -> bool {
    // A column of one cell is asked as a whole, whatever part is meant.
    let Some(path) = cell.path else { return true };
    match cells {
        Cells::All => true,
        Cells::At(wanted) => *path == **wanted,
        Cells::Between(from, to) => {
            from.as_ref().is_none_or(|from| *path >= **from)
                && to.as_ref().is_none_or(|to| *path <= **to)
        }
    }
}

/// A number for each field of a user type, null for fields that have no cell; nothing if none has.
fn of_fields(
    fields: u16,
    cells: &[CellRef<'_>],
    number: impl Fn(&CellRef<'_>) -> Option<Vec<u8>>,
) -> Vec<Option<Vec<u8>>> {
    if cells.is_empty() {
        return Vec::new();
    }
    let of =
        |field: u16| cells.iter().find(|cell| cell.path.is_some_and(|p| *p == field.to_be_bytes()));
    (0..fields).map(|field| of(field).and_then(&number)).collect()
}

/// The list of numbers; null when there is none.
fn list<'x>(numbers: &[Option<Vec<u8>>]) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
    if numbers.is_empty() {
        return Ok(None);
    }
    let mut out = (numbers.len() as i32).to_be_bytes().to_vec();
    for number in numbers {
        push_value(number.as_deref(), &mut out)
            .map_err(|error| QueryError::invalid(error.to_string()))?;
    }
    Ok(Some(Cow::Owned(out)))
}

/// What was gathered of a group of rows.
pub(super) struct Group<'g>(pub(super) &'g [Option<Vec<u8>>]);

impl<'x> Row<'x> for Group<'_> {
    fn column(&self, _: usize) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
        Err(no_row())
    }

    fn cells(&self, _: CellFact, _: usize, _: &Cells) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
        Err(no_row())
    }

    fn token(&self) -> Result<[u8; 8], QueryError> {
        Err(no_row())
    }

    fn gathered(&self, number: usize) -> Result<Option<Cow<'x, [u8]>>, QueryError> {
        Ok(self.0.get(number).cloned().flatten().map(Cow::Owned))
    }
}

fn no_row() -> QueryError {
    QueryError::Internal("a group of rows is no row".to_string())
}
