//! Results as text: one file per format, each a pure function from a page of rows.
//!
//! [`render`] prints one page; formats that frame their rows (the brackets of JSON, the header of CSV) learn from the
//! page whether it is the first and the last.

mod cell;
mod csv;
mod expanded;
mod json;
mod markdown;
mod table;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use tholos_grammar::protocol::response::metadata::ColumnSpec;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table, with a footer.
    #[default]
    Table,
    /// A line per column, with a footer.
    Expanded,
    /// Comma-separated values with a header.
    Csv,
    /// A JSON array with an object per row.
    Json,
    /// A JSON object per line.
    Ndjson,
    /// A Markdown table.
    Markdown,
}

/// EXPAND: whether rows of format table are printed expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expand {
    On,
    Off,
    /// Where the table would be wider than the terminal.
    Auto,
}

/// How text is dressed, by what it goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) colour: bool,
    /// Lines of tables in box-drawing characters, instead of ASCII.
    pub(crate) box_drawing: bool,
    /// Columns of the terminal, if there is one.
    pub(crate) width: Option<u16>,
    /// Whether it goes to a terminal, which control characters would move about and colour.
    pub(crate) is_terminal: bool,
}

/// A page of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) columns: &'a [ColumnSpec],
    /// Cells in the encoding of their column's type.
    pub(crate) rows: &'a [Vec<Option<Vec<u8>>>],
    /// Rows on the pages before.
    pub(crate) rows_before: usize,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// The text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}: use table, expanded, csv, json, ndjson or markdown")]
pub struct UnknownFormat(String);

impl Format {
    /// All formats.
    pub const ALL: [Format; 6] = [
        Format::Table,
        Format::Expanded,
        Format::Csv,
        Format::Json,
        Format::Ndjson,
        Format::Markdown,
    ];

    /// The format's name.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Expanded => "expanded",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Markdown => "markdown",
        }
    }

    /// Whether people read it, so that a footer belongs under it.
    pub(crate) fn has_footer(self) -> bool {
        matches!(self, Format::Table | Format::Expanded)
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Format::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownFormat(text.to_string()))
    }
}

/// The format to use for rows of which this is the first page: a table may turn out to be printed expanded.
pub(crate) fn resolve(format: Format, expand: Expand, page: &Page<'_>, style: Style) -> Format {
    let expanded = match expand {
        Expand::On => true,
        Expand::Off => false,
        Expand::Auto => style
            .width
            .is_some_and(|width| !page.rows.is_empty() && table::width(page) > usize::from(width)),
    };
    if format == Format::Table && expanded { Format::Expanded } else { format }
}

/// A page as text, with its line ends.
pub(crate) fn render(format: Format, page: &Page<'_>, style: Style) -> String {
    let text = match format {
        Format::Table => table::render(page, style),
        Format::Expanded => expanded::render(page, style),
        Format::Csv => csv::render(page),
        Format::Json => json::render_array(page),
        Format::Ndjson => json::render_lines(page),
        Format::Markdown => markdown::render(page),
    };
    let is_raw = matches!(format, Format::Csv | Format::Markdown);
    if is_raw && style.is_terminal { cell::escaped_but_lines(text) } else { text }
}
