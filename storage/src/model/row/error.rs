//! What is wrong with bytes that should be a row.

/// Bytes that are no encoded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RowError(pub(crate) &'static str);
