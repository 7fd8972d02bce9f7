//! What a node tells of itself and of its cluster: what the virtual tables are made of.

use std::net::{IpAddr, SocketAddr};

use tholos_storage::engine::{DamagedRange, JobStats, SsTableStats, TableStats};
use uuid::Uuid;

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
