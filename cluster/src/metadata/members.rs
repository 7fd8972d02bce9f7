//! Who decides about the metadata: 1, 3, 5 or 7 nodes, spread over data centres and racks.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::ring::Node;

/// More would make decisions slower, and no safer.
pub const MAX_MEMBERS: usize = 7;

/// How many members a cluster of that many nodes has. An odd number: one more would need one more for a majority and
/// survive no more failures. As many as possible: where all nodes are members, the side of a cut with most nodes decides.
pub fn member_count(nodes: usize) -> usize {
    let bounded = nodes.clamp(1, MAX_MEMBERS);
    bounded - usize::from(bounded.is_multiple_of(2))
}

/// The members, with further ones until there are as many as the cluster should have. Who is one stays one. Each further
/// one is taken where there are fewest: of the data centres, then of its racks, then the lowest host id.
///
/// ```text
/// members {a1}, nodes a1 a2 (dc a) b1 (dc b)  ->  {a1, b1, a2}
/// ```
pub fn extended(members: &BTreeSet<Uuid>, nodes: &[Node]) -> BTreeSet<Uuid> {
    let mut members = members.clone();
    while members.len() < member_count(nodes.len()) {
        let mut by_data_center: BTreeMap<&str, usize> = BTreeMap::new();
        let mut by_rack: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for node in nodes.iter().filter(|node| members.contains(&node.host_id)) {
            *by_data_center.entry(&node.data_center).or_default() += 1;
            *by_rack.entry((&node.data_center, &node.rack)).or_default() += 1;
        }
        let others = nodes.iter().filter(|node| !members.contains(&node.host_id));
        let next = others.min_by_key(|node| {
            let in_data_center = by_data_center.get(&*node.data_center).copied();
            let in_rack = by_rack.get(&(&*node.data_center, &*node.rack)).copied();
            (in_data_center.unwrap_or(0), in_rack.unwrap_or(0), node.host_id)
        });
        let Some(next) = next else { break };
        members.insert(next.host_id);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    fn nodes(places: &[(&str, &str)]) -> Vec<Node> {
        let node = |(number, (data_center, rack)): (u16, &(&str, &str))| Node {
            rack: rack.to_string(),
            ..node(number, *data_center, i64::from(number))
        };
        (1..).zip(places).map(node).collect()
    }

    fn picked(nodes: &[Node]) -> Vec<u128> {
        extended(&BTreeSet::new(), nodes).iter().map(|host| host.as_u128()).collect()
    }

    #[test]
    fn their_number_is_odd_and_bounded() {
        let counts: Vec<usize> = (0..=9).map(member_count).collect();
        assert_eq!(counts, [1, 1, 1, 3, 3, 5, 5, 7, 7, 7]);
    }

    #[test]
    fn they_are_spread_over_data_centres_and_racks() {
        let one = nodes(&[("a", "1"), ("a", "1"), ("a", "2"), ("a", "3")]);
        assert_eq!(picked(&one), [1, 3, 4]);
        let two = nodes(&[("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "1"), ("b", "2")]);
        assert_eq!(picked(&two), [1, 2, 3, 4, 6], "1, 4, then 3 and 6 of other racks, then 2");
    }

    #[test]
    fn who_is_one_stays_one() {
        let all = nodes(&[("a", "1"), ("a", "1"), ("a", "1"), ("a", "2"), ("a", "3")]);
        let before = BTreeSet::from([Uuid::from_u128(2)]);
        let after = extended(&before, &all[..3]);
        assert_eq!(after.len(), 3);
        assert!(extended(&after, &all).is_superset(&after));
        assert_eq!(extended(&after, &all).len(), 5);
    }
}
