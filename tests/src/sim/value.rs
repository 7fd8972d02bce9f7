//! Values, as the simulated clients know them: their order, their text in CQL, and their bytes in the protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `int`
    Int,
    /// `text`
    Text,
    /// `counter`
    Counter,
    /// `list<int>`, element by element.
    List,
    /// `set<int>`, element by element.
    Set,
    /// `map<int, text>`, element by element.
    Map,
    /// `frozen<list<int>>`: one value.
    FrozenList,
}

impl Type {
    /// Whether its elements are cells of their own.
    pub fn is_multi_cell(self) -> bool {
        matches!(self, Type::List | Type::Set | Type::Map)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Int => "int",
            Type::Text => "text",
            Type::Counter => "counter",
            Type::List => "list<int>",
            Type::Set => "set<int>",
            Type::Map => "map<int, text>",
            Type::FrozenList => "frozen<list<int>>",
        })
    }
}

/// A value. Values of one type are ordered as CQL orders them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A number.
    Int(i32),
    /// A longer number: counters, timestamps, tokens, numbers of rows.
    Long(i64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A set.
    Set(BTreeSet<Value>),
    /// A map.
    Map(BTreeMap<Value, Value>),
}

impl Value {
    /// The protocol's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&mut out);
        out
    }

    fn append(&self, out: &mut Vec<u8>) {
        match self {
            Value::Int(number) => out.extend_from_slice(&number.to_be_bytes()),
            Value::Long(number) => out.extend_from_slice(&number.to_be_bytes()),
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::List(values) => elements(values.len(), values.iter(), out),
            Value::Set(values) => elements(values.len(), values.iter(), out),
            Value::Map(entries) => {
                elements(entries.len(), entries.iter().flat_map(|(k, v)| [k, v]), out);
            }
        }
    }
}

fn elements<'a>(count: usize, values: impl Iterator<Item = &'a Value>, out: &mut Vec<u8>) {
    out.extend_from_slice(&(count as i32).to_be_bytes());
    for value in values {
        let bytes = value.bytes();
        out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
}

/// As a literal of CQL.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: Vec<String>, open, close| {
            write!(f, "{open}{}{close}", values.join(", "))
        };
        match self {
            Value::Int(number) => number.fmt(f),
            Value::Long(number) => number.fmt(f),
            Value::Text(text) => write!(f, "'{text}'"),
            Value::List(values) => list(f, values.iter().map(Value::to_string).collect(), '[', ']'),
            Value::Set(values) => list(f, values.iter().map(Value::to_string).collect(), '{', '}'),
            Value::Map(entries) => {
                let entry = |(key, value): (&Value, &Value)| format!("{key}: {value}");
                list(f, entries.iter().map(entry).collect(), '{', '}')
            }
        }
    }
}
