//! How much a node holds beside others.

/// How many tokens a node of weight 1 owns.
pub const TOKENS_PER_NODE: usize = 16;

/// A node's share of its data centre beside the other nodes' there: one of weight 2 is given twice as many tokens, and
/// holds twice as much, as one of weight 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

/// Not a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weight {0} is not a whole number from 1 to {max}: give the smallest node 1", max = Weight::MAX)]
pub struct WeightError(pub u32);

impl Weight {
    /// What a node has if nothing is said.
    pub const ONE: Weight = Weight(1);
    /// Nodes that differ by more than that are no ring: requests go to the big one alone.
    pub const MAX: u32 = 64;

    /// From a setting, or from the wire.
    ///
    /// # Errors
    /// 0, or more than [`MAX`](Self::MAX).
    pub fn new(weight: u32) -> Result<Weight, WeightError> {
        if (1..=Weight::MAX).contains(&weight) {
            Ok(Weight(weight))
        } else {
            Err(WeightError(weight))
        }
    }

    /// The number, from 1 to [`MAX`](Self::MAX).
    pub fn get(self) -> u32 {
        self.0
    }

    /// How many tokens the node gets.
    pub fn tokens(self) -> usize {
        TOKENS_PER_NODE * self.0 as usize
    }
}

impl Default for Weight {
    fn default() -> Weight {
        Weight::ONE
    }
}
