//! A decision on an unkind network: what is sent comes late, twice, in any order or never; nodes crash and keep only what
//! was synced. Every node is an acceptor and proposes a value of its own.

use std::collections::BTreeSet;

use tholos_storage::planted::{Planted, is_planted, plant};
use uuid::Uuid;

use super::*;
use crate::random::SplitMix64;

type Value = u64;
type Node = usize;

enum Message {
    Request(Request<Value>),
    Reply(Reply<Value>),
}

struct Machine {
    acceptor: Acceptor<Value>,
    gate: Gate<(Node, Message)>,
    proposer: Option<Proposer<Node, Value>>,
    /// States on their way to the disk, and what is there.
    writing: Vec<(Ticket, AcceptorState<Value>)>,
    durable: AcceptorState<Value>,
}

struct World {
    chance: SplitMix64,
    nodes: Vec<Machine>,
    network: Vec<(Node, Node, Message)>,
    decided: BTreeSet<Value>,
    values: Value,
}

impl Machine {
    fn start(durable: AcceptorState<Value>) -> Machine {
        let mut remembered = durable.clone();
        if is_planted(Planted::ForgetPromise) {
            remembered.promised = None;
        }
        let acceptor = Acceptor::new(remembered);
        Machine { acceptor, gate: Gate::new(), proposer: None, writing: Vec::new(), durable }
    }
}

impl World {
    fn new(seed: u64, nodes: usize) -> World {
        let nodes = (0..nodes).map(|_| Machine::start(AcceptorState::default())).collect();
        let (network, decided) = (Vec::new(), BTreeSet::new());
        World { chance: SplitMix64::new(seed), nodes, network, decided, values: 0 }
    }

    fn pick(&mut self, bound: usize) -> usize {
        self.chance.below(bound as u64) as usize
    }

    /// A node begins an attempt, with a clock that may say anything.
    fn propose(&mut self, at: Node) {
        let now = self.chance.below(20) as i64;
        let count = self.nodes.len();
        self.values += 1;
        let node = &mut self.nodes[at];
        let id = Uuid::from_u128(at as u128);
        let ballot = Ballot::above(node.acceptor.state().promised, now, id);
        let proposer = Proposer::prepare((0..count).collect(), ballot, self.values);
        let unsynced = node.acceptor.promise_own(ballot);
        node.writing.extend(unsynced.hold(&mut node.gate, |reply| (at, Message::Reply(reply))));
        for to in 0..count {
            node.gate.hold((to, Message::Request(proposer.request())));
        }
        node.proposer = Some(proposer);
        self.send(at);
    }

    fn send(&mut self, from: Node) {
        while let Some((to, message)) = self.nodes[from].gate.release() {
            self.network.push((from, to, message));
        }
    }

    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.pick(self.network.len());
        let (from, to, message) = self.network.swap_remove(at);
        if self.chance.percent(15) {
            return;
        }
        let node = &mut self.nodes[to];
        match message {
            Message::Request(request) => {
                if self.chance.percent(15) {
                    self.network.push((from, to, Message::Request(request.clone())));
                }
                let unsynced = node.acceptor.on(request);
                let held = unsynced.hold(&mut node.gate, |reply| (from, Message::Reply(reply)));
                node.writing.extend(held);
            }
            Message::Reply(reply) => {
                let Some(proposer) = &mut node.proposer else { return };
                match proposer.on(from, reply) {
                    Outcome::Waiting => {}
                    Outcome::Promised => {
                        let request = proposer.request();
                        for other in 0..self.nodes.len() {
                            self.network.push((to, other, Message::Request(request.clone())));
                        }
                    }
                    Outcome::Decided(value) => {
                        self.decided.insert(value);
                        node.proposer = None;
                    }
                    Outcome::Overtaken(_) => node.proposer = None,
                }
            }
        }
        self.send(to);
    }

    /// Something becomes durable: the oldest of what a node writes.
    fn sync(&mut self, at: Node) {
        let node = &mut self.nodes[at];
        if node.writing.is_empty() {
            return;
        }
        let (ticket, state) = node.writing.remove(0);
        node.durable = state;
        node.gate.persisted(ticket);
        self.send(at);
    }

    /// What was not synced is lost; of what was on its way to the disk some may have arrived.
    fn crash(&mut self, at: Node) {
        let arrived = self.pick(self.nodes[at].writing.len() + 1);
        let node = &mut self.nodes[at];
        let durable = node.writing.drain(..arrived).next_back();
        let durable = durable.map_or_else(|| node.durable.clone(), |(_, state)| state);
        *node = Machine::start(durable);
    }

    fn step(&mut self) {
        let at = self.pick(self.nodes.len());
        match self.chance.below(100) {
            0..3 => self.propose(at),
            3..5 => self.crash(at),
            5..40 => self.sync(at),
            _ => self.deliver(),
        }
    }
}

/// The values that come to be decided.
fn run(seed: u64) -> BTreeSet<Value> {
    let mut world = World::new(seed, 3 + 2 * (seed as usize % 2));
    for _ in 0..1_000 {
        world.step();
    }
    world.decided
}

#[test]
fn one_value_is_decided_whatever_the_network_and_the_disks_do() {
    let decided: Vec<usize> = (0..2_000).map(|seed| run(seed).len()).collect();
    assert!(decided.iter().all(|count| *count <= 1), "{decided:?}");
    let often = decided.iter().filter(|count| **count == 1).count();
    assert!(often > 1_000, "only {often} of 2000 came to a decision: too little was looked at");
}

#[test]
fn broken_rules_are_found() {
    let bugs = [
        Planted::ForgetPromise,
        Planted::ForgetAccepted,
        Planted::AnswerBeforeSync,
        Planted::MinorityDecides,
    ];
    for bug in bugs {
        plant(Some(bug));
        let found = (0..30_000).find(|seed| run(*seed).len() > 1);
        plant(None);
        println!("{bug:?}: seed {found:?}");
        assert!(found.is_some(), "{bug:?} is not found");
    }
}

fn ballot(time: i64) -> Ballot {
    Ballot { time, node: Uuid::nil() }
}

/// What an acceptor answers when it is durable at once.
fn answer(acceptor: &mut Acceptor<Value>, request: Request<Value>) -> (Option<Reply<Value>>, bool) {
    let mut gate = Gate::new();
    let persist = acceptor.on(request).hold(&mut gate, |reply| reply);
    if let Some((ticket, _)) = &persist {
        assert_eq!(gate.release(), None, "before it is durable");
        gate.persisted(*ticket);
    }
    (gate.release(), persist.is_some())
}

#[test]
fn an_acceptor_keeps_its_promises_and_writes_only_what_is_new() {
    let mut acceptor = Acceptor::new(AcceptorState::default());
    let promised = Reply::Promised { ballot: ballot(5), accepted: None };
    let prepare = |time| Request::Prepare(ballot(time));
    assert_eq!(answer(&mut acceptor, prepare(5)), (Some(promised.clone()), true));
    assert_eq!(answer(&mut acceptor, prepare(5)), (Some(promised), false), "again");
    let refused = Reply::Refused { ballot: ballot(4), promised: ballot(5) };
    assert_eq!(answer(&mut acceptor, Request::Accept(ballot(4), 1)), (Some(refused), false));
    let accepted = |time| Some(Reply::Accepted { ballot: ballot(time) });
    assert_eq!(answer(&mut acceptor, Request::Accept(ballot(5), 2)), (accepted(5), true));
    assert_eq!(answer(&mut acceptor, Request::Accept(ballot(5), 2)), (accepted(5), false));
    assert_eq!(answer(&mut acceptor, Request::Accept(ballot(7), 3)), (accepted(7), true));
    let promised = Reply::Promised { ballot: ballot(9), accepted: Some((ballot(7), 3)) };
    assert_eq!(answer(&mut acceptor, prepare(9)), (Some(promised), true));
    assert_eq!(acceptor.state().promised, Some(ballot(9)));
}

#[test]
fn the_value_of_the_highest_ballot_is_proposed() {
    let mut proposer = Proposer::prepare(BTreeSet::from([1, 2, 3, 4, 5]), ballot(9), 100);
    let promised = |accepted: Option<(i64, Value)>| Reply::Promised {
        ballot: ballot(9),
        accepted: accepted.map(|(time, value)| (ballot(time), value)),
    };
    assert_eq!(proposer.on(1, promised(Some((3, 30)))), Outcome::Waiting);
    assert_eq!(proposer.on(1, promised(Some((3, 30)))), Outcome::Waiting, "twice");
    assert_eq!(proposer.on(8, promised(Some((8, 80)))), Outcome::Waiting, "nobody asked it");
    assert_eq!(proposer.on(2, promised(Some((7, 70)))), Outcome::Waiting);
    assert_eq!(proposer.on(3, promised(None)), Outcome::Promised);
    assert_eq!(proposer.request(), Request::Accept(ballot(9), 70));
    assert_eq!(proposer.on(4, promised(Some((8, 80)))), Outcome::Waiting, "too late to matter");
    let accepted = Reply::Accepted { ballot: ballot(9) };
    assert_eq!(proposer.on(1, accepted.clone()), Outcome::Waiting);
    assert_eq!(proposer.on(1, accepted.clone()), Outcome::Waiting);
    assert_eq!(proposer.on(4, accepted.clone()), Outcome::Waiting);
    assert_eq!(proposer.waiting_for().collect::<Vec<_>>(), [2, 3, 5]);
    assert_eq!(proposer.on(5, accepted), Outcome::Decided(70));
    let refused = Reply::Refused { ballot: ballot(9), promised: ballot(11) };
    assert_eq!(proposer.on(2, refused), Outcome::Overtaken(ballot(11)));
}

#[test]
fn a_ballot_is_above_what_was_seen_whatever_the_clock_says() {
    let node = Uuid::from_u128(7);
    assert_eq!(Ballot::above(None, 10, node), Ballot { time: 10, node });
    assert!(Ballot::above(Some(ballot(20)), 10, node) > ballot(20));
    assert_eq!(Ballot::above(Some(ballot(20)), 30, node).time, 30);
}
