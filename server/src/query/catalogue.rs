//! What planning may know: the schema at one epoch, and the system tables beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tholos_grammar::name::Name;
use tholos_storage::memtable::Memtable;
use tholos_storage::schema::{Keyspace, Schema, SchemaChange, Table, TableId};
use uuid::Uuid;

use crate::error::QueryError;
use crate::system::schema::is_stored;
use crate::system::version::{Content, version};

/// The catalogue at one epoch. A new one is published with every schema change.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Users' keyspaces.
    pub schema: Arc<Schema>,
    /// System keyspaces (`system`, `system_schema`, `system_virtual_schema`, `system_auth`, `system_traces`, ...):
    /// described by ordinary [`Table`]s, of which some are stored and most are [virtual](Self::is_virtual).
    pub system: Arc<Schema>,
    /// What is made of the schema, once for each epoch.
    made: Arc<Mutex<Made>>,
}

/// What is made of the schema of one epoch when somebody asks first.
#[derive(Debug, Default)]
struct Made {
    epoch: u64,
    content: Option<Content>,
    rows: BTreeMap<TableId, Arc<Memtable>>,
}

impl Catalogue {
    /// A catalogue of which nothing is made yet.
    pub fn new(schema: Arc<Schema>, system: Arc<Schema>) -> Catalogue {
        let made = Made { epoch: schema.epoch, ..Made::default() };
        Catalogue { schema, system, made: Arc::new(Mutex::new(made)) }
    }

    /// The catalogue after changes that led to `schema`. Its version costs as much as what they touched, not as the schema.
    #[must_use]
    pub fn after(&self, schema: Arc<Schema>, changes: &[SchemaChange]) -> Catalogue {
        let mut content = self.made().content;
        if let Some(content) = &mut content {
            content.change(&self.schema, &schema, changes);
        }
        let made = Made { epoch: schema.epoch, content, rows: BTreeMap::new() };
        Catalogue { schema, system: Arc::clone(&self.system), made: Arc::new(Mutex::new(made)) }
    }

    /// The keyspace of that name, a user's or the system's.
    pub fn keyspace(&self, name: &str) -> Option<&Arc<Keyspace>> {
        self.schema.keyspaces.get(name).or_else(|| self.system.keyspaces.get(name))
    }

    /// The table of that name.
    pub fn table(&self, keyspace: &str, table: &str) -> Option<&Arc<Table>> {
        self.keyspace(keyspace)?.tables.get(table)
    }

    /// Whether this is a system keyspace: users can read it, and not change it.
    pub fn is_system(&self, keyspace: &Name) -> bool {
        self.system.keyspaces.contains_key(keyspace.as_str())
    }

    /// Whether the rows of this table are made up at each read: those of most system tables are.
    pub fn is_virtual(&self, table: &Table) -> bool {
        self.is_system(&table.keyspace) && !is_stored(table)
    }

    /// The schema version that drivers compare among nodes: a UUID made of the schema's epoch and content, so that equal
    /// schemas have equal versions, and a version never comes back with another content.
    pub fn version(&self) -> Uuid {
        let known = self.made().content;
        let content = known.unwrap_or_else(|| {
            let content = Content::of(&self.schema);
            self.made().content = Some(content);
            content
        });
        version(self.schema.epoch, content)
    }

    /// The rows of a table whose rows follow from the schema alone, if they were made already.
    pub fn rows_made(&self, table: TableId) -> Option<Arc<Memtable>> {
        self.made().rows.get(&table).cloned()
    }

    /// The rows of such a table, made by `make` if they were not yet.
    ///
    /// # Errors
    /// What `make` says.
    pub fn rows(
        &self,
        table: TableId,
        make: impl FnOnce() -> Result<Memtable, QueryError>,
    ) -> Result<Arc<Memtable>, QueryError> {
        if let Some(rows) = self.rows_made(table) {
            return Ok(rows);
        }
        // Not under the lock: two that ask at the same time both make them.
        let rows = Arc::new(make()?);
        self.made().rows.insert(table, Arc::clone(&rows));
        Ok(rows)
    }

    fn made(&self) -> parking_lot::MutexGuard<'_, Made> {
        let mut made = self.made.lock();
        if made.epoch != self.schema.epoch {
            *made = Made { epoch: self.schema.epoch, ..Made::default() };
        }
        made
    }
}
