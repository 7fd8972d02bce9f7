//! Keys: from the protocol's bytes of the key columns to what storage sorts by, and back.
//!
//! - [`encode_partition`]: `token | components`, the partition prefix of a [`Mutation`] or a read.
//! - [`encode_clustering`]: a position in a partition: components of a clustering prefix and a weight.
//! - [`decode_partition`], [`decode_clustering`]: the components back, for results.
//!
//! Values given here are valid for their column's type ([`Expr::evaluate`] sees to it). Layouts are storage's
//! (`model::position`, `key`); nothing here compares keys.
//!
//! Clustering columns, elements of sets and keys of maps that CQL calls equal are one (1.0 and 1.00); partition keys are
//! told apart by their bytes, as the tokens that drivers make of them are.
//!
//! [`Mutation`]: tholos_storage::model::mutation::Mutation
//! [`Expr::evaluate`]: crate::query::expression::Expr::evaluate

use smallvec::SmallVec;
use tholos_grammar::token::{MAX_PARTITION_KEY_BYTES, Token, encode_partition_key};
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::key::{KeyError, decode_component, encode_component, encode_shared};
use tholos_storage::model::position::{COMPONENT, token_prefix};
use tholos_storage::schema::{Column, Table};

use crate::error::QueryError;

/// A partition prefix: `token | partition key components`.
pub type Partition = SmallVec<[u8; 40]>;

/// A position in a partition.
pub type Position = SmallVec<[u8; 24]>;

/// The bytes of one key column, as the protocol has them.
pub type Component = SmallVec<[u8; 24]>;

/// The most bytes that the clustering components of a row may have together, as in Cassandra.
pub const MAX_CLUSTERING_BYTES: usize = u16::MAX as usize;

/// The most partitions, or clustering prefixes, that the combinations of IN may come to.
pub const MAX_COMBINATIONS: usize = 65_536;

/// The error of a statement whose IN restrictions come to more than [`MAX_COMBINATIONS`].
pub fn too_many_combinations() -> QueryError {
    QueryError::invalid(format!(
        "the values of IN come to more than {MAX_COMBINATIONS} combinations: split the statement"
    ))
}

/// The token of a partition key.
///
/// # Errors
/// [`QueryError::Invalid`] for a key of several columns that is longer than 65,535 bytes.
pub fn token(components: &[&[u8]]) -> Result<Token, QueryError> {
    if let [single] = components {
        // No partition has an empty key; as in Cassandra it stands before all of them.
        return Ok(if single.is_empty() { Token(i64::MIN) } else { Token::of(single) });
    }
    let mut serialized = Vec::with_capacity(64);
    encode_partition_key(components, &mut serialized)
        .map_err(|error| QueryError::invalid(error.to_string()))?;
    Ok(Token::of(&serialized))
}

/// The partition prefix of a key: `components` are the values of all partition key columns, in key order.
///
/// # Errors
/// [`QueryError::Invalid`] for a key that is empty or longer than 65,535 bytes.
pub fn encode_partition(table: &Table, components: &[&[u8]]) -> Result<Partition, QueryError> {
    debug_assert_eq!(components.len(), table.partition_key.len());
    if let [single] = components {
        check_single(single)?;
    }
    let mut prefix = Vec::with_capacity(64);
    prefix.extend_from_slice(&token_prefix(token(components)?.0));
    for (column, component) in table.partition_key.iter().zip(components) {
        encode_component(&column.cql_type, component, false, &mut prefix)
            .map_err(|error| unusable(column, &error))?;
    }
    Ok(Partition::from_slice(&prefix))
}

/// The position of a clustering prefix: `components` are the values of the first clustering columns, `weight` is
/// `BEFORE`, `ROW` (a full prefix only) or `AFTER` of [`position`](tholos_storage::model::position).
///
/// # Errors
/// [`QueryError::Invalid`] for components of more than 65,535 bytes together.
pub fn encode_clustering(
    table: &Table,
    components: &[&[u8]],
    weight: u8,
) -> Result<Position, QueryError> {
    debug_assert!(components.len() <= table.clustering.len());
    let bytes = check_clustering_length(table, components.iter().copied())?;
    let mut position = Vec::with_capacity(bytes * 2 + 16);
    for (column, component) in table.clustering.iter().zip(components) {
        push_clustering(column, component, &mut position)?;
    }
    position.push(weight);
    Ok(Position::from_slice(&position))
}

/// How many bytes clustering components have together.
///
/// # Errors
/// [`QueryError::Invalid`] when that is more than 65,535.
pub fn check_clustering_length<'c>(
    table: &Table,
    components: impl Iterator<Item = &'c [u8]>,
) -> Result<usize, QueryError> {
    let bytes = components.map(<[u8]>::len).sum();
    if bytes > MAX_CLUSTERING_BYTES {
        return Err(QueryError::invalid(format!(
            "the clustering columns of {}.{} have {bytes} bytes: the limit is {MAX_CLUSTERING_BYTES}",
            table.keyspace, table.name
        )));
    }
    Ok(bytes)
}

/// Appends the component of one clustering column to a position.
///
/// # Errors
/// [`QueryError::Invalid`] for a value that can't be part of a key.
pub fn push_clustering(
    column: &Column,
    component: &[u8],
    position: &mut Vec<u8>,
) -> Result<(), QueryError> {
    position.push(COMPONENT);
    encode_shared(&column.cql_type, component, column.descending, position)
        .map_err(|error| unusable(column, &error))
}

/// Whether values of a type that are equal, and so one key, may look different: decimals, by their zeros.
pub fn has_forms(cql_type: &CqlType) -> bool {
    match cql_type {
        CqlType::Native(native) => *native == Native::Decimal,
        CqlType::List { element, .. }
        | CqlType::Set { element, .. }
        | CqlType::Vector { element, .. } => has_forms(element),
        CqlType::Map { key, value, .. } => has_forms(key) || has_forms(value),
        CqlType::Tuple(types) => types.iter().any(has_forms),
        CqlType::Udt { definition, .. } => definition.fields.iter().any(|(_, ty)| has_forms(ty)),
    }
}

/// Whether a key gives another form of this value back: it has one for all that are equal.
///
/// # Errors
/// [`QueryError::Invalid`] for a value that can't be part of a key.
pub fn loses_form(cql_type: &CqlType, value: &[u8]) -> Result<bool, QueryError> {
    if !has_forms(cql_type) {
        return Ok(false);
    }
    let (mut key, mut decoded) = (Vec::new(), Vec::new());
    encode_shared(cql_type, value, false, &mut key)
        .and_then(|()| decode_component(cql_type, false, &mut &key[..], &mut decoded))
        .map_err(|error| QueryError::invalid(error.to_string()))?;
    Ok(decoded != value)
}

/// The values of the partition key columns, in key order, from a partition prefix.
///
/// # Errors
/// [`QueryError::Internal`] when the bytes are no key of this table.
pub fn decode_partition(table: &Table, prefix: &[u8]) -> Result<Vec<Component>, QueryError> {
    let Some((_, mut rest)) = prefix.split_at_checked(8) else {
        return Err(not_a_key(table));
    };
    table.partition_key.iter().map(|column| decode(column, &mut rest, table)).collect()
}

/// The values of the clustering columns that a position has, in key order.
///
/// # Errors
/// [`QueryError::Internal`] when the bytes are no position of this table.
pub fn decode_clustering(table: &Table, position: &[u8]) -> Result<Vec<Component>, QueryError> {
    let mut rest = position;
    let mut components = Vec::with_capacity(table.clustering.len());
    for column in &table.clustering {
        match rest.split_first() {
            Some((&COMPONENT, after)) => rest = after,
            _ => break,
        }
        components.push(decode(column, &mut rest, table)?);
    }
    Ok(components)
}

/// Appends the path of a set's element or of a map's key: its byte-comparable form.
///
/// # Errors
/// [`QueryError::Invalid`] for a type without an order.
pub fn encode_element<const N: usize>(
    cql_type: &CqlType,
    element: &[u8],
    out: &mut SmallVec<[u8; N]>,
) -> Result<(), QueryError> {
    let mut path = Vec::with_capacity(element.len() * 2 + 8);
    encode_shared(cql_type, element, false, &mut path)
        .map_err(|error| QueryError::invalid(error.to_string()))?;
    out.extend_from_slice(&path);
    Ok(())
}

fn check_single(component: &[u8]) -> Result<(), QueryError> {
    match component.len() {
        0 => Err(QueryError::invalid(
            "Key may not be empty: a partition key of one column needs at least one byte",
        )),
        bytes if bytes > MAX_PARTITION_KEY_BYTES => Err(QueryError::invalid(format!(
            "a partition key of {bytes} bytes is too long: the limit is {MAX_PARTITION_KEY_BYTES}"
        ))),
        _ => Ok(()),
    }
}

fn not_a_key(table: &Table) -> QueryError {
    QueryError::Internal(format!(
        "storage gave bytes that are no key of {}.{}",
        table.keyspace, table.name
    ))
}

fn unusable(column: &Column, error: &KeyError) -> QueryError {
    QueryError::invalid(format!("the value of key column {} can't be used: {error}", column.name))
}

fn decode(column: &Column, rest: &mut &[u8], table: &Table) -> Result<Component, QueryError> {
    let mut component = Vec::new();
    decode_component(&column.cql_type, column.descending, rest, &mut component)
        .map_err(|_| not_a_key(table))?;
    Ok(Component::from_vec(component))
}
