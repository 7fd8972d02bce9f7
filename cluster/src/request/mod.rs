//! Requests on their way to replicas, as machines without I/O: what happened goes in, what is to be done comes out.
//!
//! - [`mod@write`]: a write to several replicas.
//! - [`read`]: a read of one set of replicas: data and digests, merged pages, repair; [`range`]: of a range of tokens.
//!
//! A machine is made when the request begins, is told of what happens ([`write::Write::on`]), and says what is to be done
//! in the order in which it is to be. It knows no clock and no network: whoever drives it (a node with sockets, a test with
//! a network in memory) tells it of answers and of its deadline.

pub mod range;
pub mod read;
#[cfg(test)]
mod tests;
pub mod write;

use tholos_grammar::consistency::Consistency;

use crate::ring::NodeIndex;

/// Why a replica did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It failed, and says no more.
    Failed,
    /// It has too much to do.
    Overloaded,
    /// It can't be reached any more.
    Unreachable,
}

/// Why a request failed, with the counts that clients are told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too few replicas answered in time; those that did not may still do what was asked.
    #[error("{received} of the {required} replicas that {consistency} needs answered in time")]
    Timeout {
        /// The level.
        consistency: Consistency,
        /// Replicas that answered.
        received: u32,
        /// Replicas that the level needs.
        required: u32,
    },
    /// Too many replicas refused for the level to be met.
    #[error(
        "{received} replicas did it, {} refused, and {consistency} needs {required}",
        refusals.len()
    )]
    Failure {
        /// The level.
        consistency: Consistency,
        /// Replicas that answered.
        received: u32,
        /// Replicas that the level needs.
        required: u32,
        /// Who refused, and why.
        refusals: Vec<(NodeIndex, Refusal)>,
    },
}
