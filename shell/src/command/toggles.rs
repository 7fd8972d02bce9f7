//! Commands that switch a setting or show what is: CONSISTENCY, SERIAL CONSISTENCY, TRACING, PAGING, EXPAND, TIMING,
//! FORMAT, SHOW. Without an argument each tells its setting.

use std::str::FromStr;

use tholos_grammar::consistency::Consistency;
use uuid::Uuid;

use super::error::CommandError;
use super::words::Word;
use super::{Command, Line, Paging};
use crate::output::{Expand, Format};

const SWITCH: [&str; 2] = ["ON", "OFF"];

/// Parses the commands of this file but SHOW.
pub(super) fn parse(mut line: Line) -> Result<Command, CommandError> {
    match line.command.as_str() {
        "CONSISTENCY" => Ok(Command::Consistency(level(&line, &levels())?)),
        "SERIAL" => {
            if !line.words.first().is_some_and(|word| word.is("CONSISTENCY")) {
                return Err(line.missing("CONSISTENCY: write SERIAL CONSISTENCY [level]"));
            }
            line.words.remove(0);
            line.command = "SERIAL CONSISTENCY".to_string();
            let levels = [Consistency::Serial.name(), Consistency::LocalSerial.name()];
            Ok(Command::SerialConsistency(level(&line, &levels)?))
        }
        "TRACING" => Ok(Command::Tracing(switch(&line)?)),
        "TIMING" => Ok(Command::Timing(switch(&line)?)),
        "PAGING" => paging(&line),
        "EXPAND" => expand(&line),
        "FORMAT" => format(&line),
        other => Err(CommandError::Unknown { name: other.to_string(), hint: None }),
    }
}

/// SHOW VERSION | HOST | SESSION id
pub(super) fn show(line: Line) -> Result<Command, CommandError> {
    let [what, rest @ ..] = line.words.as_slice() else {
        return Err(line.missing("VERSION, HOST or SESSION <id>"));
    };
    let rest = Line { command: format!("SHOW {}", what.text.to_uppercase()), words: rest.to_vec() };
    if what.is("VERSION") {
        rest.nothing(Command::ShowVersion)
    } else if what.is("HOST") {
        rest.nothing(Command::ShowHost)
    } else if what.is("SESSION") {
        let id = rest.at_most_one()?.ok_or_else(|| rest.missing("the id of a trace"))?;
        Uuid::parse_str(&id.text)
            .map(Command::ShowSession)
            .map_err(|_| CommandError::Session(id.text.clone()))
    } else {
        let mut error = line.wrong(what, &["VERSION", "HOST", "SESSION"]);
        const SCHEMA: [&str; 6] =
            ["TABLES", "KEYSPACES", "DATABASES", "SCHEMAS", "COLUMNS", "CREATE"];
        if let CommandError::Argument { hint, .. } = &mut error
            && SCHEMA.iter().any(|word| what.is(word))
        {
            let described = if what.is("TABLES") { "TABLES" } else { "KEYSPACES" };
            let described =
                if what.is("COLUMNS") || what.is("CREATE") { "TABLE name" } else { described };
            *hint = Some(format!("DESCRIBE {described}"));
        }
        Err(error)
    }
}

/// ON, OFF or nothing.
pub(super) fn switch(line: &Line) -> Result<Option<bool>, CommandError> {
    match line.at_most_one()? {
        None => Ok(None),
        Some(word) if word.is("ON") => Ok(Some(true)),
        Some(word) if word.is("OFF") => Ok(Some(false)),
        Some(word) => Err(line.wrong(word, &SWITCH)),
    }
}

/// EXPAND ON | OFF | AUTO
pub(super) fn expand(line: &Line) -> Result<Command, CommandError> {
    Ok(Command::Expand(match line.at_most_one()? {
        None => None,
        Some(word) if word.is("ON") => Some(Expand::On),
        Some(word) if word.is("OFF") => Some(Expand::Off),
        Some(word) if word.is("AUTO") => Some(Expand::Auto),
        Some(word) => return Err(line.wrong(word, &["ON", "OFF", "AUTO"])),
    }))
}

/// FORMAT name
pub(super) fn format(line: &Line) -> Result<Command, CommandError> {
    let Some(word) = line.at_most_one()? else { return Ok(Command::Format(None)) };
    match Format::from_str(&word.text) {
        Ok(format) => Ok(Command::Format(Some(format))),
        Err(_) => Err(line.wrong(word, &Format::ALL.map(Format::name))),
    }
}

fn paging(line: &Line) -> Result<Command, CommandError> {
    let parsed = |word: &Word| match word.text.parse::<i32>() {
        Ok(size) if size > 0 => Some(Paging::Size(size)),
        _ if word.is("ON") => Some(Paging::On),
        _ if word.is("OFF") => Some(Paging::Off),
        _ => None,
    };
    Ok(Command::Paging(match line.at_most_one()? {
        None => None,
        Some(word) => {
            Some(parsed(word).ok_or_else(|| line.wrong(word, &["ON", "OFF", "a number of rows"]))?)
        }
    }))
}

fn levels() -> Vec<&'static str> {
    Consistency::ALL.into_iter().map(Consistency::name).collect()
}

fn level(line: &Line, choices: &[&str]) -> Result<Option<Consistency>, CommandError> {
    let Some(word) = line.at_most_one()? else { return Ok(None) };
    match Consistency::from_str(&word.text) {
        Ok(level) if choices.contains(&level.name()) => Ok(Some(level)),
        _ => Err(line.wrong(word, choices)),
    }
}
