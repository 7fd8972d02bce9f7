//! What a shell is started with.

use std::path::PathBuf;
use std::time::Duration;

use tholos_grammar::consistency::Consistency;

use crate::client::{ConnectOptions, Credentials};
use crate::output::Format;

/// How a shell or a script connects and behaves. `Default` connects to 127.0.0.1:9042.
#[derive(Clone, Debug)]
pub struct ShellOptions {
    /// The server: "host:port".
    pub address: String,
    /// Who to log in as, if the server asks; the interactive shell asks for what is missing.
    pub user: Option<String>,
    /// The user's password. It is never stored anywhere.
    pub password: Option<String>,
    /// The keyspace to start in, by its exact name.
    pub keyspace: Option<String>,
    /// How results are printed.
    pub format: Format,
    /// The consistency level to start with.
    pub consistency: Consistency,
    /// The serial consistency level to start with, SERIAL or LOCAL_SERIAL.
    pub serial_consistency: Option<Consistency>,
    /// What a script does when a statement fails.
    pub on_error: OnError,
    /// DROP and TRUNCATE do not ask.
    pub yes: bool,
    /// No colours, even in a terminal. They also stay away if the environment has `NO_COLOR`.
    pub no_color: bool,
    /// Compress requests and responses with LZ4, if the server does.
    pub compression: bool,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long each request may take.
    pub request_timeout: Duration,
    /// The file that keeps the interactive shell's history; `None` keeps none.
    pub history: Option<PathBuf>,
    /// The interactive shell's first lines: server, versions, how to get help.
    pub banner: bool,
}

/// Where a script comes from.
#[derive(Clone, Debug)]
pub enum ScriptSource {
    /// Files, one after the other.
    Files(Vec<PathBuf>),
    /// Standard input.
    Stdin,
    /// Texts, such as those of `-e`, one after the other.
    Texts(Vec<String>),
}

/// What a script does when a statement fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It ends.
    #[default]
    Stop,
    /// It goes on with the next statement, and ends with the code of the first failure.
    Continue,
}

impl Default for ShellOptions {
    fn default() -> Self {
        let connect = ConnectOptions::default();
        ShellOptions {
            address: "127.0.0.1:9042".to_string(),
            user: None,
            password: None,
            keyspace: None,
            format: Format::Table,
            consistency: Consistency::One,
            serial_consistency: None,
            on_error: OnError::Stop,
            yes: false,
            no_color: false,
            compression: false,
            connect_timeout: connect.connect_timeout,
            request_timeout: connect.request_timeout,
            history: None,
            banner: true,
        }
    }
}

impl ShellOptions {
    /// How the client connects.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        use tholos_grammar::protocol::compression::Compression;
        let credentials = match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                Some(Credentials { user: user.clone(), password: password.clone() })
            }
            _ => None,
        };
        ConnectOptions {
            compression: self.compression.then_some(Compression::Lz4),
            credentials,
            keyspace: self.keyspace.clone(),
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            ..ConnectOptions::default()
        }
    }
}
