//! `system`: this node, the others, prepared statements.

use std::net::SocketAddr;

use tholos_grammar::value::Value;

use super::RequestInfo;
use super::rows::{Row, text, text_set};
use crate::system::info::{LocalInfo, PeerInfo, PreparedInfo};
use crate::version::{CQL_VERSION, PRODUCT, RELEASE_VERSION};

const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// The protocol version that is announced as this node's own.
const NATIVE_PROTOCOL_VERSION: &str = "5";

fn address(address: &SocketAddr) -> Option<Value> {
    Some(Value::Inet(address.ip()))
}

fn port(address: &SocketAddr) -> Option<Value> {
    Some(Value::Int(i32::from(address.port())))
}

pub(super) fn local(info: &LocalInfo, request: &RequestInfo<'_>) -> Row<'static> {
    vec![
        ("key", text("local")),
        ("bootstrapped", text("COMPLETED")),
        ("broadcast_address", address(&info.broadcast_address)),
        ("broadcast_port", port(&info.broadcast_address)),
        ("cluster_name", text(&info.cluster_name)),
        ("cql_version", text(CQL_VERSION)),
        ("data_center", text(&info.data_center)),
        ("gossip_generation", Some(Value::Int(info.generation))),
        ("host_id", Some(Value::Uuid(info.host_id))),
        ("listen_address", address(&info.listen_address)),
        ("listen_port", port(&info.listen_address)),
        ("native_protocol_version", text(NATIVE_PROTOCOL_VERSION)),
        ("partitioner", text(PARTITIONER)),
        ("product_name", text(PRODUCT)),
        ("rack", text(&info.rack)),
        ("release_version", text(RELEASE_VERSION)),
        ("rpc_address", address(&info.rpc_address)),
        ("rpc_port", port(&info.rpc_address)),
        ("schema_version", Some(Value::Uuid(request.catalogue.version()))),
        ("tokens", text_set(&info.tokens)),
    ]
}

pub(super) fn peer(info: &PeerInfo) -> Row<'static> {
    vec![
        ("peer", address(&info.address)),
        ("data_center", text(&info.data_center)),
        ("host_id", Some(Value::Uuid(info.host_id))),
        ("preferred_ip", address(&info.address)),
        ("rack", text(&info.rack)),
        ("release_version", text(&info.release_version)),
        ("rpc_address", address(&info.native_address)),
        ("schema_version", Some(Value::Uuid(info.schema_version))),
        ("tokens", text_set(&info.tokens)),
    ]
}

pub(super) fn peer_v2(info: &PeerInfo) -> Row<'static> {
    let mut row = peer(info);
    row.retain(|(name, _)| *name != "rpc_address");
    row.extend([
        ("peer_port", port(&info.address)),
        ("preferred_port", port(&info.address)),
        ("native_address", address(&info.native_address)),
        ("native_port", port(&info.native_address)),
    ]);
    row
}

pub(super) fn prepared(info: &PreparedInfo) -> Row<'static> {
    vec![
        ("prepared_id", Some(Value::Blob(info.id.clone()))),
        ("logged_keyspace", info.keyspace.clone().map(Value::Text)),
        ("query_string", text(&info.query)),
    ]
}
