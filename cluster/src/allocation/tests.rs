//! What an allocation leads to, measured on placements.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::fair::{Claim, WHOLE};
use super::*;
use crate::placement::{Placement, Replication};
use crate::ring::TOKENS_PER_NODE;
use crate::testing::node;

fn member<'a>(data_center: &'a str, rack: &'a str, weight: u32) -> Member<'a> {
    Member { data_center, rack, weight: Weight::new(weight).unwrap() }
}

/// `count` nodes of one data centre, in racks by turns.
fn by_turns(count: usize, racks: usize) -> Vec<Member<'static>> {
    const RACKS: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];
    (0..count).map(|number| member("dc", RACKS[number % racks], 1)).collect()
}

fn ring_of(members: &[Member<'_>], tokens: &[Vec<Token>]) -> Arc<Ring> {
    let nodes = members.iter().zip(tokens).zip(1u16..).map(|((member, tokens), number)| Node {
        rack: member.rack.to_string(),
        weight: member.weight,
        tokens: tokens.clone(),
        ..node(number, member.data_center, 0)
    });
    Arc::new(Ring::new(nodes.collect()).unwrap())
}

/// Each joins the ring of those before it.
fn one_after_the_other(members: &[Member<'_>], factor: u32, seed: u64) -> Vec<Vec<Token>> {
    (0..members.len()).fold(Vec::new(), |mut tokens, count| {
        let ring = ring_of(&members[..count], &tokens);
        tokens.push(allocate(&ring, members[count], factor, seed.wrapping_add(count as u64)));
        tokens
    })
}

fn place(ring: &Arc<Ring>, factor: u32) -> Placement {
    let names = ring.data_centers().iter().map(|known| (known.name.clone(), factor));
    Placement::new(Arc::clone(ring), &Replication::NetworkTopology { factors: names.collect() }, 0)
}

/// What each ought to have, of the whole ring.
fn fair(members: &[Member<'_>], factor: u32) -> Vec<f64> {
    let racks: BTreeSet<&str> = members.iter().map(|member| member.rack).collect();
    let claim = |member: &Member<'_>| Claim {
        rack: racks.iter().position(|rack| *rack == member.rack).unwrap(),
        weight: u64::from(member.weight.get()),
    };
    let claims: Vec<Claim> = members.iter().map(claim).collect();
    let shares = fair::shares(&claims, factor);
    shares.into_iter().map(|share| share as f64 / WHOLE as f64).collect()
}

/// The most that one has beside what it ought to have.
fn worst(members: &[Member<'_>], tokens: &[Vec<Token>], factor: u32) -> f64 {
    let owned = place(&ring_of(members, tokens), factor).ownership();
    let ratios = owned.iter().zip(fair(members, factor)).map(|(owned, fair)| owned / fair);
    ratios.fold(0.0, f64::max)
}

/// How much of the ring comes to nodes that did not have it: to old ones, and to the last one.
fn moved(members: &[Member<'_>], tokens: &[Vec<Token>], factor: u32) -> (f64, f64) {
    let last = members.len() - 1;
    let before = place(&ring_of(&members[..last], &tokens[..last]), factor);
    let after = place(&ring_of(members, tokens), factor);
    let (mut to_old, mut to_new) = (0.0, 0.0);
    for (range, (token, _)) in after.ring().tokens().iter().enumerate() {
        let old = before.replicas(*token);
        for node in after.replicas(*token).iter().filter(|node| !old.contains(node)) {
            let share = after.ring().width(range) as f64 / u64::MAX as f64;
            *if *node as usize == last { &mut to_new } else { &mut to_old } += share;
        }
    }
    (to_old, to_new)
}

#[test]
fn thirty_nodes_in_three_racks_are_even_and_each_that_joins_moves_its_share() {
    for seed in 0..3 {
        let members = by_turns(31, 3);
        let tokens = one_after_the_other(&members, 3, seed);
        for count in 2..=31 {
            let (members, tokens) = (&members[..count], &tokens[..count]);
            let ratio = worst(members, tokens, 3);
            assert!(ratio <= 1.06, "seed {seed}, {count} nodes: {ratio}");
            let (to_old, to_new) = moved(members, tokens, 3);
            let ratio = to_new / fair(members, 3)[count - 1];
            assert!(ratio <= 1.05, "seed {seed}, node {count} gets {ratio} of its share");
            assert_eq!(to_old, 0.0, "seed {seed}: nothing moves between those there were");
        }
    }
}

#[test]
fn other_numbers_of_racks_are_even_too() {
    for (racks, factor) in [(1, 1), (1, 3), (2, 3), (4, 3), (5, 3), (3, 2), (2, 5)] {
        let members = by_turns(31, racks);
        let tokens = one_after_the_other(&members, factor, 7);
        for count in [29, 30, 31] {
            let (members, tokens) = (&members[..count], &tokens[..count]);
            let ratio = worst(members, tokens, factor);
            assert!(ratio <= 1.10, "{racks} racks, factor {factor}, {count} nodes: {ratio}");
            let (_, to_new) = moved(members, tokens, factor);
            let ratio = to_new / fair(members, factor)[count - 1];
            assert!(ratio <= 1.15, "{racks} racks, factor {factor}, node {count}: {ratio}");
        }
    }
}

#[test]
fn heavy_nodes_own_as_much_as_they_weigh() {
    let mut members = by_turns(24, 3);
    for (number, member) in members.iter_mut().enumerate() {
        member.weight = Weight::new([1, 2, 4][number / 3 % 3]).unwrap();
    }
    members.push(member("dc", "r0", 16));
    let tokens = one_after_the_other(&members, 3, 1);
    assert_eq!(tokens[24].len(), 16 * TOKENS_PER_NODE);
    let ratio = worst(&members, &tokens, 3);
    assert!(ratio <= 1.10, "{ratio}");
    let owned = place(&ring_of(&members, &tokens), 3).ownership();
    assert!(owned[24] > 0.9 * 16.0 / 34.0, "{owned:?}: 18 others in its rack");
}

#[test]
fn a_hundred_nodes_are_even() {
    let members = by_turns(100, 5);
    let tokens = genesis(&members, 3, 5);
    let ratio = worst(&members, &tokens, 3);
    assert!(ratio <= 1.10, "{ratio}");
}

#[test]
fn first_members_are_even_in_whatever_order_they_are_listed() {
    let mut members = by_turns(18, 3);
    members.sort_by_key(|member| member.rack);
    let tokens = genesis(&members, 3, 9);
    assert!(worst(&members, &tokens, 3) <= 1.06);
    assert_eq!(tokens, genesis(&members, 3, 9));
    assert_ne!(tokens, genesis(&members, 3, 10), "the seed moves them");
    assert_eq!(genesis(&[], 3, 9), Vec::<Vec<Token>>::new());
    assert_eq!(genesis(&members[..1], 3, 9)[0].len(), TOKENS_PER_NODE);
}

#[test]
fn another_data_centre_changes_nothing() {
    let here = by_turns(7, 3);
    let alone = one_after_the_other(&here, 3, 4);
    let there = [member("else", "r0", 1), member("else", "r1", 3)];
    let tokens = genesis(&there, 3, 8);
    for count in 0..here.len() {
        let members: Vec<_> = there.iter().chain(&here[..count]).copied().collect();
        let taken: Vec<_> = tokens.iter().chain(&alone[..count]).cloned().collect();
        let ring = ring_of(&members, &taken);
        let chosen = allocate(&ring, here[count], 3, 4 + count as u64);
        assert_eq!(chosen, alone[count], "node {count}");
    }
    // Where they would meet, the later one steps aside.
    let first = genesis(&here[..1], 3, 8);
    let ring = ring_of(&here[..1], &first);
    let second = allocate(&ring, member("else", "r0", 1), 3, mix(8));
    let aside: Vec<_> = first[0].iter().map(|token| Token(token.0.wrapping_add(1))).collect();
    assert_eq!(second, aside);
}

#[test]
fn a_lone_nodes_tokens_are_evenly_spaced() {
    let ring = ring_of(&[member("dc", "r0", 1)], &[evenly_spaced(TOKENS_PER_NODE, 3)]);
    let widths: BTreeSet<u64> = (0..TOKENS_PER_NODE).map(|range| ring.width(range)).collect();
    assert!(widths.iter().all(|width| width.abs_diff(1 << 60) <= 16), "{widths:?}");
    assert_eq!(evenly_spaced(0, 1), []);
    assert_eq!(evenly_spaced(1, 1).len(), 1);
}

fn members() -> impl Strategy<Value = Vec<Member<'static>>> {
    let data_center = prop::sample::select(vec!["dc1", "dc2"]);
    let rack = prop::sample::select(vec!["r1", "r2", "r3", "r4"]);
    let member =
        (data_center, rack, 1u32..4).prop_map(|(dc, rack, weight)| member(dc, rack, weight));
    prop::collection::vec(member, 1..7)
}

/// Tokens of rings that nobody would make: next to each other, at the ends, anywhere.
fn awkward_tokens() -> impl Strategy<Value = Vec<Token>> {
    let token = prop_oneof![
        -6i64..6,
        any::<i64>(),
        (0i64..6).prop_map(|above| i64::MIN + above),
        (0i64..6).prop_map(|below| i64::MAX - below),
    ];
    prop::collection::btree_set(token.prop_map(Token), 6..30)
        .prop_map(|tokens| tokens.into_iter().collect())
}

proptest! {
    #[test]
    fn tokens_are_as_many_as_weighed_free_and_the_same_every_time(
        members in members(), tokens in awkward_tokens(), factor in 0u32..6, seed: u64,
    ) {
        let (new, old) = members.split_last().unwrap();
        let mut owned = vec![Vec::new(); old.len()];
        for (at, token) in tokens.iter().enumerate().filter(|_| !old.is_empty()) {
            owned[at % old.len()].push(*token);
        }
        let ring = ring_of(old, &owned);
        let chosen = allocate(&ring, *new, factor, seed);
        prop_assert_eq!(chosen.len(), new.weight.tokens());
        prop_assert_eq!(&chosen, &allocate(&ring, *new, factor, seed));
        prop_assert!(!chosen.contains(&Token(i64::MIN)));
        let taken: BTreeSet<Token> = ring.tokens().iter().map(|(token, _)| *token).collect();
        let distinct: BTreeSet<Token> = chosen.iter().copied().collect();
        prop_assert_eq!(distinct.len(), chosen.len());
        prop_assert!(distinct.is_disjoint(&taken));
    }
}
