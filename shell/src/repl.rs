//! The interactive shell: reads statements from a terminal until it is told to end.

use std::io::{self, IsTerminal};

use tholos_parser::Inside;

use crate::client::{ClientError, Connection};
use crate::command::{self, Command};
use crate::copy::Direction;
use crate::error::ShellError;
use crate::exit;
use crate::input::{Item, ItemKind, begins_item, missing_semicolon, next_item};
use crate::line::{Line, LineReader};
use crate::options::{ScriptSource, ShellOptions};
use crate::script::connect;
use crate::shell::{Flow, Shell, Source, has_place};
use crate::sink::{Sink, note};

/// What messages call what is typed.
const TYPED: &str = "<stdin>";

/// Runs the interactive shell and answers with the process's exit code, one of [`crate::exit`]. If standard input is no
/// terminal, it is run as a script.
pub fn interactive(options: &ShellOptions) -> u8 {
    if !io::stdin().is_terminal() {
        return crate::run_script(ScriptSource::Stdin, options);
    }
    match start(options) {
        Ok(mut shell) => end(run(&mut shell, options)),
        Err(code) => code,
    }
}

/// A shell on this terminal.
fn start(options: &ShellOptions) -> Result<Shell, u8> {
    let colour = Sink::stdout(options.no_color).has_colours();
    let reader = LineReader::new(options.history.as_deref(), colour);
    let mut reader = reader.map_err(|error| end(Err(error)))?;
    let options = with_credentials(options, &mut reader).map_err(|error| end(Err(error)))?;
    connect(&options, Some(reader))
}

/// The exit code of what came of it, after telling of a failure.
fn end(result: Result<(), ShellError>) -> u8 {
    match result {
        Ok(()) => exit::OK,
        Err(error) if error.is_closed_output() => exit::OK,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

/// The options, with a user and a password asked for if the server wants them and they are missing.
fn with_credentials(
    options: &ShellOptions,
    reader: &mut LineReader,
) -> Result<ShellOptions, ShellError> {
    let mut options = options.clone();
    if options.user.is_none() {
        match Connection::connect(&options.address, &options.connect_options()) {
            Err(ClientError::CredentialsNeeded { .. }) => {}
            _ => return Ok(options),
        }
        options.user = reader.ask("User: ")?;
    }
    if let (Some(user), None) = (&options.user, &options.password) {
        options.password = Some(reader.ask_password(user)?);
    }
    Ok(options)
}

fn run(shell: &mut Shell, options: &ShellOptions) -> Result<(), ShellError> {
    if options.banner {
        let banner = format!(
            "{}\n{}\nHELP for help, \\? for short forms, Ctrl-D to leave.\n",
            shell.host(),
            shell.version()
        );
        shell.print(&banner)?;
    }
    let mut pending = String::new();
    loop {
        let prompt = prompt(shell, &pending);
        let catalogue = shell.session.catalogue();
        let Some(reader) = &mut shell.terminal else { return Ok(()) };
        reader.prepare(&pending, catalogue, shell.session.keyspace());
        match reader.read(&prompt)? {
            Line::End if pending.is_empty() => return Ok(()),
            Line::End | Line::Interrupted => pending.clear(),
            Line::Text(line) => {
                shell.session.interrupts().clear();
                if run_line(shell, &mut pending, &line)? == Flow::Exit {
                    return Ok(());
                }
            }
        }
    }
}

/// Runs a line: a short form at once, whatever it stands in; else with the lines before it.
fn run_line(shell: &mut Shell, pending: &mut String, line: &str) -> Result<Flow, ShellError> {
    let inside = next_item(pending, 0).and_then(|item| item.unfinished);
    let may_be_text =
        matches!(inside, Some(Inside::Text | Inside::DollarText | Inside::Name | Inside::Comment));
    if line.trim_start().starts_with('\\') && !pending.is_empty() && !may_be_text {
        let mut typed = format!("{line}\n");
        return run_pending(shell, &mut typed);
    }
    if inside.is_some() && is_cry_for_help(line) {
        note("(this is inside a statement: ; ends it, Ctrl-C forgets it, \\q leaves)");
    }
    pending.push_str(line);
    pending.push('\n');
    let flow = run_pending(shell, pending)?;
    let added = pending.len().saturating_sub(line.len() + 1);
    if let Some(number) = missing_semicolon(pending, added) {
        note(&format!("(is a ; missing at the end of line {number}? Ctrl-C starts anew)"));
    }
    Ok(flow)
}

/// Whether the line is what people type who do not know how to get out.
fn is_cry_for_help(line: &str) -> bool {
    let word = line.trim().trim_end_matches([';', '?']).to_ascii_lowercase();
    ["exit", "exit()", "quit", "quit()", "help"].contains(&word.as_str())
}

/// Runs what is finished of the lines so far; what is not finished stays.
fn run_pending(shell: &mut Shell, pending: &mut String) -> Result<Flow, ShellError> {
    let mut offset = 0;
    let mut remembered = false;
    while let Some(item) = next_item(pending, offset) {
        if item.unfinished.is_some() && begins_item(pending, &item) {
            pending.drain(..item.span.start);
            return Ok(Flow::Continue);
        }
        if !remembered && let Some(reader) = &mut shell.terminal {
            // Several statements of one line are one entry, as they were typed.
            reader.remember(pending);
            remembered = true;
        }
        offset = item.next;
        if reads_rows(pending, &item) {
            // The rows came together with the command.
            let rows = pending.split_off(offset);
            let rows = rows.strip_prefix('\n').unwrap_or(&rows);
            if let Some(reader) = &mut shell.terminal {
                rows.lines().rev().for_each(|row| reader.put_back(row.to_string()));
            }
        }
        let source = Source { name: TYPED, text: pending };
        match shell.run_item(source, &item) {
            Ok(Flow::Exit) => return Ok(Flow::Exit),
            Ok(Flow::Continue) => {}
            Err(error @ ShellError::Output(_)) => return Err(error),
            Err(error) => {
                tell(shell, source, &item, &error);
                // The next statements of a paste have their turn, as they would have line by line.
                if is_over(&error) {
                    break;
                }
            }
        }
    }
    pending.clear();
    Ok(Flow::Continue)
}

/// Whether what was entered together ends with this failure: it was cancelled, or there is no server.
fn is_over(error: &ShellError) -> bool {
    matches!(
        error,
        ShellError::Interrupted
            | ShellError::Client(
                ClientError::Cancelled | ClientError::Closed | ClientError::Connect { .. }
            )
    )
}

/// Whether an item is a COPY that reads rows from where it was typed.
fn reads_rows(text: &str, item: &Item) -> bool {
    let text = text.get(item.span.clone()).unwrap_or_default();
    item.kind == ItemKind::Command
        && matches!(
            command::parse(text),
            Ok(Command::Copy(copy)) if copy.direction == Direction::From && copy.file.is_none()
        )
}

fn tell(shell: &Shell, source: Source<'_>, item: &crate::input::Item, error: &ShellError) {
    match error {
        ShellError::Interrupted | ShellError::Client(ClientError::Cancelled) => {
            note("cancelled");
        }
        ShellError::Declined => note("not done"),
        ShellError::Script(..) => {}
        // The statement stands right above: only a mistake in its text needs a caret.
        error if has_place(error) => shell.tell(source, item, error),
        error => shell.note_error(error),
    }
}

/// `tholos:keyspace> `, or for further lines of a statement what they continue, right-aligned below it.
fn prompt(shell: &Shell, pending: &str) -> String {
    let first = match shell.session.keyspace() {
        Some(keyspace) => format!("tholos:{}> ", crate::catalogue::quoted(keyspace)),
        None => "tholos> ".to_string(),
    };
    let Some(unfinished) = next_item(pending, 0).and_then(|item| item.unfinished) else {
        return first;
    };
    let mark = match unfinished {
        Inside::Statement => "...",
        Inside::Batch => "batch",
        Inside::Text => "'",
        Inside::DollarText => "$$",
        Inside::Name => "\"",
        Inside::Comment => "/*",
    };
    let width = first.trim_end().len().saturating_sub(1);
    format!("{mark:>width$}> ")
}
