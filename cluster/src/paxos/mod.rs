//! Agreement on one value among nodes of which a minority may be dead or silent: single-decree Paxos (L. Lamport, "Paxos
//! Made Simple"), as machines without I/O. What the value is, who the acceptors are and how many decisions there are is the
//! caller's: the metadata log decides one for each epoch, the genesis of a cluster a single one.
//!
//! ```text
//! proposer, ballot 7.a                      acceptors x, y (z is down)
//!   Prepare 7.a                        ->   x, y: write "promised 7.a", sync
//!                                      <-   Promised 7.a, nothing accepted | Promised 7.a, accepted V at 5.b
//!   Accept 7.a, V (not its own value)  ->   x, y: write "accepted V at 7.a", sync
//!                                      <-   Accepted 7.a, twice: V is decided, for ever
//! ```
//!
//! Invariants, each of which the rest stands on:
//! - What an acceptor promised or accepted is on its disk before anybody hears of it: see [`Unsynced`].
//! - A ballot has one proposer and at most one value. A proposer promises a ballot to itself, on its disk, before anybody
//!   else hears of it, and takes one above all that it promised: so it uses none twice, even after a crash and whatever its
//!   clock says.
//! - A proposer that hears of accepted values proposes that of the highest ballot in place of its own.

mod acceptor;
mod gate;
mod proposer;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, AcceptorState, Unsynced};
pub use gate::{Gate, Ticket};
pub use proposer::{Outcome, Proposer};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who proposes, and which of its attempts it is. A higher one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot {
    /// Microseconds by the proposer's clock, or more when others are ahead. What is read from bytes is below 2^62, so that
    /// there is always a higher one.
    #[serde(deserialize_with = "bounded")]
    pub time: i64,
    /// The proposer.
    pub node: Uuid,
}

impl Ballot {
    /// A ballot of `node` above one that was seen; of the time `now` unless that is too low.
    pub fn above(seen: Option<Ballot>, now: i64, node: Uuid) -> Ballot {
        let least = seen.map_or(i64::MIN, |ballot| ballot.time.saturating_add(1));
        Ballot { time: now.max(least), node }
    }
}

fn bounded<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let time = i64::deserialize(deserializer)?;
    let is_bounded = time < 1 << 62;
    let error = || serde::de::Error::custom("a ballot's time is out of bounds");
    is_bounded.then_some(time).ok_or_else(error)
}

/// What a proposer asks of an acceptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request<V> {
    /// To promise that it takes no lower ballot any more, and to say what it accepted.
    Prepare(Ballot),
    /// To accept a value.
    Accept(Ballot, V),
}

/// What an acceptor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<V> {
    /// It takes no lower ballot any more.
    Promised {
        /// The ballot of the request.
        ballot: Ballot,
        /// What it accepted last.
        accepted: Option<(Ballot, V)>,
    },
    /// It accepted the value.
    Accepted {
        /// The ballot of the request.
        ballot: Ballot,
    },
    /// It promised a higher ballot to somebody else.
    Refused {
        /// The ballot of the request.
        ballot: Ballot,
        /// What it promised.
        promised: Ballot,
    },
}

/// How many of that many acceptors are a majority.
pub fn majority(acceptors: usize) -> usize {
    acceptors / 2 + 1
}
