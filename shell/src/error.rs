//! What can go wrong in a shell, and the exit code it means.

use std::io;
use std::path::PathBuf;

use tholos_grammar::protocol::response::error::ErrorKind;
use tholos_parser::ParseError;

use crate::client::ClientError;
use crate::command::error::CommandError;
use crate::copy::CopyError;
use crate::exit;
use crate::told::told;

/// A statement or command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// The text is no CQL; found before anything was sent.
    #[error(transparent)]
    Parse(#[from] Box<ParseError>),
    /// A statement that the shell wrote from a short form is no CQL.
    #[error("{0}: {1}")]
    Generated(String, Box<ParseError>),
    /// The text is no command of the shell.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The server, or the way to it.
    #[error("{}", told(.0))]
    Client(#[from] ClientError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A file that a command names.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was to be done with it.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nobody reads the output any more, or it can't be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// A program could not be run.
    #[error("cannot run {program}: {source}; set EDITOR to the editor to use")]
    Program {
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A command of the system failed.
    #[error("{program}: {reason}")]
    System {
        /// What was run.
        program: String,
        /// Why it could not be, or how it ended.
        reason: String,
    },
    /// Scripts that run each other without end.
    #[error("scripts are nested more than {0} deep: does one run itself?")]
    Nesting(usize),
    /// A statement inside a script failed; it has been told.
    #[error("{} failed", .0.display())]
    Script(PathBuf, u8),
    #[error("cannot read from the terminal: {0}")]
    Terminal(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The answer to a question was no.
    #[error("not done")]
    Declined,
}

impl ShellError {
    /// The exit code that the error means for a script.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            ShellError::Client(error) => client_code(error),
            ShellError::Copy(CopyError::Client(error)) => client_code(error),
            ShellError::Interrupted | ShellError::Copy(CopyError::Interrupted) => exit::INTERRUPTED,
            ShellError::Script(_, code) => *code,
            _ => exit::STATEMENT_FAILED,
        }
    }

    /// Whether the reader of the output has gone, as in `tholos run f | head`: no error to tell.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, ShellError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The exit code of a failed request or connection.
pub(crate) fn client_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Connect { .. }
        | ClientError::Host { .. }
        | ClientError::Handshake { .. }
        | ClientError::NoCommonVersion { .. }
        | ClientError::CredentialsNeeded { .. }
        | ClientError::Closed
        | ClientError::Io(_) => exit::CANNOT_CONNECT,
        ClientError::Timeout { .. } => exit::TIMEOUT,
        ClientError::Cancelled => exit::INTERRUPTED,
        ClientError::Server(error) => match error.kind {
            ErrorKind::BadCredentials => exit::CANNOT_CONNECT,
            ErrorKind::WriteTimeout { .. } | ErrorKind::ReadTimeout { .. } => exit::TIMEOUT,
            _ => exit::STATEMENT_FAILED,
        },
        ClientError::TooLong(_) | ClientError::Protocol(_) | ClientError::Unexpected { .. } => {
            exit::STATEMENT_FAILED
        }
    }
}
