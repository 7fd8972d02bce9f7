//! Entries of an SSTable as text or as JSON, one line for each thing that has a timestamp of its own.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;
use tholos_storage::key::decode_component;
use tholos_storage::model::entry::{Content, Entry, RowRef};
use tholos_storage::model::position::{AFTER, BEFORE, COMPONENT, HEADER, ROW, STATIC, token_of};
use tholos_storage::model::row::{CellRef, RowItem};
use tholos_storage::model::{CellState, ColumnId, Deletion, Liveness, WRITTEN_KEYS, written_key};
use tholos_storage::schema::{Column, Table};
use tholos_storage::sstable::Damage;

use super::text::{damage_text, full_name, hex, seconds_text};

/// Writes entries.
pub(super) struct Dump<'t> {
    keys: KeyText<'t>,
    columns: BTreeMap<ColumnId, &'t Column>,
    json: bool,
    /// Prefix of the partition that was written last.
    partition: Vec<u8>,
}

impl<'t> Dump<'t> {
    /// Shows names and values as that table has them; without one, ids and bytes.
    pub(super) fn new(table: Option<&'t Table>, json: bool) -> Dump<'t> {
        let dropped = table.into_iter().flat_map(|table| table.dropped.values());
        let columns = table.into_iter().flat_map(Table::columns);
        let columns = dropped.map(|dropped| &dropped.column).chain(columns);
        let clustering = table.into_iter().flat_map(|table| (0u16..).zip(&table.clustering));
        let as_written = clustering.map(|(place, column)| (written_key(place), column));
        let columns = columns.map(|column| (column.id, column)).chain(as_written).collect();
        Dump { keys: KeyText::new(table), columns, json, partition: Vec::new() }
    }

    pub(super) fn head(&self, path: &Path, out: &mut dyn Write) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let table = self.keys.table.map_or("a table whose schema is not known".into(), full_name);
        writeln!(out, "# {}: {table}", path.display())
    }

    pub(super) fn damage(&self, damage: &Damage, out: &mut dyn Write) -> io::Result<()> {
        if !self.json {
            return writeln!(out, "# {}", damage_text(damage));
        }
        let keys = damage.keys.as_ref();
        let line = json!({
            "type": "damage", "offset": damage.offset, "what": damage.what,
            "tokens": keys.map(|keys| keys.tokens()),
            "lower_key": keys.map(|keys| hex(&keys.lower)),
            "upper_key": keys.and_then(|keys| keys.upper.as_ref()).map(|upper| hex(upper)),
        });
        writeln!(out, "{line}")
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>, out: &mut dyn Write) -> io::Result<()> {
        if self.json {
            return writeln!(out, "{}", self.entry_json(entry));
        }
        let (partition, position) = split(entry);
        if partition != self.partition {
            writeln!(out, "partition {}", self.keys.partition(partition))?;
            self.partition = partition.to_vec();
        }
        match entry.content {
            Content::Partition(deletion) => writeln!(out, "  deletion {}", deletion_text(deletion)),
            Content::Marker { before, after } => {
                let sides = match (before.is_none(), after.is_none()) {
                    (true, _) => format!("opens {}", deletion_text(after)),
                    (_, true) => format!("closes {}", deletion_text(before)),
                    _ => {
                        format!("closes {}, opens {}", deletion_text(before), deletion_text(after))
                    }
                };
                writeln!(out, "  marker {}: {sides}", self.keys.position(position))
            }
            Content::Row(row) => {
                write!(out, "  {}", self.keys.position(position))?;
                self.row(row, out)
            }
        }
    }

    fn row(&self, row: RowRef<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (header, items) = match row.parts() {
            Ok(parts) => parts,
            Err(error) => return writeln!(out, " does not decode: {error}"),
        };
        if let Some(liveness) = header.liveness {
            write!(out, " live {}", liveness_text(liveness))?;
        }
        if let Some(deletion) = header.deletion {
            write!(out, " deletion {}", deletion_text(deletion))?;
        }
        writeln!(out)?;
        for item in items {
            match item {
                Ok(RowItem::Deletion { column, deletion }) => {
                    writeln!(
                        out,
                        "    {} deletion {}",
                        self.name(column),
                        deletion_text(deletion)
                    )?;
                }
                Ok(RowItem::Cell(cell)) => writeln!(out, "    {}", self.cell(&cell))?,
                Err(error) => writeln!(out, "    the rest does not decode: {error}")?,
            }
        }
        Ok(())
    }

    fn cell(&self, cell: &CellRef<'_>) -> String {
        let CellText { path, value } = self.cell_text(cell);
        let path = path.map(|path| format!("[{path}]")).unwrap_or_default();
        let name = self.name(cell.column);
        let ts = cell.timestamp;
        match cell.state {
            CellState::Live => format!("{name}{path} = {value} ts={ts}"),
            CellState::Expiring { expires_at, ttl } => {
                let expires_at = seconds_text(expires_at);
                format!("{name}{path} = {value} ts={ts} ttl={ttl} expires_at={expires_at}")
            }
            CellState::Tombstone { deleted_at } => {
                format!("{name}{path} tombstone ts={ts} deleted_at={}", seconds_text(deleted_at))
            }
        }
    }

    fn name(&self, column: ColumnId) -> String {
        match self.columns.get(&column) {
            Some(known) if column >= WRITTEN_KEYS => format!("{} as written", known.name),
            Some(known) => known.name.to_string(),
            None => format!("column {column}"),
        }
    }

    fn cell_text(&self, cell: &CellRef<'_>) -> CellText {
        let column = self.columns.get(&cell.column);
        let Some(path) = cell.path else {
            let value = match column {
                Some(column) => value_text(&column.cql_type, cell.value),
                None => hex(cell.value),
            };
            return CellText { path: None, value };
        };
        let (path, value) = match column.map(|column| &column.cql_type) {
            Some(CqlType::Set { element, .. }) => (path_text(element, path), "present".to_string()),
            Some(CqlType::Map { key, value, .. }) => {
                (path_text(key, path), value_text(value, cell.value))
            }
            Some(CqlType::List { element, .. }) => (hex(path), value_text(element, cell.value)),
            Some(CqlType::Udt { definition, .. }) => {
                let number = <[u8; 2]>::try_from(path).map(u16::from_be_bytes).ok();
                match number.and_then(|number| definition.fields.get(usize::from(number))) {
                    Some((name, ty)) => (name.to_string(), value_text(ty, cell.value)),
                    None => (hex(path), hex(cell.value)),
                }
            }
            _ => (hex(path), hex(cell.value)),
        };
        CellText { path: Some(path), value }
    }

    fn entry_json(&self, entry: &Entry<'_>) -> Json {
        let (partition, position) = split(entry);
        let mut line = Map::new();
        let kind = match (entry.content, position.last()) {
            (Content::Partition(_), _) => "partition_deletion",
            (Content::Marker { .. }, _) => "marker",
            (Content::Row(_), Some(&STATIC)) => "static_row",
            (Content::Row(_), _) => "row",
        };
        line.insert("type".into(), kind.into());
        line.insert("key".into(), hex(entry.key).into());
        line.insert("token".into(), token(partition).into());
        if let Some(values) = self.keys.partition_values(partition) {
            line.insert("partition".into(), named(values));
        }
        if let Some(values) = self.keys.clustering_values(position) {
            line.insert("clustering".into(), named(values));
        }
        match entry.content {
            Content::Partition(deletion) => {
                line.insert("deletion".into(), deletion_json(deletion));
            }
            Content::Marker { before, after } => {
                let weight = if position.last() == Some(&AFTER) { "after" } else { "before" };
                line.insert("bound".into(), weight.into());
                line.insert("deletion_before".into(), deletion_json(before));
                line.insert("deletion_after".into(), deletion_json(after));
            }
            Content::Row(row) => self.row_json(row, &mut line),
        }
        Json::Object(line)
    }

    fn row_json(&self, row: RowRef<'_>, line: &mut Map<String, Json>) {
        let (header, items) = match row.parts() {
            Ok(parts) => parts,
            Err(error) => {
                line.insert("error".into(), error.to_string().into());
                return;
            }
        };
        if let Some(Liveness { timestamp, ttl, expires_at }) = header.liveness {
            let liveness = match ttl {
                0 => json!({ "timestamp": timestamp }),
                _ => json!({ "timestamp": timestamp, "ttl": ttl, "expires_at": expires_at }),
            };
            line.insert("liveness".into(), liveness);
        }
        if let Some(deletion) = header.deletion {
            line.insert("deletion".into(), deletion_json(deletion));
        }
        let cells = items.map(|item| match item {
            Ok(RowItem::Deletion { column, deletion }) => {
                json!({ "column": self.name(column), "deletion": deletion_json(deletion) })
            }
            Ok(RowItem::Cell(cell)) => self.cell_json(&cell),
            Err(error) => json!({ "error": error.to_string() }),
        });
        line.insert("cells".into(), cells.collect());
    }

    fn cell_json(&self, cell: &CellRef<'_>) -> Json {
        let CellText { path, value } = self.cell_text(cell);
        let mut json = json!({ "column": self.name(cell.column), "timestamp": cell.timestamp });
        let mut set = |name: &str, value: Json| json[name] = value;
        if let Some(path) = path {
            set("path", path.into());
        }
        match cell.state {
            CellState::Live => set("value", value.into()),
            CellState::Expiring { expires_at, ttl } => {
                set("value", value.into());
                set("ttl", ttl.into());
                set("expires_at", expires_at.into());
            }
            CellState::Tombstone { deleted_at } => set("deleted_at", deleted_at.into()),
        }
        json
    }
}

struct CellText {
    path: Option<String>,
    value: String,
}

/// Names of columns and their values.
type Named = Vec<(String, String)>;

/// Keys as text.
#[derive(Clone, Copy)]
pub(super) struct KeyText<'t> {
    table: Option<&'t Table>,
}

impl<'t> KeyText<'t> {
    pub(super) fn new(table: Option<&'t Table>) -> KeyText<'t> {
        KeyText { table }
    }

    /// A whole key, or the beginning of one.
    pub(super) fn key(self, key: &[u8]) -> String {
        let values = self.partition_values(key).map(|values| format!(" ({})", tuple(&values)));
        format!("{}{}", hex(key), values.unwrap_or_default())
    }

    /// A partition prefix.
    fn partition(self, prefix: &[u8]) -> String {
        let values = match self.partition_values(prefix) {
            Some(values) => format!(" ({})", tuple(&values)),
            None => String::new(),
        };
        let token = token(prefix).map(|token| format!("token={token} ")).unwrap_or_default();
        format!("{token}key={}{values}", hex(prefix))
    }

    fn position(self, position: &[u8]) -> String {
        let values = match self.clustering_values(position) {
            Some(values) if values.is_empty() => String::new(),
            Some(values) => format!(" ({})", tuple(&values)),
            None => format!(" {}", hex(position)),
        };
        let place = match position.last() {
            Some(&HEADER) => "partition",
            Some(&STATIC) => "static row",
            Some(&BEFORE) => "before",
            Some(&ROW) => "row",
            Some(&AFTER) => "after",
            _ => "position",
        };
        format!("{place}{values}")
    }

    fn partition_values(self, prefix: &[u8]) -> Option<Named> {
        let mut rest = prefix.get(8..)?;
        self.table?.partition_key.iter().map(|column| component(column, &mut rest)).collect()
    }

    fn clustering_values(self, position: &[u8]) -> Option<Named> {
        let mut rest = position;
        let mut values = Vec::new();
        for column in &self.table?.clustering {
            match rest.split_first() {
                Some((&COMPONENT, after)) => rest = after,
                _ => break,
            }
            values.push(component(column, &mut rest)?);
        }
        Some(values)
    }
}

fn split<'e>(entry: &Entry<'e>) -> (&'e [u8], &'e [u8]) {
    entry.key.split_at_checked(entry.partition_len).unwrap_or((entry.key, &[]))
}

fn token(prefix: &[u8]) -> Option<i64> {
    (prefix.len() >= 8).then(|| token_of(prefix))
}

fn component(column: &Column, rest: &mut &[u8]) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    decode_component(&column.cql_type, column.descending, rest, &mut bytes).ok()?;
    Some((column.name.to_string(), value_text(&column.cql_type, &bytes)))
}

fn path_text(ty: &CqlType, mut path: &[u8]) -> String {
    let mut bytes = Vec::new();
    match decode_component(ty, false, &mut path, &mut bytes) {
        Ok(()) => value_text(ty, &bytes),
        Err(_) => hex(path),
    }
}

/// A CQL literal, or the bytes of what is no value of its type.
fn value_text(ty: &CqlType, bytes: &[u8]) -> String {
    Value::decode(ty, bytes).map_or_else(|_| hex(bytes), |value| value.literal(ty))
}

fn tuple(values: &Named) -> String {
    values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

fn named(values: Named) -> Json {
    values.into_iter().map(|(name, value)| (name, Json::from(value))).collect::<Map<_, _>>().into()
}

fn deletion_text(deletion: Deletion) -> String {
    format!("ts={} deleted_at={}", deletion.timestamp, seconds_text(deletion.deleted_at))
}

fn deletion_json(deletion: Deletion) -> Json {
    if deletion.is_none() {
        return Json::Null;
    }
    json!({ "timestamp": deletion.timestamp, "deleted_at": deletion.deleted_at })
}

fn liveness_text(liveness: Liveness) -> String {
    match liveness.ttl {
        0 => format!("ts={}", liveness.timestamp),
        ttl => format!(
            "ts={} ttl={ttl} expires_at={}",
            liveness.timestamp,
            seconds_text(liveness.expires_at)
        ),
    }
}
