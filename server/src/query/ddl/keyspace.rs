//! CREATE, ALTER and DROP KEYSPACE; replication options.

use std::collections::BTreeMap;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{AlterKeyspace, CreateKeyspace, DropKeyspace};
use tholos_grammar::name::Name;
use tholos_storage::schema::SchemaChange;

use super::names::check_keyspace_name;
use super::options::{OptionReader, number};
use super::{DataCenter, DdlContext, keyspace_effect, no_effect};
use crate::error::{At, QueryError};
use crate::query::plan::SchemaEffect;
use crate::query::suggest::nearest;

const LOCATOR_PACKAGE: &str = "org.apache.cassandra.locator.";
const FACTOR: &str = "replication_factor";

/// CREATE KEYSPACE.
///
/// # Errors
/// [`QueryError::AlreadyExists`], and [`QueryError::Config`] for wrong options.
pub fn create(
    statement: &CreateKeyspace,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let name = &statement.name;
    check_keyspace_name(name).at(name.span)?;
    if context.plan.catalogue.is_system(name) {
        return Err(QueryError::invalid(format!(
            "system keyspace {name} is not user-modifiable: use another name"
        )));
    }
    let mut reader = OptionReader::new(&statement.options)?;
    let replication = reader.map("replication")?;
    let durable_writes = reader.boolean("durable_writes")?.unwrap_or(true);
    reader.finish()?;
    let Some(replication) = replication else {
        return Err(QueryError::invalid(format!(
            "keyspace {name} needs replication, such as WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )));
    };
    if context.plan.catalogue.keyspace(name.as_str()).is_some() {
        if statement.if_not_exists {
            return Ok(no_effect());
        }
        return Err(QueryError::AlreadyExists { keyspace: name.name.clone(), table: None });
    }
    let replication = replication_options(replication, None, context.data_centers)?;
    let warnings = too_few_nodes(name, &replication, context.data_centers);
    let change = SchemaChange::PutKeyspace { name: name.name.clone(), replication, durable_writes };
    Ok(SchemaEffect { warnings, ..keyspace_effect("CREATED", name, change) })
}

/// ALTER KEYSPACE.
///
/// # Errors
/// [`QueryError::Invalid`] when it does not exist, [`QueryError::Config`] for wrong options.
pub fn alter(
    statement: &AlterKeyspace,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let name = &statement.name;
    context.check_user_keyspace(name)?;
    let Some(known) = context.plan.catalogue.keyspace(name.as_str()) else {
        return missing(name, statement.if_exists);
    };
    let mut reader = OptionReader::new(&statement.options)?;
    let replication = reader.map("replication")?;
    let durable_writes = reader.boolean("durable_writes")?.unwrap_or(known.durable_writes);
    reader.finish()?;
    let replication = match replication {
        Some(given) => replication_options(given, Some(&known.replication), context.data_centers)?,
        None => known.replication.clone(),
    };
    if replication == known.replication && durable_writes == known.durable_writes {
        return Ok(no_effect());
    }
    let warnings = too_few_nodes(name, &replication, context.data_centers);
    let change = SchemaChange::PutKeyspace { name: name.name.clone(), replication, durable_writes };
    Ok(SchemaEffect { warnings, ..keyspace_effect("UPDATED", name, change) })
}

/// A warning for each replication factor that is higher than there are nodes to have replicas.
fn too_few_nodes(
    keyspace: &Name,
    replication: &BTreeMap<String, String>,
    data_centers: &[DataCenter],
) -> Vec<String> {
    let all: usize = data_centers.iter().map(|data_center| data_center.nodes).sum();
    let factors =
        replication.iter().filter_map(|(name, factor)| Some((name, factor.parse::<usize>().ok()?)));
    let warnings = factors.filter_map(|(name, factor)| {
        let known = data_centers.iter().find(|data_center| data_center.name == *name);
        let (nodes, place) = match known {
            Some(known) => (known.nodes, format!(" for datacenter {name}")),
            None => (all, String::new()),
        };
        (all > 0 && factor > nodes).then(|| {
            format!(
                "Your replication factor {factor} for keyspace {keyspace} is higher than the number of nodes {nodes}{place}: levels above {nodes} replicas can't be met; add nodes, or lower it with ALTER KEYSPACE"
            )
        })
    });
    warnings.collect()
}

/// DROP KEYSPACE.
///
/// # Errors
/// [`QueryError::Invalid`] when it does not exist.
pub fn drop(
    statement: &DropKeyspace,
    context: &DdlContext<'_>,
) -> Result<SchemaEffect, QueryError> {
    let name = &statement.name;
    context.check_user_keyspace(name)?;
    if context.plan.catalogue.keyspace(name.as_str()).is_none() {
        return missing(name, statement.if_exists);
    }
    Ok(keyspace_effect("DROPPED", name, SchemaChange::DropKeyspace(name.name.clone())))
}

fn missing(name: &Ident, if_exists: bool) -> Result<SchemaEffect, QueryError> {
    if if_exists {
        return Ok(no_effect());
    }
    Err(QueryError::invalid(format!(
        "keyspace {name} does not exist: DESCRIBE KEYSPACES lists those that do"
    )))
    .at(name.span)
}

/// Replication as it is stored: the class in full, and its options checked.
///
/// NetworkTopologyStrategy's `replication_factor` stands for every data centre that is known and not named; on ALTER it
/// leaves those that have a factor as they are.
fn replication_options(
    mut given: BTreeMap<String, String>,
    before: Option<&BTreeMap<String, String>>,
    data_centers: &[DataCenter],
) -> Result<BTreeMap<String, String>, QueryError> {
    let Some(class) = given.remove("class") else {
        return Err(QueryError::Config(
            "missing mandatory replication strategy class: replication needs 'class'".to_owned(),
        ));
    };
    let class = match class.strip_prefix(LOCATOR_PACKAGE).unwrap_or(&class) {
        "SimpleStrategy" => {
            let factor = given.remove(FACTOR).unwrap_or_else(|| "1".to_owned());
            if let Some(unknown) = given.keys().next() {
                return Err(QueryError::Config(format!(
                    "unrecognized strategy option {unknown} passed to SimpleStrategy: it takes '{FACTOR}' only"
                )));
            }
            given.insert(FACTOR.to_owned(), replication_factor(FACTOR, &factor)?);
            "SimpleStrategy"
        }
        "NetworkTopologyStrategy" => {
            given = per_data_center(given, before, data_centers)?;
            "NetworkTopologyStrategy"
        }
        "LocalStrategy" | "EverywhereStrategy" => {
            return Err(QueryError::Config(format!(
                "unable to use given strategy class: {class} is reserved for internal use"
            )));
        }
        _ => {
            let known = ["SimpleStrategy", "NetworkTopologyStrategy"];
            return Err(QueryError::Config(format!(
                "unable to find replication strategy class '{class}'{}: use SimpleStrategy or NetworkTopologyStrategy",
                nearest(&class, known)
            )));
        }
    };
    given.insert("class".to_owned(), format!("{LOCATOR_PACKAGE}{class}"));
    Ok(given)
}

fn per_data_center(
    mut given: BTreeMap<String, String>,
    before: Option<&BTreeMap<String, String>>,
    data_centers: &[DataCenter],
) -> Result<BTreeMap<String, String>, QueryError> {
    if let Some(factor) = given.remove(FACTOR) {
        for DataCenter { name: data_center, .. } in data_centers {
            let kept = before.and_then(|before| before.get(data_center)).unwrap_or(&factor);
            given.entry(data_center.clone()).or_insert_with(|| kept.clone());
        }
    }
    if given.is_empty() {
        return Err(QueryError::Config(
            "NetworkTopologyStrategy needs a replication factor for at least one data centre, such as 'dc1': 3".to_owned(),
        ));
    }
    let known: Vec<&str> = data_centers.iter().map(|known| known.name.as_str()).collect();
    for (data_center, factor) in &mut given {
        if !known.is_empty() && !known.contains(&data_center.as_str()) {
            return Err(QueryError::Config(format!(
                "unrecognized strategy option {data_center} passed to NetworkTopologyStrategy: the data centres are {}",
                known.join(", ")
            )));
        }
        *factor = replication_factor(data_center, factor)?;
    }
    Ok(given)
}

fn replication_factor(name: &str, text: &str) -> Result<String, QueryError> {
    if text.contains('/') {
        return Err(QueryError::Config(format!(
            "{name}: transient replication ('{text}') is not supported"
        )));
    }
    number(name, text, 0u32, 1000).map(|factor| factor.to_string())
}
