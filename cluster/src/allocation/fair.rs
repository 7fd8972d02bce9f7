//! How much of the ring each node of a data centre ought to have replicas of.
//!
//! By weight, as far as the rules of placement allow: a node has a key once; a rack has one replica of a key where there
//! are as many racks as replicas, and at least one where there are fewer.
//!
//! ```text
//! 3 replicas; r1: a b, r2: c, r3: d; all of weight 1    a 1/2, b 1/2, c 1, d 1
//! 3 replicas; r1: a, r2: b c d e                        a 1, the others 1/2 each
//! ```

use std::collections::BTreeMap;

/// The whole ring, in the units that allocation counts in. Integers: every machine must come to the same tokens.
pub(super) const WHOLE: u64 = 1 << 32;

/// A node and how much it ought to hold, beside the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) rack: usize,
    pub(super) weight: u64,
}

/// What each of them ought to have, of [`WHOLE`], for so many replicas of every key.
pub(super) fn shares(claims: &[Claim], factor: u32) -> Vec<u64> {
    let mut racks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, claim) in claims.iter().enumerate() {
        racks.entry(claim.rack).or_default().push(place);
    }
    let copies = claims.len().min(factor as usize);
    let bounds = racks.values().map(|members| Bounds {
        weight: members.iter().map(|place| claims[*place].weight).sum(),
        least: if racks.len() <= copies { WHOLE } else { 0 },
        most: if racks.len() < copies { members.len() as u64 * WHOLE } else { WHOLE },
    });
    let of_racks = divide(WHOLE * copies as u64, &bounds.collect::<Vec<_>>());
    let mut shares = vec![0; claims.len()];
    for (members, of_rack) in racks.values().zip(of_racks) {
        let bound = |place: &usize| Bounds { weight: claims[*place].weight, least: 0, most: WHOLE };
        let bounds: Vec<Bounds> = members.iter().map(bound).collect();
        for (place, share) in members.iter().zip(divide(of_rack, &bounds)) {
            shares[*place] = share;
        }
    }
    shares
}

/// Someone who gets a part by weight, but within bounds.
struct Bounds {
    weight: u64,
    least: u64,
    most: u64,
}

impl Bounds {
    /// The part at a level of so many 2^-32 units per weight.
    fn at(&self, level: u64) -> u64 {
        let part = (u128::from(self.weight) * u128::from(level)) >> 32;
        part.clamp(u128::from(self.least), u128::from(self.most)) as u64
    }
}

/// Divides: the parts add up to `total`, up to rounding, where the bounds allow that.
fn divide(total: u64, among: &[Bounds]) -> Vec<u64> {
    let sum = |level| among.iter().map(|bounds| bounds.at(level)).sum::<u64>();
    // The parts grow with the level: it is found by halving.
    let (mut below, mut enough) = (0, u64::MAX);
    while below + 1 < enough {
        let middle = below + (enough - below) / 2;
        if sum(middle) < total { below = middle } else { enough = middle }
    }
    among.iter().map(|bounds| bounds.at(enough)).collect()
}
