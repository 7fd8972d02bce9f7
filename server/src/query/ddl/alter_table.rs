//! ALTER TABLE.

use std::sync::Arc;

use tholos_grammar::ast::schema::{AlterTable, ColumnDefinition, Options, TableChange};
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::model::Timestamp;
use tholos_storage::schema::{Column, ColumnKind, DroppedColumn, SchemaChange, Table};

use super::columns::{check_column_type, check_table};
use super::options::OptionReader;
use super::{DdlContext, no_effect, object_effect, table_options};
use crate::error::{At, QueryError};
use crate::query::plan::SchemaEffect;
use crate::query::types::assign::assignable;
use crate::query::types::resolve_type;

/// ALTER TABLE.
///
/// # Errors
/// [`QueryError::Invalid`] when the table or a column does not exist, or the change can't be made;
/// [`QueryError::Config`] for wrong options.
pub fn alter(statement: &AlterTable, context: &DdlContext<'_>) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&statement.name)?;
    let name = &statement.name.name;
    context.check_user_keyspace(keyspace)?;
    let Some(known) = context.plan.catalogue.table(keyspace.as_str(), name.as_str()) else {
        if statement.if_exists {
            return Ok(no_effect());
        }
        return Err(QueryError::invalid(format!(
            "table {keyspace}.{name} does not exist: DESCRIBE TABLES lists those that do"
        )))
        .at(name.span);
    };
    let mut table = Table::clone(known);
    let mut warnings = Vec::new();
    match &statement.change {
        TableChange::Add { if_not_exists, columns } => {
            columns.iter().try_for_each(|column| {
                add(&mut table, column, *if_not_exists, context).at(column.name.span)
            })?;
        }
        TableChange::Drop { if_exists, columns, timestamp } => {
            let drop =
                ColumnDrop { if_exists: *if_exists, timestamp: *timestamp, now: context.now };
            columns.iter().try_for_each(|name| drop.column(&mut table, name).at(name.span))?;
        }
        TableChange::Rename { if_exists, columns } => {
            columns.iter().try_for_each(|(from, to)| {
                rename(&mut table, from, to, *if_exists).at(from.span)
            })?;
        }
        TableChange::With(options) => warnings = with(&mut table, options)?,
        TableChange::Type { column, .. } => {
            return Err(QueryError::invalid(format!(
                "cannot alter the type of column {column}: altering column types is not supported (as in Cassandra since 3.0.11); add another column and copy"
            )))
            .at(column.span);
        }
        TableChange::DropCompactStorage => {
            return Err(QueryError::invalid(format!(
                "cannot DROP COMPACT STORAGE: table {keyspace}.{name} has none"
            )));
        }
    }
    check_counters(&table)?;
    check_table(&table)?;
    let mut effect = match table == **known {
        true => no_effect(),
        false => {
            let change = SchemaChange::PutTable(Arc::new(table));
            object_effect("UPDATED", "TABLE", keyspace, name, change)
        }
    };
    effect.warnings = warnings;
    Ok(effect)
}

/// Counters go with counters only. To Cassandra that is a wrong statement in CREATE, and a wrong table after ALTER.
fn check_counters(table: &Table) -> Result<(), QueryError> {
    let values = || table.statics.iter().chain(&table.regulars);
    let counter = values().find(|column| column.cql_type.is_counter());
    let other = values().find(|column| !column.cql_type.is_counter());
    match (counter, other) {
        (Some(counter), Some(other)) => Err(QueryError::Config(format!(
            "{}.{}: cannot have a counter column ({}) beside one that is none ({}): put counters into a table of their own",
            table.keyspace, table.name, counter.name, other.name
        ))),
        _ => Ok(()),
    }
}

fn add(
    table: &mut Table,
    definition: &ColumnDefinition,
    if_not_exists: bool,
    context: &DdlContext<'_>,
) -> Result<(), QueryError> {
    let name = &definition.name;
    if table.column(name.as_str()).is_some() {
        if if_not_exists {
            return Ok(());
        }
        return Err(QueryError::invalid(format!(
            "column with name {name} already exists in {}.{}: use IF NOT EXISTS, or another name",
            table.keyspace, table.name
        )));
    }
    let cql_type = resolve_type(&definition.type_name, &table.keyspace, context.plan.catalogue)?;
    check_column_type(name, &cql_type)?;
    let kind = if definition.is_static { ColumnKind::Static } else { ColumnKind::Regular };
    if let Some(dropped) = table.dropped.get(name.as_str()) {
        check_readded(name, &cql_type, kind, &dropped.column)?;
    }
    let kept = table.dropped.get(name.as_str()).filter(|dropped| dropped.keeps_newer);
    let id = kept.map_or(table.next_column_id, |dropped| dropped.column.id);
    table.next_column_id = table.next_column_id.max(id + 1);
    let column = Column { id, name: name.name.clone(), cql_type, kind, descending: false };
    let columns = if definition.is_static { &mut table.statics } else { &mut table.regulars };
    let at = columns.partition_point(|other| other.name < **name);
    columns.insert(at, column);
    Ok(())
}

/// A column that was dropped may come back as what it was. Its old data stays gone: it gets a new number, unless it was
/// dropped with a timestamp, and then what is newer is there again.
fn check_readded(
    name: &Name,
    cql_type: &CqlType,
    kind: ColumnKind,
    dropped: &Column,
) -> Result<(), QueryError> {
    if dropped.kind != kind {
        let kind = if dropped.kind == ColumnKind::Static { "static" } else { "regular" };
        return Err(QueryError::invalid(format!(
            "cannot re-add previously dropped {kind} column {name} as another kind: use another name"
        )));
    }
    if dropped.cql_type.is_counter() {
        return Err(QueryError::invalid(format!(
            "cannot re-add previously dropped counter column {name}"
        )));
    }
    let multi_cell = dropped.cql_type.is_multi_cell() == cql_type.is_multi_cell();
    if !multi_cell || !assignable(&dropped.cql_type, cql_type) {
        return Err(QueryError::invalid(format!(
            "cannot re-add previously dropped column {name} of type {cql_type}, incompatible with previous type {}: use another name",
            dropped.cql_type
        )));
    }
    Ok(())
}

/// How columns are dropped.
struct ColumnDrop {
    if_exists: bool,
    /// USING TIMESTAMP: what was written later is there again when the column is.
    timestamp: Option<Timestamp>,
    now: Timestamp,
}

impl ColumnDrop {
    fn column(&self, table: &mut Table, name: &Name) -> Result<(), QueryError> {
        let Some(column) = table.column(name.as_str()).cloned() else {
            if self.if_exists {
                return Ok(());
            }
            return Err(QueryError::invalid(format!(
                "column {name} was not found in table {}.{}",
                table.keyspace, table.name
            )));
        };
        match column.kind {
            ColumnKind::PartitionKey | ColumnKind::Clustering => {
                return Err(QueryError::invalid(format!("cannot drop PRIMARY KEY column {name}")));
            }
            ColumnKind::Static => table.statics.retain(|other| other.id != column.id),
            ColumnKind::Regular => table.regulars.retain(|other| other.id != column.id),
        }
        // What an earlier DROP took stays gone.
        let earlier = table.dropped.get(name).filter(|earlier| earlier.column.id == column.id);
        let floor = earlier.map_or(Timestamp::MIN, |earlier| earlier.dropped_at);
        let dropped_at = self.timestamp.unwrap_or(self.now).max(floor);
        let keeps_newer = self.timestamp.is_some();
        table.dropped.insert(name.clone(), DroppedColumn { column, dropped_at, keeps_newer });
        Ok(())
    }
}

/// Only key columns can be renamed: their names stand nowhere in the data.
fn rename(table: &mut Table, from: &Name, to: &Name, if_exists: bool) -> Result<(), QueryError> {
    let Some(column) = table.column(from.as_str()) else {
        if if_exists {
            return Ok(());
        }
        return Err(QueryError::invalid(format!(
            "column {from} was not found in table {}.{}",
            table.keyspace, table.name
        )));
    };
    if !matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
        return Err(QueryError::invalid(format!(
            "cannot rename non PRIMARY KEY part {from}: only key columns can be renamed"
        )));
    }
    if table.column(to.as_str()).is_some() {
        return Err(QueryError::invalid(format!(
            "cannot rename column {from} to {to} in table {}.{}: another column of that name already exists",
            table.keyspace, table.name
        )));
    }
    let mut key = table.partition_key.iter_mut().chain(&mut table.clustering);
    if let Some(column) = key.find(|column| column.name == *from) {
        column.name = to.clone();
    }
    Ok(())
}

fn with(table: &mut Table, options: &Options) -> Result<Vec<String>, QueryError> {
    let mut reader = OptionReader::new(options)?;
    if reader.has("id") {
        return Err(QueryError::Config(
            "cannot alter table id: drop the table and create it".to_owned(),
        ));
    }
    let warnings = table_options::apply(&mut table.options, &mut reader)?;
    reader.finish()?;
    Ok(warnings)
}
