//! The ring: nodes and the tokens they own.
//!
//! A [`Ring`] is one immutable value per epoch. Node numbers ([`NodeIndex`]) are places in its node list: short, and
//! only meaningful within that ring. A token belongs to the node of the first ring token at or after it; past the last
//! one, to the first (wrap-around).

mod weight;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tholos_grammar::token::Token;
use uuid::Uuid;

pub use self::weight::{TOKENS_PER_NODE, Weight, WeightError};

/// A node's place in its ring's node list.
pub type NodeIndex = u32;

/// A node of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its identity: chosen once, kept on its disk.
    pub host_id: Uuid,
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// Its data centre.
    pub data_center: String,
    /// Its rack: replicas of one token are spread over racks.
    pub rack: String,
    /// How much it holds beside others.
    pub weight: Weight,
    /// Its tokens, in any order: [`Weight::tokens`] of them, where they were allocated.
    pub tokens: Vec<Token>,
}

/// A data centre of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCenter {
    /// Its name.
    pub name: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// How many racks they stand in.
    pub racks: usize,
}

/// Where a node stands, by numbers that mean something within one ring alone: equal numbers for equal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The place of its data centre in [`Ring::data_centers`].
    pub data_center: usize,
    /// Its rack. Racks of one name in two data centres are two racks.
    pub rack: usize,
}

/// All nodes at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    nodes: Vec<Node>,
    /// By node.
    locations: Vec<Location>,
    /// Sorted by name.
    data_centers: Vec<DataCenter>,
    /// Sorted by token, each token once.
    tokens: Vec<(Token, NodeIndex)>,
}

/// The nodes make no ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Two nodes (or one, twice) claim a token.
    #[error(
        "token {token} belongs to two nodes, {first} and {second}: give one of them other tokens"
    )]
    SharedToken {
        /// The token.
        token: Token,
        /// Address of the node that has it.
        first: SocketAddr,
        /// Address of the other.
        second: SocketAddr,
    },
    /// A node without tokens owns nothing.
    #[error("node {0} has no tokens: allocate some before it joins the ring")]
    NoTokens(SocketAddr),
}

impl Ring {
    /// A ring of these nodes.
    ///
    /// # Errors
    /// A token that two nodes have; a node without tokens.
    pub fn new(nodes: Vec<Node>) -> Result<Ring, RingError> {
        let mut tokens = Vec::new();
        for (index, node) in (0..).zip(&nodes) {
            if node.tokens.is_empty() {
                return Err(RingError::NoTokens(node.address));
            }
            tokens.extend(node.tokens.iter().map(|token| (*token, index)));
        }
        tokens.sort_unstable();
        for pair in tokens.windows(2) {
            if let [(token, first), (other, second)] = pair
                && token == other
            {
                let address = |index: &NodeIndex| nodes[*index as usize].address;
                return Err(RingError::SharedToken {
                    token: *token,
                    first: address(first),
                    second: address(second),
                });
            }
        }
        let (locations, data_centers) = locate(&nodes);
        Ok(Ring { nodes, locations, data_centers, tokens })
    }

    /// The nodes; a [`NodeIndex`] is a place in here.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of that number.
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    /// Where the node of that number stands.
    ///
    /// # Panics
    /// If it is no node of the ring.
    pub fn location(&self, index: NodeIndex) -> Location {
        self.locations[index as usize]
    }

    /// The data centres, sorted by name.
    pub fn data_centers(&self) -> &[DataCenter] {
        &self.data_centers
    }

    /// All tokens with their owners, ascending.
    pub fn tokens(&self) -> &[(Token, NodeIndex)] {
        &self.tokens
    }

    /// The place in [`tokens`](Self::tokens) of the range that `token` lies in: the first ring token at or after it,
    /// or 0 past the last one.
    pub fn range_of(&self, token: Token) -> usize {
        let place = self.tokens.partition_point(|(start, _)| *start < token);
        if place == self.tokens.len() { 0 } else { place }
    }

    /// How many tokens lie in the range of that place of [`tokens`](Self::tokens): from the ring token before it,
    /// exclusive, to its own, inclusive.
    pub fn width(&self, place: usize) -> u64 {
        let before = place.checked_sub(1).unwrap_or(self.tokens.len() - 1);
        let (from, to) = (self.tokens[before].0, self.tokens[place].0);
        // One token alone owns the whole ring, which is one more than fits.
        if from == to { u64::MAX } else { to.0.wrapping_sub(from.0) as u64 }
    }

    /// The share of all tokens that each node is the first replica of, by node. They add up to 1.
    pub fn ownership(&self) -> Vec<f64> {
        self.shares(|place| std::slice::from_ref(&self.tokens[place].1))
    }

    /// The share of all tokens that lie in ranges that were given to a node, by node.
    pub(crate) fn shares<'a>(&self, owners: impl Fn(usize) -> &'a [NodeIndex]) -> Vec<f64> {
        let mut owned = vec![0u128; self.nodes.len()];
        for place in 0..self.tokens.len() {
            for node in owners(place) {
                owned[*node as usize] += u128::from(self.width(place));
            }
        }
        let whole = u64::MAX as f64;
        owned.into_iter().map(|tokens| (tokens as f64 / whole).min(1.0)).collect()
    }

    /// Nodes in ring order from that place on, each token's owner once per token: a node with many tokens comes often.
    pub fn walk(&self, place: usize) -> impl Iterator<Item = NodeIndex> + '_ {
        let (before, after) = self.tokens.split_at(place.min(self.tokens.len()));
        after.iter().chain(before).map(|(_, node)| *node)
    }
}

fn locate(nodes: &[Node]) -> (Vec<Location>, Vec<DataCenter>) {
    let rack_of = |node: &Node| (node.data_center.clone(), node.rack.clone());
    let racks: Vec<_> = nodes.iter().map(rack_of).collect::<BTreeSet<_>>().into_iter().collect();
    let mut data_centers: Vec<DataCenter> = Vec::new();
    for (name, _) in &racks {
        match data_centers.last_mut() {
            Some(last) if last.name == *name => last.racks += 1,
            _ => data_centers.push(DataCenter { name: name.clone(), nodes: 0, racks: 1 }),
        }
    }
    let locate = |node: &Node| Location {
        data_center: data_centers.partition_point(|known| known.name < node.data_center),
        rack: racks.partition_point(|rack| *rack < rack_of(node)),
    };
    let locations: Vec<Location> = nodes.iter().map(locate).collect();
    for location in &locations {
        data_centers[location.data_center].nodes += 1;
    }
    (locations, data_centers)
}

#[cfg(test)]
mod tests;
