//! Statements as text with answers as values: for tests, scripts and tools inside the process.

use std::fmt;

use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::response::event::SchemaChange;
use tholos_grammar::protocol::response::metadata::ColumnSpec;
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_grammar::value::codec::decode_result;

use super::Session;
use super::step::{Operation, Outcome, Step};
use crate::error::QueryError;

/// What a statement came to.
#[derive(Clone, Debug, PartialEq)]
pub enum TextOutcome {
    /// Nothing to say.
    Void,
    /// Rows.
    Rows(TextRows),
    /// USE: the keyspace.
    Keyspace(String),
    /// A change of the schema.
    Schema(SchemaChange),
}

/// Rows of one page.
#[derive(Clone, Debug, PartialEq)]
pub struct TextRows {
    /// The columns.
    pub columns: Vec<ColumnSpec>,
    /// Cells as the protocol's bytes, row by row; none for null.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    /// Where the next page starts, if there is one.
    pub paging_state: Option<Vec<u8>>,
}

impl Session {
    /// Runs one statement with the usual parameters (ONE, no paging) and waits until it is durable. Also gives warnings.
    ///
    /// # Errors
    /// As the statement's.
    pub fn execute_text(&mut self, text: &str) -> Result<(TextOutcome, Vec<String>), QueryError> {
        self.execute_text_with(text, &QueryParameters::default())
    }

    /// As [`execute_text`](Self::execute_text), with parameters: values, consistency, page size, paging state.
    ///
    /// # Errors
    /// As the statement's.
    pub fn execute_text_with(
        &mut self,
        text: &str,
        parameters: &QueryParameters<'_>,
    ) -> Result<(TextOutcome, Vec<String>), QueryError> {
        let mut body = Vec::new();
        let query = Query { text, parameters: *parameters };
        let started = self.node.clock().instant();
        let steps = match self.query(&query, started, &mut body) {
            Ok(Step::Wait(Operation::Durable(position), continuation)) => {
                let durable =
                    self.node.engine().wait_durable(position).map_err(QueryError::Storage);
                self.resume(continuation, durable.map(|()| Outcome::Written), &mut body)
            }
            steps => steps,
        };
        let answer = match steps.map_err(|failure| failure.error)? {
            Step::Answer(answer) => answer,
            Step::Wait(operation, _) => {
                let what = format!("nobody is here to ask other nodes: {operation:?}");
                return Err(QueryError::Internal(what));
            }
            Step::PutOff { why, .. } => return Err(why.refused()),
        };
        let result = QueryResult::decode(&mut body.as_slice(), self.version)
            .map_err(|error| QueryError::Internal(format!("own answer not readable: {error}")))?;
        let outcome = match result {
            QueryResult::Rows(rows) => TextOutcome::Rows(TextRows {
                rows: rows
                    .iter()
                    .map(|row| row.map(|cell| cell.map(<[u8]>::to_vec)).collect())
                    .collect(),
                columns: rows.metadata().columns.clone(),
                paging_state: rows.metadata().paging_state.clone(),
            }),
            QueryResult::SetKeyspace(keyspace) => TextOutcome::Keyspace(keyspace.to_string()),
            QueryResult::SchemaChange(change) => TextOutcome::Schema(change),
            QueryResult::Void | QueryResult::Prepared(_) => TextOutcome::Void,
        };
        Ok((outcome, answer.warnings))
    }
}

impl TextRows {
    /// The cells as text: plain values, `null` for null.
    pub fn text(&self) -> Vec<Vec<String>> {
        let cell = |(cell, column): (&Option<Vec<u8>>, &ColumnSpec)| match cell {
            None => "null".to_string(),
            Some(bytes) => match decode_result(&column.column_type, bytes) {
                Ok(value) => value.literal(&column.column_type),
                Err(error) => format!("<{error}>"),
            },
        };
        let row = |row: &Vec<Option<Vec<u8>>>| row.iter().zip(&self.columns).map(cell).collect();
        self.rows.iter().map(row).collect()
    }
}

impl fmt::Display for TextOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextOutcome::Void => f.write_str("ok"),
            TextOutcome::Rows(rows) => rows.fmt(f),
            TextOutcome::Keyspace(keyspace) => write!(f, "keyspace {keyspace}"),
            TextOutcome::Schema(change) => {
                let object = match &change.target {
                    tholos_grammar::protocol::response::event::SchemaTarget::Table(name)
                    | tholos_grammar::protocol::response::event::SchemaTarget::Type(name) => {
                        format!(".{name}")
                    }
                    _ => String::new(),
                };
                let (change_name, target) = (change.change.name(), change.target.name());
                write!(f, "{change_name} {target} {}{object}", change.keyspace)
            }
        }
    }
}

/// A table with aligned columns: names, a line, rows, and their number.
impl fmt::Display for TextRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<Vec<String>> =
            vec![self.columns.iter().map(|column| column.name.clone()).collect()];
        lines.extend(self.text());
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for (number, line) in lines.iter().enumerate() {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join(" | ").trim_end())?;
            if number == 0 {
                let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(f, "{}", dashes.join("-+-"))?;
            }
        }
        let more = if self.paging_state.is_some() { ", more pages" } else { "" };
        write!(f, "({} rows{more})", self.rows.len())
    }
}
