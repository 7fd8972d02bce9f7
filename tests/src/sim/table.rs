//! A table's definition, as the simulated clients know it.

use std::fmt::Write as _;

use tholos_grammar::token::{Token, encode_partition_key};

use super::value::{Type, Value};

/// What a column is in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Part of the partition key.
    Partition,
    /// Part of the clustering key, in descending order if so said.
    Clustering {
        /// From the largest to the smallest.
        descending: bool,
    },
    /// One value per partition.
    Static,
    /// One value per row.
    Regular,
}

/// A column. Its number is its place in [`Table::columns`], for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// What it is.
    pub role: Role,
    /// It was dropped.
    pub is_dropped: bool,
    /// It was dropped with a timestamp: if one of its name is added, it is this one again. Otherwise it is a new one.
    pub may_return: bool,
    /// What was written up to that timestamp is not there: the column was dropped with it.
    pub floor: i64,
}

/// The number of a column.
pub type ColumnNumber = usize;

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, dropped ones too: key columns come first, in their order.
    pub columns: Vec<Column>,
    /// How long tombstones are kept, in seconds.
    pub gc_grace: i64,
}

impl Table {
    /// Numbers of the columns of that role, in order.
    pub fn of(&self, wanted: fn(Role) -> bool) -> Vec<ColumnNumber> {
        let there = |(_, column): &(usize, &Column)| !column.is_dropped && wanted(column.role);
        self.columns.iter().enumerate().filter(there).map(|(number, _)| number).collect()
    }

    /// Columns of the partition key.
    pub fn partition_key(&self) -> Vec<ColumnNumber> {
        self.of(|role| role == Role::Partition)
    }

    /// Columns of the clustering key.
    pub fn clustering(&self) -> Vec<ColumnNumber> {
        self.of(|role| matches!(role, Role::Clustering { .. }))
    }

    /// Static columns.
    pub fn statics(&self) -> Vec<ColumnNumber> {
        self.of(|role| role == Role::Static)
    }

    /// Regular columns.
    pub fn regulars(&self) -> Vec<ColumnNumber> {
        self.of(|role| role == Role::Regular)
    }

    /// Whether its columns count.
    pub fn is_counter(&self) -> bool {
        self.columns.iter().any(|column| column.kind == Type::Counter)
    }

    /// The columns of `SELECT *`: keys, then statics and the rest, each by name.
    pub fn all(&self) -> Vec<ColumnNumber> {
        let by_name = |mut numbers: Vec<ColumnNumber>| {
            numbers.sort_by(|a, b| self.columns[*a].name.cmp(&self.columns[*b].name));
            numbers
        };
        let keys = [self.partition_key(), self.clustering()].concat();
        [keys, by_name(self.statics()), by_name(self.regulars())].concat()
    }

    /// A column's name.
    pub fn name_of(&self, number: ColumnNumber) -> &str {
        &self.columns[number].name
    }

    /// Where a partition is in the ring, and its key's bytes: the order of a read of everything.
    pub fn place(&self, partition: &[Value]) -> (i64, Vec<u8>) {
        let components: Vec<Vec<u8>> = partition.iter().map(Value::bytes).collect();
        let mut key = Vec::new();
        encode_partition_key(&components, &mut key).expect("keys are short");
        (Token::of(&key).0, key)
    }

    /// CREATE TABLE.
    pub fn create_text(&self) -> String {
        let mut text = format!("CREATE TABLE k.{} (", self.name);
        for column in &self.columns {
            let stays = if column.role == Role::Static { " static" } else { "" };
            write!(text, "{} {}{stays}, ", column.name, column.kind).expect("to a string");
        }
        let names = |numbers: &[ColumnNumber]| {
            let names: Vec<&str> = numbers.iter().map(|number| self.name_of(*number)).collect();
            names.join(", ")
        };
        let (partition, clustering) = (self.partition_key(), self.clustering());
        write!(text, "PRIMARY KEY (({})", names(&partition)).expect("to a string");
        if !clustering.is_empty() {
            write!(text, ", {}", names(&clustering)).expect("to a string");
        }
        write!(text, ")) WITH gc_grace_seconds = {}", self.gc_grace).expect("to a string");
        let way = |number: &ColumnNumber| match self.columns[*number].role {
            Role::Clustering { descending: true } => format!("{} DESC", self.name_of(*number)),
            _ => format!("{} ASC", self.name_of(*number)),
        };
        if !clustering.is_empty() {
            let ways: Vec<String> = clustering.iter().map(way).collect();
            write!(text, " AND CLUSTERING ORDER BY ({})", ways.join(", ")).expect("to a string");
        }
        text
    }

    /// Adds a column, or brings back the one of that name.
    pub fn add(&mut self, added: &Column) {
        let returns = |column: &&mut Column| {
            column.is_dropped && column.may_return && column.name == added.name
        };
        match self.columns.iter_mut().find(returns) {
            Some(column) => column.is_dropped = false,
            None => self.columns.push(Column {
                is_dropped: false,
                may_return: false,
                floor: i64::MIN,
                ..added.clone()
            }),
        }
    }

    /// Drops a column. What was written to it above the timestamp, if there is one, comes back with it.
    pub fn drop(&mut self, number: ColumnNumber, timestamp: Option<i64>) {
        let column = &mut self.columns[number];
        column.is_dropped = true;
        column.may_return = timestamp.is_some();
        column.floor = column.floor.max(timestamp.unwrap_or(i64::MIN));
    }

    /// Columns that were dropped, and whose names are free.
    pub fn dropped(&self) -> Vec<&Column> {
        let is_free = |name: &str| !self.columns.iter().any(|c| !c.is_dropped && c.name == name);
        self.columns.iter().filter(|column| column.is_dropped && is_free(&column.name)).collect()
    }
}
