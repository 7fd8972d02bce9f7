//! A ring of simulated nodes and the clients that talk to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tholos_cluster::message::codec;
use tholos_cluster::ring::Node as RingNode;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::header::Version as Protocol;
use tholos_server::clock::{ManualWall, Wall};
use tholos_server::config::Config;
use tholos_server::network::Network;
use tholos_server::node::{Node, NodeOptions};
use tholos_server::session::Session;
use tholos_server::session::step::{Continuation, Reply};
use tholos_server::work::mailbox::Mailbox;
use tholos_server::work::operations::Operations;
use tholos_server::work::pool::{Job, Pool};
use tholos_storage::commitlog::SyncDriver;
use tholos_storage::engine::BackgroundDriver;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use uuid::Uuid;

use super::super::random::{NodeRandom, Random};
use super::super::trace::Trace;
use super::super::world::{Outcome, Violation, violation};
use super::network::{End, Shared};
use super::rows::{Floor, Key, Rows, Version};

const BEGIN_MICROS: i64 = 2_000_000_000_000_000;
const CLIENTS: usize = 5;

const TABLE: [&str; 2] = [
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE k.t (p int, c int, v int, PRIMARY KEY (p, c))",
];

/// A node, or what is left of it.
pub(super) struct Member {
    pub(super) host: Uuid,
    fs: FaultyFs,
    pub(super) running: Option<Running>,
}

pub(super) struct Running {
    pub(super) node: Arc<Node>,
    pub(super) operations: Arc<Operations>,
    jobs: Arc<Mutex<Vec<Job>>>,
}

/// A client, which has one request under way at most.
pub(super) struct Client {
    /// On which node its session is.
    pub(super) on: usize,
    pub(super) session: Option<Session>,
    pub(super) mailbox: Arc<Mailbox<Reply>>,
    pub(super) waits: Option<Waits>,
}

pub(super) struct Waits {
    pub(super) operation: u64,
    pub(super) continuation: Continuation,
    pub(super) asked: Asked,
}

/// What a client wants to know, or do.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) cql: String,
    pub(super) level: Consistency,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Write(Vec<(Key, Version)>),
    /// Rows, each with what it must not be older than.
    Read(BTreeMap<Key, Floor>),
}

/// Everything.
pub struct Ring {
    /// Chance.
    pub random: Random,
    /// What happened.
    pub trace: Trace,
    /// Statements so far.
    pub statements: u64,
    /// What was done to nodes and to the network.
    pub faults: u64,
    pub(super) wall: Arc<ManualWall>,
    pub(super) wires: Shared,
    pub(super) members: Vec<Member>,
    pub(super) clients: Vec<Client>,
    pub(super) rows: Rows,
    others: Vec<RingNode>,
    /// In a hundred messages, those that are lost, and those that come twice.
    pub(super) lost: u64,
    pub(super) twice: u64,
    /// So that all nodes make the same of the same definitions.
    seed: u64,
}

impl Ring {
    /// A ring of so many nodes that were never started.
    pub fn new(seed: u64, nodes: u8, keeps_lines: bool) -> Ring {
        let mut random = Random::new(seed);
        let (lost, twice) = (random.below(12), random.below(12));
        let mut trace = Trace::new(keeps_lines);
        trace.note(format!("seed {seed}: {nodes} nodes, {lost} % lost, {twice} % twice"));
        let member = |_| Member { host: Uuid::nil(), fs: FaultyFs::new(), running: None };
        Ring {
            seed: random.bits(),
            random,
            trace,
            statements: 0,
            faults: 0,
            wall: Arc::new(ManualWall::at(BEGIN_MICROS)),
            wires: Shared::default(),
            members: (0..nodes).map(member).collect(),
            clients: Vec::new(),
            rows: Rows::default(),
            others: Vec::new(),
            lost,
            twice,
        }
    }

    /// Notes what happened.
    pub fn note(&mut self, line: String) {
        let micros = self.wall.micros() - BEGIN_MICROS;
        self.trace.note(format!("{:>8}.{:06} {line}", micros / 1_000_000, micros % 1_000_000));
    }

    /// Starts all nodes, which then know each other, and makes their table.
    ///
    /// # Errors
    /// A node does not start.
    pub fn begin(&mut self) -> Outcome {
        for index in 0..self.members.len() {
            let options = self.options(index, self.seed ^ (index as u64 + 1));
            let node = Node::open(options).map_err(|error| Violation(error.to_string()))?;
            self.members[index].host = node.identity().host_id;
            self.others.push(node.metadata().cluster.ring().nodes()[0].clone());
        }
        for index in 0..self.members.len() {
            self.start(index)?;
            for cql in TABLE {
                self.define(index, cql)?;
            }
        }
        for number in 0..CLIENTS {
            let on = number % self.members.len();
            self.clients.push(Client { on, session: None, mailbox: Arc::default(), waits: None });
        }
        Ok(())
    }

    fn options(&self, index: usize, seed: u64) -> NodeOptions {
        let config = Config { data_dir: "/data".into(), auto_snapshot: false, ..Config::default() };
        let address = SocketAddr::from(([127, 0, 0, index as u8 + 1], 9042));
        let mut options = NodeOptions::real(config, address);
        options.fs = Arc::new(self.members[index].fs.clone()) as Arc<dyn Fs>;
        options.wall = Arc::clone(&self.wall) as _;
        options.random = Box::new(NodeRandom::new(seed));
        let engine = &mut options.engine;
        engine.background = BackgroundDriver::Caller;
        engine.commit_log.driver = SyncDriver::Caller;
        engine.commit_log.segment_bytes = 64 << 10;
        engine.commit_log.total_bytes = 4 * (64 << 10);
        engine.commit_log.zero_fill = false;
        engine.shards = 4;
        engine.replay_threads = 1;
        engine.compaction_threads = 1;
        options
    }

    fn start(&mut self, index: usize) -> Outcome {
        let host = self.members[index].host;
        let others = self.others.iter().filter(|node| node.host_id != host).cloned().collect();
        let network: Arc<dyn Network> = Arc::new(End { host, wires: self.wires.clone() });
        // All nodes make the same of the same definitions; after that they have nothing in common.
        let seed = if self.clients.is_empty() { self.seed } else { self.random.bits() };
        let options = NodeOptions { others, network, ..self.options(index, seed) };
        let node = match Node::open(options) {
            Ok(node) => Arc::new(node),
            Err(error) => return violation(format!("node {index} does not start: {error}")),
        };
        let jobs = Arc::new(Mutex::new(Vec::new()));
        let given = Arc::clone(&jobs);
        let spawn = move |job| given.lock().expect("one thread").push(job);
        let pool = Arc::new(Pool::new(8, 8, Box::new(spawn)));
        let operations = Arc::new(Operations::new(Arc::clone(&node), pool));
        self.members[index].running = Some(Running { node, operations, jobs });
        Ok(())
    }

    fn define(&mut self, index: usize, cql: &str) -> Outcome {
        let Some(running) = &self.members[index].running else { return Ok(()) };
        let mut session = Session::new(Arc::clone(&running.node), Protocol::V5);
        let defined = session.execute_text(cql);
        defined.map(drop).map_err(|error| Violation(format!("{cql}: {error}")))
    }

    /// A message arrives, or gets lost, or arrives and is sent once more; nodes and clients do what follows from it.
    ///
    /// # Errors
    /// An answer is wrong.
    pub fn deliver(&mut self) -> Outcome {
        let waiting = self.wires.get().letters.len() as u64;
        if waiting > 0 {
            let at = self.random.below(waiting) as usize;
            let (is_lost, comes_again) =
                (self.random.percent(self.lost), self.random.percent(self.twice));
            self.deliver_one(at, is_lost, comes_again)?;
        }
        self.settle()
    }

    pub(super) fn deliver_one(&mut self, at: usize, is_lost: bool, comes_again: bool) -> Outcome {
        let mut wires = self.wires.get();
        let letter = wires.letters.swap_remove(at);
        let (from, to) = (letter.from, letter.to);
        let is_cut = wires.cut.contains(&(from, to));
        let bytes = letter.bytes.clone();
        if comes_again {
            wires.letters.push(letter);
        }
        drop(wires);
        self.faults += u64::from(is_lost || is_cut) + u64::from(comes_again);
        let index = |host| self.members.iter().position(|member| member.host == host);
        let (sender, receiver) = (index(from), index(to));
        let what = match (is_lost, is_cut, comes_again) {
            (true, ..) => "lost",
            (_, true, _) => "cut off",
            (.., true) => "delivered, and on its way once more",
            _ => "delivered",
        };
        let message = codec::decode(&bytes).map_err(|error| Violation(error.to_string()))?;
        let described = format!("{message:?}");
        let described: String = described.chars().take(100).collect();
        self.note(format!("{sender:?} -> {receiver:?}: {described} {what}"));
        let running = receiver.and_then(|index| self.members[index].running.as_ref());
        if let Some(running) = running.filter(|_| !is_lost && !is_cut) {
            running.operations.receive(from, message);
        }
        Ok(())
    }

    /// Lets nodes do what they can do at once, and clients take what is theirs.
    pub(super) fn settle(&mut self) -> Outcome {
        let mut cx = Context::from_waker(Waker::noop());
        for running in self.members.iter().filter_map(|member| member.running.as_ref()) {
            let jobs = std::mem::take(&mut *running.jobs.lock().expect("one thread"));
            jobs.into_iter().for_each(|job| job());
            running.operations.turn(&mut cx);
        }
        for number in 0..self.clients.len() {
            let client = &mut self.clients[number];
            let Poll::Ready((operation, outcome)) = client.mailbox.poll(&mut cx) else { continue };
            let Some(waits) = client.waits.take_if(|waits| waits.operation == operation) else {
                continue;
            };
            let Some(session) = &mut client.session else { continue };
            let mut body = Vec::new();
            let steps = session.resume(waits.continuation, outcome, &mut body);
            self.stepped(number, waits.asked, steps, &body)?;
        }
        Ok(())
    }

    /// The log of a node is synced, or it takes a step in the background.
    ///
    /// # Errors
    /// It can't.
    pub fn sync_one(&mut self) -> Outcome {
        let index = self.random.below(self.members.len() as u64) as usize;
        let in_background = self.random.percent(15);
        let Some(running) = &self.members[index].running else { return Ok(()) };
        let engine = running.node.engine();
        let done = match in_background {
            false => engine.sync_log(),
            true => engine.flush_all().and_then(|()| running.node.background_step().map(drop)),
        };
        done.map_err(|error| Violation(format!("node {index}: {error}")))?;
        self.note(format!("node {index}: {}", if in_background { "flushed" } else { "synced" }));
        self.settle()
    }

    /// Time goes by.
    ///
    /// # Errors
    /// An answer is wrong.
    pub fn pass(&mut self) -> Outcome {
        let micros = match self.random.below(4) {
            0 => self.random.between(1, 12_000_000),
            _ => self.random.between(1, 50_000),
        };
        self.wall.advance(micros);
        self.settle()
    }

    /// Something bad, or the end of something bad.
    ///
    /// # Errors
    /// A node does not start again.
    pub fn fault(&mut self) -> Outcome {
        let index = self.random.below(self.members.len() as u64) as usize;
        match self.random.weighted(&[30, 25, 20, 25]) {
            0 if self.members[index].running.is_some() => self.crash(index),
            0 => self.start_again(index),
            1 => {
                let other = self.random.below(self.members.len() as u64) as usize;
                let pair = (self.members[index].host, self.members[other].host);
                if index != other && self.wires.get().cut.insert(pair) {
                    self.faults += 1;
                    self.note(format!("nothing comes from node {index} to node {other}"));
                }
                Ok(())
            }
            2 => {
                self.wires.get().cut.clear();
                self.note("everybody hears everybody".to_string());
                Ok(())
            }
            _ => {
                self.convict(index);
                Ok(())
            }
        }
    }

    /// A node makes up its mind about who is dead.
    fn convict(&mut self, index: usize) {
        let host = self.members[index].host;
        let mut dead = Vec::new();
        for other in 0..self.members.len() {
            let (there, is_down) =
                (self.members[other].host, self.members[other].running.is_none());
            let is_cut = self.wires.get().cut.contains(&(there, host));
            // It may be mistaken.
            if other != index && (is_down || is_cut || self.random.percent(5)) {
                dead.push(there);
            }
        }
        self.note(format!("node {index} thinks {} others dead", dead.len()));
        self.wires.get().dead.insert(host, dead.into_iter().collect());
    }

    /// A node dies, with what it had not synced, or some of it.
    fn crash(&mut self, index: usize) -> Outcome {
        self.faults += 1;
        let crash = match self.random.below(3) {
            0 => Crash::KeepAll,
            1 => Crash::KeepSynced,
            _ => Crash::Random { seed: self.random.bits() },
        };
        self.note(format!("node {index} crashes: {crash:?}"));
        self.rows.crash();
        for client in &mut self.clients {
            if client.on == index {
                // What became of its request is not known.
                (client.session, client.waits, client.mailbox) = (None, None, Arc::default());
            }
        }
        let member = &mut self.members[index];
        let fs = member.fs.crash(crash);
        member.running = None;
        member.fs = fs;
        Ok(())
    }

    pub(super) fn start_again(&mut self, index: usize) -> Outcome {
        self.note(format!("node {index} starts"));
        self.start(index)
    }
}
