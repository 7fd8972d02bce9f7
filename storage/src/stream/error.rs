//! Why a stream can't be sent or was refused.

use std::path::PathBuf;

use crate::StorageError;
use crate::schema::TableId;

/// Why a stream can't be sent or was refused. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Part of what is to be sent can't be read.
    #[error(
        "{} is damaged at offset {offset} ({what}): what it has of tokens {} to {} (keys {} to {}) can't be sent. Repair \
         that range here from another replica, then stream again",
        file.display(), tokens.0, tokens.1, hex(lower), hex(upper)
    )]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not hold.
        what: String,
        /// The tokens that the lost keys may have, both inclusive.
        tokens: (i64, i64),
        /// At or before the first lost key; may be only the beginning of one.
        lower: Vec<u8>,
        /// After the last lost key; empty for the end of the file.
        upper: Vec<u8>,
    },
    /// A chunk is not what was sent.
    #[error("chunk {expected} of a stream is not what was sent: {what}. Stream again")]
    Chunk {
        /// Which chunk was to come.
        expected: u32,
        /// What does not hold.
        what: &'static str,
    },
    /// Chunks do not come in order.
    #[error(
        "chunk {found} of a stream came where chunk {expected} was to come: send chunks in order, each once"
    )]
    OutOfOrder {
        /// Which chunk was to come.
        expected: u32,
        /// Which one came.
        found: u32,
    },
    /// The stream ended without its trailer.
    #[error("a stream was cut off after {chunks} chunks: it has no trailer. Stream again")]
    CutOff {
        /// How many chunks came.
        chunks: u32,
    },
    /// Another format version.
    #[error(
        "the stream has format version {found}, this release takes {}: stream between nodes of one release",
        super::VERSION
    )]
    Version {
        /// The stream's.
        found: u32,
    },
    /// Blocks of another version of the SSTable format.
    #[error(
        "the stream's blocks are of SSTable format version {found}, this release takes {}: compact the table there with this release, then stream again",
        crate::sstable::VERSION
    )]
    BlockVersion {
        /// The stream's.
        found: u32,
    },
    /// Another table.
    #[error("the stream is of table {found}, not of {expected}")]
    OtherTable {
        /// The table that takes it.
        expected: TableId,
        /// The stream's.
        found: TableId,
    },
    /// Other columns.
    #[error(
        "the stream's columns are not those of table {table}: wait until both nodes have the same schema, then stream again"
    )]
    OtherSchema {
        /// The table.
        table: TableId,
    },
    /// Other ranges than were asked for.
    #[error("the stream is not of the token ranges that were asked for")]
    OtherRanges,
    /// A key outside the ranges.
    #[error(
        "the stream has a key of token {token}, which is not in its ranges: the sender is at fault"
    )]
    Outside {
        /// The key's token.
        token: i64,
    },
    /// What is in whole chunks makes no sense.
    #[error("the stream makes no sense: {0}. The sender is at fault")]
    Malformed(String),
    /// It failed before; this is not the first error.
    #[error("the stream failed before, and nothing of it was kept: begin a new one")]
    Failed,
    /// The table was emptied while the stream was open.
    #[error(
        "table {0} was truncated while a stream to it was open: what came was not kept. Stream again"
    )]
    Truncated(TableId),
    /// Storage failed, here.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The first bytes of a key, enough to find it.
fn hex(key: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut text: String = key.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if key.is_empty() {
        text.push_str("the file's end");
    } else if key.len() > SHOWN {
        text.push_str("...");
    }
    text
}
