//! What the server's DESCRIBE answers, as cqlsh prints it: statements as they are, lists of names by keyspace.

use std::collections::BTreeMap;

use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;
use tholos_parser::parse_statement;
use unicode_width::UnicodeWidthStr;

use crate::catalogue::{quoted, text_cell};
use crate::client::{Outcome, RequestOptions, ResultRows};
use crate::error::ShellError;
use crate::shell::Shell;

/// Columns of a terminal whose width is not known.
const DEFAULT_WIDTH: u16 = 80;

impl Shell {
    /// `\dt`: tables with their comments, sorted.
    pub(super) fn tables(&mut self, keyspace: Option<&Name>) -> Result<(), ShellError> {
        let keyspace = keyspace.map(Name::as_str).or(self.session.keyspace()).map(str::to_string);
        let mut text =
            "SELECT keyspace_name, table_name, comment FROM system_schema.tables".to_string();
        if let Some(keyspace) = &keyspace {
            text.push_str(&format!(" WHERE keyspace_name = '{}'", keyspace.replace('\'', "''")));
        }
        let statement = parse_statement(&text).map_err(Box::new)?;
        // In one piece: pages would come in the order of tokens.
        let request = RequestOptions { page_size: None, ..self.settings.request(None) };
        let mut answer = self.session.execute(&text, &request)?;
        if let Outcome::Rows(rows) = &mut answer.reply.outcome {
            let is_system = |row: &Row| {
                text_cell(row, 0)
                    .is_some_and(|name| name == "system" || name.starts_with("system_"))
            };
            rows.rows.retain(|row| keyspace.is_some() || !is_system(row));
            rows.rows.sort();
        }
        self.print_rows(&text, &statement, answer)
    }
}

/// A row's cells.
type Row = Vec<Option<Vec<u8>>>;

/// The answer as text.
pub(super) fn render(rows: &ResultRows, width: Option<u16>) -> String {
    let column = |name: &str| rows.metadata.columns.iter().position(|column| column.name == name);
    if let Some(statement) = column("create_statement") {
        return statements(rows, statement);
    }
    if let (Some(keyspace), Some(kind), Some(name)) =
        (column("keyspace_name"), column("type"), column("name"))
    {
        return names(rows, [keyspace, kind, name], width.unwrap_or(DEFAULT_WIDTH));
    }
    facts(rows)
}

/// The statements that would make it again, each with a blank line before it.
fn statements(rows: &ResultRows, column: usize) -> String {
    let mut text = String::new();
    for row in &rows.rows {
        text.push('\n');
        text.push_str(text_cell(row, column).unwrap_or_default());
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Names under a heading per keyspace; keyspaces themselves have none.
fn names(rows: &ResultRows, [keyspace, kind, name]: [usize; 3], width: u16) -> String {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in &rows.rows {
        let is_keyspace = text_cell(row, kind) == Some("keyspace");
        let group = if is_keyspace { "" } else { text_cell(row, keyspace).unwrap_or_default() };
        groups.entry(group).or_default().push(quoted(text_cell(row, name).unwrap_or_default()));
    }
    if groups.is_empty() {
        return "\n<empty>\n\n".to_string();
    }
    let mut text = String::new();
    for (keyspace, mut names) in groups {
        names.sort();
        text.push('\n');
        if !keyspace.is_empty() {
            let title = format!("Keyspace {}", quoted(keyspace));
            text.push_str(&format!("{title}\n{}\n", "-".repeat(title.width())));
        }
        text.push_str(&in_columns(&names, usize::from(width)));
    }
    text.push('\n');
    text
}

/// Names side by side, as many as the width has room for, read from left to right.
fn in_columns(names: &[String], width: usize) -> String {
    let column = names.iter().map(|name| name.width()).max().unwrap_or(0) + 2;
    let per_line = (width / column).max(1);
    let mut text = String::new();
    for line in names.chunks(per_line) {
        let mut shown = String::new();
        for name in line {
            shown.push_str(name);
            shown.push_str(&" ".repeat(column - name.width()));
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

/// One row of facts, such as DESCRIBE CLUSTER's: a line each.
fn facts(rows: &ResultRows) -> String {
    let columns = &rows.metadata.columns;
    let mut text = String::from("\n");
    for row in &rows.rows {
        for (column, cell) in columns.iter().zip(row) {
            let Some(value) = cell.as_deref().and_then(|bytes| decode(&column.column_type, bytes))
            else {
                continue;
            };
            let mut name = column.name.replace('_', " ");
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            text.push_str(&format!("{name}:{value}\n"));
        }
    }
    text.push('\n');
    text
}

/// The value behind its blank, or the entries of a map on lines of their own.
fn decode(ty: &CqlType, bytes: &[u8]) -> Option<String> {
    let value = Value::decode(ty, bytes).ok()?;
    if let (CqlType::Map { key, value: of, .. }, Value::Map(entries)) = (ty, &value) {
        let names: Vec<String> = entries.iter().map(|(name, _)| name.text(key)).collect();
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        let line = |(name, (_, value)): (&String, &(Value, Value))| {
            format!("\n  {}{name} {}", " ".repeat(width - name.width()), value.text(of))
        };
        return Some(names.iter().zip(entries).map(line).collect());
    }
    let blob = CqlType::Native(Native::Blob);
    Some(format!(" {}", if *ty == blob { value.text(&blob) } else { value.text(ty) }))
}
