//! One connection: its reader, its writer, and signs of life.
//!
//! Each side says something at least once in a while, if only that it is alive. So a connection that brings nothing for
//! several such times is over, whatever the system thinks of it: the other side is gone, stopped or cut off. Turns are
//! counted, not time: a node that was stopped itself blames nobody for it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tholos_cluster::message::Class;
use tholos_cluster::message::frame::{self, Decoded, Frame};
use tholos_cluster::message::hello::PeerIdentity;
use tholos_cluster::message::preference::Origin;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::figures::LinkFigures;
use super::outbox::Outbox;

/// What connections are made of.
pub(super) type Stream = TcpStream;

/// Frames that leave together are copied into one buffer of at most so many bytes; longer ones are written as they are.
const MOST_WRITE: usize = 256 << 10;

/// What is read at once, at least.
const LEAST_READ: usize = 64 << 10;

/// A buffer that grew beyond this is given back when it is empty.
const KEPT_BUFFER: usize = 1 << 20;

/// A connection that both sides agreed on.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerIdentity,
    pub(super) class: Class,
    pub(super) version: u16,
    pub(super) origin: Origin,
    pub(super) outbox: Outbox,
    pub(super) figures: Arc<LinkFigures>,
    /// It is to end.
    ending: CancellationToken,
    reason: Mutex<Option<&'static str>>,
    /// It is not in the table any more.
    pub(super) ended: CancellationToken,
    heard: AtomicU64,
    said: AtomicU64,
}

impl Connection {
    pub(super) fn new(
        (peer, class, version): (PeerIdentity, Class, u16),
        origin: Origin,
        outbox: Outbox,
        figures: Arc<LinkFigures>,
    ) -> Connection {
        Connection {
            peer,
            class,
            version,
            origin,
            outbox,
            figures,
            ending: CancellationToken::new(),
            reason: Mutex::default(),
            ended: CancellationToken::new(),
            heard: AtomicU64::new(0),
            said: AtomicU64::new(0),
        }
    }

    /// Ends it soon.
    pub(super) fn end(&self, reason: &'static str) {
        self.reason.lock().get_or_insert(reason);
        self.ending.cancel();
    }

    /// Whether anything came by it.
    pub(super) fn was_of_use(&self) -> bool {
        self.heard.load(Relaxed) > 0
    }

    async fn told_to_end(&self) -> String {
        self.ending.cancelled().await;
        self.reason.lock().unwrap_or("it is not needed any more").to_string()
    }
}

/// Serves a connection that is in the table until it is over, and takes it out. `received` came behind the greeting.
pub(super) async fn run(
    shared: &Arc<Shared>,
    stream: Stream,
    received: BytesMut,
    connection: Arc<Connection>,
) {
    let (reading, writing) = stream.into_split();
    let (finish, written) = (shared.finish.clone(), Arc::clone(&connection));
    let mut writer = tokio::spawn(async move { write(writing, &written, &finish).await });
    let reason = tokio::select! {
        reason = read(shared, reading, received, &connection) => reason,
        reason = watch(shared, &connection) => reason,
        reason = &mut writer => reason.unwrap_or_else(|error| error.to_string()),
        reason = connection.told_to_end() => reason,
        () = shared.stop.cancelled() => "this node stops".to_string(),
    };
    writer.abort();
    // Aborted or over: nothing is written after this.
    let _ = writer.await;
    over(shared, &connection, &reason);
}

/// Takes a connection out of the table.
pub(super) fn over(shared: &Shared, connection: &Arc<Connection>, reason: &str) {
    connection.outbox.close();
    shared.table.remove(connection, &*shared.handler);
    let (peer, class) = (&connection.peer, connection.class);
    tracing::debug!(node = %peer.host_id, address = %peer.address, %class, "connection over: {reason}");
}

/// Passes on what comes, until nothing more can. Returns why.
async fn read(
    shared: &Shared,
    mut socket: OwnedReadHalf,
    mut buffer: BytesMut,
    connection: &Connection,
) -> String {
    loop {
        let needed = match pass_on(shared, &mut buffer, connection) {
            Ok(needed) => needed,
            Err(error) => {
                let (peer, class) = (&connection.peer, connection.class);
                tracing::warn!(node = %peer.host_id, address = %peer.address, %class, "{error}: the connection is closed");
                return error;
            }
        };
        // A frame's length is believed, and yet room is made as it comes.
        let room = needed.saturating_sub(buffer.len()).min(buffer.len()).max(LEAST_READ);
        buffer.reserve(room);
        match socket.read_buf(&mut buffer).await {
            Ok(0) => return "the other node closed it".to_string(),
            Ok(bytes) => {
                connection.heard.fetch_add(1, Relaxed);
                connection.figures.bytes_received.fetch_add(bytes as u64, Relaxed);
            }
            Err(error) => return error.to_string(),
        }
    }
}

/// Passes on all whole frames. Returns how many bytes the next one needs at least.
fn pass_on(
    shared: &Shared,
    buffer: &mut BytesMut,
    connection: &Connection,
) -> Result<usize, String> {
    let mut at = 0;
    let needed = loop {
        let rest = buffer.get(at..).unwrap_or_default();
        let (Frame { epoch, message }, len) =
            match frame::decode(rest).map_err(|error| error.to_string())? {
                Decoded::Whole(frame, len) => (frame, len),
                Decoded::Needs(needed) => break needed,
            };
        if let Some(bytes) = message {
            let message = (shared.wire.decode)(connection.version, &bytes);
            let message = message.map_err(|error| error.to_string())?;
            connection.figures.messages_received.fetch_add(1, Relaxed);
            shared.handler.message(connection.peer.host_id, connection.class, epoch, message);
        }
        at += len;
    };
    buffer.advance(at);
    if buffer.is_empty() && buffer.capacity() > KEPT_BUFFER {
        *buffer = BytesMut::new();
    }
    Ok(needed)
}

/// Writes what is in the outbox, all that waits at once. Returns why it ended.
async fn write(
    mut socket: impl AsyncWrite + Unpin,
    connection: &Connection,
    finish: &CancellationToken,
) -> String {
    let (mut frames, mut buffer) = (Vec::new(), Vec::new());
    loop {
        let is_last = tokio::select! {
            biased;
            () = connection.outbox.take(&mut frames) => false,
            () = finish.cancelled() => !connection.outbox.take_now(&mut frames),
        };
        if is_last {
            // Whoever reads learns that it is over from the end of the stream.
            let _ = socket.shutdown().await;
            return "this node stops".to_string();
        }
        if let Err(error) = write_frames(&mut socket, connection, &mut frames, &mut buffer).await {
            return error.to_string();
        }
    }
}

async fn write_frames(
    socket: &mut (impl AsyncWrite + Unpin),
    connection: &Connection,
    frames: &mut Vec<Bytes>,
    buffer: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut gathered = 0;
    for frame in frames.drain(..) {
        if gathered > 0 && buffer.len() + frame.len() > MOST_WRITE {
            write_bytes(socket, connection, gathered, buffer).await?;
            buffer.clear();
            gathered = 0;
        }
        if frame.len() > MOST_WRITE / 2 && gathered == 0 {
            write_bytes(socket, connection, 1, &frame).await?;
        } else {
            buffer.extend_from_slice(&frame);
            gathered += 1;
        }
    }
    if gathered > 0 {
        write_bytes(socket, connection, gathered, buffer).await?;
        buffer.clear();
    }
    Ok(())
}

async fn write_bytes(
    socket: &mut (impl AsyncWrite + Unpin),
    connection: &Connection,
    messages: usize,
    bytes: &[u8],
) -> std::io::Result<()> {
    socket.write_all(bytes).await?;
    connection.said.fetch_add(1, Relaxed);
    connection.outbox.written(messages, bytes.len());
    connection.figures.count_sent(messages, bytes.len());
    Ok(())
}

/// Gives signs of life, and waits until there was none for too long. Returns that.
async fn watch(shared: &Shared, connection: &Connection) -> String {
    let times = &shared.times;
    let mut turns = interval(times.sign_of_life);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut said, mut silent) = (0, 0, 0);
    loop {
        turns.tick().await;
        let heard_before = std::mem::replace(&mut heard, connection.heard.load(Relaxed));
        silent = if heard == heard_before { silent + 1 } else { 0 };
        if silent > times.silent_turns {
            let silence = times.sign_of_life * times.silent_turns;
            let (peer, class) = (&connection.peer, connection.class);
            tracing::warn!(node = %peer.host_id, address = %peer.address, %class, "silent for {silence:?}: the connection is closed");
            return format!("silent for {silence:?}");
        }
        let said_before = std::mem::replace(&mut said, connection.said.load(Relaxed));
        if said == said_before {
            connection.outbox.push_if_empty(|| frame::alive(shared.handler.epoch()));
        }
    }
}
