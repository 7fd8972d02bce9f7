//! Failures as people read them: the line, a caret under the place, and what went wrong.
//!
//! The place is the parser's, or what the server says in front of its message: `line 2:7 no column nmae` counts lines and
//! characters of the statement as it was sent, from 1.

use tholos_parser::{Class, ParseError};

use crate::client::ClientError;
use crate::command;
use crate::error::ShellError;
use crate::input::{Item, missing_semicolon};
use crate::lex;
use crate::shell::Source;
use crate::told::server_place;

/// How failures are drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drawing {
    pub(super) colour: bool,
    /// Columns of the terminal, if there is one.
    pub(super) width: Option<u16>,
}

/// Whether a failure has a place in the text of its statement.
pub(crate) fn has_place(failure: &ShellError) -> bool {
    match failure {
        ShellError::Parse(_) => true,
        ShellError::Client(ClientError::Server(message)) => {
            server_place(&message.message).is_some()
        }
        _ => false,
    }
}

/// The failure as text, with the line and a caret under the place.
pub(super) fn render(
    source: Source<'_>,
    item: &Item,
    failure: &ShellError,
    how: Drawing,
) -> String {
    let at = match failure {
        ShellError::Parse(error) => (**error).clone(),
        // What failed has been told where it happened.
        ShellError::Script(..) => return format!("error: {failure}"),
        other => place(source, item, other),
    };
    at.render_within(source.text, source.name, how.colour, how.width.map(usize::from))
}

/// An error of the server at its place. One without stands at the first word of its statement.
fn place(source: Source<'_>, item: &Item, failure: &ShellError) -> ParseError {
    let text = source.text.get(item.span.clone()).unwrap_or_default();
    let told = match failure {
        ShellError::Client(ClientError::Server(message)) => server_place(&message.message),
        _ => None,
    };
    let at = told.and_then(|(line, column, _)| offset_of(text, line, column)).unwrap_or(0);
    let token = lex::tokens(text).into_iter().find(|token| token.span.end > at);
    let length = token.map_or(0, |token| {
        let piece = text.get(at..token.span.end).unwrap_or_default();
        piece.lines().next().unwrap_or_default().len()
    });
    let start = item.span.start + at;
    let before = source.text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ParseError {
        offset: start,
        length: u32::try_from(length).unwrap_or(u32::MAX),
        line: count(before.bytes().filter(|&byte| byte == b'\n').count() + 1),
        column: count(before.get(line_start..).unwrap_or_default().chars().count() + 1),
        expected: Vec::new(),
        found: String::new(),
        message: Some(failure.to_string()),
        hint: None,
        class: Class::Meaning,
    }
}

/// The offset of a line and column, both from 1; `None` if the text has no such place.
fn offset_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let line = text.split_inclusive('\n').nth(line.checked_sub(1)?)?;
    let start = line.as_ptr() as usize - text.as_ptr() as usize;
    let column = column.checked_sub(1)?;
    let ends = line.char_indices().map(|(index, _)| index).chain([line.len()]);
    {
        let mut ends = ends;
        ends.nth(column)
    }
    .map(|index| start + index)
}

/// The error of text that is no statement, with what the parser can't know of: the shell's commands, and that a `;`
/// seems to be missing before the place.
pub(super) fn advised(source: &str, item: &Item, error: ParseError) -> ShellError {
    let mut error = error;
    let text = source.get(item.span.clone()).unwrap_or_default();
    let at = error.offset.saturating_sub(item.span.start);
    let begins_line =
        text.get(..at).is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with('\n'));
    if begins_line && let Some(number) = missing_semicolon(text, at) {
        let lines_before = source.get(..item.span.start).unwrap_or_default().matches('\n').count();
        error.hint = Some(format!("is a ; missing at the end of line {}?", lines_before + number));
    } else if at == 0 && error.hint.is_none() {
        error.hint = command::meant(text);
    }
    ShellError::Parse(Box::new(error))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
