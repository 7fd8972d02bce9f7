//! One shard: the two trees, and how a mutation changes them.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;
use smallvec::SmallVec;

use super::MemtableRow;
use super::key::{Comparand, Key, KeyBound, Probe};
use crate::StorageError;
use crate::model::entry::{RowBuf, RowRef};
use crate::model::merge::merge_rows;
use crate::model::mutation::{Mutation, Update};
use crate::model::position;
use crate::model::row::RowBuilder;
use crate::model::{Deletion, Timestamp};

/// What an entry costs beside its bytes: two reference-counted headers and its part of a tree node.
const ENTRY_BYTES: usize = 112;

/// A change of the range deletion in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) before: Deletion,
    pub(super) after: Deletion,
}

/// What an entry holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Partition(Deletion),
    Row(Arc<[u8]>),
}

/// The trees of a shard; cloning them is a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Trees {
    pub(super) entries: OrdMap<Key, Value>,
    pub(super) markers: OrdMap<Key, Marker>,
    /// How many entries are partition deletions: mostly there is none to look for.
    partition_deletions: usize,
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) trees: Trees,
    pub(super) min_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
    /// The last row was there already: the next one probably is too, and is looked for before its key is made.
    overwrites: bool,
}

impl Default for Shard {
    fn default() -> Self {
        Shard {
            trees: Trees::default(),
            min_timestamp: Timestamp::MAX,
            max_timestamp: Timestamp::MIN,
            overwrites: false,
        }
    }
}

/// The timestamps in a mutation.
#[derive(Clone, Copy)]
pub(super) struct TimeSpan {
    least: Timestamp,
    greatest: Timestamp,
}

impl TimeSpan {
    /// Looks at everything, so that what `apply` is given is known to be sound, before it is logged.
    pub(super) fn of(mutation: &Mutation) -> Result<Self, StorageError> {
        if mutation.partition.len() < 8 {
            return Err(StorageError::Malformed("its partition key has no token"));
        }
        let (mut least, mut greatest) = (Timestamp::MAX, Timestamp::MIN);
        for update in &mutation.updates {
            let (first, last) = match update {
                Update::Row { position, .. } if !is_row(position) => {
                    return Err(StorageError::Malformed("a row is where no row can be"));
                }
                Update::Row { row, .. } if row.is_empty() => continue,
                Update::Row { row, .. } => row.as_row().validate()?,
                Update::Range { start, end, .. } if !(is_bound(start) && is_bound(end)) => {
                    return Err(StorageError::Malformed("a range ends where no bound can be"));
                }
                Update::Partition(deletion) | Update::Range { deletion, .. } => {
                    (deletion.timestamp, deletion.timestamp)
                }
            };
            least = least.min(first);
            greatest = greatest.max(last);
        }
        Ok(TimeSpan { least, greatest })
    }
}

fn is_row(position: &[u8]) -> bool {
    matches!(
        position,
        [position::STATIC | position::ROW] | [position::COMPONENT, .., position::ROW]
    )
}

fn is_bound(position: &[u8]) -> bool {
    matches!(
        position,
        [position::BEFORE | position::AFTER]
            | [position::COMPONENT, .., position::BEFORE | position::AFTER]
    )
}

/// A key's bytes, mostly on the stack.
type KeyBytes = SmallVec<[u8; 96]>;

impl Shard {
    /// Applies a mutation of the given [`TimeSpan`]; says by how many bytes the shard grew.
    pub(super) fn apply(&mut self, mutation: &Mutation, span: TimeSpan) -> isize {
        self.min_timestamp = self.min_timestamp.min(span.least);
        self.max_timestamp = self.max_timestamp.max(span.greatest);
        let partition = &mutation.partition;
        let mut grown = 0;
        for update in &mutation.updates {
            grown += match update {
                Update::Partition(deletion) => self.delete_partition(partition, *deletion),
                Update::Row { position, row } => self.put_row(partition, position, row),
                Update::Range { start, end, deletion } => {
                    let (start, end) = (join(partition, start), join(partition, end));
                    self.delete_range(partition.len(), &start, &end, *deletion)
                }
            };
        }
        grown
    }

    pub(super) fn row(&self, key: &[u8], partition_len: usize) -> MemtableRow {
        let partition = self.partition_deletion(&key[..partition_len]);
        let row = match self.trees.entries.get(&Probe::new(key) as &dyn Comparand) {
            Some(Value::Row(row)) => Some(Arc::clone(row)),
            _ => None,
        };
        MemtableRow { row, deletion: partition.max(self.trees.range_deletion_before(key)) }
    }

    pub(super) fn partition_deletion(&self, partition: &[u8]) -> Deletion {
        self.trees.partition_deletion(partition)
    }

    pub(super) fn contains(&self, partition: &[u8]) -> bool {
        let probe = Probe::new(partition);
        let from: (KeyBound<'_>, KeyBound<'_>) = (Bound::Included(&probe), Bound::Unbounded);
        let starts = |key: &Key| key.bytes().starts_with(partition);
        self.trees
            .entries
            .range::<_, dyn Comparand + '_>(from)
            .next()
            .is_some_and(|(key, _)| starts(key))
            || self
                .trees
                .markers
                .range::<_, dyn Comparand + '_>(from)
                .next()
                .is_some_and(|(key, _)| starts(key))
    }

    fn put_row(&mut self, partition: &[u8], position: &[u8], row: &RowBuf) -> isize {
        if row.is_empty() {
            return 0;
        }
        let key = join(partition, position);
        if self.overwrites
            && let Some(value) = self.trees.entries.get_mut(&Probe::new(&key) as &dyn Comparand)
        {
            return merge_into(value, row);
        }
        let key = Key::new(&key, partition.len());
        let value = Value::Row(row.0.as_slice().into());
        let bytes = entry_bytes(&key);
        // What was there comes back, and goes in again merged.
        let Some(old) = self.trees.entries.insert(key.clone(), value) else {
            self.overwrites = false;
            return bytes + row.0.len() as isize;
        };
        self.overwrites = true;
        match self.trees.entries.get_mut(&key as &dyn Comparand) {
            Some(value) => {
                *value = old;
                merge_into(value, row)
            }
            None => 0,
        }
    }

    fn delete_partition(&mut self, partition: &[u8], deletion: Deletion) -> isize {
        if deletion.is_none() {
            return 0;
        }
        let key = Key::new(&join(partition, &[position::HEADER]), partition.len());
        let grown = entry_bytes(&key);
        let stronger = deletion.max(self.partition_deletion(partition));
        if self.trees.entries.insert(key, Value::Partition(stronger)).is_some() {
            return 0;
        }
        self.trees.partition_deletions += 1;
        grown
    }

    /// Raises the deletion in force between two bounds to at least `deletion`, touching only the markers in between.
    fn delete_range(
        &mut self,
        partition_len: usize,
        start: &[u8],
        end: &[u8],
        deletion: Deletion,
    ) -> isize {
        if start >= end || deletion.is_none() {
            return 0;
        }
        let mut in_force = self.trees.range_deletion_before(start);
        let mut changes: SmallVec<[(Key, Marker); 4]> = SmallVec::new();
        let mut add = |key: Key, before, after| changes.push((key, Marker { before, after }));
        let (first, last) = (Probe::new(start), Probe::new(end));
        let range: (KeyBound<'_>, KeyBound<'_>) = (Bound::Included(&first), Bound::Included(&last));
        let mut overlapped = self.trees.markers.range::<_, dyn Comparand + '_>(range).peekable();
        let at_start = overlapped.next_if(|(key, _)| key.bytes() == start);
        let after = at_start.map_or(in_force, |(_, marker)| marker.after);
        add(Key::new(start, partition_len), in_force, after.max(deletion));
        in_force = after;
        while let Some((key, marker)) = overlapped.next_if(|(key, _)| key.bytes() != end) {
            add(key.clone(), marker.before.max(deletion), marker.after.max(deletion));
            in_force = marker.after;
        }
        let after = overlapped.next().map_or(in_force, |(_, marker)| marker.after);
        add(Key::new(end, partition_len), in_force.max(deletion), after);

        let mut grown = 0;
        for (key, marker) in changes {
            let bytes = entry_bytes(&key);
            if marker.before == marker.after {
                grown -= self.trees.markers.remove(&key as &dyn Comparand).map_or(0, |_| bytes);
            } else {
                grown += self.trees.markers.insert(key, marker).map_or(bytes, |_| 0);
            }
        }
        grown
    }
}

/// Merges a row into the one that is there; says by how many bytes that grew.
fn merge_into(value: &mut Value, row: &RowBuf) -> isize {
    let Value::Row(old) = value else { return 0 };
    let before = old.len() as isize;
    let mut merged = RowBuilder::with_capacity(old.len() + row.0.len());
    // Both were looked at when they came, so merging can't fail; if it did, the new one would count.
    let merged = match merge_rows(&[RowRef { bytes: old, base: 0 }, row.as_row()], &mut merged) {
        Ok(()) => merged.finish().0,
        Err(_) => row.0.clone(),
    };
    match Arc::get_mut(old) {
        // Nobody reads it, and it has the right size: the common overwrite allocates nothing that stays.
        Some(place) if place.len() == merged.len() => place.copy_from_slice(&merged),
        _ => *old = merged.into(),
    }
    old.len() as isize - before
}

/// What an entry takes beside its value's own bytes.
fn entry_bytes(key: &Key) -> isize {
    (key.bytes().len() + ENTRY_BYTES) as isize
}

impl Trees {
    /// The range deletion in force just before a key, within the key's partition.
    pub(super) fn range_deletion_before(&self, key: &[u8]) -> Deletion {
        if self.markers.is_empty() {
            return Deletion::NONE;
        }
        let probe = Probe::new(key);
        let to: (KeyBound<'_>, KeyBound<'_>) = (Bound::Unbounded, Bound::Excluded(&probe));
        match self.markers.range::<_, dyn Comparand + '_>(to).next_back() {
            Some((last, marker)) if key.starts_with(last.partition()) => marker.after,
            _ => Deletion::NONE,
        }
    }

    pub(super) fn partition_deletion(&self, partition: &[u8]) -> Deletion {
        if self.partition_deletions == 0 {
            return Deletion::NONE;
        }
        let key = join(partition, &[position::HEADER]);
        match self.entries.get(&Probe::new(&key) as &dyn Comparand) {
            Some(Value::Partition(deletion)) => *deletion,
            _ => Deletion::NONE,
        }
    }

    /// The deletion of the partition that a bound lies in, if its header comes before that bound.
    pub(super) fn partition_deletion_before(&self, bound: &[u8]) -> Option<(Key, Deletion)> {
        if self.partition_deletions == 0 {
            return None;
        }
        let probe = Probe::new(bound);
        let to: (KeyBound<'_>, KeyBound<'_>) = (Bound::Unbounded, Bound::Excluded(&probe));
        // Whatever lies between the header and the bound is of that partition too.
        let (last, _) = self.entries.range::<_, dyn Comparand + '_>(to).next_back()?;
        let partition = last.partition();
        if !bound.starts_with(partition) {
            return None;
        }
        Some((last.clone(), self.partition_deletion(partition)))
    }
}

fn join(partition: &[u8], position: &[u8]) -> KeyBytes {
    let mut key = KeyBytes::with_capacity(partition.len() + position.len());
    key.extend_from_slice(partition);
    key.extend_from_slice(position);
    key
}
