//! What can go wrong between a client and its server.

use std::io;
use std::time::Duration;

use tholos_grammar::protocol::error::ProtocolError;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};

/// A connection or a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection to the address came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address as given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The address's host is not known.
    #[error("cannot find the host of {address}: {source}")]
    Host {
        /// The address as given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// What listens at the address took the connection, but does not speak the protocol, or is too busy to.
    #[error("{address} does not answer as a CQL server does: {source}")]
    Handshake {
        /// The address as given.
        address: String,
        /// What went wrong.
        source: Box<ClientError>,
    },
    /// The server speaks none of the versions that were tried.
    #[error("the server at {address} speaks no protocol version that this client does: {message}")]
    NoCommonVersion {
        /// The address as given.
        address: String,
        /// What the server said.
        message: String,
    },
    /// The server asks for a password, and none was given.
    #[error("the server asks for a user and password ({authenticator})")]
    CredentialsNeeded {
        /// The server's authenticator.
        authenticator: String,
    },
    /// No answer in time. A write may have happened or not; the connection can still be used.
    #[error("no answer within {after:?}")]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The connection was cancelled from here.
    #[error("cancelled")]
    Cancelled,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The server answered with an error.
    #[error(transparent)]
    Server(ErrorMessage),
    /// The server's bytes can't be understood.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The request is longer than the protocol allows; it was not sent.
    #[error("the request is too long: {0}")]
    TooLong(ProtocolError),
    /// A response that does not go with the request.
    #[error("the server answered {request} with {response}")]
    Unexpected {
        /// Name of the request.
        request: &'static str,
        /// Name of the response.
        response: &'static str,
    },
}

impl ClientError {
    /// The kind of error that the server answered with, if it is one.
    pub fn server_kind(&self) -> Option<&ErrorKind> {
        match self {
            ClientError::Server(error) => Some(&error.kind),
            _ => None,
        }
    }

    /// Whether the connection can take another request.
    pub fn is_connection_usable(&self) -> bool {
        match self {
            ClientError::Server(error) => !matches!(error.kind, ErrorKind::Protocol),
            ClientError::Timeout { .. }
            | ClientError::Unexpected { .. }
            | ClientError::TooLong(_) => true,
            _ => false,
        }
    }
}
