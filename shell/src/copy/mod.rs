//! COPY: tables to CSV files and back.
//!
//! `options` parses the command, `to` and `from` carry it out, `field` turns a field into a value, `escapes` undoes what
//! cqlsh does to text.

mod context;
mod escapes;
mod field;
mod from;
mod options;
mod progress;
mod rejects;
mod target;
mod to;

use std::io;

pub(crate) use context::{CopyContext, StandardInput};
pub(crate) use from::copy_from;
pub(crate) use options::{CopyCommand, Direction, OPTIONS};
pub(crate) use to::copy_to;

use crate::client::ClientError;
use crate::told::told;

/// COPY failed as a whole. Rows that fail by themselves are counted and kept, not errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("COPY: {}", told(.0))]
    Client(#[from] ClientError),
    #[error("COPY: cannot {action} {file}: {source}")]
    File { action: &'static str, file: String, source: io::Error },
    #[error("COPY: {file} is not UTF-8: {source}")]
    Header { file: String, source: std::str::Utf8Error },
    #[error("COPY: {0}")]
    Columns(String),
    #[error(
        "COPY: stopped after {0} rows that can't be read as the table's types; MAXPARSEERRORS = -1 allows any number"
    )]
    ParseErrors(u64),
    #[error(
        "COPY: stopped after {0} rows that the server refused; MAXINSERTERRORS = -1 allows any number"
    )]
    InsertErrors(u64),
    #[error("COPY: {rejected} of {total} rows were not written; they are in {file}")]
    Rejected { rejected: u64, total: u64, file: String },
    #[error("interrupted")]
    Interrupted,
}

/// What a COPY did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
}
