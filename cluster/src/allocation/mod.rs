//! The tokens of a new node: chosen so that every node has replicas of as much of the ring as its weight says.
//!
//! One token after the other, each where it helps most: for every range of the data centre it is computed what a token
//! there would change about who has replicas of what, and how far into the range it ought to lie. Nodes of other data
//! centres matter only in that a token belongs to one node. Replicas are placed as `NetworkTopologyStrategy` does, with
//! the replication factor that is assumed for the data centre: most keyspaces have the same.
//!
//! ```text
//! replication factor 3, racks r1 r2 r3; a new node n in r1
//! r1's nodes have one replica of each key together, so it is for them alone to share with n
//! token 1 of 16   n is to have 1/16 of its share: where an r1 node that has most too much loses just that
//! token 16        n is to have its share
//! ```
//!
//! The same arguments give the same tokens on every machine: ownership is counted in integers.

mod fair;
#[cfg(test)]
mod fair_tests;
mod free;
mod joining;
mod model;
#[cfg(test)]
mod model_tests;
mod parabola;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use tholos_grammar::token::Token;

use self::free::{Free, position, token_at};
use self::joining::{Joining, Rack};
use crate::random::mix;
use crate::ring::{Node, Ring, Weight};

/// The replication factor that is assumed for a data centre, where nothing else is said.
pub const ASSUMED_FACTOR: u32 = 3;

/// What counts about a node when tokens are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its data centre.
    pub data_center: &'a str,
    /// Its rack.
    pub rack: &'a str,
    /// How much it is to hold beside others.
    pub weight: Weight,
}

impl<'a> From<&'a Node> for Member<'a> {
    fn from(node: &'a Node) -> Member<'a> {
        Member { data_center: &node.data_center, rack: &node.rack, weight: node.weight }
    }
}

/// The tokens of a node that joins a ring: [`Weight::tokens`] of them, free ones. The seed moves them a little, so that
/// two nodes that join at once are unlikely to choose the same.
pub fn allocate(ring: &Ring, new: Member<'_>, factor: u32, seed: u64) -> Vec<Token> {
    let present = ring.nodes().iter().map(|node| (node.into(), node.tokens.as_slice()));
    allocate_beside(&present.collect::<Vec<_>>(), new, factor, seed)
}

/// The tokens of the first nodes of a cluster, by node: as if they joined one after the other, the first of every rack,
/// then the second ones, and so on.
pub fn genesis(members: &[Member<'_>], factor: u32, seed: u64) -> Vec<Vec<Token>> {
    let mut in_rack: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let numbers = members.iter().map(|member| {
        let number = in_rack.entry((member.data_center, member.rack)).or_default();
        *number += 1;
        *number
    });
    let mut order: Vec<(usize, usize)> = numbers.zip(0..).collect();
    order.sort_unstable();
    let mut chosen = vec![Vec::new(); members.len()];
    for (number, (_, new)) in (0..).zip(&order) {
        let before = order[..number as usize].iter();
        let present = before.map(|(_, other)| (members[*other], chosen[*other].as_slice()));
        let present: Vec<_> = present.collect();
        chosen[*new] =
            allocate_beside(&present, members[*new], factor, mix(seed.wrapping_add(number)));
    }
    chosen
}

/// So many tokens at equal distances, for a ring of one node. The seed turns them.
pub fn evenly_spaced(count: usize, seed: u64) -> Vec<Token> {
    let tokens = Free::default().evenly_spaced(count, seed);
    tokens.into_iter().map(token_at).collect()
}

fn allocate_beside(
    present: &[(Member<'_>, &[Token])],
    new: Member<'_>,
    factor: u32,
    seed: u64,
) -> Vec<Token> {
    let joining = joining(present, new, factor);
    joining.run(seed).into_iter().map(token_at).collect()
}

fn joining(present: &[(Member<'_>, &[Token])], new: Member<'_>, factor: u32) -> Joining {
    let taken = present.iter().flat_map(|(_, tokens)| tokens.iter());
    let free = Free(taken.map(|token| position(*token)).collect());
    let is_here = |(member, _): &&(Member<'_>, &[Token])| member.data_center == new.data_center;
    let here: Vec<_> = present.iter().filter(is_here).collect();
    let members = || here.iter().map(|(member, _)| *member).chain([new]);
    let racks: BTreeSet<&str> = members().map(|member| member.rack).collect();
    let racks: BTreeMap<&str, Rack> = racks.into_iter().zip(0..).collect();
    let members = members().map(|member| (racks[member.rack], member.weight)).collect();
    let owned = (0..)
        .zip(&here)
        .flat_map(|(node, (_, tokens))| tokens.iter().map(move |token| (position(*token), node)));
    let mut tokens: Vec<_> = owned.collect();
    tokens.sort_unstable();
    Joining { members, factor: factor.max(1), tokens, free }
}
