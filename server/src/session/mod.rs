//! A session: the state of one client, and the way from its requests to answers. It knows no socket.
//!
//! A request appends the body of a RESULT to a buffer and comes back as [`Step::Answer`]; or it says what it waits for
//! ([`Step::Wait`]: the log, or what other replicas write or have) and goes on from there in [`Session::resume`], as often
//! as it takes; or it is put off, and is to be carried out all over elsewhere or later. Whatever is no answer leaves the
//! buffer as it was.

mod bind;
mod statement;
pub mod step;
mod suspended;
pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tholos_cluster::request::read::Rows;
use tholos_grammar::ast::modify::BatchKind as AstBatchKind;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::batch::{Batch, BatchKind, StatementRef};
use tholos_grammar::protocol::request::execute::Execute;
use tholos_grammar::protocol::request::prepare::Prepare;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::response::error::WriteType;
use tholos_grammar::protocol::response::metadata::{PreparedMetadata, ResultMetadata};
use tholos_grammar::protocol::response::result::{Prepared as PreparedResult, QueryResult};
use tholos_storage::commitlog::LogPosition;
use tholos_storage::fs::nowait::without_waiting;

use self::bind::bind_values;
use self::statement::{BatchRun, Done, Ran, Run};
use self::step::{
    Answer, Continuation, Failure, Operation, Outcome, ReadOperation, Step, Steps, WriteOperation,
    halted,
};
use self::suspended::{OwnedRequest, Suspended};
use crate::budget::Credit;
use crate::error::{Attempt, QueryError};
use crate::execute::modify::Written;
use crate::halt::Halt;
use crate::metrics::RequestKind;
use crate::node::{Metadata, Node};
use crate::prepared::{Prepared, Ready, Standing, StatementId, wire};
use crate::query::values::{BoundValues, RequestOptions};

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    node: Arc<Node>,
    version: Version,
    keyspace: Option<Name>,
    recent: Option<Recent>,
    may_wait: bool,
    /// The schema epoch at which it began.
    began_at: u64,
    /// Statements that have changed since, and were prepared again in this session: their `changed_at`.
    prepared_again: BTreeMap<StatementId, u64>,
    /// What answers may take of memory is taken here as they grow.
    room: Option<Arc<Mutex<Credit>>>,
}

/// Most statements that a session knows to be prepared again; beyond, their clients prepare them once more.
const MAX_PREPARED_AGAIN: usize = 4096;

/// The prepared statement that was executed last. Most clients repeat it, and then neither the cache nor any counter that
/// is shared between cores is touched.
#[derive(Debug)]
struct Recent {
    prepared: Arc<Prepared>,
    ready: Arc<Ready>,
    /// The schema epoch at which `ready` was seen to hold.
    epoch: u64,
    uses: u32,
}

/// How often a batch looks at the clock while its statements are planned.
const STATEMENTS_PER_LOOK_AT_CLOCK: usize = 256;

/// The cache is asked all the same once in so many uses, so that it knows what is in use.
const RECENT_USES: u32 = 64;

impl Recent {
    fn is_for(&self, id: &[u8], epoch: u64) -> bool {
        self.prepared.id == *id && self.epoch == epoch && self.uses < RECENT_USES
    }
}

impl Session {
    /// A session of that protocol version, in no keyspace.
    pub fn new(node: Arc<Node>, version: Version) -> Session {
        let began_at = node.metadata().catalogue.schema.epoch;
        let prepared_again = BTreeMap::new();
        Session {
            node,
            version,
            keyspace: None,
            recent: None,
            may_wait: true,
            began_at,
            prepared_again,
            room: None,
        }
    }

    /// A session whose thread must not wait for the disk: a request that would have to is put off before anything of it is
    /// done, and is to be given to a [`twin`](Self::twin).
    pub fn without_waiting(node: Arc<Node>, version: Version) -> Session {
        Session { may_wait: false, ..Session::new(node, version) }
    }

    /// A session in the same state for one request, in a thread that may wait.
    pub fn twin(&self) -> Session {
        Session {
            keyspace: self.keyspace.clone(),
            began_at: self.began_at,
            prepared_again: self.prepared_again.clone(),
            ..Session::new(Arc::clone(&self.node), self.version)
        }
    }

    /// Knows what a twin has come to know, whose request came in that keyspace.
    pub(crate) fn learn(&mut self, twin: Session, keyspace: Option<&Name>) {
        if twin.keyspace.as_ref() != keyspace {
            self.keyspace = twin.keyspace;
        }
        self.prepared_again.extend(twin.prepared_again);
    }

    /// Answers take their memory from this credit, if there is one.
    pub(crate) fn set_room(&mut self, room: Option<Arc<Mutex<Credit>>>) {
        self.room = room;
    }

    /// Is in that keyspace from here on.
    pub(crate) fn set_keyspace(&mut self, keyspace: Option<Name>) {
        self.keyspace = keyspace;
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The keyspace in use.
    pub fn keyspace(&self) -> Option<&Name> {
        self.keyspace.as_ref()
    }

    /// QUERY.
    ///
    /// # Errors
    /// As the statement's.
    pub fn query(&mut self, query: &Query<'_>, started: Instant, out: &mut Vec<u8>) -> Steps {
        let metadata = self.node.metadata();
        let own = query.parameters.keyspace.map(Name::exact);
        let keyspace = own.as_ref().or(self.keyspace.as_ref());
        let deadline = Some(self.node.deadline(started));
        let ready = match Ready::plan(query.text, keyspace, &metadata.catalogue, deadline) {
            Ok(ready) => Arc::new(ready),
            Err(error) => return Err(Failure::other(error)),
        };
        let keyspace = keyspace.cloned();
        let version = self.version;
        let mut run = Run::new(&self.node, &metadata, &ready, keyspace.as_ref(), started, version);
        run.may_wait = self.may_wait;
        run.room = self.room.clone();
        let (start, what) = (out.len(), run.what(&query.parameters));
        let ran = run.execute(&query.parameters, out);
        self.answer(ran, what, started, start, out).map_err(|failure| failure.in_text(query.text))
    }

    /// PREPARE.
    ///
    /// # Errors
    /// As planning's; every statement that plans can be prepared.
    pub fn prepare(&mut self, prepare: &Prepare<'_>, out: &mut Vec<u8>) -> Steps {
        let kind = RequestKind::Prepare;
        let attempt = Attempt::OTHER;
        let own = prepare.keyspace.map(Name::exact);
        let keyspace = own.as_ref().or(self.keyspace.as_ref());
        let metadata = self.node.metadata();
        let deadline = Some(self.node.deadline(self.node.clock().instant()));
        let cache = self.node.prepared();
        let (prepared, ready) =
            match cache.prepare(prepare.text, keyspace, &metadata.catalogue, deadline) {
                Ok(prepared) => prepared,
                Err(error) => return Err(Failure { kind, attempt, error }),
            };
        if prepared.changed_at() > self.began_at {
            if self.prepared_again.len() >= MAX_PREPARED_AGAIN {
                self.prepared_again.clear();
            }
            self.prepared_again.insert(prepared.id, prepared.changed_at());
        }
        let result = PreparedResult {
            id: &prepared.id,
            result_metadata_id: &ready.metadata_id,
            markers: PreparedMetadata {
                columns: wire(&ready.planned.markers),
                partition_key_indexes: ready.planned.pk_indexes.clone(),
            },
            result: ResultMetadata::of(wire(ready.planned.result_columns().unwrap_or_default())),
        };
        QueryResult::Prepared(result).encode(out, self.version);
        Ok(Step::Answer(Answer { kind, warnings: Vec::new() }))
    }

    /// EXECUTE.
    ///
    /// # Errors
    /// [`QueryError::Unprepared`] for an unknown id; else as the statement's.
    pub fn execute(&mut self, execute: &Execute<'_>, started: Instant, out: &mut Vec<u8>) -> Steps {
        let metadata = self.node.metadata();
        let epoch = metadata.catalogue.schema.epoch;
        let recent = match self.recent.take().filter(|recent| recent.is_for(execute.id, epoch)) {
            Some(recent) => Recent { uses: recent.uses + 1, ..recent },
            None => {
                let (prepared, ready) = self.find(execute.id, &metadata).map_err(Failure::other)?;
                Recent { prepared, ready, epoch, uses: 0 }
            }
        };
        let Recent { prepared, ready, .. } = &recent;
        let (keyspace, version) = (prepared.keyspace.as_ref(), self.version);
        let mut run = Run::new(&self.node, &metadata, ready, keyspace, started, version);
        let known = match self.version {
            Version::V5 => execute.result_metadata_id,
            // v4 can't say that metadata changed: it is sent whenever it is not what was told at PREPARE.
            Version::V4 => &prepared.first_metadata_id,
        };
        run.metadata_known = *known == ready.metadata_id;
        run.tells_metadata_id = self.version == Version::V5;
        run.may_wait = self.may_wait;
        run.room = self.room.clone();
        let (start, what) = (out.len(), run.what(&execute.parameters));
        let ran = run.execute(&execute.parameters, out);
        let steps = self.answer(ran, what, started, start, out);
        let steps = steps.map_err(|failure| failure.in_text(&recent.prepared.text));
        self.recent = Some(recent);
        steps
    }

    /// BATCH.
    ///
    /// # Errors
    /// As its statements'; then nothing of it was done.
    pub fn batch(&mut self, batch: &Batch<'_>, started: Instant, out: &mut Vec<u8>) -> Steps {
        let write = match batch.kind {
            BatchKind::Logged => WriteType::Batch,
            BatchKind::Unlogged => WriteType::UnloggedBatch,
            BatchKind::Counter => WriteType::Counter,
        };
        let attempt = Attempt { consistency: batch.consistency, write: Some(write) };
        let kind = RequestKind::Batch;
        match self.run_batch(batch, attempt, started) {
            Ok(ran) => Ok(self.ran(ran, (kind, attempt), started, out)),
            Err(halt) => halted(halt, kind, attempt),
        }
    }

    /// Goes on with a request whose operation is over, in a thread that may wait.
    ///
    /// # Errors
    /// The operation failed, or what came of it can't be worked with.
    pub fn resume(
        &mut self,
        continuation: Continuation,
        outcome: Result<Outcome, QueryError>,
        out: &mut Vec<u8>,
    ) -> Steps {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Err(continuation.failed(error)),
        };
        match (continuation, outcome) {
            (Continuation::Void { kind, warnings, .. }, _) => {
                QueryResult::Void.encode(out, self.version);
                Ok(Step::Answer(Answer { kind, warnings }))
            }
            (Continuation::Statement(suspended), Outcome::Read(rows)) => {
                self.go_on(*suspended, rows, out)
            }
            (continuation, Outcome::Written) => {
                let what = "a statement that waited for rows was told of a write".to_string();
                Err(continuation.failed(QueryError::Internal(what)))
            }
        }
    }

    fn go_on(&mut self, suspended: Suspended, came: Vec<Rows>, out: &mut Vec<u8>) -> Steps {
        let Suspended { kind, attempt, metadata, request, options, time, started, stage, reads } =
            suspended;
        let (start, version) = (out.len(), self.version);
        let mut stage = stage;
        let options = options.options();
        let run = |out: &mut Vec<u8>| {
            stage.take(&reads, came, time)?;
            let stage = Some(stage);
            match &request {
                OwnedRequest::Statement { ready, keyspace, values } => {
                    let keyspace = keyspace.as_ref();
                    let mut run =
                        Run::new(&self.node, &metadata, ready, keyspace, started, version);
                    run.room = self.room.clone();
                    run.go_on(&options, &values.bound(), time, stage, out)
                }
                OwnedRequest::Batch(batch_kind, statements) => {
                    let statements: Vec<_> = statements
                        .iter()
                        .map(|(ready, values)| (Arc::clone(ready), values.bound()))
                        .collect();
                    let run = BatchRun {
                        node: &self.node,
                        metadata: &metadata,
                        kind: *batch_kind,
                        started,
                        attempt,
                    };
                    run.go_on(&statements, &options, time, stage)
                }
            }
        };
        match run(out) {
            Ok(ran) => Ok(self.ran(ran, (kind, attempt), started, out)),
            Err(halt) => {
                out.truncate(start);
                // Other nodes did their part: it can't be done all over.
                Err(Failure { kind, attempt, error: halt.refused() })
            }
        }
    }

    /// What a statement is to be answered with; nothing is in the buffer if it failed.
    fn answer(
        &mut self,
        ran: Result<Ran, Halt>,
        (kind, attempt): (RequestKind, Attempt),
        started: Instant,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Steps {
        match ran {
            Ok(ran) => Ok(self.ran(ran, (kind, attempt), started, out)),
            Err(halt) => {
                out.truncate(start);
                halted(halt, kind, attempt)
            }
        }
    }

    /// What a statement that ran is to be answered with.
    fn ran(
        &mut self,
        ran: Ran,
        (kind, attempt): (RequestKind, Attempt),
        started: Instant,
        out: &mut Vec<u8>,
    ) -> Step {
        let Done { written, keyspace, warnings } = match ran {
            Ran::Done(done) => done,
            Ran::Suspended(suspended) => {
                let read = ReadOperation {
                    reads: Arc::clone(&suspended.reads),
                    level: suspended.options.read_level(),
                    deadline: self.node.deadline(started).at,
                };
                return Step::Wait(Operation::Read(read), Continuation::Statement(suspended));
            }
        };
        if let Some(used) = keyspace {
            QueryResult::SetKeyspace(used.as_str()).encode(out, self.version);
            self.keyspace = Some(used);
        }
        let Some(Written { position, replicated }) = written else {
            return Step::Answer(Answer { kind, warnings });
        };
        if !replicated.is_empty() {
            let (level, deadline) = (attempt.consistency, self.node.deadline(started).at);
            let write = WriteOperation { writes: replicated, level, position, deadline };
            let continuation = Continuation::Void { kind, attempt, warnings };
            return Step::Wait(Operation::Write(write), continuation);
        }
        if position != LogPosition::default() && !self.node.engine().is_durable_at_once() {
            let continuation = Continuation::Void { kind, attempt, warnings };
            return Step::Wait(Operation::Durable(position), continuation);
        }
        QueryResult::Void.encode(out, self.version);
        Step::Answer(Answer { kind, warnings })
    }

    fn run_batch(
        &mut self,
        batch: &Batch<'_>,
        attempt: Attempt,
        started: Instant,
    ) -> Result<Ran, Halt> {
        let metadata = self.node.metadata();
        let own = batch.keyspace.map(Name::exact);
        let keyspace = own.as_ref().or(self.keyspace.as_ref());
        let deadline = Some(self.node.deadline(started));
        let mut statements: Vec<(Arc<Ready>, BoundValues<'_>)> =
            Vec::with_capacity(batch.statements.len());
        for statement in &batch.statements {
            if statements.len().is_multiple_of(STATEMENTS_PER_LOOK_AT_CLOCK) {
                self.check_time(started)?;
            }
            let ready = match statement.statement {
                StatementRef::Text(text) => {
                    Arc::new(Ready::plan(text, keyspace, &metadata.catalogue, deadline)?)
                }
                StatementRef::Prepared(id) => self.find(id, &metadata)?.1,
            };
            let values = bind_values(statement.values, &ready.planned.markers)?;
            statements.push((ready, values));
        }
        let kind = match batch.kind {
            BatchKind::Logged => AstBatchKind::Logged,
            BatchKind::Unlogged => AstBatchKind::Unlogged,
            BatchKind::Counter => AstBatchKind::Counter,
        };
        let options = RequestOptions {
            consistency: batch.consistency,
            serial_consistency: batch.serial_consistency.unwrap_or(Consistency::Serial),
            page_size: None,
            paging_state: None,
            timestamp: batch.timestamp,
            now_in_seconds: batch.now_in_seconds,
            skip_metadata: false,
        };
        let time = statement::request_time(&self.node, &options);
        let run = BatchRun { node: &self.node, metadata: &metadata, kind, started, attempt };
        let run = || run.go_on(&statements, &options, time, None);
        if self.may_wait { run() } else { without_waiting(run) }
    }

    /// Gives up what has taken its time before anything was done.
    fn check_time(&self, started: Instant) -> Result<(), QueryError> {
        if !self.node.deadline(started).is_over() {
            return Ok(());
        }
        let what = "the time of the request was over before its statements were planned: nothing was done; send fewer at a time, prepared";
        Err(QueryError::Overloaded(what.to_string()))
    }

    /// The prepared statement of that id, with a plan for this schema.
    fn find(
        &self,
        id: &[u8],
        metadata: &Metadata,
    ) -> Result<(Arc<Prepared>, Arc<Ready>), QueryError> {
        use std::sync::atomic::Ordering::Relaxed;

        let metrics = self.node.metrics();
        let unprepared = || {
            metrics.prepared_misses.fetch_add(1, Relaxed);
            QueryError::Unprepared { id: id.to_vec() }
        };
        let prepared = self.node.prepared().find(id).ok_or_else(unprepared)?;
        let ready = match prepared.standing(&metadata.catalogue) {
            Ok(Standing::Holds(ready)) => ready,
            Ok(Standing::Replanned(ready)) => {
                metrics.replans.fetch_add(1, Relaxed);
                ready
            }
            Ok(Standing::Changed) => return Err(unprepared()),
            // Its table is gone or changed too much. The driver prepares it again and is told why it can't be.
            Err(_) => {
                self.node.prepared().forget(&prepared.id);
                return Err(unprepared());
            }
        };
        if self.is_outdated(&prepared) { Err(unprepared()) } else { Ok((prepared, ready)) }
    }

    /// Whether this session's client may have been told of the statement before it changed. In v5 clients say what they
    /// know of it, and are told better with the rows.
    fn is_outdated(&self, prepared: &Prepared) -> bool {
        let changed_at = prepared.changed_at();
        self.version == Version::V4
            && changed_at > self.began_at
            && self.prepared_again.get(&prepared.id).is_none_or(|at| *at < changed_at)
    }
}
