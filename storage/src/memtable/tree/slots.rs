//! A node's slots: items sorted by key, with their heads.

use arrayvec::ArrayVec;

use super::Bounds;

/// Items of a node. With them a leaf has nearly 1,536 and a branch 2,560 bytes, which are size classes of allocators.
pub(super) const SLOTS: usize = 62;

/// So many items inserted each beside the one before are no accident: more of them will come.
const ORDERED_RUN: u16 = 8;

/// What has a place among others.
pub(super) trait Keyed {
    fn key(&self) -> &[u8];
}

/// Items, ascending.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    /// Of each item's key: the 8 bytes after `skip`.
    heads: ArrayVec<u64, SLOTS>,
    /// What all keys that belong here have in common is left out of heads.
    skip: u32,
    /// Where the last item was inserted, and how many in a row were inserted each beside the one before.
    last_insert: u16,
    run: u16,
    pub(super) items: ArrayVec<T, SLOTS>,
}

impl<T: Keyed> Slots<T> {
    /// Of a node that is everything there is, so that its keys have nothing in common.
    pub(super) fn of<const N: usize>(items: [T; N]) -> Self {
        let heads = items.iter().map(|item| head_of(item.key())).collect();
        Slots { heads, skip: 0, last_insert: 0, run: 0, items: items.into_iter().collect() }
    }

    /// Where a key that lies within the node's bounds is, or would be.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let skip = self.skip as usize;
        let rest = after(key, skip);
        let head = head_of(rest);
        let first = self.heads.partition_point(|other| *other < head);
        let equal = match &self.heads[first..] {
            [one, two, ..] if *one == head && *two == head => {
                self.heads[first..].partition_point(|other| *other == head)
            }
            [one, ..] if *one == head => 1,
            _ => return Err(first),
        };
        let found = self.items[first..first + equal]
            .binary_search_by(|item| after(item.key(), skip).cmp(rest));
        found.map(|index| first + index).map_err(|index| first + index)
    }

    /// How many items lie before any key, be it within the node's bounds or not.
    pub(super) fn rank(&self, key: &[u8]) -> usize {
        match (self.items.first(), self.items.last()) {
            (Some(first), _) if key <= first.key() => 0,
            (_, Some(last)) if key > last.key() => self.items.len(),
            _ => self.search(key).unwrap_or_else(|index| index),
        }
    }

    /// Of a branch: the child that a key within the node's bounds belongs to.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.search(key).unwrap_or_else(|index| index.saturating_sub(1))
    }

    /// Inserts an item; if there is no room, splits off what then follows. Where items come in order, either way, the
    /// split is where they come, and leaves full nodes behind; else it is in the middle.
    pub(super) fn insert_or_split(&mut self, index: usize, item: T) -> Option<Self> {
        if !self.items.is_full() {
            self.insert(index, item);
            return None;
        }
        let in_order = self.run >= ORDERED_RUN && self.is_beside_last(index);
        let at = if in_order { index } else { SLOTS / 2 };
        let mut right = Slots {
            heads: self.heads.drain(at..).collect(),
            skip: self.skip,
            last_insert: 0,
            run: self.run,
            items: self.items.drain(at..).collect(),
        };
        // Descending items stay with those they follow, so that what lies before them takes no room from them.
        let descends = in_order && index == usize::from(self.last_insert);
        let goes_left = if descends { at == 0 } else { index <= at && !self.items.is_full() };
        if goes_left {
            self.insert(index, item);
        } else {
            right.insert(index - at, item);
        }
        Some(right)
    }

    pub(super) fn remove(&mut self, index: usize) -> T {
        self.heads.remove(index);
        self.items.remove(index)
    }

    /// Changes the first item, whose key stays below all others.
    pub(super) fn change_first<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let (head, first) = (self.heads.first_mut()?, self.items.first_mut()?);
        let result = change(first);
        *head = head_of(after(first.key(), self.skip as usize));
        Some(result)
    }

    /// Adapts the heads to new bounds of the node.
    pub(super) fn fit(&mut self, bounds: Bounds<'_>) {
        let skip = bounds.upper.map_or(0, |upper| common_prefix(bounds.lower, upper));
        if skip != self.skip as usize {
            self.skip = skip as u32;
            self.heads = self.items.iter().map(|item| head_of(after(item.key(), skip))).collect();
        }
    }

    fn is_beside_last(&self, index: usize) -> bool {
        let last = usize::from(self.last_insert);
        index == last || index == last + 1
    }

    #[cfg(test)]
    pub(super) fn check(&self, skip: usize) {
        assert_eq!(self.skip as usize, skip);
        assert!(self.items.is_sorted_by(|a, b| a.key() < b.key()));
        let heads = self.items.iter().map(|item| head_of(after(item.key(), skip)));
        assert!(heads.eq(self.heads.iter().copied()));
    }

    fn insert(&mut self, index: usize, item: T) {
        self.heads.insert(index, head_of(after(item.key(), self.skip as usize)));
        self.items.insert(index, item);
        self.run = if self.is_beside_last(index) { self.run.saturating_add(1) } else { 0 };
        self.last_insert = index as u16;
    }
}

/// How many bytes two keys have in common at their start.
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn after(key: &[u8], skip: usize) -> &[u8] {
    key.get(skip..).unwrap_or_default()
}

/// The first 8 bytes as a number of the same order; what is missing counts as zeros, and the bytes decide then.
fn head_of(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(head)
}
