//! Several whole nodes in one thread: sessions, their operations, storage, and a network in memory that loses what it is
//! told to lose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tholos_cluster::message::Message;
use tholos_cluster::ring::Node as RingNode;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::response::error::{ErrorKind, WriteType};
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_grammar::value::codec::decode_result;
use tholos_storage::commitlog::SyncDriver;
use tholos_storage::engine::BackgroundDriver;
use tholos_storage::fs::Fs;
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::mutation::Mutation;
use uuid::Uuid;

use super::mailbox::Mailbox;
use super::operations::Operations;
use super::pool::tests::Started;
use crate::clock::ManualWall;
use crate::config::Config;
use crate::network::{Alone, Network};
use crate::node::{Node, NodeOptions};
use crate::query::functions::Random;
use crate::session::Session;
use crate::session::step::{Failure, Reply, Step};

const NOON: i64 = 1_700_000_000_000_000;

/// What is on its way, and who can't be reached.
#[derive(Default)]
struct Wires {
    messages: Mutex<VecDeque<(Uuid, Uuid, Message)>>,
    /// Known to be down.
    down: Mutex<BTreeSet<Uuid>>,
    /// What they are sent is lost, and nobody knows.
    mute: Mutex<BTreeSet<Uuid>>,
    hints: Mutex<BTreeMap<Uuid, usize>>,
}

/// One node's end of it.
struct Wire {
    from: Uuid,
    wires: Arc<Wires>,
}

impl Network for Wire {
    fn reaches(&self, host: Uuid) -> bool {
        !self.wires.down.lock().contains(&host)
    }

    fn send(&self, host: Uuid, message: Message) -> bool {
        self.wires.messages.lock().push_back((self.from, host, message));
        true
    }

    fn keeps_hints(&self) -> bool {
        false
    }

    fn hint(&self, host: Uuid, mutations: &Arc<[Mutation]>) {
        *self.wires.hints.lock().entry(host).or_default() += mutations.len();
    }
}

/// Counts: nodes that begin at the same number and do the same get the same.
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

struct Member {
    host: Uuid,
    node: Arc<Node>,
    operations: Arc<Operations>,
    mailbox: Arc<Mailbox<Reply>>,
    jobs: Started,
}

struct Cluster {
    members: Vec<Member>,
    wires: Arc<Wires>,
    wall: Arc<ManualWall>,
}

fn options(fs: &Arc<MemoryFs>, wall: &Arc<ManualWall>, number: u8, random: u64) -> NodeOptions {
    let config = Config { data_dir: "/data".into(), auto_snapshot: false, ..Config::default() };
    let address = SocketAddr::from(([127, 0, 0, number], 9042));
    let mut options = NodeOptions::real(config, address);
    options.fs = Arc::clone(fs) as Arc<dyn Fs>;
    options.wall = Arc::clone(wall) as _;
    options.random = Box::new(Counting(AtomicU64::new(random)));
    options.engine.background = BackgroundDriver::Caller;
    options.engine.commit_log.driver = SyncDriver::Caller;
    options.engine.commit_log.zero_fill = false;
    options
}

impl Cluster {
    /// So many nodes that know each other, with a keyspace `k` of that replication factor and its tables.
    fn new(count: u8, factor: u32) -> Cluster {
        let (wall, wires) = (Arc::new(ManualWall::at(NOON)), Arc::new(Wires::default()));
        let disks: Vec<_> = (0..count).map(|_| Arc::new(MemoryFs::new())).collect();
        // Who a node is follows from its first start.
        let ring: Vec<RingNode> = (1..=count)
            .zip(&disks)
            .map(|(number, fs)| {
                let node = Node::open(options(fs, &wall, number, number.into())).unwrap();
                node.metadata().cluster.ring().nodes()[0].clone()
            })
            .collect();
        let member = |(number, fs): (u8, &Arc<MemoryFs>)| {
            let host = ring[usize::from(number) - 1].host_id;
            let others = ring.iter().filter(|node| node.host_id != host).cloned().collect();
            let network: Arc<dyn Network> = match count {
                1 => Arc::new(Alone),
                _ => Arc::new(Wire { from: host, wires: Arc::clone(&wires) }),
            };
            let node = NodeOptions { others, network, ..options(fs, &wall, number, 99) };
            let (node, jobs) = (Arc::new(Node::open(node).unwrap()), Started::default());
            let operations = Arc::new(Operations::new(Arc::clone(&node), jobs.pool(4, 4)));
            Member { host, node, operations, mailbox: Arc::default(), jobs }
        };
        let members = (1..=count).zip(&disks).map(member).collect();
        let cluster = Cluster { members, wires, wall };
        for index in 0..cluster.members.len() {
            let keyspace = format!(
                "CREATE KEYSPACE k WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"
            );
            let tables = [
                keyspace.as_str(),
                "CREATE TABLE k.t (p int, c int, v int, s int STATIC, l list<int>, PRIMARY KEY (p, c))",
                "CREATE TABLE k.n (p int PRIMARY KEY, n counter)",
            ];
            for cql in tables {
                cluster.run(index, cql, Consistency::One).unwrap();
            }
        }
        cluster
    }

    fn session(&self, on: usize) -> Session {
        Session::without_waiting(Arc::clone(&self.members[on].node), Version::V5)
    }

    /// One page, and where the next one begins.
    fn page(
        &self,
        on: usize,
        cql: &str,
        parameters: QueryParameters<'_>,
    ) -> Result<(Vec<String>, Option<Vec<u8>>), Failure> {
        self.wall.advance(1_000);
        let member = &self.members[on];
        let mut session = self.session(on);
        let mut body = Vec::new();
        let query = Query { text: cql, parameters };
        let started = member.node.clock().instant();
        let mut step = session.query(&query, started, &mut body);
        if let Ok(Step::PutOff { .. }) = step {
            step = session.twin().query(&query, started, &mut body);
        }
        loop {
            match step? {
                Step::Answer(_) => return Ok(text(&body)),
                Step::Wait(operation, continuation) => {
                    assert!(body.is_empty(), "nothing is appended while it waits");
                    let number = member.operations.begin(operation, &member.mailbox);
                    let (of, outcome) = self.outcome(on).expect("an operation ends");
                    assert_eq!(of, number);
                    step = session.resume(continuation, outcome, &mut body);
                }
                Step::PutOff { why, .. } => panic!("{cql}: {why:?}"),
            }
        }
    }

    fn run(&self, on: usize, cql: &str, level: Consistency) -> Result<Vec<String>, Failure> {
        let parameters = QueryParameters { consistency: level, ..QueryParameters::default() };
        self.page(on, cql, parameters).map(|(rows, _)| rows)
    }

    fn rows(&self, on: usize, cql: &str, level: Consistency) -> String {
        match self.run(on, cql, level) {
            Ok(rows) => rows.join("; "),
            Err(failure) => panic!("{cql} at {level}: {}", failure.error),
        }
    }

    fn error(&self, on: usize, cql: &str, level: Consistency) -> (ErrorKind, String) {
        let failure = self.run(on, cql, level).expect_err(cql);
        let message = failure.to_message([127, 0, 0, 1].into());
        (message.kind, message.message)
    }

    /// Lets things happen until the node's client has an outcome; if nothing happens any more, time goes by.
    fn outcome(&self, on: usize) -> Option<Reply> {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            self.settle();
            if let Poll::Ready(reply) = self.members[on].mailbox.poll(&mut cx) {
                return Some(reply);
            }
            self.wall.advance(1_000_000);
        }
        None
    }

    /// Delivers messages, syncs logs and does jobs until nothing is left.
    fn settle(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            for member in &self.members {
                member.node.engine().sync_log().unwrap();
                while member.jobs.len() > 0 {
                    member.jobs.run();
                }
                member.operations.turn(&mut cx);
            }
            let Some((from, to, message)) = self.wires.messages.lock().pop_front() else { return };
            let lost = [from, to].iter().any(|host| {
                self.wires.down.lock().contains(host) || self.wires.mute.lock().contains(host)
            });
            if let Some(member) = self.members.iter().find(|member| member.host == to && !lost) {
                member.operations.receive(from, message);
            }
        }
    }

    fn down(&self, index: usize) {
        self.wires.down.lock().insert(self.members[index].host);
    }

    fn up(&self, index: usize) {
        self.wires.down.lock().remove(&self.members[index].host);
    }
}

/// An answer's rows, and its paging state.
fn text(body: &[u8]) -> (Vec<String>, Option<Vec<u8>>) {
    let QueryResult::Rows(rows) = QueryResult::decode(&mut &*body, Version::V5).unwrap() else {
        return (Vec::new(), None);
    };
    let columns = &rows.metadata().columns;
    let shown = rows.iter().map(|row| {
        let cells = row.zip(columns).map(|(cell, column)| match cell {
            None => "null".to_string(),
            Some(bytes) => {
                decode_result(&column.column_type, bytes).unwrap().literal(&column.column_type)
            }
        });
        cells.collect::<Vec<_>>().join(" ")
    });
    (shown.collect(), rows.metadata().paging_state.clone())
}

const ONE: Consistency = Consistency::One;
const QUORUM: Consistency = Consistency::Quorum;
const ALL: Consistency = Consistency::All;

#[test]
fn what_a_quorum_wrote_every_node_reads_at_quorum() {
    let cluster = Cluster::new(3, 3);
    for (on, p) in (0..3).zip(1..) {
        let cql = format!("INSERT INTO k.t (p, c, v, s) VALUES ({p}, 1, {p}0, 7)");
        cluster.run(on, &cql, QUORUM).unwrap();
    }
    for on in 0..3 {
        assert_eq!(cluster.rows(on, "SELECT v, s FROM k.t WHERE p = 2", QUORUM), "20 7");
        let sum = "SELECT count(*), sum(v) FROM k.t";
        assert_eq!(cluster.rows(on, sum, QUORUM), "3 60");
        assert_eq!(cluster.rows(on, sum, ONE), "3 60", "all have all");
    }
    assert!(cluster.members.iter().all(|member| member.operations.pending() == 0));
}

#[test]
fn a_replica_that_was_away_is_repaired_by_what_is_read() {
    let cluster = Cluster::new(3, 3);
    cluster.run(0, "INSERT INTO k.t (p, c, v) VALUES (1, 1, 1)", ALL).unwrap();
    cluster.down(2);
    cluster.run(0, "INSERT INTO k.t (p, c, v) VALUES (1, 2, 2)", QUORUM).unwrap();
    cluster.run(1, "DELETE FROM k.t WHERE p = 1 AND c = 1", QUORUM).unwrap();
    assert_eq!(cluster.wires.hints.lock()[&cluster.members[2].host], 2, "for when it is back");
    cluster.up(2);
    let select = "SELECT c, v FROM k.t WHERE p = 1";
    assert_eq!(cluster.rows(2, select, ONE), "1 1", "it knows of neither");
    assert_eq!(cluster.rows(2, select, ALL), "2 2");
    assert_eq!(cluster.rows(2, select, ONE), "2 2", "the read told it");
}

#[test]
fn a_coordinator_that_is_no_replica_asks_those_that_are() {
    let cluster = Cluster::new(4, 2);
    for p in 0..20 {
        let cql = format!("INSERT INTO k.t (p, c, v) VALUES ({p}, 0, {p})");
        cluster.run(usize::try_from(p % 4).unwrap(), &cql, ONE).unwrap();
    }
    cluster.settle();
    for on in 0..4 {
        let of = |p: i32| cluster.rows(on, &format!("SELECT v FROM k.t WHERE p = {p}"), ONE);
        assert_eq!(
            (0..20).map(of).collect::<Vec<_>>(),
            (0..20).map(|p| p.to_string()).collect::<Vec<_>>()
        );
        assert_eq!(cluster.rows(on, "SELECT count(*) FROM k.t", ONE), "20");
        let some = "SELECT sum(v) FROM k.t WHERE p IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)";
        assert_eq!(cluster.rows(on, some, QUORUM), "66");
    }
}

#[test]
fn pages_go_on_with_another_coordinator() {
    let cluster = Cluster::new(4, 3);
    for c in 0..30 {
        let cql = format!("INSERT INTO k.t (p, c, v) VALUES ({}, {c}, {c})", c % 3);
        cluster.run(0, &cql, QUORUM).unwrap();
    }
    let cql = "SELECT v FROM k.t";
    let (mut seen, mut state, mut pages) = (Vec::new(), None::<Vec<u8>>, 0);
    loop {
        let parameters = QueryParameters {
            consistency: QUORUM,
            page_size: Some(4),
            paging_state: state.as_deref(),
            ..QueryParameters::default()
        };
        let (rows, next) = cluster.page(pages % 4, cql, parameters).unwrap();
        assert!(rows.len() <= 4);
        seen.extend(rows.iter().map(|row| row.parse::<u32>().unwrap()));
        pages += 1;
        state = next;
        if state.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    assert!(pages >= 8);
}

#[test]
fn lists_are_changed_by_what_a_quorum_has_of_them() {
    let cluster = Cluster::new(4, 3);
    for p in 0..4 {
        let insert = format!("INSERT INTO k.t (p, c, l) VALUES ({p}, 0, [1, 2, 3])");
        cluster.run(0, &insert, QUORUM).unwrap();
    }
    cluster.down(3);
    for (on, p) in [(0, 0), (1, 1), (2, 2)] {
        cluster
            .run(on, &format!("UPDATE k.t SET l[1] = 9 WHERE p = {p} AND c = 0"), QUORUM)
            .unwrap();
    }
    let batch = "BEGIN UNLOGGED BATCH UPDATE k.t SET l = l - [1] WHERE p = 0 AND c = 0; DELETE l[0] FROM k.t WHERE p = 3 AND c = 0; APPLY BATCH";
    cluster.run(1, batch, QUORUM).unwrap();
    let all = "SELECT l FROM k.t WHERE p IN (0, 1, 2, 3)";
    let expected = "[9, 3]; [1, 9, 3]; [1, 9, 3]; [2, 3]";
    assert_eq!(cluster.rows(2, all, QUORUM), expected);
    cluster.up(3);
    assert_eq!(cluster.rows(3, all, ALL), expected);
    let locks = &cluster.members[1].node;
    let again = "UPDATE k.t SET l[0] = 5 WHERE p = 0 AND c = 0";
    cluster.run(1, again, QUORUM).unwrap();
    assert!(locks.locks().try_lock(&[]).is_ok());
}

#[test]
fn levels_out_of_reach_are_refused_and_nothing_is_done() {
    let cluster = Cluster::new(3, 3);
    cluster.run(0, "INSERT INTO k.t (p, c, v) VALUES (1, 1, 1)", ALL).unwrap();
    cluster.down(1);
    cluster.down(2);
    let insert = "INSERT INTO k.t (p, c, v) VALUES (1, 1, 2)";
    let unavailable =
        |consistency, required| ErrorKind::Unavailable { consistency, required, alive: 1 };
    assert_eq!(cluster.error(0, insert, QUORUM).0, unavailable(QUORUM, 2));
    assert_eq!(cluster.error(0, insert, ALL).0, unavailable(ALL, 3));
    let select = "SELECT v FROM k.t WHERE p = 1";
    assert_eq!(cluster.error(0, select, QUORUM).0, unavailable(QUORUM, 2));
    assert_eq!(cluster.error(0, "SELECT v FROM k.t", QUORUM).0, unavailable(QUORUM, 2));
    assert_eq!(cluster.rows(0, select, ONE), "1", "nothing was written");
    cluster.run(0, insert, ONE).unwrap();
    assert_eq!(cluster.rows(0, select, ONE), "2");
}

#[test]
fn who_answers_too_late_is_counted() {
    let cluster = Cluster::new(3, 3);
    cluster.run(0, "INSERT INTO k.t (p, c, v) VALUES (1, 1, 1)", ALL).unwrap();
    cluster.wires.mute.lock().extend([cluster.members[1].host, cluster.members[2].host]);
    let (kind, message) = cluster.error(0, "INSERT INTO k.t (p, c, v) VALUES (1, 1, 2)", QUORUM);
    let timeout = ErrorKind::WriteTimeout {
        consistency: QUORUM,
        received: 1,
        required: 2,
        write_type: WriteType::Simple,
        contentions: 0,
    };
    assert_eq!(kind, timeout);
    assert_eq!(
        message,
        "QUORUM needs 2 replicas, and 1 answered in time: the write may be there, or take effect later: send it again if that does no harm"
    );
    let (kind, message) = cluster.error(0, "SELECT v FROM k.t WHERE p = 1", ALL);
    let timeout =
        ErrorKind::ReadTimeout { consistency: ALL, received: 1, required: 3, data_present: true };
    assert_eq!(kind, timeout, "{message}");
    assert!(cluster.members.iter().all(|member| member.operations.pending() == 0));
}

#[test]
fn counters_with_several_replicas_are_refused() {
    let cluster = Cluster::new(3, 3);
    let (kind, message) = cluster.error(0, "UPDATE k.n SET n = n + 1 WHERE p = 1", QUORUM);
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(message.contains("counters of k.n"), "{message}");
    let alone = Cluster::new(1, 1);
    alone.run(0, "UPDATE k.n SET n = n + 1 WHERE p = 1", QUORUM).unwrap();
    assert_eq!(alone.rows(0, "SELECT n FROM k.n", QUORUM), "1");
}

#[test]
fn a_client_that_goes_takes_its_reads_along_and_leaves_its_writes() {
    let cluster = Cluster::new(3, 3);
    let member = &cluster.members[0];
    let begin = |cql: &str| {
        let mut session = cluster.session(0);
        let parameters = QueryParameters { consistency: ALL, ..QueryParameters::default() };
        let query = Query { text: cql, parameters };
        let started = member.node.clock().instant();
        match session.query(&query, started, &mut Vec::new()).unwrap() {
            Step::Wait(operation, _) => {
                member.operations.begin(operation, &Arc::default());
            }
            other => panic!("{other:?}"),
        }
    };
    begin("INSERT INTO k.t (p, c, v) VALUES (1, 1, 5)");
    begin("SELECT v FROM k.t WHERE p = 1");
    assert_eq!(member.operations.pending(), 2);
    cluster.settle();
    assert_eq!(member.operations.pending(), 0);
    for on in 0..3 {
        assert_eq!(cluster.rows(on, "SELECT v FROM k.t WHERE p = 1", ONE), "5");
    }
}
