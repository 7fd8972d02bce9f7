//! System tables, asked as drivers ask them.

use super::schema::system_schema;
use crate::testing::Bench;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TYPE pair (x int, y text);
         CREATE TABLE t (k int, c text, s int STATIC, v frozen<map<text, int>>, n counter_free, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC)"
            .replace(", n counter_free", "").as_str(),
    );
    bench
}

#[test]
fn local_and_peers() {
    let bench = bench();
    assert_eq!(
        bench.show("SELECT key, cluster_name, data_center, rack, release_version, cql_version, tokens, rpc_address, rpc_port, partitioner FROM system.local WHERE key = 'local'"),
        "local Bench dc1 rack1 5.0.0 3.4.7 {'-5', '5'} 127.0.0.1 9042 org.apache.cassandra.dht.Murmur3Partitioner"
    );
    assert_eq!(bench.select("SELECT * FROM system.local").len(), 1);
    assert_eq!(bench.show("SELECT peer, peer_port, native_port, rack, tokens FROM system.peers_v2 WHERE peer = '127.0.0.2' AND peer_port = 7000"), "127.0.0.2 7000 9042 rack2 {'0'}");
    assert_eq!(
        bench.show("SELECT peer, rpc_address, host_id FROM system.peers"),
        "127.0.0.2 127.0.0.2 00000000-0000-0000-0000-000000000002"
    );
}

#[test]
fn the_schema_of_users_and_of_the_system() {
    let bench = bench();
    assert_eq!(
        bench.show("SELECT keyspace_name, toJson(replication) AS replication FROM system_schema.keyspaces WHERE keyspace_name = 'ks'"),
        r#"ks {"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "1"}"#
    );
    assert_eq!(
        bench.show("SELECT column_name, kind, position, clustering_order, type FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't'"),
        "c clustering 0 desc text; k partition_key 0 none int; s static -1 none int; v regular -1 none frozen<map<text, int>>"
    );
    assert_eq!(
        bench.show("SELECT table_name, flags FROM system_schema.tables WHERE keyspace_name = 'ks'"),
        "t {'compound'}"
    );
    assert_eq!(bench.show("SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = 'ks'"), "pair ['x', 'y'] ['int', 'text']");
    let keyspaces = bench.show("SELECT keyspace_name FROM system_schema.keyspaces");
    for name in ["ks", "system", "system_auth", "system_schema", "system_traces"] {
        assert!(keyspaces.split("; ").any(|known| known == name), "{name} in {keyspaces}");
    }
    assert!(!keyspaces.contains("system_views"));
    let virtual_keyspaces = bench.show("SELECT keyspace_name FROM system_virtual_schema.keyspaces");
    assert!(virtual_keyspaces.contains("system_views"), "{virtual_keyspaces}");
    let tables = bench.show(
        "SELECT table_name FROM system_virtual_schema.tables WHERE keyspace_name = 'system_views'",
    );
    assert_eq!(tables, "clients; damaged_ranges; settings; sstable_tasks");
}

#[test]
fn every_system_table_can_be_read_whole() {
    let bench = bench();
    for keyspace in system_schema().keyspaces.values() {
        for table in keyspace.tables.values() {
            bench.select(&format!("SELECT * FROM {}.{}", keyspace.name, table.name));
        }
    }
    assert_eq!(
        bench.show("SELECT driver_name, client_options FROM system_views.clients"),
        "driver {'CQL_VERSION': '3.0.0'}"
    );
}

#[test]
fn schema_versions_follow_the_schema() {
    let mut bench = bench();
    let version = |bench: &Bench| bench.show("SELECT schema_version FROM system.local");
    let before = version(&bench);
    assert_eq!(before, version(&bench));
    bench.run("ALTER TABLE t ADD w int");
    assert_ne!(before, version(&bench));
}
