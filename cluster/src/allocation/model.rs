//! One way to count what nodes own, and what a further token would change about it.
//!
//! Only ranges whose walk comes past the new token change: the one it splits and some before it. Elsewhere it would be
//! seen too late. In such a range the new node takes the place of another one, or nothing happens. How much of the split
//! range goes to whom depends on where in it the token is put; for the ranges before it that makes no difference.
//!
//! ```text
//! 2 replicas, ring  ..., c at 20, a at 30, b at 40, ...;  n at 30 + x, between a and b
//! (30, 30+x]  b and the next -> n b         x for n, x less for b's next
//! (20, 30]    a b            -> a n        10 for n, 10 less for b
//! (10, 20]    c a            -> as it was: the walk ends before it comes to n
//! ```

use smallvec::SmallVec;

use super::parabola::{Parabola, strictness};
use crate::placement::Choice;

/// A place in the list of nodes that are allocated for.
pub(super) type Place = usize;

/// The tokens of one data centre in ring order. A token is counted from the ring's beginning.
pub(super) type Tokens = [(u64, Place)];

/// How far the range of that place reaches back.
pub(super) fn width(tokens: &Tokens, place: usize) -> u64 {
    let before = place.checked_sub(1).unwrap_or(tokens.len() - 1);
    // One token alone owns the whole ring, which is one more than fits.
    if before == place { u64::MAX } else { tokens[place].0.wrapping_sub(tokens[before].0) }
}

/// The units of ownership that so many tokens make.
pub(super) fn units(tokens: u64) -> i64 {
    (tokens >> 32) as i64
}

/// The replicas of one range.
#[derive(Debug, Default, PartialEq)]
struct Range {
    /// How many tokens on from the range's own, and which node: in ring order.
    replicas: SmallVec<[(usize, Place); 3]>,
    /// How many tokens were looked at. More than there are if some replica was not found.
    looked_at: usize,
}

/// Who owns what, by one rule.
#[derive(Debug, PartialEq)]
pub(super) struct Model {
    racks: Vec<usize>,
    /// Nodes of other racks are passed by.
    only_rack: Option<usize>,
    choice: Choice,
    /// What is wanted, per node.
    wanted: Vec<i64>,
    /// How much it counts to miss that, per node.
    strictness: Vec<i128>,
    /// The node that tokens are chosen for.
    new: Place,
    ranges: Vec<Range>,
    owned: Vec<i64>,
    /// What a token in each range would change. Kept from token to token: most of them are far from the last one.
    changes: Vec<Changes>,
}

/// What a token changes.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    of: SmallVec<[Change; 4]>,
    /// How many ranges were looked at: this one and those before it.
    looked_at: usize,
}

/// What it changes for one node: so many units, and so many more per unit that it lies into its range.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    node: Place,
    constant: i64,
    slope: i64,
}

/// Whether the new node becomes a replica, and who is none any more.
type Swap = (bool, Option<Place>);

impl Model {
    /// A rule: the nodes' racks, which rack counts, and how replicas are chosen there. `shares` is what everyone ought
    /// to have in the end.
    pub(super) fn new(
        racks: Vec<usize>,
        only_rack: Option<usize>,
        choice: Choice,
        shares: &[u64],
        tokens: &Tokens,
    ) -> Model {
        let strictness = shares.iter().map(|share| strictness(*share)).collect();
        let (wanted, owned) = (vec![0; racks.len()], vec![0; racks.len()]);
        let (ranges, changes) = (Vec::new(), Vec::new());
        let new = racks.len() - 1;
        let mut model =
            Model { racks, only_rack, choice, wanted, strictness, new, ranges, owned, changes };
        model.ranges = (0..tokens.len()).map(|place| model.range(tokens, place)).collect();
        model.changes = (0..tokens.len()).map(|place| model.changes(tokens, place)).collect();
        model.count(tokens);
        model
    }

    /// Says what is wanted.
    pub(super) fn want(&mut self, shares: &[u64]) {
        self.wanted = shares.iter().map(|share| *share as i64).collect();
    }

    /// Goes on with one token more, which is at that place now.
    pub(super) fn insert(&mut self, tokens: &Tokens, place: usize) {
        let (old, count) = (self.ranges.len(), tokens.len());
        // The range that was split, and those before it whose walk came past the new token.
        let ends = |distance: &usize| {
            let range = &self.ranges[(place + old - distance) % old];
            range.looked_at <= *distance
        };
        let walked = (0..old).find(ends).unwrap_or(old);
        self.ranges.insert(place, Range::default());
        self.changes.insert(place, Changes::default());
        // The split range is two now; the last one has the old token.
        let (last, changed) = ((place + 1) % count, (walked + 1).min(count));
        let back = |distance| (last + count - distance) % count;
        for other in (0..changed).map(back) {
            self.ranges[other] = self.range(tokens, other);
        }
        for other in (0..changed).map(back) {
            self.changes[other] = self.changes(tokens, other);
        }
        // Those behind that look back as far as there.
        for distance in 1..=count - changed {
            let other = (last + distance) % count;
            if self.changes[other].looked_at <= distance {
                break;
            }
            self.changes[other] = self.changes(tokens, other);
        }
        self.count(tokens);
    }

    fn count(&mut self, tokens: &Tokens) {
        self.owned.fill(0);
        for (place, range) in self.ranges.iter().enumerate() {
            let units = units(width(tokens, place));
            for (_, node) in &range.replicas {
                self.owned[*node] += units;
            }
        }
    }

    fn is_left_out(&self, node: Place) -> bool {
        self.only_rack.is_some_and(|rack| self.racks[node] != rack)
    }

    fn range(&self, tokens: &Tokens, place: usize) -> Range {
        let mut choice = self.choice.clone();
        let mut range = Range::default();
        let (before, after) = tokens.split_at(place);
        for (_, node) in after.iter().chain(before) {
            if choice.is_over() {
                return range;
            }
            let is_new = range.replicas.iter().all(|(_, known)| known != node);
            if is_new && !self.is_left_out(*node) && choice.takes(self.racks[*node]) {
                range.replicas.push((range.looked_at, *node));
            }
            range.looked_at += 1;
        }
        if !choice.is_over() {
            range.looked_at += 1;
        }
        range
    }

    /// What changes in a range if the new node comes at that distance. Nodes that were passed by are passed by still:
    /// only the replicas need to be gone through.
    fn change(&self, range: &Range, distance: usize) -> Swap {
        if range.looked_at <= distance || range.replicas.iter().any(|(_, node)| *node == self.new) {
            return (false, None);
        }
        let mut choice = self.choice.clone();
        let before = range.replicas.partition_point(|(at, _)| *at < distance);
        for (_, node) in &range.replicas[..before] {
            choice.takes(self.racks[*node]);
        }
        let is_taken = choice.takes(self.racks[self.new]);
        let mut after = range.replicas[before..].iter().map(|(_, node)| *node);
        (is_taken, after.find(|node| !choice.takes(self.racks[*node])))
    }

    /// What a token in the range of that place changes.
    fn changes(&self, tokens: &Tokens, place: usize) -> Changes {
        let mut changes = Changes::default();
        let count = tokens.len();
        for distance in 0..count {
            changes.looked_at += 1;
            let other = (place + count - distance) % count;
            let range = &self.ranges[other];
            if range.looked_at <= distance {
                break;
            }
            let change = self.change(range, distance);
            let units = units(width(tokens, other));
            if distance == 0 {
                // What lies behind the token comes to it last, all around the ring.
                let behind = self.change(range, count);
                self.add(&mut changes, change, 0, 1);
                self.add(&mut changes, behind, units, -1);
            } else {
                self.add(&mut changes, change, units, 0);
            }
        }
        changes
    }

    fn add(&self, to: &mut Changes, (is_taken, lost): Swap, constant: i64, slope: i64) {
        let taken = is_taken.then_some((self.new, constant, slope));
        let lost = lost.map(|node| (node, -constant, -slope));
        for (node, constant, slope) in taken.into_iter().chain(lost) {
            match to.of.iter_mut().find(|change| change.node == node) {
                Some(change) => {
                    change.constant += constant;
                    change.slope += slope;
                }
                None => to.of.push(Change { node, constant, slope }),
            }
        }
    }

    /// What a token in the range of that place changes about the balance.
    pub(super) fn balance(&self, place: usize) -> Parabola {
        let mut sum = Parabola::default();
        for Change { node, constant, slope } in &self.changes[place].of {
            let off = i128::from(self.owned[*node] - self.wanted[*node]);
            let (constant, slope) = (i128::from(*constant), i128::from(*slope));
            sum = sum.plus(
                Parabola {
                    constant: constant * (2 * off + constant),
                    slope: 2 * slope * (off + constant),
                    square: slope * slope,
                }
                .times(self.strictness[*node]),
            );
        }
        sum
    }

    /// What a parabola tells the changes of.
    #[cfg(test)]
    pub(super) fn imbalance(&self) -> i128 {
        let nodes = self.owned.iter().zip(&self.wanted).zip(&self.strictness);
        nodes.map(|((owned, wanted), strict)| strict * i128::from(owned - wanted).pow(2)).sum()
    }

    /// How much the new node gets by a token so far into that range.
    #[cfg(test)]
    pub(super) fn gain(&self, place: usize, x: i64) -> i64 {
        let mine = self.changes[place].of.iter().filter(|change| change.node == self.new);
        mine.map(|change| change.constant + change.slope * x).sum()
    }
}
