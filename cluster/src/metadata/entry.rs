//! The steps of the metadata, and why one may not fit.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tholos_grammar::name::Name;
use tholos_storage::schema::error::SchemaError;
use tholos_storage::schema::{Schema, SchemaChange};
use uuid::Uuid;

use crate::placement::ReplicationError;
use crate::ring::{RingError, Weight};

/// One step of the metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The changes of one schema statement: all of them or none.
    Schema {
        /// The epoch of the schema that the statement was planned for. On another one it could undo what it does not know
        /// of: its changes are whole objects.
        base: u64,
        /// What changes.
        changes: Vec<SchemaChange>,
    },
    /// A node joins, or is reached at another address from now on.
    Register(NodeDescription),
    /// These nodes decide about further entries.
    Members(BTreeSet<Uuid>),
}

/// A node as it describes itself: it has no tokens yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Its identity: chosen once, kept on its disk.
    pub host_id: Uuid,
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// Its data centre.
    pub data_center: String,
    /// Its rack.
    pub rack: String,
    /// How much it is to own, in comparison to others: see [`TOKENS_PER_NODE`](crate::ring::TOKENS_PER_NODE).
    pub weight: u32,
}

/// Why an entry does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It leaves the schema inconsistent.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A keyspace's replication can't be understood.
    #[error("keyspace {keyspace}: {error}")]
    Replication {
        /// The keyspace.
        keyspace: Name,
        /// Why.
        error: ReplicationError,
    },
    /// The schema is another one meanwhile.
    #[error(
        "the schema changed meanwhile, from version {planned} to {current}: nothing was done, run the statement again"
    )]
    Stale {
        /// The epoch of the schema that the changes are for.
        planned: u64,
        /// The epoch of the schema as it is.
        current: u64,
    },
    /// It would have to be given data that others have.
    #[error(
        "node {address} can't join: nodes join only while the cluster has no keyspace, and this one has {keyspaces}"
    )]
    HasKeyspaces {
        /// The node.
        address: SocketAddr,
        /// Some of them.
        keyspaces: String,
    },
    /// It is a node already, just so.
    #[error("node {0} is part of the cluster already")]
    Registered(Uuid),
    /// Two nodes can't be reached at one address.
    #[error(
        "address {address} belongs to node {owner}: give node {host_id} another, or an empty data directory if that one is gone"
    )]
    AddressTaken {
        /// The address.
        address: SocketAddr,
        /// The node that has it.
        owner: Uuid,
        /// The node that wants it.
        host_id: Uuid,
    },
    /// Where its replicas belong depends on where it stands.
    #[error(
        "node {host_id} stands in data centre {data_center}, rack {rack}, and can't move with its data: set them as they were"
    )]
    Moved {
        /// The node.
        host_id: Uuid,
        /// Its data centre.
        data_center: String,
        /// Its rack.
        rack: String,
    },
    /// A weight out of bounds.
    #[error("node {address} has weight {weight}: it must be from 1 to {max}", max = Weight::MAX)]
    Weight {
        /// The node.
        address: SocketAddr,
        /// What it says.
        weight: u32,
    },
    /// No nodes that could decide.
    #[error(
        "{count} nodes can't be the members of the metadata log: name from 1 to 7, an odd number"
    )]
    MemberCount {
        /// How many there are.
        count: usize,
    },
    /// No node of the cluster.
    #[error("node {0} is not part of the cluster")]
    UnknownNode(Uuid),
    /// Nodes make no ring.
    #[error(transparent)]
    Ring(#[from] RingError),
}

impl Entry {
    /// The entry as records and messages have it, user types by name. `after` is the schema that it leads to.
    pub(super) fn by_name(self, after: &Schema) -> Entry {
        match self {
            Entry::Schema { base, changes } => {
                let changes = changes.iter().map(|change| change.by_name(after)).collect();
                Entry::Schema { base, changes }
            }
            other => other,
        }
    }
}
