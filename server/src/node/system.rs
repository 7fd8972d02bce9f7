//! What the virtual system tables tell of the node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::header::Version;
use tholos_storage::engine::{DamagedRange, JobStats, SsTableStats, TableStats};

use super::Node;
use crate::system::info::{ClientInfo, LocalInfo, PeerInfo, PreparedInfo, SystemTables, TraceInfo};

/// A connected client.
#[derive(Debug)]
pub struct Client {
    /// Its address.
    pub address: SocketAddr,
    /// Protocol version.
    pub version: Version,
    /// All of STARTUP.
    pub options: Vec<(String, String)>,
    /// The keyspace in use.
    pub keyspace: ArcSwapOption<Name>,
    /// Requests that it has made.
    pub requests: AtomicI64,
}

impl Client {
    fn option(&self, name: &str) -> Option<String> {
        let found = self.options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }
}

impl Node {
    /// Lists a client that opened its session; [`remove_client`](Self::remove_client) takes it off.
    pub fn add_client(&self, client: Arc<Client>) -> u64 {
        let id = self.next_client.fetch_add(1, Ordering::Relaxed);
        self.clients.insert(id, client);
        id
    }

    /// Takes a client off the list.
    pub fn remove_client(&self, id: u64) {
        self.clients.remove(&id);
    }
}

impl SystemTables for Node {
    fn local(&self) -> LocalInfo {
        LocalInfo {
            cluster_name: self.config.cluster_name.clone(),
            host_id: self.identity.host_id,
            data_center: self.config.data_center.clone(),
            rack: self.config.rack.clone(),
            listen_address: self.native_address,
            broadcast_address: self.native_address,
            rpc_address: self.native_address,
            tokens: self.identity.tokens.clone(),
            generation: i32::try_from(self.started_seconds).unwrap_or(i32::MAX),
        }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        Vec::new()
    }

    fn clients(&self) -> Vec<ClientInfo> {
        let info = |client: &Client| ClientInfo {
            address: client.address,
            driver_name: client.option("DRIVER_NAME"),
            driver_version: client.option("DRIVER_VERSION"),
            options: client.options.clone(),
            protocol_version: i32::from(client.version.number()),
            keyspace: client.keyspace.load().as_ref().map(|name| name.as_str().to_string()),
            username: "anonymous".to_string(),
            requests: client.requests.load(Ordering::Relaxed),
        };
        self.clients.iter().map(|entry| info(entry.value())).collect()
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.config.entries()
    }

    fn prepared_statements(&self) -> Vec<PreparedInfo> {
        let info = |prepared: Arc<crate::prepared::Prepared>| PreparedInfo {
            id: prepared.id.to_vec(),
            keyspace: prepared.keyspace.as_ref().map(|name| name.as_str().to_string()),
            query: prepared.text.to_string(),
        };
        self.prepared.all().into_iter().map(info).collect()
    }

    fn compactions(&self) -> Vec<JobStats> {
        self.engine().stats().jobs
    }

    fn tables(&self) -> Vec<TableStats> {
        self.engine().stats().tables
    }

    fn sstables(&self) -> Vec<SsTableStats> {
        self.engine().sstables()
    }

    fn damage(&self) -> Vec<DamagedRange> {
        self.engine().damage()
    }

    fn traces(&self) -> Vec<TraceInfo> {
        self.traces.all()
    }
}
