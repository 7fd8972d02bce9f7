//! A serving node: listeners, node and tasks, from start to graceful stop.
//!
//! [`Server::open`] is synchronous: it takes the ports first, then opens the node, so that what is in the way is told at
//! once. [`Server::run`] serves until it is told to stop, then lets requests end and writes what is in memory to disk.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tholos_storage::StorageError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin, AdminFile};
use crate::config::{Config, cores};
use crate::connection::listener;
use crate::metrics::Exporter;
use crate::node::{Node, NodeError, NodeOptions};
use crate::work::operations::Operations;
use crate::work::pool::Pool;

/// How long clients may take to read their last answers when the node stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How often automatic snapshots are looked through.
const EXPIRE_SNAPSHOTS: Duration = Duration::from_secs(3600);

/// Requests that wait for the disk at a time: more would only wait in its queue.
const MOST_OF_DISK: usize = 64;

/// Long requests that run at a time: some for each core, so that a few that take until their deadline don't hold up the
/// others, which take less; but threads are left to those that wait for the disk.
const LONG_PER_CORE: usize = 4;
const MOST_LONG: usize = 32;

/// How to start.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Settings.
    pub config: Config,
    /// Keep all data in memory: it goes when the process ends.
    pub in_memory: bool,
    /// Move damaged segments of the commit log away and go on, instead of refusing to start.
    pub set_aside_damaged: bool,
    /// Make parts of the data directory that were lost anew, empty, instead of refusing to start.
    pub recreate_missing: bool,
}

/// Why a server did not start or stop as it should.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is taken.
    #[error(
        "{what} {address} is in use by another process: stop that one, or choose another port with {flag}"
    )]
    InUse {
        /// Which of the addresses.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
    },
    /// An address can't be listened on.
    #[error("{what} {address} can't be listened on: {source}")]
    Listen {
        /// Which of the addresses.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Other nodes are named.
    #[error(
        "cluster.seeds names other nodes, and this release can't connect to them yet: nothing was started; leave it empty for a node of its own"
    )]
    Seeds,
    /// The node did not open.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What was in memory could not be written; it is in the commit log.
    #[error("the node stopped, but what was in memory could not be written out: {0}")]
    Close(StorageError),
    /// The file that tells the program's commands how to talk to the node could not be written.
    #[error("the file {name} can't be written into the data directory: {0}", name = AdminFile::NAME)]
    AdminFile(io::Error),
    /// The runtime failed.
    #[error("{0}")]
    Runtime(io::Error),
}

/// A node with its ports, not serving yet.
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    native: StdListener,
    admin: Option<StdListener>,
    native_address: SocketAddr,
    admin_address: Option<SocketAddr>,
    /// Tells the program's commands how to talk to this node.
    admin_file: Option<AdminFile>,
    opened_in: Duration,
}

impl Server {
    /// Takes the ports and opens the node.
    ///
    /// # Errors
    /// A port is taken, the data directory can't be used.
    pub fn open(options: ServerOptions) -> Result<Server, ServeError> {
        let started = Instant::now();
        let ServerOptions { config, in_memory, set_aside_damaged, recreate_missing } = options;
        if config.peer_address().is_some() {
            return Err(ServeError::Seeds);
        }
        let native = listen("the address for drivers", config.listen_address(), "--port")?;
        let admin = if config.admin.enabled {
            Some(listen("the admin address", config.admin_address(), "--admin-port")?)
        } else {
            None
        };
        let local = |listener: &StdListener| listener.local_addr().map_err(ServeError::Runtime);
        let native_address = local(&native)?;
        let admin_address = admin.as_ref().map(local).transpose()?;
        let told = SocketAddr::new(config.broadcast_address(), native_address.port());
        let mut node = if in_memory {
            NodeOptions::in_memory(config, told)
        } else {
            NodeOptions::real(config, told)
        };
        node.set_aside_damaged = set_aside_damaged;
        node.recreate_missing = recreate_missing;
        let node = Arc::new(Node::open(node)?);
        let admin_file = match admin_address {
            Some(address) if !in_memory => {
                let file =
                    AdminFile { address, token: random_token(&node), native: native_address };
                file.write(&node.config().data_dir).map_err(ServeError::AdminFile)?;
                Some(file)
            }
            _ => None,
        };
        let opened_in = started.elapsed();
        Ok(Server { node, native, admin, native_address, admin_address, admin_file, opened_in })
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where drivers connect.
    pub fn native_address(&self) -> SocketAddr {
        self.native_address
    }

    /// Where HTTP is served, if it is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// How long opening took.
    pub fn opened_in(&self) -> Duration {
        self.opened_in
    }

    /// Serves until `stop`; then takes no more connections, lets requests end, and writes what is in memory to disk.
    ///
    /// # Errors
    /// A listener failed; what was in memory could not be written (it is in the commit log then).
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let native = into_tokio(self.native).map_err(ServeError::Runtime)?;
        let http = match self.admin {
            Some(listener) => {
                let listener = into_tokio(listener).map_err(ServeError::Runtime)?;
                let token = self.admin_file.as_ref().map(|file| file.token.clone());
                let token = token.unwrap_or_else(|| random_token(&self.node));
                Some(tokio::spawn(admin::serve(listener, Arc::new(admin_of(&self.node, token)))))
            }
            None => None,
        };
        let operations = Arc::new(Operations::new(Arc::clone(&self.node), pool()));
        let driving = tokio::spawn(drive(Arc::clone(&operations)));
        let node = Arc::clone(&self.node);
        let accepting = tokio::spawn(listener::accept(native, node, operations, stop.clone()));
        let expiring = tokio::spawn(expire_snapshots(Arc::clone(&self.node)));
        stop.cancelled().await;
        expiring.abort();
        self.node.begin_stop();
        if tokio::time::timeout(DRAIN, accepting).await.is_err() {
            tracing::warn!("clients did not read their last answers in time: they are cut off");
        }
        driving.abort();
        let node = Arc::clone(&self.node);
        let closed = tokio::task::spawn_blocking(move || node.close()).await;
        if let Some(http) = http {
            http.abort();
        }
        if self.admin_file.is_some() {
            AdminFile::remove(&self.node.config().data_dir);
        }
        match closed {
            Ok(closed) => closed.map_err(ServeError::Close),
            Err(error) => Err(ServeError::Runtime(io::Error::other(error))),
        }
    }
}

fn admin_of(node: &Arc<Node>, token: String) -> Admin {
    let exporter = Exporter::new(Arc::clone(node.metrics()), Arc::clone(node) as _);
    let stopping = Arc::clone(node);
    let not_ready = Box::new(move || match stopping.is_stopping() {
        true => Some("stopping".to_string()),
        false => stopping.engine().trouble().map(|trouble| format!("storage: {trouble}")),
    });
    Admin { exporter, not_ready, node: Arc::clone(node), token }
}

/// The pool of a node that is served: its jobs run on the runtime's threads for blocking work.
fn pool() -> Arc<Pool> {
    let most_long = (cores() * LONG_PER_CORE).min(MOST_LONG);
    let spawn = |job| drop(tokio::task::spawn_blocking(job));
    Arc::new(Pool::new(MOST_OF_DISK, most_long, Box::new(spawn)))
}

/// Takes the node's turns of what is under way with other nodes, whenever there is something to be done.
async fn drive(operations: Arc<Operations>) {
    let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
    std::future::poll_fn(|cx| {
        while let Some(due) = operations.turn(cx) {
            timer.as_mut().reset(due.into());
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Looks for automatic snapshots that are too old, at the start and now and then.
async fn expire_snapshots(node: Arc<Node>) {
    let mut turns = tokio::time::interval(EXPIRE_SNAPSHOTS);
    loop {
        turns.tick().await;
        let node = Arc::clone(&node);
        if tokio::task::spawn_blocking(move || node.expire_snapshots()).await.is_err() {
            return;
        }
    }
}

/// 128 bits that nobody guesses.
fn random_token(node: &Node) -> String {
    let random = node.random();
    format!("{:016x}{:016x}", random.bits(), random.bits())
}

fn listen(
    what: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<StdListener, ServeError> {
    StdListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { what, address, flag },
        _ => ServeError::Listen { what, address, source },
    })
}

fn into_tokio(listener: StdListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
