//! What is wrong with a text, and where.

use std::fmt;

/// Something that could have stood where something else was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// A keyword, in upper case.
    Keyword(&'static str),
    /// A punctuation mark.
    Symbol(&'static str),
    /// Something by its description, such as `a column name`.
    Thing(&'static str),
    /// Any statement.
    Statement,
    /// The end of the statement.
    End,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Keyword(word) => f.write_str(word),
            Expected::Symbol(symbol) => write!(f, "'{symbol}'"),
            Expected::Thing(thing) => f.write_str(thing),
            Expected::Statement => f.write_str("a statement"),
            Expected::End => f.write_str("the end of the statement"),
        }
    }
}

/// What is wrong with: the text, or what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// It is no CQL.
    #[default]
    Syntax,
    /// It is CQL, and makes no sense whatever the schema is, such as a table without PRIMARY KEY. Cassandra parses such
    /// statements and answers Invalid, which drivers turn into another exception.
    Meaning,
}

/// Why a text is no statement. Prints on one line, such as
/// ``line 1:10 expected ',', AS or FROM, found 'FORM'; did you mean `FROM`?``
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}:{column} {}{}", self.summary(), self.advice())]
pub struct ParseError {
    /// Offset in the source, in bytes, of what is wrong.
    pub offset: usize,
    /// Length of what is wrong, in bytes; zero at the end of the source.
    pub length: u32,
    /// Line of the offset, from 1.
    pub line: u32,
    /// Column of the offset in characters, from 1.
    pub column: u32,
    /// What could have stood there; empty when `message` says what is wrong.
    pub expected: Vec<Expected>,
    /// What was found there, shortened.
    pub found: String,
    /// What is wrong, where it is not that something else was expected.
    pub message: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// What kind of error it is.
    pub class: Class,
}

/// Most alternatives that a message lists.
const MAX_ALTERNATIVES: usize = 12;

impl ParseError {
    /// What is wrong, without place and hint.
    pub fn summary(&self) -> String {
        match &self.message {
            Some(message) => message.clone(),
            None => format!("expected {}, found {}", alternatives(&self.expected), self.found),
        }
    }

    fn advice(&self) -> String {
        self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
    }
}

/// `a, b or c`
fn alternatives(expected: &[Expected]) -> String {
    let mut names: Vec<String> =
        expected.iter().take(MAX_ALTERNATIVES).map(Expected::to_string).collect();
    if expected.len() > MAX_ALTERNATIVES {
        names.push("something else".to_string());
    }
    match names.split_last() {
        None => "something else".to_string(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
