//! What a SELECT must answer.
//!
//! Rows come with their place in the order of the whole answer, so that a page is what lies beyond the last place that the
//! page before has told of, whatever happened in between:
//!
//! ```text
//! SELECT * FROM t, pages of 2:   (p1, c1) (p1, c2) | then (p1, c3) is written, (p2, c1) deleted | (p1, c3) (p3, c1)
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Content, Key, LivingCell, Range};
use super::table::{ColumnNumber, Role, Table};
use super::text::Text;
use super::value::Value;

/// What is told of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// A column's value.
    Column(ColumnNumber),
    /// When it was written.
    WriteTime(ColumnNumber),
    /// How many seconds it has left.
    Ttl(ColumnNumber),
}

/// Which partitions are read.
#[derive(Clone, Debug)]
pub enum Partitions {
    /// All, in the ring's order.
    All,
    /// Those whose tokens are above the first and up to the second.
    Tokens(i64, i64),
    /// These, in the order of the answer.
    Keys(Vec<Key>),
}

/// Which rows of them.
#[derive(Clone, Debug)]
pub enum Rows {
    /// All, and the static part of a partition without rows.
    All,
    /// Those of a range.
    Range(Range),
    /// Those whose clustering key begins so, and goes on with one of these.
    In(Key, Vec<Value>),
}

/// A SELECT.
#[derive(Clone, Debug)]
pub struct Select {
    /// What is told.
    pub told: Vec<Told>,
    /// Whether that is written as `*`.
    pub star: bool,
    /// `count(*)` alone.
    pub count: bool,
    /// One row of each partition: `told` names key and static columns.
    pub distinct: bool,
    /// Partitions.
    pub partitions: Partitions,
    /// Rows.
    pub rows: Rows,
    /// Only rows whose regular `int` column has at least that value.
    pub at_least: Option<(ColumnNumber, Value)>,
    /// Clusterings backwards.
    pub reversed: bool,
    /// Rows in all.
    pub limit: Option<usize>,
    /// Rows of each partition.
    pub per_partition: Option<usize>,
}

impl Select {
    /// Everything in a table, with all that is known of it.
    pub fn everything(table: &Table) -> Select {
        let mut told: Vec<Told> = table.all().into_iter().map(Told::Column).collect();
        for column in [table.statics(), table.regulars()].concat() {
            let kind = table.columns[column].kind;
            if !kind.is_multi_cell() && !table.is_counter() {
                told.extend([Told::WriteTime(column), Told::Ttl(column)]);
            }
        }
        Select {
            told,
            star: false,
            count: false,
            distinct: false,
            partitions: Partitions::All,
            rows: Rows::All,
            at_least: None,
            reversed: false,
            limit: None,
            per_partition: None,
        }
    }

    /// Its text.
    pub fn text(&self, table: &Table) -> Text {
        let mut text = Text::default();
        text.push("SELECT ");
        if self.distinct {
            text.push("DISTINCT ");
        }
        text.push(&self.told_text(table));
        text.push(&format!(" FROM k.{}", table.name));
        let mut and = " WHERE ";
        self.partitions_text(table, &mut text, &mut and);
        self.rows_text(table, &mut text, &mut and);
        if let Some((column, value)) = &self.at_least {
            text.push(&format!("{and}{} >= ", table.name_of(*column)));
            text.value(value);
        }
        if self.reversed {
            let first = table.clustering()[0];
            let ascends =
                matches!(table.columns[first].role, Role::Clustering { descending: true });
            let way = if ascends { "ASC" } else { "DESC" };
            text.push(&format!(" ORDER BY {} {way}", table.name_of(first)));
        }
        if let Some(limit) = self.per_partition {
            text.push(" PER PARTITION LIMIT ");
            text.value(&Value::Int(limit as i32));
        }
        if let Some(limit) = self.limit {
            text.push(" LIMIT ");
            text.value(&Value::Int(limit as i32));
        }
        let is_filtered = self.at_least.is_some()
            || (!matches!(self.rows, Rows::All) && !matches!(self.partitions, Partitions::Keys(_)));
        if is_filtered {
            text.push(" ALLOW FILTERING");
        }
        text
    }

    fn told_text(&self, table: &Table) -> String {
        if self.count {
            return "count(*)".to_string();
        }
        if self.star {
            return "*".to_string();
        }
        let told = |told: &Told| match told {
            Told::Column(column) => table.name_of(*column).to_string(),
            Told::WriteTime(column) => format!("writetime({})", table.name_of(*column)),
            Told::Ttl(column) => format!("ttl({})", table.name_of(*column)),
        };
        self.told.iter().map(told).collect::<Vec<String>>().join(", ")
    }

    fn partitions_text(&self, table: &Table, text: &mut Text, and: &mut &str) {
        let columns = table.partition_key();
        match &self.partitions {
            Partitions::All => {}
            Partitions::Tokens(above, up_to) => {
                let names: Vec<&str> = columns.iter().map(|c| table.name_of(*c)).collect();
                let names = names.join(", ");
                text.push(&format!("{and}token({names}) > "));
                text.value(&Value::Long(*above));
                text.push(&format!(" AND token({names}) <= "));
                text.value(&Value::Long(*up_to));
                *and = " AND ";
            }
            Partitions::Keys(keys) => {
                for (i, column) in columns.iter().enumerate() {
                    let name = table.name_of(*column);
                    // Only the last column of the key has several values.
                    if keys.len() == 1 || i + 1 < columns.len() {
                        text.push(&format!("{and}{name} = "));
                        text.value(&keys[0][i]);
                    } else {
                        let values: Vec<&Value> = keys.iter().map(|key| &key[i]).collect();
                        text.push(&format!("{and}{name} IN "));
                        text.values(&values);
                    }
                    *and = " AND ";
                }
            }
        }
    }

    fn rows_text(&self, table: &Table, text: &mut Text, and: &mut &str) {
        let columns = table.clustering();
        let prefix = match &self.rows {
            Rows::All => return,
            Rows::Range(range) => &range.prefix,
            Rows::In(prefix, _) => prefix,
        };
        range_text(
            table,
            &columns,
            &Range { prefix: prefix.clone(), lower: None, upper: None },
            text,
            and,
        );
        let Some(next) = columns.get(prefix.len()) else { return };
        let name = table.name_of(*next);
        match &self.rows {
            Rows::In(_, values) => {
                text.push(&format!("{and}{name} IN "));
                text.values(&values.iter().collect::<Vec<&Value>>());
                *and = " AND ";
            }
            Rows::Range(range) => {
                let bounds = Range { prefix: Vec::new(), ..range.clone() };
                range_text(table, &columns[prefix.len()..], &bounds, text, and);
            }
            Rows::All => {}
        }
    }

    /// The order of the table's clusterings, or against it.
    fn order(&self, table: &Table, key: &[Value]) -> Vec<Ordered> {
        let columns = table.clustering();
        let ordered = |(value, column): (&Value, &ColumnNumber)| {
            let descends =
                matches!(table.columns[*column].role, Role::Clustering { descending: true });
            if descends != self.reversed {
                Ordered::Descending(Reverse(value.clone()))
            } else {
                Ordered::Ascending(value.clone())
            }
        };
        key.iter().zip(&columns).map(ordered).collect()
    }

    fn wants(&self, key: &[Value], cells: &BTreeMap<ColumnNumber, LivingCell>) -> bool {
        let is_in = match &self.rows {
            Rows::All => true,
            Rows::Range(range) => range.covers(key),
            Rows::In(prefix, values) => key
                .strip_prefix(prefix.as_slice())
                .and_then(|rest| rest.first())
                .is_some_and(|value| values.contains(value)),
        };
        is_in
            && self.at_least.as_ref().is_none_or(|(column, least)| {
                cells.get(column).and_then(|cell| cell.value.as_ref()).is_some_and(|v| v >= least)
            })
    }

    fn partitions(&self, table: &Table, content: &Content) -> Vec<((i64, Vec<u8>), Key)> {
        let placed = |key: &Key| (table.place(key), key.clone());
        let mut keys: Vec<((i64, Vec<u8>), Key)> = match &self.partitions {
            Partitions::All => content.keys().map(placed).collect(),
            Partitions::Tokens(above, up_to) => {
                let is_between =
                    |((token, _), _): &((i64, Vec<u8>), Key)| token > above && token <= up_to;
                content.keys().map(placed).filter(is_between).collect()
            }
            Partitions::Keys(keys) => {
                let numbered = |(i, key): (usize, &Key)| ((i as i64, Vec::new()), key.clone());
                keys.iter().enumerate().map(numbered).collect()
            }
        };
        keys.sort();
        keys
    }

    /// All rows of the answer without LIMIT, in order; those of a partition are no more than PER PARTITION LIMIT.
    fn all_rows(
        &self,
        table: &Table,
        content: &Content,
        now: i64,
        after: Option<&Place>,
    ) -> Vec<ToldRow> {
        let mut answer = Vec::new();
        for (order, key) in self.partitions(table, content) {
            let Some(living) = content.read(table, &key, now) else { continue };
            let mut rows: Vec<ToldRow> = Vec::new();
            if self.distinct {
                if !living.rows.is_empty() || !living.statics.is_empty() {
                    let cells = self.cells(table, &key, None, &living.statics, &BTreeMap::new());
                    let place = Place { partition: order.clone(), row: Vec::new(), told: 0 };
                    rows.push((place, cells));
                }
            } else {
                for (clustering, cells) in &living.rows {
                    if self.wants(clustering, cells) {
                        let cells =
                            self.cells(table, &key, Some(clustering), &living.statics, cells);
                        let row = self.order(table, clustering);
                        rows.push((Place { partition: order.clone(), row, told: 0 }, cells));
                    }
                }
                let is_static_alone = living.rows.is_empty() && !living.statics.is_empty();
                if is_static_alone && matches!(self.rows, Rows::All) && self.at_least.is_none() {
                    let cells = self.cells(table, &key, None, &living.statics, &BTreeMap::new());
                    rows.push((
                        Place { partition: order.clone(), row: Vec::new(), told: 0 },
                        cells,
                    ));
                }
                rows.sort_by(|a, b| a.0.row.cmp(&b.0.row));
            }
            let mut told = 0;
            if let Some(after) = after {
                let beyond =
                    |row: &ToldRow| (&row.0.partition, &row.0.row) > (&after.partition, &after.row);
                rows.retain(beyond);
                told = if after.partition == order { after.told } else { 0 };
            }
            let limit = self.per_partition.map_or(usize::MAX, |limit| limit.saturating_sub(told));
            rows.truncate(limit);
            for row in &mut rows {
                told += 1;
                row.0.told = told;
            }
            answer.append(&mut rows);
        }
        answer
    }

    /// What is left of the answer after a place, of which so many rows were told before: the rows with their places.
    pub fn rest(
        &self,
        table: &Table,
        content: &Content,
        now: i64,
        after: Option<&Place>,
        told: usize,
    ) -> Vec<ToldRow> {
        let mut rows = self.all_rows(table, content, now, after);
        if self.count {
            let count = Value::Long(rows.len() as i64).bytes();
            let place = Place { partition: (0, Vec::new()), row: Vec::new(), told: 0 };
            return vec![(place, vec![Some(count)])];
        }
        rows.truncate(self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(told)));
        rows
    }

    fn cells(
        &self,
        table: &Table,
        partition: &[Value],
        clustering: Option<&Key>,
        statics: &BTreeMap<ColumnNumber, LivingCell>,
        regulars: &BTreeMap<ColumnNumber, LivingCell>,
    ) -> Vec<Option<Vec<u8>>> {
        let (first, second) = (table.partition_key(), table.clustering());
        let at = |column: ColumnNumber| statics.get(&column).or_else(|| regulars.get(&column));
        let told = |told: &Told| -> Option<Vec<u8>> {
            match told {
                Told::Column(column) => {
                    if let Some(i) = first.iter().position(|key| key == column) {
                        return Some(partition[i].bytes());
                    }
                    if let Some(i) = second.iter().position(|key| key == column) {
                        return clustering.map(|key| key[i].bytes());
                    }
                    at(*column)?.value.as_ref().map(Value::bytes)
                }
                Told::WriteTime(column) => Some(Value::Long(at(*column)?.timestamp).bytes()),
                Told::Ttl(column) => at(*column)?.left.map(|left| Value::Int(left as i32).bytes()),
            }
        };
        self.told.iter().map(told).collect()
    }
}

/// ` AND a = 1 AND b > 2`: the columns that a range names.
pub fn range_text(
    table: &Table,
    columns: &[ColumnNumber],
    range: &Range,
    text: &mut Text,
    and: &mut &str,
) {
    let mut compare = |column: ColumnNumber, operator: &str, value: &Value| {
        text.push(&format!("{and}{} {operator} ", table.name_of(column)));
        text.value(value);
        *and = " AND ";
    };
    for (column, value) in columns.iter().zip(&range.prefix) {
        compare(*column, "=", value);
    }
    if let Some(next) = columns.get(range.prefix.len()) {
        if let Some((bound, included)) = &range.lower {
            compare(*next, if *included { ">=" } else { ">" }, bound);
        }
        if let Some((bound, included)) = &range.upper {
            compare(*next, if *included { "<=" } else { "<" }, bound);
        }
    }
}

/// A row of an answer, with its place.
pub type ToldRow = (Place, Vec<Option<Vec<u8>>>);

/// Where a row is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    partition: (i64, Vec<u8>),
    /// Nothing for the static part alone.
    pub row: Vec<Ordered>,
    /// How many rows of its partition were told, with it.
    told: usize,
}

/// A value in the order of its column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ordered {
    /// The smallest first.
    Ascending(Value),
    /// The greatest first.
    Descending(Reverse<Value>),
}

/// Rows as text, for people: what bytes there are of each cell.
pub fn show(rows: &[Vec<Option<Vec<u8>>>]) -> String {
    let mut out = String::new();
    for row in rows {
        out.push('(');
        for (i, cell) in row.iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            match cell {
                None => out.push('-'),
                Some(bytes) => show_cell(bytes, &mut out),
            }
        }
        out.push(')');
    }
    out
}

fn show_cell(bytes: &[u8], out: &mut String) {
    let written = match (<[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
        (Ok(four), _) => write!(out, "{}", i32::from_be_bytes(four)),
        (_, Ok(eight)) => write!(out, "{}", i64::from_be_bytes(eight)),
        _ if bytes.iter().all(u8::is_ascii_alphanumeric) => {
            write!(out, "'{}'", String::from_utf8_lossy(bytes))
        }
        _ => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
    };
    written.expect("to a string");
}
