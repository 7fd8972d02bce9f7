//! Which nodes there are connections to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::{Mutex, RwLock};
use tholos_cluster::message::Class;
use tholos_cluster::message::frame;
use tholos_cluster::message::hello::{PeerIdentity, Refused, RefusedReason};
use tholos_cluster::message::preference::{Origin, replaces};
use uuid::Uuid;

use super::figures::LinkFigures;
use super::link::Connection;
use super::outbox::{Bounds, Outbox};
use super::{Link, PeerHandler};

/// Nodes that are known at a time: far more than a cluster has.
const MOST_NODES: usize = 1024;

/// All connections, by node and class.
pub(super) struct Table {
    own: Uuid,
    nodes: RwLock<BTreeMap<Uuid, Node>>,
    /// Held while the handler is told of what changed, so that it is told in the order in which it did. The handler may send
    /// meanwhile: that takes the other lock alone.
    telling: Mutex<()>,
}

struct Node {
    address: SocketAddr,
    slots: [Slot; 3],
}

#[derive(Default)]
struct Slot {
    figures: Arc<LinkFigures>,
    current: Option<Arc<Connection>>,
}

impl Table {
    pub(super) fn new(own: Uuid) -> Table {
        Table { own, nodes: RwLock::default(), telling: Mutex::default() }
    }

    /// The connection of a class to a node.
    pub(super) fn current(&self, host: Uuid, class: Class) -> Option<Arc<Connection>> {
        self.nodes.read().get(&host)?.slots[class as usize].current.clone()
    }

    /// A new connection, which may take the place of another one.
    ///
    /// # Errors
    /// There is one that is to stay, or there are too many nodes.
    pub(super) fn install(
        &self,
        (peer, class, version): (PeerIdentity, Class, u16),
        opened_by: Uuid,
        bounds: Bounds,
        handler: &dyn PeerHandler,
    ) -> Result<Arc<Connection>, Refused> {
        let told = self.telling.lock();
        let host = peer.host_id;
        let origin = Origin { opened_by, generation: peer.generation };
        let mut nodes = self.nodes.write();
        make_room(&mut nodes, host)?;
        let node = nodes
            .entry(host)
            .or_insert_with(|| Node { address: peer.address, slots: Default::default() });
        let slot = &mut node.slots[class as usize];
        match slot.current.clone() {
            Some(current) if !replaces(origin, current.origin, self.own, host) => {
                drop(nodes);
                // If it is dead and this side does not know, then writing to it tells.
                current.outbox.push_if_empty(|| frame::alive(handler.epoch()));
                return Err(Refused {
                    reason: RefusedReason::Connected,
                    sentence: format!("node {} has a connection that stays", self.own),
                });
            }
            Some(current) => current.end("another one takes its place"),
            None => {}
        }
        let figures = Arc::clone(&slot.figures);
        figures.connections.fetch_add(1, Relaxed);
        let outbox = Outbox::new(bounds, Arc::clone(&figures));
        let connection = Arc::new(Connection::new((peer, class, version), origin, outbox, figures));
        slot.current = Some(Arc::clone(&connection));
        node.address = connection.peer.address;
        drop(nodes);
        handler.link_up(&connection.peer, class);
        drop(told);
        Ok(connection)
    }

    /// Takes out a connection that is over, unless another one took its place before.
    pub(super) fn remove(&self, connection: &Arc<Connection>, handler: &dyn PeerHandler) {
        let told = self.telling.lock();
        let (host, class) = (connection.peer.host_id, connection.class);
        let mut nodes = self.nodes.write();
        let slot = nodes.get_mut(&host).map(|node| &mut node.slots[class as usize]);
        let was_current = slot.is_some_and(|slot| {
            slot.current.take_if(|current| Arc::ptr_eq(current, connection)).is_some()
        });
        drop(nodes);
        connection.ended.cancel();
        if was_current {
            handler.link_lost(host, class);
        }
        drop(told);
    }

    /// Ends all connections to a node.
    pub(super) fn end_all(&self, host: Uuid, reason: &'static str) {
        if let Some(node) = self.nodes.read().get(&host) {
            node.slots.iter().filter_map(|slot| slot.current.as_ref()).for_each(|c| c.end(reason));
        }
    }

    /// All of them, as they are.
    pub(super) fn links(&self) -> Vec<Link> {
        let nodes = self.nodes.read();
        let links = nodes.iter().flat_map(|(host, node)| {
            node.slots.iter().zip(Class::ALL).map(|(slot, class)| Link {
                host: *host,
                address: node.address,
                class,
                version: slot.current.as_ref().map(|connection| connection.version),
                queued: slot.current.as_ref().map_or(0, |connection| connection.outbox.bytes()),
                figures: Arc::clone(&slot.figures),
            })
        });
        links.collect()
    }
}

/// Forgets a node without connections if there is no room for another one.
fn make_room(nodes: &mut BTreeMap<Uuid, Node>, host: Uuid) -> Result<(), Refused> {
    if nodes.len() < MOST_NODES || nodes.contains_key(&host) {
        return Ok(());
    }
    let is_gone = |node: &Node| node.slots.iter().all(|slot| slot.current.is_none());
    let gone = nodes.iter().find(|(_, node)| is_gone(node)).map(|(host, _)| *host);
    match gone {
        Some(gone) => {
            nodes.remove(&gone);
            Ok(())
        }
        None => Err(Refused {
            reason: RefusedReason::Busy,
            sentence: format!("{MOST_NODES} nodes are connected already"),
        }),
    }
}
