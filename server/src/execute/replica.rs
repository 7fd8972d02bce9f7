//! The local replica: the coordinator's way to this node's storage engine.

use tholos_cluster::coordinator::Replica;
use tholos_storage::StorageError;
pub use tholos_storage::commitlog::LogPosition;
use tholos_storage::engine::Engine;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::LocalRead;
pub use tholos_storage::read::live::LiveRows;
pub use tholos_storage::read::point::PointRow;

/// What a read gives.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // taken apart where it arrives; a box would be an allocation per scan
pub enum ReplicaRows {
    /// One row by its key, if it exists.
    Row(Option<PointRow>),
    /// A walk over a range.
    Range(LiveRows),
}

/// This node's storage engine, as the coordinator sees it.
#[derive(Clone, Debug)]
pub struct LocalReplica {
    engine: Engine,
}

impl LocalReplica {
    /// The replica over an engine.
    pub fn new(engine: Engine) -> LocalReplica {
        LocalReplica { engine }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Replica for LocalReplica {
    type Ack = LogPosition;
    type Rows = ReplicaRows;
    type Error = StorageError;

    fn write(&self, mutation: &Mutation) -> Result<LogPosition, StorageError> {
        self.engine.apply(mutation)
    }

    fn read(&self, command: LocalRead<'_>) -> Result<ReplicaRows, StorageError> {
        let table = self.engine.table(command.table())?;
        match command {
            LocalRead::Row { key, partition_len, columns, now, .. } => {
                let row = match columns {
                    Some(columns) => table.row_columns(key, partition_len, columns, now),
                    None => table.row(key, partition_len, now),
                };
                row.map(ReplicaRows::Row)
            }
            LocalRead::Range { lower, upper, partition_len, direction, now, .. } => {
                let rows = match partition_len {
                    Some(len) => table.scan_partition(len, lower, upper, direction, now),
                    None => table.scan(lower, upper, direction, now),
                };
                rows.map(ReplicaRows::Range)
            }
        }
    }
}
