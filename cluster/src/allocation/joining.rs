//! A new node among those of its data centre: its tokens one after the other.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::fair::{self, Claim, WHOLE};
use super::free::Free;
use super::model::{Model, Place, units, width};
use super::parabola::{Parabola, strictness};
use crate::placement::Choice;
use crate::random::mix;
use crate::ring::Weight;

/// That nodes have replicas of as much as they ought to is what counts most.
const REPLICAS: i128 = 16;

/// That they are the first in their rack for as much as they ought to. It is what is left to share once there are as many
/// racks as replicas: a rack that is even by itself stays so when other racks come.
const FIRST_IN_RACK: i128 = 4;

/// That ranges are equally wide. A node that has too much because it comes after a wide range can't be helped by one
/// token, so it would never be.
const WIDTHS: i128 = 1;

/// A new node and those that are there.
#[derive(Debug)]
pub(super) struct Joining {
    /// By node; the last one is new.
    pub(super) members: Vec<(Rack, Weight)>,
    /// Replicas of every key that are assumed.
    pub(super) factor: u32,
    /// Those of the data centre, in order.
    pub(super) tokens: Vec<(u64, Place)>,
    /// Tokens that can be had.
    pub(super) free: Free,
}

/// The number of a rack.
pub(super) type Rack = usize;

impl Joining {
    /// The new node's tokens.
    pub(super) fn run(mut self, seed: u64) -> Vec<u64> {
        let count = self.weight().tokens() as u64;
        if self.tokens.is_empty() {
            return self.free.evenly_spaced(count as usize, seed);
        }
        let mut models = self.models();
        let tokens = (1..=count).map(|number| {
            for (model, shares) in models.iter_mut().zip(self.shares(number)) {
                model.want(&shares);
            }
            let position = self.next(&models, mix(seed ^ number));
            let at = self.tokens.partition_point(|(other, _)| *other < position);
            self.tokens.insert(at, (position, self.new_node()));
            for model in &mut models {
                model.insert(&self.tokens, at);
            }
            position
        });
        tokens.collect()
    }

    fn new_node(&self) -> Place {
        self.members.len() - 1
    }

    fn rack(&self) -> Rack {
        self.members[self.new_node()].0
    }

    fn weight(&self) -> Weight {
        self.members[self.new_node()].1
    }

    /// All replicas, and the first ones within the new node's rack.
    pub(super) fn models(&self) -> [Model; 2] {
        let numbers: Vec<Rack> = self.members.iter().map(|(rack, _)| *rack).collect();
        let racks = numbers.iter().collect::<BTreeSet<_>>().len();
        let every = Choice::new(self.factor, numbers.len(), racks);
        let [all, in_rack] = self.shares(self.weight().tokens() as u64);
        [
            Model::new(numbers.clone(), None, every, &all, &self.tokens),
            Model::new(numbers, Some(self.rack()), Choice::new(1, 1, 1), &in_rack, &self.tokens),
        ]
    }

    /// What every node ought to have when the new one has so many of its tokens, by each model.
    fn shares(&self, tokens: u64) -> [Vec<u64>; 2] {
        let all = self.weight().tokens() as u64;
        let claim = |(place, (rack, weight)): (Place, &(Rack, Weight))| {
            let part = if place == self.new_node() { tokens } else { all };
            Claim { rack: *rack, weight: u64::from(weight.get()) * part }
        };
        let claims: Vec<Claim> = self.members.iter().enumerate().map(claim).collect();
        let is_here = |claim: &Claim| claim.rack == self.rack();
        let here: Vec<Claim> = claims.iter().copied().filter(is_here).collect();
        let mut of_rack = fair::shares(&here, 1).into_iter();
        let in_rack = claims.iter().map(|claim| match is_here(claim) {
            true => of_rack.next().unwrap_or(0),
            false => 0,
        });
        [fair::shares(&claims, self.factor), in_rack.collect()]
    }

    /// Where a token helps most.
    fn next(&mut self, [all, in_rack]: &[Model; 2], random: u64) -> u64 {
        let everyone: u32 = self.members.iter().map(|(_, weight)| weight.get()).sum();
        let part = WHOLE * u64::from(self.weight().get()) / u64::from(everyone);
        let strictness = strictness(part);
        let candidates = (0..self.tokens.len()).map(|place| {
            let width = width(&self.tokens, place);
            let most = units(width);
            // Two ranges of x and w - x, for one of w.
            let widths = Parabola { constant: 0, slope: -2 * i128::from(most), square: 2 };
            let balance = all
                .balance(place)
                .times(REPLICAS)
                .plus(in_rack.balance(place).times(FIRST_IN_RACK))
                .plus(widths.times(WIDTHS * strictness));
            let x = balance.lowest(most);
            (balance.at(x), Reverse(width), place, x)
        });
        let best = candidates.min().expect("the data centre has tokens");
        let (_, Reverse(width), place, x) = best;
        let jitter = random % (width >> 10).max(1);
        let offset = ((x as u64) << 32).saturating_add(jitter).clamp(1, (width - 1).max(1));
        self.free.take(self.tokens[place].0.wrapping_sub(width).wrapping_add(offset))
    }
}
