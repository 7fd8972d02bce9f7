//! What a statement can fail with. One exhaustive mapping to the protocol's error codes lives here too.

use std::net::IpAddr;

use tholos_cluster::request::path::PathError;
use tholos_cluster::request::{Refusal, RequestError};
use tholos_cluster::ring::NodeIndex;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::error::ProtocolError;
use tholos_grammar::protocol::response::error::{
    ErrorKind, ErrorMessage, FailureReason, Failures, WriteType,
};
use tholos_grammar::span::Span;
use tholos_parser::{Class, ParseError};
use tholos_storage::StorageError;

use crate::metrics::Outcome;

/// Why a statement was not (or perhaps not) carried out. Messages name the object, say what was wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// 0x2000: the text is no CQL.
    #[error("{0}")]
    Syntax(String),
    /// 0x2200: the text is CQL, but makes no sense here: unknown table, wrong type, a missing key column, ...
    #[error("{0}")]
    Invalid(String),
    /// 0x2300: a schema statement's options are wrong.
    #[error("{0}")]
    Config(String),
    /// 0x2400: what CREATE would create is there.
    #[error("{}", already_exists(keyspace, table))]
    AlreadyExists {
        /// The keyspace.
        keyspace: Name,
        /// The table; none when the keyspace itself exists.
        table: Option<Name>,
    },
    /// 0x2100: the user may not.
    #[error("{0}")]
    Unauthorized(String),
    /// 0x2500: the prepared statement's id is not known (any more): drivers prepare it again.
    #[error("prepared statement {} is not known here: prepare it again", hex(id))]
    Unprepared {
        /// The id that was sent.
        id: Vec<u8>,
    },
    /// 0x1000: not enough replicas are alive; nothing was written.
    #[error(
        "{consistency} needs {required} replicas and {alive} are alive: nothing was done; use a lower consistency level or a smaller replication factor"
    )]
    Unavailable {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas it needs.
        required: u32,
        /// Replicas alive.
        alive: u32,
    },
    /// 0x1100, 0x1200, 0x1300, 0x1500: too few replicas did what was asked, or not in time.
    #[error("{error}: {advice}")]
    Replicas {
        /// Which it is, with counts.
        error: RequestError,
        /// What it means, and what to do.
        advice: &'static str,
        /// Those that did not do it, and why.
        refusals: Vec<(IpAddr, Refusal)>,
    },
    /// 0x1001: too much work; nothing was done.
    #[error("{0}")]
    Overloaded(String),
    /// 0x1003: TRUNCATE failed.
    #[error("{0}")]
    Truncate(String),
    /// 0x1200: a read did not end in its time.
    #[error("{0}")]
    ReadTimeout(String),
    /// 0x1100: a write did not end in its time: it may still happen.
    #[error("{0}")]
    WriteTimeout(String),
    /// 0x000A: the client broke the protocol.
    #[error("{0}")]
    Protocol(String),
    /// 0x1300, 0x1500 or 0x0000: storage failed.
    #[error(transparent)]
    Storage(StorageError),
    /// 0x0000: storage refused a schema change; the schema is as it was.
    #[error("the schema was not changed: {0}")]
    SchemaNotChanged(String),
    /// 0x2200: parsed, planned for a later release.
    #[error("not supported yet: {0}")]
    NotSupportedYet(String),
    /// 0x1400: a function or operator does not take a value that it was called with.
    #[error("{message}")]
    Function {
        /// The function, without keyspace.
        function: String,
        /// Types of its arguments.
        arguments: Vec<String>,
        /// What was wrong.
        message: String,
    },
    /// Another error, of which it is known where in the statement it is. No client sees it as it is: where the text is
    /// known it becomes the other error, whose message begins with the place ([`QueryError::in_text`]).
    #[error("{error}")]
    Located {
        /// Where.
        at: Span,
        /// What.
        error: Box<QueryError>,
    },
    /// 0x0000: a defect of ours.
    #[error("{0}; this is a defect in Tholos, please report it")]
    Internal(String),
}

impl QueryError {
    /// Shorthand for [`QueryError::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        QueryError::Invalid(message.into())
    }

    /// The error at a place of the statement, unless it has a place already.
    #[must_use]
    pub fn at(self, at: Span) -> Self {
        match self {
            located @ QueryError::Located { .. } => located,
            error if at.is_empty() => error,
            error => QueryError::Located { at, error: Box::new(error) },
        }
    }

    /// The error with its place in front of the message, as in syntax errors: `line 1:10 message`.
    #[must_use]
    pub fn in_text(self, text: &str) -> Self {
        let QueryError::Located { at, error } = self else { return self };
        let (line, column) = at.place_in(text);
        let placed = |message: String| format!("line {line}:{column} {message}");
        match *error {
            QueryError::Syntax(message) => QueryError::Syntax(placed(message)),
            QueryError::Invalid(message) => QueryError::Invalid(placed(message)),
            QueryError::Config(message) => QueryError::Config(placed(message)),
            QueryError::Unauthorized(message) => QueryError::Unauthorized(placed(message)),
            QueryError::NotSupportedYet(what) => {
                QueryError::Invalid(placed(QueryError::NotSupportedYet(what).to_string()))
            }
            QueryError::Function { function, arguments, message } => {
                QueryError::Function { function, arguments, message: placed(message) }
            }
            other => other,
        }
    }
}

/// Errors of a part of a statement get that part's place.
pub trait At {
    /// The same, with the error at that place unless it has one already.
    #[must_use]
    fn at(self, at: Span) -> Self;
}

impl<T> At for Result<T, QueryError> {
    fn at(self, at: Span) -> Self {
        self.map_err(|error| error.at(at))
    }
}

impl From<PathError> for QueryError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Unavailable(error) => QueryError::of_replicas(error, "", |_| None),
            PathError::WrongLevel { .. } => QueryError::Invalid(error.to_string()),
        }
    }
}

impl QueryError {
    /// What replicas did to a request: `advice` says what it means; `address` where a node is.
    pub fn of_replicas(
        error: RequestError,
        advice: &'static str,
        address: impl Fn(NodeIndex) -> Option<IpAddr>,
    ) -> QueryError {
        let refusals = match &error {
            RequestError::Unavailable { level, required, alive } => {
                let (consistency, required, alive) = (*level, *required, *alive);
                return QueryError::Unavailable { consistency, required, alive };
            }
            RequestError::Timeout { .. } => Vec::new(),
            RequestError::Failure { refusals, .. } => {
                let told =
                    |(node, refusal): &(NodeIndex, Refusal)| Some((address(*node)?, *refusal));
                refusals.iter().filter_map(told).collect()
            }
        };
        QueryError::Replicas { error, advice, refusals }
    }
}

/// What was being done when an error came up: some error codes tell reads and writes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The level asked for.
    pub consistency: Consistency,
    /// The kind of write; none for a read.
    pub write: Option<WriteType>,
}

impl Attempt {
    /// Something that is neither a read nor a write of data.
    pub const OTHER: Attempt = Attempt { consistency: Consistency::One, write: None };
}

impl QueryError {
    /// The protocol's error. This is the one mapping of errors to codes. `replica` is where storage failed: in v5 failures
    /// say it.
    pub fn to_message(&self, attempt: Attempt, replica: IpAddr) -> ErrorMessage {
        let Attempt { consistency, write } = attempt;
        let (received, required) = (0, 1);
        let kind = match self {
            QueryError::Syntax(_) => ErrorKind::Syntax,
            QueryError::Invalid(_) | QueryError::NotSupportedYet(_) => ErrorKind::Invalid,
            QueryError::Config(_) => ErrorKind::Config,
            QueryError::AlreadyExists { keyspace, table } => ErrorKind::AlreadyExists {
                keyspace: keyspace.as_str().to_string(),
                table: table.as_ref().map(|table| table.as_str().to_string()).unwrap_or_default(),
            },
            QueryError::Unauthorized(_) => ErrorKind::Unauthorized,
            QueryError::Unprepared { id } => ErrorKind::Unprepared { id: id.clone() },
            QueryError::Unavailable { consistency, required, alive } => ErrorKind::Unavailable {
                consistency: *consistency,
                required: i32::try_from(*required).unwrap_or(i32::MAX),
                alive: i32::try_from(*alive).unwrap_or(i32::MAX),
            },
            QueryError::Replicas { error, refusals, .. } => {
                return ErrorMessage::new(replicas_kind(error, refusals, write), self.to_string());
            }
            QueryError::Overloaded(_) => ErrorKind::Overloaded,
            QueryError::Truncate(_) => ErrorKind::Truncate,
            QueryError::ReadTimeout(_) => {
                ErrorKind::ReadTimeout { consistency, received, required, data_present: false }
            }
            QueryError::WriteTimeout(_) => {
                let write_type = write.unwrap_or(WriteType::Simple);
                ErrorKind::WriteTimeout {
                    consistency,
                    received,
                    required,
                    write_type,
                    contentions: 0,
                }
            }
            QueryError::Protocol(_) => ErrorKind::Protocol,
            QueryError::Storage(error) => return storage_message(error, attempt, replica),
            QueryError::Function { function, arguments, .. } => ErrorKind::FunctionFailure {
                keyspace: "system".to_string(),
                function: function.clone(),
                argument_types: arguments.clone(),
            },
            QueryError::Located { error, .. } => return error.to_message(attempt, replica),
            QueryError::Internal(_) | QueryError::SchemaNotChanged(_) => ErrorKind::Server,
        };
        ErrorMessage::new(kind, self.to_string())
    }

    /// How metrics count a request that ended so.
    pub fn outcome(&self) -> Outcome {
        match self {
            QueryError::Syntax(_)
            | QueryError::Invalid(_)
            | QueryError::NotSupportedYet(_)
            | QueryError::Config(_)
            | QueryError::AlreadyExists { .. }
            | QueryError::Unauthorized(_)
            | QueryError::Unprepared { .. }
            | QueryError::Function { .. }
            | QueryError::Protocol(_) => Outcome::ClientError,
            QueryError::Unavailable { .. } | QueryError::Overloaded(_) => Outcome::Unavailable,
            QueryError::ReadTimeout(_)
            | QueryError::WriteTimeout(_)
            | QueryError::Replicas { error: RequestError::Timeout { .. }, .. } => Outcome::Timeout,
            QueryError::Located { error, .. } => error.outcome(),
            QueryError::Truncate(_)
            | QueryError::Replicas { .. }
            | QueryError::Storage(_)
            | QueryError::SchemaNotChanged(_)
            | QueryError::Internal(_) => Outcome::ServerError,
        }
    }
}

/// What replicas did, with counts, of a read or a write.
fn replicas_kind(
    error: &RequestError,
    refusals: &[(IpAddr, Refusal)],
    write: Option<WriteType>,
) -> ErrorKind {
    let int = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    match (error, write) {
        (RequestError::Unavailable { level, required, alive }, _) => ErrorKind::Unavailable {
            consistency: *level,
            required: int(*required),
            alive: int(*alive),
        },
        (RequestError::Timeout { level, required, received, .. }, Some(write_type)) => {
            let (consistency, received, required) = (*level, int(*received), int(*required));
            let contentions = 0;
            ErrorKind::WriteTimeout { consistency, received, required, write_type, contentions }
        }
        (RequestError::Timeout { level, required, received, data_present }, None) => {
            let (consistency, received, required) = (*level, int(*received), int(*required));
            let data_present = *data_present;
            ErrorKind::ReadTimeout { consistency, received, required, data_present }
        }
        (RequestError::Failure { level, required, received, data_present, .. }, write) => {
            let (consistency, received, required) = (*level, int(*received), int(*required));
            let reason = |(address, refusal): &(IpAddr, Refusal)| (*address, reason(*refusal));
            let failures = Failures::Reasons(refusals.iter().map(reason).collect());
            let data_present = *data_present;
            match write {
                Some(write_type) => ErrorKind::WriteFailure {
                    consistency,
                    received,
                    required,
                    failures,
                    write_type,
                },
                None => ErrorKind::ReadFailure {
                    consistency,
                    received,
                    required,
                    failures,
                    data_present,
                },
            }
        }
    }
}

/// The protocol's code for why a replica did not do it.
fn reason(refusal: Refusal) -> FailureReason {
    match refusal {
        Refusal::Failed | Refusal::Overloaded => FailureReason::UNKNOWN,
        Refusal::Unreachable => FailureReason::NODE_DOWN,
    }
}

/// Storage's errors: what the client caused is Invalid, what passes by itself is Overloaded, a lost table is Invalid,
/// and the rest is a failure of this replica.
fn storage_message(error: &StorageError, attempt: Attempt, replica: IpAddr) -> ErrorMessage {
    let Attempt { consistency, write } = attempt;
    let (received, required) = (0, 1);
    let failures = Failures::Reasons(vec![(replica, FailureReason::UNKNOWN)]);
    let kind = match (error, write) {
        (StorageError::MutationTooLarge { .. } | StorageError::UnknownTable(_), _) => {
            ErrorKind::Invalid
        }
        (StorageError::LogBehind { .. } | StorageError::MemtablesFull { .. }, _) => {
            ErrorKind::Overloaded
        }
        (_, Some(write_type)) => {
            ErrorKind::WriteFailure { consistency, received, required, failures, write_type }
        }
        (_, None) => {
            let data_present = false;
            ErrorKind::ReadFailure { consistency, received, required, failures, data_present }
        }
    };
    ErrorMessage::new(kind, error.to_string())
}

impl From<ParseError> for QueryError {
    fn from(error: ParseError) -> Self {
        match error.class {
            Class::Syntax => QueryError::Syntax(error.to_string()),
            Class::Meaning => QueryError::Invalid(error.to_string()),
        }
    }
}

impl From<ProtocolError> for QueryError {
    fn from(error: ProtocolError) -> Self {
        QueryError::Protocol(error.to_string())
    }
}

fn already_exists(keyspace: &Name, table: &Option<Name>) -> String {
    match table {
        Some(table) => {
            format!("table {keyspace}.{table} already exists: drop it first, or use IF NOT EXISTS")
        }
        None => format!("keyspace {keyspace} already exists: drop it first, or use IF NOT EXISTS"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_replica() {
        let error = QueryError::Storage(StorageError::Corrupt {
            file: "t/1.sst".into(),
            offset: 7,
            what: "a checksum".to_string(),
        });
        let replica = IpAddr::from([10, 0, 0, 7]);
        let expected = Failures::Reasons(vec![(replica, FailureReason::UNKNOWN)]);
        for write in [None, Some(WriteType::Simple)] {
            let attempt = Attempt { consistency: Consistency::Quorum, write };
            match error.to_message(attempt, replica).kind {
                ErrorKind::ReadFailure { failures, .. }
                | ErrorKind::WriteFailure { failures, .. } => assert_eq!(failures, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
