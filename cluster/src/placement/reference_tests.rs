//! Placement beside a plain second one, written from the rules as they are documented rather than as a walk that stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tholos_grammar::token::Token;

use super::{Placement, Replication};
use crate::ring::{Node, NodeIndex, Ring};
use crate::testing::node;

/// Every node once, in the order in which its first token comes at or after that token, going around.
fn in_ring_order(ring: &Ring, token: Token) -> Vec<NodeIndex> {
    let first = |node: &Node| {
        let far = |own: &Token| {
            let ahead = i128::from(own.0) - i128::from(token.0);
            if ahead < 0 { ahead + (1 << 64) } else { ahead }
        };
        node.tokens.iter().map(far).min().unwrap()
    };
    let mut nodes: Vec<_> = (0..).zip(ring.nodes()).collect();
    nodes.sort_by_key(|(_, node)| first(node));
    nodes.into_iter().map(|(index, _)| index).collect()
}

/// As many as there are to be: with at least as many racks as replicas, the first of each rack; else one of each rack, and
/// the first of all the others.
fn of_data_center(nodes: &[(NodeIndex, &str)], factor: usize) -> Vec<NodeIndex> {
    let is_first = |place: usize| nodes[..place].iter().all(|(_, rack)| *rack != nodes[place].1);
    let (firsts, others): (Vec<usize>, Vec<usize>) =
        (0..nodes.len()).partition(|place| is_first(*place));
    let repeats = factor.saturating_sub(firsts.len());
    let firsts = firsts.into_iter().take(factor);
    let mut chosen: Vec<usize> = firsts.chain(others.into_iter().take(repeats)).collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|place| nodes[place].0).collect()
}

fn expected(ring: &Ring, replication: &Replication, token: Token) -> Vec<NodeIndex> {
    let order = in_ring_order(ring, token);
    let factors = match replication {
        Replication::Local => return vec![0],
        Replication::Simple { factor } => {
            return order.into_iter().take(*factor as usize).collect();
        }
        Replication::NetworkTopology { factors } => factors,
    };
    let chosen = factors.iter().flat_map(|(name, factor)| {
        let here = order.iter().filter_map(|index| {
            let node = ring.node(*index).unwrap();
            (node.data_center == *name).then_some((*index, node.rack.as_str()))
        });
        of_data_center(&here.collect::<Vec<_>>(), *factor as usize)
    });
    let chosen: Vec<NodeIndex> = chosen.collect();
    order.into_iter().filter(|node| chosen.contains(node)).collect()
}

/// Up to four tokens each, of a few places next to each other or anywhere.
fn rings() -> impl Strategy<Value = Arc<Ring>> {
    let token = prop_oneof![
        -40i64..40,
        any::<i64>(),
        (0i64..20).prop_map(|above| i64::MIN + above),
        (0i64..20).prop_map(|below| i64::MAX - below),
    ];
    let tokens = prop::collection::btree_set(token, 1..5);
    prop::collection::vec((0u8..3, 0u8..4, tokens), 1..12).prop_map(|nodes| {
        let mut taken = std::collections::BTreeSet::new();
        let nodes = (1u16..).zip(nodes).filter_map(|(number, (data_center, rack, tokens))| {
            let tokens: Vec<Token> =
                tokens.into_iter().filter(|token| taken.insert(*token)).map(Token).collect();
            let place = node(number, format!("dc{data_center}"), 0);
            (!tokens.is_empty()).then(|| Node { rack: format!("r{rack}"), tokens, ..place })
        });
        Arc::new(Ring::new(nodes.collect()).unwrap())
    })
}

fn replications() -> impl Strategy<Value = Replication> {
    let factors = prop::collection::btree_map(0u8..4, 0u32..7, 0..4);
    prop_oneof![
        1 => Just(Replication::Local),
        2 => (0u32..9).prop_map(|factor| Replication::Simple { factor }),
        5 => factors.prop_map(|factors| {
            let named = factors.into_iter().map(|(number, factor)| (format!("dc{number}"), factor));
            Replication::NetworkTopology { factors: named.collect::<BTreeMap<_, _>>() }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn replicas_are_those_of_the_documented_rules_in_their_order(
        ring in rings(), replication in replications(), anywhere: i64, near in -45i64..45,
    ) {
        let placement = Placement::new(ring.clone(), &replication, 0);
        let own = ring.tokens().iter().flat_map(|(token, _)| {
            [token.0.wrapping_sub(1), token.0, token.0.wrapping_add(1)]
        });
        for token in own.chain([anywhere, near, i64::MIN, i64::MAX]).map(Token) {
            let replicas = placement.replicas(token);
            prop_assert_eq!(replicas, expected(&ring, &replication, token), "{:?}", token);
        }
    }

    #[test]
    fn ownership_adds_up_to_the_replicas_of_the_tokens(
        ring in rings(), replication in replications(),
    ) {
        let placement = Placement::new(ring.clone(), &replication, 0);
        let owned = placement.ownership();
        prop_assert_eq!(owned.len(), ring.nodes().len());
        prop_assert!(owned.iter().all(|share| (0.0..=1.0).contains(share)));
        let replicas = expected(&ring, &replication, Token(0)).len() as f64;
        prop_assert!((owned.iter().sum::<f64>() - replicas).abs() < 1e-9, "{:?}", owned);
        let primary = ring.ownership();
        prop_assert!((primary.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{:?}", primary);
        let one = Placement::new(ring.clone(), &Replication::Simple { factor: 1 }, 0);
        prop_assert_eq!(one.ownership(), primary);
    }
}
