//! Nodes that talk by real sockets on loopback.

mod exchange;
mod hostile;
mod refusal;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tholos_cluster::message::codec;
use tholos_cluster::message::wire::Versions;

use super::*;

/// Remembers what it is told.
#[derive(Debug, Default)]
struct Recorder {
    heard: Mutex<Vec<Heard>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Up(Uuid, Class),
    Lost(Uuid, Class),
    /// From whom, of which class and epoch, and what.
    Message(Uuid, Class, u64, Bytes),
}

impl PeerHandler for Recorder {
    fn message(&self, from: Uuid, class: Class, epoch: u64, message: Message) {
        let Message::Peer { bytes, .. } = message else { panic!("unexpected {message:?}") };
        self.heard.lock().push(Heard::Message(from, class, epoch, bytes));
    }

    fn link_up(&self, peer: &PeerIdentity, class: Class) {
        self.heard.lock().push(Heard::Up(peer.host_id, class));
    }

    fn link_lost(&self, host: Uuid, class: Class) {
        self.heard.lock().push(Heard::Lost(host, class));
    }

    fn epoch(&self) -> u64 {
        7
    }
}

/// A node, as far as others see it.
struct Peer {
    peers: Peers,
    recorder: Arc<Recorder>,
    id: Uuid,
    address: SocketAddr,
}

fn identity(host: u128, address: SocketAddr) -> PeerIdentity {
    PeerIdentity {
        versions: Wire::CURRENT.versions,
        cluster_name: "zoo".to_string(),
        cluster_id: Some(Uuid::from_u128(77)),
        host_id: Uuid::from_u128(host),
        generation: 1,
        address,
    }
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

impl Peer {
    fn start(host: u128) -> Peer {
        Peer::start_with(host, free_port(), |_| ())
    }

    fn start_with(
        host: u128,
        listener: TcpListener,
        change: impl FnOnce(&mut PeerOptions),
    ) -> Peer {
        let address = listener.local_addr().unwrap();
        let seed = AtomicU64::new(host as u64);
        let bits = move || seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut options = PeerOptions::new(identity(host, address), Arc::new(bits));
        options.times.least_pause = Duration::from_millis(5);
        options.times.greatest_pause = Duration::from_millis(20);
        change(&mut options);
        let recorder = Arc::new(Recorder::default());
        let handler = Arc::clone(&recorder) as Arc<dyn PeerHandler>;
        let peers = Peers::start(listener, options, handler).unwrap();
        Peer { peers, recorder, id: Uuid::from_u128(host), address }
    }

    fn connect(&self, other: &Peer) {
        self.peers.connect(&other.address.to_string());
    }

    fn send(&self, to: &Peer, class: Class, text: &[u8]) -> Result<(), NotSent> {
        let message = message(text);
        self.peers.try_send(to.id, &mut Outgoing::new(9, class, &message))
    }

    fn heard(&self) -> Vec<Heard> {
        self.recorder.heard.lock().clone()
    }

    /// What came from a node by connections of a class.
    fn messages(&self, from: &Peer, class: Class) -> Vec<Bytes> {
        let of_it = |heard| match heard {
            Heard::Message(host, of, 9, bytes) if (host, of) == (from.id, class) => Some(bytes),
            _ => None,
        };
        self.heard().into_iter().filter_map(of_it).collect()
    }

    fn figures(&self, of: &Peer, class: Class) -> Arc<LinkFigures> {
        self.link(of, class).expect("known").figures
    }

    fn link(&self, to: &Peer, class: Class) -> Option<Link> {
        let mut links = self.peers.links().into_iter();
        links.find(|link| (link.host, link.class) == (to.id, class))
    }

    fn is_connected(&self, to: &Peer) -> bool {
        let version = |class| self.link(to, class).and_then(|link| link.version);
        Class::ALL.into_iter().all(|class| version(class).is_some())
    }
}

fn message(text: &[u8]) -> Message {
    Message::Peer { kind: 1, bytes: Bytes::copy_from_slice(text) }
}

/// Two nodes, one of which connects to the other.
async fn connected(one: &Peer, two: &Peer) {
    one.connect(two);
    eventually("they are connected", || one.is_connected(two) && two.is_connected(one)).await;
}

/// Waits until it is so.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
