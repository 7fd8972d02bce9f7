//! The simulated world: a node in one thread, on a disk and a clock that a seed moves, and what should be in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};

use tholos_grammar::protocol::header::Version;
use tholos_server::clock::{ManualWall, Wall};
use tholos_server::config::{CommitLogMode, Config};
use tholos_server::node::{Node, NodeOptions};
use tholos_storage::StorageError;
use tholos_storage::commitlog::{LogPosition, SyncDriver};
use tholos_storage::engine::BackgroundDriver;
use tholos_storage::fs::faulty::{Crash, FaultyFs};

use super::client::Client;
use super::model::{Content, Mutation};
use super::random::{NodeRandom, Random};
use super::table::Table;
use super::trace::{DiskWatch, Trace};

/// An answer is not what it must be, or something failed that must not.
#[derive(Clone, Debug)]
pub struct Violation(pub String);

/// What a step comes to.
pub type Outcome<T = ()> = Result<T, Violation>;

/// Says what is wrong.
pub fn violation<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Violation(what.into()))
}

/// How the node is set up.
#[derive(Clone, Debug)]
pub struct Shape {
    mode: CommitLogMode,
    memtable_bytes: usize,
    segment_bytes: u32,
    shards: usize,
    cache_bytes: u64,
    open_files: usize,
}

impl Shape {
    fn new(random: &mut Random) -> Shape {
        let modes = [CommitLogMode::Group, CommitLogMode::Batch, CommitLogMode::Periodic];
        Shape {
            mode: modes[random.weighted(&[60, 15, 25])],
            memtable_bytes: *random.pick(&[1_500, 4_000, 4_000, 12_000, 1 << 20]),
            segment_bytes: *random.pick(&[8 << 10, 16 << 10, 64 << 10]),
            shards: *random.pick(&[1, 4]),
            cache_bytes: *random.pick(&[0, 1 << 20]),
            open_files: *random.pick(&[2, 100]),
        }
    }
}

/// A table as it should be.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its definition.
    pub table: Table,
    /// What survives any crash.
    pub durable: Content,
    /// What reads see.
    pub current: Content,
    /// What made the one of the other: each with the number of its statement.
    pub pending: Vec<(i64, Mutation)>,
}

impl Known {
    /// An empty table.
    pub fn new(table: Table) -> Known {
        let (durable, current) = Default::default();
        Known { table, durable, current, pending: Vec::new() }
    }

    /// Something was written, and may get lost.
    pub fn write(&mut self, statement: i64, mutation: Mutation) {
        self.current.apply(&mutation);
        self.pending.push((statement, mutation));
    }

    /// Nothing of it can get lost.
    pub fn settle(&mut self) {
        self.durable.clone_from(&self.current);
        self.pending.clear();
    }
}

/// What the disk does to the node for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Calls fail.
    Failing,
    /// It is full.
    Full,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// Chance.
    pub random: Random,
    /// The clock.
    pub wall: Arc<ManualWall>,
    /// The disk.
    pub fs: FaultyFs,
    /// What watches the disk.
    pub watch: Arc<DiskWatch>,
    shape: Shape,
    node: Option<Arc<Node>>,
    /// Those that send requests.
    pub clients: Vec<Client>,
    /// Tables, by number; none where one was dropped, or is not there yet.
    pub tables: Vec<Option<Known>>,
    /// What happened.
    pub trace: Trace,
    /// Statements so far.
    pub statements: u64,
    /// Crashes, failing calls, full disks, reads of the cold disk, and writes without room.
    pub faults: u64,
    /// Grows whenever prepared statements may become unknown.
    pub age: u64,
    /// What the disk does now, and for how many turns.
    pub trouble: Option<(Trouble, u32)>,
    /// Background work is under way, and stands still.
    pub is_halfway: bool,
    noted_calls: u64,
    noted_failures: u64,
}

/// Tables that there may be at once.
pub const TABLES: usize = 3;
const CLIENTS: usize = 3;
/// What a statement takes of memory, at most.
const MOST_WRITTEN: usize = 4_000;
/// 2033, at noon.
const BEGIN_MICROS: i64 = 2_000_000_000_000_000;

impl World {
    /// The world of that seed, with an empty keyspace.
    pub fn new(seed: u64, keeps_lines: bool) -> Outcome<World> {
        let mut random = Random::new(seed);
        let wall = Arc::new(ManualWall::at(BEGIN_MICROS));
        let watch = Arc::new(DiskWatch::new(Arc::clone(&wall)));
        let fs = FaultyFs::new();
        fs.watch(Arc::clone(&watch) as _);
        let shape = Shape::new(&mut random);
        let mut trace = Trace::new(keeps_lines);
        trace.note(format!("seed {seed}: {shape:?}"));
        let mut world = World {
            random,
            wall,
            fs,
            watch,
            shape,
            node: None,
            clients: Vec::new(),
            tables: (0..TABLES).map(|_| None).collect(),
            trace,
            statements: 0,
            faults: 0,
            age: 0,
            trouble: None,
            is_halfway: false,
            noted_calls: 0,
            noted_failures: 0,
        };
        world.open()?;
        Ok(world)
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        self.node.as_ref().expect("there is a node but while it restarts")
    }

    /// Notes what happened.
    pub fn note(&mut self, line: String) {
        let (calls, hash) = self.watch.seen();
        let disk = match calls - self.noted_calls {
            0 => String::new(),
            calls => format!("  [disk: {calls} calls, {:08x}]", hash as u32),
        };
        self.noted_calls = calls;
        let failed = self.fs.failed();
        let faults = match failed.saturating_sub(self.noted_failures) {
            0 => String::new(),
            failed => format!("  [{failed} failed]"),
        };
        self.noted_failures = failed;
        let micros = self.wall.micros() - BEGIN_MICROS;
        self.trace.note(format!(
            "{:>10}.{:06} {line}{disk}{faults}",
            micros / 1_000_000,
            micros % 1_000_000
        ));
    }

    fn options(&mut self) -> NodeOptions {
        let mut config =
            Config { data_dir: "/data".into(), auto_snapshot: false, ..Config::default() };
        config.commit_log.mode = self.shape.mode;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9042));
        let mut options = NodeOptions::real(config, nowhere);
        options.fs = Arc::new(self.fs.clone());
        options.wall = Arc::clone(&self.wall) as _;
        options.random = Box::new(NodeRandom::new(self.random.bits()));
        let engine = &mut options.engine;
        engine.background = BackgroundDriver::Caller;
        engine.commit_log.driver = SyncDriver::Caller;
        engine.commit_log.segment_bytes = self.shape.segment_bytes;
        engine.commit_log.total_bytes = 4 * u64::from(self.shape.segment_bytes);
        engine.commit_log.zero_fill = false;
        engine.memtable_bytes = self.shape.memtable_bytes;
        engine.shards = self.shape.shards;
        engine.block_cache_bytes = self.shape.cache_bytes;
        engine.open_files = self.shape.open_files;
        engine.replay_threads = 1;
        engine.compaction_threads = 1;
        options
    }

    /// Starts a node on the disk as it is.
    pub fn open(&mut self) -> Outcome {
        self.age += 1;
        let options = self.options();
        let node = match Node::open(options) {
            Ok(node) => Arc::new(node),
            Err(error) => return violation(format!("the node does not start: {error}")),
        };
        let version = |i: usize| if i.is_multiple_of(2) { Version::V5 } else { Version::V4 };
        self.clients = (0..CLIENTS).map(|i| Client::new(&node, &self.wall, version(i))).collect();
        self.node = Some(node);
        Ok(())
    }

    /// Stops the node without a word, and starts one on another disk.
    pub fn restart_on(&mut self, fs: FaultyFs) -> Outcome {
        self.clients.clear();
        self.node = None;
        self.fs = fs;
        self.open()
    }

    /// What a crash leaves, at random.
    pub fn any_crash(&mut self) -> Crash {
        match self.random.below(4) {
            0 => Crash::KeepAll,
            1 => Crash::KeepSynced,
            _ => Crash::Random { seed: self.random.bits() },
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, micros: i64) {
        self.wall.advance(micros);
    }

    /// How long a call of the disk takes from now on.
    pub fn slow_down(&mut self, micros_per_call: i64) {
        self.watch.micros_per_call.store(micros_per_call, Ordering::Relaxed);
    }

    /// Whether calls take time.
    pub fn is_slow(&self) -> bool {
        self.watch.micros_per_call.load(Ordering::Relaxed) > 0
    }

    /// Syncs the log. What was written then survives any crash, and its clients are told.
    pub fn sync(&mut self) -> Outcome<bool> {
        let result = self.node().engine().sync_log();
        self.note(format!("sync: {}", shown(&result)));
        match result {
            Ok(()) => {
                self.tables.iter_mut().flatten().for_each(Known::settle);
                let Some(node) = self.node.clone() else { return Ok(true) };
                for client in &mut self.clients {
                    client
                        .acknowledge(|position| is_durable(&node, position))
                        .map_err(Violation)?;
                }
            }
            Err(error) if self.trouble.is_none() => {
                return violation(format!("the log does not sync: {error}"));
            }
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a step of background work, in the middle of which others do something now and then.
    ///
    /// The step has a thread of its own, which runs while everything else stands still and stands still while anything
    /// else runs: what happens is the same every time.
    pub fn background_in_slices(&mut self, between: fn(&mut World) -> Outcome) -> Outcome<bool> {
        let (node, watch) = (Arc::clone(self.node()), Arc::clone(&self.watch));
        let (reached, halfway) = channel();
        let (go_on, told) = channel();
        let period = 1 + self.random.below(3);
        let step = move || {
            watch.pause(period, reached, told);
            let result = node.background_step();
            watch.end_pauses();
            result
        };
        let result = std::thread::scope(|scope| {
            let step = scope.spawn(step);
            let mut outcome = Ok(());
            while outcome.is_ok() && halfway.recv().is_ok() {
                self.is_halfway = true;
                self.note("background: halfway".to_string());
                outcome = between(self);
                self.is_halfway = false;
                if go_on.send(()).is_err() {
                    break;
                }
            }
            // Nobody is there any more to give it word: it goes on to its end.
            drop((go_on, halfway));
            let result = step.join();
            outcome.map(|()| result)
        })?;
        match result {
            Ok(result) => self.stepped(result),
            Err(_) => violation("background work panicked"),
        }
    }

    /// Takes a step of background work; whether there was one.
    pub fn background(&mut self) -> Outcome<bool> {
        if self.is_halfway {
            return Ok(false);
        }
        let result = self.node().background_step();
        self.stepped(result)
    }

    /// Whether there is room for a few writes without any flush.
    pub fn has_room(&self) -> bool {
        let bytes = self.node().engine().stats().memtable_bytes;
        bytes + MOST_WRITTEN < self.shape.memtable_bytes * 2
    }

    fn stepped(&mut self, result: Result<bool, StorageError>) -> Outcome<bool> {
        match &result {
            Ok(false) => {}
            _ => self.note(format!("background: {}", shown(&result))),
        }
        match result {
            Ok(did) => Ok(did),
            Err(_) if self.trouble.is_some() => Ok(false),
            Err(error) => violation(format!("background work fails: {error}")),
        }
    }
}

/// Whether a write at that position counts as durable.
fn is_durable(node: &Node, position: LogPosition) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(node.engine().poll_durable(position, &mut context), Poll::Ready(Ok(())))
}

/// `ok`, or what went wrong.
pub fn shown<T: std::fmt::Debug, E: std::fmt::Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("failed: {error}"),
    }
}
