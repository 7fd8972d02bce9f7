//! Format csv: RFC 4180 with a header; null is the empty field.

use csv::{Terminator, WriterBuilder};

use super::Page;
use super::cell::Cell;

/// The page as records; the first page begins with the header.
pub(super) fn render(page: &Page<'_>) -> String {
    let mut writer =
        WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    // Writing to memory does not fail, and every record has as many fields as there are columns.
    if page.is_first {
        let _ = writer.write_record(page.columns.iter().map(|column| column.name.as_str()));
    }
    for row in page.rows {
        let fields = page.columns.iter().zip(row).map(|(column, bytes)| {
            match Cell::decode(&column.column_type, bytes.as_deref()) {
                Cell::Null => String::new(),
                Cell::Value(value) => value.text(&column.column_type),
                Cell::Undecodable(text) => text,
            }
        });
        let _ = writer.write_record(fields);
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}
