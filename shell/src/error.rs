//! What can go wrong in a shell, how it is told, and the exit code it means.

use std::io;
use std::path::PathBuf;

use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_parser::ParseError;

use crate::client::ClientError;
use crate::command::CommandError;
use crate::copy::CopyError;
use crate::exit;

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
    /// COPY.
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
        /// Which.
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
    /// The terminal.
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

/// A client's error, with what to do about it.
pub(crate) fn told(error: &ClientError) -> String {
    match error {
        ClientError::Server(error) => told_by_server(error),
        ClientError::Connect { .. } => {
            format!("{error}; is a server running there? `tholos serve` starts one")
        }
        ClientError::Handshake { .. } => format!(
            "{error}; is this the port of the native protocol, which is 9042 unless configured otherwise?"
        ),
        ClientError::Closed => {
            format!("{error}; if the statement was a write, it may have taken effect")
        }
        ClientError::CredentialsNeeded { .. } => {
            format!("{error}: pass --user, and the password in THOLOS_PASSWORD")
        }
        ClientError::Timeout { .. } => format!(
            "{error}; if it was a write, it may still take effect (--request-timeout waits longer)"
        ),
        other => other.to_string(),
    }
}

/// The place that a server's message begins with, and the rest: of `line 2:7 no column nmae` line 2, column 7 and the
/// error.
pub(crate) fn server_place(message: &str) -> Option<(usize, usize, &str)> {
    let (place, rest) = message.strip_prefix("line ")?.split_once(' ')?;
    let (line, column) = place.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?, rest))
}

/// `Invalid query (0x2200): message`
fn told_by_server(error: &ErrorMessage) -> String {
    let name = error_name(&error.kind);
    let fields = match &error.kind {
        ErrorKind::Unavailable { consistency, required, alive } => {
            format!(" [{consistency}: {required} replicas needed, {alive} alive]")
        }
        ErrorKind::WriteTimeout { consistency, received, required, write_type, .. } => {
            format!(" [{consistency}, {write_type}: {received} of {required} replicas answered]")
        }
        ErrorKind::ReadTimeout { consistency, received, required, .. } => {
            format!(" [{consistency}: {received} of {required} replicas answered]")
        }
        ErrorKind::ReadFailure { consistency, received, required, failures, .. }
        | ErrorKind::WriteFailure { consistency, received, required, failures, .. } => format!(
            " [{consistency}: {received} of {required} replicas answered, {} failed]",
            failures.count()
        ),
        _ => String::new(),
    };
    // Where the place is known it is shown by a caret; the text that it is of may be one that nobody has typed.
    let message = server_place(&error.message).map_or(error.message.as_str(), |(_, _, rest)| rest);
    format!("{name} ({:#06x}): {message}{fields}", error.kind.code())
}

/// The name of an error code, in the words of the protocol's specification.
fn error_name(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Server => "Server error",
        ErrorKind::Protocol => "Protocol error",
        ErrorKind::BadCredentials => "Authentication error",
        ErrorKind::Unavailable { .. } => "Unavailable",
        ErrorKind::Overloaded => "Overloaded",
        ErrorKind::Bootstrapping => "Bootstrapping",
        ErrorKind::Truncate => "Truncate error",
        ErrorKind::WriteTimeout { .. } => "Write timeout",
        ErrorKind::ReadTimeout { .. } => "Read timeout",
        ErrorKind::ReadFailure { .. } => "Read failure",
        ErrorKind::FunctionFailure { .. } => "Function failure",
        ErrorKind::WriteFailure { .. } => "Write failure",
        ErrorKind::CdcWriteFailure => "CDC write failure",
        ErrorKind::CasWriteUnknown { .. } => "CAS write unknown",
        ErrorKind::Syntax => "Syntax error",
        ErrorKind::Unauthorized => "Unauthorized",
        ErrorKind::Invalid => "Invalid query",
        ErrorKind::Config => "Configuration error",
        ErrorKind::AlreadyExists { .. } => "Already exists",
        ErrorKind::Unprepared { .. } => "Unprepared",
        ErrorKind::Other { .. } => "Unknown error",
    }
}
