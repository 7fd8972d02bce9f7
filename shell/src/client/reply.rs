//! What a request came to, owned.

use tholos_grammar::protocol::response::event::SchemaChange;
use tholos_grammar::protocol::response::metadata::{PreparedMetadata, ResultMetadata};
use tholos_grammar::protocol::response::result::Rows;
use uuid::Uuid;

/// The answer to a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What it came to.
    pub outcome: Outcome,
    /// The trace's id, if the request was traced.
    pub tracing_id: Option<Uuid>,
    /// What the server says of a statement that it carried out all the same.
    pub warnings: Vec<String>,
}

/// What a statement came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing to say.
    Void,
    /// Rows, or a page of them.
    Rows(ResultRows),
    /// USE took effect.
    SetKeyspace(String),
    /// The schema changed.
    SchemaChange(SchemaChange),
}

/// Rows, or a page of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRows {
    /// Columns, and where the next page begins.
    pub metadata: ResultMetadata,
    /// Each row's cells: bytes in the encoding of the column's type, `None` for null.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

/// A prepared statement, to be executed on the connection that prepared it or any other to the same node.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedStatement {
    /// As it was prepared: to prepare it again.
    pub text: String,
    /// The id on the server.
    pub id: Vec<u8>,
    /// The id of the result's metadata (v5; empty in v4).
    pub result_metadata_id: Vec<u8>,
    /// What its markers are for, in the order of the text.
    pub markers: PreparedMetadata,
    /// Columns of its rows; none if it has none.
    pub result: ResultMetadata,
}

impl Reply {
    /// The rows, if the statement came to some.
    pub fn into_rows(self) -> Option<ResultRows> {
        match self.outcome {
            Outcome::Rows(rows) => Some(rows),
            _ => None,
        }
    }
}

impl From<Rows<'_>> for ResultRows {
    fn from(rows: Rows<'_>) -> Self {
        let cells =
            rows.iter().map(|row| row.map(|cell| cell.map(<[u8]>::to_vec)).collect()).collect();
        ResultRows { metadata: rows.into_metadata(), rows: cells }
    }
}
