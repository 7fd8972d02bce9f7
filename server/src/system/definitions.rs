//! The definitions of the system tables: the names, types and key columns that drivers and tools read.
//!
//! Each table is one line per column, `name type`, with `p` for a partition key column, `c` for a clustering column.
//! Names and types are those of Cassandra 5.0 (its `SystemKeyspace`, `SchemaKeyspace`, `TraceKeyspace`, `AuthKeyspace`,
//! `SystemDistributedKeyspace` and virtual keyspaces), since drivers ask for them by name and check their types. Many stay
//! empty: what they tell of does not happen here.
//!
//! Most tables are *virtual*: their rows are made up at each read. Those in [`stored`] are in this node's storage.

mod stored;

use self::stored::STORED_SYSTEM_TABLES;
pub(super) use self::stored::StoredDefinition;

/// What drivers need to know a node.
pub const SYSTEM: &str = "system";
/// The schema of all keyspaces but the virtual ones.
pub const SYSTEM_SCHEMA: &str = "system_schema";
/// What repairs and builds of views are told of, and partitions that nobody may read.
pub const SYSTEM_DISTRIBUTED: &str = "system_distributed";
/// Roles and permissions.
pub const SYSTEM_AUTH: &str = "system_auth";
/// Traces of requests.
pub const SYSTEM_TRACES: &str = "system_traces";
/// The schema of the keyspaces that `system_schema` leaves out.
pub const SYSTEM_VIRTUAL_SCHEMA: &str = "system_virtual_schema";
/// What goes on in the node.
pub const SYSTEM_VIEWS: &str = "system_views";

/// A system keyspace.
pub(super) struct KeyspaceDefinition {
    pub(super) name: &'static str,
    pub(super) strategy: &'static str,
    pub(super) replication_factor: Option<&'static str>,
    /// Tables whose rows are made up at each read.
    pub(super) tables: &'static [TableDefinition],
    /// Tables whose rows are in this node's storage.
    pub(super) stored: &'static [StoredDefinition],
}

/// A system table.
pub(super) struct TableDefinition {
    pub(super) name: &'static str,
    pub(super) comment: &'static str,
    pub(super) columns: &'static str,
}

const LOCAL_STRATEGY: &str = "org.apache.cassandra.locator.LocalStrategy";
const SIMPLE_STRATEGY: &str = "org.apache.cassandra.locator.SimpleStrategy";

/// All of them.
pub(super) const KEYSPACES: &[KeyspaceDefinition] = &[
    KeyspaceDefinition {
        name: SYSTEM,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: SYSTEM_TABLES,
        stored: STORED_SYSTEM_TABLES,
    },
    KeyspaceDefinition {
        name: SYSTEM_SCHEMA,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: SCHEMA_TABLES,
        stored: &[],
    },
    KeyspaceDefinition {
        name: SYSTEM_DISTRIBUTED,
        strategy: SIMPLE_STRATEGY,
        replication_factor: Some("1"),
        tables: DISTRIBUTED_TABLES,
        stored: &[],
    },
    KeyspaceDefinition {
        name: SYSTEM_AUTH,
        strategy: SIMPLE_STRATEGY,
        replication_factor: Some("1"),
        tables: AUTH_TABLES,
        stored: &[],
    },
    KeyspaceDefinition {
        name: SYSTEM_TRACES,
        strategy: SIMPLE_STRATEGY,
        replication_factor: Some("1"),
        tables: TRACE_TABLES,
        stored: &[],
    },
    KeyspaceDefinition {
        name: SYSTEM_VIRTUAL_SCHEMA,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: VIRTUAL_SCHEMA_TABLES,
        stored: &[],
    },
    KeyspaceDefinition {
        name: SYSTEM_VIEWS,
        strategy: LOCAL_STRATEGY,
        replication_factor: None,
        tables: VIEW_TABLES,
        stored: &[],
    },
];

const DISTRIBUTED_TABLES: &[TableDefinition] = &[
    TableDefinition {
        name: "parent_repair_history",
        comment: "repairs that were asked for; kept empty",
        columns: "parent_id timeuuid p, columnfamily_names set<text>, exception_message text, exception_stacktrace \
                  text, finished_at timestamp, keyspace_name text, options map<text;text>, requested_ranges set<text>, \
                  started_at timestamp, successful_ranges set<text>",
    },
    TableDefinition {
        name: "partition_denylist",
        comment: "partitions that nobody may read or write; kept empty",
        columns: "ks_name text p, table_name text p, key blob c",
    },
    TableDefinition {
        name: "repair_history",
        comment: "repairs of tables; kept empty",
        columns: "keyspace_name text p, columnfamily_name text p, id timeuuid c, coordinator inet, coordinator_port \
                  int, exception_message text, exception_stacktrace text, finished_at timestamp, parent_id timeuuid, \
                  participants set<inet>, participants_v2 set<text>, range_begin text, range_end text, started_at \
                  timestamp, status text",
    },
    TableDefinition {
        name: "view_build_status",
        comment: "how far materialized views are built; kept empty",
        columns: "keyspace_name text p, view_name text p, host_id uuid c, status text",
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
        comment: "estimated partitions per token range, of SSTables alone",
        columns: "keyspace_name text p, table_name text c, range_start text c, range_end text c, \
                  mean_partition_size bigint, partitions_count bigint",
    },
    TableDefinition {
        name: "table_estimates",
        comment: "estimated partitions per token range, of SSTables alone",
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
    TableDefinition {
        name: "available_ranges",
        comment: "ranges that have been streamed while joining; kept empty",
        columns: "keyspace_name text p, ranges set<blob>",
    },
    TableDefinition {
        name: "paxos_repair_history",
        comment: "repairs of lightweight transactions; kept empty",
        columns: "keyspace_name text p, table_name text c, points frozen<list<frozen<tuple<blob;timeuuid>>>>",
    },
    TableDefinition {
        name: "peer_events",
        comment: "events of the other nodes; kept empty",
        columns: "peer inet p, hints_dropped map<timeuuid;int>",
    },
    TableDefinition {
        name: "peer_events_v2",
        comment: "events of the other nodes; kept empty",
        columns: "peer inet p, peer_port int c, hints_dropped map<timeuuid;int>",
    },
    TableDefinition {
        name: "repairs",
        comment: "repairs that are under way; kept empty",
        columns: "parent_id timeuuid p, cfids set<uuid>, coordinator inet, coordinator_port int, last_update \
                  timestamp, participants set<inet>, participants_wp set<text>, ranges set<blob>, repaired_at \
                  timestamp, started_at timestamp, state int",
    },
    TableDefinition {
        name: "sstable_activity",
        comment: "how much SSTables were read; kept empty",
        columns: "keyspace_name text p, columnfamily_name text p, generation int p, rate_120m double, rate_15m double",
    },
    TableDefinition {
        name: "sstable_activity_v2",
        comment: "how much SSTables were read; kept empty",
        columns: "keyspace_name text p, table_name text p, id text p, rate_120m double, rate_15m double",
    },
    TableDefinition {
        name: "top_partitions",
        comment: "the largest partitions; kept empty, see system_views.largest_partitions",
        columns: "keyspace_name text p, table_name text c, top_type text c, last_update timestamp, top \
                  frozen<list<frozen<tuple<text;bigint>>>>",
    },
    TableDefinition {
        name: "transferred_ranges",
        comment: "ranges that were streamed to other nodes; kept empty",
        columns: "operation text p, keyspace_name text p, peer inet c, ranges set<blob>",
    },
    TableDefinition {
        name: "transferred_ranges_v2",
        comment: "ranges that were streamed to other nodes; kept empty",
        columns: "operation text p, keyspace_name text p, peer inet c, peer_port int c, ranges set<blob>",
    },
    TableDefinition {
        name: "view_builds_in_progress",
        comment: "materialized views that are built; kept empty",
        columns: "keyspace_name text p, view_name text c, start_token text c, end_token text c, keys_built bigint, \
                  last_token text",
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
    TableDefinition {
        name: "cidr_groups",
        comment: "groups of addresses; kept empty",
        columns: "cidr_group text p, cidrs frozen<set<frozen<tuple<inet;smallint>>>>",
    },
    TableDefinition {
        name: "cidr_permissions",
        comment: "groups of addresses that roles may come from; kept empty",
        columns: "role text p, cidr_groups frozen<set<text>>",
    },
    TableDefinition {
        name: "identity_to_role",
        comment: "roles of certificates; kept empty",
        columns: "identity text p, role text",
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
