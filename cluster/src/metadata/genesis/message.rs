//! What nodes of a first start say to each other, and what their machine takes and gives.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tholos_storage::schema::Schema;

use crate::metadata::entry::NodeDescription;
use crate::metadata::state::ClusterState;
use crate::paxos::{AcceptorState, Reply, Request, Ticket};

/// What is agreed on: the first value of the metadata.
pub type Founding = Arc<ClusterState>;

/// How a node starts that has no metadata.
#[derive(Clone, Debug)]
pub struct GenesisOptions {
    /// The name of the cluster, as configured.
    pub cluster_name: String,
    /// Where the seeds are reached, as configured: the same on all of them.
    pub seeds: BTreeSet<SocketAddr>,
    /// The node. It is a seed if its address is listed.
    pub node: NodeDescription,
    /// What it has already. A node that has something can only begin a cluster alone.
    pub schema: Arc<Schema>,
}

/// One message of a node's first start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Where the sender is reached.
    pub from: SocketAddr,
    /// The name of its cluster.
    pub cluster_name: String,
    /// The seeds that it knows.
    pub seeds: BTreeSet<SocketAddr>,
    /// What it says.
    pub body: Body,
}

/// What a node says at its first start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// It is there and has no metadata.
    Hello(NodeDescription),
    /// To a seed.
    Request(Request<Founding>),
    /// A seed's answer.
    Reply(Reply<Founding>),
    /// The cluster is there: its metadata, the first or a later value.
    Formed(Founding),
    /// It can't begin a cluster with who asked: their names or their lists of seeds differ.
    Differs,
}

/// What a seed keeps on disk until it has metadata; the last one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The seeds that it knew.
    pub seeds: BTreeSet<SocketAddr>,
    /// What it promised and accepted.
    pub acceptor: AcceptorState<Founding>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message came.
    Message(Message),
    /// What was to be persisted under that ticket is durable, and all before it.
    Persisted(Ticket),
    /// The time came that [`Genesis::next_tick`](super::Genesis::next_tick) asked for.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Keep that in place of the record before, sync it, then say [`Input::Persisted`].
    Persist(Ticket, Record),
    /// Bring it to that address.
    Send(SocketAddr, Message),
    /// The cluster is there. Once this is durable as the first record of the metadata log, the node never takes part in a
    /// beginning again. A node that is not among its nodes is to register.
    Formed(Founding),
    /// Something that a person must mend; says what. The node goes on trying.
    Trouble(String),
}

/// A node can't begin or join a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// There is nobody to ask.
    #[error("the list of seeds is empty: name at least one node, which may be this one")]
    NoSeeds,
    /// Its data would have to be shared out.
    #[error(
        "this node has keyspaces of its own and can't join others: begin with it as the only seed, or with an empty data directory"
    )]
    HasKeyspaces,
    /// The cluster may have begun with the other list.
    #[error(
        "this node took part in beginning a cluster with seeds {before}, and now has {now}: restore the list, or empty its data directory if that cluster never came to be"
    )]
    OtherSeeds {
        /// The list then.
        before: String,
        /// The list now.
        now: String,
    },
}

/// Seeds as configured, for people.
pub(super) fn list(seeds: &BTreeSet<SocketAddr>) -> String {
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    seeds.join(", ")
}
