//! Errors of the client and the server as a person is told of them.

use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};

use crate::client::ClientError;

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
