//! Placement: which nodes have the replicas of a token, by a keyspace's replication.
//!
//! A [`Placement`] is computed once per keyspace and epoch, for every range of the ring; looking a token up is then a
//! binary search, or nothing at all where every range has the same replicas, as in a ring of one node.
//!
//! The replication factor is what was asked for, even where the ring has fewer nodes: consistency levels count from it.

mod choice;

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::token::Token;

pub(crate) use self::choice::Choice;
use crate::ring::{DataCenter, Location, NodeIndex, Ring};

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
    local: usize,
}

impl Placement {
    /// Places a keyspace on a ring, as seen from a node of it.
    ///
    /// # Panics
    /// If `local` is no node of the ring.
    pub fn new(ring: Arc<Ring>, replication: &Replication, local: NodeIndex) -> Placement {
        let data_centers = data_centers(&ring, replication);
        let factor = match replication {
            Replication::Local => 1,
            Replication::Simple { factor } => *factor,
            // More than anyone has, but nothing to be refused once it is in the schema.
            Replication::NetworkTopology { .. } => {
                data_centers.iter().fold(0_u32, |sum, dc| sum.saturating_add(dc.factor))
            }
        };
        let ranges = ranges(&ring, replication, &data_centers, local);
        let (first, rest) =
            ranges.split_first().map_or((&[][..], &[][..]), |(first, rest)| (&first[..], rest));
        let is_in_all = |node: &NodeIndex| rest.iter().all(|range| range.contains(node));
        let all = first.iter().copied().filter(is_in_all).collect();
        let by_data_center = matches!(replication, Replication::NetworkTopology { .. });
        let local = ring.location(local).data_center;
        Placement { ring, ranges, all, factor, by_data_center, data_centers, local }
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

    /// The share of all tokens that each node has a replica of, by node: what operators know as "Owns (effective)".
    /// Each is at most 1; they add up to the replicas that tokens have.
    pub fn ownership(&self) -> Vec<f64> {
        self.ring.shares(|place| match self.ranges.as_slice() {
            [only] => only,
            ranges => &ranges[place],
        })
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
        self.ring.location(node).data_center
    }

    /// The place in [`data_centers`](Self::data_centers) of the data centre that this node is in.
    pub fn local_data_center(&self) -> usize {
        self.local
    }
}

/// Those of the ring, in its order, then those that only the replication names.
fn data_centers(ring: &Ring, replication: &Replication) -> Vec<DataCenterFactor> {
    let none = BTreeMap::new();
    let factors = match replication {
        Replication::NetworkTopology { factors } => factors,
        Replication::Local | Replication::Simple { .. } => &none,
    };
    let known: Vec<&String> = ring.data_centers().iter().map(|known| &known.name).collect();
    let named = factors.keys().filter(|name| !known.contains(name));
    let all = known.iter().copied().chain(named);
    all.map(|name| DataCenterFactor {
        name: name.clone(),
        factor: factors.get(name).copied().unwrap_or(0),
    })
    .collect()
}

/// The replicas by range of the ring, or once if they are the same for all.
fn ranges(
    ring: &Ring,
    replication: &Replication,
    data_centers: &[DataCenterFactor],
    local: NodeIndex,
) -> Vec<Replicas> {
    let all = 0..ring.tokens().len();
    match replication {
        Replication::Local => vec![SmallVec::from_slice(&[local])],
        Replication::Simple { factor } => {
            dedup(all.map(|range| simple(ring, *factor, range)).collect())
        }
        Replication::NetworkTopology { .. } => {
            let known = ring.data_centers().iter().zip(data_centers);
            let choice = |(known, wanted): (&DataCenter, &DataCenterFactor)| {
                Choice::new(wanted.factor, known.nodes, known.racks)
            };
            let choices: Vec<Choice> = known.map(choice).collect();
            dedup(all.map(|range| network_topology(ring, choices.clone(), range)).collect())
        }
    }
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

/// Walks the ring and takes, in each data centre, the nodes that its [`Choice`] takes.
fn network_topology(ring: &Ring, mut choices: Vec<Choice>, range: usize) -> Replicas {
    let mut replicas = Replicas::new();
    for node in ring.walk(range) {
        if choices.iter().all(Choice::is_over) {
            break;
        }
        let Location { data_center, rack } = ring.location(node);
        if !replicas.contains(&node) && choices[data_center].takes(rack) {
            replicas.push(node);
        }
    }
    replicas
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
        let names: Vec<String> = ring.data_centers().iter().map(|dc| dc.name.clone()).collect();
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
mod reference_tests;
#[cfg(test)]
mod tests;
