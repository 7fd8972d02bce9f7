//! Format table: columns side by side, numbers at the right.

use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ContentArrangement, ContentLineStyle,
    LineStyle, Table, TableStyle,
};

use super::cell::{Cell, escaped, is_right_aligned};
use super::{Page, Style};

/// ` a | b ` over `---+---`
const ASCII: TableStyle = style('|', '-', '+');

/// The same in box-drawing characters.
const BOX_DRAWING: TableStyle = style('│', '─', '┼');

const fn style(vertical: char, horizontal: char, cross: char) -> TableStyle {
    TableStyle::new()
        .header_lines(ContentLineStyle::none().junction(vertical))
        .header_separator(LineStyle::none().fill(horizontal).junction(cross))
        .content_lines(ContentLineStyle::none().junction(vertical))
}

/// A column that is narrower than this can't be read: then lines are longer than the terminal instead.
const LEAST_COLUMN_WIDTH: usize = 8;

/// The page as a table. Cells wrap where it would be wider than the terminal, if there is room for all columns.
pub(super) fn render(page: &Page<'_>, style: Style) -> String {
    let mut table = table(page, style);
    table.force_no_tty();
    if style.colour {
        table.enforce_styling();
    }
    let least = page.columns.len() * LEAST_COLUMN_WIDTH;
    let is_too_wide =
        |&width: &u16| natural_width(&table) > usize::from(width) && least <= usize::from(width);
    if let Some(width) = style.width.filter(is_too_wide) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let mut text = String::new();
    for line in table.lines() {
        // Blanks at the end of lines are no content, except that colours end behind them.
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How many columns of a terminal the page needs.
pub(super) fn width(page: &Page<'_>) -> usize {
    natural_width(&table(page, Style::default()))
}

fn natural_width(table: &Table) -> usize {
    let widths = table.column_max_content_widths();
    // Each column has a blank on either side, and a line to its left but for the first.
    widths.iter().map(|&width| usize::from(width) + 3).sum::<usize>().saturating_sub(1)
}

fn table(page: &Page<'_>, style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(if style.box_drawing { BOX_DRAWING } else { ASCII });
    table.set_content_arrangement(ContentArrangement::Disabled);
    let header = page.columns.iter().map(|column| {
        let cell = TableCell::new(escaped(column.name.clone()));
        if style.colour { cell.add_attribute(Attribute::Bold).fg(Color::Cyan) } else { cell }
    });
    table.set_header(header.collect::<Vec<_>>());
    for row in page.rows {
        let cells = page.columns.iter().zip(row).map(|(column, bytes)| {
            let cell = Cell::decode(&column.column_type, bytes.as_deref());
            let shown = TableCell::new(cell.line(&column.column_type));
            match cell.colour().filter(|_| style.colour) {
                Some(colour) => shown.fg(colour),
                None => shown,
            }
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    for (index, column) in page.columns.iter().enumerate() {
        if is_right_aligned(&column.column_type)
            && let Some(shown) = table.column_mut(index)
        {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
