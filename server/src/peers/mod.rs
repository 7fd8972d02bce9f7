//! Connections to other nodes: the sockets under [`tholos_cluster::message`].
//!
//! Two nodes have one connection for each [`Class`], which either of them opened and both use in both directions. Whoever
//! has something to say puts it into the connection's outbox, without waiting; what is in it leaves in one write.
//!
//! - [`Peers`]: what the rest of the node uses. [`PeerHandler`]: what it is told.
//! - `outbox`: what waits to be written, bounded. `link`: one connection's reader, writer and signs of life.
//! - `greet`: the two first messages, and whether they are to the liking of both. `dial`, `accept`: who opens connections.
//! - `table`: which nodes are connected, and which of two connections stays. `figures`: what was sent and received.
//!
//! ```text
//! connect("10.0.0.2:7000")     dial: TCP, Hello, Welcome -> table: the connection is there -> link_up(2, Normal)
//! try_send(2, Normal, message) outbox -> the writer's next write
//!                              reader: frames -> message(2, Normal, epoch, message), in order
//! silence, or an error         link: over -> table: no connection -> link_lost(2, Normal), dial: again, later
//! ```
//! What was in the outbox of a connection that ends is lost, and counted; nothing is sent twice. A request for which nobody
//! waits any more is not sent. Whoever needs an answer asks again. There is no task for a message: a connection has two.
//!
//! Nobody is asked who they are, beyond the greeting: whoever reaches the port is believed. TLS belongs between the TCP
//! connection and the greeting, in [`link::Stream`]'s place.

mod accept;
mod dial;
mod figures;
mod greet;
mod link;
mod outbox;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tholos_cluster::message::frame::FrameError;
use tholos_cluster::message::hello::PeerIdentity;
use tholos_cluster::message::wire::{Outgoing, Wire};
use tholos_cluster::message::{Class, Message};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::figures::{AcceptFigures, LinkFigures};
pub use self::outbox::Bounds;
use self::table::Table;

/// What the rest of the node is told. Called by the tasks of connections: it must not block them.
pub trait PeerHandler: Send + Sync + 'static {
    /// A message came. Those of one connection come in the order in which they were sent.
    fn message(&self, from: Uuid, class: Class, epoch: u64, message: Message);

    /// There is a connection to a node; before any message that comes by it. Called again if another one takes its place.
    fn link_up(&self, peer: &PeerIdentity, class: Class);

    /// There is none any more, and what was on its way may be lost.
    fn link_lost(&self, host: Uuid, class: Class);

    /// The epoch of this node's metadata, which goes with signs of life.
    fn epoch(&self) -> u64;
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection at this time.
    #[error("there is no connection to node {0}")]
    NotConnected(Uuid),
    /// The node does not take what it is sent as fast as it is sent.
    #[error("too much waits to be sent to node {0} already")]
    Full(Uuid),
    /// It fits into no frame.
    #[error(transparent)]
    TooLong(#[from] FrameError),
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct PeerTimes {
    /// Opening a connection and greeting, each.
    pub greeting: Duration,
    /// A node that has nothing to say gives a sign of life so often.
    pub sign_of_life: Duration,
    /// A connection that brings nothing for so many of these times is over.
    pub silent_turns: u32,
    /// Before a connection is opened again, the first time; doubled each time.
    pub least_pause: Duration,
    /// The longest such pause.
    pub greatest_pause: Duration,
}

impl Default for PeerTimes {
    fn default() -> Self {
        PeerTimes {
            greeting: Duration::from_secs(5),
            sign_of_life: Duration::from_secs(1),
            silent_turns: 4,
            least_pause: Duration::from_millis(50),
            greatest_pause: Duration::from_secs(3),
        }
    }
}

/// How a node connects to others.
pub struct PeerOptions {
    /// Who this node is.
    pub identity: PeerIdentity,
    /// What it speaks.
    pub wire: Wire,
    /// What may wait to be sent, by class, in the order of [`Class::ALL`].
    pub bounds: [Bounds; 3],
    /// How long things may take.
    pub times: PeerTimes,
    /// Random bits, so that nodes that lost each other don't come back all at once.
    pub bits: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl PeerOptions {
    /// The usual ones.
    pub fn new(identity: PeerIdentity, bits: Arc<dyn Fn() -> u64 + Send + Sync>) -> PeerOptions {
        let bounds = [
            Bounds { bytes: 8 << 20, messages: 1 << 14 },
            Bounds { bytes: 64 << 20, messages: 1 << 17 },
            Bounds { bytes: 64 << 20, messages: 1 << 14 },
        ];
        let times = PeerTimes::default();
        PeerOptions { identity, wire: Wire::CURRENT, bounds, times, bits }
    }
}

impl fmt::Debug for PeerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerOptions").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The connections of a node.
pub struct Peers {
    shared: Arc<Shared>,
}

/// What all tasks have in common.
struct Shared {
    identity: Mutex<PeerIdentity>,
    wire: Wire,
    bounds: [Bounds; 3],
    times: PeerTimes,
    bits: Arc<dyn Fn() -> u64 + Send + Sync>,
    handler: Arc<dyn PeerHandler>,
    table: Table,
    accepted: AcceptFigures,
    /// Why another node was refused here the last time.
    last_refusal: Mutex<Option<String>>,
    /// Whom to connect to, and how to end that.
    dialed: Mutex<BTreeMap<String, dial::Dialed>>,
    /// Ends everything.
    stop: CancellationToken,
    /// Lets connections write what they have, then end.
    finish: CancellationToken,
    tasks: TaskTracker,
}

/// How long what waits may take to leave when the node stops.
const FAREWELL: Duration = Duration::from_secs(1);

impl Peers {
    /// Begins to listen. To be called within the runtime.
    ///
    /// # Errors
    /// What the system says of the listener.
    pub fn start(
        listener: StdListener,
        options: PeerOptions,
        handler: Arc<dyn PeerHandler>,
    ) -> io::Result<Peers> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let PeerOptions { identity, wire, bounds, times, bits } = options;
        let shared = Arc::new(Shared {
            table: Table::new(identity.host_id),
            identity: Mutex::new(PeerIdentity { versions: wire.versions, ..identity }),
            wire,
            bounds,
            times,
            bits,
            handler,
            accepted: AcceptFigures::default(),
            last_refusal: Mutex::default(),
            dialed: Mutex::default(),
            stop: CancellationToken::new(),
            finish: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(accept::accept(listener, Arc::clone(&shared)));
        Ok(Peers { shared })
    }

    /// Keeps connections to the node at that address (`host:port`), from now on.
    pub fn connect(&self, address: &str) {
        dial::connect(&self.shared, address);
    }

    /// Opens none to that address any more. Those that there are stay.
    pub fn forget(&self, address: &str) {
        if let Some(dialed) = self.shared.dialed.lock().remove(address) {
            dialed.stop.cancel();
        }
    }

    /// Ends the connections to a node: it left the cluster.
    pub fn disconnect(&self, host: Uuid) {
        self.shared.table.end_all(host, "the node left the cluster");
    }

    /// Sends a message soon, if there is a connection and room.
    ///
    /// # Errors
    /// Why not. Nothing of it was sent then, and it is counted.
    pub fn try_send(&self, to: Uuid, outgoing: &mut Outgoing<'_>) -> Result<(), NotSent> {
        let Some(link) = self.shared.table.current(to, outgoing.class()) else {
            return Err(NotSent::NotConnected(to));
        };
        let frame = outgoing.frame(&self.shared.wire, link.version)?;
        let expires = outgoing.time_left().map(|left| Instant::now() + left);
        match link.outbox.push(frame, expires) {
            true => Ok(()),
            false => Err(NotSent::Full(to)),
        }
    }

    /// Tells other nodes this id of the cluster from now on: it was formed, or this node joined it.
    pub fn set_cluster_id(&self, id: Uuid) {
        self.shared.identity.lock().cluster_id = Some(id);
    }

    /// Which nodes there are connections to, and what they spoke.
    pub fn links(&self) -> Vec<Link> {
        self.shared.table.links()
    }

    /// What came in by the port for other nodes.
    pub fn accepted(&self) -> &AcceptFigures {
        &self.shared.accepted
    }

    /// Why a connection to the port for other nodes was refused, the last time that one was.
    pub fn last_refusal(&self) -> Option<String> {
        self.shared.last_refusal.lock().clone()
    }

    /// Addresses that connections are kept to, with what was wrong the last time, if there is none since.
    pub fn troubles(&self) -> Vec<(String, Option<String>)> {
        let dialed = self.shared.dialed.lock();
        dialed.iter().map(|(address, dialed)| (address.clone(), dialed.trouble())).collect()
    }

    /// Sends what waits, as far as others take it soon, and ends all connections.
    pub async fn close(self) {
        let Shared { stop, finish, tasks, .. } = &*self.shared;
        tasks.close();
        finish.cancel();
        if tokio::time::timeout(FAREWELL, tasks.wait()).await.is_err() {
            stop.cancel();
            tasks.wait().await;
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("links", &self.links()).finish_non_exhaustive()
    }
}

/// A connection of a class to a node, or where there was one.
#[derive(Clone, Debug)]
pub struct Link {
    /// The node.
    pub host: Uuid,
    /// Where others reach it, as it says.
    pub address: SocketAddr,
    /// Of which class.
    pub class: Class,
    /// The version it speaks; `None` if there is none at this time.
    pub version: Option<u16>,
    /// Bytes that wait to be sent.
    pub queued: usize,
    /// What was sent and received by all such connections since the node is known.
    pub figures: Arc<LinkFigures>,
}
