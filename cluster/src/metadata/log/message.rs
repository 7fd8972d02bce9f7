//! What goes into the metadata log's machine, and what comes out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::metadata::entry::{Entry, MetadataError};
use crate::metadata::state::ClusterState;
use crate::paxos::{AcceptorState, Reply, Request, Ticket};

/// An entry that somebody proposed: what is agreed on for an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Tells it from others, even from those with the same entry.
    pub id: Uuid,
    /// The entry.
    pub entry: Entry,
}

/// One message between two nodes' logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// To a member: what it is asked about the entry that leads to that epoch.
    Request {
        /// The epoch.
        epoch: u64,
        /// What is asked.
        request: Request<Proposal>,
    },
    /// What a member answers.
    Reply {
        /// The epoch.
        epoch: u64,
        /// The answer.
        reply: Reply<Proposal>,
    },
    /// Entries that were decided.
    Entries {
        /// The epoch that the first of them led to; the others follow it.
        first: u64,
        /// The entries.
        entries: Vec<Proposal>,
        /// The sender's epoch.
        epoch: u64,
    },
    /// All there is: for a node that lacks entries that the sender does not have any more.
    Snapshot(Arc<ClusterState>),
    /// A wish for what comes after that epoch.
    Pull {
        /// What the sender has.
        epoch: u64,
    },
    /// That the sender has that epoch, on its disk.
    Have {
        /// The epoch.
        epoch: u64,
    },
}

/// What a node keeps on disk: they are appended in order, and synced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The metadata; what came before is of no use any more.
    Snapshot(Arc<ClusterState>),
    /// The entry that led to that epoch.
    Entry {
        /// The epoch.
        epoch: u64,
        /// The entry.
        proposal: Proposal,
    },
    /// What this node promised and accepted for the entry that leads to that epoch.
    Acceptor {
        /// The epoch.
        epoch: u64,
        /// What it has to remember.
        state: AcceptorState<Proposal>,
    },
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody here wants an entry.
    Propose {
        /// Names the proposal: chosen at random, never used before.
        id: Uuid,
        /// The entry.
        entry: Entry,
        /// When nobody waits for it any more.
        deadline: i64,
    },
    /// A message came.
    Message {
        /// From that node.
        from: Uuid,
        /// The message.
        message: Message,
    },
    /// A node has that epoch: every message between nodes says so.
    Seen {
        /// The node.
        from: Uuid,
        /// Its epoch.
        epoch: u64,
    },
    /// What was to be persisted under that ticket is durable, and all before it.
    Persisted(Ticket),
    /// The time came that [`MetadataLog::next_tick`](super::MetadataLog::next_tick) asked for.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append that to the file and sync it, then say [`Input::Persisted`].
    Persist(Ticket, Record),
    /// Bring it to that node, which is another one.
    Send(Uuid, Message),
    /// That is the metadata from now on, and it is durable here.
    Changed(Arc<ClusterState>),
    /// What became of a proposal: comes once. The epoch has it; its [`Effect::Changed`] came before.
    Done(Uuid, Result<u64, ProposeError>),
    /// That node has that epoch, durably.
    Reached(Uuid, u64),
}

/// Why a proposal did not come to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The entry does not fit: nothing was done.
    #[error(transparent)]
    Refused(#[from] MetadataError),
    /// Too few members answered in time: nothing was done.
    #[error(
        "the cluster's metadata can't be changed now: {required} of its members must agree, and {answered} answered in time; nothing was done"
    )]
    NoMajority {
        /// How many are needed.
        required: usize,
        /// How many answered.
        answered: usize,
    },
    /// It was proposed, and too few members answered in time.
    #[error(
        "too few members of the cluster's metadata answered in time: the change may have been made or be made yet, look before it is tried again"
    )]
    Unknown,
}
