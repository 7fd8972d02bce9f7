//! The ring: nodes and the tokens they own.
//!
//! A [`Ring`] is one immutable value per epoch. Node numbers ([`NodeIndex`]) are places in its node list: short, and
//! only meaningful within that ring. A token belongs to the node of the first ring token at or after it; past the last
//! one, to the first (wrap-around).

use std::net::SocketAddr;

use tholos_grammar::token::Token;
use uuid::Uuid;

use crate::random::mix;

/// How many tokens a node of weight 1 owns.
pub const TOKENS_PER_NODE: usize = 16;

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
    /// Its tokens, in any order.
    pub tokens: Vec<Token>,
}

/// All nodes at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    nodes: Vec<Node>,
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
        Ok(Ring { nodes, tokens })
    }

    /// The nodes; a [`NodeIndex`] is a place in here.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of that number.
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index as usize)
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

    /// Nodes in ring order from that place on, each token's owner once per token: a node with many tokens comes often.
    pub fn walk(&self, place: usize) -> impl Iterator<Item = NodeIndex> + '_ {
        let (before, after) = self.tokens.split_at(place.min(self.tokens.len()));
        after.iter().chain(before).map(|(_, node)| *node)
    }
}

/// Chooses tokens for a new node beside those that are taken: each halves the widest range that is left, so ownership
/// evens out with every one. In an empty ring they are evenly spaced. The seed moves them, so that two rings made
/// alike have different tokens; the same arguments give the same tokens.
pub fn allocate_tokens(taken: &[Token], count: usize, seed: u64) -> Vec<Token> {
    let mut ring: Vec<i64> = taken.iter().map(|token| token.0).collect();
    ring.sort_unstable();
    let mut chosen = Vec::with_capacity(count);
    if ring.is_empty() && count > 0 {
        let step = u64::MAX / count as u64;
        // `i64::MIN` stands for "before every token" and belongs to nobody.
        let first = mix(seed) % step.max(1);
        chosen.extend((0..count as u64).map(|i| {
            let offset = first.wrapping_add(i.wrapping_mul(step)).max(1);
            Token((offset ^ (1 << 63)) as i64)
        }));
        return chosen;
    }
    for i in 0..count {
        let token = halve_widest(&ring, mix(seed.wrapping_add(i as u64)));
        let place = ring.partition_point(|other| *other < token);
        ring.insert(place, token);
        chosen.push(Token(token));
    }
    chosen
}

/// A token near the middle of the widest range (within 1/64 of its width), never one that is taken.
fn halve_widest(ring: &[i64], random: u64) -> i64 {
    let width_after = |i: usize| {
        let next = ring[(i + 1) % ring.len()];
        // One token alone owns the whole ring, which is one more than fits.
        if ring.len() == 1 { u64::MAX } else { next.wrapping_sub(ring[i]) as u64 }
    };
    let widest = (0..ring.len()).max_by_key(|i| width_after(*i)).unwrap_or(0);
    let width = width_after(widest);
    let jitter = (width / 64).max(1);
    let offset = width / 2 - (width / 128).min(width / 2) + random % jitter;
    let token = ring[widest].wrapping_add(offset.clamp(1, width.saturating_sub(1).max(1)) as i64);
    if token == i64::MIN { i64::MIN + 1 } else { token }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn node(port: u16, tokens: &[i64]) -> Node {
        let tokens = tokens.iter().copied().map(Token).collect();
        Node { tokens, ..crate::testing::node(port, "dc1", 0) }
    }

    #[test]
    fn a_token_belongs_to_the_next_ring_token_and_wraps() {
        let ring = Ring::new(vec![node(1, &[-100, 50]), node(2, &[0])]).unwrap();
        let owner = |token| ring.walk(ring.range_of(Token(token))).next().unwrap();
        assert_eq!(owner(i64::MIN), 0);
        assert_eq!(owner(-100), 0);
        assert_eq!(owner(-99), 1);
        assert_eq!(owner(0), 1);
        assert_eq!(owner(1), 0);
        assert_eq!(owner(50), 0);
        assert_eq!(owner(51), 0, "past the last token, the first owns");
        assert_eq!(ring.walk(1).collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn shared_and_missing_tokens_are_refused() {
        assert!(matches!(
            Ring::new(vec![node(1, &[5]), node(2, &[5])]),
            Err(RingError::SharedToken { token: Token(5), .. })
        ));
        assert!(matches!(Ring::new(vec![node(1, &[])]), Err(RingError::NoTokens(_))));
    }

    proptest! {
        #[test]
        fn allocated_tokens_are_distinct_free_and_even(seed: u64, nodes in 1usize..12) {
            let mut taken: Vec<Token> = Vec::new();
            for _ in 0..nodes {
                let tokens = allocate_tokens(&taken, TOKENS_PER_NODE, seed);
                prop_assert_eq!(tokens.len(), TOKENS_PER_NODE);
                prop_assert_eq!(&tokens, &allocate_tokens(&taken, TOKENS_PER_NODE, seed));
                taken.extend(tokens);
            }
            let distinct: BTreeSet<_> = taken.iter().collect();
            prop_assert_eq!(distinct.len(), taken.len());
            prop_assert!(!distinct.contains(&Token(i64::MIN)));
            let sorted: Vec<i64> = distinct.iter().map(|token| token.0).collect();
            let widths: Vec<u64> = (0..sorted.len())
                .map(|i| sorted[(i + 1) % sorted.len()].wrapping_sub(sorted[i]) as u64)
                .collect();
            let (least, most) = (widths.iter().min().unwrap(), widths.iter().max().unwrap());
            prop_assert!(most / 3 < *least, "ranges from {} to {}", least, most);
        }
    }
}
