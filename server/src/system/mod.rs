//! System keyspaces: tables that are made up at each read.
//!
//! Each is an ordinary [`Table`] in [`schema`], so planning knows no difference. At a
//! read its rows come from a [`SystemTables`] and are laid into a throw-away memtable, which the ordinary SELECT
//! execution walks: every WHERE, paging and projection works on them unchanged. They can't be written.

mod catalogue;
mod cluster;
mod definitions;
mod estimates;
mod rows;
pub mod schema;
mod tables;
#[cfg(test)]
mod tests;
pub mod version;
mod views;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use uuid::Uuid;

use tholos_storage::engine::{DamagedRange, JobStats, SsTableStats, TableStats};
use tholos_storage::fs::nowait::may_wait;
use tholos_storage::memtable::Memtable;
use tholos_storage::schema::Table;

use crate::error::{PutOff, QueryError};
use crate::execute::ExecuteContext;
use crate::query::catalogue::Catalogue;
use crate::query::keys;

/// What the node tells of itself and of the cluster. All values are of one moment.
pub trait SystemTables: Sync {
    /// This node.
    fn local(&self) -> LocalInfo;
    /// The other nodes.
    fn peers(&self) -> Vec<PeerInfo>;
    /// Clients that are connected.
    fn clients(&self) -> Vec<ClientInfo>;
    /// Settings: name and value.
    fn settings(&self) -> Vec<(String, String)>;
    /// Prepared statements that are cached.
    fn prepared_statements(&self) -> Vec<PreparedInfo>;
    /// Compactions that run.
    fn compactions(&self) -> Vec<JobStats> {
        Vec::new()
    }
    /// Figures of users' tables.
    fn tables(&self) -> Vec<TableStats> {
        Vec::new()
    }
    /// SSTables of users' tables.
    fn sstables(&self) -> Vec<SsTableStats> {
        Vec::new()
    }
    /// Damage that was found in SSTables since the start.
    fn damage(&self) -> Vec<DamagedRange> {
        Vec::new()
    }
    /// Traces kept in memory: sessions with their events.
    fn traces(&self) -> Vec<TraceInfo> {
        Vec::new()
    }
    /// Roles, for `system_auth`.
    fn roles(&self) -> Vec<RoleInfo> {
        Vec::new()
    }
}

/// A node, as it describes itself.
#[derive(Clone, Debug)]
pub struct LocalInfo {
    /// The cluster's name.
    pub cluster_name: String,
    /// The node's identity.
    pub host_id: Uuid,
    /// Data centre.
    pub data_center: String,
    /// Rack.
    pub rack: String,
    /// Where other nodes reach it: address that it listens on.
    pub listen_address: SocketAddr,
    /// Where other nodes reach it: address that it tells them.
    pub broadcast_address: SocketAddr,
    /// Where clients reach it: address that it tells them.
    pub rpc_address: SocketAddr,
    /// Tokens that it owns.
    pub tokens: Vec<i64>,
    /// Seconds since 1970 at which it started.
    pub generation: i32,
}

/// Another node.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its identity.
    pub host_id: Uuid,
    /// Data centre.
    pub data_center: String,
    /// Rack.
    pub rack: String,
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// Where clients reach it.
    pub native_address: SocketAddr,
    /// Version that it runs, as drivers read it.
    pub release_version: String,
    /// The schema that it has.
    pub schema_version: Uuid,
    /// Tokens that it owns.
    pub tokens: Vec<i64>,
}

/// A connected client.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// Its address.
    pub address: SocketAddr,
    /// STARTUP's DRIVER_NAME.
    pub driver_name: Option<String>,
    /// STARTUP's DRIVER_VERSION.
    pub driver_version: Option<String>,
    /// All of STARTUP.
    pub options: Vec<(String, String)>,
    /// Protocol version.
    pub protocol_version: i32,
    /// The keyspace in use.
    pub keyspace: Option<String>,
    /// Who it is.
    pub username: String,
    /// Requests that it has made.
    pub requests: i64,
}

/// A cached prepared statement.
#[derive(Clone, Debug)]
pub struct PreparedInfo {
    /// Its id.
    pub id: Vec<u8>,
    /// The keyspace it was prepared in.
    pub keyspace: Option<String>,
    /// Its text.
    pub query: String,
}

/// A trace.
#[derive(Clone, Debug)]
pub struct TraceInfo {
    /// Its id.
    pub id: Uuid,
    /// Who asked.
    pub client: IpAddr,
    /// Who answered.
    pub coordinator: SocketAddr,
    /// `QUERY`, `EXECUTE`, ...
    pub command: String,
    /// Microseconds; none while it goes on.
    pub duration_us: Option<i32>,
    /// What came with the request.
    pub parameters: Vec<(String, String)>,
    /// In words.
    pub request: String,
    /// Milliseconds since 1970.
    pub started_at_ms: i64,
    /// What happened: time-UUID, activity, microseconds since the start, thread.
    pub events: Vec<(Uuid, String, i32, String)>,
}

/// A role.
#[derive(Clone, Debug)]
pub struct RoleInfo {
    /// Its name.
    pub name: String,
    /// May log in.
    pub can_login: bool,
    /// May do everything.
    pub is_superuser: bool,
    /// Roles that it has been granted.
    pub member_of: Vec<String>,
    /// bcrypt.
    pub salted_hash: Option<String>,
}

/// What the rows of system tables are made of.
struct RequestInfo<'a> {
    catalogue: &'a Catalogue,
    system: &'a dyn SystemTables,
    wanted: &'a Wanted,
}

/// The rows of a virtual table that a read asks for; it is given all of them, and hardly more.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of these partitions; of all, if none are said.
    pub partitions: Option<Vec<keys::Partition>>,
    /// Values that the first column of the partition key may have, as values travel; any, if none are said.
    pub first_key: Option<Vec<Vec<u8>>>,
    /// The value of the first clustering column; any, if none is said.
    pub first_clustering: Option<Vec<u8>>,
}

impl Wanted {
    /// Whether rows with this text in the first column of the partition key are asked for.
    fn has_key(&self, text: &str) -> bool {
        let known = self.first_key.as_ref();
        known.is_none_or(|values| values.iter().any(|value| value == text.as_bytes()))
    }

    /// The text that the first clustering column has, if only one is asked for.
    fn clustering(&self) -> Option<&str> {
        std::str::from_utf8(self.first_clustering.as_deref()?).ok()
    }
}

/// Tables above which their rows are not made by a thread that serves other clients too.
const MANY_TABLES: usize = 64;

/// The rows of a system table at this moment. Those that follow from the schema alone are made once, unless a read asks
/// for some of their partitions only.
///
/// # Errors
/// [`QueryError::Internal`] when a row does not fit its table, which is a defect; [`PutOff::Long`] when this thread
/// has to serve others and there are many.
pub fn rows(
    table: &Table,
    cx: &ExecuteContext<'_>,
    wanted: &Wanted,
) -> Result<Arc<Memtable>, QueryError> {
    let keyspace = table.keyspace.as_str();
    if keyspace != schema::SYSTEM_SCHEMA && keyspace != schema::SYSTEM_VIRTUAL_SCHEMA {
        return make(table, cx, wanted).map(Arc::new);
    }
    if let Some(made) = cx.catalogue.rows_made(table.id) {
        return Ok(made);
    }
    if wanted.partitions.is_some() {
        return make(table, cx, wanted).map(Arc::new);
    }
    let tables = cx.catalogue.schema.keyspaces.values().map(|keyspace| keyspace.tables.size());
    if tables.sum::<usize>() > MANY_TABLES && !may_wait() {
        return Err(QueryError::PutOff(PutOff::Long));
    }
    cx.catalogue.rows(table.id, || make(table, cx, wanted))
}

fn make(table: &Table, cx: &ExecuteContext<'_>, wanted: &Wanted) -> Result<Memtable, QueryError> {
    let mut rows = rows::TableRows::new(table, cx.time.micros, wanted.partitions.as_deref());
    let request = RequestInfo { catalogue: cx.catalogue, system: cx.system, wanted };
    let mut sink = |row: &rows::Row<'_>| rows.push(row);
    fill(table, &request, &mut sink)?;
    Ok(rows.into_memtable())
}

/// Tables that are not named here are empty: they are there so that who asks for them gets an answer.
fn fill(
    table: &Table,
    request: &RequestInfo<'_>,
    sink: &mut catalogue::Sink<'_>,
) -> Result<(), QueryError> {
    let system = request.system;
    match (table.keyspace.as_str(), table.name.as_str()) {
        (schema::SYSTEM, "local") => sink(&cluster::local(&system.local(), request)),
        (schema::SYSTEM, "peers") => {
            system.peers().iter().try_for_each(|p| sink(&cluster::peer(p)))
        }
        (schema::SYSTEM, "peers_v2") => {
            system.peers().iter().try_for_each(|peer| sink(&cluster::peer_v2(peer)))
        }
        (schema::SYSTEM, "prepared_statements") => {
            let statements = system.prepared_statements();
            statements.iter().try_for_each(|prepared| sink(&cluster::prepared(prepared)))
        }
        (schema::SYSTEM, "size_estimates") => estimates::rows(false, request, sink),
        (schema::SYSTEM, "table_estimates") => estimates::rows(true, request, sink),
        (schema::SYSTEM_SCHEMA, name) => catalogue::schema_rows(name, request, sink),
        (schema::SYSTEM_VIRTUAL_SCHEMA, name) => catalogue::virtual_rows(name, request, sink),
        (schema::SYSTEM_VIEWS, "clients") => {
            system.clients().iter().try_for_each(|client| sink(&views::client(client)))
        }
        (schema::SYSTEM_VIEWS, "damaged_ranges") => {
            system.damage().iter().try_for_each(|range| sink(&views::damaged_range(range)))
        }
        (schema::SYSTEM_VIEWS, "settings") => {
            let settings = system.settings();
            settings.iter().try_for_each(|(name, value)| sink(&views::setting(name, value)))
        }
        (schema::SYSTEM_VIEWS, "sstable_tasks") => {
            system.compactions().iter().try_for_each(|job| sink(&views::sstable_task(job)))
        }
        (schema::SYSTEM_VIEWS, name) => tables::fill(name, request, sink).map(drop),
        (schema::SYSTEM_TRACES, "sessions") => {
            system.traces().iter().try_for_each(|trace| sink(&views::session(trace)))
        }
        (schema::SYSTEM_TRACES, "events") => {
            system.traces().iter().flat_map(views::events).try_for_each(|event| sink(&event))
        }
        (schema::SYSTEM_AUTH, "roles") => {
            system.roles().iter().try_for_each(|role| sink(&views::role(role)))
        }
        (schema::SYSTEM_AUTH, "role_members") => {
            system.roles().iter().flat_map(views::members).try_for_each(|member| sink(&member))
        }
        _ => Ok(()),
    }
}
