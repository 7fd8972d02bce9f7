//! CREATE, ALTER and DROP TYPE.

use std::sync::Arc;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{AlterType, CreateType, DropObject, TypeChange};
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native, UserType};
use tholos_storage::schema::{Keyspace, SchemaChange};

use super::{DdlContext, no_effect, object_effect};
use crate::error::{At, QueryError};
use crate::query::plan::SchemaEffect;
use crate::query::types::resolve_type;

/// Names that CQL keeps for types that it may have one day.
const RESERVED: [&str; 6] = ["bitstring", "byte", "complex", "enum", "interval", "macaddr"];

/// CREATE TYPE.
///
/// # Errors
/// [`QueryError::Invalid`] when it exists, or a field is doubled or of a type that no field can have.
pub fn create(
    statement: &CreateType,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&statement.name)?;
    let name = &statement.name.name;
    context.check_user_keyspace(keyspace)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(QueryError::Syntax(format!(
            "{name} is reserved for a CQL type to come: use another name"
        )));
    }
    if Native::from_name(name.as_str()).is_some() {
        return Err(QueryError::invalid(format!(
            "{name} is the name of a CQL type: use another one"
        )));
    }
    if context.keyspace(keyspace)?.types.contains_key(name.as_str()) {
        if statement.if_not_exists {
            return Ok(no_effect());
        }
        return Err(QueryError::invalid(format!(
            "a user type with name {keyspace}.{name} already exists: drop it first, or use IF NOT EXISTS"
        )));
    }
    let mut fields: Vec<(Name, CqlType)> = Vec::with_capacity(statement.fields.len());
    for (field, written) in &statement.fields {
        if fields.iter().any(|(earlier, _)| earlier == field) {
            return Err(QueryError::invalid(format!(
                "duplicate field name {field} in type {name}"
            )))
            .at(field.span);
        }
        let cql_type = field_type(field, written, keyspace, context).at(field.span)?;
        fields.push((field.name.clone(), cql_type));
    }
    let definition = UserType { keyspace: keyspace.clone(), name: name.name.clone(), fields };
    let change = SchemaChange::PutType(Arc::new(definition));
    Ok(object_effect("CREATED", "TYPE", keyspace, name, change))
}

/// ALTER TYPE.
///
/// # Errors
/// [`QueryError::Invalid`] when the type or field does not exist, or the change can't be made.
pub fn alter(statement: &AlterType, context: &DdlContext<'_>) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&statement.name)?;
    let name = &statement.name.name;
    context.check_user_keyspace(keyspace)?;
    let known = context.keyspace(keyspace)?;
    let Some(definition) = known.types.get(name.as_str()) else {
        return missing(keyspace, name, statement.if_exists);
    };
    let mut definition = UserType::clone(definition);
    match &statement.change {
        TypeChange::Add { if_not_exists, field, type_name } => {
            add(&mut definition, field, type_name, *if_not_exists, known, context).at(field.span)?;
        }
        TypeChange::Rename { if_exists, fields } => {
            fields.iter().try_for_each(|(from, to)| {
                rename(&mut definition, from, to, *if_exists).at(from.span)
            })?;
        }
        TypeChange::Type { field, .. } => {
            return Err(QueryError::invalid(format!(
                "cannot alter the type of field {field}: alter type not allowed (as in Cassandra since 3.0.11)"
            )))
            .at(field.span);
        }
    }
    if known.types.get(name.as_str()).is_some_and(|before| **before == definition) {
        return Ok(no_effect());
    }
    let change = SchemaChange::PutType(Arc::new(definition));
    Ok(object_effect("UPDATED", "TYPE", keyspace, name, change))
}

/// DROP TYPE.
///
/// # Errors
/// [`QueryError::Invalid`] when it does not exist, or something uses it.
pub fn drop(statement: &DropObject, context: &DdlContext<'_>) -> Result<SchemaEffect, QueryError> {
    let keyspace = context.keyspace_of(&statement.name)?;
    let name = &statement.name.name;
    context.check_user_keyspace(keyspace)?;
    let known = context.plan.catalogue.keyspace(keyspace.as_str());
    let Some(known) = known.filter(|known| known.types.contains_key(name.as_str())) else {
        return missing(keyspace, name, statement.if_exists);
    };
    let users = users(known, name);
    if !users.is_empty() {
        return Err(QueryError::invalid(format!(
            "cannot drop user type {keyspace}.{name}: it is still used by {}; drop or alter them first",
            users.join(", ")
        )));
    }
    let change = SchemaChange::DropType(keyspace.clone(), name.name.clone());
    Ok(object_effect("DROPPED", "TYPE", keyspace, name, change))
}

fn missing(keyspace: &Name, name: &Ident, if_exists: bool) -> Result<SchemaEffect, QueryError> {
    if if_exists {
        return Ok(no_effect());
    }
    Err(QueryError::invalid(format!(
        "type {keyspace}.{name} does not exist: DESCRIBE TYPES lists those that do"
    )))
    .at(name.span)
}

/// Adds a field at the end.
fn add(
    definition: &mut UserType,
    field: &Name,
    written: &TypeName,
    if_not_exists: bool,
    keyspace: &Keyspace,
    context: &DdlContext<'_>,
) -> Result<(), QueryError> {
    if definition.fields.iter().any(|(known, _)| known == field) {
        if if_not_exists {
            return Ok(());
        }
        return Err(QueryError::invalid(format!(
            "cannot add field {field} to type {}: a field with name {field} already exists",
            definition.name
        )));
    }
    let cql_type = field_type(field, written, &definition.keyspace, context)?;
    if refers_to(&cql_type, &definition.name) {
        return Err(QueryError::invalid(format!(
            "cannot add field {field} of type {cql_type} to type {}: this would create a circular reference",
            definition.name
        )));
    }
    let in_keys = keyspace.tables.values().find(|table| {
        table.partition_key.iter().any(|column| refers_to(&column.cql_type, &definition.name))
    });
    if let Some(table) = in_keys {
        return Err(QueryError::invalid(format!(
            "cannot add new field {field} to user type {}: it is used in the partition key of table {}",
            definition.name, table.name
        )));
    }
    definition.fields.push((field.clone(), cql_type));
    Ok(())
}

fn rename(
    definition: &mut UserType,
    from: &Name,
    to: &Name,
    if_exists: bool,
) -> Result<(), QueryError> {
    let Some(at) = definition.fields.iter().position(|(field, _)| field == from) else {
        if if_exists {
            return Ok(());
        }
        return Err(QueryError::invalid(format!("type {} has no field {from}", definition.name)));
    };
    if definition.fields.iter().any(|(field, _)| field == to) {
        return Err(QueryError::invalid(format!(
            "cannot rename field {from} to {to} in type {}: a field of that name already exists",
            definition.name
        )));
    }
    definition.fields[at].0 = to.clone();
    Ok(())
}

fn field_type(
    field: &Name,
    written: &TypeName,
    keyspace: &Name,
    context: &DdlContext<'_>,
) -> Result<CqlType, QueryError> {
    let cql_type = resolve_type(written, keyspace, context.plan.catalogue)?;
    if cql_type.is_counter() {
        return Err(QueryError::invalid(format!(
            "a user type cannot contain counters: field {field} is one"
        )));
    }
    if matches!(cql_type, CqlType::Udt { frozen: false, .. }) {
        return Err(QueryError::invalid(format!(
            "a user type cannot contain non-frozen UDTs: write frozen<{cql_type}> for field {field}"
        )));
    }
    Ok(cql_type)
}

/// Tables and types that use a type.
fn users(keyspace: &Keyspace, name: &Name) -> Vec<String> {
    let types = keyspace
        .types
        .values()
        .filter(|user| user.name != *name && user.fields.iter().any(|(_, ty)| refers_to(ty, name)));
    let tables = keyspace.tables.values().filter(|table| {
        let dropped = table.dropped.values().map(|dropped| &dropped.column);
        table.columns().chain(dropped).any(|column| refers_to(&column.cql_type, name))
    });
    let types = types.map(|user| format!("type {}", user.name));
    types.chain(tables.map(|table| format!("table {}", table.name))).collect()
}

/// Whether a type is, or holds, the user type of a name in its keyspace.
pub(crate) fn refers_to(cql_type: &CqlType, name: &Name) -> bool {
    match cql_type {
        CqlType::Native(_) => false,
        CqlType::List { element, .. }
        | CqlType::Set { element, .. }
        | CqlType::Vector { element, .. } => refers_to(element, name),
        CqlType::Map { key, value, .. } => refers_to(key, name) || refers_to(value, name),
        CqlType::Tuple(elements) => elements.iter().any(|element| refers_to(element, name)),
        CqlType::Udt { definition, .. } => {
            definition.name == *name || definition.fields.iter().any(|(_, ty)| refers_to(ty, name))
        }
    }
}
