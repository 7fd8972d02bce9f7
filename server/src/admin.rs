//! The admin port: health, metrics and the node's maintenance over HTTP.
//!
//! - `/health`: 200 while the process answers at all.
//! - `/ready`: 200 while requests are taken; 503 with the reason while the node stops (`stopping`), or while its storage
//!   takes no writes or can't flush (`storage: ...`).
//! - `/metrics`: Prometheus' text format.
//!
//! The rest is for the program's own commands, in JSON, and only for those who can read the data directory: requests
//! carry the token that the node writes there at each start ([`AdminFile`]). Errors are `{"error": ...}`.
//!
//! - `GET /snapshots`, `POST /snapshots` ([`SnapshotRequest`]), `DELETE /snapshots/{name}`.
//! - `POST /restore` ([`RestoreRequest`]): the directory is one of this machine.
//! - `POST /verify` ([`VerifyRequest`]): files to look at once more, so that the node knows what of them is damaged.

pub(crate) mod operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

pub use self::operations::{
    AdminFile, RestoreRequest, SnapshotRequest, TOKEN_HEADER, VerifyFile, VerifyRequest,
};
use crate::metrics::Exporter;
use crate::node::Node;

/// What the admin port tells.
pub struct Admin {
    /// Metrics.
    pub exporter: Exporter,
    /// Why requests are not taken, if they are not.
    pub not_ready: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// The node to maintain.
    pub node: Arc<Node>,
    /// What requests that maintain it must carry.
    pub token: String,
}

/// Serves until the future is dropped.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) -> std::io::Result<()> {
    axum::serve(listener, router(admin)).await
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .merge(operations::router())
        .with_state(admin)
}

async fn index() -> &'static str {
    "Tholos\n/health   is the process alive\n/ready    does it take requests\n/metrics  for Prometheus\n"
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match (admin.not_ready)() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.exporter.text())
}
