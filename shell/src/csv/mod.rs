//! CSV, both ways: RFC 4180, and with a character that escapes the next, as cqlsh has it.
//!
//! A field in quotes is text whatever it holds, one without may be null: of `1,"",` the second is an empty text and the
//! third is nothing. Crates for CSV do not tell the two apart, nor do they tell of a quote that is never closed, which
//! makes all rows behind it one field; so this is our own.

mod read;
mod write;

pub(crate) use read::{Field, Reader, Record};
pub(crate) use write::write_record;

/// What stands between fields and around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    /// Doubled inside quotes, unless there is an escape.
    pub(crate) quote: u8,
    /// Takes the meaning off the next character, inside quotes and outside.
    pub(crate) escape: Option<u8>,
}

impl Default for Dialect {
    fn default() -> Dialect {
        Dialect { delimiter: b',', quote: b'"', escape: None }
    }
}
