//! What is wrong with a text, and where.

use std::fmt;

use crate::hint::hint;
use crate::input::{Input, Refusal, Trace};
use crate::lexer::{Flaw, Kind, Token};

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

    /// The error of a failed parse of `source`.
    pub(crate) fn of(source: &str, trace: &Trace) -> ParseError {
        if let Some(refusal) = trace.take_refusal() {
            return ParseError::refused(source, refusal);
        }
        let (offset, expected) = trace.furthest();
        let probe = Trace::default();
        let token = Input::new(source, offset, &probe);
        if let Kind::Bad(flaw) = token.kind() {
            return ParseError::flawed(source, token.token, flaw);
        }
        let hint = hint(&token, &expected);
        let mut error = ParseError::at(source, token.token);
        error.found = found(&token);
        error.expected = expected;
        error.hint = hint;
        error
    }

    /// The error of a text that is too long.
    pub(crate) fn too_long(source: &str, limit: usize) -> ParseError {
        let mut error = ParseError::at(source, Token { kind: Kind::End, start: 0, end: 0 });
        error.message = Some(format!("statement of {} bytes is longer than {limit}", source.len()));
        error.hint = Some("split it, or bind large values instead of writing them".to_string());
        error
    }

    fn refused(source: &str, refusal: Refusal) -> ParseError {
        let token = Token { kind: Kind::End, start: refusal.start, end: refusal.end };
        let mut error = ParseError::at(source, token);
        error.message = Some(refusal.message);
        error.hint = refusal.hint;
        error.class = refusal.class;
        error
    }

    fn flawed(source: &str, token: Token, flaw: Flaw) -> ParseError {
        let text = text_of(source, token);
        let mut error = ParseError::at(source, token);
        let (message, hint) = match flaw {
            Flaw::OpenText => (
                "this text has no closing '".to_string(),
                Some("a ' inside text is written twice: ''"),
            ),
            Flaw::OpenDollarText => ("this text has no closing $$".to_string(), None),
            Flaw::OpenName => ("this name has no closing \"".to_string(), None),
            Flaw::OpenComment => ("this comment has no closing */".to_string(), None),
            Flaw::Number => {
                let hint =
                    "a name that begins with a digit goes in double quotes, text in single quotes";
                (format!("{} is no number, duration or UUID", shortened(text)), Some(hint))
            }
            Flaw::Character => {
                (format!("{} has no meaning here", shortened(text)), character_hint(text))
            }
        };
        error.message = Some(message);
        error.hint = hint.map(str::to_string);
        error
    }

    fn at(source: &str, token: Token) -> ParseError {
        let offset = (token.start as usize).min(source.len());
        let before = source.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ParseError {
            offset,
            length: token.end.saturating_sub(token.start),
            line: before.bytes().filter(|&byte| byte == b'\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
            expected: Vec::new(),
            found: String::new(),
            message: None,
            hint: None,
            class: Class::Syntax,
        }
    }
}

fn character_hint(text: &str) -> Option<&'static str> {
    match text.chars().next()? {
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '`' | '\u{b4}' => {
            Some("quotes must be straight: 'text', \"name\"")
        }
        '\u{2013}' | '\u{2014}' | '\u{2212}' => Some("a minus is -"),
        '\u{a0}' | '\u{200b}' | '\u{2009}' | '\u{3000}' => {
            Some("it is a blank of another kind: use a plain space")
        }
        '!' => Some("not equal is written !="),
        '#' => Some("comments begin with -- or //, or stand between /* and */"),
        character if character.is_alphabetic() => {
            Some("a name with such letters goes in double quotes")
        }
        _ => None,
    }
}

fn text_of(source: &str, token: Token) -> &str {
    source.get(token.start as usize..token.end as usize).unwrap_or_default()
}

/// What stands at a token, in quotes.
fn found(input: &Input<'_>) -> String {
    if input.kind() == Kind::End { "the end".to_string() } else { shortened(input.text()) }
}

/// Text in quotes, on one line, and not too long.
fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    let head: String = line.chars().take(MAX_CHARACTERS).collect();
    let escaped = if head.chars().all(|c| !c.is_control()) {
        head.clone()
    } else {
        head.escape_debug().to_string()
    };
    if head.len() < text.len() { format!("'{escaped}...'") } else { format!("'{escaped}'") }
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
