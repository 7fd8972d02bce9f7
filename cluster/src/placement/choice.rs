//! Which nodes of one data centre become replicas of a range: the rule of `NetworkTopologyStrategy`.
//!
//! Nodes are offered in ring order, and each is taken or passed by at once. With at least as many racks as replicas, only
//! the first node of each rack is taken. With fewer, one node of every rack is, and the difference is made up by the
//! first others that come, whatever their rack. So every rack has a replica, and they come in the order of the ring.
//!
//! ```text
//! 3 replicas, racks r1 r2, nodes in ring order  a(r1) b(r1) c(r1) d(r2)
//! a: r1 is new -> taken    b: may repeat once -> taken    c: r2 must have one -> passed by    d: taken
//! ```

use smallvec::SmallVec;

/// What is still to be chosen for a range in one data centre.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    replicas: usize,
    /// How many may still share a rack with an earlier one.
    rack_repeats: usize,
    racks: SmallVec<[usize; 4]>,
}

impl Choice {
    /// So many replicas, if there are as many nodes; `racks` is how many racks those stand in.
    pub(crate) fn new(factor: u32, nodes: usize, racks: usize) -> Choice {
        let replicas = nodes.min(factor as usize);
        Choice { replicas, rack_repeats: replicas.saturating_sub(racks), racks: SmallVec::new() }
    }

    /// Whether the next node in ring order, of this rack, becomes a replica. One that was taken is not offered again.
    pub(crate) fn takes(&mut self, rack: usize) -> bool {
        if self.replicas == 0 {
            return false;
        }
        if !self.racks.contains(&rack) {
            self.racks.push(rack);
        } else if self.rack_repeats > 0 {
            self.rack_repeats -= 1;
        } else {
            return false;
        }
        self.replicas -= 1;
        true
    }

    /// Whether no node will be taken any more.
    pub(crate) fn is_over(&self) -> bool {
        self.replicas == 0
    }
}
