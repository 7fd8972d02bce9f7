//! The model.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position;
use tholos_storage::model::{
    Cell, CellState, ColumnCells, ColumnId, Deletion, Liveness, Row, Seconds,
};

/// One thing in a canonical stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Partition(Vec<u8>, Deletion),
    Row(Vec<u8>, Row),
    Marker(Vec<u8>, Deletion, Deletion),
}

impl Seen {
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Seen::Partition(key, _) | Seen::Row(key, _) | Seen::Marker(key, ..) => key,
        }
    }
}

/// All writes ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    partitions: BTreeMap<Vec<u8>, Writes>,
}

#[derive(Clone, Debug, Default)]
struct Writes {
    deletions: Vec<Deletion>,
    ranges: Vec<(Vec<u8>, Vec<u8>, Deletion)>,
    rows: BTreeMap<Vec<u8>, Vec<Row>>,
}

impl Model {
    pub(crate) fn write(&mut self, mutation: &Mutation) {
        let writes = self.partitions.entry(mutation.partition.to_vec()).or_default();
        for update in &mutation.updates {
            match update {
                Update::Partition(deletion) => writes.deletions.push(*deletion),
                Update::Row { position, row } => {
                    let row = row.as_row().decode().unwrap();
                    writes.rows.entry(position.to_vec()).or_default().push(row);
                }
                Update::Range { start, end, deletion } => {
                    writes.ranges.push((start.to_vec(), end.to_vec(), *deletion));
                }
            }
        }
    }

    /// The canonical stream of everything.
    pub(crate) fn stream(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for (partition, writes) in &self.partitions {
            writes.stream(partition, &mut seen);
        }
        seen.sort_by(|a, b| a.key().cmp(b.key()));
        seen
    }

    /// Keys and rows of `lower..upper` (an empty `upper` is the end) that a reader sees at `now`, dead cells left out.
    pub(crate) fn live(&self, lower: &[u8], upper: &[u8], now: Seconds) -> Vec<(Vec<u8>, Row)> {
        let within = |key: &[u8]| key >= lower && (upper.is_empty() || key < upper);
        let concerned = |partition: &[u8]| {
            // A prefix before `lower` may still be what `lower` begins with.
            (partition >= lower || lower.starts_with(partition))
                && (upper.is_empty() || partition < upper)
        };
        let mut seen = Vec::new();
        for (partition, writes) in &self.partitions {
            if concerned(partition) {
                writes.stream(partition, &mut seen);
            }
        }
        seen.sort_by(|a, b| a.key().cmp(b.key()));
        let rows = seen.into_iter().filter_map(|seen| match seen {
            Seen::Row(key, row) if within(&key) => Some((key, visible(row, now)?)),
            _ => None,
        });
        rows.collect()
    }
}

impl Model {
    /// Prefixes of the partitions in which a reader sees anything at `now`, ascending.
    pub(crate) fn live_partitions(&self, now: Seconds) -> Vec<Vec<u8>> {
        let alive = |partition: &&Vec<u8>| {
            let upper = [&partition[..], &[0xff]].concat();
            !self.live(partition, &upper, now).is_empty()
        };
        self.partitions.keys().filter(alive).cloned().collect()
    }
}

/// A cell's key, column, path, timestamp and expiry.
pub(crate) type Expiring = (Vec<u8>, ColumnId, Option<Bytes>, i64, Seconds);

impl Model {
    /// Expiring cells of which the rules do not say which is left: written at one timestamp, to expire at one time, with
    /// other times to live. Their values decide (2.1), and go at the first compaction after that time (2.3), which may
    /// come before they meet. No reader sees the difference.
    pub(crate) fn open_ties(&self) -> BTreeSet<Expiring> {
        let mut ttls: BTreeMap<Expiring, BTreeSet<u32>> = BTreeMap::new();
        for (partition, writes) in &self.partitions {
            for (position, row) in
                writes.rows.iter().flat_map(|(at, rows)| rows.iter().map(move |row| (at, row)))
            {
                let key = [&partition[..], position].concat();
                for (id, path, cell) in cells(row) {
                    if let CellState::Expiring { expires_at, ttl } = cell.state {
                        let tie = (key.clone(), id, path.cloned(), cell.timestamp, expires_at);
                        ttls.entry(tie).or_default().insert(ttl);
                    }
                }
            }
        }
        ttls.into_iter().filter(|(_, ttls)| ttls.len() > 1).map(|(tie, _)| tie).collect()
    }
}

fn cells(row: &Row) -> impl Iterator<Item = (ColumnId, Option<&Bytes>, &Cell)> {
    row.columns.iter().flat_map(|(id, column)| {
        let (simple, complex) = match column {
            ColumnCells::Simple(cell) => (Some(cell), [].as_slice()),
            ColumnCells::Complex { cells, .. } => (None, cells.as_slice()),
        };
        let complex = complex.iter().map(|(path, cell)| (*id, Some(path), cell));
        simple.map(|cell| (*id, None, cell)).into_iter().chain(complex)
    })
}

/// What a reader sees of a row at `now`, if it exists for one (3.3).
pub(crate) fn visible(mut row: Row, now: Seconds) -> Option<Row> {
    let live = |cell: &Cell| match cell.state {
        CellState::Live => true,
        CellState::Expiring { expires_at, .. } => now < expires_at,
        CellState::Tombstone { .. } => false,
    };
    row.deletion = None;
    row.liveness = row.liveness.filter(|liveness| liveness.ttl == 0 || now < liveness.expires_at);
    row.columns.retain_mut(|(_, column)| match column {
        ColumnCells::Simple(cell) => live(cell),
        ColumnCells::Complex { deletion, cells } => {
            *deletion = Deletion::NONE;
            cells.retain(|(_, cell)| live(cell));
            !cells.is_empty()
        }
    });
    (row.liveness.is_some() || !row.columns.is_empty()).then_some(row)
}

impl Writes {
    fn stream(&self, partition: &[u8], seen: &mut Vec<Seen>) {
        let key = |position: &[u8]| [partition, position].concat();
        let deletion = self.deletions.iter().copied().max().unwrap_or(Deletion::NONE);
        if !deletion.is_none() {
            seen.push(Seen::Partition(key(&[position::HEADER]), deletion));
        }
        for (position, rows) in &self.rows {
            let range = self.range_deletion_at(position);
            let row = merged(rows, deletion.max(range));
            if row != Row::default() {
                seen.push(Seen::Row(key(position), row));
            }
        }
        let bounds: BTreeSet<&Vec<u8>> =
            self.ranges.iter().flat_map(|(start, end, _)| [start, end]).collect();
        let mut before = Deletion::NONE;
        for bound in bounds {
            let range = self.range_deletion_at(bound);
            let after = if range > deletion { range } else { Deletion::NONE };
            if before != after {
                seen.push(Seen::Marker(key(bound), before, after));
            }
            before = after;
        }
    }

    fn range_deletion_at(&self, position: &[u8]) -> Deletion {
        let covers = |(start, end, _): &&(Vec<u8>, Vec<u8>, Deletion)| {
            position >= start.as_slice() && position < end.as_slice()
        };
        let covering = self.ranges.iter().filter(covers);
        covering.map(|(_, _, deletion)| *deletion).max().unwrap_or(Deletion::NONE)
    }
}

/// 3.2, said over the set of all writes of one row.
fn merged(rows: &[Row], enclosing: Deletion) -> Row {
    let own = rows.iter().filter_map(|row| row.deletion).max().filter(|own| *own > enclosing);
    let active = own.unwrap_or(enclosing);
    let rank = |l: &Liveness| {
        (l.timestamp, l.ttl > 0, if l.ttl > 0 { l.expires_at } else { 0 }, Reverse(l.ttl))
    };
    let liveness = rows.iter().filter_map(|row| row.liveness).max_by_key(rank);
    let liveness = liveness.filter(|liveness| liveness.timestamp > active.timestamp);
    let ids: BTreeSet<ColumnId> =
        rows.iter().flat_map(|row| row.columns.iter().map(|(id, _)| *id)).collect();
    let columns = ids.into_iter().filter_map(|id| {
        let versions = rows.iter().flat_map(|row| row.columns.iter());
        let versions: Vec<&ColumnCells> =
            versions.filter(|(other, _)| *other == id).map(|(_, column)| column).collect();
        Some((id, merged_column(&versions, active)?))
    });
    Row { liveness, deletion: own, columns: columns.collect() }
}

fn merged_column(versions: &[&ColumnCells], active: Deletion) -> Option<ColumnCells> {
    let mut all: BTreeMap<Option<Bytes>, Vec<Cell>> = BTreeMap::new();
    let mut complex = false;
    let mut greatest = Deletion::NONE;
    for version in versions {
        match version {
            ColumnCells::Simple(cell) => all.entry(None).or_default().push(cell.clone()),
            ColumnCells::Complex { deletion, cells } => {
                complex = true;
                greatest = greatest.max(*deletion);
                for (path, cell) in cells {
                    all.entry(Some(path.clone())).or_default().push(cell.clone());
                }
            }
        }
    }
    let kept = if greatest > active { greatest } else { Deletion::NONE };
    let active = active.max(kept);
    let winners = all.into_iter().filter_map(|(path, cells)| {
        let cells = cells.into_iter().filter(|cell| cell.timestamp > active.timestamp);
        Some((path, cells.max_by_key(rank_of)?))
    });
    let mut winners: Vec<(Option<Bytes>, Cell)> = winners.collect();
    if !complex {
        return winners.pop().map(|(_, cell)| ColumnCells::Simple(cell));
    }
    let cells: Vec<(Bytes, Cell)> =
        winners.into_iter().map(|(path, cell)| (path.unwrap(), cell)).collect();
    let exists = !kept.is_none() || !cells.is_empty();
    exists.then_some(ColumnCells::Complex { deletion: kept, cells })
}

/// 2.1.
fn rank_of(cell: &Cell) -> (i64, u8, i64, Bytes, Reverse<u32>) {
    let (class, when, ttl) = match cell.state {
        CellState::Live => (0, 0, 0),
        CellState::Expiring { expires_at, ttl } => (1, expires_at, ttl),
        CellState::Tombstone { deleted_at } => (2, deleted_at, 0),
    };
    (cell.timestamp, class, when, cell.value.clone(), Reverse(ttl))
}

/// The encoded form of a row that a test made up.
pub(crate) fn encoded(row: &Row) -> RowBuf {
    RowBuf::from(row)
}
