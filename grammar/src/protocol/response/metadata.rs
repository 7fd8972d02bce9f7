//! Metadata of rows and of prepared statements (native protocol v5, sections 4.2.5.2 and 4.2.5.4).

use crate::name::Name;
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::option::{decode_type, encode_type};
use crate::protocol::primitive::{
    patch, read_bytes, read_int, read_short, read_short_bytes, read_string, write_bytes, write_int,
    write_length, write_short, write_short_bytes, write_string,
};
use crate::types::CqlType;

const GLOBAL_TABLE_SPEC: i32 = 0x0001;
const HAS_MORE_PAGES: i32 = 0x0002;
const NO_METADATA: i32 = 0x0004;
const METADATA_CHANGED: i32 = 0x0008;

/// A column of a result, or a marker of a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Keyspace of the table.
    pub keyspace: Name,
    /// The table it belongs to.
    pub table: Name,
    /// The column's name, alias or expression; the marker's name.
    pub name: String,
    /// Type of its values. On the wire no type says whether it is frozen.
    pub column_type: CqlType,
}

/// Metadata of rows, as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultMetadata {
    /// How many columns each row has.
    pub column_count: usize,
    /// The columns, or nothing if the client asked to leave them out.
    pub columns: Vec<ColumnSpec>,
    /// Where the next page begins, if there is one.
    pub paging_state: Option<Vec<u8>>,
    /// The metadata's id, if it differs from what EXECUTE said to know (v5).
    pub new_metadata_id: Option<Vec<u8>>,
}

/// Metadata of the markers of a prepared statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedMetadata {
    /// The markers in order.
    pub columns: Vec<ColumnSpec>,
    /// For each column of the partition key, the marker that gives its value; empty if some column has none.
    pub partition_key_indexes: Vec<u16>,
}

/// Columns of a result encoded once, to be sent with many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedColumns {
    flags: i32,
    count: usize,
    specs: Vec<u8>,
    /// As v4 has them, where that differs.
    specs_v4: Option<Vec<u8>>,
}

impl ResultMetadata {
    /// Metadata of a result with these columns, not paged.
    pub fn of(columns: Vec<ColumnSpec>) -> ResultMetadata {
        ResultMetadata { column_count: columns.len(), columns, ..ResultMetadata::default() }
    }

    /// Reads metadata.
    pub fn decode(input: &mut &[u8]) -> Result<ResultMetadata, NotationError> {
        let flags = read_int(input)?;
        let column_count = read_count(input, "count of columns")?;
        let paging_state =
            if flags & HAS_MORE_PAGES != 0 { read_bytes(input)?.map(<[u8]>::to_vec) } else { None };
        let new_metadata_id = if flags & METADATA_CHANGED != 0 {
            Some(read_short_bytes(input)?.to_vec())
        } else {
            None
        };
        let columns = if flags & NO_METADATA != 0 {
            Vec::new()
        } else {
            read_columns(input, flags, column_count)?
        };
        Ok(ResultMetadata { column_count, columns, paging_state, new_metadata_id })
    }

    /// Appends metadata; without columns as such that leaves them out.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let encoded = EncodedColumns::new(&self.columns);
        let id = self.new_metadata_id.as_deref().filter(|_| version >= Version::V5);
        let left_out = self.columns.is_empty();
        let start = out.len();
        let encoded = EncodedColumns { count: self.column_count, ..encoded };
        encoded.encode(out, version, left_out, id);
        if let Some(state) = &self.paging_state {
            insert_paging_state(out, start, state);
        }
    }
}

impl EncodedColumns {
    /// Encodes the columns; the table is written once if all have the same.
    pub fn new(columns: &[ColumnSpec]) -> EncodedColumns {
        let (mut specs, mut specs_v4) = (Vec::new(), Vec::new());
        let flags = write_columns(&mut specs, columns, Version::V5);
        write_columns(&mut specs_v4, columns, Version::V4);
        let specs_v4 = (specs_v4 != specs).then_some(specs_v4);
        EncodedColumns { flags, count: columns.len(), specs, specs_v4 }
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Appends metadata of a page. `skip` leaves the columns out, as the client asked; `new_metadata_id` (v5 only) says
    /// that they are not those that EXECUTE said to know, and then they should not be skipped.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        version: Version,
        skip: bool,
        new_metadata_id: Option<&[u8]>,
    ) {
        let flags = if skip { NO_METADATA } else { self.flags };
        let changed = if new_metadata_id.is_some() { METADATA_CHANGED } else { 0 };
        write_int(out, flags | changed);
        write_length(out, self.count);
        if let Some(id) = new_metadata_id {
            write_short_bytes(out, id);
        }
        if !skip {
            let differing = self.specs_v4.as_ref().filter(|_| version < Version::V5);
            out.extend_from_slice(differing.unwrap_or(&self.specs));
        }
    }
}

/// Puts a paging state into metadata that was appended at `start` without one: after a page's rows are known, the
/// bytes after its flags and count move up.
pub(super) fn insert_paging_state(out: &mut Vec<u8>, start: usize, state: &[u8]) {
    let flags = out
        .get(start..)
        .and_then(|metadata| metadata.first_chunk::<4>())
        .copied()
        .unwrap_or_default();
    let flags = i32::from_be_bytes(flags) | HAS_MORE_PAGES;
    patch(out, start, &flags.to_be_bytes());
    let mut encoded = Vec::with_capacity(4 + state.len());
    write_bytes(&mut encoded, Some(state));
    let at = start + 8;
    out.splice(at..at, encoded);
}

impl PreparedMetadata {
    /// Reads metadata.
    pub fn decode(input: &mut &[u8]) -> Result<PreparedMetadata, NotationError> {
        let flags = read_int(input)?;
        let column_count = read_count(input, "count of columns")?;
        let key_count = read_count(input, "count of partition key columns")?;
        let partition_key_indexes =
            (0..key_count).map(|_| read_short(input)).collect::<Result<Vec<_>, _>>()?;
        let columns = read_columns(input, flags, column_count)?;
        Ok(PreparedMetadata { columns, partition_key_indexes })
    }

    /// Appends metadata.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let mut specs = Vec::new();
        let flags = write_columns(&mut specs, &self.columns, version);
        write_int(out, flags);
        write_length(out, self.columns.len());
        write_length(out, self.partition_key_indexes.len());
        for index in &self.partition_key_indexes {
            write_short(out, *index);
        }
        out.extend_from_slice(&specs);
    }
}

/// Reads an \[int\] that counts.
pub(super) fn read_count(
    input: &mut &[u8],
    notation: &'static str,
) -> Result<usize, NotationError> {
    let mut rest = *input;
    let length = read_int(&mut rest)?;
    let count =
        usize::try_from(length).map_err(|_| NotationError::NegativeLength { notation, length })?;
    *input = rest;
    Ok(count)
}

fn read_columns(
    input: &mut &[u8],
    flags: i32,
    count: usize,
) -> Result<Vec<ColumnSpec>, NotationError> {
    let table = |input: &mut &[u8]| {
        Ok((Name::exact(read_string(input)?), Name::exact(read_string(input)?)))
    };
    let global = if flags & GLOBAL_TABLE_SPEC != 0 { Some(table(input)?) } else { None };
    (0..count)
        .map(|_| {
            let (keyspace, table) = match &global {
                Some(global) => global.clone(),
                None => table(input)?,
            };
            let name = read_string(input)?.to_string();
            Ok(ColumnSpec { keyspace, table, name, column_type: decode_type(input)? })
        })
        .collect()
}

/// Appends the columns, the table once if all have the same, and answers with the flag for that.
fn write_columns(out: &mut Vec<u8>, columns: &[ColumnSpec], version: Version) -> i32 {
    let write_table = |out: &mut Vec<u8>, column: &ColumnSpec| {
        write_string(out, column.keyspace.as_str());
        write_string(out, column.table.as_str());
    };
    let global = columns.first().filter(|first| {
        columns.iter().all(|other| other.keyspace == first.keyspace && other.table == first.table)
    });
    if let Some(column) = global {
        write_table(out, column);
    }
    for column in columns {
        if global.is_none() {
            write_table(out, column);
        }
        write_string(out, &column.name);
        encode_type(out, &column.column_type, version);
    }
    if global.is_some() { GLOBAL_TABLE_SPEC } else { 0 }
}
