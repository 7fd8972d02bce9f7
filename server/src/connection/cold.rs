//! Requests that take their time, done by threads that may.
//!
//! Most reads find what they need in memory, in the block cache or the system's. One that does not is given, as it came,
//! to one of a bounded number of threads; the connection goes on, and answers when that thread is through. So does a read
//! that turns out to be long, and whatever is large to begin with: it would keep this thread from its other connections.
//! Of those only a few run at a time, so that they leave threads to the others, and cores to everybody; and a few of each
//! connection, the others of which wait here as they came.
//!
//! Everything that takes time is done there: unpacking, parsing, executing, and putting the answer into its frame. What
//! that needs of memory is taken from the budget while it grows. When there is no more, the request is done all over once
//! its client has nothing else under way, and refused if that is not enough.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::encoder::Encoder;
use tholos_grammar::protocol::envelope::{Envelope, Extras};
use tholos_grammar::protocol::header::{Flags, HEADER_LENGTH, Header, Opcode};
use tholos_grammar::protocol::request::Request;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

use super::Connection;
use super::dispatch::{Tracer, finish_body, run};
use crate::budget::Credit;
use crate::error::QueryError;
use crate::metrics::Outcome;
use crate::session::{Answer, Failure, Outcomes, Reply, Session};

/// No more is read from a client that has so many requests here.
const MOST: usize = 256;

/// Long requests of one connection that run at a time.
const MOST_OF_CONNECTION: usize = 4;

/// Long requests that run at a time: some for each core, so that a few that take until their deadline don't hold up the
/// others, which take less.
static LONG: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((cores * 4).min(MOST_LONG)))
});

/// Threads that may wait are left to those that wait for the disk.
const MOST_LONG: usize = 32;

/// Texts and batches above this are large: what planning them takes may be milliseconds.
const LARGE_TEXT: usize = 16 << 10;

/// So is any request above this.
const LARGE: usize = 256 << 10;

/// Bodies that decompress to more are not unpacked by the thread that reads them.
pub(super) const UNPACK_BYTES: usize = LARGE;

/// What a request has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The disk.
    Disk,
    /// Its turn among the long ones.
    Turn,
}

/// Whether a request may take long, by its size.
pub(super) fn is_heavy(envelope: &Envelope<'_>) -> bool {
    match envelope.header.opcode {
        Opcode::Query | Opcode::Prepare | Opcode::Batch => envelope.body.len() > LARGE_TEXT,
        Opcode::Execute => envelope.body.len() > LARGE,
        _ => false,
    }
    .max(envelope.is_packed())
}

/// A request for a thread that may take its time.
#[derive(Debug)]
pub(super) struct Job {
    header: Header,
    /// Header and body as they came.
    request: Vec<u8>,
    /// For the bytes above.
    _credit: Credit,
    started: Instant,
    wait: Wait,
    /// The keyspace that its client was in.
    keyspace: Option<Name>,
    /// There was no memory for it beside others of its client.
    alone: bool,
}

/// A job that is through.
pub(super) struct Done {
    job: Job,
    tracing_id: Option<Uuid>,
    outcome: Outcomes,
    /// The frame to send, if the outcome is a body.
    frame: Vec<u8>,
    /// For the bytes above.
    credit: Option<Credit>,
    /// What carried it out.
    session: Session,
}

/// The requests of a connection that take their time.
#[derive(Default)]
pub(super) struct Cold {
    /// Those that wait until fewer run.
    queue: VecDeque<Job>,
    running: JoinSet<Option<Done>>,
    /// Long ones among those that run.
    long: usize,
    /// One that runs is to be the only one.
    alone: bool,
}

impl Job {
    /// A request whose first bytes are its header.
    pub(super) fn new(
        header: Header,
        request: Vec<u8>,
        credit: Credit,
        started: Instant,
        wait: Wait,
    ) -> Job {
        Job { header, request, _credit: credit, started, wait, keyspace: None, alone: false }
    }

    fn envelope(&self) -> Envelope<'_> {
        let body = self.request.get(HEADER_LENGTH..).unwrap_or(&[]);
        Envelope { header: self.header, body }
    }
}

impl Cold {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty()
    }

    /// Whether nothing more is to be read from the client.
    pub(super) fn holds_input(&self) -> bool {
        self.running.len() + self.queue.len() >= MOST
    }

    /// The next one that is through.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        match self.running.poll_join_next(cx) {
            Poll::Ready(Some(Ok(Some(done)))) => {
                self.long -= usize::from(done.job.wait == Wait::Turn);
                self.alone = false;
                Poll::Ready(done)
            }
            // A task that panicked ends the process, and none is ever aborted while its connection lives.
            _ => Poll::Pending,
        }
    }

    /// The next one that may begin. One that is to be alone comes first, and waits for those that run.
    fn next(&mut self) -> Option<Job> {
        let first = self.queue.front().filter(|_| !self.alone)?;
        let may_begin = |job: &Job| match job.wait {
            Wait::Disk => true,
            Wait::Turn => self.long < MOST_OF_CONNECTION,
        };
        let at = match first.alone {
            true => self.running.is_empty().then_some(0),
            false => self.queue.iter().position(may_begin),
        };
        let job = self.queue.remove(at?)?;
        self.alone = job.alone;
        self.long += usize::from(job.wait == Wait::Turn);
        Some(job)
    }
}

impl Connection {
    /// Gives a request that was tried here to a thread that may take its time.
    pub(super) fn fetch(&mut self, envelope: &Envelope<'_>, started: Instant, wait: Wait) {
        let metrics = self.node.metrics();
        let counter = match wait {
            Wait::Disk => &metrics.cold_requests,
            Wait::Turn => &metrics.long_reads,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.enqueue_copy(envelope, started, wait);
    }

    /// Has a request carried out that is somebody else's to keep.
    pub(super) fn enqueue_copy(&mut self, envelope: &Envelope<'_>, started: Instant, wait: Wait) {
        let request = [&[0; HEADER_LENGTH], envelope.body].concat();
        let mut credit = self.account.nothing();
        credit.set(request.capacity());
        self.enqueue(Job::new(envelope.header, request, credit, started, wait));
    }

    /// Has a request carried out as soon as it may be.
    pub(super) fn enqueue(&mut self, mut job: Job) {
        job.keyspace = self.session.as_ref().and_then(|session| session.keyspace().cloned());
        self.cold.queue.push_back(job);
    }

    /// Lets those begin that may. Not while answers wait to be written: a client that does not read gets no new ones.
    pub(super) fn start_jobs(&mut self) {
        while let Some(job) = self.cold.next() {
            let Some(session) = self.session.as_ref().map(Session::twin) else { return };
            let wait = job.wait;
            let (encoder, answer) = (self.encoder.twin(), self.account.nothing());
            let traced = self.traced();
            let work = move || carry_out(session, job, encoder, answer, &traced);
            match wait {
                Wait::Disk => self.cold.running.spawn_blocking(move || Some(work())),
                Wait::Turn => self.cold.running.spawn(async move {
                    let turn = Arc::clone(&LONG).acquire_owned().await.ok()?;
                    // The turn is over with the work, even if the connection is gone by then.
                    let work = move || (work(), turn).0;
                    spawn_blocking(work).await.ok()
                }),
            };
        }
    }

    /// Answers a request that is through.
    pub(super) fn answer_done(&mut self, done: Done) {
        let Done { mut job, tracing_id, outcome, frame, credit, session: twin } = done;
        if let Some(session) = &mut self.session {
            session.learn(twin, job.keyspace.as_ref());
        }
        let (stream, started) = (job.header.stream, job.started);
        match outcome {
            Ok(Answer { kind, reply: Reply::Body, .. }) => {
                self.encoder.append_finished(frame);
                drop(credit);
                self.observe(kind, Outcome::Ok, started);
            }
            Ok(answer) => self.answer_written(answer, stream, tracing_id, started),
            Err(Failure { error: QueryError::NoMemory, .. }) if !job.alone => {
                job.alone = true;
                self.cold.queue.push_front(job);
            }
            Err(Failure { error: QueryError::NoRoom, .. }) if self.has_time(started) => {
                self.stall(&job.envelope(), started);
            }
            Err(failure) => {
                let Some(version) = self.session.as_ref().map(Session::version) else { return };
                let extras = Extras { tracing_id, ..Extras::default() };
                self.fail(version, stream, &extras, &failure, started);
            }
        }
    }
}

/// In a thread that may take its time: does all of it.
fn carry_out(
    mut session: Session,
    job: Job,
    mut encoder: Encoder,
    credit: Credit,
    traced: &Tracer,
) -> Done {
    session.set_keyspace(job.keyspace.clone());
    let credit = Arc::new(Mutex::new(credit));
    session.set_room(Some(Arc::clone(&credit)));
    let tracing_id = job.header.flags.has(Flags::TRACING).then(Uuid::new_v4);
    let outcome = answer(&mut session, &job, tracing_id, &mut encoder, &credit, traced);
    session.set_room(None);
    let mut frame = match outcome {
        Ok(Answer { reply: Reply::Body, .. }) => encoder.into_finished(),
        _ => Vec::new(),
    };
    if frame.capacity() / 4 > frame.len() / 3 {
        frame.shrink_to_fit();
    }
    let mut credit = Arc::into_inner(credit).map(Mutex::into_inner);
    if let Some(credit) = &mut credit {
        credit.set(frame.capacity());
    }
    Done { job, tracing_id, outcome, frame, credit, session }
}

/// The answer in its frame, if it has a body.
fn answer(
    session: &mut Session,
    job: &Job,
    tracing_id: Option<Uuid>,
    encoder: &mut Encoder,
    credit: &Mutex<Credit>,
    traced: &Tracer,
) -> Outcomes {
    let node = Arc::clone(session.node());
    if job.started.elapsed() >= node.request_timeout() {
        let what =
            "the request waited longer than it may take: nothing was done; send less at a time";
        return Err(Failure::other(QueryError::Overloaded(what.to_string())));
    }
    let broken = |error| Failure::other(QueryError::from(error));
    let needs = |bytes: usize| match credit.lock().grow(bytes) {
        true => Ok(()),
        false => Err(Failure::other(QueryError::NoMemory)),
    };
    let (envelope, limit) = (job.envelope(), node.frame_bytes());
    let mut unpacked = Vec::new();
    if envelope.is_packed() {
        needs(envelope.unpacked_length(limit).map_err(broken)?)?;
    }
    let envelope = envelope.unpack(limit, &mut unpacked).map_err(broken)?;
    let message = envelope.request().map_err(broken)?;
    if matches!(message.request, Request::Batch(_)) && !node.engine().admits_writes() {
        return Err(Failure::other(QueryError::NoRoom));
    }
    let (version, stream) = (session.version(), job.header.stream);
    let extras = Extras { tracing_id, ..Extras::default() };
    let open = encoder.begin_response(version, Opcode::Result, stream, &extras);
    let body = encoder.body().len();
    let outcome = run(session, &message.request, job.started, encoder.body());
    if let Some(id) = tracing_id {
        traced.record(&node, id, &message.request, job.started);
    }
    let answer = match outcome {
        Ok(answer) if answer.reply == Reply::Body => answer,
        other => {
            encoder.abandon(open);
            return other;
        }
    };
    drop(unpacked);
    if encoder.transforms() && encoder.len() > LARGE {
        needs(encoder.len())?;
    }
    let extras = Extras { warnings: &answer.warnings, ..extras };
    finish_body(encoder, version, open, body, &extras)?;
    Ok(answer)
}
