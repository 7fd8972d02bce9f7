//! Beginnings by hand: who is needed, who is among the first nodes, what is said when something does not fit.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::testing::{description, keyspace};

const SECOND: i64 = 1_000_000;

fn address(number: u16) -> SocketAddr {
    description(number).address
}

fn options(number: u16, seeds: &[u16]) -> GenesisOptions {
    GenesisOptions {
        cluster_name: "zoo".to_string(),
        seeds: seeds.iter().copied().map(address).collect(),
        node: description(number),
        schema: Arc::default(),
    }
}

/// Nodes with instant disks on an instant network, by address.
#[derive(Default)]
struct Nodes {
    running: BTreeMap<SocketAddr, Genesis>,
    now: i64,
    formed: BTreeMap<SocketAddr, Founding>,
    troubles: Vec<(SocketAddr, String)>,
}

impl Nodes {
    fn start(&mut self, options: GenesisOptions) {
        let address = options.node.address;
        self.running.insert(address, Genesis::new(options, None).unwrap());
        self.input(address, Input::Tick);
    }

    fn input(&mut self, at: SocketAddr, input: Input) {
        let mut todo = vec![(at, input)];
        while !todo.is_empty() {
            let (at, input) = todo.remove(0);
            let Some(node) = self.running.get_mut(&at) else { continue };
            let mut effects = Vec::new();
            let bits = u128::from(at.port()) << 64 | self.now as u128;
            node.on(self.now, bits, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Persist(ticket, _) => todo.push((at, Input::Persisted(ticket))),
                    Effect::Send(to, message) => todo.push((to, Input::Message(message))),
                    Effect::Formed(state) => {
                        assert!(self.formed.insert(at, state).is_none(), "twice");
                    }
                    Effect::Trouble(what) => self.troubles.push((at, what)),
                }
            }
        }
    }

    fn wait(&mut self, time: i64) {
        let until = self.now + time;
        loop {
            let next = self.running.iter().filter_map(|(at, node)| Some((node.next_tick()?, *at)));
            let Some((next, at)) = next.min().filter(|(next, _)| *next <= until) else { break };
            self.now = self.now.max(next);
            self.input(at, Input::Tick);
        }
        self.now = until;
    }

    /// The first nodes of the one cluster that all of these are in.
    fn cluster_of(&self, numbers: &[u16]) -> Vec<u16> {
        let states: Vec<&Founding> = numbers.iter().map(|it| &self.formed[&address(*it)]).collect();
        assert!(states.iter().all(|state| *state == states[0]));
        states[0].ring.nodes().iter().map(|node| node.address.port()).collect()
    }
}

#[test]
fn one_seed_is_a_majority_of_one_and_may_have_a_schema() {
    let mut nodes = Nodes::default();
    let cluster = ClusterIdentity { id: Uuid::nil(), name: String::new() };
    let alone = ClusterState::first(cluster, &[description(1)], Arc::default()).unwrap();
    let changes = vec![keyspace("zoo", "1")];
    let alone = alone.after(&crate::metadata::entry::Entry::Schema { base: 0, changes }).unwrap();
    let with_schema =
        |seeds: &[u16]| GenesisOptions { schema: Arc::clone(&alone.schema), ..options(1, seeds) };
    nodes.start(with_schema(&[1]));
    assert_eq!(nodes.cluster_of(&[1]), [1]);
    let state = &nodes.formed[&address(1)];
    assert_eq!((state.epoch, state.schema.epoch, &*state.cluster.name), (1, 1, "zoo"));
    assert_eq!(nodes.running[&address(1)].next_tick(), None);
    let refused = Genesis::new(with_schema(&[1, 2]), None).unwrap_err();
    assert_eq!(refused, GenesisError::HasKeyspaces);
    assert_eq!(Genesis::new(options(1, &[]), None).unwrap_err(), GenesisError::NoSeeds);
}

#[test]
fn all_seeds_that_are_there_are_first_nodes_and_nobody_waits() {
    let mut nodes = Nodes::default();
    for number in [3, 1, 2] {
        nodes.start(options(number, &[1, 2, 3]));
    }
    nodes.wait(SECOND / 10);
    assert_eq!(nodes.cluster_of(&[1, 2, 3]), [1, 2, 3]);
    assert_eq!(nodes.formed[&address(1)].members.len(), 3);
}

#[test]
fn a_majority_is_needed_and_who_comes_later_is_told() {
    let mut nodes = Nodes::default();
    nodes.start(options(2, &[1, 2, 3, 4]));
    nodes.start(options(4, &[1, 2, 3, 4]));
    nodes.start(options(9, &[1, 2]));
    nodes.wait(60 * SECOND);
    assert!(nodes.formed.is_empty(), "two of four");
    assert_eq!(nodes.running[&address(2)].missing().collect::<Vec<_>>(), [address(1), address(3)]);
    nodes.start(options(3, &[1, 2, 3, 4]));
    nodes.wait(2 * SECOND);
    assert_eq!(nodes.cluster_of(&[2, 3, 4, 9]), [2, 3, 4]);
    nodes.start(options(1, &[1, 2, 3, 4]));
    assert_eq!(nodes.cluster_of(&[1, 2]), [2, 3, 4]);
    assert!(nodes.troubles.is_empty(), "{:?}", nodes.troubles);
}

#[test]
fn other_lists_and_other_names_are_told_on_both_sides_once() {
    let mut nodes = Nodes::default();
    nodes.start(options(1, &[1, 2, 3]));
    nodes.start(options(2, &[1, 2, 4]));
    nodes.start(GenesisOptions { cluster_name: "farm".to_string(), ..options(3, &[1, 2, 3]) });
    nodes.wait(10 * SECOND);
    assert!(nodes.formed.is_empty());
    let said = |at: u16, about: &str| {
        let at = address(at);
        let all = nodes.troubles.iter().filter(|(by, what)| *by == at && what.contains(about));
        all.map(|(_, what)| what.clone()).collect::<Vec<_>>()
    };
    let list = "node 127.0.0.1:2 has the seeds 127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:4, and this one 127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3: give all nodes the same list";
    assert_eq!(said(1, "node 127.0.0.1:2"), [list]);
    assert_eq!(
        said(2, "node 127.0.0.1:1 has the seeds 127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3").len(),
        1
    );
    let name = "node 127.0.0.1:3 is of cluster \"farm\" and this one of \"zoo\": give them one name, or separate lists of seeds";
    assert_eq!(said(1, "node 127.0.0.1:3"), [name]);
    assert_eq!(said(3, "node 127.0.0.1:1 is of cluster \"zoo\"").len(), 1);
}

#[test]
fn two_nodes_of_one_identity_begin_nothing() {
    let mut nodes = Nodes::default();
    nodes.start(options(1, &[1, 2]));
    let mut copied = options(2, &[1, 2]);
    copied.node.host_id = description(1).host_id;
    nodes.start(copied);
    nodes.wait(5 * SECOND);
    assert!(nodes.formed.is_empty());
    assert!(nodes.troubles[0].1.starts_with("no cluster can begin: node "), "{:?}", nodes.troubles);
    assert!(nodes.troubles.len() <= 2, "{:?}", nodes.troubles);
}

#[test]
fn who_accepted_by_one_list_does_not_go_on_with_another() {
    let cluster = ClusterIdentity { id: Uuid::nil(), name: "zoo".to_string() };
    let state = ClusterState::first(cluster, &[description(1)], Arc::default()).unwrap();
    let ballot = Ballot { time: 5, node: Uuid::nil() };
    let record = |accepted| Record {
        seeds: [1, 2].map(address).into(),
        acceptor: AcceptorState { promised: Some(ballot), accepted },
    };
    assert!(Genesis::new(options(1, &[1, 3]), Some(record(None))).is_ok());
    let accepted = record(Some((ballot, Arc::new(state))));
    assert!(Genesis::new(options(1, &[1, 2]), Some(accepted.clone())).is_ok());
    let refused = Genesis::new(options(1, &[1, 3]), Some(accepted)).unwrap_err().to_string();
    let said = "this node took part in beginning a cluster with seeds 127.0.0.1:1, 127.0.0.1:2, and now has 127.0.0.1:1, 127.0.0.1:3: ";
    assert!(refused.starts_with(said), "{refused}");
}

#[test]
fn a_node_with_metadata_answers_with_the_newest_and_refuses_other_names() {
    let cluster = ClusterIdentity { id: Uuid::nil(), name: "zoo".to_string() };
    let state = Arc::new(ClusterState::first(cluster, &[description(1)], Arc::default()).unwrap());
    let hello = |name: &str, body| Message {
        from: address(5),
        cluster_name: name.to_string(),
        seeds: [address(1)].into(),
        body,
    };
    let answer_to = |message: &Message| answer(address(1), &state, message).map(|it| it.body);
    let greeting = Body::Hello(description(5));
    let formed = Body::Formed(Arc::clone(&state));
    assert_eq!(answer_to(&hello("zoo", greeting.clone())), Some(formed.clone()));
    assert_eq!(answer_to(&hello("farm", greeting)), Some(Body::Differs));
    assert_eq!(answer_to(&hello("zoo", formed)), None, "no end of answers");
}
