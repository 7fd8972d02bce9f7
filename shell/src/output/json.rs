//! Formats json and ndjson: an object per row.
//!
//! Values have the form that CQL's own `to_json` gives them ([`tholos_grammar::value::json`]); columns have their plain
//! names.

use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;
use tholos_grammar::value::json::{write_text, write_value};

use super::Page;
use super::cell::Cell;

/// The page as part of one array; the first page opens it, the last closes it.
pub(super) fn render_array(page: &Page<'_>) -> String {
    let mut text = String::new();
    if page.is_first {
        text.push('[');
    }
    for (index, row) in page.rows.iter().enumerate() {
        text.push_str(if page.rows_before + index == 0 { "\n  " } else { ",\n  " });
        object(page, row, &mut text);
    }
    if page.is_last {
        text.push_str("\n]\n");
    }
    text
}

/// The page as one object per line.
pub(super) fn render_lines(page: &Page<'_>) -> String {
    let mut text = String::new();
    for row in page.rows {
        object(page, row, &mut text);
        text.push('\n');
    }
    text
}

fn object(page: &Page<'_>, row: &[Option<Vec<u8>>], out: &mut String) {
    out.push('{');
    for (index, (column, bytes)) in page.columns.iter().zip(row).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_text(&column.name, out);
        out.push_str(": ");
        match Cell::decode(&column.column_type, bytes.as_deref()) {
            Cell::Null => out.push_str("null"),
            Cell::Value(value) => write_or_say(&value, &column.column_type, out),
            Cell::Undecodable(text) => write_text(&text, out),
        }
    }
    out.push('}');
}

/// A value that has no JSON is what is wrong with it, as text.
fn write_or_say(value: &Value, ty: &CqlType, out: &mut String) {
    let mut json = String::new();
    match write_value(value, ty, &mut json) {
        Ok(()) => out.push_str(&json),
        Err(error) => write_text(&error.to_string(), out),
    }
}
