//! Commands of the shell, as cqlsh and psql have them: text to an enum, with errors of their own.
//!
//! `words` cuts a line into words, `toggles` parses what switches a setting, `files` what names a file, `backslash`
//! the short forms. COPY has options enough for a module of its own, [`crate::copy`]. What commands do is `shell`'s.

pub(crate) mod backslash;
pub(crate) mod error;
mod files;
mod toggles;
pub(crate) mod words;

use std::path::PathBuf;
use std::time::Duration;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;

use self::error::CommandError;
use self::words::{Word, words};
use crate::copy::CopyCommand;
use crate::input::LINE_COMMANDS;
use crate::output::{Expand, Format};
use crate::suggest::nearest;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// HELP [topic]
    Help(Option<String>),
    /// `\?`: the commands that begin with a backslash.
    BackslashHelp,
    Exit,
    Clear,
    /// CONSISTENCY [level]
    Consistency(Option<Consistency>),
    /// SERIAL CONSISTENCY [level]
    SerialConsistency(Option<Consistency>),
    Tracing(Option<bool>),
    /// PAGING [ON | OFF | n]
    Paging(Option<Paging>),
    Expand(Option<Expand>),
    /// `\x` alone
    SwitchExpand,
    Timing(Option<bool>),
    Format(Option<Format>),
    ShowVersion,
    ShowHost,
    /// `\conninfo`: both.
    ConnectionInfo,
    /// `\set`: all settings.
    Settings,
    /// SHOW SESSION id: a trace.
    ShowSession(uuid::Uuid),
    /// SOURCE file
    Source(PathBuf),
    /// CAPTURE: which file results go to.
    CaptureStatus,
    /// CAPTURE file, `\o file`
    Capture(PathBuf),
    /// CAPTURE OFF, `\o`
    CaptureOff,
    /// LOGIN user [password]
    Login {
        user: String,
        password: Option<String>,
    },
    /// `\e`: the last statement, in an editor.
    Edit,
    /// `\watch [seconds]`: the last statement, again and again.
    Watch(Duration),
    /// `\dt [keyspace]`: its tables.
    Tables(Option<Name>),
    /// `\! command`: a command of the system's shell, or that shell.
    System(String),
    /// `\echo text`
    Echo(String),
    /// A statement that a short form stands for.
    Statement(String),
    Copy(Box<CopyCommand>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    On,
    Off,
    Size(i32),
}

/// Parses a command. `text` is an item of kind command.
pub(crate) fn parse(text: &str) -> Result<Command, CommandError> {
    if let Some(rest) = text.strip_prefix('\\') {
        return backslash::parse(rest);
    }
    if let Some(rest) = text.strip_prefix('?') {
        return Ok(Command::Help(topic(rest)));
    }
    let mut words = words(text)?;
    if words.is_empty() {
        return Ok(Command::Help(None));
    }
    let first = words.remove(0).text.to_ascii_uppercase();
    let line = Line { command: first.clone(), words };
    match first.as_str() {
        "HELP" => Ok(Command::Help(topic(text.get(first.len()..).unwrap_or_default()))),
        "EXIT" | "QUIT" => line.nothing(Command::Exit),
        "CLEAR" | "CLS" => line.nothing(Command::Clear),
        "SOURCE" => files::source(line),
        "CAPTURE" => files::capture(line),
        "LOGIN" => login(line),
        "COPY" => Ok(Command::Copy(Box::new(CopyCommand::parse(text)?))),
        "SHOW" => toggles::show(line),
        _ => toggles::parse(line),
    }
}

fn topic(rest: &str) -> Option<String> {
    Some(rest.trim().trim_end_matches(';').to_string()).filter(|topic| !topic.is_empty())
}

fn login(line: Line) -> Result<Command, CommandError> {
    let mut words = line.words.iter();
    let user = words.next().ok_or_else(|| line.missing("the user's name"))?.text.clone();
    let password = words.next().map(|word| word.text.clone());
    match words.next() {
        None => Ok(Command::Login { user, password }),
        Some(word) => Err(line.extra("the password", word)),
    }
}

/// A command's words behind its name.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The name, for errors.
    pub(crate) command: String,
    pub(crate) words: Vec<Word>,
}

impl Line {
    /// The command, which takes nothing.
    pub(crate) fn nothing(&self, command: Command) -> Result<Command, CommandError> {
        match self.words.first() {
            None => Ok(command),
            Some(word) => Err(self.extra(&self.command, word)),
        }
    }

    /// The only word, if there is one.
    pub(crate) fn at_most_one(&self) -> Result<Option<&Word>, CommandError> {
        match self.words.as_slice() {
            [] => Ok(None),
            [word] => Ok(Some(word)),
            [word, extra, ..] => Err(self.extra(&word.text, extra)),
        }
    }

    pub(crate) fn missing(&self, what: &'static str) -> CommandError {
        CommandError::Missing { command: self.command.clone(), what }
    }

    pub(crate) fn extra(&self, last: &str, found: &Word) -> CommandError {
        CommandError::Extra {
            command: self.command.clone(),
            last: last.to_string(),
            found: found.text.clone(),
        }
    }

    /// The error of a word that is none of `choices`.
    pub(crate) fn wrong(&self, word: &Word, choices: &[&str]) -> CommandError {
        let takes = match choices.split_last() {
            Some((last, [])) => (*last).to_string(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => "nothing".to_string(),
        };
        CommandError::Argument {
            command: self.command.clone(),
            takes,
            found: word.text.clone(),
            hint: nearest(&word.text, choices.iter().copied()).map(str::to_string),
        }
    }
}

/// What to do about text that is no statement, if it looks like a command: of this shell, mistyped, or of another.
pub(crate) fn meant(text: &str) -> Option<String> {
    if text.starts_with(['.', '!']) {
        return Some("short forms begin with a backslash here: \\? lists them".to_string());
    }
    let first = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let name = nearest(first, LINE_COMMANDS.into_iter().chain(["COPY", "DESCRIBE"]))
        .filter(|_| first.len() > 2)?;
    Some(format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests;
