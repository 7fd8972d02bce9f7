//! Rows of virtual tables: typed values by column name, laid into a memtable as an INSERT would write them.

use smallvec::SmallVec;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;
use tholos_storage::key::encode_shared;
use tholos_storage::memtable::{Memtable, NotApplied};
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::ROW;
use tholos_storage::model::row::{CellRef, RowBuilder};
use tholos_storage::model::{CellState, ColumnId, Liveness, Timestamp};
use tholos_storage::schema::{Column, Table};

use crate::error::QueryError;
use crate::query::keys;

/// One row: values by column name; columns that are left out, or `None`, are null.
pub(super) type Row<'r> = Vec<(&'r str, Option<Value>)>;

/// A cell: its path in a multi-cell column, and its value.
type PathAndValue = (Option<Vec<u8>>, Vec<u8>);

/// Collects the rows of one table.
pub(super) struct TableRows<'t> {
    table: &'t Table,
    memtable: Memtable,
    timestamp: Timestamp,
    /// Rows of other partitions are left out.
    wanted: Option<&'t [keys::Partition]>,
}

impl<'t> TableRows<'t> {
    /// No rows yet; those that come are written at `timestamp`.
    pub(super) fn new(
        table: &'t Table,
        timestamp: Timestamp,
        wanted: Option<&'t [keys::Partition]>,
    ) -> Self {
        TableRows { table, memtable: Memtable::new(1), timestamp, wanted }
    }

    /// The rows.
    pub(super) fn into_memtable(self) -> Memtable {
        self.memtable
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: &Row<'_>) -> Result<(), QueryError> {
        let key = self.key_values(&self.table.partition_key, row)?;
        let key: Vec<&[u8]> = key.iter().map(Vec::as_slice).collect();
        let partition = keys::encode_partition(self.table, &key)?;
        if self.wanted.is_some_and(|wanted| !wanted.contains(&partition)) {
            return Ok(());
        }
        let clustering = self.key_values(&self.table.clustering, row)?;
        let clustering: Vec<&[u8]> = clustering.iter().map(Vec::as_slice).collect();
        let update = Update::Row {
            position: keys::encode_clustering(self.table, &clustering, ROW)?,
            row: self.cells(row)?,
        };
        let mutation =
            Mutation { table: self.table.id, partition, updates: SmallVec::from_iter([update]) };
        match self.memtable.apply(&mutation, || Ok(())) {
            Ok(_) => Ok(()),
            Err(NotApplied::Failed(error)) => Err(QueryError::Storage(error)),
            Err(NotApplied::Frozen) => Err(self.defect("its rows are frozen")),
        }
    }

    fn key_values(&self, columns: &[Column], row: &Row<'_>) -> Result<Vec<Vec<u8>>, QueryError> {
        columns
            .iter()
            .map(|column| match value_of(row, column) {
                Some(value) => self.encode(value, &column.cql_type),
                None => Err(self.defect(&format!("{} is missing", column.name))),
            })
            .collect()
    }

    fn cells(&self, row: &Row<'_>) -> Result<tholos_storage::model::entry::RowBuf, QueryError> {
        let timestamp = self.timestamp;
        let mut builder = RowBuilder::new();
        builder.liveness(Liveness { timestamp, ttl: 0, expires_at: 0 });
        let mut columns: Vec<&Column> = self.table.regulars.iter().collect();
        columns.sort_by_key(|column| column.id);
        for column in columns {
            let Some(value) = value_of(row, column) else { continue };
            for (path, bytes) in self.column_cells(column, value)? {
                builder.cell(self.cell(column.id, path.as_deref(), &bytes));
            }
        }
        Ok(builder.finish())
    }

    fn cell<'c>(&self, column: ColumnId, path: Option<&'c [u8]>, value: &'c [u8]) -> CellRef<'c> {
        CellRef { column, path, timestamp: self.timestamp, state: CellState::Live, value }
    }

    /// One cell, or one for each element of a set or map that is not frozen, by path.
    fn column_cells(
        &self,
        column: &Column,
        value: &Value,
    ) -> Result<Vec<PathAndValue>, QueryError> {
        if !column.cql_type.is_multi_cell() {
            return Ok(vec![(None, self.encode(value, &column.cql_type)?)]);
        }
        let mut cells = match (&column.cql_type, value) {
            (CqlType::Set { element, .. }, Value::Set(elements)) => elements
                .iter()
                .map(|value| Ok((Some(self.path(value, element)?), Vec::new())))
                .collect::<Result<Vec<_>, QueryError>>()?,
            (CqlType::Map { key, value: ty, .. }, Value::Map(entries)) => entries
                .iter()
                .map(|(k, v)| Ok((Some(self.path(k, key)?), self.encode(v, ty)?)))
                .collect::<Result<Vec<_>, QueryError>>()?,
            _ => return Err(self.defect(&format!("{} has a value of another type", column.name))),
        };
        cells.sort();
        cells.dedup_by(|a, b| a.0 == b.0);
        Ok(cells)
    }

    fn path(&self, value: &Value, ty: &CqlType) -> Result<Vec<u8>, QueryError> {
        let bytes = self.encode(value, ty)?;
        let mut path = Vec::new();
        encode_shared(ty, &bytes, false, &mut path)
            .map_err(|error| self.defect(&error.to_string()))?;
        Ok(path)
    }

    fn encode(&self, value: &Value, ty: &CqlType) -> Result<Vec<u8>, QueryError> {
        let mut bytes = Vec::new();
        value.encode(ty, &mut bytes).map_err(|error| self.defect(&error.to_string()))?;
        Ok(bytes)
    }

    fn defect(&self, what: &str) -> QueryError {
        QueryError::Internal(format!(
            "a row of {}.{} can't be made: {what}",
            self.table.keyspace, self.table.name
        ))
    }
}

fn value_of<'r>(row: &'r Row<'_>, column: &Column) -> Option<&'r Value> {
    let found = row.iter().find(|(name, _)| column.name == **name)?;
    found.1.as_ref()
}

/// `text`, or null.
pub(super) fn text(text: impl Into<String>) -> Option<Value> {
    Some(Value::Text(text.into()))
}

/// `list<text>`
pub(super) fn text_list<T: ToString>(items: impl IntoIterator<Item = T>) -> Option<Value> {
    Some(Value::List(items.into_iter().map(|item| Value::Text(item.to_string())).collect()))
}

/// `set<text>`, in order.
pub(super) fn text_set<T: ToString>(items: impl IntoIterator<Item = T>) -> Option<Value> {
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.sort();
    items.dedup();
    Some(Value::Set(items.into_iter().map(Value::Text).collect()))
}

/// `map<text, text>`, in order.
pub(super) fn text_map<'a>(
    entries: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Option<Value> {
    let mut entries: Vec<(&String, &String)> = entries.into_iter().collect();
    entries.sort();
    let value = |text: &String| Value::Text(text.clone());
    Some(Value::Map(entries.into_iter().map(|(k, v)| (value(k), value(v))).collect()))
}
