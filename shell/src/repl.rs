//! The interactive shell: reads statements from a terminal until it is told to end.

use std::io::{self, IsTerminal};

use tholos_parser::Inside;

use crate::client::{ClientError, Credentials};
use crate::error::ShellError;
use crate::exit;
use crate::input::next_item;
use crate::line::{Line, LineReader, ask, ask_password};
use crate::options::{ScriptSource, ShellOptions};
use crate::script::connect;
use crate::shell::{Flow, Shell, Source};

/// Runs the interactive shell and answers with the process's exit code, one of [`crate::exit`]. If standard input is no
/// terminal, it is run as a script.
pub fn interactive(options: &ShellOptions) -> u8 {
    if !io::stdin().is_terminal() {
        return crate::run_script(ScriptSource::Stdin, options);
    }
    let options = match with_credentials(options) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let mut shell = match connect(&options, true) {
        Ok(shell) => shell,
        Err(code) => return code,
    };
    match run(&mut shell, &options) {
        Ok(()) => exit::OK,
        Err(error) if error.is_closed_output() => exit::OK,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

/// The options, with a user and a password asked for if the server wants them and they are missing.
fn with_credentials(options: &ShellOptions) -> Result<ShellOptions, u8> {
    let mut options = options.clone();
    let failed = |error: ShellError| {
        eprintln!("error: {error}");
        error.exit_code()
    };
    if options.user.is_none() {
        use crate::client::Connection;
        match Connection::connect(&options.address, &options.connect_options()) {
            Err(ClientError::CredentialsNeeded { .. }) => {}
            _ => return Ok(options),
        }
        options.user = ask("User: ").map_err(failed)?;
    }
    if let (Some(user), None) = (&options.user, &options.password) {
        let Credentials { password, .. } =
            Credentials { user: user.clone(), password: ask_password(user).map_err(failed)? };
        options.password = Some(password);
    }
    Ok(options)
}

fn run(shell: &mut Shell, options: &ShellOptions) -> Result<(), ShellError> {
    let mut reader = LineReader::new(options.history.as_deref(), shell.sink.has_colours())?;
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
        reader.prepare(&pending, catalogue, shell.session.keyspace());
        match reader.read(&prompt)? {
            Line::End if pending.is_empty() => return Ok(()),
            Line::End | Line::Interrupted => pending.clear(),
            Line::Text(line) => {
                pending.push_str(&line);
                pending.push('\n');
                shell.session.interrupts().clear();
                if run_pending(shell, &mut reader, &mut pending)? == Flow::Exit {
                    return Ok(());
                }
            }
        }
    }
}

/// Runs what is finished of the lines so far; what is not finished stays.
fn run_pending(
    shell: &mut Shell,
    reader: &mut LineReader,
    pending: &mut String,
) -> Result<Flow, ShellError> {
    let mut offset = 0;
    let mut remembered = false;
    while let Some(item) = next_item(pending, offset) {
        if item.unfinished.is_some() {
            pending.drain(..item.span.start);
            return Ok(Flow::Continue);
        }
        if !remembered {
            // Several statements of one line are one entry, as they were typed.
            reader.remember(pending);
            remembered = true;
        }
        offset = item.next;
        let source = Source { name: "<stdin>", text: pending };
        match shell.run_item(source, &item) {
            Ok(Flow::Exit) => return Ok(Flow::Exit),
            Ok(Flow::Continue) => {}
            Err(error @ ShellError::Output(_)) => return Err(error),
            Err(error) => {
                tell(shell, source, &item, &error);
                break;
            }
        }
    }
    pending.clear();
    Ok(Flow::Continue)
}

fn tell(shell: &Shell, source: Source<'_>, item: &crate::input::Item, error: &ShellError) {
    match error {
        ShellError::Interrupted | ShellError::Client(ClientError::Cancelled) => {
            shell.note("cancelled");
        }
        ShellError::Declined => shell.note("not done"),
        // The statement stands right above: only a mistake in its text needs a caret.
        ShellError::Parse(_) => shell.tell(source, item, error),
        ShellError::Script(..) => {}
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
