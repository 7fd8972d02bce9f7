//! Rows written straight into the connection's buffer: metadata encoded beforehand, then cell by cell; the count of
//! rows and the paging state are put in at the end.

use super::metadata::{EncodedColumns, insert_paging_state};
use super::result::KIND_ROWS;
use crate::protocol::header::Version;
use crate::protocol::primitive::{patch, write_bytes, write_int};

/// Writes the body of a RESULT of rows.
///
/// Invariant: the buffer is only ever appended to between [`RowsWriter::begin`] and [`RowsWriter::finish`], unless
/// it is told that the body was moved.
#[derive(Debug)]
pub struct RowsWriter {
    metadata: usize,
    count_at: usize,
    columns: usize,
    rows: i32,
}

impl RowsWriter {
    /// Begins the body: kind, metadata (see [`EncodedColumns::encode`]), and room for the count of rows.
    pub fn begin(
        out: &mut Vec<u8>,
        version: Version,
        columns: &EncodedColumns,
        skip_metadata: bool,
        new_metadata_id: Option<&[u8]>,
    ) -> RowsWriter {
        write_int(out, KIND_ROWS);
        let metadata = out.len();
        columns.encode(out, version, skip_metadata, new_metadata_id);
        let count_at = out.len();
        write_int(out, 0);
        RowsWriter { metadata, count_at, columns: columns.count(), rows: 0 }
    }

    /// Appends a cell; `None` is null.
    pub fn cell(&self, out: &mut Vec<u8>, value: Option<&[u8]>) {
        write_bytes(out, value);
    }

    /// Appends a cell whose bytes `write` appends.
    pub fn cell_with(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        write_int(out, 0);
        write(out);
        let length = i32::try_from(out.len() - start - 4).expect("no value has 2 GiB");
        patch(out, start, &length.to_be_bytes());
    }

    /// Ends a row: as many cells as there are columns were appended since the last one ended.
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// The body lies so much further to the front of its buffer now.
    pub fn move_back(&mut self, by: usize) {
        self.metadata -= by;
        self.count_at -= by;
    }

    /// How many rows were ended.
    pub fn rows(&self) -> usize {
        usize::try_from(self.rows).unwrap_or(0)
    }

    /// How many cells a row has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Ends the body. `paging_state` says that there are more rows, and where.
    pub fn finish(self, out: &mut Vec<u8>, paging_state: Option<&[u8]>) {
        patch(out, self.count_at, &self.rows.to_be_bytes());
        if let Some(state) = paging_state {
            insert_paging_state(out, self.metadata, state);
        }
    }
}
