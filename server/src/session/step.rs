//! How far a request has come, and what goes on when that for which it waited is there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tholos_cluster::request::read::Rows;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::response::error::ErrorMessage;
use tholos_storage::commitlog::LogPosition;

use super::suspended::Suspended;
use crate::error::{Attempt, QueryError};
use crate::execute::modify::{Replicated, Wanted};
use crate::halt::{Halt, PutOff};
use crate::metrics;
use crate::metrics::RequestKind;

/// What a request came to, for now.
pub type Steps = Result<Step, Failure>;

/// How far a request has come.
#[derive(Debug)]
pub enum Step {
    /// It is carried out, and its answer's body was appended to the buffer.
    Answer(Answer),
    /// It goes on with the continuation once the operation is over. Nothing was appended.
    Wait(Operation, Continuation),
    /// Nothing of it was done here; it is to be carried out elsewhere or later. Nothing was appended.
    PutOff {
        /// Why.
        why: PutOff,
        /// What it is, for metrics.
        kind: RequestKind,
    },
}

/// A request that was carried out.
#[derive(Debug)]
pub struct Answer {
    /// What it was, for metrics.
    pub kind: RequestKind,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// What a request waits for.
#[derive(Debug)]
pub enum Operation {
    /// That the log is on disk up to there.
    Durable(LogPosition),
    /// That replicas write.
    Write(WriteOperation),
    /// What replicas have.
    Read(ReadOperation),
}

/// Writes for several replicas.
#[derive(Debug)]
pub struct WriteOperation {
    /// What is to be written by whom.
    pub writes: Vec<Replicated>,
    /// How many must have it.
    pub level: Consistency,
    /// How far this node's log must be durable besides.
    pub position: LogPosition,
    /// When it is given up.
    pub deadline: Instant,
}

/// Reads of several replicas.
#[derive(Debug)]
pub struct ReadOperation {
    /// What is to be read, from the replicas of which placement.
    pub reads: Arc<[Wanted]>,
    /// How many must have it.
    pub level: Consistency,
    /// When it is given up.
    pub deadline: Instant,
}

/// What an operation came to.
#[derive(Debug)]
pub enum Outcome {
    /// What was written is durable, as the level demands.
    Written,
    /// What replicas have, for each of the reads in turn.
    Read(Vec<Rows>),
}

/// What became of an operation, by its number.
pub type Reply = (u64, Result<Outcome, QueryError>);

/// How a request goes on. A value, not a closure: it can be printed, counted and bounded.
#[derive(Debug)]
pub enum Continuation {
    /// The answer is VOID.
    Void {
        /// What the request is, for metrics.
        kind: RequestKind,
        /// What is being done, should it fail.
        attempt: Attempt,
        /// Warnings for the client.
        warnings: Vec<String>,
    },
    /// A statement, or a batch of them, goes on with what was read.
    Statement(Box<Suspended>),
}

impl Continuation {
    /// Memory that it takes beside itself, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Continuation::Void { warnings, .. } => warnings.iter().map(String::len).sum(),
            Continuation::Statement(suspended) => suspended.bytes(),
        }
    }

    /// The failure of the request, if that for which it waits does not come.
    pub fn failed(&self, error: QueryError) -> Failure {
        let (kind, attempt) = match self {
            Continuation::Void { kind, attempt, .. } => (*kind, *attempt),
            Continuation::Statement(suspended) => (suspended.kind, suspended.attempt),
        };
        Failure { kind, attempt, error }
    }
}

/// The step of a request that has no result.
pub(super) fn halted(halt: Halt, kind: RequestKind, attempt: Attempt) -> Steps {
    match halt {
        Halt::Failed(error) => Err(Failure { kind, attempt, error }),
        Halt::PutOff(why) => Ok(Step::PutOff { why, kind }),
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// What it was, for metrics.
    pub kind: RequestKind,
    /// What was being done.
    pub attempt: Attempt,
    /// Why it failed.
    pub error: QueryError,
}

impl Failure {
    /// Something that is neither a read nor a write of data failed.
    pub fn other(error: QueryError) -> Failure {
        Failure { kind: RequestKind::Other, attempt: Attempt::OTHER, error }
    }

    /// The failure of a statement with that text.
    pub(super) fn in_text(self, text: &str) -> Failure {
        Failure { error: self.error.in_text(text), ..self }
    }

    /// The protocol's error, from the node of that address.
    pub fn to_message(&self, node: IpAddr) -> ErrorMessage {
        self.error.to_message(self.attempt, node)
    }

    /// How metrics count it.
    pub fn outcome(&self) -> metrics::Outcome {
        self.error.outcome()
    }
}
