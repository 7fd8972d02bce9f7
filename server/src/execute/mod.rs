//! Executing plans: the context of one request, and the way from a plan to the coordinator.
//!
//! Everything here is synchronous. A write comes back with the [`LogPosition`] that must be durable before its answer
//! goes out; the connection waits for it, not the statement.

pub mod batch_limits;
pub mod describe;
pub mod locks;
pub mod modify;
pub mod paging;
pub mod replica;
pub mod select;
pub mod tombstones;

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;
use tholos_cluster::coordinator::Coordinator;
use tholos_cluster::metadata::ClusterMetadata;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::model::ColumnId;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::LocalRead;
use tholos_storage::schema::TableId;

use crate::budget::Credit;
use crate::clock::Deadline;
use crate::config::BatchLimits;
use crate::error::QueryError;
use crate::execute::locks::PartitionLocks;
use crate::execute::replica::{LiveRows, LocalReplica, LogPosition, PointRow, ReplicaRows};
use crate::execute::tombstones::TombstoneRead;
use crate::query::catalogue::Catalogue;
use crate::query::functions::{CallContext, Random};
use crate::query::values::{Bound, RequestOptions, RequestTime, TimestampWatch};
use crate::system::info::SystemTables;

/// What executing a statement may use. Made once per request; cheap to make.
#[derive(Clone, Copy)]
pub struct ExecuteContext<'a> {
    /// The way to the replicas. Statements use [`write`](ExecuteContext::write), [`read_row`](ExecuteContext::read_row)
    /// and [`scan`](ExecuteContext::scan).
    pub coordinator: &'a Coordinator<LocalReplica>,
    /// Partitions that are being changed by what they hold.
    pub locks: &'a PartitionLocks,
    /// Who has which keys, at the catalogue's epoch.
    pub cluster: &'a ClusterMetadata,
    /// The schema that the plan was made against, or a newer one in which its table did not change.
    pub catalogue: &'a Catalogue,
    /// What the virtual tables tell.
    pub system: &'a dyn SystemTables,
    /// The request's time.
    pub time: RequestTime,
    /// Consistency, paging, the client's timestamp.
    pub options: &'a RequestOptions<'a>,
    /// Values of the markers.
    pub values: &'a [Bound<'a>],
    /// Random bits.
    pub random: &'a dyn Random,
    /// When the request is given up: long reads look at it now and then.
    pub deadline: Deadline<'a>,
    /// What to warn of.
    pub watch: &'a RequestWatch,
}

/// What one request is watched for.
#[derive(Debug, Default)]
pub struct RequestWatch {
    /// More tombstones than this are worth a warning; 0: never.
    pub tombstone_threshold: u64,
    /// The longest answer that is made in a thread that serves other clients too.
    pub inline_bytes: usize,
    /// What other answers take of memory is taken here as they grow.
    pub(crate) room: Option<Arc<Mutex<Credit>>>,
    /// A read that walked over more.
    pub over_threshold: RefCell<Option<TombstoneRead>>,
    /// How large batches may be.
    pub batch_limits: BatchLimits,
    /// Warnings for the client.
    pub warnings: RefCell<Vec<String>>,
    /// Which timestamps of clients are taken, and one that is worth a warning.
    pub timestamps: TimestampWatch,
}

impl<'a> ExecuteContext<'a> {
    /// What functions may use.
    pub fn call(&self) -> CallContext<'a> {
        CallContext { time: self.time, random: self.random, timestamps: &self.watch.timestamps }
    }

    /// Writes one partition of a table of `keyspace` at a consistency level. `token` is the partition's.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`] before anything was written; storage's errors.
    pub fn write(
        &self,
        keyspace: &Name,
        token: Token,
        consistency: Consistency,
        mutation: &Mutation,
    ) -> Result<LogPosition, QueryError> {
        let placement = self.cluster.placement(keyspace.as_str());
        Ok(self.coordinator.write(placement, token, consistency, mutation)?)
    }

    /// Reads one row, or static row, of a table of `keyspace` by its full key; `None` if it does not exist.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`]; storage's errors.
    pub fn read_row(
        &self,
        keyspace: &Name,
        token: Token,
        consistency: Consistency,
        row: RowKey<'_>,
    ) -> Result<Option<PointRow>, QueryError> {
        let RowKey { table, key, partition_len, columns } = row;
        let now = self.time.seconds;
        let command = LocalRead::Row { table, key, partition_len, columns, now };
        let placement = self.cluster.placement(keyspace.as_str());
        match self.coordinator.read(placement, Some(token), consistency, command)? {
            ReplicaRows::Row(row) => Ok(row),
            ReplicaRows::Range(_) => {
                Err(QueryError::Internal("a row read gave a range".to_string()))
            }
        }
    }

    /// Walks a range of keys of a table of `keyspace`. `token` is the partition's; none where the range spans several.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`]; storage's errors.
    pub fn scan(
        &self,
        keyspace: &Name,
        token: Option<Token>,
        consistency: Consistency,
        range: KeyRange<'_>,
    ) -> Result<LiveRows, QueryError> {
        let KeyRange { table, lower, upper, partition_len, direction } = range;
        let now = self.time.seconds;
        let command = LocalRead::Range { table, lower, upper, partition_len, direction, now };
        let placement = self.cluster.placement(keyspace.as_str());
        match self.coordinator.read(placement, token, consistency, command)? {
            ReplicaRows::Range(rows) => Ok(rows),
            ReplicaRows::Row(_) => Err(QueryError::Internal("a range read gave a row".to_string())),
        }
    }
}

/// One row, or static row, of a table.
#[derive(Clone, Copy, Debug)]
pub struct RowKey<'a> {
    /// The table.
    pub table: TableId,
    /// The full key: partition prefix and position.
    pub key: &'a [u8],
    /// How many bytes of `key` are the partition prefix.
    pub partition_len: usize,
    /// The columns that are wanted; `None` for all. Others may be missing, but whether the row exists is right.
    pub columns: Option<&'a [ColumnId]>,
}

/// The keys `lower <= key < upper` of a table; an empty `upper` is the table's end.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'a> {
    /// The table.
    pub table: TableId,
    /// First key.
    pub lower: &'a [u8],
    /// After the last key.
    pub upper: &'a [u8],
    /// How many bytes of `lower` are the prefix of the one partition it lies in, if it is one.
    pub partition_len: Option<usize>,
    /// Which way to walk.
    pub direction: Direction,
}
