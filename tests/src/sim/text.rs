//! A statement's text, once with its values written out and once with markers for them.

use std::fmt::Write as _;

use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::values::ValueList;

use super::value::Value;

/// A statement.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// With its values.
    pub plain: String,
    /// With markers.
    pub marked: String,
    /// What is bound to them.
    pub bound: Vec<Option<Vec<u8>>>,
}

impl Text {
    /// Goes on with that text.
    pub fn push(&mut self, text: &str) {
        self.plain.push_str(text);
        self.marked.push_str(text);
    }

    /// Goes on with a value.
    pub fn value(&mut self, value: &Value) {
        write!(self.plain, "{value}").expect("to a string");
        self.marked.push('?');
        self.bound.push(Some(value.bytes()));
    }

    /// Goes on with a value, or null.
    pub fn optional(&mut self, value: Option<&Value>) {
        match value {
            Some(value) => self.value(value),
            None => {
                self.plain.push_str("null");
                self.marked.push('?');
                self.bound.push(None);
            }
        }
    }

    /// Goes on with `(1, 2, 3)`.
    pub fn values(&mut self, values: &[&Value]) {
        self.push("(");
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.value(value);
        }
        self.push(")");
    }

    /// What a request binds.
    pub fn bound(&self) -> ValueList {
        let mut list = ValueList::positional();
        for value in &self.bound {
            let raw = value.as_deref().map_or(RawValue::Null, RawValue::Bytes);
            list.push(raw).expect("statements have few markers");
        }
        list
    }
}
