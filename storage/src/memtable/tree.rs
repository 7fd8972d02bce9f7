//! A copy-on-write B+tree of records.
//!
//! Cloning a tree is a snapshot: one reference count. A change goes down one path and copies only nodes that a snapshot
//! shares; a snapshot never sees it.
//!
//! A node keeps, beside its items, their *heads*: 8 bytes of each key, in one array, so that a search reads a few
//! adjacent cache lines and follows a pointer only where heads are equal. Heads begin where keys begin to differ: all
//! keys that belong into a node lie between its two bounds, thus share what the bounds share, and those bytes are
//! skipped. So heads tell apart the rows of a wide partition as well as they do tokens.
//!
//! Invariants: no node is empty, all leaves are equally deep, and `skip` of a node is the length of the prefix common
//! to its bounds (which its parents know). Nodes are not merged: one is removed once it is empty, which is enough for a
//! tree that hardly ever removes.

mod slots;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use self::slots::{Keyed, Slots, common_prefix};
pub(super) use self::walk::Walk;
use super::record::Record;

/// Records, sorted by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    root: Option<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Slots<Record>>),
    Branch(Arc<Slots<Child>>),
}

/// A node below a branch. Its keys are at or above `bound`; that of a branch's first child is empty, and the branch's
/// own lower bound counts.
#[derive(Clone, Debug)]
struct Child {
    bound: Arc<[u8]>,
    node: Node,
}

impl Keyed for Record {
    fn key(&self) -> &[u8] {
        self.key()
    }
}

impl Keyed for Child {
    fn key(&self) -> &[u8] {
        &self.bound
    }
}

/// What all keys of a node lie between: `lower` inclusive, `upper` exclusive (`None`: the end).
#[derive(Clone, Copy)]
struct Bounds<'a> {
    lower: &'a [u8],
    upper: Option<&'a [u8]>,
}

/// The side on which a node got the room of a neighbour.
#[derive(Clone, Copy)]
enum Side {
    Lower,
    Upper,
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.search(key).ok().map(|index| &leaf.items[index]),
                Node::Branch(branch) => node = &branch.items[branch.child_of(key)].node,
            }
        }
    }

    /// The last record before a key.
    pub(super) fn last_before(&self, key: &[u8]) -> Option<&Record> {
        self.root.as_ref()?.last_before(key)
    }

    /// The first record at or after a key.
    pub(super) fn first_from(&self, key: &[u8]) -> Option<&Record> {
        self.root.as_ref()?.first_from(key)
    }

    /// Gives `update` the record of a key to change, or has it make the record if there is none. What it returns when
    /// there is one is not looked at. It must not change the key.
    pub(super) fn upsert(
        &mut self,
        key: &[u8],
        update: impl FnOnce(Option<&mut Record>) -> Option<Record>,
    ) {
        let Some(root) = &mut self.root else {
            self.root = update(None).map(|record| Node::Leaf(Arc::new(Slots::of([record]))));
            return;
        };
        let Some(right) = root.upsert(key, Bounds { lower: &[], upper: None }, update) else {
            return;
        };
        let left = Child { bound: Arc::new([]), node: root.clone() };
        *root = Node::Branch(Arc::new(Slots::of([left, right])));
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Record> {
        self.get(key)?;
        let root = self.root.as_mut()?;
        let removed = root.remove(key, Bounds { lower: &[], upper: None });
        while let Node::Branch(branch) = root
            && let [only] = branch.items.as_slice()
        {
            *root = only.node.clone();
        }
        if root.is_empty() {
            self.root = None;
        }
        removed
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.items.is_empty(),
            Node::Branch(branch) => branch.items.is_empty(),
        }
    }

    fn first(&self) -> Option<&Record> {
        match self {
            Node::Leaf(leaf) => leaf.items.first(),
            Node::Branch(branch) => branch.items.first()?.node.first(),
        }
    }

    fn last(&self) -> Option<&Record> {
        match self {
            Node::Leaf(leaf) => leaf.items.last(),
            Node::Branch(branch) => branch.items.last()?.node.last(),
        }
    }

    fn last_before(&self, key: &[u8]) -> Option<&Record> {
        match self {
            Node::Leaf(leaf) => leaf.items[..leaf.rank(key)].last(),
            Node::Branch(branch) => {
                let index = branch.child_of(key);
                let before = || branch.items[..index].last()?.node.last();
                branch.items[index].node.last_before(key).or_else(before)
            }
        }
    }

    fn first_from(&self, key: &[u8]) -> Option<&Record> {
        match self {
            Node::Leaf(leaf) => leaf.items.get(leaf.rank(key)),
            Node::Branch(branch) => {
                let index = branch.child_of(key);
                let after = || branch.items.get(index + 1)?.node.first();
                branch.items[index].node.first_from(key).or_else(after)
            }
        }
    }

    /// See [`Tree::upsert`]; returns what had to be split off and now follows this node.
    fn upsert(
        &mut self,
        key: &[u8],
        bounds: Bounds<'_>,
        update: impl FnOnce(Option<&mut Record>) -> Option<Record>,
    ) -> Option<Child> {
        match self {
            Node::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                match leaf.search(key) {
                    Ok(index) => update(Some(&mut leaf.items[index])).and(None),
                    Err(index) => {
                        let right = leaf.insert_or_split(index, update(None)?)?;
                        let (last, first) = (leaf.items.last()?.key(), right.items.first()?.key());
                        let bound = first[..common_prefix(last, first) + 1].into();
                        Some(split_off(leaf, right, bound, bounds, Node::Leaf))
                    }
                }
            }
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                let index = branch.child_of(key);
                let (node, within) = child_within(branch, index, bounds)?;
                let child = node.upsert(key, within, update)?;
                let mut right = branch.insert_or_split(index + 1, child)?;
                let bound = take_first_bound(&mut right)?;
                Some(split_off(branch, right, bound, bounds, Node::Branch))
            }
        }
    }

    fn remove(&mut self, key: &[u8], bounds: Bounds<'_>) -> Option<Record> {
        let branch = match self {
            Node::Leaf(leaf) => {
                let index = leaf.search(key).ok()?;
                return Some(Arc::make_mut(leaf).remove(index));
            }
            Node::Branch(branch) => Arc::make_mut(branch),
        };
        let index = branch.child_of(key);
        let (node, within) = child_within(branch, index, bounds)?;
        let removed = node.remove(key, within)?;
        if node.is_empty() {
            branch.remove(index);
            take_first_bound(branch);
            // Keys that would have gone there go to a neighbour from now on.
            let (neighbour, side) = match index.checked_sub(1) {
                Some(before) => (before, Side::Upper),
                None => (index, Side::Lower),
            };
            if let Some((node, within)) = child_within(branch, neighbour, bounds) {
                node.widen(within, side);
            }
        }
        Some(removed)
    }

    /// Adapts a node, and those below it, to bounds that became wider on one side.
    fn widen(&mut self, bounds: Bounds<'_>, side: Side) {
        match self {
            Node::Leaf(leaf) => Arc::make_mut(leaf).fit(bounds),
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                branch.fit(bounds);
                let index = match side {
                    Side::Lower => 0,
                    Side::Upper => branch.items.len() - 1,
                };
                if let Some((node, within)) = child_within(branch, index, bounds) {
                    node.widen(within, side);
                }
            }
        }
    }
}

/// Makes a child of what was split off a node at `bound`.
fn split_off<T: Keyed>(
    left: &mut Slots<T>,
    mut right: Slots<T>,
    bound: Arc<[u8]>,
    bounds: Bounds<'_>,
    node: impl FnOnce(Arc<Slots<T>>) -> Node,
) -> Child {
    left.fit(Bounds { upper: Some(&bound), ..bounds });
    right.fit(Bounds { lower: &bound, ..bounds });
    Child { bound, node: node(Arc::new(right)) }
}

/// Makes the first child's bound empty, as that of every branch is; returns what it was.
fn take_first_bound(branch: &mut Slots<Child>) -> Option<Arc<[u8]>> {
    branch.change_first(|child| std::mem::replace(&mut child.bound, Arc::new([])))
}

/// A child of a branch, and what its keys lie between; `None` if there is no such child.
fn child_within<'a>(
    branch: &'a mut Slots<Child>,
    index: usize,
    bounds: Bounds<'a>,
) -> Option<(&'a mut Node, Bounds<'a>)> {
    let (child, after) = branch.items.get_mut(index..)?.split_first_mut()?;
    let lower = if index == 0 { bounds.lower } else { &child.bound };
    let upper = after.first().map(|next| &*next.bound).or(bounds.upper);
    Some((&mut child.node, Bounds { lower, upper }))
}
