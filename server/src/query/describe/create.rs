//! Objects of the catalogue as the CQL that makes them again.
//!
//! The layout and the order of options are those of Cassandra 5.0's DESCRIBE, which people and tools know. What is
//! printed parses to a statement whose effect is the same object.

use std::collections::BTreeMap;
use std::fmt::Write;

use tholos_grammar::name::Name;
use tholos_grammar::types::UserType;
use tholos_storage::schema::{Column, ColumnKind, Keyspace, Table};

use super::quoted;

/// `CREATE KEYSPACE ks WITH replication = {...}  AND durable_writes = true;`
pub fn keyspace(keyspace: &Keyspace) -> String {
    let class = keyspace.replication.get("class").map_or("", String::as_str);
    let class = class.strip_prefix("org.apache.cassandra.locator.").unwrap_or(class);
    let mut replication = format!("{{'class': {}", quoted(class));
    for (name, value) in keyspace.replication.iter().filter(|(name, _)| *name != "class") {
        push(&mut replication, format_args!(", {}: {}", quoted(name), quoted(value)));
    }
    format!(
        "CREATE KEYSPACE {} WITH replication = {replication}}}  AND durable_writes = {};",
        keyspace.name, keyspace.durable_writes
    )
}

/// `CREATE TYPE ks.t (...);`
pub fn user_type(definition: &UserType) -> String {
    let fields = definition.fields.iter();
    let fields: Vec<String> = fields.map(|(name, ty)| format!("    {name} {ty}")).collect();
    format!("CREATE TYPE {}.{} (\n{}\n);", definition.keyspace, definition.name, fields.join(",\n"))
}

/// `CREATE TABLE ks.t (...) WITH ...;`, with internals also the id and the columns that were dropped.
pub fn table(table: &Table, internals: bool) -> String {
    let mut out = String::from("CREATE TABLE ");
    body(&mut out, table, internals);
    if internals {
        dropped(&mut out, table);
    }
    out
}

/// A table that can't be created: its structure in a comment.
pub fn virtual_table(table: &Table) -> String {
    let mut out = format!(
        "/*\nWarning: Table {}.{} is a virtual table and cannot be recreated with CQL.\nStructure, for reference:\nVIRTUAL TABLE ",
        table.keyspace, table.name
    );
    push(&mut out, format_args!("{}.{} (\n", table.keyspace, table.name));
    columns(&mut out, table, false);
    push(&mut out, format_args!("\n) WITH comment = {};\n*/", quoted(&table.options.comment)));
    out
}

/// A keyspace that can't be created: in a comment.
pub fn virtual_keyspace(keyspace: &Keyspace) -> String {
    let name = &keyspace.name;
    format!(
        "/*\nWarning: Keyspace {name} is a virtual keyspace and cannot be recreated with CQL.\nStructure, for reference:\nVIRTUAL KEYSPACE {name};\n*/"
    )
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

fn body(out: &mut String, table: &Table, internals: bool) {
    push(out, format_args!("{}.{} (\n", table.keyspace, table.name));
    columns(out, table, internals);
    out.push_str("\n) WITH ");
    if internals {
        push(out, format_args!("ID = {}\n    AND ", table.id));
    }
    if !table.clustering.is_empty() {
        let order = table.clustering.iter();
        let order: Vec<String> = order
            .map(|column| {
                format!("{} {}", column.name, if column.descending { "DESC" } else { "ASC" })
            })
            .collect();
        push(out, format_args!("CLUSTERING ORDER BY ({})\n    AND ", order.join(", ")));
    }
    out.push_str(&options(table).join("\n    AND "));
    out.push(';');
}

fn columns(out: &mut String, table: &Table, internals: bool) {
    let inline_key = table.partition_key.len() == 1 && table.clustering.is_empty();
    let line = |column: &Column| {
        let key = inline_key && column.kind == ColumnKind::PartitionKey;
        let suffix = match (column.kind, key) {
            (ColumnKind::Static, _) => " static",
            (_, true) => " PRIMARY KEY",
            _ => "",
        };
        format!("    {} {}{suffix}", column.name, column.cql_type)
    };
    let mut lines: Vec<String> = Vec::new();
    for column in table.columns() {
        // A column that was dropped and added again was first what it was before.
        let before = table.dropped.get(&column.name).filter(|_| internals);
        lines.push(line(before.map_or(column, |dropped| &dropped.column)));
    }
    if internals {
        let gone = table
            .dropped
            .values()
            .filter(|dropped| table.column(dropped.column.name.as_str()).is_none());
        lines.extend(gone.map(|dropped| line(&dropped.column)));
    }
    if !inline_key {
        lines.push(format!("    PRIMARY KEY ({})", primary_key(table)));
    }
    out.push_str(&lines.join(",\n"));
}

fn primary_key(table: &Table) -> String {
    let names = |columns: &[Column]| -> Vec<String> {
        columns.iter().map(|column| column.name.to_string()).collect()
    };
    let partition = names(&table.partition_key).join(", ");
    let partition =
        if table.partition_key.len() > 1 { format!("({partition})") } else { partition };
    let mut all = vec![partition];
    all.extend(names(&table.clustering));
    all.join(", ")
}

/// The statements that drop what was dropped, and add again what came back.
fn dropped(out: &mut String, table: &Table) {
    for dropped in table.dropped.values() {
        let (keyspace, name, column) = (&table.keyspace, &table.name, &dropped.column);
        push(
            out,
            format_args!(
                "\nALTER TABLE {keyspace}.{name} DROP {} USING TIMESTAMP {};",
                column.name, dropped.dropped_at
            ),
        );
        if let Some(column) = table.column(column.name.as_str()) {
            let suffix = if column.kind == ColumnKind::Static { " static" } else { "" };
            push(
                out,
                format_args!(
                    "\nALTER TABLE {keyspace}.{name} ADD {} {}{suffix};",
                    column.name, column.cql_type
                ),
            );
        }
    }
}

fn options(table: &Table) -> Vec<String> {
    let o = &table.options;
    vec![
        format!("additional_write_policy = {}", quoted(&o.additional_write_policy)),
        format!("allow_auto_snapshot = {}", o.allow_auto_snapshot),
        format!("bloom_filter_fp_chance = {:?}", o.bloom_filter_fp_chance),
        format!("caching = {}", map(&o.caching)),
        format!("cdc = {}", o.cdc),
        format!("comment = {}", quoted(&o.comment)),
        format!("compaction = {}", map(&o.compaction)),
        format!("compression = {}", map(&o.compression)),
        format!("memtable = {}", quoted(&o.memtable)),
        format!("crc_check_chance = {:?}", o.crc_check_chance),
        format!("default_time_to_live = {}", o.default_time_to_live),
        format!("extensions = {}", blobs(&o.extensions)),
        format!("gc_grace_seconds = {}", o.gc_grace_seconds),
        format!("incremental_backups = {}", o.incremental_backups),
        format!("max_index_interval = {}", o.max_index_interval),
        format!("memtable_flush_period_in_ms = {}", o.memtable_flush_period_in_ms),
        format!("min_index_interval = {}", o.min_index_interval),
        format!("read_repair = {}", quoted(&o.read_repair)),
        format!("speculative_retry = {}", quoted(&o.speculative_retry)),
    ]
}

fn map(entries: &BTreeMap<String, String>) -> String {
    let entries = entries.iter();
    let entries: Vec<String> =
        entries.map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

fn blobs(entries: &BTreeMap<String, Vec<u8>>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entries = entries.iter();
    let entries: Vec<String> =
        entries.map(|(name, bytes)| format!("{}: 0x{}", quoted(name), hex(bytes))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// User types of a keyspace, those first that others are made of.
pub fn types_in_order(keyspace: &Keyspace) -> Vec<&UserType> {
    let mut ordered: Vec<&UserType> = Vec::new();
    let mut waiting: Vec<&UserType> = keyspace.types.values().map(|ty| &**ty).collect();
    while !waiting.is_empty() {
        let known = |name: &Name| ordered.iter().any(|ty| ty.name == *name);
        let ready: Vec<&UserType> = waiting
            .iter()
            .copied()
            .filter(|ty| keyspace.types.keys().all(|other| known(other) || !refers_to(ty, other)))
            .collect();
        if ready.is_empty() {
            // No type refers to itself; should one ever, it is better shown somewhere than not at all.
            ordered.extend(waiting);
            break;
        }
        waiting.retain(|ty| !ready.iter().any(|other| other.name == ty.name));
        ordered.extend(ready);
    }
    ordered
}

fn refers_to(definition: &UserType, name: &Name) -> bool {
    let mut types = definition.fields.iter().map(|(_, ty)| ty);
    types.any(|ty| crate::query::ddl::user_types::refers_to(ty, name))
}
