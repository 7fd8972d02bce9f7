//! CREATE TABLE and DROP TABLE.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{ColumnDefinition, CreateTable, DropObject};
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::options::TableOptions;
use tholos_storage::schema::{Column, ColumnKind, SchemaChange, Table, TableId};
use uuid::Uuid;

use super::columns::{check_column_type, check_key_type, check_table};
use super::names::check_table_name;
use super::options::OptionReader;
use super::{DdlContext, no_effect, object_effect, table_options};
use crate::error::{At, QueryError};
use crate::query::plan::SchemaEffect;
use crate::query::types::{is_reversed, resolve_type};

/// CREATE TABLE.
///
/// # Errors
/// [`QueryError::AlreadyExists`]; [`QueryError::Invalid`] for columns and keys that make no table;
/// [`QueryError::Config`] for wrong options.
pub fn create(
    statement: &CreateTable,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&statement.name)?;
    let name = &statement.name.name;
    context.check_user_keyspace(keyspace)?;
    check_table_name(name).at(name.span)?;
    if context.keyspace(keyspace).at(name.span)?.tables.contains_key(name.as_str()) {
        if statement.if_not_exists {
            return Ok(no_effect());
        }
        return Err(QueryError::AlreadyExists {
            keyspace: keyspace.clone(),
            table: Some(name.name.clone()),
        });
    }
    let mut reader = OptionReader::new(&statement.options)?;
    let id = table_id(&mut reader, context)?;
    let mut options = TableOptions::default();
    let mut warnings = table_options::apply(&mut options, &mut reader)?;
    reader.finish()?;
    let mut table = Layout::new(statement, keyspace, context)?.into_table(keyspace, name, id);
    table.options = options;
    check_table(&table)?;
    if statement.compact_storage {
        check_compact(&table)?;
        warnings.push(format!(
            "COMPACT STORAGE has no effect: {keyspace}.{name} is an ordinary table with the columns that were written; leave it out"
        ));
    }
    let change = SchemaChange::PutTable(Arc::new(table));
    let mut effect = object_effect("CREATED", "TABLE", keyspace, name, change);
    effect.warnings = warnings;
    Ok(effect)
}

/// Whether a table could have COMPACT STORAGE. Such tables are made as ordinary ones: the columns that Cassandra hides in
/// them (`column1`, `value`) are those of its storage, and no statement reads them.
fn check_compact(table: &Table) -> Result<(), QueryError> {
    let refused = |why: &str| {
        QueryError::invalid(format!(
            "{why} ({}.{}): leave COMPACT STORAGE out",
            table.keyspace, table.name
        ))
    };
    if !table.statics.is_empty() {
        return Err(refused("static columns are not supported in COMPACT STORAGE tables"));
    }
    if table.regulars.iter().any(|column| column.cql_type.is_multi_cell()) {
        return Err(refused(
            "non-frozen collections and UDTs are not supported with COMPACT STORAGE",
        ));
    }
    match (table.clustering.is_empty(), table.regulars.len()) {
        (true, 0) => Err(refused(
            "a COMPACT STORAGE table without clustering columns needs a column that is not part of the PRIMARY KEY",
        )),
        (false, 2..) => Err(refused(
            "COMPACT STORAGE with composite PRIMARY KEY allows no more than one column not part of the PRIMARY KEY",
        )),
        _ => Ok(()),
    }
}

/// DROP TABLE.
///
/// # Errors
/// [`QueryError::Invalid`] when it does not exist.
pub fn drop(statement: &DropObject, context: &DdlContext<'_>) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&statement.name)?;
    let name = &statement.name.name;
    context.check_user_keyspace(keyspace)?;
    if context.plan.catalogue.table(keyspace.as_str(), name.as_str()).is_none() {
        if statement.if_exists {
            return Ok(no_effect());
        }
        return Err(QueryError::invalid(format!(
            "table {keyspace}.{name} does not exist: DESCRIBE TABLES lists those that do"
        )))
        .at(name.span);
    }
    let change = SchemaChange::DropTable(keyspace.clone(), name.name.clone());
    Ok(object_effect("DROPPED", "TABLE", keyspace, name, change))
}

/// The table's identity: a new one, or that of `WITH id = ...` (what DESCRIBE ... WITH INTERNALS shows).
fn table_id(
    reader: &mut OptionReader<'_>,
    context: &DdlContext<'_>,
) -> Result<TableId, QueryError> {
    let Some(text) = reader.text("id")? else { return Ok(TableId(context.table_id)) };
    let Ok(id) = text.parse::<Uuid>().map(TableId) else {
        return Err(QueryError::Config(format!("id is a UUID, not '{text}'")));
    };
    let mut keyspaces = context.plan.catalogue.schema.keyspaces.values();
    let taken =
        keyspaces.find_map(|keyspace| keyspace.tables.values().find(|table| table.id == id));
    match taken {
        None => Ok(id),
        Some(table) => Err(QueryError::Config(format!(
            "id {id} is that of table {}.{}: leave it out to get a new one",
            table.keyspace, table.name
        ))),
    }
}

/// The columns of a table that is created, not yet numbered.
struct Layout<'a> {
    statement: &'a CreateTable,
    types: BTreeMap<&'a Name, CqlType>,
    /// Columns whose type says that they are descending.
    reversed: BTreeSet<&'a Name>,
}

impl<'a> Layout<'a> {
    fn new(
        statement: &'a CreateTable,
        keyspace: &Name,
        context: &DdlContext<'_>,
    ) -> Result<Self, QueryError> {
        let mut types = BTreeMap::new();
        for column in &statement.columns {
            let cql_type = resolve_type(&column.type_name, keyspace, context.plan.catalogue)
                .at(column.name.span)?;
            if types.insert(&*column.name, cql_type).is_some() {
                return Err(QueryError::invalid(format!(
                    "duplicate column {} declaration for table {}: leave one out",
                    column.name, statement.name.name
                )))
                .at(column.name.span);
            }
        }
        let columns = statement.columns.iter();
        let reversed = columns
            .filter(|column| is_reversed(&column.type_name))
            .map(|column| &*column.name)
            .collect();
        let layout = Layout { statement, types, reversed };
        layout.check_key()?;
        layout.check_order()?;
        for column in &statement.columns {
            check_column_type(&column.name, &layout.types[&*column.name]).at(column.name.span)?;
        }
        Ok(layout)
    }

    fn key(&self) -> impl Iterator<Item = &'a Ident> {
        let key = &self.statement.primary_key;
        key.partition.iter().chain(&key.clustering)
    }

    fn check_key(&self) -> Result<(), QueryError> {
        let mut key = self.key().enumerate();
        key.try_for_each(|(position, name)| self.check_key_column(position, name).at(name.span))
    }

    fn check_key_column(&self, position: usize, name: &Name) -> Result<(), QueryError> {
        let table = &self.statement.name.name;
        let definition = self.statement.columns.iter().find(|column| *column.name == *name);
        let Some(ColumnDefinition { is_static, .. }) = definition else {
            return Err(QueryError::invalid(format!(
                "unknown column {name} referenced in PRIMARY KEY for table {table}: declare it"
            )));
        };
        if *is_static {
            return Err(QueryError::invalid(format!(
                "static column {name} cannot be part of the PRIMARY KEY"
            )));
        }
        if self.key().take(position).any(|earlier| **earlier == *name) {
            return Err(QueryError::invalid(format!(
                "duplicate column {name} in PRIMARY KEY clause for table {table}"
            )));
        }
        check_key_type(name, &self.types[name])
    }

    /// CLUSTERING ORDER BY names the clustering columns in their order; those after the last one are ascending.
    fn check_order(&self) -> Result<(), QueryError> {
        let clustering = &self.statement.primary_key.clustering;
        for (position, (name, _)) in self.statement.clustering_order.iter().enumerate() {
            let wrong = match clustering.get(position) {
                Some(expected) if expected == name => continue,
                Some(expected) if clustering.contains(name) => format!(
                    "the order of columns in the CLUSTERING ORDER directive must match that of the clustering columns ({expected} must appear before {name})"
                ),
                None if clustering.contains(name) => {
                    format!("duplicate column {name} in CLUSTERING ORDER BY clause")
                }
                _ => format!(
                    "only clustering columns can be defined in CLUSTERING ORDER directive: {name} is none"
                ),
            };
            return Err(QueryError::invalid(wrong)).at(name.span);
        }
        Ok(())
    }

    /// Numbers the columns: those of the key first, then the others by name.
    fn into_table(self, keyspace: &Name, name: &Name, id: TableId) -> Table {
        let mut next_column_id = 0;
        let mut column = |name: &Name, kind| {
            let order = self.statement.clustering_order.iter().find(|(column, _)| column == name);
            let descends = match order {
                Some((_, descending)) => *descending,
                None => self.reversed.contains(name),
            };
            let id = next_column_id;
            next_column_id += 1;
            Column {
                id,
                name: name.clone(),
                cql_type: self.types[name].clone(),
                kind,
                descending: kind == ColumnKind::Clustering && descends,
            }
        };
        let key = &self.statement.primary_key;
        let mut columns = |names: Vec<&Name>, kind| -> Vec<Column> {
            names.into_iter().map(|name| column(name, kind)).collect()
        };
        let partition_key =
            columns(key.partition.iter().map(|name| &**name).collect(), ColumnKind::PartitionKey);
        let clustering =
            columns(key.clustering.iter().map(|name| &**name).collect(), ColumnKind::Clustering);
        let values = |is_static| {
            let definitions = self.statement.columns.iter();
            let mut names: Vec<&Name> = definitions
                .filter(|column| column.is_static == is_static)
                .map(|column| &column.name)
                .filter(|name| !key.partition.contains(name) && !key.clustering.contains(name))
                .map(|name| &**name)
                .collect();
            names.sort();
            names
        };
        let statics = columns(values(true), ColumnKind::Static);
        let regulars = columns(values(false), ColumnKind::Regular);
        Table {
            id,
            keyspace: keyspace.clone(),
            name: name.clone(),
            partition_key,
            clustering,
            statics,
            regulars,
            dropped: BTreeMap::new(),
            next_column_id,
            options: TableOptions::default(),
        }
    }
}
