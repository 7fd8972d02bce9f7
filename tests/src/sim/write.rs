//! What INSERT, UPDATE and DELETE say, and what they must do (section 5 of the rules of reconciliation).

use super::model::{Cell, Change, Key, Mutation, Path, Range, RowChange, State};
use super::select::range_text;
use super::table::{ColumnNumber, Table};
use super::text::Text;
use super::value::Value;

/// A statement that writes one partition.
#[derive(Clone, Debug)]
pub struct Write {
    /// The number of its table.
    pub table: usize,
    /// The partition.
    pub partition: Key,
    /// What it does there.
    pub action: Action,
    /// USING TIMESTAMP.
    pub timestamp: Option<i64>,
    /// USING TTL.
    pub ttl: Option<i64>,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum Action {
    /// INSERT: a row, with values of regular and static columns.
    Insert(Option<Key>, Vec<(ColumnNumber, Option<Value>)>),
    /// UPDATE: of a row, or of the static part.
    Update(Option<Key>, Vec<(ColumnNumber, Assignment)>),
    /// DELETE of columns of a row, or of the static part.
    DeleteColumns(Option<Key>, Vec<(ColumnNumber, Option<Value>)>),
    /// DELETE of a row.
    DeleteRow(Key),
    /// DELETE of a range.
    DeleteRange(Range),
    /// DELETE of a partition.
    DeletePartition,
}

/// What UPDATE does to a column.
#[derive(Clone, Debug)]
pub enum Assignment {
    /// `c = v`
    Set(Option<Value>),
    /// `c = c + v`: grows a list, set or map, or counts.
    Add(Value),
    /// `c = v + c`, of a list.
    Prepend(Vec<Value>),
    /// `c = c - {v}`, of a set or a map.
    Remove(Value),
    /// `c[k] = v`, of a map.
    Put(Value, Value),
}

/// When a statement is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Its timestamp, unless it brings one.
    pub timestamp: i64,
    /// The second it is carried out in.
    pub now: i64,
    /// A number that grows with each request: the order in which lists grow.
    pub number: i64,
    /// Its place in its batch.
    pub place: i64,
}

/// Elements that one statement adds to a list, at most; and statements in a batch.
const MOST_ADDED: i64 = 16;

impl Write {
    /// Its text.
    pub fn text(&self, table: &Table) -> Text {
        let mut text = Text::default();
        let name = format!("k.{}", table.name);
        match &self.action {
            Action::Insert(key, cells) => {
                self.insert_text(table, key.as_ref(), cells, &mut text);
                self.using(&mut text, true);
                return text;
            }
            Action::Update(_, assignments) => {
                text.push(&format!("UPDATE {name}"));
                self.using(&mut text, true);
                text.push(" SET ");
                for (i, (column, assignment)) in assignments.iter().enumerate() {
                    text.push(if i > 0 { ", " } else { "" });
                    assignment.text(table.name_of(*column), &mut text);
                }
            }
            Action::DeleteColumns(_, columns) => {
                text.push("DELETE ");
                for (i, (column, element)) in columns.iter().enumerate() {
                    text.push(if i > 0 { ", " } else { "" });
                    text.push(table.name_of(*column));
                    if let Some(element) = element {
                        text.push("[");
                        text.value(element);
                        text.push("]");
                    }
                }
                text.push(&format!(" FROM {name}"));
                self.using(&mut text, false);
            }
            _ => {
                text.push(&format!("DELETE FROM {name}"));
                self.using(&mut text, false);
            }
        }
        self.key_text(table, &mut text);
        text
    }

    fn insert_text(
        &self,
        table: &Table,
        key: Option<&Key>,
        cells: &[(ColumnNumber, Option<Value>)],
        text: &mut Text,
    ) {
        let keys = [table.partition_key(), key.map(|_| table.clustering()).unwrap_or_default()];
        let columns = keys.concat().into_iter().chain(cells.iter().map(|(column, _)| *column));
        let names: Vec<&str> = columns.map(|column| table.name_of(column)).collect();
        text.push(&format!("INSERT INTO k.{} ({}) VALUES (", table.name, names.join(", ")));
        let given = self.partition.iter().chain(key.into_iter().flatten()).map(Some);
        let values = given.chain(cells.iter().map(|(_, value)| value.as_ref()));
        for (i, value) in values.enumerate() {
            text.push(if i > 0 { ", " } else { "" });
            text.optional(value);
        }
        text.push(")");
    }

    fn using(&self, text: &mut Text, takes_ttl: bool) {
        let mut word = " USING ";
        if let Some(timestamp) = self.timestamp {
            text.push(&format!("{word}TIMESTAMP "));
            text.value(&Value::Long(timestamp));
            word = " AND ";
        }
        if let Some(ttl) = self.ttl.filter(|_| takes_ttl) {
            text.push(&format!("{word}TTL "));
            text.value(&Value::Int(ttl as i32));
        }
    }

    fn key_text(&self, table: &Table, text: &mut Text) {
        let mut and = " WHERE ";
        let whole = |key: &Key| Range { prefix: key.clone(), lower: None, upper: None };
        range_text(table, &table.partition_key(), &whole(&self.partition), text, &mut and);
        let range = match &self.action {
            Action::Insert(key, _) | Action::Update(key, _) | Action::DeleteColumns(key, _) => {
                key.as_ref().map(whole)
            }
            Action::DeleteRow(key) => Some(whole(key)),
            Action::DeleteRange(range) => Some(range.clone()),
            Action::DeletePartition => None,
        };
        if let Some(range) = range {
            range_text(table, &table.clustering(), &range, text, &mut and);
        }
    }

    /// What it does, carried out at that moment.
    pub fn mutation(&self, table: &Table, moment: Moment) -> Mutation {
        let mut changes = Vec::new();
        let at = self.timestamp.unwrap_or(moment.timestamp);
        let writer = Writer { table, at, moment, ttl: self.ttl.filter(|ttl| *ttl > 0) };
        match &self.action {
            Action::Insert(key, cells) => {
                if let Some(key) = key {
                    let liveness = RowChange::Liveness(writer.cell(None));
                    changes.push(Change::Row(Some(key.clone()), liveness));
                }
                for (column, value) in cells {
                    let key = writer.key_for(*column, key);
                    let mut changed = |change| changes.push(Change::Row(key.clone(), change));
                    writer.assign(*column, &Assignment::Set(value.clone()), &mut changed);
                }
            }
            Action::Update(key, assignments) => {
                for (column, assignment) in assignments {
                    let key = writer.key_for(*column, key);
                    let mut changed = |change| changes.push(Change::Row(key.clone(), change));
                    writer.assign(*column, assignment, &mut changed);
                }
            }
            Action::DeleteColumns(key, columns) => {
                for (column, element) in columns {
                    let change = match element {
                        Some(element) => RowChange::Element(
                            *column,
                            Path::Key(element.clone()),
                            writer.tombstone(),
                        ),
                        None if table.columns[*column].kind.is_multi_cell() => {
                            RowChange::Clear(*column, at)
                        }
                        None => RowChange::Cell(*column, writer.tombstone()),
                    };
                    changes.push(Change::Row(writer.key_for(*column, key), change));
                }
            }
            Action::DeleteRow(key) => {
                changes.push(Change::Row(Some(key.clone()), RowChange::Delete(at)))
            }
            Action::DeleteRange(range) => changes.push(Change::DeleteRange(range.clone(), at)),
            Action::DeletePartition => changes.push(Change::DeletePartition(at)),
        }
        Mutation { partition: self.partition.clone(), changes }
    }
}

impl Assignment {
    fn text(&self, name: &str, text: &mut Text) {
        match self {
            Assignment::Set(value) => {
                text.push(&format!("{name} = "));
                text.optional(value.as_ref());
            }
            Assignment::Add(value) => {
                text.push(&format!("{name} = {name} + "));
                text.value(value);
            }
            Assignment::Prepend(values) => {
                text.push(&format!("{name} = "));
                text.value(&Value::List(values.clone()));
                text.push(&format!(" + {name}"));
            }
            Assignment::Remove(value) => {
                text.push(&format!("{name} = {name} - "));
                text.value(&Value::Set([value.clone()].into()));
            }
            Assignment::Put(key, value) => {
                text.push(&format!("{name}["));
                text.value(key);
                text.push("] = ");
                text.value(value);
            }
        }
    }
}

struct Writer<'a> {
    table: &'a Table,
    at: i64,
    moment: Moment,
    ttl: Option<i64>,
}

impl Writer<'_> {
    /// The row that a column of it is in: none for a static one.
    fn key_for(&self, column: ColumnNumber, key: &Option<Key>) -> Option<Key> {
        let is_static = self.table.statics().contains(&column);
        key.clone().filter(|_| !is_static)
    }

    fn cell(&self, value: Option<Value>) -> Cell {
        let timestamp = self.at;
        match self.ttl {
            None => Cell { timestamp, state: State::Live, at: 0, ttl: 0, value },
            Some(ttl) => {
                let at = self.moment.now + ttl;
                Cell { timestamp, state: State::Expiring, at, ttl, value }
            }
        }
    }

    fn tombstone(&self) -> Cell {
        let (timestamp, at) = (self.at, self.moment.now);
        Cell { timestamp, state: State::Tombstone, at, ttl: 0, value: None }
    }

    fn assign(
        &self,
        column: ColumnNumber,
        assignment: &Assignment,
        changed: &mut dyn FnMut(RowChange),
    ) {
        let kind = self.table.columns[column].kind;
        match assignment {
            Assignment::Set(value) if kind.is_multi_cell() => {
                changed(RowChange::Clear(column, self.at - 1));
                if let Some(value) = value {
                    self.add(column, value, false, changed);
                }
            }
            Assignment::Set(Some(value)) => {
                changed(RowChange::Cell(column, self.cell(Some(value.clone()))));
            }
            Assignment::Set(None) => changed(RowChange::Cell(column, self.tombstone())),
            Assignment::Add(Value::Long(by)) => {
                changed(RowChange::Count(column, *by, self.at));
            }
            Assignment::Add(value) => self.add(column, value, false, changed),
            Assignment::Prepend(values) => {
                self.add(column, &Value::List(values.clone()), true, changed);
            }
            Assignment::Remove(key) => {
                changed(RowChange::Element(column, Path::Key(key.clone()), self.tombstone()));
            }
            Assignment::Put(key, value) => {
                let cell = self.cell(Some(value.clone()));
                changed(RowChange::Element(column, Path::Key(key.clone()), cell));
            }
        }
    }

    fn add(
        &self,
        column: ColumnNumber,
        value: &Value,
        in_front: bool,
        changed: &mut dyn FnMut(RowChange),
    ) {
        match value {
            Value::List(values) => {
                let first = (self.moment.number * MOST_ADDED + self.moment.place) * MOST_ADDED;
                for (i, value) in values.iter().enumerate() {
                    let place = if in_front { -first - MOST_ADDED } else { first } + i as i64;
                    let cell = self.cell(Some(value.clone()));
                    changed(RowChange::Element(column, Path::Grown(place), cell));
                }
            }
            Value::Set(values) => {
                for value in values {
                    changed(RowChange::Element(column, Path::Key(value.clone()), self.cell(None)));
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    let cell = self.cell(Some(value.clone()));
                    changed(RowChange::Element(column, Path::Key(key.clone()), cell));
                }
            }
            other => unreachable!("{other} has no elements"),
        }
    }
}
