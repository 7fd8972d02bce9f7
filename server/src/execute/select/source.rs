//! Where rows come from: the coordinator, or a memtable made for this read.

use std::sync::Arc;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::memtable::Memtable;
use tholos_storage::model::Seconds;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::token_of;
use tholos_storage::read::live::LiveRows;
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::point::{PointRead, PointRow};
use tholos_storage::read::source::Source;
use tholos_storage::schema::TableId;

use crate::error::QueryError;
use crate::execute::{ExecuteContext, KeyRange, RowKey};

/// Rows of one table, for one request.
pub(super) enum RowSource<'a, 'c> {
    /// Through the coordinator, at a consistency level.
    Coordinator {
        cx: &'a ExecuteContext<'c>,
        keyspace: &'a Name,
        table: TableId,
        consistency: Consistency,
    },
    /// A virtual table.
    Memory { memtable: Arc<Memtable>, now: Seconds },
}

impl RowSource<'_, '_> {
    /// Walks the keys `lower..upper` of one partition.
    pub(super) fn scan_partition(
        &self,
        partition: &[u8],
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<LiveRows, QueryError> {
        self.open(Some(partition), lower, upper, direction)
    }

    /// Walks the keys `lower..upper`; an empty `upper` is the table's end.
    pub(super) fn scan(&self, lower: &[u8], upper: &[u8]) -> Result<LiveRows, QueryError> {
        self.open(None, lower, upper, Direction::Forward)
    }

    fn open(
        &self,
        partition: Option<&[u8]>,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<LiveRows, QueryError> {
        match self {
            RowSource::Coordinator { cx, keyspace, table, consistency } => {
                let token = partition.map(|prefix| Token(token_of(prefix)));
                let partition_len = partition.map(<[u8]>::len);
                let range = KeyRange { table: *table, lower, upper, partition_len, direction };
                cx.scan(keyspace, token, *consistency, range)
            }
            RowSource::Memory { memtable, now } => {
                let sources = vec![Source::Memtable(Arc::clone(memtable))];
                let merge = MergeCursor::open(sources, lower, upper, direction)?;
                Ok(LiveRows::new(merge, direction, *now))
            }
        }
    }

    /// Reads one row, or static row, by its full key.
    pub(super) fn row(
        &self,
        key: &[u8],
        partition_len: usize,
    ) -> Result<Option<PointRow>, QueryError> {
        match self {
            RowSource::Coordinator { cx, keyspace, table, consistency } => {
                let token = Token(token_of(key));
                let row = RowKey { table: *table, key, partition_len, columns: None };
                cx.read_row(keyspace, token, *consistency, row)
            }
            RowSource::Memory { memtable, now } => {
                let mut read = PointRead::new(key, partition_len, None, *now);
                read.memtable(memtable);
                Ok(read.finish()?)
            }
        }
    }
}
