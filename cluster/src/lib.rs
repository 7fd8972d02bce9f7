//! The ring: which node has which keys, how many of them must answer, and how they are asked.
//!
//! - [`ring`]: nodes, their tokens, data centres and racks.
//! - [`allocation`]: the tokens of a new node.
//! - [`placement`]: from a keyspace's replication and a ring to the replicas of every token.
//! - [`consistency`]: one predicate for all consistency levels.
//! - [`metadata`]: what all nodes agree on, one value per epoch: the ring, the placements, the schema; and how they do.
//! - [`paxos`]: agreement on a value among nodes of which a minority may be dead.
//! - [`message`]: what nodes say to each other.
//! - [`request`]: requests on their way to replicas, as machines without I/O.
//! - [`membership`]: who of the nodes is alive, and what each says of itself.
//! - [`hints`]: writes that wait for nodes that can't be reached.
//! - [`random`]: chance that a seed gives.
//!
//! Invariant: no clock, no randomness of its own, no network and no async runtime in this crate: all of it is an
//! argument. It uses storage's model and never its engine; files it has by storage's `fs`.

pub mod allocation;
pub mod consistency;
pub mod hints;
pub mod membership;
pub mod message;
pub mod metadata;
pub mod paxos;
pub mod placement;
mod planted;
pub mod random;
pub mod request;
pub mod ring;
#[cfg(test)]
mod testing;
