//! Streams: a part of a table on its way from one node to another, as bytes in bounded chunks.
//!
//! A stream carries the blocks of the sender's SSTables that hold anything of some ranges of tokens: those wholly
//! inside as they are stored, those at the edges cut anew. `docs/format-stream.md` has the bytes. Whole chunks go
//! through any transport that keeps them whole and in order; there is no network here.
//!
//! - [`Engine::send_stream`](crate::engine::Engine::send_stream) is the sending end: it is pulled for chunks.
//! - [`Engine::receive_stream`](crate::engine::Engine::receive_stream) is the receiving one: it is given them.
//! - [`ChunkWriter`] and [`ChunkReader`] are the format alone, without an engine.
//!
//! Invariants: a stream is taken whole or not at all. Each chunk has a checksum, names its stream and its place in it;
//! the trailer says how much there was and has a checksum of all of it. A receiver takes nothing outside the ranges it
//! asked for, and nothing of another table or of columns that are not its own.
//!
//! Absent: resuming. A stream that breaks off is begun anew.

mod chunk;
mod error;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use xxhash_rust::xxh3::Xxh3;

pub use self::chunk::{ChunkAndRest, MAX_CHUNK_BYTES, split_chunk};
pub use self::error::StreamError;
pub use self::reader::ChunkReader;
pub use self::record::{Header, Record, Run, Totals};
pub use self::writer::ChunkWriter;
use crate::schema::{Column, Table};

/// The format version that is written, and the only one that is taken.
pub const VERSION: u32 = 1;

/// What the columns of a table are: rows make sense only where it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SchemaFingerprint(pub u64);

impl SchemaFingerprint {
    /// Of the ids, kinds, types and orders of a table's columns. Names and options do not matter to what is stored.
    pub fn of(table: &Table) -> SchemaFingerprint {
        let mut hash = Xxh3::new();
        for column in table.columns() {
            let Column { id, cql_type, kind, descending, .. } = column;
            // Its JSON is what the schema's journal keeps of a type, fields of user types and all.
            let stored = serde_json::to_vec(&(id, kind, cql_type, descending));
            hash.update(&stored.expect("ids, kinds and types have no key that JSON can't hold"));
        }
        SchemaFingerprint(hash.digest())
    }
}
