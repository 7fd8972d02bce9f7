//! The client against a server of a few lines that speaks the real protocol.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::encoder::Encoder;
use tholos_grammar::protocol::envelope::{Envelope, Extras};
use tholos_grammar::protocol::header::{MAX_FRAME_AFTER_AUTH, Version};
use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::batch::{Batch, BatchKind, BatchStatement, StatementRef};
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::auth::AuthToken;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::response::event::{Event, EventType, StatusChange};
use tholos_grammar::protocol::response::metadata::{ColumnSpec, ResultMetadata};
use tholos_grammar::protocol::response::result::{Prepared, QueryResult, Rows};
use tholos_grammar::protocol::response::supported::Supported;
use tholos_grammar::protocol::values::{ValueList, Values};
use tholos_grammar::types::Native;

use super::*;

/// What a test's server answers once the handshake is over.
type Answer = fn(&mut Conversation, &Envelope<'_>, &Request<'_>);

/// A server for one test.
struct Server {
    versions: &'static [Version],
    credentials: Option<(&'static str, &'static str)>,
    answer: Answer,
}

/// One connection of it.
struct Conversation {
    encoder: Encoder,
    /// How many requests of the test came.
    requests: usize,
    /// The stream of a request whose answer is to come late.
    held: Option<i16>,
}

impl Conversation {
    fn say(&mut self, to: &Envelope<'_>, response: &Response<'_>) {
        self.say_with(to, &Extras::default(), response);
    }

    fn say_with(&mut self, to: &Envelope<'_>, extras: &Extras<'_>, response: &Response<'_>) {
        let header = to.header;
        self.encoder.response(header.version, header.stream, extras, response).unwrap();
    }
}

impl Server {
    fn answering(answer: Answer) -> Server {
        Server { versions: &Version::ALL, credentials: None, answer }
    }

    /// Starts it; its threads end with the test's connections.
    fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for socket in listener.incoming() {
                self.serve(&mut socket.unwrap());
            }
        });
        address
    }

    fn serve(&self, socket: &mut TcpStream) {
        let mut decoder = Decoder::of_requests();
        decoder.set_body_limit(MAX_FRAME_AFTER_AUTH);
        let mut conversation = Conversation { encoder: Encoder::new(), requests: 0, held: None };
        let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let length = socket.read(&mut chunk).unwrap_or(0);
            if length == 0 {
                return;
            }
            buffer.extend_from_slice(&chunk[..length]);
            let mut input = buffer.as_slice();
            let mut started = None;
            while let Some(envelope) = decoder.next(&mut input).unwrap() {
                let version = envelope.header.version;
                if !self.versions.contains(&version) {
                    let message =
                        format!("Invalid or unsupported protocol version ({})", version.number());
                    let error = Response::Error(ErrorMessage::new(ErrorKind::Protocol, message));
                    let stream = envelope.header.stream;
                    conversation
                        .encoder
                        .response(Version::V4, stream, &Extras::default(), &error)
                        .unwrap();
                    socket.write_all(conversation.encoder.finished()).unwrap();
                    return;
                }
                let message = envelope.request().unwrap();
                match &message.request {
                    Request::Options => {
                        let options =
                            vec![("CQL_VERSION", vec!["3.4.7"]), ("COMPRESSION", vec!["lz4"])];
                        conversation.say(&envelope, &Response::Supported(Supported { options }));
                    }
                    Request::Startup(startup) => {
                        started = Some((version, startup.compression().unwrap()));
                        let response = match self.credentials {
                            None => Response::Ready,
                            Some(_) => Response::Authenticate("org.example.Plain"),
                        };
                        conversation.say(&envelope, &response);
                        break;
                    }
                    Request::AuthResponse(response) => {
                        let response = if response.plain_credentials() == self.credentials {
                            Response::AuthSuccess(AuthToken(None))
                        } else {
                            let message = "Provided username u and/or password are incorrect";
                            Response::Error(ErrorMessage::new(ErrorKind::BadCredentials, message))
                        };
                        conversation.say(&envelope, &response);
                    }
                    request => {
                        conversation.requests += 1;
                        (self.answer)(&mut conversation, &envelope, request);
                    }
                }
            }
            let taken = buffer.len() - input.len();
            buffer.drain(..taken);
            if let Some((version, compression)) = started {
                decoder.set_compression(compression);
                conversation.encoder.set_compression(compression);
                if version == Version::V5 {
                    decoder.switch_to_segments();
                    conversation.encoder.switch_to_segments();
                }
            }
            socket.write_all(conversation.encoder.finished()).unwrap();
            conversation.encoder.clear(0);
        }
    }
}

fn columns() -> Vec<ColumnSpec> {
    let (keyspace, table) = (Name::exact("ks"), Name::exact("t"));
    vec![ColumnSpec { keyspace, table, name: "a".into(), column_type: Native::Text.into() }]
}

/// Answers a query with a row that holds its text, and all else with nothing.
fn echo(conversation: &mut Conversation, envelope: &Envelope<'_>, request: &Request<'_>) {
    let Request::Query(query) = request else {
        return conversation.say(envelope, &Response::Result(QueryResult::Void));
    };
    let mut cells = Vec::new();
    tholos_grammar::protocol::primitive::write_bytes(&mut cells, Some(query.text.as_bytes()));
    let mut metadata = ResultMetadata::of(columns());
    metadata.paging_state = query.parameters.paging_state.map(<[u8]>::to_vec);
    let rows = Rows::new(metadata, 1, &cells).unwrap();
    let warnings = [query.parameters.consistency.to_string()];
    let tracing_id = envelope.request().unwrap().tracing.then(|| uuid::Uuid::from_u128(7));
    let extras = Extras { tracing_id, warnings: &warnings, payload: &[] };
    conversation.say_with(envelope, &extras, &Response::Result(QueryResult::Rows(rows)));
}

fn connect(address: &str) -> Connection {
    Connection::connect(address, &ConnectOptions::default()).unwrap()
}

#[test]
fn statements_in_every_framing() {
    let v4_only = Server { versions: &[Version::V4], ..Server::answering(echo) }.start();
    let both = Server::answering(echo).start();
    for (address, version) in [(&v4_only, Version::V4), (&both, Version::V5)] {
        for compression in [None, Some(Compression::Lz4)] {
            let options = ConnectOptions { compression, ..ConnectOptions::default() };
            let mut connection = Connection::connect(address, &options).unwrap();
            assert_eq!((connection.version(), connection.compression()), (version, compression));
            for length in [0, 10, 300_000] {
                let text = "x".repeat(length);
                let options = RequestOptions {
                    consistency: Consistency::All,
                    paging_state: Some(vec![1, 2]),
                    tracing: true,
                    ..RequestOptions::default()
                };
                let reply = connection.query(&text, &options).unwrap();
                assert_eq!(reply.warnings, ["ALL"]);
                assert_eq!(reply.tracing_id, Some(uuid::Uuid::from_u128(7)));
                let rows = reply.into_rows().unwrap();
                assert_eq!(rows.rows, [[Some(text.into_bytes())]]);
                assert_eq!(rows.metadata.columns, columns());
                assert_eq!(rows.metadata.paging_state, Some(vec![1, 2]));
            }
        }
    }
}

#[test]
fn no_version_in_common() {
    let address = Server { versions: &[], ..Server::answering(echo) }.start();
    let error = Connection::connect(&address, &ConnectOptions::default()).unwrap_err();
    assert!(matches!(error, ClientError::NoCommonVersion { .. }), "{error}");
    assert!(error.to_string().contains("unsupported protocol version (4)"), "{error}");
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = Connection::connect(&port, &ConnectOptions::default()).unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}

#[test]
fn logging_in() {
    let credentials = Some(("u", "right"));
    let address = Server { credentials, ..Server::answering(echo) }.start();
    let connect = |password: Option<&str>| {
        let credentials =
            password.map(|password| Credentials { user: "u".into(), password: password.into() });
        let options = ConnectOptions {
            credentials,
            keyspace: Some("Ks".into()),
            ..ConnectOptions::default()
        };
        assert!(!format!("{options:?}").contains("right"));
        Connection::connect(&address, &options)
    };
    assert!(connect(Some("right")).is_ok());
    assert!(matches!(connect(None), Err(ClientError::CredentialsNeeded { .. })));
    let error = connect(Some("wrong")).unwrap_err();
    assert_eq!(error.server_kind(), Some(&ErrorKind::BadCredentials));
}

#[test]
fn a_forgotten_statement_is_prepared_again() {
    let address = Server::answering(|conversation, envelope, request| {
        let response = match request {
            Request::Prepare(_) => Response::Result(QueryResult::Prepared(Prepared {
                id: &[conversation.requests as u8],
                result_metadata_id: &[9],
                markers: Default::default(),
                result: Default::default(),
            })),
            Request::Execute(execute) if execute.id == [1] => {
                let kind = ErrorKind::Unprepared { id: vec![1] };
                Response::Error(ErrorMessage::new(kind, "unknown id"))
            }
            Request::Execute(execute) => {
                assert_eq!(execute.result_metadata_id, [9]);
                let value = execute.parameters.values.iter().next().unwrap().value;
                assert_eq!(value, RawValue::Bytes(b"v"));
                Response::Result(QueryResult::Void)
            }
            other => panic!("{other:?}"),
        };
        conversation.say(envelope, &response);
    })
    .start();
    let mut connection = connect(&address);
    let mut statement = connection.prepare("INSERT").unwrap();
    let mut values = ValueList::positional();
    values.push(RawValue::Bytes(b"v")).unwrap();
    let reply = connection.execute(&mut statement, &values, &RequestOptions::default()).unwrap();
    assert_eq!((reply.outcome, statement.id), (Outcome::Void, vec![3]));
}

/// The server answers last to first, with an error for one value, an event between, and the answer to a query whose time
/// was up long ago.
#[test]
fn many_executions_have_their_answers_in_order() {
    let address = Server::answering(|conversation, envelope, request| {
        let (version, stream) = (envelope.header.version, envelope.header.stream);
        let Request::Execute(execute) = request else {
            conversation.held = Some(stream);
            return;
        };
        let value = execute.parameters.values.iter().next().unwrap().value;
        if value == RawValue::Bytes(b"first") {
            // Its answer comes with that to the next request.
            return;
        }
        let address = ([127, 0, 0, 1], 1).into();
        let up = Response::Event(Event::StatusChange { change: StatusChange::Up, address });
        let held = conversation.held.take_if(|_| value == RawValue::Bytes(b"second"));
        let mut say = |stream, response: &Response<'_>| {
            conversation.encoder.response(version, stream, &Extras::default(), response).unwrap();
        };
        if value == RawValue::Bytes(b"second") {
            say(Event::STREAM, &up);
            say(stream, &Response::Error(ErrorMessage::new(ErrorKind::Invalid, "no")));
            if let Some(held) = held {
                let late = ErrorMessage::new(ErrorKind::Invalid, "late");
                say(held, &Response::Error(late));
            }
            say(stream - 1, &Response::Result(QueryResult::Void));
        } else {
            say(stream, &Response::Result(QueryResult::Void));
        }
    })
    .start();
    let mut connection = connect(&address);
    let statement = PreparedStatement {
        text: "INSERT".into(),
        id: vec![1],
        result_metadata_id: vec![9],
        markers: Default::default(),
        result: Default::default(),
    };
    let list = |value: &str| {
        let mut values = ValueList::positional();
        values.push(RawValue::Bytes(value.as_bytes())).unwrap();
        values
    };
    let options = RequestOptions::default();
    let values = ["first", "second", "third"].map(list);
    for _ in 0..2 {
        connection.set_request_timeout(Duration::from_millis(20));
        let error = connection.query("slow", &options).unwrap_err();
        assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
        connection.set_request_timeout(Duration::from_secs(10));
        let answers = connection.execute_many(&statement, &values, &options).unwrap();
        let messages: Vec<_> =
            answers.into_iter().map(|answer| answer.err().map(|error| error.message)).collect();
        assert_eq!(messages, [None, Some("no".to_string()), None]);
        assert!(connection.next_event(Duration::from_secs(5)).unwrap().is_some());
    }
    assert_eq!(connection.execute_many(&statement, &[], &options).unwrap(), []);
    // Streams are numbered anew before they run out.
    let many = vec![list("third"); 12_000];
    for _ in 0..4 {
        let answers = connection.execute_many(&statement, &many, &options).unwrap();
        assert!(answers.len() == many.len() && answers.iter().all(Result::is_ok));
    }
}

#[test]
fn events_are_kept_apart() {
    let address = Server::answering(|conversation, envelope, request| {
        let up = |port| {
            let address = ([127, 0, 0, 1], port).into();
            Response::Event(Event::StatusChange { change: StatusChange::Up, address })
        };
        let version = envelope.header.version;
        let mut push = |port| {
            conversation
                .encoder
                .response(version, Event::STREAM, &Extras::default(), &up(port))
                .unwrap();
        };
        match request {
            Request::Register(_) => conversation.say(envelope, &Response::Ready),
            _ => {
                push(1);
                echo(conversation, envelope, request);
                let push_after = up(2);
                conversation
                    .encoder
                    .response(version, Event::STREAM, &Extras::default(), &push_after)
                    .unwrap();
            }
        }
    })
    .start();
    let mut connection = connect(&address);
    connection.register(&[EventType::StatusChange]).unwrap();
    let brief = Duration::from_millis(20);
    assert_eq!(connection.next_event(brief).unwrap(), None);
    assert!(connection.query("x", &RequestOptions::default()).unwrap().into_rows().is_some());
    let mut port = || match connection.next_event(Duration::from_secs(5)).unwrap() {
        Some(Event::StatusChange { address, .. }) => address.port(),
        other => panic!("{other:?}"),
    };
    assert_eq!((port(), port()), (1, 2));
}

#[test]
fn a_late_answer_is_not_taken_for_the_next() {
    let address = Server::answering(|conversation, envelope, request| {
        if conversation.requests == 1 {
            thread::sleep(Duration::from_millis(150));
        }
        echo(conversation, envelope, request);
    })
    .start();
    let mut connection = connect(&address);
    connection.set_request_timeout(Duration::from_millis(50));
    let error = connection.query("slow", &RequestOptions::default()).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }) && error.is_connection_usable());
    connection.set_request_timeout(Duration::from_secs(5));
    let rows = connection.query("next", &RequestOptions::default()).unwrap().into_rows().unwrap();
    assert_eq!(rows.rows, [[Some(b"next".to_vec())]]);
}

#[test]
fn waiting_can_be_cancelled() {
    let address = Server::answering(|_, _, _| {}).start();
    let mut connection = connect(&address);
    let canceller = connection.canceller().unwrap();
    let waiting = thread::spawn(move || connection.query("x", &RequestOptions::default()));
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    canceller.cancel().unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Cancelled), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn errors_keep_their_kind_and_the_connection() {
    let address = Server::answering(|conversation, envelope, request| match request {
        Request::Query(query) if query.text == "bad" => {
            let error = ErrorMessage::new(ErrorKind::Syntax, "line 1:0 no viable alternative");
            conversation.say(envelope, &Response::Error(error));
        }
        _ => echo(conversation, envelope, request),
    })
    .start();
    let mut connection = connect(&address);
    let error = connection.query("bad", &RequestOptions::default()).unwrap_err();
    assert_eq!(error.server_kind(), Some(&ErrorKind::Syntax));
    assert_eq!(error.to_string(), "line 1:0 no viable alternative");
    assert!(error.is_connection_usable());
    assert!(connection.query("good", &RequestOptions::default()).is_ok());
}

#[test]
fn a_batch_is_sent_as_it_is_given() {
    let address = Server::answering(|conversation, envelope, request| {
        let Request::Batch(batch) = request else { panic!("{request:?}") };
        assert_eq!(batch.kind, BatchKind::Unlogged);
        assert_eq!((batch.consistency, batch.timestamp), (Consistency::Quorum, Some(7)));
        let texts: Vec<_> = batch.statements.iter().map(|child| child.statement).collect();
        assert_eq!(texts, [StatementRef::Text("INSERT"), StatementRef::Prepared(&[1, 2])]);
        let values: Vec<_> =
            batch.statements[1].values.iter().map(|bound| bound.value).collect::<Vec<_>>();
        assert_eq!(values, [RawValue::Bytes(b"v"), RawValue::Null]);
        let warnings = ["large".to_string()];
        let tracing_id = envelope.request().unwrap().tracing.then(|| uuid::Uuid::from_u128(9));
        let extras = Extras { tracing_id, warnings: &warnings, payload: &[] };
        conversation.say_with(envelope, &extras, &Response::Result(QueryResult::Void));
    })
    .start();
    let mut values = ValueList::positional();
    values.push(RawValue::Bytes(b"v")).unwrap();
    values.push(RawValue::Null).unwrap();
    for version in Version::ALL {
        let options = ConnectOptions { versions: vec![version], ..ConnectOptions::default() };
        let mut connection = Connection::connect(&address, &options).unwrap();
        let text =
            BatchStatement { statement: StatementRef::Text("INSERT"), values: Values::EMPTY };
        let prepared = BatchStatement {
            statement: StatementRef::Prepared(&[1, 2]),
            values: values.as_values(),
        };
        let batch = Batch {
            kind: BatchKind::Unlogged,
            statements: vec![text, prepared],
            consistency: Consistency::Quorum,
            serial_consistency: None,
            timestamp: Some(7),
            keyspace: None,
            now_in_seconds: None,
        };
        let reply = connection.batch(batch, true).unwrap();
        assert_eq!(reply.outcome, Outcome::Void);
        assert_eq!(reply.tracing_id, Some(uuid::Uuid::from_u128(9)));
        assert_eq!(reply.warnings, ["large"]);
    }
}

/// Between two executions the table gets another column: the server says so with a new id and new metadata, and leaves
/// the metadata out again once the client knows the id.
#[test]
fn changed_columns_are_learnt_and_kept() {
    fn column(name: &str) -> ColumnSpec {
        ColumnSpec { name: name.into(), ..columns().remove(0) }
    }
    let address = Server::answering(|conversation, envelope, request| {
        let response = match request {
            Request::Prepare(_) => Response::Result(QueryResult::Prepared(Prepared {
                id: &[1],
                result_metadata_id: &[1],
                markers: Default::default(),
                result: ResultMetadata::of(vec![column("a")]),
            })),
            Request::Execute(execute) => {
                assert!(execute.parameters.skip_metadata);
                let changed = execute.result_metadata_id == [1];
                assert!(changed || execute.result_metadata_id == [2]);
                // A null in each column.
                let cells = [0xff; 8];
                let mut metadata = ResultMetadata { column_count: 2, ..ResultMetadata::default() };
                if changed {
                    metadata.columns = vec![column("a"), column("b")];
                    metadata.new_metadata_id = Some(vec![2]);
                }
                let rows = Rows::new(metadata, 1, &cells).unwrap();
                conversation.say(envelope, &Response::Result(QueryResult::Rows(rows)));
                return;
            }
            other => panic!("{other:?}"),
        };
        conversation.say(envelope, &response);
    })
    .start();
    let mut connection = connect(&address);
    let mut statement = connection.prepare("SELECT").unwrap();
    for _ in 0..2 {
        let values = ValueList::positional();
        let options = RequestOptions::default();
        let rows = connection.execute(&mut statement, &values, &options).unwrap().into_rows();
        let rows = rows.unwrap();
        assert_eq!(rows.metadata.columns, [column("a"), column("b")]);
        assert_eq!(rows.rows, [[None, None]]);
        assert_eq!(statement.result_metadata_id, [2]);
    }
}

#[test]
fn what_speaks_another_protocol_is_told_apart_from_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for socket in listener.incoming() {
            socket.unwrap().write_all(b"SSH-2.0-OpenSSH\r\n").unwrap();
        }
    });
    let error = Connection::connect(&address, &ConnectOptions::default()).unwrap_err();
    assert!(matches!(error, ClientError::Handshake { .. }), "{error}");
    let error = Connection::connect("no host:1", &ConnectOptions::default()).unwrap_err();
    assert!(matches!(error, ClientError::Host { .. }), "{error}");
}

#[test]
fn a_closed_connection_is_noticed_without_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = TcpStream::connect(address).unwrap();
    let (other, _) = listener.accept().unwrap();
    let wire = super::wire::Wire::new(socket, Version::V5);
    assert!(wire.is_open());
    (&other).write_all(b"x").unwrap();
    drop(other);
    // What came before the end is still to be read.
    assert!(wire.is_open());
    let (mut socket, _) = wire.cancel_handle().unwrap();
    socket.read_exact(&mut [0]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while wire.is_open() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
    }
}
