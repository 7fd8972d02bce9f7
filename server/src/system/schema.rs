//! The schema of the system tables, made of their [`definitions`](super::definitions).

use std::collections::BTreeMap;
use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::options::TableOptions;
use tholos_storage::schema::{Column, ColumnKind, Keyspace, Schema, Table, TableId};
use uuid::Uuid;

use super::definitions::{
    KEYSPACES, KeyspaceDefinition, SYSTEM_VIEWS, SYSTEM_VIRTUAL_SCHEMA, StoredDefinition,
    TableDefinition,
};

/// Whether Cassandra keeps this system keyspace out of `system_schema` and shows it in `system_virtual_schema`.
pub fn is_virtual(keyspace: &str) -> bool {
    keyspace == SYSTEM_VIRTUAL_SCHEMA || keyspace == SYSTEM_VIEWS
}

/// Whether a table of a system keyspace is stored; the rows of others are made up at each read.
pub fn is_stored(table: &Table) -> bool {
    let of = KEYSPACES.iter().filter(|keyspace| table.keyspace == *keyspace.name);
    of.flat_map(|keyspace| keyspace.stored).any(|stored| table.name == *stored.table.name)
}

/// All system keyspaces with their tables.
pub fn system_schema() -> Schema {
    let tables = |of: &KeyspaceDefinition| -> Vec<Table> {
        let made_up = of.tables.iter().map(|definition| table(of.name, definition));
        made_up.chain(stored_tables(of)).collect()
    };
    schema(KEYSPACES.iter().map(|of| keyspace(of, tables(of))))
}

/// System keyspaces with nothing but the tables that are stored.
pub fn stored_schema() -> Schema {
    let some = KEYSPACES.iter().filter(|of| !of.stored.is_empty());
    schema(some.map(|of| keyspace(of, stored_tables(of))))
}

fn schema(keyspaces: impl Iterator<Item = Keyspace>) -> Schema {
    let by_name = keyspaces.map(|keyspace| (keyspace.name.clone(), Arc::new(keyspace)));
    Schema { epoch: 0, keyspaces: by_name.collect() }
}

fn keyspace(definition: &KeyspaceDefinition, tables: impl IntoIterator<Item = Table>) -> Keyspace {
    let mut replication = BTreeMap::from([("class".to_string(), definition.strategy.to_string())]);
    if let Some(factor) = definition.replication_factor {
        replication.insert("replication_factor".to_string(), factor.to_string());
    }
    Keyspace {
        name: Name::exact(definition.name),
        replication,
        durable_writes: true,
        tables: tables.into_iter().map(|table| (table.name.clone(), Arc::new(table))).collect(),
        types: BTreeMap::new(),
    }
}

fn stored_tables(of: &KeyspaceDefinition) -> impl Iterator<Item = Table> {
    of.stored.iter().map(|definition| stored_table(of.name, definition))
}

fn stored_table(keyspace: &str, definition: &StoredDefinition) -> Table {
    let mut table = table(keyspace, &definition.table);
    let compaction = definition.compaction.iter();
    table.options.compaction =
        compaction.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    table
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

/// Reads the types of the definitions; `;` separates those of a map or tuple, since `,` separates the columns.
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
    if let Some(elements) = inner("tuple<") {
        return CqlType::Tuple(elements.split(';').map(|text| parse_type(text, false)).collect());
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

    /// These are on disk: no release may have others.
    #[test]
    fn stored_tables_stay_what_they_are() {
        let mut told = Vec::new();
        for keyspace in stored_schema().keyspaces.values() {
            for table in keyspace.tables.values() {
                let columns =
                    table.columns().map(|c| format!("{}:{} {}", c.id, c.name, c.cql_type));
                let columns: Vec<String> = columns.collect();
                told.push(format!("{} {} {}", table.name, table.id, columns.join(", ")));
                assert!(is_stored(table) && table.keyspace == keyspace.name);
            }
        }
        let batches = "batches 2d7c392e-f1fd-8702-abca-3b7f2377b29d 0:id timeuuid, 1:mutations list<blob>, 2:version int";
        let paxos = "paxos e0e2a17a-7d97-8e95-b464-eb3875ddeac6 0:row_key blob, 1:cf_id uuid, 2:in_progress_ballot timeuuid, \
                     3:in_progress_read_ballot timeuuid, 4:most_recent_commit blob, \
                     5:most_recent_commit_at timeuuid, 6:most_recent_commit_version int, 7:proposal blob, \
                     8:proposal_ballot timeuuid, 9:proposal_version int";
        assert_eq!(told, [batches, paxos]);
        let system = system_schema();
        let stored = system.keyspaces.values().flat_map(|k| k.tables.values());
        assert_eq!(stored.filter(|table| is_stored(table)).count(), told.len());
        assert!(!is_stored(&system.keyspaces["system"].tables["local"]));
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
