//! What is on its way between simulated nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tholos_cluster::message::{Message, codec};
use tholos_server::network::Network;
use tholos_storage::model::mutation::Mutation;
use uuid::Uuid;

/// One message, as bytes.
#[derive(Debug)]
pub struct Letter {
    /// Who sent it.
    pub from: Uuid,
    /// Whom it is for.
    pub to: Uuid,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// All that nodes have said and that was not delivered, and who is thought to be dead by whom.
#[derive(Debug, Default)]
pub struct Wires {
    /// By the order in which they were sent.
    pub letters: Vec<Letter>,
    /// Whom each node thinks dead.
    pub dead: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// From whom to whom nothing comes through.
    pub cut: BTreeSet<(Uuid, Uuid)>,
    /// Writes that were to be kept for others.
    pub hints: u64,
}

/// The wires, which all nodes share.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Wires>>);

impl Shared {
    /// Locks them: everything is in one thread.
    pub fn get(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One node's end of them.
#[derive(Debug)]
pub struct End {
    /// Which one.
    pub host: Uuid,
    /// The wires.
    pub wires: Shared,
}

impl Network for End {
    fn reaches(&self, host: Uuid) -> bool {
        !self.wires.get().dead.get(&self.host).is_some_and(|dead| dead.contains(&host))
    }

    fn send(&self, to: Uuid, message: Message) -> bool {
        let mut bytes = Vec::new();
        codec::encode(&message, &mut bytes);
        self.wires.get().letters.push(Letter { from: self.host, to, bytes });
        true
    }

    fn keeps_hints(&self) -> bool {
        false
    }

    fn hint(&self, _: Uuid, _: &Arc<[Mutation]>) {
        self.wires.get().hints += 1;
    }
}
