//! Format csv: RFC 4180 with a header; null is nothing, an empty text is `""`.

use std::borrow::Cow;

use super::Page;
use super::cell::Cell;
use crate::csv::{Dialect, write_record};

/// The page as records; the first page begins with the header.
pub(super) fn render(page: &Page<'_>) -> String {
    let mut out = Vec::new();
    let dialect = Dialect::default();
    if page.is_first {
        let names = page.columns.iter().map(|column| Some(Cow::Borrowed(column.name.as_str())));
        write_record(names, dialect, "", &mut out);
    }
    for row in page.rows {
        let fields = page.columns.iter().zip(row).map(|(column, bytes)| {
            let ty = &column.column_type;
            Cell::decode(ty, bytes.as_deref()).text(ty)
        });
        write_record(fields, dialect, "", &mut out);
    }
    String::from_utf8(out).unwrap_or_default()
}
