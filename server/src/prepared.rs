//! Prepared statements: one cache for all connections, bounded in bytes.
//!
//! An id is a hash of the keyspace and the text, so every node gives a statement the same id, and preparing again after
//! a restart brings it back. A statement keeps its plan until the schema moves on; then the plan is checked and, where
//! its table changed, made anew. If its clients would have to know of that (it has other result columns or markers, its
//! table is another one or gone), they get UNPREPARED and prepare it again: some drivers decode rows with the columns that
//! PREPARE told, whatever comes with the rows.
//!
//! The id stays the same all the while, because drivers refuse another one. So of two clients that use a statement, one
//! may prepare it again before the other has heard of the change: [`Prepared::changed_at`] says when that was, and
//! sessions that are older answer UNPREPARED to their own clients once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use tholos_grammar::name::Name;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::response::metadata::{ColumnSpec as WireColumn, EncodedColumns};
use xxhash_rust::xxh3::{Xxh3, Xxh3DefaultBuilder, xxh3_128};

use crate::clock::Deadline;
use crate::error::QueryError;
use crate::query::catalogue::Catalogue;
use crate::query::column::ColumnSpec;
use crate::query::context::{Effort, PlanContext};
use crate::query::plan::Planned;
use crate::query::planner::plan;

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
        deadline: Option<Deadline<'_>>,
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

    /// Whether a client that was told of the other plan knows all that it must of this one.
    fn tells_the_same(&self, other: &Ready) -> bool {
        let (now, then) = (&self.planned, &other.planned);
        let ids =
            |planned: &Planned| planned.tables.iter().map(|table| table.id).collect::<Vec<_>>();
        self.metadata_id == other.metadata_id
            && now.markers == then.markers
            && now.pk_indexes == then.pk_indexes
            && ids(now) == ids(then)
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
        columns.encode(&mut bytes, Version::V5, false, None);
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
    /// See [`changed_at`](Self::changed_at).
    changed_at: AtomicU64,
}

/// A prepared statement in the schema of now.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Its plan holds.
    Holds(Arc<Ready>),
    /// Its plan was made anew, which clients need not know.
    Replanned(Arc<Ready>),
    /// It must be prepared again: what clients were told of it does not hold any more.
    Changed,
}

impl Prepared {
    /// The plan, made anew if the schema moved on and its table changed.
    ///
    /// # Errors
    /// It does not plan any more.
    pub fn standing(&self, catalogue: &Catalogue) -> Result<Standing, QueryError> {
        if let Some(ready) = self.holding(catalogue) {
            return Ok(Standing::Holds(ready));
        }
        let fresh = Arc::new(Ready::plan(&self.text, self.keyspace.as_ref(), catalogue, None)?);
        if !fresh.tells_the_same(&self.ready.load()) {
            return Ok(Standing::Changed);
        }
        self.renew(&fresh, catalogue);
        Ok(Standing::Replanned(fresh))
    }

    /// As [`standing`](Self::standing), for a client that is told what the plan is like now.
    ///
    /// # Errors
    /// It does not plan any more.
    fn again(&self, catalogue: &Catalogue) -> Result<Arc<Ready>, QueryError> {
        if let Some(ready) = self.holding(catalogue) {
            return Ok(ready);
        }
        let fresh = Arc::new(Ready::plan(&self.text, self.keyspace.as_ref(), catalogue, None)?);
        if !fresh.tells_the_same(&self.ready.load()) {
            // Before the plan, so that whoever has the plan sees it.
            self.changed_at.store(catalogue.schema.epoch, Ordering::Release);
        }
        self.renew(&fresh, catalogue);
        Ok(fresh)
    }

    /// The schema epoch at which what clients are told of it changed last; 0 if it never did. Whoever prepared it before
    /// that may have its old columns in mind.
    pub fn changed_at(&self) -> u64 {
        self.changed_at.load(Ordering::Acquire)
    }

    /// The plan, if it holds.
    fn holding(&self, catalogue: &Catalogue) -> Option<Arc<Ready>> {
        let epoch = catalogue.schema.epoch;
        // The epoch is stored after the plan and read before it: the plan is never older than what the epoch says.
        let holds = self.epoch.load(Ordering::Acquire) == epoch;
        let ready = self.ready.load_full();
        if !holds {
            if !ready.holds(catalogue) {
                return None;
            }
            self.epoch.store(epoch, Ordering::Release);
        }
        Some(ready)
    }

    fn renew(&self, ready: &Arc<Ready>, catalogue: &Catalogue) {
        self.ready.store(Arc::clone(ready));
        self.epoch.store(catalogue.schema.epoch, Ordering::Release);
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
    /// Ids are hashes already: which statements go first is no matter of chance.
    cache: Cache<StatementId, Arc<Prepared>, Bytes, Xxh3DefaultBuilder>,
}

impl PreparedCache {
    /// A cache of that many bytes.
    pub fn new(bytes: u64) -> PreparedCache {
        let estimated = usize::try_from(bytes / PLAN_BYTES as u64).unwrap_or(usize::MAX).max(16);
        let (hasher, lifecycle) = (Xxh3DefaultBuilder, DefaultLifecycle::default());
        PreparedCache { cache: Cache::with(estimated, bytes, Bytes, hasher, lifecycle) }
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
        deadline: Option<Deadline<'_>>,
    ) -> Result<(Arc<Prepared>, Arc<Ready>), QueryError> {
        let id = statement_id(text, keyspace);
        if let Some(prepared) = self.cache.get(&id) {
            // Whoever prepares is told the metadata of now; what was told before may differ, and stays safe to compare.
            let ready = prepared.again(catalogue)?;
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
            changed_at: AtomicU64::new(0),
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

    /// Prepares a statement, changes the schema, and says how the statement stands.
    fn after(statement: &str, change: &str) -> &'static str {
        let mut bench = Bench::new();
        bench.run(
            "CREATE TYPE u (f int); CREATE TABLE a (k int PRIMARY KEY, v int); CREATE TABLE b (k int PRIMARY KEY, v int);
             CREATE TABLE c (k int PRIMARY KEY, v frozen<u>)",
        );
        let cache = PreparedCache::new(1 << 20);
        let keyspace = Name::from("ks");
        let (prepared, _) =
            cache.prepare(statement, Some(&keyspace), &bench.catalogue, None).unwrap();
        bench.run(change);
        match prepared.standing(&bench.catalogue) {
            Ok(Standing::Holds(_)) => "holds",
            Ok(Standing::Replanned(_)) => "replanned",
            Ok(Standing::Changed) => "changed",
            Err(_) => "gone",
        }
    }

    #[test]
    fn a_change_that_clients_need_not_know_of_is_a_new_plan() {
        let batch = "BEGIN BATCH UPDATE a SET v = 1 WHERE k = 1; UPDATE b SET v = 1 WHERE k = 1; APPLY BATCH";
        assert_eq!(after(batch, "ALTER TABLE a ADD w int"), "replanned");
        assert_eq!(after(batch, "ALTER TABLE b ADD w int"), "replanned");
        assert_eq!(after(batch, "ALTER TABLE c ADD w int"), "holds");
        assert_eq!(after("SELECT v FROM a", "ALTER TABLE a WITH comment = 'x'"), "replanned");
    }

    #[test]
    fn a_change_that_clients_must_know_of_has_it_prepared_again() {
        assert_eq!(after("SELECT * FROM a", "ALTER TABLE a ADD w int"), "changed");
        assert_eq!(after("SELECT * FROM a", "ALTER TABLE a DROP v"), "changed");
        assert_eq!(after("SELECT v FROM c", "ALTER TYPE u ADD g int"), "changed");
        assert_eq!(
            after("INSERT INTO c (k, v) VALUES (?, ?)", "ALTER TYPE u ADD g int"),
            "changed"
        );
        assert_eq!(after("SELECT v FROM a", "ALTER TABLE a DROP v"), "gone");
        assert_eq!(after("SELECT v FROM a", "DROP TABLE a"), "gone");
        let again = "DROP TABLE a; CREATE TABLE a (k int PRIMARY KEY, v int)";
        assert_eq!(after("TRUNCATE a", again), "changed");
        assert_eq!(after("UPDATE a SET v = 1 WHERE k = 1", again), "changed");
        assert_eq!(after("TRUNCATE b", again), "holds");
    }
}
