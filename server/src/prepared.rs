//! Prepared statements: one cache for all connections, bounded in bytes.
//!
//! An id is a hash of the keyspace and the text, so every node gives a statement the same id, and preparing again after
//! a restart brings it back. A statement keeps its plan until the schema moves on; then the plan is checked and, where
//! its table changed, made anew. One that no longer plans (its table is gone) is forgotten: drivers get UNPREPARED,
//! prepare again, and are told why it can't be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::response::metadata::{ColumnSpec as WireColumn, EncodedColumns};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::error::QueryError;
use crate::query::catalogue::Catalogue;
use crate::query::plan::{ColumnSpec, Planned};
use crate::query::planner::{Effort, PlanContext, plan};

/// A statement's id.
pub type StatementId = [u8; 16];

/// What a plan weighs beside its text, roughly.
const PLAN_BYTES: usize = 2048;

/// A planned statement with what its answers need, encoded once.
#[derive(Debug)]
pub struct Ready {
    /// The plan.
    pub planned: Planned,
    /// Columns of the result; none if it gives no rows.
    pub columns: Option<EncodedColumns>,
    /// Id of the result's metadata: changes with it.
    pub metadata_id: StatementId,
}

impl Ready {
    /// Parses and plans a statement, by a time.
    ///
    /// # Errors
    /// The text is no CQL, or makes no sense with this catalogue; the time is over.
    pub fn plan(
        text: &str,
        keyspace: Option<&Name>,
        catalogue: &Catalogue,
        deadline: Option<Instant>,
    ) -> Result<Ready, QueryError> {
        let statement = tholos_parser::parse_statement(text)?;
        let effort = Effort { deadline, ..Effort::default() };
        let context = PlanContext { catalogue, keyspace, effort: Some(&effort) };
        let planned = plan(statement, context).map_err(|error| error.in_text(text))?;
        let columns = planned.result_columns().map(|columns| EncodedColumns::new(&wire(columns)));
        let metadata_id = metadata_id(columns.as_ref());
        Ok(Ready { planned, columns, metadata_id })
    }

    /// Whether the plan still holds in this catalogue: all its tables are the same, or it is about none.
    fn holds(&self, catalogue: &Catalogue) -> bool {
        self.planned.tables.iter().all(|table| {
            let now = catalogue.table(table.keyspace.as_str(), table.name.as_str());
            now.is_some_and(|now| Arc::ptr_eq(now, table))
        })
    }
}

/// Columns as the protocol's metadata has them.
pub fn wire(columns: &[ColumnSpec]) -> Vec<WireColumn> {
    let column = |column: &ColumnSpec| WireColumn {
        keyspace: column.keyspace.clone(),
        table: column.table.clone(),
        name: column.name.clone(),
        column_type: column.cql_type.clone(),
    };
    columns.iter().map(column).collect()
}

fn metadata_id(columns: Option<&EncodedColumns>) -> StatementId {
    let mut bytes = Vec::new();
    if let Some(columns) = columns {
        columns.encode(&mut bytes, false, None);
    }
    xxh3_128(&bytes).to_be_bytes()
}

/// A prepared statement.
#[derive(Debug)]
pub struct Prepared {
    /// Its id.
    pub id: StatementId,
    /// The keyspace that it was prepared in.
    pub keyspace: Option<Name>,
    /// Its text.
    pub text: Box<str>,
    /// Id of the metadata that clients were told when they prepared it first.
    pub first_metadata_id: StatementId,
    ready: ArcSwap<Ready>,
    /// The schema epoch at which `ready` was last seen to hold.
    epoch: AtomicU64,
}

impl Prepared {
    /// The plan, made anew if the schema moved on and its table changed. Also says whether it was.
    ///
    /// # Errors
    /// It does not plan any more.
    pub fn ready(&self, catalogue: &Catalogue) -> Result<(Arc<Ready>, bool), QueryError> {
        let epoch = catalogue.schema.epoch;
        // The epoch is stored after the plan and read before it: the plan is never older than what the epoch says.
        let holds = self.epoch.load(Ordering::Acquire) == epoch;
        let ready = self.ready.load_full();
        if holds {
            return Ok((ready, false));
        }
        if ready.holds(catalogue) {
            self.epoch.store(epoch, Ordering::Release);
            return Ok((ready, false));
        }
        let fresh = Arc::new(Ready::plan(&self.text, self.keyspace.as_ref(), catalogue, None)?);
        self.ready.store(Arc::clone(&fresh));
        self.epoch.store(epoch, Ordering::Release);
        Ok((fresh, true))
    }

    fn bytes(&self) -> usize {
        size_of::<Prepared>() + self.text.len() * 2 + PLAN_BYTES
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<StatementId, Arc<Prepared>> for Bytes {
    fn weight(&self, _: &StatementId, prepared: &Arc<Prepared>) -> u64 {
        prepared.bytes() as u64
    }
}

/// The cache.
pub struct PreparedCache {
    cache: Cache<StatementId, Arc<Prepared>, Bytes>,
}

impl PreparedCache {
    /// A cache of that many bytes.
    pub fn new(bytes: u64) -> PreparedCache {
        let estimated = usize::try_from(bytes / PLAN_BYTES as u64).unwrap_or(usize::MAX).max(16);
        PreparedCache { cache: Cache::with_weighter(estimated, bytes, Bytes) }
    }

    /// Prepares a statement by a time, or finds it prepared.
    ///
    /// # Errors
    /// It does not parse or plan in time, or is too large to be kept.
    pub fn prepare(
        &self,
        text: &str,
        keyspace: Option<&Name>,
        catalogue: &Catalogue,
        deadline: Option<Instant>,
    ) -> Result<(Arc<Prepared>, Arc<Ready>), QueryError> {
        let id = statement_id(text, keyspace);
        if let Some(prepared) = self.cache.get(&id) {
            // Whoever prepares is told the metadata of now; what was told before may differ, and stays safe to compare.
            let (ready, _) = prepared.ready(catalogue)?;
            return Ok((prepared, ready));
        }
        let ready = Arc::new(Ready::plan(text, keyspace, catalogue, deadline)?);
        let prepared = Arc::new(Prepared {
            id,
            keyspace: keyspace.cloned(),
            text: text.into(),
            first_metadata_id: ready.metadata_id,
            ready: ArcSwap::new(Arc::clone(&ready)),
            epoch: AtomicU64::new(catalogue.schema.epoch),
        });
        self.cache.insert(id, Arc::clone(&prepared));
        Ok((prepared, ready))
    }

    /// The statement of that id.
    pub fn find(&self, id: &[u8]) -> Option<Arc<Prepared>> {
        self.cache.get(&StatementId::try_from(id).ok()?)
    }

    /// Forgets a statement.
    pub fn forget(&self, id: &StatementId) {
        self.cache.remove(id);
    }

    /// All statements, in no order.
    pub fn all(&self) -> Vec<Arc<Prepared>> {
        self.cache.iter().map(|(_, prepared)| prepared).collect()
    }

    /// How many statements there are.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// How many bytes they take, roughly.
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}

impl std::fmt::Debug for PreparedCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedCache({} statements)", self.len())
    }
}

fn statement_id(text: &str, keyspace: Option<&Name>) -> StatementId {
    let mut hasher = Xxh3::new();
    if let Some(keyspace) = keyspace {
        hasher.update(keyspace.as_str().as_bytes());
    }
    // No keyspace's name has a zero byte: `a` + `b...` and `ab` + `...` differ.
    hasher.update(&[0]);
    hasher.update(text.as_bytes());
    hasher.digest128().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    /// Prepares a statement, changes the schema, and says whether the statement was planned anew.
    fn replanned(statement: &str, change: &str) -> bool {
        let mut bench = Bench::new();
        bench.run(
            "CREATE TABLE a (k int PRIMARY KEY, v int); CREATE TABLE b (k int PRIMARY KEY, v int);
             CREATE TABLE c (k int PRIMARY KEY, v int)",
        );
        let cache = PreparedCache::new(1 << 20);
        let keyspace = Name::from("ks");
        let (prepared, _) =
            cache.prepare(statement, Some(&keyspace), &bench.catalogue, None).unwrap();
        bench.run(change);
        prepared.ready(&bench.catalogue).unwrap().1
    }

    #[test]
    fn a_batch_is_planned_anew_when_any_of_its_tables_changes() {
        let batch = "BEGIN BATCH UPDATE a SET v = 1 WHERE k = 1; UPDATE b SET v = 1 WHERE k = 1; APPLY BATCH";
        assert!(replanned(batch, "ALTER TABLE a ADD w int"));
        assert!(replanned(batch, "ALTER TABLE b ADD w int"));
        assert!(replanned(batch, "DROP TABLE b; CREATE TABLE b (k int PRIMARY KEY, v int)"));
        assert!(!replanned(batch, "ALTER TABLE c ADD w int"));
    }

    #[test]
    fn truncate_is_planned_anew_when_its_table_was_made_anew() {
        let again = "DROP TABLE a; CREATE TABLE a (k int PRIMARY KEY, v int)";
        assert!(replanned("TRUNCATE a", again));
        assert!(!replanned("TRUNCATE b", again));
    }
}
