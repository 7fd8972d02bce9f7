//! Native protocol v4 and v5, both directions: a server decodes requests and encodes responses, a client the reverse.
//!
//! From the bottom up, each layer using only those before it:
//!
//! - [`primitive`]: the notations of the spec; [`values`]: bound values; [`option`]: types on the wire.
//! - [`request`] and [`response`]: the messages, one file each.
//! - [`header`] and [`envelope`]: header + body, with what may stand before a message in its body.
//! - [`compression`] of v4 envelopes, [`segment`]s of v5.
//! - [`decoder`] and [`encoder`]: a connection's bytes to envelopes and back, in whatever framing is in force.
//!
//! Decoding borrows from the connection's buffer wherever it can, never allocates for an announced length, and never
//! panics. No I/O happens here: the caller reads and writes the sockets.

pub mod compression;
pub mod decoder;
pub mod encoder;
pub mod envelope;
pub mod error;
pub mod header;
pub mod marshal;
pub mod option;
pub mod primitive;
pub mod request;
pub mod response;
pub mod segment;
pub mod values;

#[cfg(test)]
pub(crate) mod tests;
