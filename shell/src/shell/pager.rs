//! Results longer than the screen, for a person: a screen at a time, or through the program that PAGER names.

use std::env;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use unicode_width::UnicodeWidthChar;

use crate::error::ShellError;
use crate::line::LineReader;
use crate::shell::Shell;

/// Lines of the screen that are left to the footer and the next prompt.
const LINES_BELOW: usize = 4;

/// Where the screen's height is not known.
const DEFAULT_HEIGHT: usize = 24;

/// What a person wants behind a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Screen,
    All,
    Stop,
}

/// Whether to go on printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    Nothing,
}

/// Shows text as far as it is wanted.
#[derive(Debug)]
pub(super) struct Pager {
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// All of it, as it comes.
    Straight,
    /// `left` more lines, then a question.
    Screens { height: usize, left: usize },
    /// Through a program, which the first text longer than the screen starts.
    Program { command: String, height: usize, child: Option<Child> },
}

impl Pager {
    /// How a shell shows a result: in pieces only where a person watches.
    pub(super) fn of(shell: &Shell) -> Pager {
        if !shell.is_interactive() || !shell.sink.is_watched() {
            return Pager { way: Way::Straight };
        }
        let height = shell.sink.height().unwrap_or(DEFAULT_HEIGHT);
        let height = height.saturating_sub(LINES_BELOW).max(1);
        // An empty PAGER is how people say that they want none.
        let way = match env::var("PAGER") {
            Ok(command) if command.trim().is_empty() => Way::Straight,
            Ok(command) => Way::Program { command, height, child: None },
            Err(_) => Way::Screens { height, left: height },
        };
        Pager { way }
    }

    /// Shows text; `is_last` if none follows it.
    pub(super) fn show(
        &mut self,
        shell: &mut Shell,
        text: &str,
        is_last: bool,
    ) -> Result<Wanted, ShellError> {
        match &mut self.way {
            Way::Straight => shell.print(text).map(|()| Wanted::More),
            Way::Screens { .. } => self.show_screens(shell, text),
            Way::Program { command, height, child } => {
                if child.is_none() && is_last && text.lines().count() <= *height {
                    return shell.print(text).map(|()| Wanted::More);
                }
                let child = match child {
                    Some(child) => child,
                    None => child.insert(start(command)?),
                };
                write_to(child, text)
            }
        }
    }

    fn show_screens(&mut self, shell: &mut Shell, text: &str) -> Result<Wanted, ShellError> {
        let width = shell.sink.style().width;
        let mut rest = text;
        while !rest.is_empty() {
            let Way::Screens { height, left } = &mut self.way else {
                return shell.print(rest).map(|()| Wanted::More);
            };
            if *left == 0 {
                let Some(reader) = shell.reader() else { return Ok(Wanted::Nothing) };
                match ask(reader, "--More-- Space, a: all, q: stop ")? {
                    More::Screen => *left = *height,
                    More::All => self.way = Way::Straight,
                    More::Stop => return Ok(Wanted::Nothing),
                }
                continue;
            }
            let mut length = 0;
            for line in rest.split_inclusive('\n') {
                let needed = screen_lines(line, width);
                // A line that is longer than the screen has one for itself.
                if needed > *left && *left < *height {
                    *left = 0;
                }
                if *left == 0 {
                    break;
                }
                *left = left.saturating_sub(needed);
                length += line.len();
            }
            let (now, later) = rest.split_at(length);
            shell.print(now)?;
            rest = later;
        }
        Ok(Wanted::More)
    }

    /// Asks at the end of a page of rows, where a person has said how many rows a page has.
    pub(super) fn ask_at_page(
        &mut self,
        shell: &mut Shell,
        printed: usize,
    ) -> Result<Wanted, ShellError> {
        let Way::Screens { height, left } = &mut self.way else { return Ok(Wanted::More) };
        let Some(reader) = shell.reader() else { return Ok(Wanted::More) };
        let question = format!("--More-- {printed} rows so far; Space, a: all, q: stop ");
        match ask(reader, &question)? {
            More::Screen => *left = *height,
            More::All => self.way = Way::Straight,
            More::Stop => return Ok(Wanted::Nothing),
        }
        Ok(Wanted::More)
    }
}

/// How many lines of a terminal a line takes.
fn screen_lines(line: &str, width: Option<u16>) -> usize {
    let mut columns = 0;
    let mut in_escape = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => in_escape = true,
            c if in_escape => in_escape = !c.is_ascii_alphabetic(),
            c => columns += c.width().unwrap_or(0),
        }
    }
    let width = width.map_or(usize::MAX, usize::from).max(1);
    columns.div_ceil(width).max(1)
}

impl Drop for Pager {
    fn drop(&mut self) {
        if let Way::Program { child: Some(child), .. } = &mut self.way {
            // The program sees the end of its input, and ends when its person is done.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

fn ask(reader: &mut LineReader, question: &str) -> Result<More, ShellError> {
    Ok(match reader.ask_key(question, " aq")? {
        Some('a') => More::All,
        Some(' ') => More::Screen,
        _ => More::Stop,
    })
}

fn start(command: &str) -> Result<Child, ShellError> {
    let mut program = Command::new("sh");
    program.args(["-c", command]).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        // less: lines are not wrapped, colours stay, and the screen is as it was afterwards.
        program.env("LESS", "FRSX");
    }
    let failed = |error: io::Error| ShellError::System {
        program: command.to_string(),
        reason: error.to_string(),
    };
    program.spawn().map_err(failed)
}

/// Hands text to the program; nothing more is wanted once it has ended.
fn write_to(child: &mut Child, text: &str) -> Result<Wanted, ShellError> {
    let Some(stdin) = &mut child.stdin else { return Ok(Wanted::Nothing) };
    match stdin.write_all(text.as_bytes()) {
        Ok(()) => Ok(Wanted::More),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Wanted::Nothing),
        Err(error) => Err(ShellError::Output(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_take_several_of_the_screen() {
        assert_eq!(screen_lines("\n", Some(10)), 1);
        assert_eq!(screen_lines("0123456789\n", Some(10)), 1);
        assert_eq!(screen_lines("0123456789a\n", Some(10)), 2);
        assert_eq!(screen_lines("\u{1b}[1;36m01234\u{1b}[0m李小龍\n", Some(10)), 2);
        assert_eq!(screen_lines("0123456789a\n", None), 1);
    }
}
