//! What a token changes about the balance, as a function of how far into its range it lies.
//!
//! Nodes' distances from what they ought to have are squared and added up, so it is a parabola: its lowest point is where
//! the token ought to be.
//!
//! ```text
//! a has 4 too many, the new node wants 6: a token x into a's range makes (4-x)^2 + (x-6)^2, 16 + 36 before
//! difference  -20 x + 2 x^2, lowest at x = 5
//! ```
//!
//! Numbers fit: a node has or wants at most 2^32 units, all changes of a token together are at most 2^33, [`strictness`]
//! is at most 2^52 and what it is multiplied by small.

/// `constant + slope x + square x^2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parabola {
    pub(super) constant: i128,
    pub(super) slope: i128,
    pub(super) square: i128,
}

impl Parabola {
    pub(super) fn plus(self, other: Parabola) -> Parabola {
        Parabola {
            constant: self.constant + other.constant,
            slope: self.slope + other.slope,
            square: self.square + other.square,
        }
    }

    pub(super) fn times(self, factor: i128) -> Parabola {
        Parabola {
            constant: self.constant * factor,
            slope: self.slope * factor,
            square: self.square * factor,
        }
    }

    pub(super) fn at(&self, x: i64) -> i128 {
        let x = i128::from(x);
        self.constant + x * (self.slope + x * self.square)
    }

    /// Where it is lowest, from 0 to `most`. The squares here are never negative.
    pub(super) fn lowest(&self, most: i64) -> i64 {
        let middle = match self.square {
            0 => i128::from(most) / 2,
            square => -self.slope / (2 * square),
        };
        middle.clamp(0, i128::from(most)) as i64
    }
}

/// How much a squared unit too much or too little counts for someone who ought to have so many: distances are relative,
/// a heavy node's are no more than a light one's. In 2^-84; at least 2^16 units are taken as the share.
pub(super) fn strictness(share: u64) -> i128 {
    i128::from((1i64 << 42) / (share as i64).max(1 << 16)).pow(2)
}
