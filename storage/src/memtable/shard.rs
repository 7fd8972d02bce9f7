//! One shard: the two trees, and how a mutation changes them.

use smallvec::SmallVec;

use super::record::{DELETION_BYTES, Record, decode_deletion, encode_deletion};
use super::tree::{Tree, Walk};
use super::{MemtableRow, SharedRow};
use crate::StorageError;
use crate::model::entry::{Direction, RowBuf, RowRef};
use crate::model::merge::merge_rows;
use crate::model::mutation::{Mutation, Update};
use crate::model::position;
use crate::model::row::RowBuilder;
use crate::model::{Deletion, Timestamp};

/// What a record costs beside its key and payload: its header, what the allocator rounds up, its part of a node.
/// Measured: 64 for rows of a wide partition in order, which fill their nodes, to 98 for random rows of 100 bytes.
const ENTRY_BYTES: usize = 78;

/// A change of the range deletion in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) before: Deletion,
    pub(super) after: Deletion,
}

impl Marker {
    fn encode(self) -> [u8; 2 * DELETION_BYTES] {
        let mut bytes = [0; 2 * DELETION_BYTES];
        bytes[..DELETION_BYTES].copy_from_slice(&encode_deletion(self.before));
        bytes[DELETION_BYTES..].copy_from_slice(&encode_deletion(self.after));
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let after = bytes.get(DELETION_BYTES..).unwrap_or_default();
        Marker { before: decode_deletion(bytes), after: decode_deletion(after) }
    }
}

/// The trees of a shard; cloning them is a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Trees {
    /// Partition deletions, static rows and rows.
    pub(super) entries: Tree,
    /// Range-tombstone markers.
    pub(super) markers: Tree,
    /// How many entries are partition deletions: mostly there is none to look for.
    partition_deletions: usize,
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) trees: Trees,
    pub(super) min_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
}

impl Default for Shard {
    fn default() -> Self {
        Shard {
            trees: Trees::default(),
            min_timestamp: Timestamp::MAX,
            max_timestamp: Timestamp::MIN,
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
        let row = self.trees.entries.get(key).filter(|record| !record.is_header());
        let row = row.cloned().map(SharedRow);
        MemtableRow { row, deletion: partition.max(self.trees.range_deletion_before(key)) }
    }

    pub(super) fn partition_deletion(&self, partition: &[u8]) -> Deletion {
        self.trees.partition_deletion(partition)
    }

    pub(super) fn contains(&self, partition: &[u8]) -> bool {
        let is_in = |tree: &Tree| {
            tree.first_from(partition).is_some_and(|record| record.key().starts_with(partition))
        };
        is_in(&self.trees.entries) || is_in(&self.trees.markers)
    }

    fn put_row(&mut self, partition: &[u8], position: &[u8], row: &RowBuf) -> isize {
        if row.is_empty() {
            return 0;
        }
        let key = join(partition, position);
        let mut grown = 0;
        self.trees.entries.upsert(&key, |record| {
            if let Some(record) = record {
                grown = merge_into(record, row);
                return None;
            }
            let (len, head, body) = row.as_row().whole();
            let record = Record::new(&key, partition.len(), &[&len, head, body]);
            grown = bytes_of(&record);
            Some(record)
        });
        grown
    }

    fn delete_partition(&mut self, partition: &[u8], deletion: Deletion) -> isize {
        if deletion.is_none() {
            return 0;
        }
        let key = join(partition, &[position::HEADER]);
        let mut grown = 0;
        self.trees.entries.upsert(&key, |record| {
            if let Some(record) = record {
                let stronger = deletion.max(decode_deletion(record.payload()));
                record.set_payload(&[&encode_deletion(stronger)]);
                return None;
            }
            let record = Record::new(&key, partition.len(), &[&encode_deletion(deletion)]);
            grown = bytes_of(&record);
            Some(record)
        });
        self.trees.partition_deletions += usize::from(grown > 0);
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
        let mut overlapped = self.markers_from(start, end).into_iter().peekable();
        let mut changes: SmallVec<[(KeyBytes, Marker); 4]> = SmallVec::new();
        let mut add = |key: KeyBytes, before, after| changes.push((key, Marker { before, after }));
        let at_start = overlapped.next_if(|(key, _)| key[..] == *start);
        let after = at_start.map_or(in_force, |(_, marker)| marker.after);
        add(start.into(), in_force, after.max(deletion));
        in_force = after;
        while let Some((key, marker)) = overlapped.next_if(|(key, _)| key[..] != *end) {
            add(key, marker.before.max(deletion), marker.after.max(deletion));
            in_force = marker.after;
        }
        let after = overlapped.next().map_or(in_force, |(_, marker)| marker.after);
        add(end.into(), in_force.max(deletion), after);
        changes.iter().map(|(key, marker)| self.put_marker(key, partition_len, *marker)).sum()
    }

    /// The markers between two keys, both included.
    fn markers_from(&self, start: &[u8], end: &[u8]) -> SmallVec<[(KeyBytes, Marker); 4]> {
        let mut markers = SmallVec::new();
        let past_end = join(end, &[0]);
        let tree = self.trees.markers.clone();
        let mut walk = Walk::new(tree, start, &past_end, Direction::Forward);
        while let Some(record) = walk.current() {
            markers.push((record.key().into(), Marker::decode(record.payload())));
            walk.advance(start, &past_end);
        }
        markers
    }

    /// Puts a marker where one may be; one that changes nothing goes away.
    fn put_marker(&mut self, key: &[u8], partition_len: usize, marker: Marker) -> isize {
        let markers = &mut self.trees.markers;
        if marker.before == marker.after {
            return markers.remove(key).map_or(0, |removed| -bytes_of(&removed));
        }
        let mut grown = 0;
        markers.upsert(key, |record| {
            if let Some(record) = record {
                record.set_payload(&[&marker.encode()]);
                return None;
            }
            let record = Record::new(key, partition_len, &[&marker.encode()]);
            grown = bytes_of(&record);
            Some(record)
        });
        grown
    }
}

/// Merges a row into the one that is there; says by how many bytes that grew.
fn merge_into(record: &mut Record, row: &RowBuf) -> isize {
    let before = record.payload().len() as isize;
    let old = RowRef::of_whole(record.payload(), 0);
    let row = row.as_row();
    let mut builder = RowBuilder::with_capacity(old.len() + row.len());
    // Both were looked at when they came, so merging can't fail; if it did, the new one would count.
    let merged = merge_rows(&[old, row], &mut builder).map(|()| builder.finish());
    let (len, head, body) = merged.as_ref().map_or(row, RowBuf::as_row).whole();
    record.set_payload(&[&len, head, body]);
    record.payload().len() as isize - before
}

/// What a record takes.
fn bytes_of(record: &Record) -> isize {
    (record.key().len() + record.payload().len() + ENTRY_BYTES) as isize
}

impl Trees {
    /// The range deletion in force just before a key, within the key's partition.
    pub(super) fn range_deletion_before(&self, key: &[u8]) -> Deletion {
        if self.markers.is_empty() {
            return Deletion::NONE;
        }
        match self.markers.last_before(key) {
            Some(last) if key.starts_with(last.partition()) => Marker::decode(last.payload()).after,
            _ => Deletion::NONE,
        }
    }

    pub(super) fn partition_deletion(&self, partition: &[u8]) -> Deletion {
        if self.partition_deletions == 0 {
            return Deletion::NONE;
        }
        let key = join(partition, &[position::HEADER]);
        self.entries.get(&key).map_or(Deletion::NONE, |record| decode_deletion(record.payload()))
    }

    /// The deletion of the partition that a bound lies in, if its header comes before that bound.
    pub(super) fn partition_deletion_before(&self, bound: &[u8]) -> Option<(&Record, Deletion)> {
        if self.partition_deletions == 0 {
            return None;
        }
        // Whatever lies between the header and the bound is of that partition too.
        let last = self.entries.last_before(bound)?;
        let partition = last.partition();
        if !bound.starts_with(partition) {
            return None;
        }
        Some((last, self.partition_deletion(partition)))
    }
}

fn join(partition: &[u8], position: &[u8]) -> KeyBytes {
    let mut key = KeyBytes::with_capacity(partition.len() + position.len());
    key.extend_from_slice(partition);
    key.extend_from_slice(position);
    key
}
