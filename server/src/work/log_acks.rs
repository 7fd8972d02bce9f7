//! Writes of this node that others wait for, until the log is on disk: whom to tell then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tholos_cluster::message::RequestId;
use tholos_storage::commitlog::LogPosition;
use tholos_storage::engine::Engine;
use uuid::Uuid;

use super::gather::Gather;

/// Whom to tell that a write of this node is durable.
#[derive(Debug)]
pub(super) enum Ack {
    /// A request of this node.
    Own(RequestId),
    /// What this node alone has a say in, of an operation that has more parts: one of them.
    Part(Arc<Gather>, usize),
    /// Another node.
    Other(Uuid, RequestId),
}

/// By the position that they wait for.
#[derive(Debug, Default)]
pub(super) struct LogAcks(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    acks: BTreeMap<(LogPosition, u64), Ack>,
    /// Tells those of one position apart.
    next: u64,
}

impl LogAcks {
    /// Adds one; says whether it is the only one, so that somebody has to look.
    pub(super) fn push(&self, position: LogPosition, ack: Ack) -> bool {
        let waiting = &mut *self.0.lock();
        let key = (position, waiting.next);
        waiting.next += 1;
        waiting.acks.insert(key, ack);
        waiting.acks.len() == 1
    }

    /// Takes those for which the log is far enough, or, with `false`, will never be. The task is woken when it is for the
    /// next one.
    pub(super) fn poll(&self, engine: &Engine, cx: &mut Context<'_>) -> Vec<(Ack, bool)> {
        let mut taken = Vec::new();
        loop {
            let waiting = &mut *self.0.lock();
            let Some((&(position, _), _)) = waiting.acks.first_key_value() else { return taken };
            let Poll::Ready(durable) = engine.poll_durable(position, cx) else { return taken };
            while let Some(first) = waiting.acks.first_entry().filter(|e| e.key().0 <= position) {
                taken.push((first.remove(), durable.is_ok()));
            }
        }
    }
}
