//! Format markdown: a table as most Markdown dialects have it.

use std::fmt::Write;

use super::Page;
use super::cell::{Cell, is_right_aligned};

/// The page as lines of a table; the first page begins with the header.
pub(super) fn render(page: &Page<'_>) -> String {
    let mut text = String::new();
    if page.is_first {
        let names = page.columns.iter().map(|column| escaped(&column.name));
        line(names, &mut text);
        let rules = page.columns.iter().map(|column| {
            if is_right_aligned(&column.column_type) { "---:" } else { "---" }.to_string()
        });
        line(rules, &mut text);
    }
    for row in page.rows {
        let cells = page.columns.iter().zip(row).map(|(column, bytes)| {
            let ty = &column.column_type;
            let text = Cell::decode(ty, bytes.as_deref()).text(ty);
            // Emphasis tells null from text that reads so.
            text.map_or_else(|| "*null*".to_string(), |text| escaped(&text))
        });
        line(cells, &mut text);
    }
    text
}

fn line(cells: impl Iterator<Item = String>, text: &mut String) {
    text.push('|');
    for cell in cells {
        // A String takes whatever is written to it.
        let _ = write!(text, " {cell} |");
    }
    text.push('\n');
}

/// The text in one cell: what Markdown would read as markup or as the end of the cell is escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("<br>"),
            '\r' => {}
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&c.escape_default().to_string()),
            c => out.push(c),
        }
    }
    out
}
