//! What a connection and a request can be told.

use std::fmt;
use std::time::Duration;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::header::Version;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Versions to try, in order.
    pub versions: Vec<Version>,
    /// Compression to use, if the server has it.
    pub compression: Option<Compression>,
    /// Who to log in as, if the server asks.
    pub credentials: Option<Credentials>,
    /// The keyspace to start in.
    pub keyspace: Option<String>,
    /// How long connecting and the handshake may take.
    pub connect_timeout: Duration,
    /// How long each request may take.
    pub request_timeout: Duration,
    /// Name and version that the server is told.
    pub driver: (String, String),
}

/// A user and a password. `Debug` does not show the password.
#[derive(Clone)]
pub struct Credentials {
    /// The role's name.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// What goes with a request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestOptions {
    /// Consistency level.
    pub consistency: Consistency,
    /// SERIAL or LOCAL_SERIAL, for conditional statements.
    pub serial_consistency: Option<Consistency>,
    /// Most rows in a page; without it the result is not paged.
    pub page_size: Option<i32>,
    /// Where to go on, from the reply with the page before.
    pub paging_state: Option<Vec<u8>>,
    /// Whether to trace the request.
    pub tracing: bool,
    /// Timestamp of what the statement writes, in microseconds since 1970; without it the server's.
    pub timestamp: Option<i64>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            versions: Version::ALL.to_vec(),
            compression: None,
            credentials: None,
            keyspace: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            driver: (env!("CARGO_PKG_NAME").to_string(), env!("CARGO_PKG_VERSION").to_string()),
        }
    }
}

impl Default for RequestOptions {
    fn default() -> Self {
        RequestOptions {
            consistency: Consistency::One,
            serial_consistency: None,
            page_size: None,
            paging_state: None,
            tracing: false,
            timestamp: None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
