//! The first messages of a connection.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tholos_cluster::message::Class;
use tholos_cluster::message::hello::{
    Greeting, HelloError, MOST_BODY, PeerIdentity, Refused, RefusedReason, agree,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use super::Shared;
use super::link::{self, Connection, Stream};

/// Why a connection did not come to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum GreetError {
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side went away before it had greeted.
    #[error("the other side closed the connection instead of a greeting")]
    Closed,
    /// It took too long.
    #[error("no greeting came in time")]
    TooSlow,
    /// What came is no greeting.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// A greeting that has no place here.
    #[error("a greeting came out of order")]
    OutOfOrder,
    /// Refused, by one of the two.
    #[error("{refused}")]
    Refused {
        /// Who is at the other end.
        host: Uuid,
        /// Why.
        refused: Refused,
    },
}

/// What both agreed on, ready to be served, with what came behind the greeting.
pub(super) type Agreed = (BytesMut, Arc<Connection>);

/// Greets on a connection that this node opened.
pub(super) async fn open(
    shared: &Shared,
    stream: &mut Stream,
    class: Class,
) -> Result<Agreed, GreetError> {
    let own = shared.identity.lock().clone();
    send(stream, &Greeting::Hello { class, node: own.clone() }).await?;
    let mut received = BytesMut::new();
    match receive(stream, &mut received).await? {
        Greeting::Welcome { version, node } => {
            let host = node.host_id;
            let refuse = |refused| GreetError::Refused { host, refused };
            if agree(&own, &node).map_err(refuse)? != version {
                return Err(GreetError::OutOfOrder);
            }
            // Nothing is awaited from here on: what is in the table is served.
            let connection =
                install(shared, (node, class, version), own.host_id).map_err(refuse)?;
            Ok((received, connection))
        }
        Greeting::Refused { host_id, refused } => {
            Err(GreetError::Refused { host: host_id, refused })
        }
        Greeting::Hello { .. } => Err(GreetError::OutOfOrder),
    }
}

/// Answers on a connection that another node opened.
pub(super) async fn answer(shared: &Shared, stream: &mut Stream) -> Result<Agreed, GreetError> {
    let mut received = BytesMut::new();
    let Greeting::Hello { class, node } = receive(stream, &mut received).await? else {
        return Err(GreetError::OutOfOrder);
    };
    let (own, host) = (shared.identity.lock().clone(), node.host_id);
    let agreed = agree(&own, &node)
        .and_then(|version| Ok((install(shared, (node, class, version), host)?, version)));
    match agreed {
        Ok((connection, version)) => {
            let unserved = Unserved(shared, Some(connection));
            send(stream, &Greeting::Welcome { version, node: own }).await?;
            Ok((received, unserved.take()))
        }
        Err(refused) => {
            let (host_id, told) = (own.host_id, refused.clone());
            send(stream, &Greeting::Refused { host_id, refused: told }).await?;
            // Until the other side read it: closing at once could take it back.
            stream.shutdown().await?;
            let _ = stream.read_buf(&mut received).await;
            Err(GreetError::Refused { host, refused })
        }
    }
}

/// A connection that is in the table, and that nobody serves yet: if it comes to nothing, it is taken out again.
struct Unserved<'a>(&'a Shared, Option<Arc<Connection>>);

impl Unserved<'_> {
    fn take(mut self) -> Arc<Connection> {
        self.1.take().expect("it is taken once")
    }
}

impl Drop for Unserved<'_> {
    fn drop(&mut self) {
        if let Some(connection) = &self.1 {
            link::over(self.0, connection, "it was lost at its beginning");
        }
    }
}

fn install(
    shared: &Shared,
    agreed: (PeerIdentity, Class, u16),
    opened_by: Uuid,
) -> Result<Arc<Connection>, Refused> {
    let bounds = shared.bounds[agreed.1 as usize];
    shared.table.install(agreed, opened_by, bounds, &*shared.handler)
}

async fn send(stream: &mut Stream, greeting: &Greeting) -> io::Result<()> {
    stream.write_all(&greeting.encode()).await
}

/// Reads a greeting; what comes behind it is left in `received`.
async fn receive(stream: &mut Stream, received: &mut BytesMut) -> Result<Greeting, GreetError> {
    received.reserve(MOST_BODY);
    loop {
        if let Some((greeting, len)) = Greeting::decode(received)? {
            let _ = received.split_to(len);
            return Ok(greeting);
        }
        if stream.read_buf(received).await? == 0 {
            return Err(GreetError::Closed);
        }
    }
}

impl GreetError {
    /// Why it was refused, if it was.
    pub(super) fn reason(&self) -> Option<RefusedReason> {
        match self {
            GreetError::Refused { refused, .. } => Some(refused.reason),
            _ => None,
        }
    }
}
