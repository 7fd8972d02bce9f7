//! RESULT (native protocol v5, section 4.2.5): what a statement came to.

use super::event::SchemaChange;
use super::metadata::{PreparedMetadata, ResultMetadata, read_count};
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{
    read_bytes, read_int, read_short_bytes, read_string, write_int, write_length,
    write_short_bytes, write_string,
};

const KIND_VOID: i32 = 0x0001;
pub(super) const KIND_ROWS: i32 = 0x0002;
const KIND_SET_KEYSPACE: i32 = 0x0003;
const KIND_PREPARED: i32 = 0x0004;
const KIND_SCHEMA_CHANGE: i32 = 0x0005;

/// RESULT.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryResult<'a> {
    /// Nothing to say.
    Void,
    /// Rows of a SELECT or of a conditional statement.
    Rows(Rows<'a>),
    /// USE took effect.
    SetKeyspace(&'a str),
    /// A statement was prepared.
    Prepared(Prepared<'a>),
    /// The schema changed.
    SchemaChange(SchemaChange),
}

/// Rows, read in place.
///
/// Invariant: `content` holds exactly `row_count` × `metadata.column_count` cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows<'a> {
    metadata: ResultMetadata,
    row_count: usize,
    content: &'a [u8],
}

/// A row, read in place: an iterator over its cells, `None` for null.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    left: usize,
    bytes: &'a [u8],
}

/// A prepared statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared<'a> {
    /// The id to execute it by.
    pub id: &'a [u8],
    /// The id of its result's metadata (v5; empty in v4).
    pub result_metadata_id: &'a [u8],
    /// What its markers are for, in the order of the text.
    pub markers: PreparedMetadata,
    /// The columns of its rows; empty if it has none.
    pub result: ResultMetadata,
}

impl<'a> QueryResult<'a> {
    /// Reads the body.
    pub fn decode(body: &mut &'a [u8], version: Version) -> Result<QueryResult<'a>, NotationError> {
        let start = *body;
        Ok(match read_int(body)? {
            KIND_VOID => QueryResult::Void,
            KIND_ROWS => QueryResult::Rows(Rows::decode(body)?),
            KIND_SET_KEYSPACE => QueryResult::SetKeyspace(read_string(body)?),
            KIND_PREPARED => QueryResult::Prepared(Prepared::decode(body, version)?),
            KIND_SCHEMA_CHANGE => QueryResult::SchemaChange(SchemaChange::decode(body)?),
            kind => {
                *body = start;
                return Err(NotationError::UnknownCode {
                    what: "kind of result",
                    code: kind.cast_unsigned(),
                });
            }
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        match self {
            QueryResult::Void => write_int(out, KIND_VOID),
            QueryResult::Rows(rows) => {
                write_int(out, KIND_ROWS);
                rows.encode(out, version);
            }
            QueryResult::SetKeyspace(keyspace) => {
                write_int(out, KIND_SET_KEYSPACE);
                write_string(out, keyspace);
            }
            QueryResult::Prepared(prepared) => {
                write_int(out, KIND_PREPARED);
                prepared.encode(out, version);
            }
            QueryResult::SchemaChange(change) => {
                write_int(out, KIND_SCHEMA_CHANGE);
                change.encode(out);
            }
        }
    }
}

impl<'a> Rows<'a> {
    /// Rows of already encoded cells, checked against their number.
    pub fn new(
        metadata: ResultMetadata,
        row_count: usize,
        content: &'a [u8],
    ) -> Result<Rows<'a>, NotationError> {
        let mut rest = content;
        let rows = Rows::check(metadata, row_count, &mut rest)?;
        if rest.is_empty() {
            Ok(rows)
        } else {
            Err(NotationError::Forbidden("there are bytes after the last row"))
        }
    }

    fn decode(body: &mut &'a [u8]) -> Result<Rows<'a>, NotationError> {
        let metadata = ResultMetadata::decode(body)?;
        let row_count = read_count(body, "count of rows")?;
        Rows::check(metadata, row_count, body)
    }

    /// Takes the cells off the front of `body`, each once.
    fn check(
        metadata: ResultMetadata,
        row_count: usize,
        body: &mut &'a [u8],
    ) -> Result<Rows<'a>, NotationError> {
        // Without this, a few bytes that announce 2^31 rows of no cells would keep a client busy.
        if metadata.column_count == 0 && row_count > 0 {
            return Err(NotationError::Forbidden("there are rows, but no columns"));
        }
        let start = *body;
        for _ in 0..row_count {
            for _ in 0..metadata.column_count {
                read_bytes(body)?;
            }
        }
        let length = start.len() - body.len();
        Ok(Rows { metadata, row_count, content: start.get(..length).unwrap_or(start) })
    }

    fn encode(&self, out: &mut Vec<u8>, version: Version) {
        self.metadata.encode(out, version);
        write_length(out, self.row_count);
        out.extend_from_slice(self.content);
    }

    /// Columns and paging state.
    pub fn metadata(&self) -> &ResultMetadata {
        &self.metadata
    }

    /// Columns and paging state, taken out.
    pub fn into_metadata(self) -> ResultMetadata {
        self.metadata
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.row_count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    /// All cells as they travelled, row after row.
    pub fn content(&self) -> &'a [u8] {
        self.content
    }

    /// The rows in order.
    pub fn iter(&self) -> RowsIter<'a> {
        RowsIter { left: self.row_count, columns: self.metadata.column_count, bytes: self.content }
    }
}

impl<'a> IntoIterator for &Rows<'a> {
    type Item = Row<'a>;
    type IntoIter = RowsIter<'a>;

    fn into_iter(self) -> RowsIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Rows`].
#[derive(Clone, Debug)]
pub struct RowsIter<'a> {
    left: usize,
    columns: usize,
    bytes: &'a [u8],
}

impl<'a> Iterator for RowsIter<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        self.left = self.left.checked_sub(1)?;
        let row = Row { left: self.columns, bytes: self.bytes };
        for _ in 0..self.columns {
            read_bytes(&mut self.bytes).ok()?;
        }
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for RowsIter<'_> {}

impl<'a> Iterator for Row<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        self.left = self.left.checked_sub(1)?;
        read_bytes(&mut self.bytes).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Row<'_> {}

impl<'a> Prepared<'a> {
    fn decode(body: &mut &'a [u8], version: Version) -> Result<Prepared<'a>, NotationError> {
        let id = read_short_bytes(body)?;
        let result_metadata_id = if version >= Version::V5 { read_short_bytes(body)? } else { &[] };
        let markers = PreparedMetadata::decode(body)?;
        let result = ResultMetadata::decode(body)?;
        Ok(Prepared { id, result_metadata_id, markers, result })
    }

    fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_short_bytes(out, self.id);
        if version >= Version::V5 {
            write_short_bytes(out, self.result_metadata_id);
        }
        self.markers.encode(out, version);
        self.result.encode(out, version);
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::ColumnSpec;
    use super::*;
    use crate::name::Name;
    use crate::protocol::response::Response;
    use crate::protocol::tests::{bytes, check_response};
    use crate::types::{CqlType, Native};

    fn column(name: &str, column_type: CqlType) -> ColumnSpec {
        ColumnSpec {
            keyspace: Name::exact("ks"),
            table: Name::exact("t"),
            name: name.into(),
            column_type,
        }
    }

    fn check(result: QueryResult<'_>, version: Version, body: &str) {
        check_response(&Response::Result(result), version, body);
    }

    #[test]
    fn bytes_of_the_spec() {
        check(QueryResult::Void, Version::V4, "00000001");
        check(QueryResult::SetKeyspace("ks"), Version::V5, "00000003 00026b73");

        let int = CqlType::Native(Native::Int);
        let list =
            CqlType::List { element: Box::new(CqlType::Native(Native::Text)), frozen: false };
        let content = bytes("00000004 00000001 ffffffff");
        let metadata = ResultMetadata::of(vec![column("a", int.clone()), column("b", list)]);
        let rows = Rows::new(metadata, 1, &content).unwrap();
        let cells: Vec<Vec<Option<&[u8]>>> = rows.iter().map(Iterator::collect).collect();
        assert_eq!(cells, [[Some([0, 0, 0, 1].as_slice()), None]]);
        check(
            QueryResult::Rows(rows),
            Version::V4,
            "00000002 00000001 00000002 00026b73 000174 000161 0009 000162 0020 000d
             00000001 00000004 00000001 ffffffff",
        );

        let mut metadata = ResultMetadata::of(vec![column("a", int)]);
        metadata.paging_state = Some(vec![1, 2]);
        metadata.new_metadata_id = Some(vec![0xEE]);
        check(
            QueryResult::Rows(Rows::new(metadata, 0, &[]).unwrap()),
            Version::V5,
            "00000002 0000000b 00000001 000000020102 0001ee 00026b73 000174 000161 0009 00000000",
        );

        let left_out = ResultMetadata { column_count: 1, ..ResultMetadata::default() };
        let content = bytes("00000004 00000007");
        check(
            QueryResult::Rows(Rows::new(left_out, 1, &content).unwrap()),
            Version::V4,
            "00000002 00000004 00000001 00000001 00000004 00000007",
        );
    }

    #[test]
    fn bytes_of_prepared() {
        let markers = PreparedMetadata {
            columns: vec![column("id", CqlType::Native(Native::Int))],
            partition_key_indexes: vec![0],
        };
        let result = ResultMetadata::default();
        let prepared = Prepared { id: &[0xAA, 0xBB], result_metadata_id: &[], markers, result };
        let metadata =
            "00000001 00000001 00000001 0000 00026b73 000174 00026964 0009 00000004 00000000";
        check(
            QueryResult::Prepared(prepared.clone()),
            Version::V4,
            &format!("00000004 0002aabb {metadata}"),
        );
        let prepared = Prepared { result_metadata_id: &[0xCC], ..prepared };
        check(
            QueryResult::Prepared(prepared),
            Version::V5,
            &format!("00000004 0002aabb 0001cc {metadata}"),
        );
    }

    #[test]
    fn columns_of_several_tables_each_have_theirs() {
        let mut columns = vec![
            column("a", CqlType::Native(Native::Int)),
            column("b", CqlType::Native(Native::Int)),
        ];
        columns[1].table = Name::exact("u");
        let rows = Rows::new(ResultMetadata::of(columns), 0, &[]).unwrap();
        check(
            QueryResult::Rows(rows),
            Version::V4,
            "00000002 00000000 00000002 00026b73 000174 000161 0009 00026b73 000175 000162 0009 00000000",
        );
    }

    /// Counts that no bytes stand behind end in an error at once.
    #[test]
    fn announced_counts_cost_nothing() {
        for body in [
            "00000002 00000004 00000000 7fffffff",
            "00000002 00000004 00000001 7fffffff",
            "00000002 00000000 7fffffff 00000000",
            "00000004 0000 00000000 00000000 7fffffff",
            "00000002 00000004 ffffffff 00000000",
        ] {
            let body = bytes(body);
            assert!(QueryResult::decode(&mut body.as_slice(), Version::V4).is_err());
        }
    }
}
