//! Accepting connections, and letting them end when the node stops.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Connection;
use crate::node::Node;
use crate::work::operations::Operations;

/// How long to wait before accepting again when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop`; then waits until all of them have answered what they were asked.
pub async fn accept(
    listener: TcpListener,
    node: Arc<Node>,
    operations: Arc<Operations>,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(guard) = admit(&node) {
                    let stop = stop.clone();
                    let (node, operations) = (Arc::clone(&node), Arc::clone(&operations));
                    connections.spawn(async move {
                        let _guard = guard;
                        if let Err(error) = prepare(&stream) {
                            tracing::debug!(%peer, %error, "connection lost");
                            return;
                        }
                        Connection::new(node, operations, stream, peer, &stop).run().await;
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Answers are small and written once per turn: waiting for more would only delay them.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}

/// Counts a connection for as long as it lives.
struct Admitted(Arc<Node>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.metrics().connections.fetch_sub(1, Relaxed);
    }
}

/// `None` when there are as many connections as may be: the new one is closed at once.
fn admit(node: &Arc<Node>) -> Option<Admitted> {
    let metrics = node.metrics();
    let limit = node.config().limits.max_connections;
    let before = metrics.connections.fetch_add(1, Relaxed);
    let admitted = Admitted(Arc::clone(node));
    if usize::try_from(before).is_ok_and(|open| open >= limit) {
        let refused = metrics.connections_refused.fetch_add(1, Relaxed);
        // Each refusal is counted; a line for every one would help whoever sends a flood of them.
        if refused.is_power_of_two() || refused == 0 {
            tracing::warn!(limit, "too many connections: refusing more (limits.max_connections)");
        }
        return None;
    }
    metrics.connections_accepted.fetch_add(1, Relaxed);
    Some(admitted)
}
