//! From an envelope to its answer: the handshake here, statements in the session.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::decoder::Decoder;
use tholos_grammar::protocol::encoder::{Encoder, OpenEnvelope};
use tholos_grammar::protocol::envelope::{Envelope, Extras};
use tholos_grammar::protocol::header::{Opcode, Version};
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::register::Register;
use tholos_grammar::protocol::request::startup::Startup;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::response::supported::Supported;
use uuid::Uuid;

use super::Connection;
use crate::error::QueryError;
use crate::halt::PutOff;
use crate::metrics::{Outcome, RequestKind};
use crate::node::{Client, Node, Traced};
use crate::session::Session;
use crate::session::step::{Answer, Failure, Step, Steps};
use crate::version::{CQL_VERSION, PRODUCT};

/// What STARTUP agreed on: how the client's bytes are read from here on.
pub(super) struct Opened {
    version: Version,
    compression: Option<Compression>,
}

impl Opened {
    pub(super) fn apply(self, decoder: &mut Decoder, frame_bytes: usize) {
        decoder.set_version(self.version);
        decoder.set_compression(self.compression);
        decoder.set_body_limit(frame_bytes);
        if self.version == Version::V5 {
            decoder.switch_to_segments();
        }
    }
}

impl Connection {
    /// Carries out the request of an envelope and answers it, now or when it is durable.
    pub(super) fn dispatch(&mut self, envelope: &Envelope<'_>, started: Instant) -> Option<Opened> {
        let header = envelope.header;
        let message = match envelope.request() {
            Ok(message) => message,
            Err(error) => {
                let failure = Failure::other(QueryError::from(error));
                self.fail(header.version, header.stream, &Extras::default(), &failure, started);
                return None;
            }
        };
        let (version, stream) = (header.version, header.stream);
        match &message.request {
            Request::Options => {
                self.respond(version, stream, &Response::Supported(supported()));
                None
            }
            Request::Startup(startup) => self.startup(startup, version, stream),
            _ if self.session.is_none() => {
                self.protocol_error(version, stream, "the session is not open: send STARTUP first");
                None
            }
            Request::Register(register) => {
                self.register(register, version, stream);
                None
            }
            Request::AuthResponse(_) => {
                let what = "no authentication was asked for: AUTH_RESPONSE has no meaning here";
                self.protocol_error(version, stream, what);
                None
            }
            request => {
                let trace = message.tracing.then(Uuid::new_v4);
                if let Some((why, kind)) = self.statement(request, stream, trace, started) {
                    let deferred = self.deferred(envelope, started);
                    self.put_off(why, kind, deferred);
                }
                None
            }
        }
    }

    /// Carries out a request that was put off before, unless it is again.
    pub(super) fn carry_out(
        &mut self,
        envelope: &Envelope<'_>,
        started: Instant,
    ) -> Option<(PutOff, RequestKind)> {
        // It was decoded before.
        let message = envelope.request().ok()?;
        let trace = message.tracing.then(Uuid::new_v4);
        self.statement(&message.request, envelope.header.stream, trace, started)
    }

    fn startup(&mut self, startup: &Startup<'_>, version: Version, stream: i16) -> Option<Opened> {
        if self.session.is_some() {
            self.protocol_error(version, stream, "the session is open already: STARTUP comes once");
            return None;
        }
        let compression = match startup.compression() {
            Ok(compression) => compression,
            Err(name) => {
                let what = format!("compression {name:?} is not supported: use lz4, or none");
                self.protocol_error(version, stream, &what);
                return None;
            }
        };
        if startup.option(Startup::CQL_VERSION).is_none() {
            self.protocol_error(version, stream, "STARTUP needs the option CQL_VERSION");
            return None;
        }
        self.respond(version, stream, &Response::Ready);
        self.encoder.set_compression(compression);
        if version == Version::V5 {
            self.encoder.switch_to_segments();
        }
        self.open_session(startup, version);
        Some(Opened { version, compression })
    }

    fn open_session(&mut self, startup: &Startup<'_>, version: Version) {
        let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        let client = Arc::new(Client {
            address: self.peer,
            version,
            options: startup.options.iter().map(owned).collect(),
            keyspace: arc_swap::ArcSwapOption::empty(),
            requests: AtomicI64::new(0),
        });
        self.client = Some((self.node.add_client(Arc::clone(&client)), client));
        self.session = Some(Session::without_waiting(Arc::clone(&self.node), version));
        self.timer = None;
    }

    fn register(&mut self, register: &Register, version: Version, stream: i16) {
        self.events = Some(self.node.events().subscribe(register.events.clone()));
        self.respond(version, stream, &Response::Ready);
    }

    /// Runs a request of the session: its body goes straight into the connection's buffer. Says why, if it was put off:
    /// nothing of it is told then.
    fn statement(
        &mut self,
        request: &Request<'_>,
        stream: i16,
        tracing_id: Option<Uuid>,
        started: Instant,
    ) -> Option<(PutOff, RequestKind)> {
        let mut session = self.session.take()?;
        let version = session.version();
        let extras = Extras { tracing_id, ..Extras::default() };
        let open = self.encoder.begin_response(version, Opcode::Result, stream, &extras);
        let body = self.encoder.body().len();
        let steps = run(&mut session, request, started, self.encoder.body());
        self.count(&session);
        self.session = Some(session);
        if let Ok(Step::PutOff { why, kind }) = steps {
            self.encoder.abandon(open);
            return Some((why, kind));
        }
        if let Some(id) = tracing_id {
            self.traced().record(&self.node, id, request, started);
        }
        self.conclude(open, body, stream, tracing_id, started, steps);
        None
    }

    /// Ends the open response of a request that was carried out, whose body begins at `body`.
    pub(super) fn conclude(
        &mut self,
        open: OpenEnvelope,
        body: usize,
        stream: i16,
        tracing_id: Option<Uuid>,
        started: Instant,
        steps: Steps,
    ) {
        let Some(version) = self.session.as_ref().map(Session::version) else { return };
        let failure = match steps {
            Ok(Step::Answer(Answer { kind, warnings })) => {
                self.note_write(kind);
                let extras = Extras { tracing_id, warnings: &warnings, ..Extras::default() };
                match finish_body(&mut self.encoder, version, open, body, &extras) {
                    Ok(()) => return self.observe(kind, Outcome::Ok, started),
                    Err(failure) => failure,
                }
            }
            Ok(Step::Wait(operation, continuation)) => {
                self.encoder.abandon(open);
                return self.wait(operation, continuation, stream, tracing_id, started);
            }
            // Nothing is told of it here.
            Ok(Step::PutOff { .. }) => return self.encoder.abandon(open),
            Err(failure) => {
                self.encoder.abandon(open);
                failure
            }
        };
        let extras = Extras { tracing_id, ..Extras::default() };
        self.fail(version, stream, &extras, &failure, started);
    }

    /// Whether a request that began then may go on.
    pub(super) fn has_time(&self, started: Instant) -> bool {
        !self.node.deadline(started).is_over()
    }

    /// The keyspace that the client is in.
    pub(super) fn keyspace(&self) -> Option<Name> {
        self.session.as_ref().and_then(|session| session.keyspace().cloned())
    }

    /// Counts a request of the client.
    pub(super) fn count(&self, session: &Session) {
        let Some((_, client)) = &self.client else { return };
        client.requests.fetch_add(1, Relaxed);
        let known = client.keyspace.load();
        if known.as_deref() != session.keyspace() {
            client.keyspace.store(session.keyspace().cloned().map(Arc::new));
        }
    }

    pub(super) fn fail(
        &mut self,
        version: Version,
        stream: i16,
        extras: &Extras<'_>,
        failure: &Failure,
        started: Instant,
    ) {
        let outcome = failure.outcome();
        if outcome == Outcome::ServerError {
            tracing::warn!(peer = %self.peer, error = %failure.error, "a request failed");
        }
        let message = failure.to_message(self.node.native_address().ip());
        self.respond_with(version, stream, extras, &Response::Error(message));
        self.observe(failure.kind, outcome, started);
    }

    fn protocol_error(&mut self, version: Version, stream: i16, what: &str) {
        let message = ErrorMessage::new(ErrorKind::Protocol, what);
        self.respond(version, stream, &Response::Error(message));
        self.observe(RequestKind::Other, Outcome::ClientError, Instant::now());
    }

    /// Counts a request that is answered.
    pub(super) fn observe(&mut self, kind: RequestKind, outcome: Outcome, started: Instant) {
        let now = Instant::now();
        self.answered_at = Some(now);
        let latency = now.saturating_duration_since(started);
        self.tally.observe(self.node.metrics(), kind, outcome, latency);
    }

    /// Whose requests are traced here.
    pub(super) fn traced(&self) -> Tracer {
        Tracer { client: self.peer.ip() }
    }
}

/// Keeps traces of one client's requests.
pub(super) struct Tracer {
    client: IpAddr,
}

impl Tracer {
    /// Keeps what there is to say of a request that was just carried out.
    pub(super) fn record(&self, node: &Node, id: Uuid, request: &Request<'_>, started: Instant) {
        let (text, consistency) = match request {
            Request::Query(query) => (query.text, Some(query.parameters.consistency)),
            Request::Prepare(prepare) => (prepare.text, None),
            Request::Execute(execute) => ("", Some(execute.parameters.consistency)),
            Request::Batch(batch) => ("", Some(batch.consistency)),
            _ => ("", None),
        };
        let duration_us = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
        node.record_trace(Traced {
            id,
            client: self.client,
            coordinator: node.native_address(),
            command: request.opcode().name(),
            text,
            consistency: consistency.map_or("", Consistency::name),
            started_us: node.clock().wall_micros() - duration_us,
            duration_us,
        });
    }
}

/// Ends an open response whose body begins at `body`; takes it back if it is too long.
pub(super) fn finish_body(
    encoder: &mut Encoder,
    version: Version,
    open: OpenEnvelope,
    body: usize,
    extras: &Extras<'_>,
) -> Result<(), Failure> {
    let finished = if extras.warnings.is_empty() {
        encoder.finish(open)
    } else {
        // Warnings stand before the body, and are only known now.
        let bytes = encoder.body().split_off(body);
        let stream = open.stream();
        encoder.abandon(open);
        let open = encoder.begin_response(version, Opcode::Result, stream, extras);
        encoder.body().extend_from_slice(&bytes);
        encoder.finish(open)
    };
    finished.map_err(|error| {
        let what = format!("the answer is too large: {error}; set a page size");
        Failure::other(QueryError::Invalid(what))
    })
}

pub(super) fn run(
    session: &mut Session,
    request: &Request<'_>,
    started: Instant,
    out: &mut Vec<u8>,
) -> Steps {
    match request {
        Request::Query(query) => session.query(query, started, out),
        Request::Prepare(prepare) => session.prepare(prepare, out),
        Request::Execute(execute) => session.execute(execute, started, out),
        Request::Batch(batch) => session.batch(batch, started, out),
        Request::Startup(_)
        | Request::Options
        | Request::Register(_)
        | Request::AuthResponse(_) => {
            let what = "a request that is no statement".to_string();
            Err(Failure::other(QueryError::Internal(what)))
        }
    }
}

fn supported() -> Supported<'static> {
    let compressions = Compression::ALL.iter().map(|compression| compression.name()).collect();
    Supported {
        options: vec![
            ("CQL_VERSION", vec![CQL_VERSION]),
            ("COMPRESSION", compressions),
            ("PROTOCOL_VERSIONS", vec!["4/v4", "5/v5"]),
            ("PRODUCT_TYPE", vec![PRODUCT]),
        ],
    }
}
