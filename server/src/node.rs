//! The node: storage, schema, ring and clock put together, and what all connections share.
//!
//! Everything here is synchronous and independent of sockets: tests open a node on an in-memory file system and talk to
//! it through a [`Session`](crate::session::Session).
//!
//! What the cluster agrees on, and the catalogue that follows from it, are one immutable [`Metadata`], replaced as a
//! whole. A schema statement makes its tables in the engine, then its record durable, then publishes the metadata, then
//! drops what is gone: nobody ever plans against a table that the engine does not have.

mod open;
mod snapshots;
mod system;
mod traces;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;
use parking_lot::Mutex;
use tholos_cluster::metadata::ClusterMetadata;
use tholos_cluster::metadata::entry::{Entry, MetadataError};
use tholos_grammar::name::Name;
use tholos_grammar::protocol::response::event::{Event, SchemaChange as SchemaChangeEvent};
use tholos_storage::StorageError;
use tholos_storage::engine::{Engine, TableSettings};
use tholos_storage::fs::Fs;
use tholos_storage::schema::change::Touched;
use tholos_storage::schema::{Keyspace, Schema, SchemaChange, Table, TableId};

pub use self::open::{NodeError, NodeOptions, SystemRandom};
pub use self::snapshots::{Kept, Restored, Which};
pub use self::system::Client;
pub use self::traces::Traced;
use self::traces::Traces;
use crate::budget::Budget;
use crate::clock::{Deadline, HybridClock};
use crate::config::Config;
use crate::error::QueryError;
use crate::events::EventHub;
use crate::execute::locks::PartitionLocks;
use crate::execute::tombstones::TombstoneLog;
use crate::identity::Identity;
use crate::load::Load;
use crate::metrics::{Gauges, Metrics, Sample, counter, gauge};
use crate::network::Network;
use crate::prepared::PreparedCache;
use crate::query::catalogue::Catalogue;
use crate::query::functions::Random;
use crate::schema_store::SchemaStore;

/// This node's number in a ring of itself.
const SELF: u32 = 0;

/// The cluster's metadata at one epoch, and what follows from it here.
#[derive(Debug)]
pub struct Metadata {
    /// Nodes, placements, schema.
    pub cluster: ClusterMetadata,
    /// What planning may know.
    pub catalogue: Catalogue,
}

/// A change of the schema that was made.
#[derive(Debug)]
pub struct Altered<T> {
    /// What the effect told.
    pub told: T,
    /// Snapshots of tables that were dropped.
    pub kept: Vec<Kept>,
}

/// A node.
pub struct Node {
    config: Config,
    fs: Arc<dyn Fs>,
    identity: Identity,
    native_address: SocketAddr,
    started_seconds: i64,
    clock: HybridClock,
    random: Box<dyn Random + Send + Sync>,
    engine: Engine,
    network: Arc<dyn Network>,
    locks: Arc<PartitionLocks>,
    metadata: ArcSwap<Metadata>,
    /// Held while the schema changes.
    schema: Mutex<SchemaStore>,
    prepared: PreparedCache,
    events: Arc<EventHub>,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    /// The largest request that is taken.
    frame_bytes: usize,
    load: Arc<Load>,
    clients: DashMap<u64, Arc<Client>>,
    next_client: AtomicU64,
    traces: Traces,
    tombstone_log: TombstoneLog,
    stopping: AtomicBool,
    /// Automatic snapshots taken since the start.
    auto_snapshots: AtomicU64,
    /// The data directory, locked for as long as the node lives.
    _directory: Box<dyn Send + Sync>,
}

impl Node {
    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where clients reach it.
    pub fn native_address(&self) -> SocketAddr {
        self.native_address
    }

    /// Its clock.
    pub fn clock(&self) -> &HybridClock {
        &self.clock
    }

    /// Random bits.
    pub fn random(&self) -> &(dyn Random + Send + Sync) {
        &*self.random
    }

    /// Its storage engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The way to other nodes.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// Partitions that are being changed by what they hold.
    pub(crate) fn locks(&self) -> &Arc<PartitionLocks> {
        &self.locks
    }

    /// What the cluster has agreed on by now.
    pub fn metadata(&self) -> Guard<Arc<Metadata>> {
        self.metadata.load()
    }

    /// Prepared statements.
    pub fn prepared(&self) -> &PreparedCache {
        &self.prepared
    }

    /// Where events go.
    pub fn events(&self) -> &Arc<EventHub> {
        &self.events
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Memory for the bytes of requests and answers.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The largest request that is taken, in bytes.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// What all connections had to do lately.
    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Where reads over many tombstones are told.
    pub fn tombstone_log(&self) -> &TombstoneLog {
        &self.tombstone_log
    }

    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.config.limits.request_timeout_ms)
    }

    /// When a request is given up that began then.
    pub fn deadline(&self, started: Instant) -> Deadline<'_> {
        self.clock.deadline(started + self.request_timeout())
    }

    /// Whether it takes no new requests any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Says that it is going to stop.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Changes the schema: `effect` says how, given the catalogue of that moment; nobody else changes it meanwhile.
    /// Blocks on the disk. When it returns the change survives a crash.
    ///
    /// # Errors
    /// What `effect` says; the changes do not fit, or could not be written: then nothing changed.
    pub fn alter_schema<T>(
        &self,
        effect: impl FnOnce(&Catalogue) -> Result<(Vec<SchemaChange>, T), QueryError>,
    ) -> Result<Altered<T>, QueryError> {
        let mut store = self.schema.lock();
        let before = self.metadata.load_full();
        let (changes, told) = effect(&before.catalogue)?;
        let mut kept = Vec::new();
        if changes.is_empty() {
            return Ok(Altered { told, kept });
        }
        let entry = Entry::Schema { base: before.catalogue.schema.epoch, changes: changes.clone() };
        let cluster = before.cluster.after(&entry).map_err(refused)?;
        let Difference { dropped, created, altered } =
            Difference::between(&before.catalogue.schema, cluster.schema(), &changes);
        for table in &dropped {
            let snapshot = self.keep(&before.catalogue.schema, "dropped", &table.table);
            kept.extend(snapshot.map_err(QueryError::SchemaNotChanged)?);
        }
        for (i, table) in created.iter().enumerate() {
            if let Err(error) = self.engine().create_table(table.settings()) {
                self.drop_tables(created.iter().take(i).map(TableOf::id));
                return Err(QueryError::SchemaNotChanged(error.to_string()));
            }
        }
        if let Err(error) = store.commit(&changes, || self.engine().forgotten_drops()) {
            self.drop_tables(created.iter().map(TableOf::id));
            return Err(QueryError::SchemaNotChanged(error.to_string()));
        }
        for table in &altered {
            if let Err(error) = self.engine().alter_table(table.settings()) {
                tracing::warn!(%error, "a table's new settings take effect at the next start");
            }
        }
        let catalogue = before.catalogue.after(Arc::clone(cluster.schema()), &changes);
        self.metadata.store(Arc::new(Metadata { cluster, catalogue }));
        self.drop_tables(dropped.iter().map(TableOf::id));
        Ok(Altered { told, kept })
    }

    /// Takes one step of background work, if there is any: what the node's threads do unless its engine was told that the
    /// caller does it. The log is synced by [`Engine::sync_log`].
    ///
    /// # Errors
    /// What reading and writing meets; nothing is lost by it.
    pub fn background_step(&self) -> Result<bool, StorageError> {
        Ok(self.clock.background_step() || self.engine().background_step()?)
    }

    /// Keeps a trace, for a while.
    pub fn record_trace(&self, traced: Traced<'_>) {
        self.traces.record(traced);
    }

    /// Tells the connections that registered for it of a schema change.
    pub fn publish(&self, change: SchemaChangeEvent) {
        self.events.publish(Event::SchemaChange(change));
    }

    /// Ends a stop: everything in memory goes to SSTables, the log is synced. Writes fail from then on.
    ///
    /// # Errors
    /// What was not written stays in the commit log, for the next start.
    pub fn close(&self) -> Result<(), StorageError> {
        self.engine().close()?;
        self.clock.close()
    }

    fn drop_tables(&self, ids: impl Iterator<Item = TableId>) {
        for id in ids {
            if let Err(error) = self.engine().drop_table(id) {
                tracing::warn!(%id, %error, "a dropped table's files could not be removed");
            }
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({}, {})", self.identity.host_id, self.native_address)
    }
}

impl Gauges for Node {
    fn sample(&self) -> Sample {
        let stats = self.engine().stats();
        let keyspaces = &self.metadata().catalogue.schema.keyspaces;
        let users_tables: usize = keyspaces.values().map(|keyspace| keyspace.tables.size()).sum();
        let files = || stats.tables.iter().flat_map(|table| &table.files);
        let sum = |of: fn(&tholos_storage::engine::TableStats) -> u64| {
            stats.tables.iter().map(of).sum::<u64>()
        };
        let gauges = vec![
            gauge("memtable_bytes", "Bytes of all memtables.", stats.memtable_bytes as u64),
            gauge("sstables", "SSTables of all tables.", files().count() as u64),
            gauge("sstable_bytes", "Bytes of all SSTables.", files().map(|file| file.1).sum()),
            gauge(
                "pending_compactions",
                "Compactions that would start now.",
                sum(|table| table.pending_compactions as u64),
            ),
            gauge(
                "compaction_backlog_bytes",
                "Bytes that compactions would rewrite now.",
                sum(|table| table.compaction_backlog_bytes),
            ),
            gauge("running_compactions", "Compactions that run.", stats.jobs.len() as u64),
            gauge(
                "running_compaction_bytes",
                "Bytes of the inputs of compactions that run.",
                stats.jobs.iter().map(|job| job.total_bytes).sum(),
            ),
            gauge(
                "running_compaction_done_bytes",
                "Bytes of those that were read.",
                stats.jobs.iter().map(|job| job.done_bytes).sum(),
            ),
            counter("flushes", "Memtables written to SSTables.", stats.flushes),
            counter("compactions", "Compactions finished.", stats.compactions),
            counter("compacted_bytes", "Bytes that compactions wrote.", stats.compacted_bytes),
            counter("expired_sstables", "SSTables that expired whole.", stats.expired_files),
            gauge(
                "damaged_ranges",
                "Parts of SSTables that were found to be damaged.",
                self.engine().damage().len() as u64,
            ),
            gauge(
                "request_memory_bytes",
                "Bytes of requests and answers that are not done with.",
                self.budget.used() as u64,
            ),
            gauge(
                "request_memory_limit_bytes",
                "The most that these may be (memory.requests_mib).",
                self.budget.total() as u64,
            ),
            counter(
                "request_memory_shortages",
                "How often a client could not have memory for a request or an answer at once.",
                self.budget.shortages(),
            ),
            counter(
                "refused_requests",
                "Requests refused at once, as overloaded, because too many came.",
                self.load.refused(),
            ),
            gauge("tables", "Tables of users.", users_tables as u64),
            gauge("prepared_statements", "Prepared statements.", self.prepared.len() as u64),
            gauge("prepared_bytes", "Bytes of prepared statements.", self.prepared.bytes()),
            gauge("schema_epoch", "Schema changes ever.", self.metadata().catalogue.schema.epoch),
        ];
        let most_tables = self.config.admin.table_metrics;
        Sample { gauges, tables: stats.tables, most_tables, log: stats.log }
    }
}

/// The tables that a schema change concerns.
struct Difference {
    dropped: Vec<TableOf>,
    created: Vec<TableOf>,
    /// As they are now.
    altered: Vec<TableOf>,
}

impl Difference {
    /// What changes led from one schema to the next: costs as much as what they touched.
    fn between(before: &Schema, after: &Schema, changes: &[SchemaChange]) -> Difference {
        let touched = Touched::by(changes, before);
        let mut old = touched_tables(&touched, before);
        let (mut created, mut altered) = (Vec::new(), Vec::new());
        for (id, table) in touched_tables(&touched, after) {
            match old.remove(&id) {
                None => created.push(table),
                Some(before) if before != table => altered.push(table),
                Some(_) => {}
            }
        }
        Difference { dropped: old.into_values().collect(), created, altered }
    }
}

/// A table with what its keyspace says of it.
#[derive(PartialEq)]
struct TableOf {
    table: Arc<Table>,
    durable_writes: bool,
}

impl TableOf {
    fn id(&self) -> TableId {
        self.table.id
    }

    fn settings(&self) -> TableSettings {
        TableSettings::from_schema(&self.table, self.durable_writes)
    }
}

/// The tables of a schema among what was touched.
fn touched_tables(touched: &Touched<'_>, schema: &Schema) -> BTreeMap<TableId, TableOf> {
    let of = |keyspace: &Keyspace, table: &Arc<Table>| TableOf {
        table: Arc::clone(table),
        durable_writes: keyspace.durable_writes,
    };
    let known = |name: &Name| schema.keyspaces.get(name);
    let whole = touched.keyspaces.iter().filter_map(|name| known(name));
    let whole = whole.flat_map(|k| k.tables.values().map(move |table| of(k, table)));
    let single = touched.tables.iter().filter_map(|(keyspace, name)| {
        let keyspace = known(keyspace)?;
        Some(of(keyspace, keyspace.tables.get(*name)?))
    });
    whole.chain(single).map(|table| (table.id(), table)).collect()
}

/// What the engine is told of the tables of a schema.
pub fn table_settings(schema: &Schema) -> Vec<TableSettings> {
    tables(schema).iter().map(TableOf::settings).collect()
}

fn tables(schema: &Schema) -> Vec<TableOf> {
    let of = |durable_writes: bool| {
        move |table: &Arc<Table>| TableOf { table: Arc::clone(table), durable_writes }
    };
    let keyspaces = schema.keyspaces.values();
    keyspaces
        .flat_map(|keyspace| keyspace.tables.values().map(of(keyspace.durable_writes)))
        .collect()
}

/// An entry does not fit: its statement was wrong.
fn refused(error: MetadataError) -> QueryError {
    match error {
        MetadataError::Schema(error) => QueryError::invalid(error.to_string()),
        error => QueryError::Config(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
