//! Commands that name a file: SOURCE and CAPTURE.

use super::error::CommandError;
use super::words::path;
use super::{Command, Line};

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
