//! Walking a memtable, shard by shard, in portions.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use super::Memtable;
use super::key::{Comparand, Key, KeyBound, Probe};
use super::shard::{Marker, Trees, Value};
use crate::StorageError;
use crate::model::Deletion;
use crate::model::entry::{Content, Cursor, Direction, Entry, RowRef};
use crate::model::position;

/// Entries taken from the trees at once: few at first, since most walks are short.
const FIRST_PORTION: usize = 4;
const GREATEST_PORTION: usize = 128;

/// A walk through part of a memtable.
#[derive(Debug)]
pub struct MemtableCursor {
    memtable: Arc<Memtable>,
    lower: Box<[u8]>,
    upper: Box<[u8]>,
    direction: Direction,
    /// Shards still to be looked at.
    shards: std::ops::Range<usize>,
    trees: Trees,
    /// The current entry is the front one, once `started`.
    portion: VecDeque<(Key, Item)>,
    started: bool,
    /// Whether the current shard has no more than `portion`.
    drained: bool,
    portion_len: usize,
    open_deletion: Deletion,
    partition_deletion: Deletion,
}

#[derive(Debug)]
enum Item {
    Value(Value),
    Marker(Marker),
}

impl MemtableCursor {
    pub(super) fn new(
        memtable: Arc<Memtable>,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Self {
        let empty = !upper.is_empty() && lower >= upper;
        let first = if lower.len() < 8 { 0 } else { memtable.index_of(lower) };
        let last =
            if upper.len() < 8 { memtable.shards.len() - 1 } else { memtable.index_of(upper) };
        let mut cursor = MemtableCursor {
            memtable,
            lower: lower.into(),
            upper: upper.into(),
            direction,
            shards: first..last + 1,
            trees: Trees::default(),
            portion: VecDeque::new(),
            started: false,
            drained: true,
            portion_len: FIRST_PORTION,
            open_deletion: Deletion::NONE,
            partition_deletion: Deletion::NONE,
        };
        if empty {
            cursor.shards = 0..0;
        } else if cursor.next_shard() {
            cursor.look_at_start();
        }
        cursor
    }

    /// Finds what is in force where the walk starts.
    fn look_at_start(&mut self) {
        let start = match self.direction {
            Direction::Forward => &self.lower,
            Direction::Reverse => &self.upper,
        };
        if start.is_empty() {
            return;
        }
        self.open_deletion = self.trees.range_deletion_before(start);
        if let Some((key, deletion)) = self.trees.partition_deletion_before(start) {
            let header = [key.partition(), &[position::HEADER]].concat();
            if header[..] < self.lower[..] {
                self.partition_deletion = deletion;
            }
        }
    }

    fn next_shard(&mut self) -> bool {
        let next = match self.direction {
            Direction::Forward => self.shards.next(),
            Direction::Reverse => self.shards.next_back(),
        };
        let Some(index) = next else { return false };
        self.trees = self.memtable.shards[index].lock().trees.clone();
        self.drained = false;
        true
    }

    /// Takes the next portion out of the current shard's trees, after `last`.
    fn fill(&mut self, last: Option<Key>) {
        let last_probe = last.as_ref().map(|key| Probe::new(key.bytes()));
        let (lower, upper) = (Probe::new(&self.lower), Probe::new(&self.upper));
        let mut from: KeyBound<'_> = Bound::Included(&lower);
        let mut to: KeyBound<'_> = match self.upper.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(&upper),
        };
        match (self.direction, &last_probe) {
            (Direction::Forward, Some(last)) => from = Bound::Excluded(last),
            (Direction::Reverse, Some(last)) => to = Bound::Excluded(last),
            _ => {}
        }
        let entries = self.trees.entries.range::<_, dyn Comparand + '_>((from, to));
        let entries = entries.map(|(key, value)| (key, Item::Value(value.clone())));
        if self.trees.markers.is_empty() {
            match self.direction {
                Direction::Forward => take(entries, &mut self.portion, self.portion_len),
                Direction::Reverse => take(entries.rev(), &mut self.portion, self.portion_len),
            }
        } else {
            let markers = self.trees.markers.range::<_, dyn Comparand + '_>((from, to));
            let markers = markers.map(|(key, marker)| (key, Item::Marker(*marker)));
            match self.direction {
                Direction::Forward => {
                    let merged = merge(entries, markers, |a, b| a < b);
                    take(merged, &mut self.portion, self.portion_len);
                }
                Direction::Reverse => {
                    let merged = merge(entries.rev(), markers.rev(), |a, b| a > b);
                    take(merged, &mut self.portion, self.portion_len);
                }
            }
        }
        self.drained = self.portion.len() < self.portion_len;
        self.portion_len = (self.portion_len * 2).min(GREATEST_PORTION);
    }
}

impl Cursor for MemtableCursor {
    fn advance(&mut self) -> Result<Option<Entry<'_>>, StorageError> {
        let mut last = if self.started { self.portion.pop_front() } else { None };
        self.started = true;
        while self.portion.is_empty() {
            let last = last.take().map(|(key, _)| key);
            if !self.drained {
                self.fill(last);
            } else if !self.next_shard() {
                self.trees = Trees::default();
                break;
            }
        }
        Ok(self.current())
    }

    fn current(&self) -> Option<Entry<'_>> {
        if !self.started {
            return None;
        }
        let (key, item) = self.portion.front()?;
        let content = match item {
            Item::Value(Value::Partition(deletion)) => Content::Partition(*deletion),
            Item::Value(Value::Row(row)) => Content::Row(RowRef { bytes: row, base: 0 }),
            Item::Marker(Marker { before, after }) => {
                Content::Marker { before: *before, after: *after }
            }
        };
        Some(Entry { key: key.bytes(), partition_len: key.partition_len(), content })
    }

    fn open_deletion(&self) -> Deletion {
        self.open_deletion
    }

    fn partition_deletion(&self) -> Deletion {
        self.partition_deletion
    }
}

fn take<'a>(
    items: impl Iterator<Item = (&'a Key, Item)>,
    portion: &mut VecDeque<(Key, Item)>,
    len: usize,
) {
    portion.extend(items.take(len).map(|(key, item)| (key.clone(), item)));
}

/// Two walks as one; their keys differ.
fn merge<'a>(
    a: impl Iterator<Item = (&'a Key, Item)>,
    b: impl Iterator<Item = (&'a Key, Item)>,
    first: impl Fn(&Key, &Key) -> bool,
) -> impl Iterator<Item = (&'a Key, Item)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some((left, _)), Some((right, _))) if first(left, right) => a.next(),
        (_, Some(_)) => b.next(),
        _ => a.next(),
    })
}
