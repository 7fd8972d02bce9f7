//! What is in a table, by the rules of reconciliation and nothing else: every write is kept, nothing is ever purged, and a
//! read finds out what is alive.
//!
//! ```text
//! INSERT at 10: liveness 10, v 10      DELETE v at 20: v gone 20      DELETE the row at 10: deletion 10
//! read: liveness is not above the deletion: gone; v is a tombstone: the row does not exist
//! ```

use std::collections::BTreeMap;

use super::table::{ColumnNumber, Table};
use super::value::{Type, Value};

/// A key: values of its columns, in order.
pub type Key = Vec<Value>;

/// Before all timestamps.
pub const NEVER: i64 = i64::MIN;

/// What a cell is, in the order in which it wins at equal timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A value, for good.
    Live,
    /// A value, until some second.
    Expiring,
    /// Deleted.
    Tombstone,
}

/// A cell. For a row's liveness it has no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// When it was written, in microseconds.
    pub timestamp: i64,
    /// What it is.
    pub state: State,
    /// The second in which it expires, or was deleted.
    pub at: i64,
    /// How long it was to live, in seconds.
    pub ttl: i64,
    /// What it holds.
    pub value: Option<Value>,
}

impl Cell {
    /// Whether it is there at that second.
    pub fn lives(&self, now: i64) -> bool {
        match self.state {
            State::Live => true,
            State::Expiring => now < self.at,
            State::Tombstone => false,
        }
    }

    /// Whether it wins over another write of the same (2.1).
    fn beats(&self, other: &Cell) -> bool {
        let rank = |cell: &Cell| {
            let bytes = cell.value.as_ref().map(Value::bytes).unwrap_or_default();
            (cell.timestamp, cell.state, cell.at, bytes, -cell.ttl)
        };
        rank(self) > rank(other)
    }
}

/// Which element of a multi-cell column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Of a list: the order in which it grew, below zero for what was put in front.
    Grown(i64),
    /// Of a set or a map.
    Key(Value),
}

/// A multi-cell column of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Elements {
    cleared: i64,
    cells: BTreeMap<Path, Cell>,
}

/// A row, or the static part of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    deleted: i64,
    liveness: Option<Cell>,
    cells: BTreeMap<ColumnNumber, Cell>,
    elements: BTreeMap<ColumnNumber, Elements>,
}

impl Default for Row {
    fn default() -> Row {
        Row { deleted: NEVER, liveness: None, cells: BTreeMap::new(), elements: BTreeMap::new() }
    }
}

/// Rows whose clustering key begins with `prefix`, and has its next column within bounds. A bound says whether it is
/// included.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The first columns.
    pub prefix: Key,
    /// The least value of the next.
    pub lower: Option<(Value, bool)>,
    /// The greatest.
    pub upper: Option<(Value, bool)>,
}

impl Range {
    /// Whether a row is in it.
    pub fn covers(&self, clustering: &[Value]) -> bool {
        let Some(rest) = clustering.strip_prefix(self.prefix.as_slice()) else { return false };
        let above = |(bound, included): &(Value, bool)| {
            rest.first().is_some_and(|value| value > bound || (*included && value == bound))
        };
        let below = |(bound, included): &(Value, bool)| {
            rest.first().is_some_and(|value| value < bound || (*included && value == bound))
        };
        self.lower.as_ref().is_none_or(above) && self.upper.as_ref().is_none_or(below)
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    deleted: i64,
    ranges: Vec<(Range, i64)>,
    statics: Row,
    rows: BTreeMap<Key, Row>,
}

impl Default for Partition {
    fn default() -> Partition {
        let (ranges, rows) = (Vec::new(), BTreeMap::new());
        Partition { deleted: NEVER, ranges, statics: Row::default(), rows }
    }
}

/// What is in a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    partitions: BTreeMap<Key, Partition>,
}

/// What a statement does to one partition of one table: it happens whole or not at all.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// The partition.
    pub partition: Key,
    /// What it does.
    pub changes: Vec<Change>,
}

/// Part of a mutation.
#[derive(Clone, Debug)]
pub enum Change {
    /// The partition is deleted.
    DeletePartition(i64),
    /// Rows of a range are.
    DeleteRange(Range, i64),
    /// Something of a row changes; without a key, of the static part.
    Row(Option<Key>, RowChange),
}

/// What changes in a row.
#[derive(Clone, Debug)]
pub enum RowChange {
    /// It is deleted.
    Delete(i64),
    /// It is there, even with no values.
    Liveness(Cell),
    /// A column gets a value.
    Cell(ColumnNumber, Cell),
    /// A multi-cell column loses what it has.
    Clear(ColumnNumber, i64),
    /// One of its elements gets a value.
    Element(ColumnNumber, Path, Cell),
    /// A counter counts.
    Count(ColumnNumber, i64, i64),
}

impl Content {
    /// Does what a mutation says.
    pub fn apply(&mut self, mutation: &Mutation) {
        let partition = self.partitions.entry(mutation.partition.clone()).or_default();
        for change in &mutation.changes {
            match change {
                Change::DeletePartition(at) => partition.deleted = partition.deleted.max(*at),
                Change::DeleteRange(range, at) => partition.ranges.push((range.clone(), *at)),
                Change::Row(None, change) => partition.statics.apply(change),
                Change::Row(Some(key), change) => {
                    partition.rows.entry(key.clone()).or_default().apply(change);
                }
            }
        }
    }

    /// Keys of partitions that anything was ever written to.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.partitions.keys()
    }

    /// A partition as it is read at that second: its static part, and the rows that exist.
    pub fn read(&self, table: &Table, key: &Key, now: i64) -> Option<Living> {
        let partition = self.partitions.get(key)?;
        let statics = partition.statics.living(table, partition.deleted, now).cells;
        let row = |(key, row): (&Key, &Row)| {
            let covering = partition.ranges.iter().filter(|(range, _)| range.covers(key));
            let deleted = covering.map(|(_, at)| *at).fold(partition.deleted, i64::max);
            let living = row.living(table, deleted, now);
            living.exists.then(|| (key.clone(), living.cells))
        };
        Some(Living { statics, rows: partition.rows.iter().filter_map(row).collect() })
    }
}

impl Row {
    fn apply(&mut self, change: &RowChange) {
        match change {
            RowChange::Delete(at) => self.deleted = self.deleted.max(*at),
            RowChange::Liveness(cell) => {
                if self.liveness.as_ref().is_none_or(|before| cell.beats(before)) {
                    self.liveness = Some(cell.clone());
                }
            }
            RowChange::Cell(column, cell) => merge(&mut self.cells, *column, cell),
            RowChange::Clear(column, at) => {
                let elements = self.elements(*column);
                elements.cleared = elements.cleared.max(*at);
            }
            RowChange::Element(column, path, cell) => {
                merge(&mut self.elements(*column).cells, path.clone(), cell);
            }
            RowChange::Count(column, by, at) => {
                let before = self.cells.get(column).and_then(|cell| cell.value.as_ref());
                let before = if let Some(Value::Long(before)) = before { *before } else { 0 };
                let value = Some(Value::Long(before + by));
                let cell = Cell { timestamp: *at, state: State::Live, at: 0, ttl: 0, value };
                self.cells.insert(*column, cell);
            }
        }
    }

    fn elements(&mut self, column: ColumnNumber) -> &mut Elements {
        let empty = || Elements { cleared: NEVER, cells: BTreeMap::new() };
        self.elements.entry(column).or_insert_with(empty)
    }

    /// What is alive of it, under a deletion of all that is around it.
    fn living(&self, table: &Table, deleted: i64, now: i64) -> LivingRow {
        let deleted = deleted.max(self.deleted);
        let above = |cell: &Cell, floor: i64| cell.timestamp > floor && cell.lives(now);
        let floor = |column: ColumnNumber| deleted.max(table.columns[column].floor);
        let there = |column: ColumnNumber| !table.columns[column].is_dropped;
        let mut cells = BTreeMap::new();
        for (column, cell) in &self.cells {
            if there(*column) && above(cell, floor(*column)) {
                let (value, timestamp) = (cell.value.clone(), cell.timestamp);
                let left = (cell.state == State::Expiring).then(|| cell.at - now);
                cells.insert(*column, LivingCell { value, timestamp, left });
            }
        }
        for (column, elements) in &self.elements {
            let floor = floor(*column).max(elements.cleared);
            let living = || elements.cells.iter().filter(|(_, cell)| above(cell, floor));
            if there(*column) && living().next().is_some() {
                let value = Some(gather(table.columns[*column].kind, living()));
                cells.insert(*column, LivingCell { value, timestamp: 0, left: None });
            }
        }
        let exists = self.liveness.as_ref().is_some_and(|cell| above(cell, deleted));
        LivingRow { exists: exists || !cells.is_empty(), cells }
    }
}

fn merge<K: Ord>(cells: &mut BTreeMap<K, Cell>, key: K, cell: &Cell) {
    match cells.get(&key) {
        Some(before) if !cell.beats(before) => {}
        _ => drop(cells.insert(key, cell.clone())),
    }
}

fn gather<'a>(kind: Type, cells: impl Iterator<Item = (&'a Path, &'a Cell)>) -> Value {
    let value = |cell: &Cell| cell.value.clone().expect("what lives has a value");
    let key = |path: &Path| match path {
        Path::Key(key) => key.clone(),
        Path::Grown(place) => Value::Long(*place),
    };
    match kind {
        Type::List => Value::List(cells.map(|(_, cell)| value(cell)).collect()),
        Type::Set => Value::Set(cells.map(|(path, _)| key(path)).collect()),
        _ => Value::Map(cells.map(|(path, cell)| (key(path), value(cell))).collect()),
    }
}

/// What a reader sees of a partition.
#[derive(Clone, Debug)]
pub struct Living {
    /// Of the static columns that have values.
    pub statics: BTreeMap<ColumnNumber, LivingCell>,
    /// Rows, by key.
    pub rows: Vec<(Key, BTreeMap<ColumnNumber, LivingCell>)>,
}

struct LivingRow {
    exists: bool,
    cells: BTreeMap<ColumnNumber, LivingCell>,
}

/// What a reader sees of a column.
#[derive(Clone, Debug)]
pub struct LivingCell {
    /// Its value.
    pub value: Option<Value>,
    /// When it was written; nothing for what has many cells.
    pub timestamp: i64,
    /// How many seconds are left, if it expires.
    pub left: Option<i64>,
}
