//! The log by hand, and what it promises where the network is kind but for a cut.

use std::sync::Arc;

use uuid::Uuid;

use super::simulation::World;
use super::*;
use crate::metadata::entry::{Entry, MetadataError};
use crate::metadata::state::ClusterIdentity;
use crate::testing::{description, keyspace};

const SECOND: i64 = 1_000_000;

/// Nodes whose disks and network are instant; who is silent hears nothing and says nothing.
struct Cluster {
    logs: Vec<MetadataLog>,
    silent: Vec<usize>,
    now: i64,
    /// All messages between different nodes, and what became of proposals.
    sent: Vec<(usize, usize, Message)>,
    done: Vec<(Uuid, Result<u64, ProposeError>)>,
    /// By node: how often something was written.
    written: Vec<usize>,
}

fn host(at: usize) -> Uuid {
    description(at as u16 + 1).host_id
}

fn create(base: u64, name: &str) -> Entry {
    Entry::Schema { base, changes: vec![keyspace(name, "1")] }
}

impl Cluster {
    fn new(count: usize) -> Cluster {
        let nodes: Vec<_> = (1..=count as u16).map(description).collect();
        let cluster = ClusterIdentity { id: Uuid::from_u128(99), name: "zoo".to_string() };
        let first = Arc::new(ClusterState::first(cluster, &nodes, Arc::default()).unwrap());
        let logs = (0..count).map(|at| MetadataLog::new(host(at), Arc::clone(&first))).collect();
        let (sent, done) = (Vec::new(), Vec::new());
        Cluster { logs, silent: Vec::new(), now: 0, sent, done, written: vec![0; count] }
    }

    fn input(&mut self, at: usize, input: Input) {
        let mut todo = vec![(at, input)];
        while !todo.is_empty() {
            let (at, input) = todo.remove(0);
            let mut effects = Vec::new();
            self.logs[at].on(self.now, 3, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Persist(ticket, _) => {
                        self.written[at] += 1;
                        todo.push((at, Input::Persisted(ticket)));
                    }
                    Effect::Send(to, message) => {
                        let to = (0..self.logs.len()).find(|node| host(*node) == to).unwrap();
                        self.sent.push((at, to, message.clone()));
                        if !self.silent.contains(&at) && !self.silent.contains(&to) {
                            todo.push((to, Input::Message { from: host(at), message }));
                        }
                    }
                    Effect::Done(id, outcome) => self.done.push((id, outcome)),
                    Effect::Changed(_) | Effect::Reached(..) => {}
                }
            }
        }
    }

    fn propose(&mut self, at: usize, id: u128, entry: Entry) -> Option<Result<u64, ProposeError>> {
        self.sent.clear();
        let (id, deadline) = (Uuid::from_u128(id), self.now + SECOND);
        self.input(at, Input::Propose { id, entry, deadline });
        self.done.iter().find(|done| done.0 == id).map(|done| done.1.clone())
    }

    fn wait(&mut self, at: usize, until: i64) {
        while let Some(next) = self.logs[at].next_tick().filter(|next| *next <= until) {
            self.now = next;
            self.input(at, Input::Tick);
        }
        self.now = until;
    }

    fn epochs(&self) -> Vec<u64> {
        self.logs.iter().map(|log| log.state().epoch).collect()
    }

    /// What one node asked others for.
    fn asked(&self, from: usize) -> (usize, usize) {
        let count = |is: fn(&Request<Proposal>) -> bool| {
            let requests = self.sent.iter().filter(|(at, _, message)| {
                matches!(message, Message::Request { request, .. } if *at == from && is(request))
            });
            requests.count()
        };
        let is_prepare = |request: &Request<Proposal>| matches!(request, Request::Prepare(_));
        (count(is_prepare), count(|request| matches!(request, Request::Accept(..))))
    }
}

#[test]
fn the_same_proposer_needs_one_round_trip_from_its_second_entry_on() {
    let mut cluster = Cluster::new(3);
    assert_eq!(cluster.propose(1, 1, create(0, "a")), Some(Ok(2)));
    assert_eq!(cluster.asked(1), (2, 2));
    assert_eq!(cluster.propose(1, 2, create(1, "b")), Some(Ok(3)));
    assert_eq!(cluster.asked(1), (0, 2));
    assert_eq!(cluster.propose(2, 3, create(2, "c")), Some(Ok(4)), "another one");
    assert_eq!(cluster.asked(2), (2, 2));
    assert_eq!(cluster.propose(1, 4, create(3, "d")), Some(Ok(5)), "its ballot is over");
    assert_eq!(cluster.asked(1), (2, 2));
    assert_eq!(cluster.epochs(), [5, 5, 5]);
    assert_eq!(cluster.logs[1].epoch_of(host(0)), 5);
}

#[test]
fn a_node_that_is_no_member_proposes_as_well() {
    let mut cluster = Cluster::new(4);
    assert!(!cluster.logs[0].state().members.contains(&host(3)));
    assert_eq!(cluster.propose(3, 1, create(0, "a")), Some(Ok(2)));
    assert_eq!(cluster.epochs(), [2; 4]);
    assert_eq!(cluster.propose(3, 2, Entry::Members([host(3)].into())), Some(Ok(3)));
    assert_eq!(cluster.propose(0, 3, create(1, "b")), Some(Ok(4)), "it decides alone now");
    assert_eq!(cluster.asked(0), (1, 1));
}

#[test]
fn an_entry_that_does_not_fit_asks_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.propose(0, 1, create(0, "a"));
    let stale = MetadataError::Stale { planned: 0, current: 1 };
    let refused = cluster.propose(1, 2, create(0, "b"));
    assert_eq!(refused, Some(Err(ProposeError::Refused(stale))));
    assert_eq!((cluster.sent.len(), cluster.epochs()), (0, vec![2, 2, 2]));
}

#[test]
fn an_entry_that_was_decided_and_does_not_fit_is_an_epoch() {
    let mut cluster = Cluster::new(1);
    let proposal = Proposal { id: Uuid::from_u128(7), entry: create(5, "a") };
    let before = Arc::clone(cluster.logs[0].state());
    let message = Message::Entries { first: 2, entries: vec![proposal], epoch: 2 };
    let mut effects = Vec::new();
    cluster.logs[0].on(0, 0, Input::Message { from: host(5), message }, &mut effects);
    let after = cluster.logs[0].state();
    assert_eq!(**after, ClusterState { epoch: 2, ..ClusterState::clone(&before) });
}

#[test]
fn a_minority_says_in_time_that_nothing_was_done_and_the_majority_goes_on() {
    let mut cluster = Cluster::new(5);
    cluster.silent = vec![0, 1];
    assert_eq!(cluster.propose(0, 1, create(0, "lost")), None);
    cluster.wait(0, SECOND);
    let (id, outcome) = cluster.done.pop().unwrap();
    let error = ProposeError::NoMajority { required: 3, answered: 1 };
    assert_eq!((id, outcome), (Uuid::from_u128(1), Err(error)));
    assert_eq!(cluster.propose(4, 2, create(0, "kept")), Some(Ok(2)));
    // Back again, it hears of the epoch and asks for it.
    cluster.silent.clear();
    for at in [0, 1] {
        cluster.input(at, Input::Seen { from: host(4), epoch: 2 });
    }
    assert_eq!(cluster.epochs(), [2; 5]);
    let names: Vec<_> = cluster.logs[0].state().schema.keyspaces.keys().collect();
    assert_eq!(names, ["kept"]);
}

#[test]
fn what_was_proposed_and_not_answered_is_unknown() {
    let mut cluster = Cluster::new(3);
    assert_eq!(cluster.propose(0, 1, create(0, "a")), Some(Ok(2)));
    cluster.silent = vec![1, 2];
    // It has a ballot yet, so it proposes at once.
    assert_eq!(cluster.propose(0, 2, create(1, "b")), None);
    cluster.wait(0, 2 * SECOND);
    assert_eq!(cluster.done.pop().unwrap().1, Err(ProposeError::Unknown));
    assert_eq!(cluster.logs[0].next_tick(), None, "nothing is left to do");
    // The next one comes to decide it, and is not planned for it.
    cluster.silent.clear();
    let outcome = cluster.propose(0, 3, create(1, "c"));
    let stale = MetadataError::Stale { planned: 1, current: 2 };
    assert_eq!(outcome, Some(Err(ProposeError::Refused(stale))));
    assert_eq!(cluster.epochs(), [3; 3]);
    assert!(cluster.logs[1].state().schema.keyspaces.contains_key("b"));
}

#[test]
fn who_lacks_more_than_the_others_keep_gets_all_there_is() {
    let mut cluster = Cluster::new(3);
    cluster.silent = vec![2];
    for base in 0..(TAIL as u64 + 5) {
        let outcome = cluster.propose(0, u128::from(base) + 1, create(base, "a"));
        assert_eq!(outcome, Some(Ok(base + 2)));
    }
    let mut short = Cluster::new(3);
    std::mem::swap(&mut short.logs[2], &mut cluster.logs[2]);
    cluster.silent.clear();
    let epoch = cluster.epochs()[0];
    cluster.sent.clear();
    cluster.input(2, Input::Seen { from: host(1), epoch });
    assert_eq!(cluster.epochs(), [epoch; 3]);
    assert!(cluster.sent.iter().any(|(_, _, message)| matches!(message, Message::Snapshot(_))));
    assert_eq!(cluster.logs[2].state(), cluster.logs[0].state());
}

#[test]
fn who_lacks_a_few_gets_those_in_batches() {
    let mut cluster = Cluster::new(3);
    cluster.silent = vec![2];
    for base in 0..200 {
        cluster.propose(0, u128::from(base) + 1, create(base, "a"));
    }
    cluster.silent.clear();
    cluster.sent.clear();
    cluster.input(2, Input::Seen { from: host(1), epoch: 201 });
    assert_eq!(cluster.epochs(), [201; 3]);
    let is_batch = |message: &Message| matches!(message, Message::Entries { .. });
    assert_eq!(
        cluster.sent.iter().filter(|(at, _, message)| *at == 1 && is_batch(message)).count(),
        4
    );
}

#[test]
fn a_snapshot_of_another_cluster_or_an_older_one_changes_nothing() {
    let mut cluster = Cluster::new(3);
    let old = Arc::clone(cluster.logs[0].state());
    cluster.propose(0, 1, create(0, "a"));
    let other = ClusterIdentity { id: Uuid::from_u128(5), name: "zoo".to_string() };
    let foreign = ClusterState { cluster: other, epoch: 9, ..ClusterState::clone(&old) };
    for state in [old, Arc::new(foreign)] {
        let message = Message::Snapshot(state);
        cluster.input(1, Input::Message { from: host(0), message });
    }
    assert!(cluster.logs[1].state().schema.keyspaces.contains_key("a"));
}

#[test]
fn an_idle_log_wants_nothing_and_writes_what_is_decided_alone() {
    let mut cluster = Cluster::new(3);
    assert!(cluster.logs.iter().all(|log| log.next_tick().is_none()));
    cluster.propose(0, 1, create(0, "a"));
    // The promise, the acceptance, the entry.
    assert_eq!(cluster.written, [3, 3, 3]);
    assert!(cluster.logs.iter().all(|log| log.next_tick().is_none()));
}

#[test]
fn records_with_a_gap_are_refused() {
    let log = Cluster::new(3).logs.remove(0);
    let proposal = Proposal { id: Uuid::nil(), entry: create(0, "a") };
    let mut records = log.checkpoint().to_vec();
    records.push(Record::Entry { epoch: 3, proposal });
    let gap = MetadataLog::open(host(0), records).unwrap_err();
    assert_eq!(gap, Gap { have: 1, found: 3 });
    assert!(MetadataLog::open(host(0), []).unwrap().is_none());
}

/// Everybody proposes at once, again and again, until its own entry is decided.
#[test]
fn all_nodes_at_once_come_through_in_a_while() {
    for seed in 0..20 {
        let mut world = World::new(seed, 5);
        let begun = world.rush(10).unwrap();
        let took = world.now - begun;

        assert!(took < 20 * SECOND, "50 entries took {took} microseconds");
    }
}

#[test]
fn a_cut_leaves_the_majority_able_and_the_minority_told() {
    for seed in 0..10 {
        let mut world = World::new(seed, 5);
        world.kind();
        world.cut(&[0, 0, 0, 1, 1]);
        let minority = world.propose(4, SECOND).unwrap();
        world.run(4_000).unwrap();
        let majority = world.propose(1, SECOND).unwrap();
        world.run(4_000).unwrap();
        assert!(world.outcomes[&majority].is_ok(), "{:?}", world.outcomes[&majority]);
        let told = &world.outcomes[&minority];
        assert!(matches!(told, Err(ProposeError::NoMajority { .. })), "{told:?}");
        let epochs = world.epochs();
        assert!(epochs[0] > 1 && epochs[4] == 1, "{epochs:?}");
        world.settle().unwrap();
    }
}
