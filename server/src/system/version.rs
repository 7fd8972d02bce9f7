//! The schema version: a hash of what the schema consists of.
//!
//! Each object (a keyspace without what is in it, a table, a type) is hashed by itself, and the hashes are added up. So a
//! change takes the hashes of what it touches off and adds the new ones, however large the schema is:
//!
//! ```text
//! content = hash(keyspace k) + hash(table k.a) + hash(table k.b)
//! ALTER TABLE k.b:  content - hash(table k.b before) + hash(table k.b after)
//! ```

use serde::Serialize;
use tholos_grammar::name::Name;
use tholos_storage::schema::change::Touched;
use tholos_storage::schema::{Keyspace, Schema, SchemaChange};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

/// The sum of the hashes of all objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content(u128);

impl Content {
    /// The content of a schema.
    pub fn of(schema: &Schema) -> Content {
        schema
            .keyspaces
            .values()
            .fold(Content::default(), |sum, keyspace| sum.plus(whole(keyspace)))
    }

    /// Follows changes from one schema to the next.
    pub fn change(&mut self, before: &Schema, after: &Schema, changes: &[SchemaChange]) {
        let Touched { keyspaces, tables, types } = Touched::by(changes, before);
        let sum = |schema: &Schema| {
            let known = |name: &Name| schema.keyspaces.get(name);
            let keyspaces = keyspaces.iter().filter_map(|name| known(name).map(|k| whole(k)));
            let tables = tables.iter().filter_map(|(k, name)| known(k)?.tables.get(*name));
            let types = types.iter().filter_map(|(k, name)| known(k)?.types.get(*name));
            keyspaces
                .chain(tables.map(|table| hash("table", table)))
                .chain(types.map(|ty| hash("type", ty)))
                .fold(0, u128::wrapping_add)
        };
        self.0 = self.0.wrapping_sub(sum(before)).wrapping_add(sum(after));
    }

    fn plus(self, hash: u128) -> Content {
        Content(self.0.wrapping_add(hash))
    }
}

/// The version of a schema of that epoch and content.
pub(crate) fn version(epoch: u64, content: Content) -> Uuid {
    let mut hasher = Xxh3::new();
    hasher.update(&epoch.to_be_bytes());
    hasher.update(&content.0.to_be_bytes());
    uuid::Builder::from_custom_bytes(hasher.digest128().to_be_bytes()).into_uuid()
}

/// A keyspace with all that is in it.
fn whole(keyspace: &Keyspace) -> u128 {
    let own = hash("keyspace", &(&keyspace.name, &keyspace.replication, keyspace.durable_writes));
    let tables = keyspace.tables.values().map(|table| hash("table", table));
    let types = keyspace.types.values().map(|ty| hash("type", ty));
    tables.chain(types).fold(own, u128::wrapping_add)
}

/// One object. Its maps are sorted, so that equal objects are written alike.
fn hash(kind: &str, object: &impl Serialize) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(kind.as_bytes());
    // Only a map whose keys are no text can't be written as JSON; the schema's journal is JSON too.
    hasher.update(&serde_json::to_vec(object).unwrap_or_default());
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn changes_lead_to_the_content_that_the_schema_has() {
        let mut bench = Bench::new();
        let mut seen = vec![bench.catalogue.version()];
        for statement in [
            "CREATE TYPE u (a int)",
            "CREATE TYPE w (u frozen<u>)",
            "CREATE TABLE t (k int PRIMARY KEY, v frozen<w>)",
            "CREATE TABLE other (k int PRIMARY KEY)",
            "ALTER TABLE t ADD b int",
            "ALTER TABLE t DROP b",
            "ALTER TABLE t WITH comment = 'x'",
            "ALTER TYPE u ADD b text",
            "ALTER TYPE u RENAME b TO c",
            "CREATE TYPE unused (a int)",
            "DROP TYPE unused",
            "ALTER KEYSPACE ks WITH durable_writes = false",
            "CREATE KEYSPACE k2 WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE k2.t (k int PRIMARY KEY)",
            "DROP TABLE other",
            "DROP KEYSPACE k2",
        ] {
            bench.run(statement);
            let Bench { catalogue, .. } = &bench;
            let afresh = version(catalogue.schema.epoch, Content::of(&catalogue.schema));
            assert_eq!(catalogue.version(), afresh, "{statement}");
            assert!(!seen.contains(&afresh), "{statement}");
            seen.push(afresh);
        }
    }
}
