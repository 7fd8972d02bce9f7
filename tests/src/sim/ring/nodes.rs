//! A ring of simulated nodes and the clients that talk to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tholos_cluster::message::codec;
use tholos_cluster::ring::Node as RingNode;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::header::Version as Protocol;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_server::clock::{ManualWall, Wall};
use tholos_server::config::Config;
use tholos_server::error::QueryError;
use tholos_server::network::Network;
use tholos_server::node::{Node, NodeOptions};
use tholos_server::session::Session;
use tholos_server::session::step::{Continuation, Reply, Step, Steps};
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
use super::rows::{Floor, Key, Rows, Seen, Version};

const BEGIN_MICROS: i64 = 2_000_000_000_000_000;
const CLIENTS: usize = 5;
const PARTITIONS: u64 = 3;
const ROWS: u64 = 4;

const TABLE: [&str; 2] = [
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE k.t (p int, c int, v int, PRIMARY KEY (p, c))",
];

/// A node, or what is left of it.
struct Member {
    host: Uuid,
    fs: FaultyFs,
    running: Option<Running>,
}

struct Running {
    node: Arc<Node>,
    operations: Arc<Operations>,
    jobs: Arc<Mutex<Vec<Job>>>,
}

/// A client, which has one request under way at most.
struct Client {
    /// On which node its session is.
    on: usize,
    session: Option<Session>,
    mailbox: Arc<Mailbox<Reply>>,
    waits: Option<Waits>,
}

struct Waits {
    operation: u64,
    continuation: Continuation,
    asked: Asked,
}

/// What a client wants to know, or do.
#[derive(Clone, Debug)]
struct Asked {
    cql: String,
    level: Consistency,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
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
    wall: Arc<ManualWall>,
    wires: Shared,
    members: Vec<Member>,
    clients: Vec<Client>,
    rows: Rows,
    others: Vec<RingNode>,
    /// In a hundred messages, those that are lost, and those that come twice.
    lost: u64,
    twice: u64,
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
        let options = NodeOptions { others, network, ..self.options(index, self.seed) };
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

    /// A client that has nothing under way asks for something.
    ///
    /// # Errors
    /// The answer is wrong.
    pub fn statement(&mut self) -> Outcome {
        let idle: Vec<usize> = (0..self.clients.len())
            .filter(|number| self.clients[*number].waits.is_none())
            .collect();
        if idle.is_empty() {
            return self.deliver();
        }
        let number = *self.random.pick(&idle);
        let on = self.random.below(self.members.len() as u64) as usize;
        let Some(running) = &self.members[on].running else { return Ok(()) };
        let session = Session::new(Arc::clone(&running.node), Protocol::V5);
        let client = &mut self.clients[number];
        (client.on, client.session) = (on, Some(session));
        let asked = if self.random.percent(50) { self.any_write() } else { self.any_read() };
        self.statements += 1;
        self.note(format!("client {number} to node {on}: {} at {}", asked.cql, asked.level));
        if let What::Write(writes) = &asked.what {
            writes.iter().for_each(|(key, version)| self.rows.begin(*key, *version));
        }
        let client = &mut self.clients[number];
        let Some(session) = &mut client.session else { return Ok(()) };
        let parameters = QueryParameters { consistency: asked.level, ..QueryParameters::default() };
        let query = Query { text: &asked.cql, parameters };
        let mut body = Vec::new();
        let steps = session.query(&query, session.node().clock().instant(), &mut body);
        self.stepped(number, asked, steps, &body)
    }

    fn any_level(&mut self) -> Consistency {
        let levels = [Consistency::One, Consistency::Quorum, Consistency::Quorum, Consistency::All];
        *self.random.pick(&levels)
    }

    fn any_write(&mut self) -> Asked {
        let (p, c) = (self.random.below(PARTITIONS), self.random.below(ROWS));
        let at = 1 + self.random.below(5_000) as i64;
        let value = self.random.below(1_000) as i32;
        let put = Version { at, deletes: false, value };
        let delete = Version { at, deletes: true, value: 0 };
        let (cql, writes) = match self.random.weighted(&[40, 25, 15, 10, 10]) {
            0 => {
                let cql = format!(
                    "INSERT INTO k.t (p, c, v) VALUES ({p}, {c}, {value}) USING TIMESTAMP {at}"
                );
                (cql, vec![((p, c), put)])
            }
            1 => {
                let cql = format!(
                    "UPDATE k.t USING TIMESTAMP {at} SET v = {value} WHERE p = {p} AND c = {c}"
                );
                (cql, vec![((p, c), put)])
            }
            2 => {
                let cql = format!("DELETE FROM k.t USING TIMESTAMP {at} WHERE p = {p} AND c = {c}");
                (cql, vec![((p, c), delete)])
            }
            3 => {
                let cql =
                    format!("DELETE FROM k.t USING TIMESTAMP {at} WHERE p = {p} AND c >= {c}");
                (cql, (c..ROWS).map(|c| ((p, c), delete)).collect())
            }
            _ => {
                let insert =
                    |p: u64| format!("INSERT INTO k.t (p, c, v) VALUES ({p}, {c}, {value});");
                let inserts: String = (0..PARTITIONS).map(insert).collect();
                let cql =
                    format!("BEGIN UNLOGGED BATCH USING TIMESTAMP {at} {inserts} APPLY BATCH");
                (cql, (0..PARTITIONS).map(|p| ((p, c), put)).collect())
            }
        };
        Asked { cql, level: self.any_level(), what: What::Write(writes) }
    }

    fn any_read(&mut self) -> Asked {
        let (p, c) = (self.random.below(PARTITIONS), self.random.below(ROWS));
        let shown = "SELECT p, c, v, writetime(v) FROM k.t";
        let (cql, keys): (String, Vec<Key>) = match self.random.weighted(&[40, 30, 15, 15]) {
            0 => (format!("{shown} WHERE p = {p} AND c = {c}"), vec![(p, c)]),
            1 => (format!("{shown} WHERE p = {p}"), (0..ROWS).map(|c| (p, c)).collect()),
            2 => {
                let cql = format!("{shown} WHERE p IN (0, 1, 2) AND c <= {c} ORDER BY c DESC");
                (cql, all_rows().filter(|key| key.1 <= c).collect())
            }
            _ => (shown.to_string(), all_rows().collect()),
        };
        let floors = keys.into_iter().map(|key| (key, self.rows.floor(key))).collect();
        Asked { cql, level: self.any_level(), what: What::Read(floors) }
    }

    /// What becomes of a client's request.
    fn stepped(&mut self, number: usize, asked: Asked, steps: Steps, body: &[u8]) -> Outcome {
        let client = &mut self.clients[number];
        match steps {
            Ok(Step::Answer(_)) => self.answered(number, &asked, body),
            Ok(Step::Wait(operation, continuation)) => {
                let Some(running) = &self.members[client.on].running else { return Ok(()) };
                let operation = running.operations.begin(operation, &client.mailbox);
                client.waits = Some(Waits { operation, continuation, asked });
                Ok(())
            }
            Ok(Step::PutOff { why, .. }) => {
                violation(format!("{} is put off in a session that may wait: {why:?}", asked.cql))
            }
            Err(failure) => self.failed(number, &asked, &failure.error),
        }
    }

    fn failed(&mut self, number: usize, asked: &Asked, error: &QueryError) -> Outcome {
        self.note(format!("client {number}: {error}"));
        match (error, &asked.what) {
            // Nothing of it was done.
            (QueryError::Unavailable { .. } | QueryError::Overloaded(_), What::Write(writes)) => {
                writes.iter().for_each(|(key, version)| self.rows.refuse(*key, *version));
                Ok(())
            }
            (QueryError::Unavailable { .. } | QueryError::Replicas { .. }, _) => Ok(()),
            _ => violation(format!("{} failed with {error}", asked.cql)),
        }
    }

    fn answered(&mut self, number: usize, asked: &Asked, body: &[u8]) -> Outcome {
        let at_quorum = matches!(asked.level, Consistency::Quorum | Consistency::All);
        match &asked.what {
            What::Write(writes) => {
                self.note(format!("client {number}: written"));
                let by_all = asked.level == Consistency::All;
                for (key, version) in writes.iter().filter(|_| at_quorum) {
                    self.rows.acknowledge(*key, *version, by_all);
                }
                Ok(())
            }
            What::Read(floors) => {
                let seen = rows_of(body)?;
                self.note(format!("client {number}: {seen:?}"));
                if let Some(key) = seen.keys().find(|key| !floors.contains_key(key)) {
                    return violation(format!("{} shows row {key:?}", asked.cql));
                }
                for (key, floor) in floors {
                    let seen: Seen = seen.get(key).copied();
                    let checked = self.rows.check(*key, seen, *floor, at_quorum);
                    checked.map_err(|what| {
                        Violation(format!("{} at {}: {what}", asked.cql, asked.level))
                    })?;
                }
                Ok(())
            }
        }
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

    fn deliver_one(&mut self, at: usize, is_lost: bool, comes_again: bool) -> Outcome {
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
        let described: String = described.chars().take(60).collect();
        self.note(format!("{sender:?} -> {receiver:?}: {described} {what}"));
        let running = receiver.and_then(|index| self.members[index].running.as_ref());
        if let Some(running) = running.filter(|_| !is_lost && !is_cut) {
            running.operations.receive(from, message);
        }
        Ok(())
    }

    /// Lets nodes do what they can do at once, and clients take what is theirs.
    fn settle(&mut self) -> Outcome {
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

    fn start_again(&mut self, index: usize) -> Outcome {
        self.note(format!("node {index} starts"));
        self.start(index)
    }

    /// All nodes run and hear each other, and what was under way comes to its end.
    ///
    /// # Errors
    /// A node does not start; an answer is wrong.
    pub fn heal(&mut self) -> Outcome {
        (self.lost, self.twice) = (0, 0);
        {
            let mut wires = self.wires.get();
            wires.cut.clear();
            wires.dead.clear();
        }
        for index in 0..self.members.len() {
            if self.members[index].running.is_none() {
                self.start_again(index)?;
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> Outcome {
        for _ in 0..40 {
            loop {
                for index in 0..self.members.len() {
                    if let Some(running) = &self.members[index].running {
                        let synced = running.node.engine().sync_log();
                        synced.map_err(|error| Violation(format!("node {index}: {error}")))?;
                    }
                }
                self.settle()?;
                if self.wires.get().letters.is_empty() {
                    break;
                }
                self.deliver_one(0, false, false)?;
            }
            if self.clients.iter().all(|client| client.waits.is_none()) {
                return Ok(());
            }
            self.wall.advance(1_000_000);
        }
        violation("a request does not end")
    }

    /// After a read of everything at ALL all nodes have the same, and nothing is under way any more.
    ///
    /// # Errors
    /// They differ.
    pub fn check(&mut self) -> Outcome {
        let cql = "SELECT p, c, v, writetime(v) FROM k.t";
        let mut first: Option<BTreeMap<Key, (i32, i64)>> = None;
        let nodes = self.members.len();
        for (level, on) in [(Consistency::All, 0)]
            .into_iter()
            .chain((0..nodes).map(|on| (Consistency::One, on)))
            .chain((0..nodes).map(|on| (Consistency::Quorum, on)))
        {
            let seen = self.read_alone(on, cql, level)?;
            match &first {
                None => first = Some(seen),
                Some(first) if *first != seen => {
                    return violation(format!(
                        "node {on} at {level} has {seen:?}, and all had {first:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        // Writes that clients were told of long ago are given up too.
        self.wall.advance(11_000_000);
        self.settle()?;
        for (index, member) in self.members.iter().enumerate() {
            let pending = member.running.as_ref().map_or(0, |r| r.operations.pending());
            if pending > 0 {
                return violation(format!("{pending} operations of node {index} never end"));
            }
        }
        Ok(())
    }

    /// A read that nothing comes between, by the first client.
    fn read_alone(
        &mut self,
        on: usize,
        cql: &str,
        level: Consistency,
    ) -> Outcome<BTreeMap<Key, (i32, i64)>> {
        let Some(running) = &self.members[on].running else { return violation("it runs") };
        let operations = Arc::clone(&running.operations);
        let mut session = Session::new(Arc::clone(&running.node), Protocol::V5);
        let mailbox: Arc<Mailbox<Reply>> = Arc::default();
        let parameters = QueryParameters { consistency: level, ..QueryParameters::default() };
        let query = Query { text: cql, parameters };
        let mut body = Vec::new();
        let mut steps = session.query(&query, session.node().clock().instant(), &mut body);
        loop {
            match steps {
                Ok(Step::Answer(_)) => return rows_of(&body),
                Ok(Step::Wait(operation, continuation)) => {
                    operations.begin(operation, &mailbox);
                    self.finish()?;
                    let mut cx = Context::from_waker(Waker::noop());
                    let Poll::Ready((_, outcome)) = mailbox.poll(&mut cx) else {
                        return violation(format!("{cql} at {level} does not end"));
                    };
                    steps = session.resume(continuation, outcome, &mut body);
                }
                Ok(Step::PutOff { why, .. }) => return violation(format!("{cql}: {why:?}")),
                Err(failure) => {
                    return violation(format!("{cql} at {level}: {}", failure.error));
                }
            }
        }
    }
}

fn all_rows() -> impl Iterator<Item = Key> {
    (0..PARTITIONS).flat_map(|p| (0..ROWS).map(move |c| (p, c)))
}

/// The rows of an answer.
fn rows_of(body: &[u8]) -> Outcome<BTreeMap<Key, (i32, i64)>> {
    let result = QueryResult::decode(&mut &*body, Protocol::V5);
    let Ok(QueryResult::Rows(rows)) = result else {
        return violation("an answer that is not readable");
    };
    let mut seen = BTreeMap::new();
    for row in rows.iter() {
        let cells: Vec<i64> = row.map(|cell| cell.map_or(i64::MIN, number)).collect();
        let [p, c, value, at] = cells[..] else { return violation("a row of four cells") };
        let key = (p as u64, c as u64);
        if seen.insert(key, (value as i32, at)).is_some() {
            return violation(format!("row {key:?} is shown twice"));
        }
    }
    Ok(seen)
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}
