//! A connection: handshake, statements, events, cancellation.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tholos_grammar::name::Name;
use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::envelope::ResponseMessage;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::auth_response::AuthResponse;
use tholos_grammar::protocol::request::batch::Batch;
use tholos_grammar::protocol::request::execute::Execute;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::prepare::Prepare;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::request::register::Register;
use tholos_grammar::protocol::request::startup::Startup;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::ErrorKind;
use tholos_grammar::protocol::response::event::{Event, EventType};
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_grammar::protocol::values::{ValueList, Values};

use super::error::ClientError;
use super::options::{ConnectOptions, Credentials, RequestOptions};
use super::reply::{Outcome, PreparedStatement, Reply};
use super::wire::Wire;

type Result<T> = std::result::Result<T, ClientError>;

/// The version of CQL named in STARTUP if the server names none.
const CQL_VERSION: &str = "3.0.0";

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    supported: Vec<(String, Vec<String>)>,
    compression: Option<Compression>,
    request_timeout: Duration,
}

/// Cancels what a connection is waiting for, from any thread.
#[derive(Debug)]
pub struct Canceller {
    socket: TcpStream,
    cancelled: Arc<AtomicBool>,
}

impl Canceller {
    /// Closes the connection: the request under way ends with [`ClientError::Cancelled`].
    pub fn cancel(&self) -> io::Result<()> {
        self.cancelled.store(true, Ordering::Release);
        match self.socket.shutdown(Shutdown::Both) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        }
    }
}

impl Connection {
    /// Connects to `address` ("host:port"), agrees on a version, logs in and enters the keyspace.
    pub fn connect(address: &str, options: &ConnectOptions) -> Result<Connection> {
        let mut refusal = String::from("no version to try was given");
        for &version in &options.versions {
            let wire = Wire::new(open_socket(address, options.connect_timeout)?, version);
            match Connection::start(wire, options) {
                Err(error) => match version_refusal(&error) {
                    Some(message) => refusal = message,
                    None => return Err(in_handshake(address, error)),
                },
                Ok(connection) => return Ok(connection),
            }
        }
        Err(ClientError::NoCommonVersion { address: address.to_string(), message: refusal })
    }

    fn start(mut wire: Wire, options: &ConnectOptions) -> Result<Connection> {
        let timeout = options.connect_timeout;
        let supported =
            wire.exchange(&Request::Options, false, timeout, |message| match message.response {
                Response::Supported(supported) => Ok(owned(&supported.options)),
                other => Err(unexpected("OPTIONS", &other)),
            })?;
        let offers = |name: &str, value: &str| {
            supported
                .iter()
                .any(|(key, values)| key == name && values.iter().any(|offered| offered == value))
        };
        let compression =
            options.compression.filter(|wanted| offers(Startup::COMPRESSION, wanted.name()));
        let cql_version = supported
            .iter()
            .find(|(key, _)| key == Startup::CQL_VERSION)
            .and_then(|(_, values)| values.first())
            .map_or(CQL_VERSION, String::as_str);
        let authenticator = startup(&mut wire, cql_version, compression, options)?;
        if let Some(authenticator) = authenticator {
            log_in(&mut wire, authenticator, options)?;
        }
        let mut connection =
            Connection { wire, supported, compression, request_timeout: options.request_timeout };
        if let Some(keyspace) = &options.keyspace {
            connection.use_keyspace(keyspace)?;
        }
        Ok(connection)
    }

    /// The version agreed on.
    pub fn version(&self) -> Version {
        self.wire.version
    }

    /// The compression in use.
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// What the server said it supports.
    pub fn supported(&self) -> &[(String, Vec<String>)] {
        &self.supported
    }

    /// How long each request may take from here on.
    pub fn set_request_timeout(&mut self, timeout: Duration) {
        self.request_timeout = timeout;
    }

    /// How long each request may take.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    pub(super) fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Whether the server still holds its end, as far as can be seen without a request.
    pub fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    /// A handle to cancel what this connection waits for, from another thread.
    pub fn canceller(&self) -> Result<Canceller> {
        let (socket, cancelled) = self.wire.cancel_handle()?;
        Ok(Canceller { socket, cancelled })
    }

    /// Enters a keyspace, given by its exact name.
    pub fn use_keyspace(&mut self, keyspace: &str) -> Result<Reply> {
        let statement = format!("USE {}", Name::exact(keyspace));
        self.query(&statement, &RequestOptions::default())
    }

    /// Executes a statement.
    pub fn query(&mut self, text: &str, options: &RequestOptions) -> Result<Reply> {
        self.query_with(text, Values::EMPTY, options)
    }

    /// Executes a statement with values for its markers.
    pub fn query_with(
        &mut self,
        text: &str,
        values: Values<'_>,
        options: &RequestOptions,
    ) -> Result<Reply> {
        let parameters = QueryParameters { values, ..parameters(options) };
        self.statement(&Request::Query(Query { text, parameters }), options.tracing)
    }

    /// Prepares a statement.
    pub fn prepare(&mut self, text: &str) -> Result<PreparedStatement> {
        let request = Request::Prepare(Prepare { text, keyspace: None });
        self.wire.exchange(&request, false, self.request_timeout, |message| {
            match message.response {
                Response::Result(QueryResult::Prepared(prepared)) => Ok(PreparedStatement {
                    text: text.to_string(),
                    id: prepared.id.to_vec(),
                    result_metadata_id: prepared.result_metadata_id.to_vec(),
                    markers: prepared.markers,
                    result: prepared.result,
                }),
                other => Err(unexpected("PREPARE", &other)),
            }
        })
    }

    /// Executes a prepared statement. If the server has forgotten it, it is prepared once more.
    pub fn execute(
        &mut self,
        statement: &mut PreparedStatement,
        values: &ValueList,
        options: &RequestOptions,
    ) -> Result<Reply> {
        match self.execute_once(statement, values, options) {
            Err(error) if matches!(error.server_kind(), Some(ErrorKind::Unprepared { .. })) => {
                *statement = self.prepare(&statement.text)?;
                self.execute_once(statement, values, options)
            }
            other => other,
        }
    }

    fn execute_once(
        &mut self,
        statement: &mut PreparedStatement,
        values: &ValueList,
        options: &RequestOptions,
    ) -> Result<Reply> {
        // Only v5 says when the columns have changed since they were learnt, so only there can they be left out.
        let skip_metadata = self.version() >= Version::V5 && !statement.result.columns.is_empty();
        let parameters =
            QueryParameters { values: values.as_values(), skip_metadata, ..parameters(options) };
        let request = Request::Execute(Execute {
            id: &statement.id,
            result_metadata_id: &statement.result_metadata_id,
            parameters,
        });
        let mut reply = self.statement(&request, options.tracing)?;
        if let Outcome::Rows(rows) = &mut reply.outcome {
            if let Some(id) = &rows.metadata.new_metadata_id {
                statement.result_metadata_id.clone_from(id);
                statement.result.columns.clone_from(&rows.metadata.columns);
                statement.result.column_count = rows.metadata.column_count;
            } else if rows.metadata.columns.is_empty() {
                rows.metadata.columns.clone_from(&statement.result.columns);
            }
        }
        Ok(reply)
    }

    /// Executes a batch.
    pub fn batch(&mut self, batch: Batch<'_>, tracing: bool) -> Result<Reply> {
        self.statement(&Request::Batch(batch), tracing)
    }

    /// Asks for events; [`Connection::next_event`] hands them out.
    pub fn register(&mut self, events: &[EventType]) -> Result<()> {
        let request = Request::Register(Register { events: events.to_vec() });
        self.wire.exchange(&request, false, self.request_timeout, |message| {
            match message.response {
                Response::Ready => Ok(()),
                other => Err(unexpected("REGISTER", &other)),
            }
        })
    }

    /// The next event, in the order they came; `None` if none comes within `timeout`.
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>> {
        self.wire.next_event(timeout)
    }

    fn statement(&mut self, request: &Request<'_>, tracing: bool) -> Result<Reply> {
        let name = request.opcode().name();
        self.wire.exchange(request, tracing, self.request_timeout, |message| reply(name, message))
    }
}

/// What the options say, as a request takes it.
pub(super) fn parameters(options: &RequestOptions) -> QueryParameters<'_> {
    QueryParameters {
        consistency: options.consistency,
        page_size: options.page_size,
        paging_state: options.paging_state.as_deref(),
        serial_consistency: options.serial_consistency,
        timestamp: options.timestamp,
        ..QueryParameters::default()
    }
}

fn reply(request: &'static str, message: ResponseMessage<'_>) -> Result<Reply> {
    let outcome = match message.response {
        Response::Result(QueryResult::Void) => Outcome::Void,
        Response::Result(QueryResult::Rows(rows)) => Outcome::Rows(rows.into()),
        Response::Result(QueryResult::SetKeyspace(keyspace)) => {
            Outcome::SetKeyspace(keyspace.to_string())
        }
        Response::Result(QueryResult::SchemaChange(change)) => Outcome::SchemaChange(change),
        other => return Err(unexpected(request, &other)),
    };
    let warnings = message.warnings.into_iter().map(str::to_string).collect();
    Ok(Reply { outcome, tracing_id: message.tracing_id, warnings })
}

/// Sends STARTUP and puts what it agrees on into effect; the authenticator, if there is one.
fn startup(
    wire: &mut Wire,
    cql_version: &str,
    compression: Option<Compression>,
    options: &ConnectOptions,
) -> Result<Option<String>> {
    let mut named = vec![
        (Startup::CQL_VERSION, cql_version),
        (Startup::DRIVER_NAME, options.driver.0.as_str()),
        (Startup::DRIVER_VERSION, options.driver.1.as_str()),
    ];
    named.extend(compression.map(|compression| (Startup::COMPRESSION, compression.name())));
    wire.expect_compression(compression);
    let request = Request::Startup(Startup { options: named });
    let authenticator = wire.exchange(&request, false, options.connect_timeout, |message| {
        match message.response {
            Response::Ready => Ok(None),
            Response::Authenticate(authenticator) => Ok(Some(authenticator.to_string())),
            other => Err(unexpected("STARTUP", &other)),
        }
    })?;
    wire.started(compression);
    Ok(authenticator)
}

fn log_in(wire: &mut Wire, authenticator: String, options: &ConnectOptions) -> Result<()> {
    let Some(Credentials { user, password }) = &options.credentials else {
        return Err(ClientError::CredentialsNeeded { authenticator });
    };
    let token = AuthResponse::plain_token(user, password);
    let request = Request::AuthResponse(AuthResponse { token: Some(&token) });
    wire.exchange(&request, false, options.connect_timeout, |message| match message.response {
        Response::AuthSuccess(_) => Ok(()),
        other => Err(unexpected("AUTH_RESPONSE", &other)),
    })
}

fn open_socket(address: &str, timeout: Duration) -> Result<TcpStream> {
    let failed = |source| ClientError::Connect { address: address.to_string(), source };
    let unknown = |source| ClientError::Host { address: address.to_string(), source };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(unknown)?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// The error of a connection that came about and went no further.
fn in_handshake(address: &str, error: ClientError) -> ClientError {
    match error {
        ClientError::Timeout { .. }
        | ClientError::Closed
        | ClientError::Io(_)
        | ClientError::Protocol(_)
        | ClientError::Unexpected { .. } => {
            ClientError::Handshake { address: address.to_string(), source: Box::new(error) }
        }
        other => other,
    }
}

/// What the server said, if it refused the protocol's version.
fn version_refusal(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Server(error)
            if error.message.to_lowercase().contains("unsupported protocol version") =>
        {
            Some(error.message.clone())
        }
        ClientError::Protocol(error)
            if matches!(
                error,
                tholos_grammar::protocol::error::ProtocolError::UnsupportedVersion { .. }
            ) =>
        {
            Some(error.to_string())
        }
        _ => None,
    }
}

fn unexpected(request: &'static str, response: &Response<'_>) -> ClientError {
    ClientError::Unexpected { request, response: response.opcode().name() }
}

fn owned(options: &[(&str, Vec<&str>)]) -> Vec<(String, Vec<String>)> {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_string()).collect();
    options.iter().map(|(key, offered)| ((*key).to_string(), values(offered))).collect()
}
