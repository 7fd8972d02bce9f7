//! The Tholos node: everything between a socket and storage, and the program around it.
//!
//! - `budget`: memory for the bytes of requests and answers; `load`: when there is too much to do.
//! - [`config`]: settings; [`clock`]: the time of requests.
//! - [`query`]: bind and plan, pure functions over a catalogue; only executing touches storage.
//! - [`execute`]: the context of one request, and the way from a plan to whoever has the keys; [`network`]: the way to
//!   other nodes; [`work`]: what waits.
//! - [`error`]: what a statement can fail with, mapped once to the protocol's error codes; [`halt`]: and why else it may
//!   have no result yet.
//! - [`system`]: the system keyspaces, of which most tables are made up at each read.
//! - [`peers`]: connections to other nodes.

pub mod admin;
mod budget;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod connection;
mod descriptors;
pub mod error;
pub mod events;
pub mod execute;
pub mod halt;
pub mod identity;
mod load;
pub mod metrics;
pub mod network;
pub mod node;
pub mod peers;
pub mod prepared;
pub mod presence;
pub mod query;
pub mod schema_store;
pub mod serve;
pub mod session;
pub mod system;
pub mod version;
pub mod work;

#[cfg(test)]
mod testing;
