//! What planning may know: the schema at one epoch, and the virtual system tables beside it.

use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_storage::schema::{Keyspace, Schema, Table};

/// The catalogue at one epoch. Immutable; a new one is published with every schema change.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Users' keyspaces.
    pub schema: Arc<Schema>,
    /// System keyspaces (`system`, `system_schema`, `system_virtual_schema`, `system_auth`, `system_traces`, ...):
    /// their tables are virtual, made up at each read, and described by ordinary [`Table`]s.
    pub system: Arc<Schema>,
}

impl Catalogue {
    /// The keyspace of that name, a user's or the system's.
    pub fn keyspace(&self, name: &str) -> Option<&Arc<Keyspace>> {
        self.schema.keyspaces.get(name).or_else(|| self.system.keyspaces.get(name))
    }

    /// The table of that name.
    pub fn table(&self, keyspace: &str, table: &str) -> Option<&Arc<Table>> {
        self.keyspace(keyspace)?.tables.get(table)
    }

    /// Whether this is a system keyspace: read-only, virtual.
    pub fn is_system(&self, keyspace: &Name) -> bool {
        self.system.keyspaces.contains_key(keyspace.as_str())
    }
}
