//! The catalogue: keyspaces, tables, columns, user types, as one immutable value per epoch.
//!
//! A [`Schema`] changes only through [`SchemaChange`]s: pure functions `old -> Result<new>`, which the server validates,
//! logs and replays. It knows nothing of statements, sessions or files.

pub mod change;
pub mod error;
pub mod options;
pub mod user_types;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, UserType};
use uuid::Uuid;

use crate::model::{ColumnId, Timestamp};
use crate::schema::options::TableOptions;

/// A table's identity: a new one for each CREATE TABLE, so a re-created table never sees old data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub Uuid);

/// All keyspaces at one epoch.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Schema {
    /// Grows by one with every change.
    pub epoch: u64,
    /// Keyspaces by name; system keyspaces are not here, the server makes them up.
    pub keyspaces: BTreeMap<Name, Arc<Keyspace>>,
}

/// A keyspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keyspace {
    /// Its name.
    pub name: Name,
    /// Replication as written: `class` (full Java name of the strategy) and its options.
    pub replication: BTreeMap<String, String>,
    /// Whether writes go through the commit log.
    pub durable_writes: bool,
    /// Tables by name.
    pub tables: Tables,
    /// User types by name.
    pub types: BTreeMap<Name, Arc<UserType>>,
}

/// Tables by name, of which there may be many: a changed copy shares all but a few nodes with the original, so that a
/// schema change costs the same however many there are.
pub type Tables = RedBlackTreeMapSync<Name, Arc<Table>>;

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its identity.
    pub id: TableId,
    /// The keyspace.
    pub keyspace: Name,
    /// Its name.
    pub name: Name,
    /// Partition key columns, in key order. At least one.
    pub partition_key: Vec<Column>,
    /// Clustering columns, in key order.
    pub clustering: Vec<Column>,
    /// Static columns, sorted by name.
    pub statics: Vec<Column>,
    /// Regular columns, sorted by name.
    pub regulars: Vec<Column>,
    /// Columns that were dropped, by name (the latest drop of each).
    pub dropped: BTreeMap<Name, DroppedColumn>,
    /// The next column's id.
    pub next_column_id: ColumnId,
    /// Options of WITH.
    pub options: TableOptions,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its number in this table, never reused. Key columns have one too.
    pub id: ColumnId,
    /// Its name.
    pub name: Name,
    /// Its type.
    pub cql_type: CqlType,
    /// What part of the row it is.
    pub kind: ColumnKind,
    /// CLUSTERING ORDER BY ... DESC; only clustering columns.
    pub descending: bool,
}

/// What part of a row a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ColumnKind {
    PartitionKey,
    Clustering,
    Static,
    Regular,
}

/// A column that ALTER TABLE DROP removed: its id names cells that must not be shown again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DroppedColumn {
    /// The column as it was.
    pub column: Column,
    /// Cells written at or before this are dropped.
    pub dropped_at: Timestamp,
    /// Whether cells written later are there again when the column is: the user said the timestamp. The column then keeps
    /// its id; others get a new one.
    #[serde(default)]
    pub keeps_newer: bool,
}

/// One step of the schema: whole objects are put or dropped, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChange {
    /// Creates a keyspace, or replaces its replication and options; its tables and types stay.
    PutKeyspace {
        /// Its name.
        name: Name,
        /// Replication.
        replication: BTreeMap<String, String>,
        /// Whether writes go through the commit log.
        durable_writes: bool,
    },
    /// Drops a keyspace with all that is in it.
    DropKeyspace(Name),
    /// Creates or replaces a table.
    PutTable(Arc<Table>),
    /// Drops a table: keyspace and name.
    DropTable(Name, Name),
    /// Creates or replaces a user type. Tables and types that use it are re-resolved to the new definition.
    PutType(Arc<UserType>),
    /// Drops a user type: keyspace and name.
    DropType(Name, Name),
}

impl Table {
    /// All columns in the order of `SELECT *`: partition key, clustering, statics, regulars.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.partition_key.iter().chain(&self.clustering).chain(&self.statics).chain(&self.regulars)
    }

    /// Whether its columns are counters: then all are, but those of the key.
    pub fn is_counter(&self) -> bool {
        self.statics.iter().chain(&self.regulars).any(|column| column.cql_type.is_counter())
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns().find(|column| column.name == *name)
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
