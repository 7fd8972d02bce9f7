//! Runs scripts: files, standard input, or text from the command line.

use std::path::Path;

use crate::error::ShellError;
use crate::exit;
use crate::interrupt::Interrupts;
use crate::line::LineReader;
use crate::options::{ScriptSource, ShellOptions};
use crate::session::Session;
use crate::shell::{Flow, Shell, Source, read_script};
use crate::told::told;

/// What messages call standard input.
const STDIN: &str = "<stdin>";

/// Runs a script and answers with the process's exit code, one of [`crate::exit`]. Results go to standard output,
/// failures to standard error.
pub fn run_script(source: ScriptSource, options: &ShellOptions) -> u8 {
    let texts = match read(&source) {
        Ok(texts) => texts,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::USAGE;
        }
    };
    let mut shell = match connect(options, None) {
        Ok(shell) => shell,
        Err(code) => return code,
    };
    shell.script_is_stdin = texts.iter().any(|(name, _)| name == STDIN);
    let mut first_code = exit::OK;
    for (name, text) in &texts {
        match shell.run_script(Source { name, text }) {
            Ok(Flow::Continue) => {}
            Ok(Flow::Exit) => break,
            Err(error) if error.is_closed_output() => break,
            Err(error) => {
                // What failed has been told; only the code is left to say.
                if first_code == exit::OK {
                    first_code = error.exit_code();
                }
                if options.on_error == crate::OnError::Stop || first_code == exit::INTERRUPTED {
                    break;
                }
            }
        }
    }
    first_code
}

/// All texts, read before anything runs: a missing file must not be noticed half way.
fn read(source: &ScriptSource) -> Result<Vec<(String, String)>, ShellError> {
    match source {
        ScriptSource::Texts(texts) => {
            Ok(texts.iter().map(|text| ("<command line>".to_string(), text.clone())).collect())
        }
        ScriptSource::Stdin => Ok(vec![(STDIN.to_string(), read_script(Path::new("-"))?)]),
        ScriptSource::Files(paths) => paths
            .iter()
            .map(|path| {
                let is_stdin = path == Path::new("-");
                let name = if is_stdin { STDIN.to_string() } else { path.display().to_string() };
                Ok((name, read_script(path)?))
            })
            .collect(),
    }
}

/// Connects, or tells why not and answers with the exit code.
pub(crate) fn connect(options: &ShellOptions, terminal: Option<LineReader>) -> Result<Shell, u8> {
    let interrupts = Interrupts::install().map_err(|error| {
        eprintln!("error: cannot watch for Ctrl-C: {error}");
        exit::STATEMENT_FAILED
    })?;
    let session = Session::connect(&options.address, options.connect_options(), interrupts);
    match session {
        Ok(session) => Ok(Shell::new(session, options, terminal)),
        Err(error) => {
            eprintln!("error: {}", told(&error));
            Err(match crate::error::client_code(&error) {
                exit::STATEMENT_FAILED | exit::TIMEOUT => exit::CANNOT_CONNECT,
                code => code,
            })
        }
    }
}
