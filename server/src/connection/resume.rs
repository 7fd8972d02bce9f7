//! Going on with requests that waited: for the log, for other nodes, for room in memory, for a lock, for a thread.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tholos_grammar::protocol::envelope::{Envelope, Extras};
use tholos_grammar::protocol::header::Opcode;
use uuid::Uuid;

use super::Connection;
use super::elsewhere::is_heavy;
use super::reading::TURN_TIME;
use crate::error::QueryError;
use crate::halt::PutOff;
use crate::metrics::RequestKind;
use crate::session::Session;
use crate::session::step::{Continuation, Failure, Operation, Outcome};
use crate::work::deferred::Deferred;
use crate::work::pool::Class;
use crate::work::replies::Held;
use crate::work::waiting::Cause;

impl Connection {
    /// Lets a request wait for its operation.
    pub(super) fn wait(
        &mut self,
        operation: Operation,
        continuation: Continuation,
        stream: i16,
        tracing_id: Option<Uuid>,
        started: Instant,
    ) {
        let held = Held { stream, started, tracing_id: tracing_id.map(Box::new), continuation };
        match operation {
            Operation::Durable(position) => {
                self.note_write(RequestKind::Write);
                self.work.durable.push(position, held);
            }
            Operation::Write(_) | Operation::Read(_) => {
                if matches!(operation, Operation::Write(_)) {
                    self.note_write(RequestKind::Write);
                }
                let mailbox = self.work.replies.mailbox();
                let number = self.operations.begin(operation, mailbox);
                self.work.replies.push(number, held);
            }
        }
    }

    /// Answers every request for which the log is far enough; says whether there was one. The waker is called when it is
    /// for the next one.
    pub(super) fn release_durable(&mut self, cx: &mut Context<'_>) -> bool {
        let mut released = false;
        while let Some(position) = self.work.durable.next() {
            let Poll::Ready(durable) = self.node.engine().poll_durable(position, cx) else { break };
            released = true;
            if let Some(held) = self.work.durable.pop() {
                self.resume(held, durable.map(|()| Outcome::Written).map_err(QueryError::Storage));
            }
        }
        released
    }

    /// Goes on with every request that other nodes have answered; says whether there was one.
    pub(super) fn take_replies(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = false;
        while let Poll::Ready((held, outcome)) = self.work.replies.poll(cx) {
            taken = true;
            self.resume(held, outcome);
        }
        taken
    }

    /// Answers writes that waited longer than a request may take: whether they are on disk is not known.
    pub(super) fn give_up_overdue(&mut self) {
        let (now, timeout) = (Instant::now(), self.node.request_timeout());
        while let Some(held) = self.work.durable.pop_overdue(now, timeout) {
            let message = format!(
                "the write was not on disk after {} ms: it is visible, and may or may not survive a crash",
                timeout.as_millis()
            );
            self.resume(held, Err(QueryError::WriteTimeout(message)));
        }
    }

    fn resume(&mut self, held: Held, outcome: Result<Outcome, QueryError>) {
        let Held { stream, started, tracing_id, continuation } = held;
        let Some(mut session) = self.session.take() else { return };
        if let Continuation::Statement(_) = continuation {
            // Rows may become many.
            session.set_room(Some(Arc::new(Mutex::new(self.account.nothing()))));
        }
        let tracing_id = tracing_id.map(|id| *id);
        let extras = Extras { tracing_id, ..Extras::default() };
        let (version, out) = (session.version(), &mut self.encoder);
        let open = out.begin_response(version, Opcode::Result, stream, &extras);
        let body = out.body().len();
        let steps = session.resume(continuation, outcome, out.body());
        session.set_room(None);
        self.session = Some(session);
        self.conclude(open, body, stream, tracing_id, started, steps);
    }

    /// A copy of a request, for when it is to be carried out elsewhere or later.
    pub(super) fn deferred(&self, envelope: &Envelope<'_>, started: Instant) -> Deferred {
        Deferred::copy(envelope, self.account.nothing(), started, self.keyspace())
    }

    /// Has a request of which nothing was done carried out elsewhere or later, or refuses it.
    pub(super) fn put_off(&mut self, why: PutOff, kind: RequestKind, request: Deferred) {
        let metrics = self.node.metrics();
        let (class, counter) = match why {
            PutOff::Disk => (Class::Disk, &metrics.cold_requests),
            PutOff::Long => (Class::Long, &metrics.long_reads),
            PutOff::NoMemory if !request.alone => {
                self.work.jobs.push(request.for_itself());
                return;
            }
            PutOff::NoRoom if self.has_time(request.started) => {
                metrics.stalled_writes.fetch_add(1, Relaxed);
                self.work.waiting.push(Cause::Room, request);
                return;
            }
            PutOff::Locked(token) if self.has_time(request.started) => {
                metrics.contended_writes.fetch_add(1, Relaxed);
                self.work.waiting.push(Cause::Lock(token), request);
                return;
            }
            PutOff::NoRoom | PutOff::NoMemory | PutOff::Locked(_) => {
                self.refuse_put_off(why, kind, &request);
                return;
            }
        };
        counter.fetch_add(1, Relaxed);
        self.work.jobs.push(request.for_class(class));
    }

    fn refuse_put_off(&mut self, why: PutOff, kind: RequestKind, request: &Deferred) {
        let Some(version) = self.session.as_ref().map(Session::version) else { return };
        let failure = Failure { kind, ..Failure::other(why.refused()) };
        let (stream, started) = (request.header.stream, request.started);
        self.fail(version, stream, &Extras::default(), &failure, started);
    }

    /// Tries waiting requests again, in their order, until one must wait on.
    pub(super) fn retry_waiting(&mut self) {
        let began = Instant::now();
        // Others get their turn too; the rest is tried again in a moment.
        while began.elapsed() < TURN_TIME {
            let Some(request) = self.work.waiting.pop() else { return };
            if is_heavy(&request.envelope()) {
                self.work.jobs.push(request.for_class(Class::Long));
                continue;
            }
            let put_off = self.carry_out(&request.envelope(), request.started);
            let Some((why, kind)) = put_off else { continue };
            let cause = match why {
                PutOff::NoRoom => Cause::Room,
                PutOff::Locked(token) => Cause::Lock(token),
                _ => {
                    self.put_off(why, kind, request);
                    continue;
                }
            };
            if self.has_time(request.started) {
                self.work.waiting.put_back(cause, request);
                return;
            }
            self.refuse_put_off(why, kind, &request);
        }
    }

    /// Something was written in this turn.
    pub(super) fn note_write(&mut self, kind: RequestKind) {
        self.wrote |= matches!(kind, RequestKind::Write | RequestKind::Batch);
    }

    /// At the end of a turn: a client that wrote pauses if the node is behind.
    pub(super) fn pause_writer(&mut self) {
        if std::mem::take(&mut self.wrote) {
            let pause = self.node.engine().write_pause();
            if !pause.is_zero() {
                self.work.waiting.pause_until(Instant::now() + pause);
            }
        }
    }
}
