//! Requests on their way to replicas, as machines without I/O: what happened goes in, what is to be done comes out.
//!
//! - [`path`]: whether a request needs any of that, or is a function call.
//! - [`mod@write`]: a write to several replicas.
//! - [`read`]: a read of one set of replicas: data and digests, merged pages, repair; [`range`]: of a range of tokens.
//!
//! A machine is made when the request begins, is told of what happens ([`write::Write::on`]), and says what is to be done
//! in the order in which it is to be. It knows no clock and no network: whoever drives it (a node with sockets, a test with
//! a network in memory) tells it of answers and of its deadline.

pub mod path;
pub mod range;
pub mod read;
#[cfg(test)]
mod tests;
pub mod write;

use smallvec::SmallVec;
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

/// Replicas that did not do what they were asked to, and why.
pub type Refusals = SmallVec<[(NodeIndex, Refusal); 3]>;

/// Why a request failed, with the counts that clients are told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Fewer replicas alive than the level needs: none was asked.
    #[error("{level} needs {required} replicas, and {alive} are alive")]
    Unavailable {
        /// The level.
        level: Consistency,
        /// Replicas it needs.
        required: u32,
        /// Replicas alive.
        alive: u32,
    },
    /// Too few answered in time; those that did not may still do what was asked.
    #[error("{level} needs {required} replicas, and {received} answered in time")]
    Timeout {
        /// The level.
        level: Consistency,
        /// Replicas it needs.
        required: u32,
        /// Replicas that answered.
        received: u32,
        /// Of a read: whether one of them sent data, not a digest.
        data_present: bool,
    },
    /// Too many refused for the level to be met.
    #[error("{level} needs {required} replicas, {received} answered and {} refused", refusals.len())]
    Failure {
        /// The level.
        level: Consistency,
        /// Replicas it needs.
        required: u32,
        /// Replicas that answered.
        received: u32,
        /// Of a read: whether one of them sent data, not a digest.
        data_present: bool,
        /// Who refused, and why.
        refusals: Refusals,
    },
}
