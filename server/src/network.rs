//! The way to other nodes, as a node sees it: what it takes of a network, whoever makes it.

use std::sync::Arc;

use tholos_cluster::message::Message;
use tholos_storage::model::mutation::Mutation;
use uuid::Uuid;

/// The way to other nodes, which are known by their host ids.
pub trait Network: Send + Sync {
    /// Whether a node is thought to be alive and to serve.
    fn reaches(&self, host: Uuid) -> bool;

    /// Sends a message, which may be lost; `false` if there is no room for it now, or no way.
    fn send(&self, host: Uuid, message: Message) -> bool;

    /// Whether [`hint`](Self::hint) keeps what it is given.
    fn keeps_hints(&self) -> bool;

    /// Keeps writes for a node until it can be reached.
    fn hint(&self, host: Uuid, mutations: &Arc<[Mutation]>);
}

/// No other nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Network for Alone {
    fn reaches(&self, _: Uuid) -> bool {
        false
    }

    fn send(&self, _: Uuid, _: Message) -> bool {
        false
    }

    fn keeps_hints(&self) -> bool {
        false
    }

    fn hint(&self, _: Uuid, _: &Arc<[Mutation]>) {}
}
