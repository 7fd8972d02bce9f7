//! Executing INSERT, UPDATE, DELETE and BATCH: mutations made, then carried to the replicas.
//!
//! A statement that depends on what is there (lists by index or value, counters) takes two steps: the rows that it needs
//! are read, then its mutations are made of them, which is pure. It holds their partitions' locks from reading to writing,
//! so that no change of another one on this node is lost (see [`locks`](super::locks)).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smallvec::SmallVec;
use tholos_grammar::ast::modify::BatchKind;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::model::Timestamp;
use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::position::token_of;
use tholos_storage::schema::{Table, TableId};

use crate::error::{PutOff, QueryError};
use crate::execute::locks::PartitionGuard;
use crate::execute::replica::LogPosition;
use crate::execute::{ExecuteContext, RowKey};
use crate::query::batch::{self, BatchItem, BatchPlan};
use crate::query::modify::ModifyPlan;
use crate::query::modify::elements::{ListPaths, unreadable};
use crate::query::modify::mutation::{Existing, NeededRow, WriteRequest, mutations, needed};

/// Executes a modification. The answer may go out once the position is durable; the default position always is.
///
/// # Errors
/// [`QueryError::Invalid`] for values that don't fit, [`QueryError::Unavailable`], storage's errors. Of a statement that
/// names several partitions, those before the failing one are written.
pub fn modify(cx: &ExecuteContext<'_>, plan: &ModifyPlan) -> Result<LogPosition, QueryError> {
    let timestamp = default_timestamp(cx)?;
    let consistency = plan.attributes.consistency.unwrap_or(cx.options.consistency);
    let item = BatchItem { plan, values: cx.values };
    let needed = needed_by(cx, &[item])?;
    let _locks = lock(cx, &needed)?;
    let rows = read(cx, &needed, consistency)?;
    let request = WriteRequest { values: item.values, call: cx.call(), timestamp };
    let mut last = LogPosition::default();
    for mutation in &mutations(plan, request, &mut ListPaths::default(), &rows)? {
        last = last.max(write(cx, &plan.table.keyspace, consistency, mutation)?);
    }
    Ok(last)
}

/// Executes a batch that came as text.
///
/// # Errors
/// As [`modify`].
pub fn batch(cx: &ExecuteContext<'_>, plan: &BatchPlan) -> Result<LogPosition, QueryError> {
    let timestamp = match plan.timestamp(cx.values, cx.call())? {
        Some(timestamp) => timestamp,
        None => default_timestamp(cx)?,
    };
    let consistency = plan.attributes.consistency.unwrap_or(cx.options.consistency);
    let items = batch::items(plan, cx.values);
    write_batch(cx, plan.kind, &items, timestamp, consistency)
}

/// Executes a batch of the protocol's BATCH message: statements, each with its values. `cx.values` is not used.
///
/// # Errors
/// As [`modify`]; [`QueryError::Invalid`] when counters and other columns are mixed.
pub fn batch_of(
    cx: &ExecuteContext<'_>,
    kind: BatchKind,
    items: &[BatchItem<'_>],
) -> Result<LogPosition, QueryError> {
    batch::check_kind(kind, items.iter().map(|item| item.plan))?;
    write_batch(cx, kind, items, default_timestamp(cx)?, cx.options.consistency)
}

/// Writes a batch: all of it is made before any of it is written, one mutation per partition.
fn write_batch(
    cx: &ExecuteContext<'_>,
    kind: BatchKind,
    items: &[BatchItem<'_>],
    timestamp: Timestamp,
    consistency: Consistency,
) -> Result<LogPosition, QueryError> {
    let needed = needed_by(cx, items)?;
    let _locks = lock(cx, &needed)?;
    let rows = read(cx, &needed, consistency)?;
    let merged = batch::merged(items, cx.call(), timestamp, &rows)?;
    cx.watch.warnings.borrow_mut().extend(cx.watch.batch_limits.check(kind, items, &merged)?);
    let tables = items.iter().map(|item| (item.plan.table.id, &item.plan.table.keyspace));
    let keyspaces: BTreeMap<TableId, &Name> = tables.collect();
    let mut last = LogPosition::default();
    for mutation in &merged {
        if let Some(keyspace) = keyspaces.get(&mutation.table) {
            last = last.max(write(cx, keyspace, consistency, mutation)?);
        }
    }
    Ok(last)
}

fn write(
    cx: &ExecuteContext<'_>,
    keyspace: &Name,
    consistency: Consistency,
    mutation: &Mutation,
) -> Result<LogPosition, QueryError> {
    cx.write(keyspace, Token(token_of(&mutation.partition)), consistency, mutation)
}

/// The timestamp of statements that bring none: the client's, or the request's own.
fn default_timestamp(cx: &ExecuteContext<'_>) -> Result<Timestamp, QueryError> {
    match cx.options.timestamp {
        Some(Timestamp::MIN) => Err(QueryError::Protocol(format!(
            "timestamp {} is out of bounds: use {} to {}",
            Timestamp::MIN,
            Timestamp::MIN + 1,
            Timestamp::MAX
        ))),
        Some(timestamp) => cx.watch.timestamps.check(timestamp, cx.time.micros),
        None => Ok(cx.time.micros),
    }
}

/// What statements must know before they can say what they write, each row with its table. Most need nothing.
fn needed_by<'i>(
    cx: &ExecuteContext<'_>,
    items: &[BatchItem<'i>],
) -> Result<Vec<(&'i Table, NeededRow)>, QueryError> {
    let mut all = Vec::new();
    for item in items {
        let rows = needed(item.plan, item.values, cx.call())?;
        all.extend(rows.into_iter().map(|row| (&*item.plan.table, row)));
    }
    Ok(all)
}

/// Takes the locks of the partitions of rows that are about to be read.
///
/// # Errors
/// [`PutOff::Locked`] when another request has one.
fn lock<'a>(
    cx: &ExecuteContext<'a>,
    needed: &[(&Table, NeededRow)],
) -> Result<PartitionGuard<'a>, QueryError> {
    let token = |(_, row): &(&Table, NeededRow)| Token(token_of(&row.partition));
    let tokens: SmallVec<[Token; 4]> = needed.iter().map(token).collect();
    cx.locks.try_lock(&tokens).map_err(|token| QueryError::PutOff(PutOff::Locked(token)))
}

/// What the statements of a request must know, by table and full key.
#[derive(Default)]
struct ReadRows(BTreeMap<(TableId, Vec<u8>), Option<RowBuf>>);

/// Reads rows, whose partitions are locked; each once.
fn read(
    cx: &ExecuteContext<'_>,
    needed: &[(&Table, NeededRow)],
    consistency: Consistency,
) -> Result<ReadRows, QueryError> {
    // A write at ANY asks nothing of replicas; what it reads must come from one.
    let consistency = match consistency {
        Consistency::Any => Consistency::One,
        other => other,
    };
    let mut rows = ReadRows::default();
    for (table, NeededRow { partition, position }) in needed {
        let key = (table.id, [&partition[..], position].concat());
        let Entry::Vacant(unread) = rows.0.entry(key) else { continue };
        let (key, partition_len) = (&unread.key().1, partition.len());
        let row = RowKey { table: table.id, key, partition_len, columns: None };
        let token = Token(token_of(partition));
        let row = cx.read_row(&table.keyspace, token, consistency, row)?;
        let row = row.map(|row| row.row().to_buf()).transpose().map_err(unreadable)?;
        unread.insert(row);
    }
    Ok(rows)
}

impl Existing for ReadRows {
    fn row(
        &self,
        table: &Table,
        partition: &[u8],
        position: &[u8],
    ) -> Result<Option<RowBuf>, QueryError> {
        let row = self.0.get(&(table.id, [partition, position].concat()));
        row.cloned().ok_or_else(|| {
            QueryError::Internal("a statement depends on a row that was not read".to_string())
        })
    }
}
