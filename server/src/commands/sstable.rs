//! `tholos sstable`: what one file holds, for people and for tools.
//!
//! Works on any SSTable, of a running node too: files never change once they are written. Where the file lies in a data
//! directory (or a snapshot), keys and values are shown by that schema; elsewhere as bytes.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tholos_grammar::value::literal::time::format_timestamp;
use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::fs::real::RealFs;
use tholos_storage::model::Timestamp;
use tholos_storage::model::position::token_of;
use tholos_storage::schema::{Schema, Table};
use tholos_storage::snapshot;
use tholos_storage::sstable::{
    BlockTotals, Damage, InspectedBlock, Inspector, LargePartition, Overview, Statistics,
};
use uuid::Uuid;

use super::dump::{Dump, KeyText};
use super::text::{damage_text, full_name, hex, seconds_text};
use super::{FAILED, failed};
use crate::cli::SstableCommand;
use crate::schema_store;
use crate::system::schema::stored_schema;

/// Why a file could not be shown to its end.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The output.
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
}

/// Carries out `tholos sstable`.
pub(super) fn main(command: &SstableCommand) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = match command {
        SstableCommand::Dump { file, json } => dump(&RealFs, file, *json, &mut out),
        SstableCommand::Stats { file, json } => stats(&RealFs, file, *json, &mut out),
    };
    match result.and_then(|damages| out.flush().map(|()| damages).map_err(InspectError::from)) {
        Ok(damages) if damages.is_empty() => ExitCode::SUCCESS,
        Ok(damages) => {
            for damage in &damages {
                eprintln!("tholos: {}", damage_text(damage));
            }
            ExitCode::from(FAILED)
        }
        // Whoever reads the output has seen enough.
        Err(InspectError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, FAILED),
    }
}

/// Writes every entry of a file that can be read, and says what could not be.
///
/// # Errors
/// The file is no SSTable, or can't be read; the output can't be written.
pub fn dump(
    fs: &dyn Fs,
    path: &Path,
    json: bool,
    out: &mut dyn Write,
) -> Result<Vec<Damage>, InspectError> {
    let mut inspector = Inspector::open(fs, path)?;
    let table = table_of(fs, path);
    let mut dump = Dump::new(table.as_deref(), json);
    dump.head(path, out)?;
    let mut damages = Vec::new();
    while let Some(step) = inspector.next_block()? {
        let damage = match step {
            Ok(mut block) => entries(&mut block, &mut dump, out)?,
            Err(damage) => Some(damage),
        };
        if let Some(damage) = damage {
            dump.damage(&damage, out)?;
            damages.push(damage);
        }
    }
    Ok(damages)
}

fn entries(
    block: &mut InspectedBlock,
    dump: &mut Dump<'_>,
    out: &mut dyn Write,
) -> Result<Option<Damage>, InspectError> {
    loop {
        match block.next_entry() {
            Ok(Some(entry)) => dump.entry(&entry, out)?,
            Ok(None) => return Ok(None),
            Err(damage) => return Ok(Some(damage)),
        }
    }
}

/// Writes what a file says of itself and what it is made of.
///
/// # Errors
/// As [`dump`].
pub fn stats(
    fs: &dyn Fs,
    path: &Path,
    json: bool,
    out: &mut dyn Write,
) -> Result<Vec<Damage>, InspectError> {
    let mut inspector = Inspector::open(fs, path)?;
    let mut damages = inspector.count_blocks()?;
    let statistics = unless_damaged(inspector.statistics(), &mut damages)?;
    let false_positives = unless_damaged(inspector.filter_false_positives(), &mut damages)?;
    let table = table_of(fs, path);
    let facts = Facts {
        overview: inspector.overview(),
        statistics: statistics.as_ref(),
        false_positives: false_positives.flatten(),
        keys: KeyText::new(table.as_deref()),
    };
    if json {
        writeln!(out, "{}", facts.json(path, table.as_deref()))?;
    } else {
        facts.text(path, table.as_deref(), out)?;
    }
    Ok(damages)
}

fn unless_damaged<T>(
    result: Result<T, StorageError>,
    damages: &mut Vec<Damage>,
) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StorageError::Corrupt { offset, what, .. }) => {
            damages.push(Damage { offset, what, keys: None });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The table that a file belongs to, by the directory it lies in: `<keyspace>/<table>-<id>` of a data directory or of a
/// snapshot.
fn table_of(fs: &dyn Fs, path: &Path) -> Option<Arc<Table>> {
    let dir = std::path::absolute(path).ok()?.parent()?.to_path_buf();
    let id = Uuid::try_parse(dir.file_name()?.to_str()?.rsplit_once('-')?.1).ok()?;
    let root = dir.parent()?.parent()?;
    let schema = match snapshot::read(fs, root) {
        Ok(snapshot) => Arc::new(snapshot.schema),
        Err(_) => schema_store::read(fs, root.parent()?.parent()?).ok()?.schema,
    };
    find_table(&schema, id).or_else(|| find_table(&stored_schema(), id))
}

fn find_table(schema: &Schema, id: Uuid) -> Option<Arc<Table>> {
    let mut tables = schema.keyspaces.values().flat_map(|keyspace| keyspace.tables.values());
    tables.find(|table| table.id.0 == id).cloned()
}

/// What `stats` tells.
struct Facts<'a> {
    overview: &'a Overview,
    statistics: Option<&'a Statistics>,
    false_positives: Option<f64>,
    keys: KeyText<'a>,
}

impl Facts<'_> {
    fn text(&self, path: &Path, table: Option<&Table>, out: &mut dyn Write) -> io::Result<()> {
        let mut line = |name: &str, value: String| writeln!(out, "{name:<24}{value}");
        line("file", path.display().to_string())?;
        line("table", table.map_or("unknown".to_string(), full_name))?;
        let Overview { version, file_bytes, base, data, index, top_index_bytes, filter_bytes } =
            self.overview;
        line("format version", version.to_string())?;
        line("bytes", file_bytes.to_string())?;
        line("data blocks", blocks(data))?;
        line("index blocks", blocks(index))?;
        line("top index", format!("{top_index_bytes} bytes"))?;
        line("filter", self.filter(*filter_bytes))?;
        line("base timestamp", base.to_string())?;
        let Some(s) = self.statistics else {
            return line("statistics", "damaged: see below".to_string());
        };
        line("partitions", s.partitions.to_string())?;
        line("rows", s.rows.to_string())?;
        line("cells", s.cells.to_string())?;
        line(
            "tombstones",
            format!(
                "{} (partitions: {}, ranges: {})",
                s.tombstones, s.partition_deletions, s.range_deletions
            ),
        )?;
        line("timestamps", range(s.min_timestamp, s.max_timestamp, micros_text))?;
        line("live timestamps from", micros_text(s.min_live_timestamp))?;
        line("ends", range(s.min_deleted_at, s.max_deleted_at, seconds_text))?;
        let tokens = [&s.min_key, &s.max_key].map(|key| token_text(key));
        line("tokens", format!("{} to {}", tokens[0], tokens[1]))?;
        line("first key", self.keys.key(&s.min_key))?;
        line("last key", self.keys.key(&s.max_key))?;
        if let Some(sizes) = &s.partition_sizes {
            line("written", micros_text(sizes.written_at))?;
            if let Some(largest) = sizes.largest.first() {
                let key = self.keys.key(&largest.key);
                let LargePartition { bytes, rows, .. } = largest;
                line("largest partition", format!("{bytes} bytes, {rows} rows: {key}"))?;
            }
        }
        for (end, count) in &s.tombstone_times {
            line("tombstones until", format!("{}: {count}", seconds_text(*end)))?;
        }
        Ok(())
    }

    fn filter(&self, bytes: u64) -> String {
        let partitions = self.statistics.map_or(0, |statistics| statistics.partitions);
        match self.false_positives {
            None => "none".to_string(),
            Some(share) => format!(
                "{bytes} bytes, {:.1} bits for each partition, lets {:.4} % of absent ones through",
                bytes as f64 * 8.0 / partitions.max(1) as f64,
                share * 100.0
            ),
        }
    }

    fn json(&self, path: &Path, table: Option<&Table>) -> serde_json::Value {
        let Overview { version, file_bytes, base, data, index, top_index_bytes, filter_bytes } =
            self.overview;
        let blocks = |totals: &BlockTotals| {
            serde_json::json!({
                "blocks": totals.blocks, "stored_bytes": totals.stored_bytes,
                "raw_bytes": totals.raw_bytes, "uncompressed": totals.uncompressed,
                "lz4": totals.lz4, "zstd": totals.zstd,
            })
        };
        let statistics = self.statistics.map(|s| {
            serde_json::json!({
                "partitions": s.partitions, "rows": s.rows, "cells": s.cells,
                "tombstones": s.tombstones, "partition_deletions": s.partition_deletions,
                "range_deletions": s.range_deletions, "min_timestamp": s.min_timestamp,
                "max_timestamp": s.max_timestamp, "min_live_timestamp": s.min_live_timestamp,
                "min_deleted_at": s.min_deleted_at, "max_deleted_at": s.max_deleted_at,
                "min_key": hex(&s.min_key), "max_key": hex(&s.max_key),
                "min_token": token_text(&s.min_key), "max_token": token_text(&s.max_key),
                "tombstone_times": s.tombstone_times,
                "written_at": s.partition_sizes.as_ref().map(|sizes| sizes.written_at),
                "max_partition_bytes": s.partition_sizes.as_ref().map(|sizes| sizes.max_bytes),
                "partition_size_histogram": s.partition_sizes.as_ref().map(|sizes| &sizes.histogram),
                "largest_partitions": s.partition_sizes.as_ref().map(|sizes| {
                    let json = |large: &LargePartition| serde_json::json!({
                        "key": hex(&large.key), "bytes": large.bytes, "rows": large.rows,
                    });
                    sizes.largest.iter().map(json).collect::<Vec<_>>()
                }),
            })
        });
        serde_json::json!({
            "file": path.display().to_string(), "table": table.map(full_name), "version": version,
            "file_bytes": file_bytes, "base_timestamp": base, "data": blocks(data),
            "index": blocks(index), "top_index_bytes": top_index_bytes,
            "filter_bytes": filter_bytes, "filter_false_positives": self.false_positives,
            "statistics": statistics,
        })
    }
}

fn blocks(totals: &BlockTotals) -> String {
    let BlockTotals { blocks, stored_bytes, raw_bytes, uncompressed, lz4, zstd } = totals;
    let ratio = *stored_bytes as f64 / (*raw_bytes).max(1) as f64;
    format!(
        "{blocks} of {stored_bytes} bytes, {raw_bytes} before compression (ratio {ratio:.3}); \
         LZ4 {lz4}, Zstandard {zstd}, uncompressed {uncompressed}"
    )
}

fn range<T: PartialOrd + Copy>(least: T, greatest: T, text: fn(T) -> String) -> String {
    if least > greatest {
        return "none".to_string();
    }
    format!("{} to {}", text(least), text(greatest))
}

fn token_text(key: &[u8]) -> String {
    if key.len() < 8 { "none".to_string() } else { token_of(key).to_string() }
}

fn micros_text(micros: Timestamp) -> String {
    match format_timestamp(micros.div_euclid(1000)) {
        Some(text) if micros != Timestamp::MAX => format!("{micros} ({text})"),
        _ if micros == Timestamp::MAX => "none".to_string(),
        _ => micros.to_string(),
    }
}
