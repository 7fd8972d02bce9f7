//! Which part of a position orders rows.

use tholos_storage::key::decode_component;
use tholos_storage::model::position::COMPONENT;
use tholos_storage::schema::Table;

use crate::error::QueryError;

/// How many bytes of a position are its first so many clustering columns; `None` if it has not as many.
pub(super) fn order_len(
    table: &Table,
    position: &[u8],
    columns: usize,
) -> Result<Option<usize>, QueryError> {
    let mut rest = position;
    let mut value = Vec::new();
    for column in table.clustering.iter().take(columns) {
        let Some((&COMPONENT, after)) = rest.split_first() else { return Ok(None) };
        rest = after;
        value.clear();
        decode_component(&column.cql_type, column.descending, &mut rest, &mut value).map_err(
            |error| {
                QueryError::Internal(format!(
                    "storage gave a key that is none of {}.{}: {error}",
                    table.keyspace, table.name
                ))
            },
        )?;
    }
    Ok(Some(position.len() - rest.len()))
}
