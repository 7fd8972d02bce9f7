//! Opening a node: from a configuration and a file system to a node that answers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::Mutex;
use tholos_cluster::metadata::ClusterMetadata;
use tholos_cluster::ring::{Node as RingNode, Ring, RingError, Weight};
use tholos_storage::StorageError;
use tholos_storage::commitlog::{CommitLogOptions, SyncMode};
use tholos_storage::engine::{Clock, Engine, EngineOptions, Expected};
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::fs::real::RealFs;
use tholos_storage::fs::{Fs, create_dir_durably};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::traces::Traces;
use super::{Metadata, Node, SELF, refused, table_settings};
use crate::budget::Budget;
use crate::clock::{HybridClock, SystemWall, Wall};
use crate::config::{CommitLogMode, Config, cores};
use crate::descriptors;
use crate::error::QueryError;
use crate::events::EventHub;
use crate::execute::tombstones::TombstoneLog;
use crate::identity::{NodeRecord, NodeStore};
use crate::load::Load;
use crate::metrics::Metrics;
use crate::network::{Alone, Network};
use crate::prepared::PreparedCache;
use crate::presence::{STORAGE, check_identity, check_schema};
use crate::query::catalogue::Catalogue;
use crate::query::functions::Random;
use crate::schema_store::{SchemaStore, Stored};
use crate::system::schema::{stored_schema, system_schema};

const MIB: u64 = 1 << 20;

/// What a node is made of.
pub struct NodeOptions {
    /// Settings.
    pub config: Config,
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// The wall's time.
    pub wall: Arc<dyn Wall>,
    /// Random bits.
    pub random: Box<dyn Random + Send + Sync>,
    /// Where clients reach it.
    pub native_address: SocketAddr,
    /// The other nodes of its ring.
    pub others: Vec<RingNode>,
    /// The way to them.
    pub network: Arc<dyn Network>,
    /// How the storage engine works: what the configuration says, unless it is changed. If its background work is the
    /// caller's, the node starts no thread at all: see [`Node::background_step`].
    pub engine: EngineOptions,
    /// Move damaged segments of the commit log away and go on, instead of refusing to start.
    pub set_aside_damaged: bool,
    /// Make parts of the data directory that were lost anew, empty, instead of refusing to start.
    pub recreate_missing: bool,
}

/// Why a node did not open.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory can't be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The schema on disk does not fit this node.
    #[error("the schema on disk can't be used: {0}")]
    Schema(QueryError),
    /// The node's tokens make no ring.
    #[error(transparent)]
    Ring(#[from] RingError),
}

impl NodeOptions {
    /// A node on the real file system and clock.
    pub fn real(config: Config, native_address: SocketAddr) -> NodeOptions {
        NodeOptions {
            fs: Arc::new(RealFs),
            wall: Arc::new(SystemWall),
            random: Box::new(SystemRandom),
            native_address,
            others: Vec::new(),
            network: Arc::new(Alone),
            engine: engine_options(&config),
            config,
            set_aside_damaged: false,
            recreate_missing: false,
        }
    }

    /// A node whose data is in memory and goes with it.
    pub fn in_memory(mut config: Config, native_address: SocketAddr) -> NodeOptions {
        config.data_dir = PathBuf::from("/memory");
        // What is dropped in memory would never be free again.
        config.auto_snapshot = false;
        NodeOptions { fs: Arc::new(MemoryFs::new()), ..NodeOptions::real(config, native_address) }
    }
}

impl Node {
    /// Opens a node: locks its data directory, reads who it is and its schema, replays its log.
    ///
    /// In a new directory, the record of who it is comes first and says at the end that all else is there: whatever is
    /// missing at a later start was lost.
    ///
    /// # Errors
    /// The directory is in use, damaged, of another cluster, or lacks something that was there.
    pub fn open(options: NodeOptions) -> Result<Node, NodeError> {
        let NodeOptions {
            config,
            fs,
            wall,
            random,
            native_address,
            others,
            network,
            engine: mut engine_options,
            set_aside_damaged,
            recreate_missing,
        } = options;
        let dir = &config.data_dir;
        create_dir_durably(&*fs, dir).map_err(|error| StorageError::io("create", dir, error))?;
        let directory = lock(&*fs, &config)?;
        let mut bits = || random.bits();
        if !recreate_missing {
            check_identity(&*fs, dir)?;
        }
        let mut journal = NodeStore::open(Arc::clone(&fs), dir, &config.cluster_name, &mut bits)?;
        let NodeRecord { identity, established, clock_ceiling, system_tables } =
            journal.record().clone();
        let opened_before = established && !recreate_missing;
        check_schema(&*fs, dir, opened_before)?;
        let mut store = SchemaStore::open(Arc::clone(&fs), dir)?;
        let this = RingNode {
            host_id: identity.host_id,
            address: native_address,
            data_center: config.data_center.clone(),
            rack: config.rack.clone(),
            weight: Weight::ONE,
            tokens: identity.ring_tokens(),
        };
        let ring = Arc::new(Ring::new([vec![this], others].concat())?);
        let cluster = ClusterMetadata::new(ring, SELF, Arc::clone(store.schema()))
            .map_err(|error| NodeError::Schema(refused(error)))?;
        let stored = table_settings(&stored_schema());
        let stored_ids = stored.iter().map(|table| table.id).collect();
        let settings = [table_settings(store.schema()), stored].concat();
        let driver = engine_options.background;
        engine_options.commit_log.set_aside_damaged = set_aside_damaged;
        let Stored { dropped, knows_all_dropped, .. } = store.stored().clone();
        let new_tables = &stored_ids - &system_tables;
        engine_options.expected =
            Expected { opened_before, new_tables, dropped, knows_all_dropped };
        let engine_clock = Arc::new(EngineClock(Arc::clone(&wall)));
        let engine = Engine::open(Arc::clone(&fs), engine_clock, engine_options, settings)?;
        store.settle(engine.unknown_tables())?;
        journal.establish(&stored_ids)?;
        let clock = HybridClock::open(wall, engine.max_timestamp(clock_ceiling), journal, driver);
        let catalogue = Catalogue::new(Arc::clone(store.schema()), Arc::new(system_schema()));
        let budget = Arc::new(Budget::new(config.request_bytes()));
        Ok(Node {
            native_address,
            started_seconds: clock.wall_micros() / 1_000_000,
            clock,
            random,
            engine,
            network,
            locks: Arc::default(),
            metadata: ArcSwap::from_pointee(Metadata { cluster, catalogue }),
            schema: Mutex::new(store),
            prepared: PreparedCache::new(config.limits.prepared_cache_bytes()),
            events: Arc::new(EventHub::default()),
            metrics: Arc::new(Metrics::default()),
            frame_bytes: config.frame_bytes(budget.most_of_one()),
            budget,
            load: Arc::new(Load::new(cores())),
            clients: DashMap::new(),
            next_client: AtomicU64::new(0),
            traces: Traces::default(),
            tombstone_log: TombstoneLog::default(),
            stopping: AtomicBool::new(false),
            auto_snapshots: AtomicU64::new(0),
            config,
            fs,
            identity,
            _directory: directory,
        })
    }
}

fn lock(fs: &dyn Fs, config: &Config) -> Result<Box<dyn Send + Sync>, StorageError> {
    let dir = &config.data_dir;
    fs.lock_dir(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => StorageError::Unusable(format!(
            "the data directory {} is in use by another process: stop it, or choose another directory with --data",
            dir.display()
        )),
        _ => StorageError::io("lock", dir, error),
    })
}

fn engine_options(config: &Config) -> EngineOptions {
    let log = &config.commit_log;
    let interval = Duration::from_millis(log.periodic_interval_ms);
    let commit_log = CommitLogOptions {
        mode: match log.mode {
            CommitLogMode::Group => SyncMode::Group,
            CommitLogMode::Batch => SyncMode::Batch,
            CommitLogMode::Periodic => SyncMode::Periodic { interval },
        },
        segment_bytes: log.segment_mib << 20,
        total_bytes: log.total_mib * MIB,
        // Zeros keep syncs short, which is nothing to writers that do not wait for them.
        zero_fill: log.mode != CommitLogMode::Periodic,
        ..CommitLogOptions::default()
    };
    EngineOptions {
        commit_log,
        // The engine flushes at its limit, and lets writers wait at twice that.
        memtable_bytes: usize::try_from(config.memtable_bytes() / 2).unwrap_or(usize::MAX),
        shards: (cores() * 4).next_power_of_two(),
        block_cache_bytes: config.block_cache_bytes(),
        compaction_bytes_per_second: config.compaction.calm_mib_per_s * MIB,
        compaction_threads: config.compaction_threads(),
        open_files: descriptors::for_sstables(config.limits.max_connections),
        replay_threads: cores(),
        ..EngineOptions::new(config.data_dir.join(STORAGE))
    }
}

struct EngineClock(Arc<dyn Wall>);

impl Clock for EngineClock {
    fn now_micros(&self) -> i64 {
        self.0.micros()
    }
}

/// The operating system's random bits.
#[derive(Clone, Copy, Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn bits(&self) -> u64 {
        // Six of a random UUID's bits are fixed; hashing spreads the other 122 over all 64.
        xxh3_64(Uuid::new_v4().as_bytes())
    }
}
