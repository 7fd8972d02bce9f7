//! Snapshots, restores and verification of a running node, over HTTP.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tholos_storage::StorageError;
use tholos_storage::manifest::FileNumber;
use tholos_storage::schema::TableId;
use tholos_storage::snapshot::Snapshot;

use super::Admin;
use crate::error::QueryError;
use crate::node::{Node, Restored, Which};

/// The header that carries the token.
pub const TOKEN_HEADER: &str = "x-tholos-token";

/// How to talk to the node that uses a data directory: a file in it that only the node's user can read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdminFile {
    /// Where its admin port is.
    pub address: SocketAddr,
    /// What requests must carry.
    pub token: String,
    /// Where drivers connect.
    pub native: SocketAddr,
}

impl AdminFile {
    /// The file's name.
    pub const NAME: &str = "admin.json";

    /// Writes it into a data directory.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        AdminFile::remove(data_dir);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(data_dir.join(AdminFile::NAME))?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// Reads it.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn read(data_dir: &Path) -> io::Result<AdminFile> {
        Ok(serde_json::from_slice(&std::fs::read(data_dir.join(AdminFile::NAME))?)?)
    }

    /// Removes it, if it is there.
    pub fn remove(data_dir: &Path) {
        match std::fs::remove_file(data_dir.join(AdminFile::NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the file {} can't be removed", AdminFile::NAME);
            }
            _ => {}
        }
    }
}

/// Asks for a snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// Its name; the time if there is none.
    pub name: Option<String>,
    /// Only tables of this keyspace.
    pub keyspace: Option<String>,
    /// Only tables of this name.
    pub table: Option<String>,
}

/// Asks for a restore.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// The snapshot's directory.
    pub dir: PathBuf,
    /// Only tables of this keyspace.
    pub keyspace: Option<String>,
    /// Only tables of this name.
    pub table: Option<String>,
}

/// Asks for files to be looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// The files.
    pub files: Vec<VerifyFile>,
}

/// A file of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VerifyFile {
    /// The table.
    pub table: TableId,
    /// The file's number.
    pub number: FileNumber,
}

pub(super) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/snapshots", get(list).post(create))
        .route("/snapshots/{name}", delete(remove))
        .route("/restore", post(restore))
        .route("/verify", post(verify))
}

async fn list(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    run(&admin, &headers, |node| snapshots(&node)).await
}

async fn create(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    run(&admin, &headers, move |node| {
        let request: SnapshotRequest = parse(&body)?;
        let which =
            Which { keyspace: request.keyspace.as_deref(), table: request.table.as_deref() };
        Ok(snapshot_json(&node.create_snapshot(request.name.as_deref(), which)?))
    })
    .await
}

async fn remove(
    State(admin): State<Arc<Admin>>,
    UrlPath(name): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    run(&admin, &headers, move |node| {
        node.engine().delete_snapshot(&name).map_err(QueryError::Storage)?;
        Ok(Json::Null)
    })
    .await
}

async fn restore(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    run(&admin, &headers, move |node| {
        let RestoreRequest { dir, keyspace, table } = parse(&body)?;
        let which = Which { keyspace: keyspace.as_deref(), table: table.as_deref() };
        Ok(restored_json(&node.restore(&dir, which)?))
    })
    .await
}

async fn verify(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    run(&admin, &headers, move |node| {
        let request: VerifyRequest = parse(&body)?;
        let mut damaged = 0;
        for VerifyFile { table, number } in request.files {
            match node.engine().verify_file(table, number) {
                Ok(found) => damaged += found.map_or(0, |found| found.len()),
                Err(StorageError::UnknownTable(_)) => {}
                Err(error) => return Err(QueryError::Storage(error)),
            }
        }
        Ok(json!({ "damaged": damaged }))
    })
    .await
}

/// The snapshots of a node.
pub(crate) fn snapshots(node: &Node) -> Result<Json, QueryError> {
    let snapshots = node.engine().snapshots().map_err(QueryError::Storage)?.into_iter();
    Ok(snapshots
        .map(|(name, snapshot)| match snapshot {
            Ok(snapshot) => snapshot_json(&snapshot),
            Err(error) => json!({ "name": name, "error": error.to_string() }),
        })
        .collect())
}

pub(crate) fn snapshot_json(snapshot: &Snapshot) -> Json {
    let tables = snapshot.tables.iter();
    let tables: Vec<String> =
        tables.map(|table| format!("{}.{}", table.keyspace, table.name)).collect();
    json!({
        "name": snapshot.name, "created_at": snapshot.created_at, "tables": tables,
        "files": snapshot.tables.iter().map(|table| table.files).sum::<u64>(),
        "bytes": snapshot.bytes(),
    })
}

pub(crate) fn restored_json(restored: &[Restored]) -> Json {
    let table = |table: &Restored| json!({ "table": table.table, "files": table.files, "created": table.created });
    restored.iter().map(table).collect()
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, QueryError> {
    serde_json::from_slice(body)
        .map_err(|error| QueryError::invalid(format!("the request: {error}")))
}

/// Runs work that blocks, for a request that may ask for it.
async fn run(
    admin: &Arc<Admin>,
    headers: &HeaderMap,
    work: impl FnOnce(Arc<Node>) -> Result<Json, QueryError> + Send + 'static,
) -> Response {
    let given = headers.get(TOKEN_HEADER).map(|value| value.as_bytes()).unwrap_or_default();
    if !equal(given, admin.token.as_bytes()) {
        let what =
            "this needs the token in the data directory's admin.json: use the tholos program";
        return answer(StatusCode::FORBIDDEN, &json!({ "error": what }));
    }
    let node = Arc::clone(&admin.node);
    match tokio::task::spawn_blocking(move || work(node)).await {
        Ok(Ok(result)) => answer(StatusCode::OK, &result),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a maintenance request failed");
            answer(StatusCode::CONFLICT, &json!({ "error": error.to_string() }))
        }
        Err(error) => {
            answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": error.to_string() }))
        }
    }
}

fn answer(status: StatusCode, body: &Json) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Compares without telling by the time it takes where the first difference is.
fn equal(given: &[u8], wanted: &[u8]) -> bool {
    given.len() == wanted.len()
        && given.iter().zip(wanted).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
