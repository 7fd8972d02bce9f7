//! Executing INSERT, UPDATE, DELETE and BATCH: mutations made, and written where this node alone has a say.
//!
//! A statement that depends on what is there (lists by index or value, counters) takes two steps: the rows that it needs
//! are read, then its mutations are made of them, which is pure. It holds their partitions' locks from reading to writing,
//! so that no change of another one on this node is lost (see [`locks`](super::locks)).
//!
//! ```text
//! this node alone has a say       Written { position in its log, replicated: none }
//! several replicas                Written { .., replicated: [to whom, what] }, of which nothing was written yet
//! needs what others have          Needs(what to read, Held); with what came it begins again there
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;
use tholos_cluster::placement::Placement;
use tholos_cluster::request::path::Path;
use tholos_cluster::ring::NodeIndex;
use tholos_grammar::ast::modify::BatchKind;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::commitlog::LogPosition;
use tholos_storage::model::entry::{Direction, RowBuf};
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::position::token_of;
use tholos_storage::model::read::{
    AnswerKind, KeyInterval, MOST_INTERVALS, ReadCommand, ReadLimits,
};
use tholos_storage::model::{Seconds, Timestamp};
use tholos_storage::read::run::MergedRun;
use tholos_storage::schema::{Table, TableId};

use crate::error::QueryError;
use crate::execute::locks::PartitionGuard;
use crate::execute::select::FETCH_BYTES;
use crate::execute::{ExecuteContext, Found, RowKey};
use crate::halt::{Halt, PutOff};
use crate::query::batch::{self, BatchItem, BatchPlan};
use crate::query::modify::ModifyPlan;
use crate::query::modify::elements::{ListPaths, unreadable};
use crate::query::modify::mutation::{Existing, NeededRow, WriteRequest, mutations, needed};

/// What became of a modification.
#[derive(Debug)]
pub enum Modified {
    /// Its mutations are made, and this node wrote those that are its own business.
    Written(Written),
    /// This is to be fetched, and then it goes on with what it holds.
    Needs(Vec<Wanted>, Held),
}

/// A modification whose mutations are made.
#[derive(Debug, Default)]
pub struct Written {
    /// How far this node's log must be durable before an answer may go out; the default position always is.
    pub position: LogPosition,
    /// What several replicas are to write.
    pub replicated: Vec<Replicated>,
}

/// Mutations of keys that have the same replicas.
#[derive(Debug)]
pub struct Replicated {
    /// Who has what.
    pub placement: Arc<Placement>,
    /// Of one of the keys.
    pub token: Token,
    /// What each of the replicas is to write.
    pub mutations: Arc<[Mutation]>,
}

/// A read that a modification waits for.
#[derive(Debug)]
pub struct Wanted {
    /// Who has what.
    pub placement: Arc<Placement>,
    /// What to read.
    pub command: ReadCommand,
}

/// What a modification that waits for rows has so far.
#[derive(Debug)]
pub struct Held {
    rows: ReadRows,
    /// Of the partitions that are read; most requests read none.
    _locks: Option<PartitionGuard>,
}

/// Executes a modification, from the beginning or with what it held.
///
/// # Errors
/// [`QueryError::Invalid`] for values that don't fit, [`QueryError::Unavailable`]: nothing was done. Storage's errors: of a
/// statement that names several partitions, those before the failing one are written.
pub fn modify(
    cx: &ExecuteContext<'_>,
    plan: &ModifyPlan,
    held: Option<Held>,
) -> Result<Modified, Halt> {
    let timestamp = default_timestamp(cx)?;
    let consistency = plan.attributes.consistency.unwrap_or(cx.options.consistency);
    let item = BatchItem { plan, values: cx.values };
    let (held, wanted) = read_needed(cx, &[item], consistency, held)?;
    if !wanted.is_empty() {
        return Ok(Modified::Needs(wanted, held));
    }
    let request = WriteRequest { values: item.values, call: cx.call(), timestamp };
    let made = mutations(plan, request, &mut ListPaths::default(), &held.rows)?;
    let keyspaces = std::iter::repeat(&plan.table.keyspace);
    write(cx, consistency, made.into_iter().zip(keyspaces)).map(Modified::Written)
}

/// Executes a batch that came as text.
///
/// # Errors
/// As [`modify`].
pub fn batch(
    cx: &ExecuteContext<'_>,
    plan: &BatchPlan,
    held: Option<Held>,
) -> Result<Modified, Halt> {
    let timestamp = match plan.timestamp(cx.values, cx.call())? {
        Some(timestamp) => timestamp,
        None => default_timestamp(cx)?,
    };
    let consistency = plan.attributes.consistency.unwrap_or(cx.options.consistency);
    let items = batch::items(plan, cx.values);
    write_batch(cx, plan.kind, &items, timestamp, consistency, held)
}

/// Executes a batch of the protocol's BATCH message: statements, each with its values. `cx.values` is not used.
///
/// # Errors
/// As [`modify`]; [`QueryError::Invalid`] when counters and other columns are mixed.
pub fn batch_of(
    cx: &ExecuteContext<'_>,
    kind: BatchKind,
    items: &[BatchItem<'_>],
    held: Option<Held>,
) -> Result<Modified, Halt> {
    batch::check_kind(kind, items.iter().map(|item| item.plan))?;
    write_batch(cx, kind, items, default_timestamp(cx)?, cx.options.consistency, held)
}

/// Writes a batch: all of it is made before any of it is written, one mutation per partition.
fn write_batch(
    cx: &ExecuteContext<'_>,
    kind: BatchKind,
    items: &[BatchItem<'_>],
    timestamp: Timestamp,
    consistency: Consistency,
    held: Option<Held>,
) -> Result<Modified, Halt> {
    let (held, wanted) = read_needed(cx, items, consistency, held)?;
    if !wanted.is_empty() {
        return Ok(Modified::Needs(wanted, held));
    }
    let merged = batch::merged(items, cx.call(), timestamp, &held.rows)?;
    cx.watch.warnings.borrow_mut().extend(cx.watch.batch_limits.check(kind, items, &merged)?);
    let tables = items.iter().map(|item| (item.plan.table.id, &item.plan.table.keyspace));
    let keyspaces: BTreeMap<TableId, &Name> = tables.collect();
    let named = merged.into_iter().filter_map(|mutation| {
        let keyspace = *keyspaces.get(&mutation.table)?;
        Some((mutation, keyspace))
    });
    write(cx, consistency, named).map(Modified::Written)
}

/// Writes what is this node's own business, and groups the rest by its replicas. Levels that can't be met are found before
/// anything is written.
fn write<'k>(
    cx: &ExecuteContext<'_>,
    consistency: Consistency,
    mutations: impl Iterator<Item = (Mutation, &'k Name)>,
) -> Result<Written, Halt> {
    let mut own = SmallVec::<[Mutation; 1]>::new();
    let mut others = Groups::default();
    for (mutation, keyspace) in mutations {
        let token = Token(token_of(&mutation.partition));
        let placement = cx.cluster.placement(keyspace.as_str());
        match cx.write_path(placement, token, consistency)? {
            Path::Local => own.push(mutation),
            Path::Replicas => others.add(placement, token, mutation),
        }
    }
    let mut position = LogPosition::default();
    for mutation in &own {
        position = position.max(cx.write(mutation)?);
    }
    Ok(Written { position, replicated: others.into_replicated() })
}

/// Mutations by the placement, which is one value for all keyspaces of equal replication, and the replicas of their keys.
#[derive(Default)]
struct Groups<'p>(BTreeMap<(usize, &'p [NodeIndex]), Group<'p>>);

struct Group<'p> {
    placement: &'p Arc<Placement>,
    token: Token,
    mutations: Vec<Mutation>,
}

impl<'p> Groups<'p> {
    fn add(&mut self, placement: &'p Arc<Placement>, token: Token, mutation: Mutation) {
        let key = (Arc::as_ptr(placement).addr(), placement.replicas(token));
        let new = || Group { placement, token, mutations: Vec::new() };
        self.0.entry(key).or_insert_with(new).mutations.push(mutation);
    }

    fn into_replicated(self) -> Vec<Replicated> {
        let replicated = |Group { placement, token, mutations }| Replicated {
            placement: Arc::clone(placement),
            token,
            mutations: mutations.into(),
        };
        self.0.into_values().map(replicated).collect()
    }
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
    consistency: Consistency,
) -> Result<Vec<(&'i Table, NeededRow)>, Halt> {
    let mut all = Vec::new();
    for item in items {
        let rows = needed(item.plan, item.values, cx.call())?;
        if item.plan.is_counter() {
            check_counters(cx, &item.plan.table, &rows, consistency)?;
        }
        all.extend(rows.into_iter().map(|row| (&*item.plan.table, row)));
    }
    Ok(all)
}

/// A counter is counted up by the one node that has it.
fn check_counters(
    cx: &ExecuteContext<'_>,
    table: &Table,
    rows: &[NeededRow],
    consistency: Consistency,
) -> Result<(), QueryError> {
    let placement = cx.cluster.placement(table.keyspace.as_str());
    for row in rows {
        let token = Token(token_of(&row.partition));
        if cx.write_path(placement, token, consistency)? == Path::Replicas {
            return Err(QueryError::NotSupportedYet(format!(
                "counters of {}.{} are kept by other nodes too: update them in a keyspace with one replica, on the node that has it; nothing was done",
                table.keyspace, table.name
            )));
        }
    }
    Ok(())
}

/// Takes the locks of the partitions of rows that are about to be read.
///
/// # Errors
/// [`PutOff::Locked`] when another request has one.
fn lock(
    cx: &ExecuteContext<'_>,
    needed: &[(&Table, NeededRow)],
) -> Result<Option<PartitionGuard>, Halt> {
    if needed.is_empty() {
        return Ok(None);
    }
    let token = |(_, row): &(&Table, NeededRow)| Token(token_of(&row.partition));
    let tokens: SmallVec<[Token; 4]> = needed.iter().map(token).collect();
    let locked = cx.locks.try_lock(&tokens);
    locked.map(Some).map_err(|token| PutOff::Locked(token).into())
}

/// What the statements of a request must know, by table and full key.
#[derive(Debug, Default)]
struct ReadRows(BTreeMap<(TableId, Vec<u8>), Option<RowBuf>>);

/// Reads what statements need, each row once, with their partitions locked; and says what of it several replicas are to
/// be asked for.
fn read_needed(
    cx: &ExecuteContext<'_>,
    items: &[BatchItem<'_>],
    consistency: Consistency,
    held: Option<Held>,
) -> Result<(Held, Vec<Wanted>), Halt> {
    let needed = needed_by(cx, items, consistency)?;
    let mut held = match held {
        Some(held) => held,
        None => Held { rows: ReadRows::default(), _locks: lock(cx, &needed)? },
    };
    // A write at ANY asks nothing of replicas; what it reads must come from one.
    let consistency = match consistency {
        Consistency::Any => Consistency::One,
        other => other,
    };
    let mut unknown: BTreeMap<TableId, (&Table, Vec<KeyInterval>)> = BTreeMap::new();
    for (table, NeededRow { partition, position }) in &needed {
        let key = [&partition[..], position].concat();
        if held.rows.0.contains_key(&(table.id, key.clone())) {
            continue;
        }
        let partition_len = partition.len();
        let row = RowKey { table: table.id, key: &key, partition_len, columns: None };
        let token = Token(token_of(partition));
        let row = match cx.read_row(&table.keyspace, token, consistency, row)? {
            Found::Row(row) => Some(row.row().to_buf().map_err(unreadable)?),
            Found::Absent => None,
            Found::Unknown => {
                let (_, intervals) = unknown.entry(table.id).or_insert((table, Vec::new()));
                let upper = [&key[..], &[0]].concat();
                let partition_len = Some(partition_len);
                intervals.push(KeyInterval { lower: key, upper, partition_len });
                continue;
            }
        };
        held.rows.0.insert((table.id, key), row);
    }
    let wanted = unknown.into_values().map(|(table, intervals)| wanted(cx, table, intervals));
    let wanted = wanted.collect();
    Ok((held, wanted))
}

fn wanted(cx: &ExecuteContext<'_>, table: &Table, mut intervals: Vec<KeyInterval>) -> Wanted {
    intervals.sort_unstable_by(|a, b| a.lower.cmp(&b.lower));
    intervals.dedup();
    // The others are asked for in the next round.
    intervals.truncate(MOST_INTERVALS);
    let command = ReadCommand {
        table: table.id,
        intervals,
        direction: Direction::Forward,
        limits: ReadLimits { rows: None, bytes: FETCH_BYTES },
        now: cx.time.seconds,
        answer: AnswerKind::Data,
    };
    Wanted { placement: Arc::clone(cx.cluster.placement(table.keyspace.as_str())), command }
}

impl Held {
    /// Takes what came for a command.
    ///
    /// # Errors
    /// A row that does not decode.
    pub fn take(&mut self, wanted: &Wanted, runs: &[MergedRun], now: Seconds) -> Result<(), Halt> {
        let Wanted { command, .. } = wanted;
        // One run for each of the first intervals.
        for (interval, run) in command.intervals.iter().zip(runs) {
            if run.covers(&interval.lower) {
                let row = run.row(&interval.lower, now)?;
                let row = row.map(|row| row.row().to_buf()).transpose().map_err(unreadable)?;
                self.rows.0.insert((command.table, interval.lower.clone()), row);
            }
        }
        Ok(())
    }
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
