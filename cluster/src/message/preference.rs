//! Which of two connections of one class two nodes keep. Either may open one, at the same time as the other too; both must
//! come to the same, or each would close the one that the other keeps.
//!
//! ```text
//! nodes 1 and 2 open one each, at once
//! 1: has what it opened; 2's comes: 1 is the lesser, so its own stays, and 2 is refused
//! 2: has what it opened; 1's comes: 1 is the lesser, so 1's takes the place of its own
//! ```
//! One that was opened again by the same side is the better one: that side has lost the other, whatever this side knows. And
//! nothing of a node's earlier life stays beside its new one.

use uuid::Uuid;

/// A connection, as far as it matters for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which of the two nodes opened it.
    pub opened_by: Uuid,
    /// The generation of the other node.
    pub generation: u64,
}

/// Whether a new connection between these two nodes takes the place of the one that there is.
pub fn replaces(new: Origin, current: Origin, own: Uuid, other: Uuid) -> bool {
    if new.generation != current.generation {
        return new.generation > current.generation;
    }
    new.opened_by == current.opened_by || new.opened_by == own.min(other)
}

#[cfg(test)]
#[path = "preference_tests.rs"]
mod tests;
