//! Connections that other nodes open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tholos_cluster::message::hello::RefusedReason;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Shared;
use super::greet::{self, GreetError};
use super::link::{self, Stream};

/// Connections that have not greeted yet.
const MOST_STRANGERS: usize = 128;

/// How long to wait before accepting again when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the node stops.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let strangers = Arc::new(Semaphore::new(MOST_STRANGERS));
    loop {
        let accepted = tokio::select! {
            () = shared.finish.cancelled() => return,
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection of another node could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        shared.accepted.accepted.fetch_add(1, Relaxed);
        let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() else {
            shared.accepted.too_many.fetch_add(1, Relaxed);
            continue;
        };
        let serving = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            let shared = serving;
            if let Some((stream, agreed)) = greet(&shared, stream, from).await {
                drop(permit);
                let (received, connection) = agreed;
                link::run(&shared, stream, received, connection).await;
            }
        });
    }
}

/// Answers the greeting. What goes wrong is counted, and told once.
async fn greet(
    shared: &Shared,
    mut stream: Stream,
    from: SocketAddr,
) -> Option<(Stream, greet::Agreed)> {
    let answered = async {
        stream.set_nodelay(true)?;
        greet::answer(shared, &mut stream).await
    };
    let answered = tokio::select! {
        () = shared.finish.cancelled() => return None,
        () = shared.stop.cancelled() => return None,
        answered = timeout(shared.times.greeting, answered) => {
            answered.unwrap_or(Err(GreetError::TooSlow))
        }
    };
    let error = match answered {
        Ok(agreed) => return Some((stream, agreed)),
        Err(error) => error,
    };
    let figures = &shared.accepted;
    match error.reason() {
        Some(RefusedReason::Connected | RefusedReason::Myself) => return None,
        Some(_) => figures.refused.fetch_add(1, Relaxed),
        None => figures.no_greeting.fetch_add(1, Relaxed),
    };
    // Whoever is refused tries again and again: what is told already is not told each time.
    let sentence = error.to_string();
    let mut last = shared.last_refusal.lock();
    if last.as_ref() == Some(&sentence) {
        tracing::debug!(%from, "a connection is refused: {sentence}");
    } else {
        tracing::warn!(%from, "a connection is refused: {sentence}");
        *last = Some(sentence);
    }
    None
}
