//! The connection, kept up: statements, pages, reconnecting, the keyspace in use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tholos_grammar::protocol::header::Version;
use uuid::Uuid;

use crate::catalogue::{Catalogue, text_cell};
use crate::client::{
    Canceller, ClientError, ConnectOptions, Connection, Outcome, Reply, RequestOptions,
};
use crate::interrupt::Interrupts;

/// A session with one server.
#[derive(Debug)]
pub(crate) struct Session {
    address: String,
    options: ConnectOptions,
    link: Option<Link>,
    interrupts: Interrupts,
    server: ServerInfo,
    /// The keyspace in use.
    keyspace: Option<String>,
    /// Names for completion; `None` when they may have changed.
    catalogue: Option<Arc<Catalogue>>,
}

/// A connection and the handle that cancels its requests.
#[derive(Debug)]
struct Link {
    connection: Connection,
    canceller: Arc<Canceller>,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerInfo {
    pub(crate) cluster_name: String,
    pub(crate) release_version: String,
    pub(crate) cql_version: String,
    /// Its own name, if it is another product than Cassandra.
    pub(crate) product: Option<String>,
    pub(crate) protocol: String,
}

/// A reply, and how long it took.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) elapsed: Duration,
}

impl Session {
    pub(crate) fn connect(
        address: &str,
        options: ConnectOptions,
        interrupts: Interrupts,
    ) -> Result<Session, ClientError> {
        let keyspace = options.keyspace.clone();
        let mut session = Session {
            address: address.to_string(),
            options,
            link: None,
            interrupts,
            server: ServerInfo::default(),
            keyspace,
            catalogue: None,
        };
        session.server = session.ask_server()?;
        Ok(session)
    }

    /// The server's address, as it was given.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What the server says of itself.
    pub(crate) fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// The keyspace in use.
    pub(crate) fn keyspace(&self) -> Option<&str> {
        self.keyspace.as_deref()
    }

    /// The interrupts that cancel this session's requests.
    pub(crate) fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    /// Logs in as someone else from the next request on. The connection is made anew.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        let credentials =
            crate::client::Credentials { user: user.to_string(), password: password.to_string() };
        let before = self.options.credentials.replace(credentials);
        let link = self.link.take();
        if let Err(error) = self.with_connection(|_| Ok(())) {
            self.options.credentials = before;
            self.link = link;
            return Err(error);
        }
        Ok(())
    }

    /// Executes a statement: its answer, or its first page.
    pub(crate) fn execute(
        &mut self,
        text: &str,
        options: &RequestOptions,
    ) -> Result<Answer, ClientError> {
        let begin = Instant::now();
        let reply = self.with_connection(|connection| connection.query(text, options))?;
        let answer = Answer { reply, elapsed: begin.elapsed() };
        match &answer.reply.outcome {
            Outcome::SetKeyspace(keyspace) => {
                self.keyspace = Some(keyspace.clone());
                self.options.keyspace = Some(keyspace.clone());
            }
            Outcome::SchemaChange(_) => self.catalogue = None,
            Outcome::Rows(_) | Outcome::Void => {}
        }
        Ok(answer)
    }

    /// Runs requests on the connection, after connecting if there is none. An interrupt cancels them; a connection
    /// that can't be used any more is given up, and the next request makes a new one.
    pub(crate) fn with_connection<T>(
        &mut self,
        requests: impl FnOnce(&mut Connection) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        // A server that was started again meanwhile has closed its end: better noticed before a statement is lost.
        let mut link = match self.link.take().filter(|link| link.connection.is_open()) {
            Some(link) => link,
            None => {
                let connection = Connection::connect(&self.address, &self.options)?;
                let canceller = Arc::new(connection.canceller()?);
                Link { connection, canceller }
            }
        };
        let armed = self.interrupts.arm(&link.canceller);
        let result = requests(&mut link.connection);
        drop(armed);
        let usable = result.as_ref().err().is_none_or(ClientError::is_connection_usable);
        // An interrupt that comes just behind the answer has closed the socket all the same.
        if usable && !self.interrupts.is_raised() {
            self.link = Some(link);
        }
        result
    }

    /// Names for completion, read from the server if they may have changed.
    pub(crate) fn catalogue(&mut self) -> Arc<Catalogue> {
        if let Some(catalogue) = &self.catalogue {
            return Arc::clone(catalogue);
        }
        // Completion is a convenience: without the names there are keywords.
        let catalogue = Arc::new(self.with_connection(Catalogue::load).unwrap_or_default());
        self.catalogue = Some(Arc::clone(&catalogue));
        catalogue
    }

    fn ask_server(&mut self) -> Result<ServerInfo, ClientError> {
        let text = "SELECT cluster_name, release_version, cql_version FROM system.local";
        self.with_connection(|connection| {
            let protocol = match connection.version() {
                Version::V4 => "v4",
                Version::V5 => "v5",
            };
            let product = connection
                .supported()
                .iter()
                .find(|(key, _)| key == "PRODUCT_TYPE")
                .and_then(|(_, values)| values.first().cloned());
            let reply = match connection.query(text, &RequestOptions::default()) {
                // A server without these columns still answers statements.
                Err(ClientError::Server(_)) => None,
                other => other?.into_rows(),
            };
            let row = reply.and_then(|rows| rows.rows.into_iter().next()).unwrap_or_default();
            let column = |index: usize| text_cell(&row, index).unwrap_or("?").to_string();
            Ok(ServerInfo {
                cluster_name: column(0),
                release_version: column(1),
                cql_version: column(2),
                product,
                protocol: protocol.to_string(),
            })
        })
    }
}

/// The trace's id as the shell shows it.
pub(crate) fn trace_line(id: Uuid) -> String {
    format!("Tracing session: {id}")
}
