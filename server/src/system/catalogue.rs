//! `system_schema` and `system_virtual_schema`: the catalogue as rows.
//!
//! `system_schema` has users' keyspaces and the system's own; those that Cassandra makes up at each read
//! (`system_views`, `system_virtual_schema`) are in `system_virtual_schema` instead.

use tholos_grammar::value::Value;
use tholos_storage::schema::options::TableOptions;
use tholos_storage::schema::{Column, ColumnKind, Keyspace, Table};

use super::rows::{Row, text, text_list, text_map, text_set};
use super::schema::is_virtual;
use super::{RequestInfo, Wanted};
use crate::error::QueryError;
use crate::query::catalogue::Catalogue;

/// Takes rows.
pub(super) type Sink<'s> = dyn FnMut(&Row<'_>) -> Result<(), QueryError> + 's;

/// The rows of a table of `system_schema`.
pub(super) fn schema_rows(
    table: &str,
    request: &RequestInfo<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let Catalogue { schema, system, .. } = request.catalogue;
    let system = system.keyspaces.values().filter(|k| !is_virtual(k.name.as_str()));
    for keyspace in schema.keyspaces.values().chain(system) {
        if request.wanted.has_key(keyspace.name.as_str()) {
            keyspace_rows(table, keyspace, request.wanted, sink)?;
        }
    }
    Ok(())
}

/// The rows of a table of `system_virtual_schema`.
pub(super) fn virtual_rows(
    table: &str,
    request: &RequestInfo<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let keyspaces = request.catalogue.system.keyspaces.values();
    for keyspace in keyspaces.filter(|k| is_virtual(k.name.as_str())) {
        match table {
            "keyspaces" => sink(&vec![("keyspace_name", text(keyspace.name.as_str()))])?,
            "tables" => {
                for table in keyspace.tables.values() {
                    let mut row = of_table(table);
                    row.push(("comment", text(&table.options.comment)));
                    sink(&row)?;
                }
            }
            _ => keyspace_rows(table, keyspace, request.wanted, sink)?,
        }
    }
    Ok(())
}

/// What one keyspace comes to in one of the tables.
fn keyspace_rows(
    table: &str,
    keyspace: &Keyspace,
    wanted: &Wanted,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let each_table = |rows: fn(&Table, &mut Sink<'_>) -> Result<(), QueryError>,
                      sink: &mut Sink<'_>| match wanted.clustering() {
        Some(name) => keyspace.tables.get(name).map_or(Ok(()), |table| rows(table, sink)),
        None => keyspace.tables.values().try_for_each(|table| rows(table, sink)),
    };
    match table {
        "keyspaces" => sink(&vec![
            ("keyspace_name", text(keyspace.name.as_str())),
            ("durable_writes", Some(Value::Boolean(keyspace.durable_writes))),
            ("replication", text_map(&keyspace.replication)),
        ]),
        "tables" => each_table(|table, sink| sink(&table_row(table)), sink),
        "columns" => each_table(column_rows, sink),
        "dropped_columns" => each_table(dropped, sink),
        "types" => keyspace.types.values().try_for_each(|ty| {
            sink(&vec![
                ("keyspace_name", text(ty.keyspace.as_str())),
                ("type_name", text(ty.name.as_str())),
                ("field_names", text_list(ty.fields.iter().map(|(name, _)| name.as_str()))),
                ("field_types", text_list(ty.fields.iter().map(|(_, ty)| ty))),
            ])
        }),
        _ => Ok(()),
    }
}

fn of_table(table: &Table) -> Row<'static> {
    vec![
        ("keyspace_name", text(table.keyspace.as_str())),
        ("table_name", text(table.name.as_str())),
    ]
}

fn table_row(table: &Table) -> Row<'static> {
    let is_counter = table.regulars.iter().any(|column| column.cql_type.is_counter());
    // Without `compound` drivers take a table for one of COMPACT STORAGE and leave its clustering columns out.
    let flags = if is_counter { &["compound", "counter"][..] } else { &["compound"][..] };
    let mut row = of_table(table);
    row.push(("id", Some(Value::Uuid(table.id.0))));
    row.push(("flags", text_set(flags)));
    row.extend(option_values(&table.options));
    row
}

fn option_values(options: &TableOptions) -> Row<'static> {
    let double = |value: f64| Some(Value::Double(value));
    let int = |value: i32| Some(Value::Int(value));
    let boolean = |value: bool| Some(Value::Boolean(value));
    let extensions = options.extensions.iter();
    let extensions =
        extensions.map(|(name, bytes)| (Value::Text(name.clone()), Value::Blob(bytes.clone())));
    vec![
        ("additional_write_policy", text(&options.additional_write_policy)),
        ("allow_auto_snapshot", boolean(options.allow_auto_snapshot)),
        ("bloom_filter_fp_chance", double(options.bloom_filter_fp_chance)),
        ("caching", text_map(&options.caching)),
        ("cdc", boolean(options.cdc)),
        ("comment", text(&options.comment)),
        ("compaction", text_map(&options.compaction)),
        ("compression", text_map(&options.compression)),
        ("crc_check_chance", double(options.crc_check_chance)),
        ("dclocal_read_repair_chance", double(0.0)),
        ("default_time_to_live", int(options.default_time_to_live)),
        ("extensions", Some(Value::Map(extensions.collect()))),
        ("gc_grace_seconds", int(options.gc_grace_seconds)),
        ("incremental_backups", boolean(options.incremental_backups)),
        ("max_index_interval", int(options.max_index_interval)),
        ("memtable", text(&options.memtable)),
        ("memtable_flush_period_in_ms", int(options.memtable_flush_period_in_ms)),
        ("min_index_interval", int(options.min_index_interval)),
        ("read_repair", text(&options.read_repair)),
        ("read_repair_chance", double(0.0)),
        ("speculative_retry", text(&options.speculative_retry)),
    ]
}

fn column_rows(table: &Table, sink: &mut Sink<'_>) -> Result<(), QueryError> {
    for columns in [&table.partition_key, &table.clustering, &table.statics, &table.regulars] {
        for (place, column) in (0..).zip(columns) {
            let is_key = matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering);
            let name = column.name.as_str();
            let mut row = of_table(table);
            row.extend([
                ("column_name", text(name)),
                ("clustering_order", text(clustering_order(column))),
                ("column_name_bytes", Some(Value::Blob(name.as_bytes().to_vec()))),
                ("kind", text(kind(column))),
                ("position", Some(Value::Int(if is_key { place } else { -1 }))),
                ("type", text(column.cql_type.to_string())),
            ]);
            sink(&row)?;
        }
    }
    Ok(())
}

fn dropped(table: &Table, sink: &mut Sink<'_>) -> Result<(), QueryError> {
    for (name, dropped) in &table.dropped {
        let mut row = of_table(table);
        row.extend([
            ("column_name", text(name.as_str())),
            ("dropped_time", Some(Value::Timestamp(dropped.dropped_at.div_euclid(1000)))),
            ("kind", text(kind(&dropped.column))),
            ("type", text(dropped.column.cql_type.to_string())),
        ]);
        sink(&row)?;
    }
    Ok(())
}

fn clustering_order(column: &Column) -> &'static str {
    match (column.kind, column.descending) {
        (ColumnKind::Clustering, true) => "desc",
        (ColumnKind::Clustering, false) => "asc",
        _ => "none",
    }
}

fn kind(column: &Column) -> &'static str {
    match column.kind {
        ColumnKind::PartitionKey => "partition_key",
        ColumnKind::Clustering => "clustering",
        ColumnKind::Static => "static",
        ColumnKind::Regular => "regular",
    }
}
