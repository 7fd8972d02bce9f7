//! What a consistency level demands: one function decides for all of them, before a request (are enough replicas
//! alive?) and during it (have enough answered?).
//!
//! Numbers count from the replication factor that was asked for, never from the nodes that happen to exist. The local
//! levels count replicas of this node's data centre; under `SimpleStrategy`, which knows none, their quorum is that of
//! the whole factor, as Cassandra has it.

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;

use crate::placement::Placement;
use crate::ring::NodeIndex;

/// How many replicas answered (or are alive), by data centre.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acks {
    by_data_center: SmallVec<[u32; 4]>,
}

/// A level is not met: what it needs and what there is, as the protocol's Unavailable and timeout errors tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Replicas needed.
    pub required: u32,
    /// Replicas that answered, or are alive.
    pub present: u32,
}

impl Acks {
    /// None yet.
    pub fn new() -> Acks {
        Acks::default()
    }

    /// Of these nodes.
    pub fn of(placement: &Placement, nodes: impl IntoIterator<Item = NodeIndex>) -> Acks {
        let mut acks = Acks::new();
        for node in nodes {
            acks.add(placement.data_center_of(node));
        }
        acks
    }

    /// One more, from the data centre at that place of [`Placement::data_centers`].
    pub fn add(&mut self, data_center: usize) {
        if self.by_data_center.len() <= data_center {
            self.by_data_center.resize(data_center + 1, 0);
        }
        self.by_data_center[data_center] += 1;
    }

    /// In all data centres.
    pub fn total(&self) -> u32 {
        self.by_data_center.iter().sum()
    }

    /// In the data centre at that place.
    pub fn in_data_center(&self, data_center: usize) -> u32 {
        self.by_data_center.get(data_center).copied().unwrap_or(0)
    }
}

/// Whether these acknowledgements meet the level.
pub fn met(level: Consistency, placement: &Placement, acks: &Acks) -> bool {
    shortage(level, placement, acks).is_none()
}

/// What is missing for the level, if anything. EACH_QUORUM tells of the first data centre that falls short.
pub fn shortage(level: Consistency, placement: &Placement, acks: &Acks) -> Option<Shortage> {
    let local = placement.local_data_center();
    let short = |required: u32, present: u32| {
        (present < required).then_some(Shortage { required, present })
    };
    match level {
        Consistency::LocalOne | Consistency::LocalQuorum | Consistency::LocalSerial => {
            short(required(level, placement), acks.in_data_center(local))
        }
        Consistency::EachQuorum if placement.counts_by_data_center() => placement
            .data_centers()
            .iter()
            .enumerate()
            .filter(|(_, dc)| dc.factor > 0)
            .find_map(|(place, dc)| short(quorum(dc.factor), acks.in_data_center(place))),
        _ => short(required(level, placement), acks.total()),
    }
}

/// How many replicas the level needs in all.
///
/// ANY needs one: what it accepts beyond that, a hint in place of a replica, is no replica's acknowledgement.
pub fn required(level: Consistency, placement: &Placement) -> u32 {
    let all = placement.factor();
    match level {
        Consistency::Any | Consistency::One | Consistency::LocalOne => 1,
        Consistency::Two => 2,
        Consistency::Three => 3,
        Consistency::Quorum | Consistency::Serial => quorum(all),
        Consistency::All => all.max(1),
        Consistency::LocalQuorum | Consistency::LocalSerial => quorum(local_factor(placement)),
        Consistency::EachQuorum if placement.counts_by_data_center() => {
            let named = placement.data_centers().iter().filter(|dc| dc.factor > 0);
            named.fold(0_u32, |sum, dc| sum.saturating_add(quorum(dc.factor))).max(1)
        }
        Consistency::EachQuorum => quorum(all),
    }
}

fn local_factor(placement: &Placement) -> u32 {
    if placement.counts_by_data_center() {
        placement.data_centers()[placement.local_data_center()].factor
    } else {
        placement.factor()
    }
}

/// More than half. A keyspace without replicas needs one too: nothing must count as written that nobody has.
fn quorum(factor: u32) -> u32 {
    factor / 2 + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::placement::Replication;
    use crate::testing::ring;

    /// `counts` nodes per data centre, seen from `dc0`.
    fn placement(counts: &[u16], replication: &Replication) -> Placement {
        Placement::new(ring(counts), replication, 0)
    }

    fn topology(factors: &[u32]) -> Replication {
        let named = factors.iter().enumerate();
        Replication::NetworkTopology {
            factors: named
                .map(|(i, factor)| (format!("dc{i}"), *factor))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn acks(counts: &[u32]) -> Acks {
        Acks { by_data_center: SmallVec::from_slice(counts) }
    }

    #[test]
    fn one_node_with_factor_three_meets_one_and_says_what_the_rest_needs() {
        let placement = placement(&[1], &Replication::Simple { factor: 3 });
        let alive = acks(&[1]);
        let expected = [
            (Consistency::Any, None),
            (Consistency::One, None),
            (Consistency::LocalOne, None),
            (Consistency::Two, Some(2)),
            (Consistency::Three, Some(3)),
            (Consistency::Quorum, Some(2)),
            (Consistency::LocalQuorum, Some(2)),
            (Consistency::EachQuorum, Some(2)),
            (Consistency::All, Some(3)),
            (Consistency::Serial, Some(2)),
            (Consistency::LocalSerial, Some(2)),
        ];
        for (level, required) in expected {
            let short = required.map(|required| Shortage { required, present: 1 });
            assert_eq!(shortage(level, &placement, &alive), short, "{level}");
        }
    }

    #[test]
    fn factor_one_on_one_node_meets_all_but_two_and_three() {
        let placement = placement(&[1], &Replication::Simple { factor: 1 });
        for level in Consistency::ALL {
            let too_many = matches!(level, Consistency::Two | Consistency::Three);
            assert_eq!(met(level, &placement, &acks(&[1])), !too_many, "{level}");
            assert!(!met(level, &placement, &acks(&[])), "{level} with nothing");
        }
    }

    #[test]
    fn each_quorum_names_the_data_centre_that_falls_short() {
        let placement = placement(&[3, 3], &topology(&[3, 3]));
        let level = Consistency::EachQuorum;
        assert!(met(level, &placement, &acks(&[2, 2])));
        let short = shortage(level, &placement, &acks(&[3, 1]));
        assert_eq!(short, Some(Shortage { required: 2, present: 1 }));
        assert_eq!(required(level, &placement), 4);
    }

    #[test]
    fn a_keyspace_elsewhere_is_unavailable_at_local_levels() {
        let placement = placement(&[1], &topology(&[0, 3]));
        let short = shortage(Consistency::LocalQuorum, &placement, &acks(&[0]));
        assert_eq!(short, Some(Shortage { required: 1, present: 0 }));
    }

    proptest! {
        #[test]
        fn more_acks_never_unmeet_a_level(
            factors in prop::collection::vec(0u32..4, 1..4),
            counts in prop::collection::vec(0u32..4, 3),
            extra in 0usize..3,
        ) {
            let placement = placement(&[3, 3, 3], &topology(&factors));
            let before = acks(&counts);
            let mut after = before.clone();
            after.add(extra);
            for level in Consistency::ALL {
                prop_assert!(!met(level, &placement, &before) || met(level, &placement, &after));
            }
        }

        #[test]
        fn quorums_overlap(factor in 1u32..10, simple: bool) {
            let replication = if simple {
                Replication::Simple { factor }
            } else {
                topology(&[factor])
            };
            let placement = placement(&[3], &replication);
            for level in [Consistency::Quorum, Consistency::LocalQuorum, Consistency::Serial] {
                prop_assert!(2 * required(level, &placement) > factor);
                prop_assert!(required(level, &placement) <= factor);
            }
        }
    }
}
