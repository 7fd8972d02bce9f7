//! What is wrong with a message.

/// Bytes from a peer that are no message of this kind. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends, or a number in it does not end, within something.
    #[error("a gossip message is cut off at {0}: the peer's bytes are damaged")]
    Cut(&'static str),
    /// Something is longer than anybody needs.
    #[error("a gossip message has {is} bytes of {what}, which is over the limit of {limit}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its bytes.
        is: usize,
        /// The limit.
        limit: usize,
    },
    /// It announces more than it has bytes for.
    #[error(
        "a gossip message announces {announced} {what} in {bytes} bytes, which can't hold them"
    )]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        announced: u64,
        /// Bytes that are left.
        bytes: usize,
    },
    /// A kind of message that this version does not know.
    #[error("gossip message kind {0} is not known: the peer may be of a later version")]
    Kind(u8),
    /// A release version that is no text.
    #[error("a node's release version in a gossip message is not UTF-8 text")]
    Release,
    /// A wire version that does not fit.
    #[error("wire version {0} in a gossip message is above {max}", max = u32::MAX)]
    WireVersion(u64),
}
