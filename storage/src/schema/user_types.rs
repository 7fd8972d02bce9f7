//! User types within a schema: whole in memory, by name in records.
//!
//! In memory a column's type holds the whole definition of every user type in it, so that nobody has to look them up;
//! the definitions are shared. Written out they would be repeated at each use, and each use of a type that uses others
//! repeats those: three types of two fields, each of the type before, come to eight times the first. So a record names
//! them (a definition without fields), and reading it fills in what the keyspace has under that name:
//!
//! ```text
//! CREATE TYPE size (height int);  CREATE TABLE animals (name text PRIMARY KEY, size size)
//! {"put_type": {"keyspace": "zoo", "name": "size", "fields": [["height", {"native": "int"}]]}}
//! {"put_table": {..., "cql_type": {"udt": {"definition": {"keyspace": "zoo", "name": "size"}, "frozen": false}}}}
//! ```
//!
//! What a type comes to when all is counted is bounded, in depth and in number of parts: values, metadata and everything
//! else that walks over types is then bounded as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, UserType};

use super::error::{MAX_TYPE_DEPTH, MAX_TYPE_PARTS, SchemaError};
use super::{Column, DroppedColumn, Keyspace, Schema, SchemaChange, Table};

type Definitions = BTreeMap<Name, Arc<UserType>>;

impl SchemaChange {
    /// The change as records have it: types by name. `after` is the schema that it leads to.
    pub fn by_name(&self, after: &Schema) -> SchemaChange {
        let types = |keyspace: &Name| after.keyspaces.get(keyspace).map(|keyspace| &keyspace.types);
        match self {
            SchemaChange::PutTable(table) => match types(&table.keyspace) {
                Some(known) => {
                    SchemaChange::PutTable(Arc::new(table.with_definitions(&named_if(known))))
                }
                None => self.clone(),
            },
            SchemaChange::PutType(put) => match types(&put.keyspace) {
                Some(known) => {
                    SchemaChange::PutType(Arc::new(with_definitions_in(put, &named_if(known))))
                }
                None => self.clone(),
            },
            other => other.clone(),
        }
    }

    /// Refuses types that are nested too deep or have too many parts, with all that uses what is put. For changes that
    /// users ask for: what was written before there were limits is still read.
    ///
    /// # Errors
    /// `TooDeep` and `TooLarge`, which name the type or column.
    pub fn check_types(&self, after: &Schema) -> Result<(), SchemaError> {
        let keyspace = |name: &Name| after.keyspaces.get(name);
        match self {
            SchemaChange::PutTable(table) => check_table(table),
            SchemaChange::PutType(put) => {
                check_definition(put)?;
                let Some(keyspace) = keyspace(&put.keyspace) else { return Ok(()) };
                let uses = |cql_type: &CqlType| mentions(cql_type, &put.name);
                let types = keyspace.types.values();
                let mut types = types.filter(|user| user.fields.iter().any(|field| uses(&field.1)));
                types.try_for_each(|user| check_definition(user))?;
                let tables = keyspace.tables.values();
                let mut tables =
                    tables.filter(|table| table.columns().any(|column| uses(&column.cql_type)));
                tables.try_for_each(|table| check_table(table))
            }
            _ => Ok(()),
        }
    }
}

impl Schema {
    /// The schema as records have it: types by name.
    pub fn by_name(&self) -> Schema {
        let keyspaces = self.keyspaces.iter().map(|(name, keyspace)| {
            let mut keyspace = Keyspace::clone(keyspace);
            let known = keyspace.types.clone();
            for definition in keyspace.types.values_mut() {
                *definition = Arc::new(with_definitions_in(definition, &named_if(&known)));
            }
            let by_name = |(name, table): (&Name, &Arc<Table>)| {
                (name.clone(), Arc::new(table.with_definitions(&named_if(&known))))
            };
            keyspace.tables = keyspace.tables.iter().map(by_name).collect();
            (name.clone(), Arc::new(keyspace))
        });
        Schema { epoch: self.epoch, keyspaces: keyspaces.collect() }
    }

    /// A schema that was read from a record, with types filled in.
    ///
    /// # Errors
    /// `NoType` for one that the record names and does not have.
    pub fn resolved(mut self) -> Result<Schema, SchemaError> {
        self.keyspaces.values_mut().try_for_each(|it| Arc::make_mut(it).resolve_types())?;
        Ok(self)
    }
}

impl Keyspace {
    /// Brings every type and table to the newest definitions of the types they use.
    pub(super) fn resolve_types(&mut self) -> Result<(), SchemaError> {
        // A type may use types that use types: as many rounds as there are levels, at most one for each type.
        for _ in 0..self.types.len() {
            let known = self.types.clone();
            let mut changed = false;
            for definition in self.types.values_mut() {
                let resolved = with_definitions_in(definition, &newest_of(&known));
                if resolved != **definition {
                    *definition = Arc::new(resolved);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        for definition in self.types.values() {
            let fields = definition.fields.iter();
            fields.map(|(_, cql_type)| cql_type).try_for_each(check_whole)?;
        }
        for (name, table) in &self.tables.clone() {
            let resolved = resolved_table(&self.types, table)?;
            if !Arc::ptr_eq(&resolved, table) {
                self.tables.insert_mut(name.clone(), resolved);
            }
        }
        Ok(())
    }

    /// The type with the newest definitions of the types it uses.
    pub(super) fn resolved_type(
        &self,
        definition: &Arc<UserType>,
    ) -> Result<Arc<UserType>, SchemaError> {
        let resolved = with_definitions_in(definition, &newest_of(&self.types));
        resolved.fields.iter().try_for_each(|(_, cql_type)| check_whole(cql_type))?;
        Ok(if resolved == **definition { Arc::clone(definition) } else { Arc::new(resolved) })
    }

    /// The table with the newest definitions of the types it uses.
    pub(super) fn resolved_table(&self, table: &Arc<Table>) -> Result<Arc<Table>, SchemaError> {
        resolved_table(&self.types, table)
    }
}

/// The same `Arc` if nothing changed.
fn resolved_table(known: &Definitions, table: &Arc<Table>) -> Result<Arc<Table>, SchemaError> {
    if !table.all_columns().any(|column| has_user_type(&column.cql_type)) {
        return Ok(Arc::clone(table));
    }
    let resolved = table.with_definitions(&newest_of(known));
    resolved.all_columns().try_for_each(|column| check_whole(&column.cql_type))?;
    Ok(if resolved == **table { Arc::clone(table) } else { Arc::new(resolved) })
}

impl Table {
    /// Its columns, and those that were dropped.
    pub(super) fn all_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns().chain(self.dropped.values().map(|dropped| &dropped.column))
    }

    fn with_definitions(&self, of: &dyn Fn(&Arc<UserType>) -> Arc<UserType>) -> Table {
        let column = |column: &Column| Column {
            cql_type: with_definitions(&column.cql_type, of),
            ..column.clone()
        };
        let columns = |columns: &[Column]| -> Vec<Column> { columns.iter().map(column).collect() };
        let dropped = |(name, dropped): (&Name, &DroppedColumn)| {
            (name.clone(), DroppedColumn { column: column(&dropped.column), ..*dropped })
        };
        Table {
            partition_key: columns(&self.partition_key),
            clustering: columns(&self.clustering),
            statics: columns(&self.statics),
            regulars: columns(&self.regulars),
            dropped: self.dropped.iter().map(dropped).collect(),
            ..self.clone()
        }
    }
}

/// A definition that only names the type, if it is known under that name.
fn named_if(known: &Definitions) -> impl Fn(&Arc<UserType>) -> Arc<UserType> {
    |definition| {
        if !known.contains_key(&definition.name) {
            return Arc::clone(definition);
        }
        let (keyspace, name) = (definition.keyspace.clone(), definition.name.clone());
        Arc::new(UserType { keyspace, name, fields: Vec::new() })
    }
}

/// The newest definition of a type; the one that is there if there is no other.
fn newest_of(known: &Definitions) -> impl Fn(&Arc<UserType>) -> Arc<UserType> {
    |definition| Arc::clone(known.get(&definition.name).unwrap_or(definition))
}

fn with_definitions_in(
    definition: &UserType,
    of: &dyn Fn(&Arc<UserType>) -> Arc<UserType>,
) -> UserType {
    let fields = definition.fields.iter();
    let fields = fields.map(|(name, cql_type)| (name.clone(), with_definitions(cql_type, of)));
    let (keyspace, name) = (definition.keyspace.clone(), definition.name.clone());
    UserType { keyspace, name, fields: fields.collect() }
}

/// The type with every user type in it replaced by another definition.
fn with_definitions(cql_type: &CqlType, of: &dyn Fn(&Arc<UserType>) -> Arc<UserType>) -> CqlType {
    let inner = |inner: &CqlType| Box::new(with_definitions(inner, of));
    match cql_type {
        CqlType::Native(native) => CqlType::Native(*native),
        CqlType::List { element, frozen } => {
            CqlType::List { element: inner(element), frozen: *frozen }
        }
        CqlType::Set { element, frozen } => {
            CqlType::Set { element: inner(element), frozen: *frozen }
        }
        CqlType::Map { key, value, frozen } => {
            CqlType::Map { key: inner(key), value: inner(value), frozen: *frozen }
        }
        CqlType::Tuple(elements) => {
            CqlType::Tuple(elements.iter().map(|element| with_definitions(element, of)).collect())
        }
        CqlType::Udt { definition, frozen } => {
            CqlType::Udt { definition: of(definition), frozen: *frozen }
        }
        CqlType::Vector { element, dimensions } => {
            CqlType::Vector { element: inner(element), dimensions: *dimensions }
        }
    }
}

/// The types that a type is made of, one level down.
fn parts(cql_type: &CqlType) -> Vec<&CqlType> {
    match cql_type {
        CqlType::Native(_) => Vec::new(),
        CqlType::List { element, .. }
        | CqlType::Set { element, .. }
        | CqlType::Vector { element, .. } => vec![element],
        CqlType::Map { key, value, .. } => vec![key, value],
        CqlType::Tuple(elements) => elements.iter().collect(),
        CqlType::Udt { definition, .. } => {
            definition.fields.iter().map(|(_, cql_type)| cql_type).collect()
        }
    }
}

/// Whether a type is, or holds, the user type of that name.
pub(super) fn mentions(cql_type: &CqlType, name: &Name) -> bool {
    let is_it = matches!(cql_type, CqlType::Udt { definition, .. } if definition.name == *name);
    is_it || parts(cql_type).into_iter().any(|part| mentions(part, name))
}

fn has_user_type(cql_type: &CqlType) -> bool {
    matches!(cql_type, CqlType::Udt { .. }) || parts(cql_type).into_iter().any(has_user_type)
}

/// Refuses a type that a record names and that is not there.
fn check_whole(cql_type: &CqlType) -> Result<(), SchemaError> {
    match cql_type {
        CqlType::Udt { definition, .. } if definition.fields.is_empty() => {
            Err(SchemaError::NoType(definition.keyspace.clone(), definition.name.clone()))
        }
        // What a user type is made of is looked at where it is defined.
        CqlType::Udt { .. } => Ok(()),
        other => parts(other).into_iter().try_for_each(check_whole),
    }
}

fn check_definition(definition: &UserType) -> Result<(), SchemaError> {
    let mut size =
        Size { parts: 1, what: &|| format!("type {}.{}", definition.keyspace, definition.name) };
    definition.fields.iter().try_for_each(|(_, cql_type)| size.add(cql_type, 1))
}

fn check_table(table: &Table) -> Result<(), SchemaError> {
    table.columns().try_for_each(|column| {
        let what = || format!("column {} of table {}.{}", column.name, table.keyspace, table.name);
        Size { parts: 0, what: &what }.add(&column.cql_type, 0)
    })
}

/// What a type comes to; counting ends where a limit is passed.
struct Size<'a> {
    parts: usize,
    what: &'a dyn Fn() -> String,
}

impl Size<'_> {
    fn add(&mut self, cql_type: &CqlType, depth: usize) -> Result<(), SchemaError> {
        self.parts += 1;
        if self.parts > MAX_TYPE_PARTS {
            return Err(SchemaError::TooLarge((self.what)()));
        }
        let parts = parts(cql_type);
        if !parts.is_empty() && depth >= MAX_TYPE_DEPTH {
            return Err(SchemaError::TooDeep((self.what)()));
        }
        parts.into_iter().try_for_each(|part| self.add(part, depth + 1))
    }
}

#[cfg(test)]
mod tests;
