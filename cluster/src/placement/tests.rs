use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::allocation::evenly_spaced;
use crate::random::SplitMix64;
use crate::ring::Node;
use crate::testing::node;

/// Four tokens each, anywhere.
fn ring(places: &[(&str, &str)], seed: u64) -> Arc<Ring> {
    let mut tokens = evenly_spaced(places.len() * 4, seed);
    SplitMix64::new(seed).choose(&mut tokens, usize::MAX);
    let nodes =
        (1u16..).zip(places).zip(tokens.chunks(4)).map(|((port, (data_center, rack)), tokens)| {
            Node { rack: rack.to_string(), tokens: tokens.to_vec(), ..node(port, *data_center, 0) }
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
