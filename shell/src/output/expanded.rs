//! Format expanded: a line per column, rows under each other.

use std::fmt::Write;

use comfy_table::Color;
use unicode_width::UnicodeWidthStr;

use super::cell::{Cell, escaped};
use super::{Page, Style};

/// The page, each row under a line with its number.
pub(super) fn render(page: &Page<'_>, style: Style) -> String {
    let names: Vec<String> =
        page.columns.iter().map(|column| escaped(column.name.clone())).collect();
    let name_width = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let vertical = if style.box_drawing { '│' } else { '|' };
    let mut text = String::new();
    for (index, row) in page.rows.iter().enumerate() {
        heading(page.rows_before + index + 1, name_width, style, &mut text);
        for ((column, name), bytes) in page.columns.iter().zip(&names).zip(row) {
            let cell = Cell::decode(&column.column_type, bytes.as_deref());
            let padding = " ".repeat(name_width - name.width());
            let shown = coloured(&cell.line(&column.column_type), cell.colour(), style);
            let name = coloured(name, Some(Color::Cyan), style);
            // A String takes whatever is written to it.
            let _ = writeln!(text, " {name}{padding} {vertical} {shown}");
        }
    }
    text
}

/// `--[ row 1 ]--+-----`
fn heading(number: usize, name_width: usize, style: Style, text: &mut String) {
    const RIGHT_PART: usize = 24;
    let (horizontal, cross) = if style.box_drawing { ("─", '┼') } else { ("-", '+') };
    let title = format!("{horizontal}[ row {number} ]");
    let left = name_width + 2;
    let title_width = title.width();
    text.push_str(&title);
    if title_width < left {
        text.push_str(&horizontal.repeat(left - title_width));
        text.push(cross);
        text.push_str(&horizontal.repeat(RIGHT_PART));
    } else {
        text.push_str(&horizontal.repeat((left + RIGHT_PART).saturating_sub(title_width)));
    }
    text.push('\n');
}

fn coloured(text: &str, colour: Option<Color>, style: Style) -> String {
    let code = match colour.filter(|_| style.colour) {
        Some(Color::Cyan) => "1;36",
        Some(Color::Green) => "32",
        Some(Color::Yellow) => "33",
        Some(Color::Blue) => "34",
        Some(Color::Magenta) => "35",
        Some(Color::Red) => "31",
        Some(_) => "90",
        None => return text.to_string(),
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
