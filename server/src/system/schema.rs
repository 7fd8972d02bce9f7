//! The definitions of the system tables: the names, types and key columns that drivers and tools read.
//!
//! Each table is one line per column, `name type`, with `p` for a partition key column, `c` for a clustering column.
//! Names and types are those of Cassandra 5.0 (its `SystemKeyspace`, `SchemaKeyspace`, `TraceKeyspace`, `AuthKeyspace`
//! and virtual keyspaces), since drivers ask for them by name and check their types.

use std::collections::BTreeMap;
use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::options::TableOptions;
use tholos_storage::schema::{Column, ColumnKind, Keyspace, Schema, Table, TableId};
use uuid::Uuid;

/// What drivers need to know a node.
pub const SYSTEM: &str = "system";
/// The schema of all keyspaces but the virtual ones.
pub const SYSTEM_SCHEMA: &str = "system_schema";
/// Roles and permissions.
pub const SYSTEM_AUTH: &str = "system_auth";
/// Traces of requests.
pub const SYSTEM_TRACES: &str = "system_traces";
/// The schema of the keyspaces that `system_schema` leaves out.
pub const SYSTEM_VIRTUAL_SCHEMA: &str = "system_virtual_schema";
/// What goes on in the node.
pub const SYSTEM_VIEWS: &str = "system_views";

/// Whether Cassandra keeps this system keyspace out of `system_schema` and shows it in `system_virtual_schema`.
pub fn is_virtual(keyspace: &str) -> bool {
    keyspace == SYSTEM_VIRTUAL_SCHEMA || keyspace == SYSTEM_VIEWS
}

/// All system keyspaces with their tables.
pub fn system_schema() -> Schema {
    let keyspaces = KEYSPACES
        .iter()
        .map(|definition| (Name::exact(definition.name), Arc::new(keyspace(definition))))
        .collect();
    Schema { epoch: 0, keyspaces }
}

struct KeyspaceDefinition {
    name: &'static str,
    strategy: &'static str,
    replication_factor: Option<&'static str>,
    tables: &'static [TableDefinition],
}

struct TableDefinition {
    name: &'static str,
    comment: &'static str,
    columns: &'static str,
}

const LOCAL_STRATEGY: &str = "org.apache.cassandra.locator.LocalStrategy";
const SIMPLE_STRATEGY: &str = "org.apache.cassandra.locator.SimpleStrategy";

const KEYSPACES: &[KeyspaceDefinition] = &[
    KeyspaceDefinition {
        name: SYSTEM,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: SYSTEM_TABLES,
    },
    KeyspaceDefinition {
        name: SYSTEM_SCHEMA,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: SCHEMA_TABLES,
    },
    KeyspaceDefinition {
        name: SYSTEM_AUTH,
        strategy: SIMPLE_STRATEGY,
        replication_factor: Some("1"),
        tables: AUTH_TABLES,
    },
    KeyspaceDefinition {
        name: SYSTEM_TRACES,
        strategy: SIMPLE_STRATEGY,
        replication_factor: Some("1"),
        tables: TRACE_TABLES,
    },
    KeyspaceDefinition {
        name: SYSTEM_VIRTUAL_SCHEMA,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: VIRTUAL_SCHEMA_TABLES,
    },
    KeyspaceDefinition {
        name: SYSTEM_VIEWS,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: VIEW_TABLES,
    },
];

const SYSTEM_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "local",
        comment: "this node",
        columns: "key text p, bootstrapped text, broadcast_address inet, broadcast_port int, cluster_name text, \
                  cql_version text, data_center text, gossip_generation int, host_id uuid, listen_address inet, \
                  listen_port int, native_protocol_version text, partitioner text, rack text, release_version text, \
                  rpc_address inet, rpc_port int, schema_version uuid, tokens set<text>, \
                  truncated_at map<uuid;blob>, product_name text",
    },
    TableDefinition {
        name: "peers",
        comment: "the other nodes; peers_v2 has their ports too",
        columns: "peer inet p, data_center text, host_id uuid, preferred_ip inet, rack text, release_version text, \
                  rpc_address inet, schema_version uuid, tokens set<text>",
    },
    TableDefinition {
        name: "peers_v2",
        comment: "the other nodes",
        columns: "peer inet p, peer_port int c, data_center text, host_id uuid, preferred_ip inet, \
                  preferred_port int, rack text, release_version text, native_address inet, native_port int, \
                  schema_version uuid, tokens set<text>",
    },
    TableDefinition {
        name: "prepared_statements",
        comment: "prepared statements that the node has cached",
        columns: "prepared_id blob p, logged_keyspace text, query_string text",
    },
    TableDefinition {
        name: "size_estimates",
        comment: "estimated partitions per token range; kept empty",
        columns: "keyspace_name text p, table_name text c, range_start text c, range_end text c, \
                  mean_partition_size bigint, partitions_count bigint",
    },
    TableDefinition {
        name: "table_estimates",
        comment: "estimated partitions per token range; kept empty",
        columns: "keyspace_name text p, table_name text c, range_type text c, range_start text c, range_end text c, \
                  mean_partition_size bigint, partitions_count bigint",
    },
    TableDefinition {
        name: "available_ranges_v2",
        comment: "ranges that have been streamed while joining; kept empty",
        columns: "keyspace_name text p, full_ranges set<blob>, transient_ranges set<blob>",
    },
    TableDefinition {
        name: "built_views",
        comment: "materialized views that are built; kept empty",
        columns: "keyspace_name text p, view_name text c, status_replicated boolean",
    },
    TableDefinition {
        name: "IndexInfo",
        comment: "indexes that are built; kept empty",
        columns: "table_name text p, index_name text c, value blob",
    },
    TableDefinition {
        name: "compaction_history",
        comment: "compactions that have been done; kept empty",
        columns: "id uuid p, bytes_in bigint, bytes_out bigint, columnfamily_name text, compacted_at timestamp, \
                  compaction_properties frozen<map<text;text>>, keyspace_name text, rows_merged map<int;bigint>",
    },
];

/// The options that `tables` and `views` share.
macro_rules! table_options {
    () => {
        "additional_write_policy text, allow_auto_snapshot boolean, bloom_filter_fp_chance double, \
         caching frozen<map<text;text>>, cdc boolean, comment text, compaction frozen<map<text;text>>, \
         compression frozen<map<text;text>>, crc_check_chance double, dclocal_read_repair_chance double, \
         default_time_to_live int, extensions frozen<map<text;blob>>, gc_grace_seconds int, \
         incremental_backups boolean, max_index_interval int, memtable text, memtable_flush_period_in_ms int, \
         min_index_interval int, read_repair text, read_repair_chance double, speculative_retry text"
    };
}

macro_rules! column_columns {
    () => {
        "keyspace_name text p, table_name text c, column_name text c, clustering_order text, \
         column_name_bytes blob, kind text, position int, type text"
    };
}

const SCHEMA_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "keyspaces",
        comment: "keyspace definitions",
        columns: "keyspace_name text p, durable_writes boolean, replication frozen<map<text;text>>",
    },
    TableDefinition {
        name: "tables",
        comment: "table definitions",
        columns: concat!(
            "keyspace_name text p, table_name text c, flags frozen<set<text>>, id uuid, ",
            table_options!()
        ),
    },
    TableDefinition { name: "columns", comment: "column definitions", columns: column_columns!() },
    TableDefinition {
        name: "column_masks",
        comment: "dynamic data masks of columns; kept empty",
        columns: "keyspace_name text p, table_name text c, column_name text c, \
                  function_argument_nulls frozen<list<boolean>>, function_argument_types frozen<list<text>>, \
                  function_argument_values frozen<list<text>>, function_keyspace text, function_name text",
    },
    TableDefinition {
        name: "dropped_columns",
        comment: "columns that were dropped",
        columns: "keyspace_name text p, table_name text c, column_name text c, dropped_time timestamp, kind text, \
                  type text",
    },
    TableDefinition {
        name: "triggers",
        comment: "trigger definitions; kept empty",
        columns: "keyspace_name text p, table_name text c, trigger_name text c, options frozen<map<text;text>>",
    },
    TableDefinition {
        name: "views",
        comment: "view definitions; kept empty",
        columns: concat!(
            "keyspace_name text p, view_name text c, base_table_id uuid, base_table_name text, id uuid, \
             include_all_columns boolean, where_clause text, ",
            table_options!()
        ),
    },
    TableDefinition {
        name: "indexes",
        comment: "index definitions; kept empty",
        columns: "keyspace_name text p, table_name text c, index_name text c, kind text, \
                  options frozen<map<text;text>>",
    },
    TableDefinition {
        name: "types",
        comment: "user type definitions",
        columns: "keyspace_name text p, type_name text c, field_names frozen<list<text>>, \
                  field_types frozen<list<text>>",
    },
    TableDefinition {
        name: "functions",
        comment: "user function definitions; kept empty",
        columns: "keyspace_name text p, function_name text c, argument_types frozen<list<text>> c, \
                  argument_names frozen<list<text>>, body text, called_on_null_input boolean, language text, \
                  return_type text",
    },
    TableDefinition {
        name: "aggregates",
        comment: "user aggregate definitions; kept empty",
        columns: "keyspace_name text p, aggregate_name text c, argument_types frozen<list<text>> c, \
                  final_func text, initcond text, return_type text, state_func text, state_type text",
    },
];

const AUTH_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "roles",
        comment: "roles",
        columns: "role text p, can_login boolean, is_superuser boolean, member_of set<text>, salted_hash text",
    },
    TableDefinition {
        name: "role_members",
        comment: "which roles were granted to which",
        columns: "role text p, member text c",
    },
    TableDefinition {
        name: "role_permissions",
        comment: "permissions granted to roles; kept empty",
        columns: "role text p, resource text c, permissions set<text>",
    },
    TableDefinition {
        name: "resource_role_permissons_index",
        comment: "roles that have permissions on a resource; kept empty",
        columns: "resource text p, role text c",
    },
    TableDefinition {
        name: "network_permissions",
        comment: "data centres that a role may use; kept empty",
        columns: "role text p, dcs set<text>",
    },
];

const TRACE_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "sessions",
        comment: "traced requests",
        columns: "session_id uuid p, client inet, command text, coordinator inet, coordinator_port int, \
                  duration int, parameters map<text;text>, request text, started_at timestamp",
    },
    TableDefinition {
        name: "events",
        comment: "what happened in traced requests",
        columns: "session_id uuid p, event_id timeuuid c, activity text, source inet, source_elapsed int, \
                  source_port int, thread text",
    },
];

const VIRTUAL_SCHEMA_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "keyspaces",
        comment: "virtual keyspace definitions",
        columns: "keyspace_name text p",
    },
    TableDefinition {
        name: "tables",
        comment: "virtual table definitions",
        columns: "keyspace_name text p, table_name text c, comment text",
    },
    TableDefinition {
        name: "columns",
        comment: "virtual column definitions",
        columns: column_columns!(),
    },
];

const VIEW_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "clients",
        comment: "currently connected clients",
        columns: "address inet p, port int c, client_options frozen<map<text;text>>, connection_stage text, \
                  driver_name text, driver_version text, hostname text, keyspace_name text, protocol_version int, \
                  request_count bigint, ssl_cipher_suite text, ssl_enabled boolean, ssl_protocol text, username text",
    },
    TableDefinition {
        name: "damaged_ranges",
        comment: "parts of SSTables that can't be read",
        columns: "keyspace_name text p, table_name text c, file text c, offset bigint c, damage text, end_key blob, \
                  first_key blob, first_token bigint, found_at timestamp, last_token bigint",
    },
    TableDefinition {
        name: "disk_usage",
        comment: "bytes of a table's SSTables, rounded up",
        columns: "keyspace_name text p, table_name text p, mebibytes bigint",
    },
    TableDefinition {
        name: "largest_partitions",
        comment: "the largest partitions of a table, as its SSTables tell",
        columns: "keyspace_name text p, table_name text p, rank int c, bytes bigint, partition text, \
                  rows bigint, sstables int, token bigint",
    },
    TableDefinition {
        name: "max_partition_size",
        comment: "the largest part of a partition in one SSTable, rounded up",
        columns: "keyspace_name text p, table_name text p, mebibytes bigint",
    },
    TableDefinition {
        name: "max_sstable_size",
        comment: "a table's largest SSTable, rounded up",
        columns: "keyspace_name text p, table_name text p, mebibytes bigint",
    },
    TableDefinition {
        name: "partition_size_histogram",
        comment: "partitions of a table's SSTables by their size",
        columns: "keyspace_name text p, table_name text p, up_to_bytes bigint c, partitions bigint",
    },
    TableDefinition {
        name: "pending_compactions",
        comment: "compactions that would start now",
        columns: "keyspace_name text p, table_name text p, backlog_bytes bigint, strategy text, tasks int",
    },
    TableDefinition {
        name: "rows_per_read",
        comment: "rows that exist found by reads since the start",
        columns: "keyspace_name text p, table_name text p, count bigint, max double, p50th double, \
                  p99th double",
    },
    TableDefinition {
        name: "settings",
        comment: "current settings",
        columns: "name text p, value text",
    },
    TableDefinition {
        name: "sstable_tasks",
        comment: "compactions that are going on",
        columns: "keyspace_name text p, table_name text c, task_id timeuuid c, completion_ratio double, kind text, \
                  progress bigint, sstables int, target_directory text, total bigint, unit text",
    },
    TableDefinition {
        name: "sstables",
        comment: "SSTables of all tables",
        columns: "keyspace_name text p, table_name text p, number bigint c, bytes bigint, cells bigint, \
                  compacting boolean, created timestamp, damaged boolean, droppable_tombstones bigint, \
                  first_token bigint, last_token bigint, max_timestamp bigint, min_timestamp bigint, \
                  partitions bigint, path text, rows bigint, run bigint, slices int, tombstones bigint, \
                  uncompressed_bytes bigint",
    },
    TableDefinition {
        name: "sstables_per_read",
        comment: "SSTables looked into by reads of one row since the start",
        columns: "keyspace_name text p, table_name text p, count bigint, max double, p50th double, \
                  p99th double",
    },
    TableDefinition {
        name: "tombstones_per_read",
        comment: "tombstones walked over by reads since the start",
        columns: "keyspace_name text p, table_name text p, count bigint, max double, p50th double, \
                  p99th double",
    },
];

fn keyspace(definition: &KeyspaceDefinition) -> Keyspace {
    let mut replication = BTreeMap::from([("class".to_string(), definition.strategy.to_string())]);
    if let Some(factor) = definition.replication_factor {
        replication.insert("replication_factor".to_string(), factor.to_string());
    }
    let tables = definition
        .tables
        .iter()
        .map(|t| (Name::exact(t.name), Arc::new(table(definition.name, t))))
        .collect();
    Keyspace {
        name: Name::exact(definition.name),
        replication,
        durable_writes: true,
        tables,
        types: BTreeMap::new(),
    }
}

fn table(keyspace: &str, definition: &TableDefinition) -> Table {
    let mut columns: Vec<Column> =
        definition.columns.split(',').zip(0..).map(|(text, id)| column(text.trim(), id)).collect();
    columns.sort_by_key(|column| match column.kind {
        ColumnKind::PartitionKey | ColumnKind::Clustering => (0, None),
        ColumnKind::Static | ColumnKind::Regular => (1, Some(column.name.clone())),
    });
    let of_kind = |kind: ColumnKind| -> Vec<Column> {
        columns.iter().filter(|column| column.kind == kind).cloned().collect()
    };
    let options = TableOptions {
        comment: definition.comment.to_string(),
        gc_grace_seconds: 0,
        ..TableOptions::default()
    };
    Table {
        id: table_id(keyspace, definition.name),
        keyspace: Name::exact(keyspace),
        name: Name::exact(definition.name),
        partition_key: of_kind(ColumnKind::PartitionKey),
        clustering: of_kind(ColumnKind::Clustering),
        statics: Vec::new(),
        regulars: of_kind(ColumnKind::Regular),
        dropped: BTreeMap::new(),
        next_column_id: columns.len() as u32,
        options,
    }
}

fn column(text: &str, id: u32) -> Column {
    let mut words = text.split_whitespace();
    let (name, cql_type) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let kind = match words.next() {
        Some("p") => ColumnKind::PartitionKey,
        Some("c") => ColumnKind::Clustering,
        _ => ColumnKind::Regular,
    };
    Column {
        id,
        name: Name::exact(name),
        cql_type: parse_type(cql_type, false),
        kind,
        descending: false,
    }
}

/// Reads the types that stand above; `;` separates a map's types, since `,` separates the columns.
fn parse_type(text: &str, frozen: bool) -> CqlType {
    let inner = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inner("frozen<") {
        return parse_type(inner, true);
    }
    if let Some(element) = inner("list<") {
        return CqlType::List { element: Box::new(parse_type(element, false)), frozen };
    }
    if let Some(element) = inner("set<") {
        return CqlType::Set { element: Box::new(parse_type(element, false)), frozen };
    }
    if let Some((key, value)) = inner("map<").and_then(|inner| inner.split_once(';')) {
        let [key, value] = [key, value].map(|text| Box::new(parse_type(text, false)));
        return CqlType::Map { key, value, frozen };
    }
    CqlType::Native(Native::from_name(text).expect("the definitions above name types that exist"))
}

/// An id that stays the same from start to start.
fn table_id(keyspace: &str, table: &str) -> TableId {
    let mut hash = NameHash::new();
    hash.update(keyspace.as_bytes());
    hash.update(b".");
    hash.update(table.as_bytes());
    TableId(hash.finish())
}

/// Two FNV-1a hashes side by side, as a version 8 UUID: for telling contents apart, not against attackers.
pub(super) struct NameHash([u64; 2]);

impl NameHash {
    pub(super) fn new() -> Self {
        NameHash([0xcbf2_9ce4_8422_2325, 0x6c62_272e_07bb_0142])
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for hash in &mut self.0 {
            for byte in bytes {
                *hash = (*hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }

    pub(super) fn finish(self) -> Uuid {
        let [high, low] = self.0;
        uuid::Builder::from_custom_bytes(Uuid::from_u64_pair(high, low).into_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_keys_and_ids_of_their_own() {
        let schema = system_schema();
        let tables: Vec<_> = schema.keyspaces.values().flat_map(|k| k.tables.values()).collect();
        assert!(tables.iter().all(|table| !table.partition_key.is_empty()));
        let ids: std::collections::BTreeSet<_> = tables.iter().map(|table| table.id).collect();
        assert_eq!(ids.len(), tables.len());
    }

    #[test]
    fn types_are_those_that_drivers_check() {
        let schema = system_schema();
        let of = |keyspace: &str, table: &str, column: &str| {
            schema.keyspaces[keyspace].tables[table]
                .column(column)
                .expect("column")
                .cql_type
                .to_string()
        };
        assert_eq!(of("system", "local", "tokens"), "set<text>");
        assert_eq!(of("system", "local", "truncated_at"), "map<uuid, blob>");
        assert_eq!(of("system", "peers_v2", "native_port"), "int");
        assert_eq!(of("system_schema", "tables", "flags"), "frozen<set<text>>");
        assert_eq!(of("system_schema", "tables", "extensions"), "frozen<map<text, blob>>");
        assert_eq!(of("system_schema", "columns", "position"), "int");
        assert_eq!(of("system_schema", "types", "field_types"), "frozen<list<text>>");
        assert_eq!(of("system_schema", "keyspaces", "durable_writes"), "boolean");
    }

    #[test]
    fn columns_after_the_key_are_sorted_by_name() {
        for keyspace in system_schema().keyspaces.values() {
            for table in keyspace.tables.values() {
                assert!(
                    table.regulars.is_sorted_by_key(|column| column.name.clone()),
                    "{}",
                    table.name
                );
            }
        }
    }
}
