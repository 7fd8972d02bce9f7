//! Answers to writes that are not durable yet.
//!
//! Positions of one connection only grow, so answers become free from the front. All of them are VOID: what is held is
//! the stream to answer on, not bytes.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use tholos_grammar::protocol::envelope::Extras;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::result::QueryResult;
use uuid::Uuid;

use super::Connection;
use crate::error::{Attempt, QueryError};
use crate::execute::replica::LogPosition;
use crate::metrics::{Outcome, RequestKind};

/// What an answer will take, roughly, with what is remembered of it.
const HELD_BYTES: usize = size_of::<HeldAnswer>() + 32;

/// The answer to one write.
#[derive(Debug)]
pub(super) struct HeldAnswer {
    pub(super) position: LogPosition,
    pub(super) stream: i16,
    pub(super) kind: RequestKind,
    pub(super) attempt: Attempt,
    pub(super) started: Instant,
    /// A trace's id and warnings; few answers have any.
    pub(super) extras: Option<Box<HeldExtras>>,
}

/// What goes before the message.
#[derive(Debug)]
pub(super) struct HeldExtras {
    pub(super) tracing_id: Option<Uuid>,
    pub(super) warnings: Vec<String>,
}

/// The held answers of a connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldAnswers {
    queue: VecDeque<HeldAnswer>,
}

impl HeldAnswers {
    pub(super) fn push(&mut self, answer: HeldAnswer) {
        self.queue.push_back(answer);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What they will take when they are written, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.queue.len() * HELD_BYTES
    }
}

impl Connection {
    /// Answers every held write that is durable; says whether there was one. The waker is called when the next one is.
    pub(super) fn release_held(&mut self, cx: &mut Context<'_>) -> bool {
        let mut released = false;
        while let Some(front) = self.held.queue.front() {
            match self.node.engine().poll_durable(front.position, cx) {
                Poll::Pending => break,
                Poll::Ready(durable) => {
                    released = true;
                    let outcome = durable.map_err(QueryError::from);
                    self.answer_front(outcome);
                }
            }
        }
        if released && self.held.queue.is_empty() {
            // An idle connection holds no memory.
            self.held.queue = VecDeque::new();
        }
        released
    }

    /// Answers writes that waited longer than a request may take: whether they are on disk is not known.
    pub(super) fn give_up_overdue(&mut self) {
        let timeout = self.node.request_timeout();
        while self.held.queue.front().is_some_and(|front| front.started.elapsed() >= timeout) {
            let message = format!(
                "the write was not on disk after {} ms: it is visible, and may or may not survive a crash",
                timeout.as_millis()
            );
            self.answer_front(Err(QueryError::WriteTimeout(message)));
        }
    }

    /// Sees to it that somebody looks after overdue answers.
    pub(super) fn arm_overdue(&mut self) {
        if let Some(front) = self.held.queue.front() {
            self.arm(front.started + self.node.request_timeout());
        }
    }

    fn answer_front(&mut self, outcome: Result<(), QueryError>) {
        let (Some(held), Some(session)) = (self.held.queue.pop_front(), &self.session) else {
            return;
        };
        let version = session.version();
        let extras = match &held.extras {
            Some(extras) => Extras {
                tracing_id: extras.tracing_id,
                warnings: &extras.warnings,
                ..Extras::default()
            },
            None => Extras::default(),
        };
        let (response, counted) = match outcome {
            Ok(()) => (Response::Result(QueryResult::Void), Outcome::Ok),
            Err(error) => (
                Response::Error(error.to_message(held.attempt, self.node.native_address().ip())),
                error.outcome(),
            ),
        };
        self.respond_with(version, held.stream, &extras, &response);
        self.observe(held.kind, counted, held.started);
    }
}
