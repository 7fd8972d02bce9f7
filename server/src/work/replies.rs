//! Requests of one client whose operations are under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use uuid::Uuid;

use super::mailbox::Mailbox;
use crate::error::QueryError;
use crate::session::step::{Continuation, Outcome, Reply};

/// No more is read from a client of which so many are under way.
const MOST: usize = 1024;

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) stream: i16,
    pub(crate) started: Instant,
    /// Few requests have one.
    pub(crate) tracing_id: Option<Box<Uuid>>,
    pub(crate) continuation: Continuation,
}

/// Those of one client, by the numbers of their operations. When the client goes, nobody waits for them any more.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    held: BTreeMap<u64, Held>,
    bytes: usize,
    mailbox: Arc<Mailbox<Reply>>,
}

impl Replies {
    /// Where outcomes go.
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox<Reply>> {
        &self.mailbox
    }

    pub(crate) fn push(&mut self, operation: u64, held: Held) {
        self.bytes += size(&held);
        self.held.insert(operation, held);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Memory that they take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing more is to be read from the client.
    pub(crate) fn holds_input(&self, limit: usize) -> bool {
        self.held.len() >= MOST || self.bytes > limit
    }

    /// The next one that is through.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<(Held, Result<Outcome, QueryError>)> {
        while !self.held.is_empty() {
            let Poll::Ready((operation, outcome)) = self.mailbox.poll(cx) else { break };
            if let Some(held) = self.held.remove(&operation) {
                self.bytes -= size(&held);
                return Poll::Ready((held, outcome));
            }
        }
        Poll::Pending
    }
}

fn size(held: &Held) -> usize {
    size_of::<(u64, Held)>() + held.continuation.bytes()
}
