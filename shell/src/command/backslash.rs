//! The short forms, which psql's users have in their fingers: `\d`, `\dt`, `\x` and the like.

use std::time::Duration;

use tholos_grammar::name::Name;

use super::error::CommandError;
use super::words::{Word, path, words};
use super::{Command, Line, toggles};
use crate::copy::CopyCommand;
use crate::output::Expand;
use crate::suggest::nearest;

/// Name, arguments and meaning of each: what `\?` prints.
pub(crate) const FORMS: [(&str, &str, &str); 22] = [
    ("d", "[NAME]", "describe a table, type, keyspace, ...; without a name list the tables"),
    (
        "dt",
        "[KEYSPACE]",
        "list tables: of that keyspace, else of the one in use, else of all but the system's",
    ),
    ("d+", "[NAME]", "the same"),
    ("dT", "", "list user types"),
    ("dn", "", "list keyspaces"),
    ("l", "", "list keyspaces"),
    ("c", "KEYSPACE", "use a keyspace"),
    ("x", "[on|off|auto]", "print rows expanded (EXPAND); without an argument switch"),
    ("timing", "[on|off]", "show how long statements take; without an argument switch"),
    ("f", "[FORMAT]", "print results as table, expanded, csv, json, ndjson or markdown"),
    ("i", "FILE", "run a file (SOURCE)"),
    ("o", "[FILE]", "write results to a file (CAPTURE); without one to the terminal again"),
    ("copy", "TABLE TO|FROM 'FILE'", "copy rows to a file or from one (COPY)"),
    ("echo", "TEXT", "print a text"),
    ("set", "", "list the settings"),
    ("conninfo", "", "tell the server and its version"),
    ("!", "[COMMAND]", "run a command of the system, or its shell"),
    ("e", "", "edit the last statement in $EDITOR, then run it"),
    ("watch", "[SECONDS]", "run the last statement every 2 seconds, or as given, until Ctrl-C"),
    ("h", "[TOPIC]", "help on CQL (HELP)"),
    ("?", "", "this list"),
    ("q", "", "leave (EXIT, Ctrl-D)"),
];

/// How often `\watch` runs a statement, unless told.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Parses what stands behind the backslash.
pub(super) fn parse(text: &str) -> Result<Command, CommandError> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    // These take the rest as it is.
    if let Some(command) = text.strip_prefix('!') {
        return Ok(Command::System(command.trim().to_string()));
    }
    match name {
        "echo" => return Ok(Command::Echo(unquoted(rest.trim()).to_string())),
        "copy" => {
            let copy = CopyCommand::parse(&format!("COPY{rest}"))?;
            return Ok(Command::Copy(Box::new(copy)));
        }
        "h" | "help" => return Ok(Command::Help(super::topic(rest))),
        _ => {}
    }
    let line = Line { command: format!("\\{name}"), words: words(rest)? };
    match name {
        "d" | "d+" => describe(&line),
        "dt" | "dt+" => tables(&line),
        "dT" => line.nothing(Command::Statement("DESCRIBE TYPES".to_string())),
        "l" | "l+" | "dn" | "dn+" => {
            line.nothing(Command::Statement("DESCRIBE KEYSPACES".to_string()))
        }
        "c" => use_keyspace(&line),
        "x" if line.words.is_empty() => Ok(Command::SwitchExpand),
        "x" => toggles::expand(&line),
        "timing" => Ok(Command::Timing(toggles::switch(&line)?)),
        "f" => toggles::format(&line),
        "i" => {
            let file = line.at_most_one()?.ok_or_else(|| line.missing("the file to run"))?;
            Ok(Command::Source(path(&file.text)))
        }
        "o" => Ok(match line.at_most_one()? {
            Some(file) => Command::Capture(path(&file.text)),
            None => Command::CaptureOff,
        }),
        "e" => line.nothing(Command::Edit),
        "watch" => watch(&line),
        "conninfo" => line.nothing(Command::ConnectionInfo),
        "set" => {
            match line.words.first() {
                None => Ok(Command::Settings),
                Some(word) => Err(line
                    .wrong(word, &["nothing: there are no variables. \\set lists the settings"])),
            }
        }
        "?" => line.nothing(Command::BackslashHelp),
        "q" => line.nothing(Command::Exit),
        _ => {
            let hint = nearest(name, FORMS.iter().map(|(name, _, _)| *name));
            Err(CommandError::Unknown {
                name: name.to_string(),
                hint: hint.map(|hint| format!("\\{hint}")),
            })
        }
    }
}

/// The text without the quotes around it, if it has some.
fn unquoted(text: &str) -> &str {
    let inside = |mark| text.strip_prefix(mark).and_then(|text| text.strip_suffix(mark));
    inside('\'').or_else(|| inside('"')).unwrap_or(text)
}

fn describe(line: &Line) -> Result<Command, CommandError> {
    Ok(Command::Statement(match line.at_most_one()? {
        None => "DESCRIBE TABLES".to_string(),
        Some(name) if name.is_quoted => format!("DESCRIBE {}", Name::exact(&name.text)),
        Some(name) => format!("DESCRIBE {}", name.text),
    }))
}

fn tables(line: &Line) -> Result<Command, CommandError> {
    Ok(Command::Tables(line.at_most_one()?.map(name)))
}

/// The name that a word is, with CQL's folding.
fn name(word: &Word) -> Name {
    if word.is_quoted { Name::exact(&word.text) } else { Name::folded(&word.text) }
}

fn use_keyspace(line: &Line) -> Result<Command, CommandError> {
    let name = line.at_most_one()?.ok_or_else(|| line.missing("the keyspace to use"))?;
    Ok(Command::Statement(format!("USE {}", self::name(name))))
}

fn watch(line: &Line) -> Result<Command, CommandError> {
    let Some(word) = line.at_most_one()? else { return Ok(Command::Watch(WATCH_INTERVAL)) };
    let seconds = word.text.parse().ok().filter(|seconds: &f64| (0.1..=86_400.0).contains(seconds));
    match seconds {
        Some(seconds) => Ok(Command::Watch(Duration::from_secs_f64(seconds))),
        None => Err(line.wrong(word, &["a number of seconds, 0.1 to 86400"])),
    }
}

/// What `\x` without an argument switches to.
pub(crate) fn switched(expand: Expand) -> Expand {
    match expand {
        Expand::On => Expand::Off,
        Expand::Off | Expand::Auto => Expand::On,
    }
}
