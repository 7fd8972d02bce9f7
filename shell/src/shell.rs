//! Carries out statements and commands: what the interactive shell and scripts share.

mod confirm;
mod describe;
mod edit;
mod failure;
mod pager;
mod rows;
mod switch;
mod system;

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tholos_grammar::ast::Statement;
use tholos_parser::parse_statement_at;

use crate::client::{ClientError, Outcome};
use crate::command::error::CommandError;
use crate::command::{self, Command};
use crate::copy::{CopyCommand, CopyContext, Direction, StandardInput, copy_from, copy_to};
use crate::error::ShellError;
use crate::help;
use crate::input::{Item, ItemKind, next_item};
use crate::line::LineReader;
use crate::options::{OnError, ShellOptions};
use crate::output::{Expand, Format};
use crate::session::{Session, trace_line};
use crate::settings::{INTERACTIVE_PAGE_SIZE, SCRIPT_PAGE_SIZE, Settings};
use crate::sink::{Sink, note};
use crate::told::server_place;

use self::failure::Drawing;
pub(crate) use self::failure::has_place;
use self::pager::Pager;

/// How deep scripts may run scripts.
const MAX_SOURCE_DEPTH: usize = 16;

/// A session with settings and a place for results.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) session: Session,
    pub(crate) settings: Settings,
    pub(crate) sink: Sink,
    /// Where a person types the statements, if one does: then pages stop for him, and DROP asks.
    pub(crate) terminal: Option<LineReader>,
    yes: bool,
    on_error: OnError,
    /// The last statement, for `\e` and `\watch`.
    last_statement: Option<String>,
    source_depth: usize,
    /// Whether the statements themselves come from standard input, so that no rows can.
    pub(crate) script_is_stdin: bool,
}

/// Whether to go on behind an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Exit,
}

/// A text with the name that errors give it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Shell {
    pub(crate) fn new(
        session: Session,
        options: &ShellOptions,
        terminal: Option<LineReader>,
    ) -> Shell {
        let is_interactive = terminal.is_some();
        let page_size = if is_interactive { INTERACTIVE_PAGE_SIZE } else { SCRIPT_PAGE_SIZE };
        let settings = Settings {
            consistency: options.consistency,
            serial_consistency: options.serial_consistency,
            tracing: false,
            page_size: Some(page_size),
            stops_at_pages: false,
            format: options.format,
            expand: if is_interactive { Expand::Auto } else { Expand::Off },
            timing: is_interactive,
        };
        Shell {
            session,
            settings,
            sink: Sink::stdout(options.no_color),
            terminal,
            yes: options.yes,
            on_error: options.on_error,
            last_statement: None,
            source_depth: 0,
            script_is_stdin: false,
        }
    }

    /// Runs a script: its items in order. A failure is told at once; the code is that of the first.
    pub(crate) fn run_script(&mut self, source: Source<'_>) -> Result<Flow, ShellError> {
        let mut offset = 0;
        let mut first_failure = None;
        while let Some(item) = next_item(source.text, offset) {
            offset = item.next;
            match self.run_item(source, &item) {
                Ok(Flow::Exit) => return Ok(Flow::Exit),
                Ok(Flow::Continue) => {}
                Err(error) if error.is_closed_output() => return Err(error),
                Err(error) => {
                    self.tell(source, &item, &error);
                    let failure = ShellError::Script(PathBuf::from(source.name), error.exit_code());
                    let is_over = matches!(error, ShellError::Interrupted)
                        || self.session.interrupts().is_raised();
                    if self.on_error == OnError::Stop || is_over {
                        return Err(failure);
                    }
                    first_failure.get_or_insert(failure);
                }
            }
        }
        first_failure.map_or(Ok(Flow::Continue), Err)
    }

    /// Runs one item.
    pub(crate) fn run_item(&mut self, source: Source<'_>, item: &Item) -> Result<Flow, ShellError> {
        if item.span.is_empty() {
            return Ok(Flow::Continue);
        }
        if self.session.interrupts().is_raised() {
            return Err(ShellError::Interrupted);
        }
        let text = source.text.get(item.span.clone()).unwrap_or_default();
        match item.kind {
            ItemKind::Command => self.run_command(command::parse(text)?),
            ItemKind::Cql => {
                let statement = parse_statement_at(source.text, item.span.clone())
                    .map_err(|error| failure::advised(source.text, item, error))?;
                self.run_statement(text, &statement)?;
                Ok(Flow::Continue)
            }
        }
    }

    /// Runs a statement that has been parsed, and prints what it comes to.
    fn run_statement(&mut self, text: &str, statement: &Statement) -> Result<(), ShellError> {
        if !self.yes
            && let Some(reader) = self.reader()
        {
            confirm::confirm(statement, reader)?;
        }
        self.last_statement = Some(text.to_string());
        let begin = self.session.execute(text, &self.settings.request(None))?;
        for warning in &begin.reply.warnings {
            note(&format!("warning: {warning}"));
        }
        let tracing_id = begin.reply.tracing_id;
        let has_blank = matches!(begin.reply.outcome, Outcome::Rows(_))
            && self.is_interactive()
            && self.has_footer();
        match begin.reply.outcome {
            Outcome::Rows(_) => self.print_rows(text, statement, begin)?,
            _ if self.is_interactive() => {
                let footer = self.footer(None, statement, begin.elapsed);
                self.print_dimmed(&footer)?;
            }
            _ => {}
        }
        match tracing_id {
            Some(id) => {
                let blank = if has_blank { "" } else { "\n" };
                self.print(&format!("{blank}{}\n", trace_line(id)))
            }
            None => Ok(()),
        }
    }

    /// Parses and runs statements that the shell itself wrote, or ran before.
    pub(crate) fn run_text(&mut self, text: &str) -> Result<Flow, ShellError> {
        let source = Source { name: "<shell>", text };
        let mut offset = 0;
        while let Some(item) = next_item(text, offset) {
            offset = item.next;
            let flow = self.run_item(source, &item).map_err(|error| match error {
                // Its place is in a text that nobody has seen.
                ShellError::Parse(error) => ShellError::Generated(text.to_string(), error),
                ShellError::Client(ClientError::Server(mut error)) => {
                    if let Some((_, _, rest)) = server_place(&error.message) {
                        error.message = rest.to_string();
                    }
                    ShellError::Client(ClientError::Server(error))
                }
                other => other,
            })?;
            if flow == Flow::Exit {
                return Ok(Flow::Exit);
            }
        }
        Ok(Flow::Continue)
    }

    /// Carries out a command.
    fn run_command(&mut self, command: Command) -> Result<Flow, ShellError> {
        match command {
            Command::Exit => return Ok(Flow::Exit),
            Command::Statement(text) => return self.run_text(&text),
            Command::Source(path) => return self.source(&path),
            Command::Edit => return self.edit(),
            Command::Watch(interval) => self.watch(interval)?,
            Command::Help(topic) => {
                let text = help::text(topic.as_deref())?;
                self.show(&help::wrapped(&text, self.sink.style().width))?;
            }
            Command::BackslashHelp => {
                self.show(&help::wrapped(&help::backslash_forms(), self.sink.style().width))?;
            }
            Command::System(command) => self.system(&command)?,
            Command::Echo(text) => self.print(&format!("{text}\n"))?,
            Command::Tables(keyspace) => self.tables(keyspace.as_ref())?,
            Command::Clear => self.print("\u{1b}[H\u{1b}[2J")?,
            Command::Login { user, password } => self.log_in(&user, password)?,
            Command::Copy(copy) => self.copy(&copy)?,
            other => self.switch(other)?,
        }
        Ok(Flow::Continue)
    }

    /// COPY.
    fn copy(&mut self, copy: &CopyCommand) -> Result<(), ShellError> {
        let reader = self.terminal.as_mut().filter(|_| self.source_depth == 0);
        let input = match reader {
            _ if self.script_is_stdin => StandardInput::Script,
            Some(reader) => StandardInput::Typed(reader),
            None => StandardInput::Rows,
        };
        let consistency = self.settings.consistency;
        let context = CopyContext { session: &mut self.session, consistency, input };
        let copied = match copy.direction {
            Direction::To => copy_to(context, copy),
            Direction::From => copy_from(context, copy),
        }?;
        // Rows on standard output are for a program; nothing else belongs among them.
        if copy.file.is_some() || copy.direction == Direction::From {
            self.print(&copied)?;
        }
        Ok(())
    }

    /// SOURCE: runs a file.
    fn source(&mut self, path: &Path) -> Result<Flow, ShellError> {
        let text = read_script(path)?;
        if self.source_depth == MAX_SOURCE_DEPTH {
            return Err(ShellError::Nesting(MAX_SOURCE_DEPTH));
        }
        self.source_depth += 1;
        let name = path.display().to_string();
        let result = self.run_script(Source { name: &name, text: &text });
        self.source_depth -= 1;
        // EXIT ends the script that says it, as in cqlsh.
        result.map(|_| Flow::Continue)
    }

    /// `\watch`: the last statement again and again, until an interrupt.
    fn watch(&mut self, interval: Duration) -> Result<(), ShellError> {
        let Some(text) = self.last_statement.clone() else {
            return Err(CommandError::Missing {
                command: "\\watch".to_string(),
                what: "a statement before it: run one first",
            }
            .into());
        };
        loop {
            self.print(&format!("Every {} s: {text}\n\n", interval.as_secs_f64()))?;
            match self.run_text(&text) {
                Err(_) if self.session.interrupts().is_raised() => return Ok(()),
                other => other?,
            };
            let next = Instant::now() + interval;
            while let Some(left) = next.checked_duration_since(Instant::now()) {
                if self.session.interrupts().is_raised() {
                    return Ok(());
                }
                // Short naps, so that an interrupt is answered at once.
                thread::sleep(left.min(Duration::from_millis(50)));
            }
        }
    }

    fn log_in(&mut self, user: &str, password: Option<String>) -> Result<(), ShellError> {
        let password = match password {
            Some(password) => password,
            None => match &mut self.terminal {
                Some(reader) => reader.ask_password(user)?,
                None => LineReader::new(None, false)?.ask_password(user)?,
            },
        };
        Ok(self.session.log_in(user, &password)?)
    }

    /// Writes a text a screen at a time, where a person reads it.
    fn show(&mut self, text: &str) -> Result<(), ShellError> {
        Pager::of(self).show(self, text, true).map(|_| ())
    }

    /// Writes results.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), ShellError> {
        self.sink.write(text).map_err(ShellError::Output)
    }

    /// Writes a line beside the results, less visibly.
    pub(crate) fn print_dimmed(&mut self, line: &str) -> Result<(), ShellError> {
        if line.is_empty() {
            return Ok(());
        }
        if self.sink.style().colour {
            self.print(&format!("\u{1b}[2m{line}\u{1b}[0m\n"))
        } else {
            self.print(&format!("{line}\n"))
        }
    }

    /// Tells of a failure: where it is, a caret under the place, and what went wrong.
    pub(crate) fn tell(&self, source: Source<'_>, item: &Item, error: &ShellError) {
        let is_terminal = io::stderr().is_terminal();
        let how = Drawing {
            colour: self.sink.has_colours() && is_terminal,
            width: if is_terminal { self.sink.style().width } else { None },
        };
        note(&failure::render(source, item, error, how));
    }

    /// Tells of a failure whose place is plain.
    pub(crate) fn note_error(&self, error: &ShellError) {
        if self.sink.has_colours() && io::stderr().is_terminal() {
            note(&format!("\u{1b}[1;31merror\u{1b}[0m: {error}"));
        } else {
            note(&format!("error: {error}"));
        }
    }

    /// Whether a person types the statements.
    pub(crate) fn is_interactive(&self) -> bool {
        self.terminal.is_some() && self.source_depth == 0
    }

    /// The person's terminal, while statements come from there.
    pub(crate) fn reader(&mut self) -> Option<&mut LineReader> {
        self.terminal.as_mut().filter(|_| self.source_depth == 0)
    }

    /// Whether results are for people: then a footer belongs under them.
    fn has_footer(&self) -> bool {
        self.settings.format.has_footer()
            || self.settings.format == Format::Markdown && self.terminal.is_some()
    }
}

/// A script's text.
pub(crate) fn read_script(path: &Path) -> Result<String, ShellError> {
    let failed = |source| ShellError::File { action: "read", path: path.to_path_buf(), source };
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests;
