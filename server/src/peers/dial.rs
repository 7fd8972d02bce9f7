//! Connections that this node opens, and opens again when they are lost.
//!
//! Where there is a connection to the node, whoever opened it, none is opened. Pauses between attempts double, up to a
//! limit, and are random within half of that.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tholos_cluster::message::Class;
use tholos_cluster::message::hello::RefusedReason;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::greet::{self, GreetError};
use super::link::{self, Stream};
use super::{PeerTimes, Shared};

/// An address that connections are kept to.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialed {
    pub(super) stop: CancellationToken,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Dialed {
    /// What was wrong the last time, if there is no connection since.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Tells once what is wrong, until something else is.
    fn set_trouble(&self, address: &str, sentence: String) {
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&sentence) {
            tracing::warn!(address, "no connection to another node: {sentence}; trying on");
            *trouble = Some(sentence);
        }
    }
}

/// Keeps connections of all classes to an address.
pub(super) fn connect(shared: &Arc<Shared>, address: &str) {
    let mut all = shared.dialed.lock();
    if all.contains_key(address) {
        return;
    }
    let dialed = Dialed::default();
    all.insert(address.to_string(), dialed.clone());
    for class in Class::ALL {
        let (shared, dialed, address) = (Arc::clone(shared), dialed.clone(), address.to_string());
        let tasks = shared.tasks.clone();
        tasks.spawn(async move { keep(&shared, &address, class, &dialed).await });
    }
}

/// Keeps one connection, until the address is forgotten or the node stops.
async fn keep(shared: &Arc<Shared>, address: &str, class: Class, dialed: &Dialed) {
    let mut pause = Pause::new(&shared.times);
    let mut host = None;
    loop {
        let attempted = tokio::select! {
            () = dialed.stop.cancelled() => return,
            () = shared.finish.cancelled() => return,
            () = shared.stop.cancelled() => return,
            attempted = attempt(shared, address, class, host) => attempted,
        };
        match attempted {
            Ok((stream, (received, connection))) => {
                *dialed.trouble.lock() = None;
                host = Some(connection.peer.host_id);
                link::run(shared, stream, received, Arc::clone(&connection)).await;
                if connection.was_of_use() {
                    pause = Pause::new(&shared.times);
                }
            }
            Err(GreetError::Refused { host: other, refused }) => match refused.reason {
                RefusedReason::Myself => {
                    shared.dialed.lock().remove(address);
                    return;
                }
                RefusedReason::Connected => host = Some(other),
                _ => dialed.set_trouble(address, refused.sentence),
            },
            Err(error) => dialed.set_trouble(address, error.to_string()),
        }
        tokio::select! {
            () = dialed.stop.cancelled() => return,
            () = shared.finish.cancelled() => return,
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(pause.next((shared.bits)())) => {}
        }
    }
}

/// Opens a connection once there is none to that node.
async fn attempt(
    shared: &Shared,
    address: &str,
    class: Class,
    host: Option<Uuid>,
) -> Result<(Stream, greet::Agreed), GreetError> {
    while let Some(current) = host.and_then(|host: Uuid| shared.table.current(host, class)) {
        current.ended.cancelled().await;
    }
    let opened = timeout(shared.times.greeting, TcpStream::connect(address)).await;
    let mut stream = opened.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let greeted = timeout(shared.times.greeting, greet::open(shared, &mut stream, class)).await;
    let agreed = greeted.unwrap_or(Err(GreetError::TooSlow))?;
    Ok((stream, agreed))
}

/// How long to wait before the next attempt.
struct Pause {
    next: Duration,
    greatest: Duration,
}

impl Pause {
    fn new(times: &PeerTimes) -> Pause {
        Pause { next: times.least_pause, greatest: times.greatest_pause }
    }

    /// From half of it to all of it.
    fn next(&mut self, bits: u64) -> Duration {
        let half = self.next / 2;
        self.next = (self.next * 2).min(self.greatest);
        let part = (bits >> 32) as u32;
        half + half.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_greatest_and_differ() {
        let times = PeerTimes::default();
        let shortest = |bits| {
            let mut pause = Pause::new(&times);
            (0..8).map(|_| pause.next(bits)).collect::<Vec<_>>()
        };
        let (least, most) = (shortest(0), shortest(u64::MAX));
        for (place, (least, most)) in least.into_iter().zip(most).enumerate() {
            let whole = (times.least_pause * 2_u32.pow(place as u32)).min(times.greatest_pause);
            assert_eq!((least, most), (whole / 2, whole / 2 * 2));
        }
    }
}
