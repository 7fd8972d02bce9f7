//! Executing plans: the context of one request, and the way from a plan to whoever has the keys.
//!
//! Everything here is synchronous. What this node alone has a say in is done at once: a write comes back with the
//! [`LogPosition`] that must be durable before its answer goes out, and whoever runs the statement waits for it. What
//! several replicas are to do comes back as such: [`modify::Written`], [`select::Round`].

pub mod batch_limits;
pub mod describe;
pub mod locks;
pub mod modify;
pub mod paging;
pub mod select;
pub mod tombstones;

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;
use tholos_cluster::metadata::ClusterMetadata;
use tholos_cluster::placement::Placement;
use tholos_cluster::request::path::{self, Path, View};
use tholos_cluster::ring::NodeIndex;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::commitlog::LogPosition;
use tholos_storage::engine::Engine;
use tholos_storage::model::ColumnId;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::read::live::LiveRows;
use tholos_storage::read::point::PointRow;
use tholos_storage::schema::TableId;

use crate::budget::Credit;
use crate::clock::Deadline;
use crate::config::BatchLimits;
use crate::error::QueryError;
use crate::execute::locks::PartitionLocks;
use crate::execute::tombstones::TombstoneRead;
use crate::halt::Halt;
use crate::network::Network;
use crate::query::catalogue::Catalogue;
use crate::query::functions::{CallContext, Random};
use crate::query::values::{Bound, RequestOptions, RequestTime, TimestampWatch};
use crate::system::info::SystemTables;

/// What executing a statement may use. Made once per request; cheap to make.
#[derive(Clone, Copy)]
pub struct ExecuteContext<'a> {
    /// What this node stores. Statements use [`write`](ExecuteContext::write), [`read_row`](ExecuteContext::read_row)
    /// and [`scan`](ExecuteContext::scan).
    pub engine: &'a Engine,
    /// Who else can be reached.
    pub network: &'a dyn Network,
    /// Partitions that are being changed by what they hold.
    pub locks: &'a Arc<PartitionLocks>,
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

    /// Which way a write of a partition takes, before anything is written.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`]; a level that is none for writes.
    pub fn write_path(
        &self,
        placement: &Placement,
        token: Token,
        level: Consistency,
    ) -> Result<Path, QueryError> {
        Ok(self.view(placement, |view| path::write_path(view, placement, token, level))?)
    }

    /// Writes one partition on this node.
    ///
    /// # Errors
    /// Storage's; nothing was written.
    pub fn write(&self, mutation: &Mutation) -> Result<LogPosition, Halt> {
        Ok(self.engine.apply(mutation)?)
    }

    /// Reads one row, or static row, of a table of `keyspace` by its full key, if this node may answer alone.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`]; storage's errors.
    pub fn read_row(
        &self,
        keyspace: &Name,
        token: Token,
        level: Consistency,
        row: RowKey<'_>,
    ) -> Result<Found, Halt> {
        if self.read_path(keyspace, Some(token), level)? == Path::Replicas {
            return Ok(Found::Unknown);
        }
        let RowKey { table, key, partition_len, columns } = row;
        let (table, now) = (self.engine.table(table)?, self.time.seconds);
        let row = match columns {
            Some(columns) => table.row_columns(key, partition_len, columns, now)?,
            None => table.row(key, partition_len, now)?,
        };
        Ok(row.into())
    }

    /// Walks a range of keys of a table of `keyspace`, if this node may answer alone. `token` is the partition's; none
    /// where the range spans several.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`]; storage's errors.
    pub fn scan(
        &self,
        keyspace: &Name,
        token: Option<Token>,
        level: Consistency,
        range: KeyRange<'_>,
    ) -> Result<Option<LiveRows>, Halt> {
        if self.read_path(keyspace, token, level)? == Path::Replicas {
            return Ok(None);
        }
        let KeyRange { table, lower, upper, partition_len, direction } = range;
        let (table, now) = (self.engine.table(table)?, self.time.seconds);
        let rows = match partition_len {
            Some(len) => table.scan_partition(len, lower, upper, direction, now),
            None => table.scan(lower, upper, direction, now),
        };
        Ok(Some(rows?))
    }

    fn read_path(
        &self,
        keyspace: &Name,
        token: Option<Token>,
        level: Consistency,
    ) -> Result<Path, QueryError> {
        let placement = self.cluster.placement(keyspace.as_str());
        Ok(self.view(placement, |view| path::read_path(view, placement, token, level))?)
    }

    fn view<T>(&self, placement: &Placement, see: impl FnOnce(View<'_>) -> T) -> T {
        let is_alive = |node| reaches(self.network, placement, node);
        let keeps_hints = self.network.keeps_hints();
        see(View { node: self.cluster.local(), is_alive: &is_alive, keeps_hints })
    }
}

/// Whether another node of a placement's ring is thought to be alive.
pub(crate) fn reaches(network: &dyn Network, placement: &Placement, node: NodeIndex) -> bool {
    placement.ring().node(node).is_some_and(|node| network.reaches(node.host_id))
}

/// What is known of one row.
#[derive(Debug)]
pub enum Found {
    /// As it is.
    Row(PointRow),
    /// There is none.
    Absent,
    /// Several replicas are to be asked.
    Unknown,
}

impl From<Option<PointRow>> for Found {
    fn from(row: Option<PointRow>) -> Self {
        row.map_or(Found::Absent, Found::Row)
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
