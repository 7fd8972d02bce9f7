//! Walking a snapshot of a tree, either way.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::slots::Slots;
use super::{Child, Node, Tree};
use crate::memtable::record::Record;
use crate::model::entry::Direction;

/// A walk through the records of `lower..upper` (an empty `upper`: to the end). It is at a record until it is done.
///
/// It holds the leaf it is in, and which child it took in each branch above: a step is a step within an array, and at
/// a leaf's end a way up and down again. Both bounds must be the same at each call.
#[derive(Debug)]
pub(in crate::memtable) struct Walk {
    root: Option<Node>,
    path: SmallVec<[u8; 8]>,
    leaf: Option<Arc<Slots<Record>>>,
    /// Those of the leaf's records that are still to come, the current one included.
    rest: Range<usize>,
    direction: Direction,
}

impl Walk {
    pub(in crate::memtable) fn new(
        tree: Tree,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Self {
        let mut path = SmallVec::new();
        let mut walk =
            Walk { root: None, path: SmallVec::new(), leaf: None, rest: 0..0, direction };
        let Some(root) = tree.root else { return walk };
        let leaf = descend(&root, |branch| {
            let index = match direction {
                Direction::Forward => branch.child_of(lower),
                Direction::Reverse if upper.is_empty() => branch.items.len() - 1,
                Direction::Reverse => branch.child_of(upper),
            };
            path.push(index as u8);
            index
        });
        walk.leaf = Some(Arc::clone(leaf));
        (walk.root, walk.path) = (Some(root), path);
        walk.enter(lower, upper);
        walk
    }

    /// Of nothing.
    pub(in crate::memtable) fn none() -> Self {
        Walk::new(Tree::default(), &[], &[], Direction::Forward)
    }

    #[inline]
    pub(in crate::memtable) fn current(&self) -> Option<&Record> {
        let leaf = self.leaf.as_ref()?;
        let mut rest = leaf.items[self.rest.clone()].iter();
        match self.direction {
            Direction::Forward => rest.next(),
            Direction::Reverse => rest.next_back(),
        }
    }

    pub(in crate::memtable) fn advance(&mut self, lower: &[u8], upper: &[u8]) {
        match self.direction {
            Direction::Forward => self.rest.next(),
            Direction::Reverse => self.rest.next_back(),
        };
        if self.rest.is_empty() {
            self.leaf = self.next_leaf();
            self.enter(lower, upper);
        }
    }

    /// Finds which records of the leaf lie within the bounds, or of the leaf after it if none does but more may.
    fn enter(&mut self, lower: &[u8], upper: &[u8]) {
        while let Some(leaf) = &self.leaf {
            let end = if upper.is_empty() { leaf.items.len() } else { leaf.rank(upper) };
            let start = leaf.rank(lower);
            self.rest = start..end.max(start);
            if !self.rest.is_empty() {
                return;
            }
            self.leaf = self.next_leaf();
        }
        // Nothing keeps the snapshot's memory once it is done.
        self.root = None;
    }

    /// The leaf after the current one, unless that one already goes past the bounds.
    fn next_leaf(&mut self) -> Option<Arc<Slots<Record>>> {
        let leaf = self.leaf.as_ref()?;
        let is_last = match self.direction {
            Direction::Forward => self.rest.end < leaf.items.len(),
            Direction::Reverse => self.rest.start > 0,
        };
        if is_last {
            return None;
        }
        step(self.root.as_ref()?, &mut self.path, self.direction).map(Arc::clone)
    }
}

/// Moves a path to the next leaf below a node; `None` if the path is at the last one.
fn step<'a>(
    node: &'a Node,
    path: &mut [u8],
    direction: Direction,
) -> Option<&'a Arc<Slots<Record>>> {
    let (Node::Branch(branch), [index, below @ ..]) = (node, path) else { return None };
    if let Some(leaf) = step(&branch.items[usize::from(*index)].node, below, direction) {
        return Some(leaf);
    }
    let next = match direction {
        Direction::Forward => *index + 1,
        Direction::Reverse => index.checked_sub(1)?,
    };
    let child = branch.items.get(usize::from(next))?;
    *index = next;
    let mut below = below.iter_mut();
    Some(descend(&child.node, |branch| {
        let index = match direction {
            Direction::Forward => 0,
            Direction::Reverse => branch.items.len() - 1,
        };
        if let Some(place) = below.next() {
            *place = index as u8;
        }
        index
    }))
}

/// The leaf that one gets to by taking, in each branch, the child that `choose` says.
fn descend(mut node: &Node, mut choose: impl FnMut(&Slots<Child>) -> usize) -> &Arc<Slots<Record>> {
    loop {
        match node {
            Node::Leaf(leaf) => return leaf,
            Node::Branch(branch) => node = &branch.items[choose(branch)].node,
        }
    }
}
