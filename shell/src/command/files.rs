//! Commands that name a file: SOURCE, CAPTURE, and the path in them.

use std::env;
use std::path::PathBuf;

use super::{Command, CommandError, Line};

/// SOURCE 'file'
pub(super) fn source(line: Line) -> Result<Command, CommandError> {
    let file = line.at_most_one()?.ok_or_else(|| line.missing("the file: SOURCE 'file.cql'"))?;
    Ok(Command::Source(path(&file.text)))
}

/// CAPTURE ['file' | OFF]
pub(super) fn capture(line: Line) -> Result<Command, CommandError> {
    Ok(match line.at_most_one()? {
        None => Command::CaptureStatus,
        Some(word) if word.is("OFF") => Command::CaptureOff,
        Some(word) => Command::Capture(path(&word.text)),
    })
}

/// A path as people write it: `~/` is the home directory.
pub(crate) fn path(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}
