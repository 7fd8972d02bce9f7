//! `system_views`: what tables and their SSTables are like. Figures of reads are since the start; those of partitions are
//! of SSTables alone, each of which counts a partition that it has a part of.

use std::collections::BTreeMap;

use tholos_grammar::value::Value;
use tholos_storage::engine::{SsTableStats, TableStats};
use tholos_storage::model::position::token_of;
use tholos_storage::read::figures::Distribution;
use tholos_storage::schema::Table;

use super::RequestInfo;
use super::catalogue::Sink;
use super::rows::{Row, text};
use crate::error::QueryError;
use crate::execute::tombstones::partition_text;

/// Partitions that `largest_partitions` has of each table.
const MOST_LARGEST: usize = 20;

/// The rows of one of the tables that this module has; false if it has none of that name.
pub(super) fn fill(
    name: &str,
    request: &RequestInfo<'_>,
    sink: &mut Sink<'_>,
) -> Result<bool, QueryError> {
    let system = request.system;
    match name {
        "disk_usage" => each_table(request, sink, |table| mebibytes(table, table.file_bytes())),
        "max_partition_size" => {
            each_table(request, sink, |table| mebibytes(table, table.max_partition_bytes))
        }
        "max_sstable_size" => each_table(request, sink, |table| {
            let largest = table.files.iter().map(|(_, bytes)| *bytes).max();
            mebibytes(table, largest.unwrap_or(0))
        }),
        "tombstones_per_read" => {
            each_table(request, sink, |table| distribution(table, &table.reads.tombstones))
        }
        "rows_per_read" => {
            each_table(request, sink, |table| distribution(table, &table.reads.rows))
        }
        "sstables_per_read" => {
            each_table(request, sink, |table| distribution(table, &table.reads.sstables))
        }
        "pending_compactions" => each_table(request, sink, |table| pending(table, request)),
        "sstables" => system.sstables().iter().try_for_each(|file| sink(&sstable(file))),
        "partition_size_histogram" => by_table(&system.sstables())
            .into_values()
            .flat_map(|files| sizes(&files))
            .try_for_each(|row| sink(&row)),
        "largest_partitions" => by_table(&system.sstables())
            .into_values()
            .flat_map(|files| largest(&files, request))
            .try_for_each(|row| sink(&row)),
        _ => return Ok(false),
    }?;
    Ok(true)
}

fn each_table(
    request: &RequestInfo<'_>,
    sink: &mut Sink<'_>,
    row: impl Fn(&TableStats) -> Row<'static>,
) -> Result<(), QueryError> {
    request.system.tables().iter().try_for_each(|table| sink(&row(table)))
}

fn bigint(number: u64) -> Option<Value> {
    Some(Value::Bigint(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn int(number: usize) -> Option<Value> {
    Some(Value::Int(i32::try_from(number).unwrap_or(i32::MAX)))
}

fn named(keyspace: &str, table: &str) -> Row<'static> {
    vec![("keyspace_name", text(keyspace)), ("table_name", text(table))]
}

/// Rounded up, as Cassandra's tables of these names do.
fn mebibytes(table: &TableStats, bytes: u64) -> Row<'static> {
    let mut row = named(&table.keyspace, &table.name);
    row.push(("mebibytes", bigint(bytes.div_ceil(1 << 20))));
    row
}

fn distribution(table: &TableStats, of: &Distribution) -> Row<'static> {
    let double = |number: u64| Some(Value::Double(number as f64));
    let mut row = named(&table.keyspace, &table.name);
    row.extend([
        ("count", bigint(of.count())),
        ("max", double(of.max)),
        ("p50th", double(of.quantile(0.5))),
        ("p99th", double(of.quantile(0.99))),
    ]);
    row
}

fn schema_table<'r>(request: &RequestInfo<'r>, keyspace: &str, table: &str) -> Option<&'r Table> {
    request.catalogue.table(keyspace, table).map(AsRef::as_ref)
}

fn pending(table: &TableStats, request: &RequestInfo<'_>) -> Row<'static> {
    let known = schema_table(request, &table.keyspace, &table.name);
    let class = known.and_then(|known| known.options.compaction.get("class"));
    let strategy = class.and_then(|class| class.rsplit('.').next());
    let mut row = named(&table.keyspace, &table.name);
    row.extend([
        ("backlog_bytes", bigint(table.compaction_backlog_bytes)),
        ("strategy", strategy.and_then(text)),
        ("tasks", int(table.pending_compactions)),
    ]);
    row
}

fn sstable(stats: &SsTableStats) -> Row<'static> {
    let file = &stats.file;
    let statistics = &file.statistics;
    let written_at = statistics.partition_sizes.as_ref().map_or(0, |sizes| sizes.written_at);
    let created = (written_at > 0).then(|| Value::Timestamp(written_at.div_euclid(1000)));
    let mut row = named(&stats.keyspace, &stats.table);
    row.extend([
        ("number", bigint(file.number)),
        ("bytes", bigint(statistics.file_bytes)),
        ("cells", bigint(statistics.cells)),
        ("compacting", Some(Value::Boolean(stats.compacting))),
        ("created", created),
        ("damaged", Some(Value::Boolean(stats.damaged))),
        ("droppable_tombstones", bigint(stats.droppable_tombstones)),
        ("first_token", Some(Value::Bigint(token_of(&statistics.min_key)))),
        ("last_token", Some(Value::Bigint(token_of(&statistics.max_key)))),
        ("max_timestamp", Some(Value::Bigint(statistics.max_timestamp))),
        ("min_timestamp", Some(Value::Bigint(statistics.min_timestamp))),
        ("partitions", bigint(statistics.partitions)),
        ("path", text(stats.path.display().to_string())),
        ("rows", bigint(statistics.rows)),
        ("run", bigint(file.run)),
        ("slices", int(usize::try_from(file.slices).unwrap_or(usize::MAX))),
        ("tombstones", bigint(statistics.tombstones)),
        ("uncompressed_bytes", bigint(statistics.uncompressed_bytes)),
    ]);
    row
}

/// Files by keyspace and table.
fn by_table(files: &[SsTableStats]) -> BTreeMap<(&str, &str), Vec<&SsTableStats>> {
    let mut tables: BTreeMap<(&str, &str), Vec<&SsTableStats>> = BTreeMap::new();
    for file in files {
        tables.entry((&file.keyspace, &file.table)).or_default().push(file);
    }
    tables
}

fn sizes(files: &[&SsTableStats]) -> Vec<Row<'static>> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let known = files.iter().filter_map(|file| file.file.statistics.partition_sizes.as_ref());
    for (bound, count) in known.flat_map(|sizes| &sizes.histogram) {
        *counts.entry(*bound).or_default() += count;
    }
    let Some(first) = files.first() else { return Vec::new() };
    let row = |(bound, count): (u64, u64)| {
        let mut row = named(&first.keyspace, &first.table);
        row.extend([("up_to_bytes", bigint(bound)), ("partitions", bigint(count))]);
        row
    };
    counts.into_iter().map(row).collect()
}

/// What the files that have a partition among their largest say of it, together.
#[derive(Clone, Copy, Default)]
struct Large {
    bytes: u64,
    rows: u64,
    sstables: usize,
}

fn largest(files: &[&SsTableStats], request: &RequestInfo<'_>) -> Vec<Row<'static>> {
    let Some(first) = files.first() else { return Vec::new() };
    let mut partitions: BTreeMap<&[u8], Large> = BTreeMap::new();
    let known = files.iter().filter_map(|file| file.file.statistics.partition_sizes.as_ref());
    for partition in known.flat_map(|sizes| &sizes.largest) {
        let large = partitions.entry(&partition.key).or_default();
        large.bytes += partition.bytes;
        large.rows += partition.rows;
        large.sstables += 1;
    }
    let mut partitions: Vec<(&[u8], Large)> = partitions.into_iter().collect();
    partitions.sort_by_key(|(key, large)| (std::cmp::Reverse(large.bytes), *key));
    partitions.truncate(MOST_LARGEST);
    let schema = schema_table(request, &first.keyspace, &first.table);
    let row = |(rank, (key, large)): (usize, (&[u8], Large))| {
        let mut row = named(&first.keyspace, &first.table);
        row.extend([
            ("rank", int(rank + 1)),
            ("bytes", bigint(large.bytes)),
            ("partition", schema.and_then(|table| text(partition_text(table, key)))),
            ("rows", bigint(large.rows)),
            ("sstables", int(large.sstables)),
            ("token", Some(Value::Bigint(token_of(key)))),
        ]);
        row
    };
    partitions.into_iter().enumerate().map(row).collect()
}
