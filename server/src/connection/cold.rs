//! Requests that have to wait for the disk, and long reads: done all over by a thread that may.
//!
//! Most reads find what they need in memory, in the block cache or the system's. One that does not is given, as it came,
//! to one of a bounded number of threads; the connection goes on, and answers when that thread is through. So does a read
//! that turns out to be long: it would keep this thread from its other connections. Of those only a few run at a time, so
//! that they leave threads to the others, and cores to everybody.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use tholos_grammar::protocol::envelope::{Envelope, Extras};
use tholos_grammar::protocol::header::{Header, Opcode};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

use super::Connection;
use super::dispatch::run;
use crate::error::QueryError;
use crate::session::{Failure, Outcomes, Session};

/// No more is read from a client that has so many requests waiting for the disk.
const MOST: usize = 256;

/// Long reads that run at a time: some for each core, so that a few that take until their deadline don't hold up the
/// others, which take less.
static LONG_READS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((cores * 4).min(MOST_LONG_READS)))
});

/// Threads that may wait are left to those that wait for the disk.
const MOST_LONG_READS: usize = 32;

/// What a request has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The disk.
    Disk,
    /// Its turn among the long reads.
    Turn,
}

/// A request that a thread of its own carried out.
pub(super) struct Fetched {
    /// As it came.
    header: Header,
    request: Vec<u8>,
    tracing_id: Option<Uuid>,
    started: Instant,
    body: Vec<u8>,
    outcome: Outcomes,
}

/// The requests of a connection that wait for the disk.
#[derive(Default)]
pub(super) struct Cold {
    tasks: JoinSet<Option<Fetched>>,
}

impl Cold {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether nothing more is to be read from the client.
    pub(super) fn holds_input(&self) -> bool {
        self.tasks.len() >= MOST
    }

    /// The next one that is through.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fetched> {
        match self.tasks.poll_join_next(cx) {
            Poll::Ready(Some(Ok(Some(fetched)))) => Poll::Ready(fetched),
            // A task that panicked ends the process, and none is ever aborted while its connection lives.
            _ => Poll::Pending,
        }
    }
}

impl Connection {
    /// Gives a request to a thread that may wait.
    pub(super) fn fetch(
        &mut self,
        envelope: &Envelope<'_>,
        tracing: bool,
        started: Instant,
        wait: Wait,
    ) {
        let Some(session) = self.session.as_ref().map(Session::twin) else { return };
        let metrics = self.node.metrics();
        let counter = match wait {
            Wait::Disk => &metrics.cold_requests,
            Wait::Turn => &metrics.long_reads,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (header, body) = (envelope.header, envelope.body.to_vec());
        let tracing_id = tracing.then(Uuid::new_v4);
        let work = move || fetch(session, header, body, tracing_id, started);
        match wait {
            Wait::Disk => self.cold.tasks.spawn_blocking(move || Some(work())),
            Wait::Turn => self.cold.tasks.spawn(async move {
                let turn = Arc::clone(&LONG_READS).acquire_owned().await.ok()?;
                // The turn is over with the work, even if the connection is gone by then.
                let work = move || (work(), turn).0;
                spawn_blocking(work).await.ok()
            }),
        };
    }

    /// Answers a request that is through.
    pub(super) fn answer_fetched(&mut self, fetched: Fetched) {
        let Some(version) = self.session.as_ref().map(Session::version) else { return };
        let Fetched { header, request, tracing_id, started, body, outcome } = fetched;
        if let Some(id) = tracing_id
            && let Ok(message) = (Envelope { header, body: &request }).request()
        {
            self.record_trace(id, &message.request, started);
        }
        let stream = header.stream;
        let extras = Extras { tracing_id, ..Extras::default() };
        let open = self.encoder.begin_response(version, Opcode::Result, stream, &extras);
        let at = self.encoder.body().len();
        self.encoder.body().extend_from_slice(&body);
        self.conclude(open, at, stream, tracing_id, started, outcome);
    }
}

fn fetch(
    mut session: Session,
    header: Header,
    request: Vec<u8>,
    tracing_id: Option<Uuid>,
    started: Instant,
) -> Fetched {
    let mut body = Vec::new();
    let outcome = match (Envelope { header, body: &request }).request() {
        Ok(message) => run(&mut session, &message.request, started, &mut body),
        Err(error) => Err(Failure::other(QueryError::from(error))),
    };
    Fetched { header, request, tracing_id, started, body, outcome }
}
