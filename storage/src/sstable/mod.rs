//! SSTables: immutable sorted files of entries.
//!
//! One file holds everything: data blocks, index blocks over them, a top index over those, a filter, statistics and a
//! footer; `docs/format-sstable.md` has the bytes. The index entry of a block says which deletions are in force where
//! it starts, so that a seek needs nothing before it, in either direction.
//!
//! Invariant: nothing that was read is used before its checksum was verified, and nothing decoded from it is trusted:
//! a file of any bytes whatsoever gives rows as they were written or an error, and never a panic.

mod block;
mod block_cursor;
mod cache;
mod compression;
mod content;
mod cursor;
mod damage;
mod file;
mod filter;
mod format;
mod index;
mod index_cursor;
mod inspect;
mod options;
mod partition_sizes;
mod portion;
mod run;
mod search;
mod short_key;
mod state_at;
mod statistics;
mod table;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use self::cache::BlockCache;
pub use self::cursor::SsTableCursor;
pub use self::damage::{Damage, DamageLog, FoundDamage, KeyRange};
pub use self::format::VERSION;
pub use self::inspect::{BlockTotals, InspectedBlock, Inspector, Overview, Step};
pub use self::options::{Compression, RowCheck, RowTranscode, SsTableOptions};
pub use self::partition_sizes::{LargePartition, PartitionSizes};
pub use self::portion::{DecodedBlock, Portion, Portions, StoredBlock};
pub use self::run::{BlockRun, BlockRunBuilder, BlockRunCursor, RunStart};
pub use self::search::{BlockRow, TableRow};
pub use self::short_key::KeyTypes;
pub use self::statistics::{RowSummary, Statistics};
pub use self::table::SsTable;
pub use self::verify::verify;
pub use self::writer::{AppendError, SsTableWriter};
