//! Where rows come from: this node's storage where it may answer alone, else what replicas sent; or a memtable made for
//! this read.

use std::sync::Arc;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::memtable::Memtable;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::token_of;
use tholos_storage::model::{ColumnId, Seconds};
use tholos_storage::read::live::LiveRows;
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::point::PointRead;
use tholos_storage::read::source::Source;
use tholos_storage::schema::TableId;

use super::fetched::Fetched;
use crate::execute::{ExecuteContext, Found, KeyRange, RowKey};
use crate::halt::Halt;

/// Rows of one table, for one request.
pub(super) enum RowSource<'a, 'c> {
    /// This node's storage, where that is all that the consistency level needs, and else what replicas sent, as far as it
    /// goes.
    Table {
        cx: &'a ExecuteContext<'c>,
        keyspace: &'a Name,
        table: TableId,
        consistency: Consistency,
        fetched: &'a Fetched,
    },
    /// A virtual table.
    Memory { memtable: Arc<Memtable>, now: Seconds },
}

impl RowSource<'_, '_> {
    /// Walks the keys `lower..upper` of one partition; `None` if what is there is still to be fetched.
    pub(super) fn scan_partition(
        &self,
        partition: &[u8],
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<Option<LiveRows>, Halt> {
        self.open(Some(partition), lower, upper, direction)
    }

    /// Walks the keys `lower..upper`; an empty `upper` is the table's end. `None` as there.
    pub(super) fn scan(&self, lower: &[u8], upper: &[u8]) -> Result<Option<LiveRows>, Halt> {
        self.open(None, lower, upper, Direction::Forward)
    }

    fn open(
        &self,
        partition: Option<&[u8]>,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<Option<LiveRows>, Halt> {
        match self {
            RowSource::Table { cx, keyspace, table, consistency, fetched } => {
                let token = partition.map(|prefix| Token(token_of(prefix)));
                let partition_len = partition.map(<[u8]>::len);
                let range = KeyRange { table: *table, lower, upper, partition_len, direction };
                match cx.scan(keyspace, token, *consistency, range)? {
                    None => fetched.rows(lower, upper, direction, cx.time.seconds),
                    rows => Ok(rows),
                }
            }
            RowSource::Memory { memtable, now } => {
                let sources = vec![Source::Memtable(Arc::clone(memtable))];
                let merge = MergeCursor::open(sources, lower, upper, direction)?;
                Ok(Some(LiveRows::new(merge, direction, *now)))
            }
        }
    }

    /// Reads one row, or static row, by its full key. Other columns than these may be missing.
    pub(super) fn row(
        &self,
        key: &[u8],
        partition_len: usize,
        columns: &[ColumnId],
    ) -> Result<Found, Halt> {
        match self {
            RowSource::Table { cx, keyspace, table, consistency, fetched } => {
                let token = Token(token_of(key));
                let row = RowKey { table: *table, key, partition_len, columns: Some(columns) };
                match cx.read_row(keyspace, token, *consistency, row)? {
                    Found::Unknown => fetched.row(key, cx.time.seconds),
                    found => Ok(found),
                }
            }
            RowSource::Memory { memtable, now } => {
                let mut read = PointRead::new(key, partition_len, None, *now);
                read.memtable(memtable);
                Ok(read.finish()?.into())
            }
        }
    }
}
