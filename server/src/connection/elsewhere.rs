//! Requests that the threads of the pool carry out.
//!
//! Most reads find what they need in memory, in the block cache or the system's. One that does not is given, as it came,
//! to a thread that may wait; the connection goes on, and answers when that thread is through. So does a read that turns
//! out to be long, and whatever is large to begin with: it would keep this thread from its other connections.
//!
//! Everything that takes time is done there: unpacking, parsing, executing, and putting the answer into its frame. What
//! that needs of memory is taken from the budget while it grows. When there is no more, the request is done all over once
//! its client has nothing else under way, and refused if that is not enough.

use std::sync::Arc;

use parking_lot::Mutex;
use tholos_grammar::protocol::encoder::{Encoder, is_sparse, memory_of};
use tholos_grammar::protocol::envelope::{Envelope, Extras};
use tholos_grammar::protocol::header::{Flags, Opcode};
use tholos_grammar::protocol::request::Request;
use uuid::Uuid;

use super::Connection;
use super::dispatch::{Tracer, finish_body, run};
use crate::budget::Credit;
use crate::error::QueryError;
use crate::halt::PutOff;
use crate::metrics::{Outcome, RequestKind};
use crate::session::Session;
use crate::session::step::{Answer, Failure, Step, Steps};
use crate::work::deferred::Deferred;

/// Texts and batches above this are large: what planning them takes may be milliseconds.
const LARGE_TEXT: usize = 16 << 10;

/// So is any request above this.
const LARGE: usize = 256 << 10;

/// Bodies that decompress to more are not unpacked by the thread that reads them.
pub(super) const UNPACK_BYTES: usize = LARGE;

/// Whether a request may take long, by its size.
pub(super) fn is_heavy(envelope: &Envelope<'_>) -> bool {
    match envelope.header.opcode {
        Opcode::Query | Opcode::Prepare | Opcode::Batch => envelope.body.len() > LARGE_TEXT,
        Opcode::Execute => envelope.body.len() > LARGE,
        _ => false,
    }
    .max(envelope.is_packed())
}

/// A request that was carried out.
pub(super) struct Done {
    request: Deferred,
    tracing_id: Option<Uuid>,
    steps: Steps,
    /// The frame to send, if it is answered.
    frame: Vec<u8>,
    /// For the bytes above.
    credit: Option<Credit>,
    /// What carried it out.
    session: Session,
}

impl Connection {
    /// Lets those begin that may. Not while answers wait to be written: a client that does not read gets no new ones.
    pub(super) fn start_jobs(&mut self) {
        while let Some(request) = self.work.jobs.next() {
            let Some(session) = self.session.as_ref().map(Session::twin) else { return };
            let class = request.class;
            let (encoder, credit) = (self.encoder.twin(), self.account.nothing());
            let traced = self.traced();
            let work = move || carry_out(session, request, encoder, credit, &traced);
            self.work.jobs.start(self.operations.pool(), class, work);
        }
    }

    /// Answers a request that was carried out, or puts it off again.
    pub(super) fn answer_done(&mut self, done: Done) {
        let Done { request, tracing_id, steps, frame, credit, session: twin } = done;
        if let Some(session) = &mut self.session {
            session.learn(twin, request.keyspace.as_ref());
        }
        let (stream, started) = (request.header.stream, request.started);
        match steps {
            Ok(Step::Answer(Answer { kind, .. })) => {
                self.note_write(kind);
                self.encoder.append_finished(frame);
                drop(credit);
                self.observe(kind, Outcome::Ok, started);
            }
            Ok(Step::Wait(operation, continuation)) => {
                self.wait(operation, continuation, stream, tracing_id, started);
            }
            Ok(Step::PutOff { why, kind }) => {
                self.put_off(why, kind, request);
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
    request: Deferred,
    mut encoder: Encoder,
    credit: Credit,
    traced: &Tracer,
) -> Done {
    session.set_keyspace(request.keyspace.clone());
    let credit = Arc::new(Mutex::new(credit));
    session.set_room(Some(Arc::clone(&credit)));
    let tracing_id = request.header.flags.has(Flags::TRACING).then(Uuid::new_v4);
    let steps = answer(&mut session, &request, tracing_id, &mut encoder, &credit, traced);
    session.set_room(None);
    let mut frame = match steps {
        Ok(Step::Answer(_)) => encoder.into_finished(),
        _ => Vec::new(),
    };
    if frame.capacity() / 4 > frame.len() / 3 && !is_sparse(&frame) {
        frame.shrink_to_fit();
    }
    let mut credit = Arc::into_inner(credit).map(Mutex::into_inner);
    if let Some(credit) = &mut credit {
        credit.set(memory_of(&frame));
    }
    Done { request, tracing_id, steps, frame, credit, session }
}

/// The answer in its frame, if there is one.
fn answer(
    session: &mut Session,
    deferred: &Deferred,
    tracing_id: Option<Uuid>,
    encoder: &mut Encoder,
    credit: &Mutex<Credit>,
    traced: &Tracer,
) -> Steps {
    let node = Arc::clone(session.node());
    if node.deadline(deferred.started).is_over() {
        let what =
            "the request waited longer than it may take: nothing was done; send less at a time";
        return Err(Failure::other(QueryError::Overloaded(what.to_string())));
    }
    let put_off = |why| Ok(Step::PutOff { why, kind: RequestKind::Other });
    let broken = |error| Failure::other(QueryError::from(error));
    let (envelope, limit) = (deferred.envelope(), node.frame_bytes());
    let mut unpacked = Vec::new();
    if envelope.is_packed() {
        let needed = envelope.unpacked_length(limit).map_err(broken)?;
        if !credit.lock().grow(needed) {
            return put_off(PutOff::NoMemory);
        }
    }
    let envelope = envelope.unpack(limit, &mut unpacked).map_err(broken)?;
    let message = envelope.request().map_err(broken)?;
    if matches!(message.request, Request::Batch(_)) && !node.engine().admits_writes() {
        return put_off(PutOff::NoRoom);
    }
    let (version, stream) = (session.version(), deferred.header.stream);
    let extras = Extras { tracing_id, ..Extras::default() };
    let open = encoder.begin_response(version, Opcode::Result, stream, &extras);
    let body = encoder.body().len();
    let steps = run(session, &message.request, deferred.started, encoder.body());
    if let Some(id) = tracing_id {
        traced.record(&node, id, &message.request, deferred.started);
    }
    let answer = match steps {
        Ok(Step::Answer(answer)) => answer,
        other => {
            encoder.abandon(open);
            return other;
        }
    };
    drop(unpacked);
    if encoder.transforms() && encoder.len() > LARGE && !credit.lock().grow(encoder.len()) {
        encoder.abandon(open);
        return Ok(Step::PutOff { why: PutOff::NoMemory, kind: answer.kind });
    }
    let extras = Extras { warnings: &answer.warnings, ..extras };
    finish_body(encoder, version, open, body, &extras)?;
    Ok(Step::Answer(answer))
}
