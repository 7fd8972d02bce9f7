//! Two nodes that open connections to each other at any times, and lose them at any times: in the end they keep the same
//! one. What travels takes as long as it likes, but in order on each connection.

use proptest::prelude::*;

use super::*;

/// What travels on a connection to one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Travels {
    Hello,
    Welcome,
    Refused,
    Closed,
}

#[derive(Debug)]
struct Connection {
    /// Which node opened it: 0 or 1.
    opener: usize,
    /// On its way to node 0, to node 1.
    to: [Vec<Travels>; 2],
}

/// What a node does of its own accord.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Opens a connection, if it has none and is opening none.
    Open(usize),
    /// Something that is on its way arrives: the first of that node's, counted from the oldest connection.
    Arrive(usize, usize),
    /// A node closes its connection, which is what a broken one looks like.
    Break(usize),
}

#[derive(Debug, Default)]
struct Pair {
    connections: Vec<Connection>,
    kept: [Option<usize>; 2],
    opening: [Option<usize>; 2],
}

const IDS: [Uuid; 2] = [Uuid::from_u128(1), Uuid::from_u128(2)];

impl Pair {
    fn step(&mut self, step: Step) {
        match step {
            Step::Open(node) => {
                if self.kept[node].is_none() && self.opening[node].is_none() {
                    self.opening[node] = Some(self.connections.len());
                    let mut to = [vec![], vec![]];
                    to[1 - node].push(Travels::Hello);
                    self.connections.push(Connection { opener: node, to });
                }
            }
            Step::Arrive(node, which) => {
                let arriving = self.connections.iter().enumerate();
                let arriving: Vec<usize> = arriving
                    .filter(|(_, connection)| !connection.to[node].is_empty())
                    .map(|(id, _)| id)
                    .collect();
                if !arriving.is_empty() {
                    let id = arriving[which % arriving.len()];
                    let what = self.connections[id].to[node].remove(0);
                    self.arrive(node, id, what);
                }
            }
            Step::Break(node) => {
                if let Some(id) = self.kept[node].take() {
                    self.send(node, id, Travels::Closed);
                }
            }
        }
    }

    fn send(&mut self, from: usize, id: usize, what: Travels) {
        self.connections[id].to[1 - from].push(what);
    }

    fn arrive(&mut self, node: usize, id: usize, what: Travels) {
        match what {
            Travels::Hello => {
                let stays = self.keep(node, id);
                self.send(node, id, if stays { Travels::Welcome } else { Travels::Refused });
            }
            Travels::Welcome => {
                self.opening[node] = None;
                if !self.keep(node, id) {
                    self.send(node, id, Travels::Closed);
                }
            }
            Travels::Refused => self.opening[node] = None,
            Travels::Closed => {
                if self.kept[node] == Some(id) {
                    self.kept[node] = None;
                }
                if self.opening[node] == Some(id) {
                    self.opening[node] = None;
                }
            }
        }
    }

    fn keep(&mut self, node: usize, id: usize) -> bool {
        let origin = |id: usize| {
            let opened_by = IDS[self.connections[id].opener];
            Origin { opened_by, generation: 1 }
        };
        if let Some(current) = self.kept[node] {
            if !replaces(origin(id), origin(current), IDS[node], IDS[1 - node]) {
                return false;
            }
            self.send(node, current, Travels::Closed);
        }
        self.kept[node] = Some(id);
        true
    }

    /// Lets everything arrive, and both open as they do when they have none, until nothing changes.
    fn settle(&mut self) -> bool {
        for _ in 0..100 {
            (0..2).for_each(|node| self.step(Step::Open(node)));
            let is_quiet = self.connections.iter().all(|c| c.to.iter().all(Vec::is_empty));
            if is_quiet && self.kept.iter().all(Option::is_some) {
                return true;
            }
            (0..2).for_each(|node| self.step(Step::Arrive(node, 0)));
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn both_keep_the_same_one_in_the_end(
        steps in proptest::collection::vec((0..3_u8, 0..2_usize, 0..4_usize), 0..40),
    ) {
        let mut pair = Pair::default();
        for (kind, node, which) in steps {
            pair.step(match kind {
                0 => Step::Open(node),
                1 => Step::Arrive(node, which),
                _ if which == 0 => Step::Break(node),
                _ => Step::Arrive(node, which),
            });
        }
        prop_assert!(pair.settle(), "no end: {:?}", pair);
        prop_assert_eq!(pair.kept[0], pair.kept[1], "{:?}", pair);
    }
}

#[test]
fn a_nodes_new_life_takes_the_place_of_its_earlier_one() {
    let [own, other] = IDS;
    for opened_by in IDS {
        let old = Origin { opened_by: own, generation: 1 };
        let new = Origin { opened_by, generation: 2 };
        assert!(replaces(new, old, own, other));
        assert!(!replaces(old, new, own, other));
    }
}

#[test]
fn one_that_is_opened_again_by_the_same_side_is_the_better_one() {
    let [own, other] = IDS;
    for opened_by in IDS {
        let origin = Origin { opened_by, generation: 1 };
        assert!(replaces(origin, origin, own, other), "the other side has lost the first one");
    }
}
