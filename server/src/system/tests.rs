//! System tables, asked as drivers ask them.

use std::sync::Arc;

use super::rows::Row;
use super::schema::system_schema;
use super::{RequestInfo, Wanted, fill};
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
    assert_eq!(
        tables,
        "clients; damaged_ranges; disk_usage; largest_partitions; max_partition_size; max_sstable_size; \
         partition_size_histogram; pending_compactions; rows_per_read; settings; sstable_tasks; sstables; \
         sstables_per_read; tombstones_per_read"
    );
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

#[test]
fn estimates_are_of_what_is_in_files() {
    let mut bench = bench();
    bench.run("CREATE TABLE n (k int PRIMARY KEY, v text)");
    let estimates = |bench: &Bench| {
        bench.show("SELECT range_start, range_end, mean_partition_size, partitions_count FROM system.size_estimates WHERE keyspace_name = 'ks' AND table_name = 'n'")
    };
    assert_eq!(
        estimates(&bench),
        "-5 5 0 0; -9223372036854775808 -5 0 0; 5 -9223372036854775808 0 0"
    );
    for k in 0..1000 {
        bench.run(&format!("INSERT INTO n (k, v) VALUES ({k}, '{k:0100}')"));
    }
    let id = bench.engine().stats().tables[1].id;
    bench.engine().flush(id).unwrap();
    let rows = bench.select("SELECT mean_partition_size, partitions_count FROM system.size_estimates WHERE keyspace_name = 'ks' AND table_name = 'n'");
    let numbers: Vec<(i64, i64)> =
        rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
    let partitions: i64 = numbers.iter().map(|(_, partitions)| partitions).sum();
    assert!((999..=1001).contains(&partitions), "{numbers:?}");
    let large = numbers.iter().filter(|(_, partitions)| *partitions > 400);
    assert_eq!(large.clone().count(), 2, "half of the ring each: {numbers:?}");
    assert!(large.clone().all(|(mean, _)| (100..200).contains(mean)), "{numbers:?}");
    let types = bench.show("SELECT DISTINCT keyspace_name FROM system.table_estimates");
    assert_eq!(types, "ks");
    let of_primary = bench.select("SELECT partitions_count FROM system.table_estimates WHERE keyspace_name = 'ks' AND table_name = 'n' AND range_type = 'primary'");
    assert_eq!(of_primary.len(), 3);
}

/// How many rows are made for a read of a system table.
fn made(bench: &Bench, table: &str, wanted: &Wanted) -> usize {
    let (keyspace, name) = table.split_once('.').unwrap();
    let table = bench.catalogue.table(keyspace, name).unwrap();
    let request = RequestInfo { catalogue: &bench.catalogue, system: bench, wanted };
    let mut count = 0;
    let mut sink = |_: &Row<'_>| {
        count += 1;
        Ok(())
    };
    fill(table, &request, &mut sink).unwrap();
    count
}

#[test]
fn a_read_of_one_partition_makes_no_other() {
    let mut bench = bench();
    for n in 0..50 {
        bench.run(&format!("CREATE TABLE t{n} (k int PRIMARY KEY, v int)"));
    }
    let key = |name: &str| Wanted {
        first_key: Some(vec![name.as_bytes().to_vec()]),
        ..Wanted::default()
    };
    let of_table = Wanted { first_clustering: Some(b"t7".to_vec()), ..key("ks") };
    assert_eq!(made(&bench, "system_schema.columns", &key("nowhere")), 0);
    assert_eq!(made(&bench, "system_schema.columns", &of_table), 2);
    assert_eq!(made(&bench, "system_schema.columns", &key("ks")), 4 + 50 * 2);
    assert_eq!(made(&bench, "system_schema.tables", &key("ks")), 51);
    assert!(made(&bench, "system_schema.columns", &Wanted::default()) > 300);
}

#[test]
fn the_schema_s_rows_are_made_once_for_each_epoch() {
    let mut bench = bench();
    let columns = bench.catalogue.table("system_schema", "columns").unwrap().id;
    let made = |bench: &Bench| bench.catalogue.rows_made(columns);
    bench.select("SELECT * FROM system_schema.columns WHERE keyspace_name = 'ks'");
    assert!(made(&bench).is_none(), "a part was enough");
    bench.select("SELECT * FROM system_schema.columns");
    let first = made(&bench).unwrap();
    bench.select(
        "SELECT type FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't'",
    );
    bench.select("SELECT type FROM system_schema.columns");
    assert!(Arc::ptr_eq(&first, &made(&bench).unwrap()));
    bench.run("ALTER TABLE t ADD w int");
    assert!(made(&bench).is_none());
    let shown = bench.show("SELECT column_name FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't'");
    assert_eq!(shown, "c; k; s; v; w");
}

#[test]
fn what_reads_cost_is_told_of_each_table() {
    let mut bench = bench();
    bench.run(
        "INSERT INTO t (k, c) VALUES (1, 'a'); INSERT INTO t (k, c) VALUES (1, 'b');
         DELETE FROM t WHERE k = 1 AND c = 'c'; DELETE FROM t WHERE k = 1 AND c = 'd'",
    );
    let id = bench.engine().stats().tables[0].id;
    bench.engine().flush(id).unwrap();
    bench.run("INSERT INTO t (k, c) VALUES (2, 'a')");
    bench.engine().flush(id).unwrap();
    let of = |bench: &Bench, name: &str| {
        bench.show(&format!(
            "SELECT count, max, p50th, p99th FROM system_views.{name} WHERE keyspace_name = 'ks' AND table_name = 't'"
        ))
    };
    assert_eq!(of(&bench, "rows_per_read"), "0 0.0 0.0 0.0");
    bench.select("SELECT v FROM t WHERE k = 1 AND c = 'a'");
    bench.select("SELECT v FROM t WHERE k = 1 AND c = 'c'");
    bench.select("SELECT v FROM t WHERE k = 9 AND c = 'a'");
    assert_eq!(of(&bench, "sstables_per_read"), "3 1.0 1.0 1.0");
    assert_eq!(of(&bench, "rows_per_read"), "3 1.0 0.0 1.0");
    assert_eq!(of(&bench, "tombstones_per_read"), "3 1.0 0.0 1.0");
    bench.select("SELECT c FROM t WHERE k = 1 AND c > 'A'");
    assert_eq!(of(&bench, "rows_per_read"), "4 2.0 0.0 2.0");
    assert_eq!(of(&bench, "tombstones_per_read"), "4 2.0 0.0 2.0");
    assert_eq!(of(&bench, "sstables_per_read"), "3 1.0 1.0 1.0", "of reads of one row alone");
}

#[test]
fn files_and_their_partitions_are_listed() {
    let mut bench = bench();
    bench.run("CREATE TABLE n (a int, b text, c int, v text, PRIMARY KEY ((a, b), c))");
    let id = bench.engine().stats().tables[1].id;
    assert_eq!(bench.show("SELECT * FROM system_views.sstables"), "");
    for file in 0..2 {
        for c in 0..50 {
            let c = file * 50 + c;
            bench.run(&format!("INSERT INTO n (a, b, c, v) VALUES (1, 'it''s', {c}, '{c:090}')"));
        }
        bench.run(&format!("INSERT INTO n (a, b, c) VALUES ({file}, 'small', 1)"));
        bench.engine().flush(id).unwrap();
    }
    let sstables = "SELECT number, partitions, rows, tombstones, damaged, compacting, created FROM system_views.sstables \
                    WHERE keyspace_name = 'ks' AND table_name = 'n'";
    assert_eq!(
        bench.show(sstables),
        "1 2 51 0 false false 1970-01-12 13:46:40.000+0000; 2 2 51 0 false false 1970-01-12 13:46:40.000+0000"
    );
    assert_eq!(
        bench.show("SELECT rank, partition, rows, sstables FROM system_views.largest_partitions"),
        "1 a = 1 AND b = 'it''s' 100 2; 2 a = 0 AND b = 'small' 1 1; 3 a = 1 AND b = 'small' 1 1"
    );
    let bytes: i64 =
        bench.show("SELECT bytes FROM system_views.largest_partitions LIMIT 1").parse().unwrap();
    assert!((9_000..12_000).contains(&bytes), "{bytes}");
    assert_eq!(
        bench.show("SELECT up_to_bytes, partitions FROM system_views.partition_size_histogram"),
        "64 2; 8192 2"
    );
    let of = |name: &str| {
        bench.show(&format!("SELECT table_name, mebibytes FROM system_views.{name} WHERE keyspace_name = 'ks' AND table_name = 'n'"))
    };
    for name in ["disk_usage", "max_partition_size", "max_sstable_size"] {
        assert_eq!(of(name), "n 1", "{name}");
    }
    assert_eq!(
        bench.show("SELECT strategy, tasks, backlog_bytes FROM system_views.pending_compactions WHERE keyspace_name = 'ks' AND table_name = 'n'"),
        "SizeTieredCompactionStrategy 0 0"
    );
}
