//! What all nodes of a cluster agree on: who they are, who has which keys, and the schema. One immutable value per epoch.
//!
//! It changes by [`Entry`]s alone, pure functions from one value to the next: the same entries in the same order give the
//! same value everywhere, whoever applies them. Who orders them is somebody else's: a node alone does, by its journal.
//!
//! ```text
//! epoch 7, ring of one, {zoo: RF 1}  --Schema([PutKeyspace moon, RF 3])-->  epoch 8, placements of zoo and moon
//! ```

use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_storage::schema::error::SchemaError;
use tholos_storage::schema::{Schema, SchemaChange};

use crate::placement::{Placement, Placements, ReplicationError};
use crate::ring::{NodeIndex, Ring};

/// The metadata of a cluster at one epoch, as one of its nodes sees it.
#[derive(Clone, Debug)]
pub struct ClusterMetadata {
    local: NodeIndex,
    ring: Arc<Ring>,
    placements: Placements,
    schema: Arc<Schema>,
}

/// One step of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The changes of one schema statement: all of them or none.
    Schema(Vec<SchemaChange>),
}

/// Why an entry does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It leaves the schema inconsistent.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A keyspace's replication can't be understood.
    #[error("keyspace {keyspace}: {error}")]
    Replication {
        /// The keyspace.
        keyspace: Name,
        /// Why.
        error: ReplicationError,
    },
}

impl ClusterMetadata {
    /// The metadata of a ring with that schema, as `local` of its nodes sees it.
    ///
    /// # Errors
    /// A keyspace's replication can't be understood.
    pub fn new(
        ring: Arc<Ring>,
        local: NodeIndex,
        schema: Arc<Schema>,
    ) -> Result<ClusterMetadata, MetadataError> {
        let placements = placements(&ring, local, &schema)?;
        Ok(ClusterMetadata { local, ring, placements, schema })
    }

    /// How many changes led here.
    pub fn epoch(&self) -> u64 {
        self.schema.epoch
    }

    /// Which of the nodes sees it so.
    pub fn local(&self) -> NodeIndex {
        self.local
    }

    /// The nodes and their tokens.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Who has the keys of a keyspace. One that is not in the schema is a system keyspace: on this node alone.
    pub fn placement(&self, keyspace: &str) -> &Arc<Placement> {
        self.placements.of(keyspace)
    }

    /// The metadata after an entry. What the entry does not touch is shared.
    ///
    /// # Errors
    /// The entry does not fit; this value stays as it is.
    pub fn after(&self, entry: &Entry) -> Result<ClusterMetadata, MetadataError> {
        let Entry::Schema(changes) = entry;
        let Some((first, rest)) = changes.split_first() else { return Ok(self.clone()) };
        let apply = |schema: Schema, change| schema.apply(change);
        let schema = rest.iter().try_fold(self.schema.apply(first)?, apply)?;
        changes.iter().try_for_each(|change| change.check_types(&schema))?;
        let places = |change: &SchemaChange| {
            matches!(change, SchemaChange::PutKeyspace { .. } | SchemaChange::DropKeyspace(_))
        };
        // Most statements are about tables, which leave the placements as they are.
        let placements = match changes.iter().any(places) {
            true => placements(&self.ring, self.local, &schema)?,
            false => self.placements.clone(),
        };
        let (local, ring) = (self.local, Arc::clone(&self.ring));
        Ok(ClusterMetadata { local, ring, placements, schema: Arc::new(schema) })
    }
}

fn placements(
    ring: &Arc<Ring>,
    local: NodeIndex,
    schema: &Schema,
) -> Result<Placements, MetadataError> {
    let keyspaces = schema.keyspaces.iter();
    let replications = keyspaces.map(|(name, keyspace)| (name.as_str(), &keyspace.replication));
    Placements::new(ring, local, replications).map_err(|(keyspace, error)| {
        MetadataError::Replication { keyspace: Name::exact(&keyspace), error }
    })
}

#[cfg(test)]
mod tests {
    use tholos_grammar::token::Token;

    use super::*;
    use crate::testing::node;

    fn metadata() -> ClusterMetadata {
        let node = |number: u16| node(number, "dc1", i64::from(number) * 100);
        let ring = Arc::new(Ring::new((1..=3).map(node).collect()).unwrap());
        ClusterMetadata::new(ring, 0, Arc::default()).unwrap()
    }

    fn keyspace(name: &str, factor: &str) -> SchemaChange {
        let option = |key: &str, value: &str| (key.to_string(), value.to_string());
        SchemaChange::PutKeyspace {
            name: Name::exact(name),
            replication: [option("class", "SimpleStrategy"), option("replication_factor", factor)]
                .into(),
            durable_writes: true,
        }
    }

    #[test]
    fn a_keyspace_is_placed_with_the_entry_that_makes_it() {
        let before = metadata();
        let entry = Entry::Schema(vec![keyspace("a", "1"), keyspace("b", "3")]);
        let after = before.after(&entry).unwrap();
        assert_eq!((before.epoch(), after.epoch()), (0, 2));
        assert_eq!(after.placement("a").replicas(Token(50)), [0]);
        assert_eq!(after.placement("b").replicas(Token(50)).len(), 3);
        let dropped = after.after(&Entry::Schema(vec![SchemaChange::DropKeyspace("b".into())]));
        let dropped = dropped.unwrap();
        assert!(!dropped.schema().keyspaces.contains_key("b"));
        assert_eq!(dropped.placement("b").factor(), 1, "as of one that was never there");
    }

    #[test]
    fn an_entry_that_does_not_fit_changes_nothing() {
        let before = metadata();
        let missing = SchemaChange::DropKeyspace("c".into());
        let refused = before.after(&Entry::Schema(vec![keyspace("a", "1"), missing]));
        assert!(matches!(refused, Err(MetadataError::Schema(SchemaError::NoKeyspace(_)))));
        let refused = before.after(&Entry::Schema(vec![keyspace("a", "many")]));
        let message = refused.unwrap_err().to_string();
        assert!(message.starts_with("keyspace a: replication option"), "{message}");
        assert_eq!((before.epoch(), before.schema().keyspaces.len()), (0, 0));
    }

    #[test]
    fn the_same_entries_give_the_same_value_on_every_node() {
        let entries = [
            Entry::Schema(vec![keyspace("a", "2")]),
            Entry::Schema(vec![keyspace("b", "1"), SchemaChange::DropKeyspace("a".into())]),
        ];
        let ring = Arc::clone(metadata().ring());
        let on = |local| {
            let first = ClusterMetadata::new(Arc::clone(&ring), local, Arc::default()).unwrap();
            entries.iter().fold(first, |metadata, entry| metadata.after(entry).unwrap())
        };
        let (one, other) = (on(0), on(2));
        assert_eq!((one.epoch(), one.schema()), (other.epoch(), other.schema()));
        for token in [-1, 100, 101, 250, 301].map(Token) {
            assert_eq!(one.placement("b").replicas(token), other.placement("b").replicas(token));
        }
    }
}
