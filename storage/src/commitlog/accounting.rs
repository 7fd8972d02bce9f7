//! Which tables have data in which segments that is not in SSTables yet.

use std::collections::BTreeMap;

use super::LogPosition;
use crate::schema::TableId;

/// Per segment, the last record of each table that is not flushed.
#[derive(Debug, Default)]
pub(super) struct Accounting {
    segments: BTreeMap<u64, Vec<(TableId, u32)>>,
    /// The segment that is written to, and where in its list the last table was.
    current: u64,
    current_tables: Vec<(TableId, u32)>,
    recent: usize,
    /// Segments that nobody needs any more, not yet recycled.
    released: Vec<u64>,
}

impl Accounting {
    /// A record of a table was appended.
    pub(super) fn appended(&mut self, table: TableId, position: LogPosition) {
        if position.segment != self.current {
            self.begin(position.segment);
        }
        if let Some((recent, last)) = self.current_tables.get_mut(self.recent)
            && *recent == table
        {
            *last = position.offset;
            return;
        }
        self.recent = match self.current_tables.binary_search_by_key(&table, |(table, _)| *table) {
            Ok(found) => found,
            Err(place) => {
                self.current_tables.insert(place, (table, 0));
                place
            }
        };
        self.current_tables[self.recent].1 = position.offset;
    }

    /// Appends go to a new segment from now on.
    pub(super) fn begin(&mut self, segment: u64) {
        let tables = std::mem::take(&mut self.current_tables);
        if tables.is_empty() {
            self.released.push(self.current);
        } else {
            self.segments.insert(self.current, tables);
        }
        self.current = segment;
        self.recent = 0;
    }

    /// The table's records before `up_to` are in SSTables.
    pub(super) fn flushed(&mut self, table: TableId, up_to: LogPosition) {
        let is_needed = |segment: u64, (of, offset): &(TableId, u32)| {
            *of != table || LogPosition { segment, offset: *offset } >= up_to
        };
        let current = self.current;
        self.current_tables.retain(|entry| is_needed(current, entry));
        self.recent = 0;
        let released = &mut self.released;
        self.segments.retain(|segment, tables| {
            tables.retain(|entry| is_needed(*segment, entry));
            if tables.is_empty() {
                released.push(*segment);
            }
            !tables.is_empty()
        });
    }

    /// Segments to recycle; each is named once.
    pub(super) fn take_released(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.released)
    }

    /// Whether a segment holds anything that is not flushed.
    pub(super) fn needs(&self, segment: u64) -> bool {
        self.segments.contains_key(&segment)
    }

    /// A segment is no longer part of the log.
    pub(super) fn forget(&mut self, segment: u64) {
        self.segments.remove(&segment);
    }

    /// How many segments are in use.
    pub(super) fn in_use(&self) -> usize {
        self.segments.len() + usize::from(!self.current_tables.is_empty())
    }

    /// Tables with data in the oldest `count` segments, each once.
    pub(super) fn tables_of_oldest(&self, count: usize) -> Vec<TableId> {
        let oldest = self.segments.values().take(count).flatten();
        let mut tables: Vec<TableId> = oldest.map(|(table, _)| *table).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}
