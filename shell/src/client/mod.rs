//! A blocking client of the native protocol: one connection, one request at a time.
//!
//! [`Connection`] speaks v5 and falls back to v4, compresses with LZ4 if asked to, and answers every request with a
//! [`Reply`]. Cells of rows are bytes in the encoding of their column's type. Events are kept apart from replies.
//!
//! Not here: pooling, routing to replicas, retries, TLS.

pub mod connection;
pub mod error;
pub mod options;
pub mod pipeline;
pub mod reply;

mod wire;

pub use connection::{Canceller, Connection};
pub use error::ClientError;
pub use options::{ConnectOptions, Credentials, RequestOptions};
pub use reply::{Outcome, PreparedStatement, Reply, ResultRows};

#[cfg(test)]
mod tests;
