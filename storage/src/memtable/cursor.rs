//! Walking a memtable, shard by shard.

use std::sync::Arc;

use super::Memtable;
use super::record::decode_deletion;
use super::shard::{Marker, Trees};
use super::tree::Walk;
use crate::StorageError;
use crate::model::Deletion;
use crate::model::entry::{Content, Cursor, Direction, Entry, RowRef};
use crate::model::position;

/// A walk through part of a memtable.
#[derive(Debug)]
pub struct MemtableCursor {
    memtable: Arc<Memtable>,
    lower: Box<[u8]>,
    upper: Box<[u8]>,
    direction: Direction,
    /// Shards still to be looked at.
    shards: std::ops::Range<usize>,
    /// Of the current shard.
    entries: Walk,
    markers: Walk,
    started: bool,
    /// Whether the marker that `markers` is at comes before the entry that `entries` is at.
    at_marker: bool,
    open_deletion: Deletion,
    partition_deletion: Deletion,
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
            entries: Walk::none(),
            markers: Walk::none(),
            started: false,
            at_marker: false,
            open_deletion: Deletion::NONE,
            partition_deletion: Deletion::NONE,
        };
        if empty {
            cursor.shards = 0..0;
        } else if let Some(trees) = cursor.next_snapshot() {
            cursor.look_at_start(&trees);
            cursor.open(trees);
        }
        cursor
    }

    /// Finds what is in force where the walk starts.
    fn look_at_start(&mut self, trees: &Trees) {
        let start = match self.direction {
            Direction::Forward => &self.lower,
            Direction::Reverse => &self.upper,
        };
        if start.is_empty() {
            return;
        }
        self.open_deletion = trees.range_deletion_before(start);
        if let Some((last, deletion)) = trees.partition_deletion_before(start) {
            let header = [last.partition(), &[position::HEADER]].concat();
            if header[..] < self.lower[..] {
                self.partition_deletion = deletion;
            }
        }
    }

    /// The trees of the next shard.
    fn next_snapshot(&mut self) -> Option<Trees> {
        let index = match self.direction {
            Direction::Forward => self.shards.next(),
            Direction::Reverse => self.shards.next_back(),
        };
        index.map(|index| self.memtable.shards[index].lock().trees.clone())
    }

    fn open(&mut self, trees: Trees) {
        self.entries = Walk::new(trees.entries, &self.lower, &self.upper, self.direction);
        self.markers = Walk::new(trees.markers, &self.lower, &self.upper, self.direction);
    }

    /// Finds out whether the next one is an entry or a marker; their keys differ.
    fn choose(&mut self) {
        self.at_marker = match (self.entries.current(), self.markers.current()) {
            (Some(entry), Some(marker)) => match self.direction {
                Direction::Forward => marker.key() < entry.key(),
                Direction::Reverse => marker.key() > entry.key(),
            },
            (entry, _) => entry.is_none(),
        };
    }
}

impl Cursor for MemtableCursor {
    fn move_on(&mut self) -> Result<(), StorageError> {
        if self.started {
            let walk = if self.at_marker { &mut self.markers } else { &mut self.entries };
            walk.advance(&self.lower, &self.upper);
        }
        self.started = true;
        while self.entries.current().is_none() && self.markers.current().is_none() {
            let Some(trees) = self.next_snapshot() else { break };
            self.open(trees);
        }
        self.choose();
        Ok(())
    }

    // As an SSTable's: see there.
    #[inline(always)]
    fn current(&self) -> Option<Entry<'_>> {
        if !self.started {
            return None;
        }
        let walk = if self.at_marker { &self.markers } else { &self.entries };
        let (key, partition_len, payload) = walk.current()?.parts();
        let content = if self.at_marker {
            let Marker { before, after } = Marker::decode(payload);
            Content::Marker { before, after }
        } else if key[partition_len..] == [position::HEADER] {
            Content::Partition(decode_deletion(payload))
        } else {
            Content::Row(RowRef::of_whole(payload, 0))
        };
        Some(Entry { key, partition_len, content })
    }

    fn open_deletion(&self) -> Deletion {
        self.open_deletion
    }

    fn partition_deletion(&self) -> Deletion {
        self.partition_deletion
    }
}
