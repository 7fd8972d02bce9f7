//! Placement: which nodes have the replicas of a token, by a keyspace's replication.
//!
//! A [`Placement`] is computed once per keyspace and epoch, for every range of the ring; looking a token up is then a
//! binary search, or nothing at all where every range has the same replicas, as in a ring of one node.
//!
//! The replication factor is what was asked for, even where the ring has fewer nodes: consistency levels count from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::token::Token;

use crate::ring::{NodeIndex, Ring};

const SIMPLE: &str = "SimpleStrategy";
const NETWORK_TOPOLOGY: &str = "NetworkTopologyStrategy";
const LOCAL: &str = "LocalStrategy";
const PACKAGE: &str = "org.apache.cassandra.locator.";

/// How a keyspace is replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// On the node itself: system keyspaces.
    Local,
    /// `SimpleStrategy`: the next nodes of the ring, whatever their data centre.
    Simple {
        /// Replicas of every token.
        factor: u32,
    },
    /// `NetworkTopologyStrategy`: in each data centre that many, spread over its racks.
    NetworkTopology {
        /// Replicas by data centre.
        factors: BTreeMap<String, u32>,
    },
}

/// A keyspace's replication options can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicationError {
    /// No `class`.
    #[error("replication needs a 'class': use SimpleStrategy or NetworkTopologyStrategy")]
    NoClass,
    /// A strategy that is not known.
    #[error("replication class {0:?} is unknown: use SimpleStrategy or NetworkTopologyStrategy")]
    UnknownClass(String),
    /// `replication_factor` is missing.
    #[error("SimpleStrategy needs 'replication_factor': how many replicas each partition has")]
    NoFactor,
    /// Not a number of replicas.
    #[error("replication option '{option}' must be a whole number of replicas, not {value:?}")]
    BadFactor {
        /// `replication_factor` or a data centre.
        option: String,
        /// What it says.
        value: String,
    },
}

impl Replication {
    /// Reads the options of `WITH replication = {...}`: `class` with or without its Java package.
    /// `NetworkTopologyStrategy` with `replication_factor` gives that many to every data centre of the ring that is not
    /// named itself.
    ///
    /// # Errors
    /// No class, one that is not known, or factors that are no numbers.
    pub fn parse(
        options: &BTreeMap<String, String>,
        data_centers: &[String],
    ) -> Result<Replication, ReplicationError> {
        let class = options.get("class").ok_or(ReplicationError::NoClass)?;
        let factors = || options.iter().filter(|(option, _)| *option != "class");
        match class.strip_prefix(PACKAGE).unwrap_or(class) {
            LOCAL => Ok(Replication::Local),
            SIMPLE => {
                let value = options.get("replication_factor").ok_or(ReplicationError::NoFactor)?;
                Ok(Replication::Simple { factor: factor("replication_factor", value)? })
            }
            NETWORK_TOPOLOGY => {
                let mut by_data_center = BTreeMap::new();
                if let Some(value) = options.get("replication_factor") {
                    let factor = factor("replication_factor", value)?;
                    by_data_center.extend(data_centers.iter().map(|name| (name.clone(), factor)));
                }
                for (option, value) in factors().filter(|(o, _)| *o != "replication_factor") {
                    by_data_center.insert(option.clone(), factor(option, value)?);
                }
                Ok(Replication::NetworkTopology { factors: by_data_center })
            }
            _ => Err(ReplicationError::UnknownClass(class.clone())),
        }
    }
}

fn factor(option: &str, value: &str) -> Result<u32, ReplicationError> {
    value.trim().parse().map_err(|_| ReplicationError::BadFactor {
        option: option.to_string(),
        value: value.to_string(),
    })
}

/// Replicas of one range, the first being the range's owner in ring order.
pub type Replicas = SmallVec<[NodeIndex; 3]>;

/// What a data centre is to a keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCenterFactor {
    /// Its name.
    pub name: String,
    /// Replicas asked for there; 0 where the keyspace has none, or where the strategy doesn't count by data centre.
    pub factor: u32,
}

/// The replicas of every token of one keyspace, as one node sees it: it knows which data centre is its own.
#[derive(Clone, Debug)]
pub struct Placement {
    ring: Arc<Ring>,
    /// By range of the ring; just one if all ranges have the same replicas.
    ranges: Vec<Replicas>,
    /// Nodes that are in all of them.
    all: Replicas,
    factor: u32,
    by_data_center: bool,
    data_centers: Vec<DataCenterFactor>,
    /// Places in `data_centers`, by node.
    data_center_of: Vec<usize>,
    local: usize,
}

impl Placement {
    /// Places a keyspace on a ring, as seen from a node of it.
    ///
    /// # Panics
    /// If `local` is no node of the ring.
    pub fn new(ring: Arc<Ring>, replication: &Replication, local: NodeIndex) -> Placement {
        let mut data_centers = data_centers(&ring);
        let by_data_center = match replication {
            Replication::NetworkTopology { factors } => {
                for (name, factor) in factors {
                    match data_centers.iter_mut().find(|known| known.name == *name) {
                        Some(known) => known.factor = *factor,
                        None => data_centers
                            .push(DataCenterFactor { name: name.clone(), factor: *factor }),
                    }
                }
                true
            }
            Replication::Local | Replication::Simple { .. } => false,
        };
        let factor = match replication {
            Replication::Local => 1,
            Replication::Simple { factor } => *factor,
            Replication::NetworkTopology { .. } => data_centers.iter().map(|dc| dc.factor).sum(),
        };
        let place = |name: &str| data_centers.iter().position(|dc| dc.name == name);
        let data_center_of: Vec<usize> = ring
            .nodes()
            .iter()
            .map(|node| place(&node.data_center).expect("every node's data centre was listed"))
            .collect();
        let local_center = data_center_of[local as usize];
        let ranges = match replication {
            Replication::Local => vec![SmallVec::from_slice(&[local])],
            _ => dedup(
                (0..ring.tokens().len())
                    .map(|range| match replication {
                        Replication::NetworkTopology { factors } => {
                            network_topology(&ring, factors, range)
                        }
                        _ => simple(&ring, factor, range),
                    })
                    .collect(),
            ),
        };
        let (first, rest) =
            ranges.split_first().map_or((&[][..], &[][..]), |(first, rest)| (&first[..], rest));
        let all = first
            .iter()
            .copied()
            .filter(|node| rest.iter().all(|range| range.contains(node)))
            .collect();
        Placement {
            ring,
            ranges,
            all,
            factor,
            by_data_center,
            data_centers,
            data_center_of,
            local: local_center,
        }
    }

    /// The nodes that have this token, in order of preference by the ring. Fewer than the factor in a small ring.
    pub fn replicas(&self, token: Token) -> &[NodeIndex] {
        match self.ranges.as_slice() {
            [only] => only,
            ranges => &ranges[self.ring.range_of(token)],
        }
    }

    /// The replicas of all tokens, if they are the same for all of them.
    pub fn uniform_replicas(&self) -> Option<&[NodeIndex]> {
        match self.ranges.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The ring it was made for.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Whether a node is a replica of every token.
    pub fn has_all(&self, node: NodeIndex) -> bool {
        self.all.contains(&node)
    }

    /// Replicas asked for, in all.
    pub fn factor(&self) -> u32 {
        self.factor
    }

    /// Whether replicas are counted by data centre (`NetworkTopologyStrategy`).
    pub fn counts_by_data_center(&self) -> bool {
        self.by_data_center
    }

    /// The data centres of the ring and of the replication. Acknowledgements are counted by place in here.
    pub fn data_centers(&self) -> &[DataCenterFactor] {
        &self.data_centers
    }

    /// The place in [`data_centers`](Self::data_centers) of a node's data centre.
    pub fn data_center_of(&self, node: NodeIndex) -> usize {
        self.data_center_of[node as usize]
    }

    /// The place in [`data_centers`](Self::data_centers) of the data centre that this node is in.
    pub fn local_data_center(&self) -> usize {
        self.local
    }
}

fn data_centers(ring: &Ring) -> Vec<DataCenterFactor> {
    let mut names: Vec<&String> = ring.nodes().iter().map(|node| &node.data_center).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| DataCenterFactor { name: name.clone(), factor: 0 }).collect()
}

/// All ranges alike are kept as one.
fn dedup(ranges: Vec<Replicas>) -> Vec<Replicas> {
    match ranges.split_first() {
        Some((first, rest)) if rest.iter().all(|replicas| replicas == first) => {
            vec![first.clone()]
        }
        Some(_) => ranges,
        None => vec![Replicas::new()],
    }
}

/// The next `factor` distinct nodes.
fn simple(ring: &Ring, factor: u32, range: usize) -> Replicas {
    let mut replicas = Replicas::new();
    for node in ring.walk(range) {
        if replicas.len() >= factor as usize {
            break;
        }
        if !replicas.contains(&node) {
            replicas.push(node);
        }
    }
    replicas
}

/// What is still to be placed in one data centre.
struct Remaining<'a> {
    data_center: &'a str,
    replicas: u32,
    /// How many replicas may share a rack with an earlier one: those beyond one per rack.
    rack_repeats: u32,
    racks: SmallVec<[&'a str; 4]>,
}

/// Walks the ring and takes, in each data centre, nodes of racks that have none yet; as many as the factor exceeds the
/// racks may come from a rack again.
fn network_topology(ring: &Ring, factors: &BTreeMap<String, u32>, range: usize) -> Replicas {
    let mut remaining: Vec<Remaining<'_>> =
        factors.iter().map(|(name, factor)| wanted(ring, name, *factor)).collect();
    let mut replicas = Replicas::new();
    for index in ring.walk(range) {
        let Some(node) = ring.node(index) else { continue };
        let Some(here) = remaining.iter_mut().find(|dc| dc.data_center == node.data_center) else {
            continue;
        };
        if here.replicas == 0 || replicas.contains(&index) {
            continue;
        }
        if here.racks.contains(&node.rack.as_str()) {
            if here.rack_repeats == 0 {
                continue;
            }
            here.rack_repeats -= 1;
        } else {
            here.racks.push(&node.rack);
        }
        here.replicas -= 1;
        replicas.push(index);
        if remaining.iter().all(|dc| dc.replicas == 0) {
            break;
        }
    }
    replicas
}

fn wanted<'a>(ring: &Ring, data_center: &'a str, factor: u32) -> Remaining<'a> {
    let nodes = ring.nodes().iter().filter(|node| node.data_center == data_center);
    let mut racks: Vec<&str> = nodes.clone().map(|node| node.rack.as_str()).collect();
    let count = racks.len() as u32;
    racks.sort_unstable();
    racks.dedup();
    let replicas = factor.min(count);
    Remaining {
        data_center,
        replicas,
        rack_repeats: replicas.saturating_sub(racks.len() as u32),
        racks: SmallVec::new(),
    }
}

/// The placements of all keyspaces at one epoch.
#[derive(Clone, Debug)]
pub struct Placements {
    keyspaces: BTreeMap<String, Arc<Placement>>,
    local: Arc<Placement>,
}

impl Placements {
    /// Places keyspaces on a ring, as seen from one of its nodes. Keyspaces of equal replication share a placement.
    ///
    /// # Errors
    /// The first keyspace whose replication can't be read, with why.
    pub fn new<'a>(
        ring: &Arc<Ring>,
        local: NodeIndex,
        keyspaces: impl IntoIterator<Item = (&'a str, &'a BTreeMap<String, String>)>,
    ) -> Result<Placements, (String, ReplicationError)> {
        let names: Vec<String> = data_centers(ring).into_iter().map(|dc| dc.name).collect();
        let mut made: Vec<(Replication, Arc<Placement>)> = Vec::new();
        let mut placed = BTreeMap::new();
        for (keyspace, options) in keyspaces {
            let replication = Replication::parse(options, &names)
                .map_err(|error| (keyspace.to_string(), error))?;
            let placement = match made.iter().find(|(known, _)| *known == replication) {
                Some((_, placement)) => Arc::clone(placement),
                None => {
                    let placement = Arc::new(Placement::new(Arc::clone(ring), &replication, local));
                    made.push((replication, Arc::clone(&placement)));
                    placement
                }
            };
            placed.insert(keyspace.to_string(), placement);
        }
        let local = Arc::new(Placement::new(Arc::clone(ring), &Replication::Local, local));
        Ok(Placements { keyspaces: placed, local })
    }

    /// The placement of a keyspace. One that is not known is a system keyspace: on this node alone.
    pub fn of(&self, keyspace: &str) -> &Arc<Placement> {
        self.keyspaces.get(keyspace).unwrap_or(&self.local)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ring::{Node, allocate_tokens};
    use crate::testing::node;

    fn ring(places: &[(&str, &str)], seed: u64) -> Arc<Ring> {
        let mut taken = Vec::new();
        let nodes = (1u16..).zip(places).map(|(port, (data_center, rack))| {
            let tokens = allocate_tokens(&taken, 4, seed.wrapping_add(u64::from(port)));
            taken.extend_from_slice(&tokens);
            Node { rack: rack.to_string(), tokens, ..node(port, *data_center, 0) }
        });
        Arc::new(Ring::new(nodes.collect()).unwrap())
    }

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn replication_is_read_with_and_without_the_java_package() {
        let here = ["dc1".to_string()];
        let parse = |pairs: &[(&str, &str)]| Replication::parse(&options(pairs), &here);
        assert_eq!(
            parse(&[("class", "SimpleStrategy"), ("replication_factor", "3")]),
            Ok(Replication::Simple { factor: 3 })
        );
        let class = "org.apache.cassandra.locator.NetworkTopologyStrategy";
        assert_eq!(
            parse(&[("class", class), ("replication_factor", "2"), ("dc2", "1")]),
            Ok(Replication::NetworkTopology {
                factors: [("dc1".to_string(), 2), ("dc2".to_string(), 1)].into()
            })
        );
        assert_eq!(parse(&[("class", "SimpleStrategy")]), Err(ReplicationError::NoFactor));
        assert_eq!(parse(&[]), Err(ReplicationError::NoClass));
        assert!(parse(&[("class", "Simple")]).is_err());
        assert!(parse(&[("class", "SimpleStrategy"), ("replication_factor", "-1")]).is_err());
    }

    #[test]
    fn one_node_has_everything_without_a_lookup() {
        let ring = ring(&[("dc1", "r1")], 7);
        let placement = Placement::new(ring, &Replication::Simple { factor: 3 }, 0);
        assert_eq!(placement.uniform_replicas(), Some(&[0][..]));
        assert_eq!(placement.factor(), 3);
    }

    #[test]
    fn the_range_wraps_around_the_ring() {
        let ring = ring(&[("dc1", "r1"), ("dc1", "r1"), ("dc1", "r1")], 3);
        let placement = Placement::new(ring.clone(), &Replication::Simple { factor: 2 }, 0);
        let past_last = placement.replicas(Token(i64::MAX));
        let first = placement.replicas(ring.tokens()[0].0);
        assert_eq!(past_last, first);
    }

    #[test]
    fn keyspaces_alike_share_a_placement() {
        let ring = ring(&[("dc1", "r1")], 7);
        let one = options(&[("class", "SimpleStrategy"), ("replication_factor", "1")]);
        let placements = Placements::new(&ring, 0, [("a", &one), ("b", &one)]).unwrap();
        assert!(Arc::ptr_eq(placements.of("a"), placements.of("b")));
        assert_eq!(placements.of("system").factor(), 1);
        let bad = options(&[("class", "Nowhere")]);
        assert_eq!(Placements::new(&ring, 0, [("a", &bad)]).unwrap_err().0, "a");
    }

    fn places() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let data_center = prop::sample::select(vec!["dc1", "dc2", "dc3"]);
        let rack = prop::sample::select(vec!["r1", "r2", "r3", "r4"]);
        prop::collection::vec((data_center, rack), 1..10)
    }

    proptest! {
        #[test]
        fn simple_takes_the_next_distinct_nodes(
            places in places(), factor in 0u32..6, seed: u64, token: i64,
        ) {
            let ring = ring(&places, seed);
            let placement = Placement::new(ring.clone(), &Replication::Simple { factor }, 0);
            let replicas = placement.replicas(Token(token));
            let distinct: BTreeSet<_> = replicas.iter().collect();
            prop_assert_eq!(distinct.len(), replicas.len());
            prop_assert_eq!(replicas.len(), (factor as usize).min(places.len()));
            if factor > 0 {
                let owner = ring.tokens()[ring.range_of(Token(token))].1;
                prop_assert_eq!(replicas[0], owner);
            }
        }

        #[test]
        fn network_topology_fills_every_data_centre_and_spreads_racks(
            places in places(), first in 0u32..5, second in 0u32..5, seed: u64, token: i64,
        ) {
            let ring = ring(&places, seed);
            let factors = BTreeMap::from([("dc1".to_string(), first), ("dc2".to_string(), second)]);
            let replication = Replication::NetworkTopology { factors: factors.clone() };
            let placement = Placement::new(ring.clone(), &replication, 0);
            let replicas = placement.replicas(Token(token));
            let distinct: BTreeSet<_> = replicas.iter().collect();
            prop_assert_eq!(distinct.len(), replicas.len());
            for name in ["dc1", "dc2", "dc3"] {
                let here = || ring.nodes().iter().filter(|node| node.data_center == name);
                let racks: BTreeSet<_> = here().map(|node| &node.rack).collect();
                let wanted = factors.get(name).copied().unwrap_or(0) as usize;
                let chosen: Vec<_> = replicas
                    .iter()
                    .map(|index| ring.node(*index).unwrap())
                    .filter(|node| node.data_center == name)
                    .collect();
                prop_assert_eq!(chosen.len(), wanted.min(here().count()));
                let chosen_racks: BTreeSet<_> = chosen.iter().map(|node| &node.rack).collect();
                prop_assert_eq!(chosen_racks.len(), chosen.len().min(racks.len()));
            }
        }
    }
}
