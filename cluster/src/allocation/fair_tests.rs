use proptest::prelude::*;

use super::fair::{Claim, WHOLE, shares};

/// Racks by number, all of weight 1.
fn of(racks: &[usize], factor: u32) -> Vec<f64> {
    weighed(&racks.iter().map(|rack| (*rack, 1)).collect::<Vec<_>>(), factor)
}

fn weighed(claims: &[(usize, u64)], factor: u32) -> Vec<f64> {
    let claims: Vec<Claim> =
        claims.iter().map(|(rack, weight)| Claim { rack: *rack, weight: *weight }).collect();
    // To a hundredth: rounding is elsewhere.
    let round = |share: u64| (share as f64 / WHOLE as f64 * 100.0).round() / 100.0;
    shares(&claims, factor).into_iter().map(round).collect()
}

#[test]
fn shares_keep_to_the_rules_of_placement() {
    assert_eq!(of(&[1], 3), [1.0]);
    assert_eq!(of(&[1, 1], 3), [1.0, 1.0], "a node has a key once");
    assert_eq!(of(&[1, 1, 1, 1], 3), [0.75; 4]);
    assert_eq!(of(&[1, 1, 2, 3], 3), [0.5, 0.5, 1.0, 1.0], "a replica of each key in every rack");
    assert_eq!(of(&[1, 2, 2, 2, 2], 3), [1.0, 0.5, 0.5, 0.5, 0.5], "and in a small one too");
    assert_eq!(
        of(&[1, 1, 1, 2, 3], 2),
        [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.5, 0.5]
            .map(|share: f64| { (share * 100.0).round() / 100.0 }),
        "no rack has two of a key"
    );
    assert_eq!(of(&[1, 2, 3, 4], 3), [0.75; 4]);
    assert_eq!(of(&[1, 2], 0), [0.0, 0.0]);
}

#[test]
fn shares_are_by_weight() {
    assert_eq!(weighed(&[(1, 1), (1, 3)], 1), [0.25, 0.75]);
    assert_eq!(weighed(&[(1, 1), (1, 1), (1, 8)], 2), [0.5, 0.5, 1.0], "a node has a key once");
    assert_eq!(weighed(&[(1, 2), (1, 3), (2, 50), (3, 1)], 3), [0.4, 0.6, 1.0, 1.0]);
}

proptest! {
    #[test]
    fn shares_add_up_to_the_replicas(
        claims in prop::collection::vec((0usize..5, 1u64..2000), 1..40), factor in 1u32..7,
    ) {
        let claims: Vec<Claim> =
            claims.into_iter().map(|(rack, weight)| Claim { rack, weight }).collect();
        let shares = shares(&claims, factor);
        let copies = claims.len().min(factor as usize) as u64;
        let off = shares.iter().sum::<u64>().abs_diff(copies * WHOLE);
        // A unit for everyone who was rounded.
        prop_assert!(off <= 100, "{} units", off);
        prop_assert!(shares.iter().all(|share| *share <= WHOLE));
        for (claim, share) in claims.iter().zip(&shares) {
            let same = claims.iter().zip(&shares).filter(|(other, _)| other.rack == claim.rack);
            for (other, others) in same {
                prop_assert!(claim.weight < other.weight || share >= others);
            }
        }
    }
}
