//! Where a maintenance command is carried out: by the node that uses the data directory, or, when none does, here.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;
use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::fs::real::RealFs;

use crate::admin::{AdminFile, TOKEN_HEADER};
use crate::config::Config;
use crate::error::QueryError;
use crate::identity;
use crate::node::{Node, NodeError, NodeOptions};

/// How long a node may take to accept a connection. Its answer may take as long as the work does.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// There is no data to work on.
    #[error("there is no data directory {}: name one with --data", .0.display())]
    Missing(PathBuf),
    /// The node does not say how to talk to it.
    #[error(
        "a node uses {} but can't be asked: it was started without its admin port (see [admin] in the configuration), or \
         belongs to another user. Start it with the port, or stop it",
        .0.display()
    )]
    NoAdminPort(PathBuf),
    /// The node can't be reached.
    #[error("the node at {0} can't be reached: {1}")]
    Unreachable(SocketAddr, std::io::Error),
    /// The node refused.
    #[error("{0}")]
    Refused(String),
    /// What the directory holds can't be opened.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It could not be done.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Who does the work.
pub(super) enum Target {
    /// The node that uses the directory.
    Running(AdminClient),
    /// A node opened for this command only.
    Here(Box<Node>),
}

impl Target {
    /// The target for a data directory; `create` if it need not exist.
    pub(super) fn open(data: &Path, create: bool) -> Result<Target, TargetError> {
        if !data.is_dir() {
            if !create {
                return Err(TargetError::Missing(data.to_path_buf()));
            }
            RealFs.create_dir_all(data).map_err(|error| StorageError::io("create", data, error))?;
        }
        if is_in_use(data)? {
            return AdminClient::find(data).map(Target::Running);
        }
        let mut config = Config { data_dir: data.to_path_buf(), ..Config::default() };
        if let Some(record) = identity::read(&RealFs, data)? {
            config.cluster_name = record.identity.cluster_name;
        }
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Target::Here(Box::new(Node::open(NodeOptions::real(config, nowhere))?)))
    }

    /// Ends what was opened for this command.
    pub(super) fn close(self) -> Result<(), TargetError> {
        match self {
            Target::Running(_) => Ok(()),
            Target::Here(node) => Ok(node.close()?),
        }
    }
}

/// Whether a node uses the directory.
pub(super) fn is_in_use(data: &Path) -> Result<bool, StorageError> {
    match RealFs.lock_dir(data) {
        Ok(_unlocked_at_once) => Ok(false),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(StorageError::io("lock", data, error)),
    }
}

/// Where the node that uses a data directory listens for drivers, if there is one that says so.
pub(crate) fn native_address(data: &Path) -> Option<SocketAddr> {
    let file = AdminFile::read(data).ok()?;
    is_in_use(data).ok()?.then(|| reachable(file.native))
}

/// An address to connect to on this machine, for one that is listened on.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Talks to a node's admin port.
pub(super) struct AdminClient {
    address: SocketAddr,
    token: String,
}

impl AdminClient {
    /// The client for the node that uses a data directory.
    pub(super) fn find(data: &Path) -> Result<AdminClient, TargetError> {
        let file =
            AdminFile::read(data).map_err(|_| TargetError::NoAdminPort(data.to_path_buf()))?;
        Ok(AdminClient { address: reachable(file.address), token: file.token })
    }

    /// Sends a request and gives back what the node answers.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Json, TargetError> {
        let unreachable = |error| TargetError::Unreachable(self.address, error);
        let (status, body) = self.exchange(method, path, body).map_err(unreachable)?;
        let json: Json = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(json);
        }
        let error = json["error"].as_str().map(str::to_string);
        Err(TargetError::Refused(error.unwrap_or_else(|| format!("the node answers {status}"))))
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let body = serde_json::to_string(body)?;
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        let (address, token, len) = (self.address, &self.token, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{TOKEN_HEADER}: {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        split_answer(&answer).ok_or_else(|| ErrorKind::InvalidData.into())
    }
}

/// Status and body of an HTTP answer that ends with its connection and is of known length.
fn split_answer(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(end + 4)?;
    let status = std::str::from_utf8(head).ok()?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(split_answer(answer), Some((409, b"{}".to_vec())));
        assert_eq!(split_answer(b"HTTP/1.1 409"), None);
    }
}
