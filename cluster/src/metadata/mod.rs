//! What all nodes of a cluster agree on: who they are, who has which keys, and the schema. One immutable value per epoch.
//!
//! It changes by [`Entry`]s alone, pure functions from one value to the next: the same entries in the same order give the
//! same value everywhere, whoever applies them. Who orders them is the [`log`]; a node alone does by its journal.
//!
//! - [`entry`]: the steps; [`state`]: the value, the same on every node; [`members`]: who decides.
//! - [`genesis`]: the beginning of a cluster.
//! - [`log`]: how nodes come to the same entries in the same order.
//! - [`record`]: all of it as bytes.
//!
//! ```text
//! epoch 7, ring of one, {zoo: RF 1}  --Schema([PutKeyspace moon, RF 3])-->  epoch 8, placements of zoo and moon
//! ```

pub mod entry;
pub mod genesis;
pub mod log;
pub mod members;
pub mod record;
pub mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_storage::schema::Schema;
use uuid::Uuid;

use self::entry::{Entry, MetadataError};
use self::state::{ClusterIdentity, ClusterState};
use crate::placement::{Placement, Placements};
use crate::ring::{NodeIndex, Ring};

/// The metadata of a cluster at one epoch, as one of its nodes sees it.
#[derive(Clone, Debug)]
pub struct ClusterMetadata {
    local: NodeIndex,
    state: Arc<ClusterState>,
    placements: Placements,
}

impl ClusterMetadata {
    /// The metadata of a ring with that schema, as `local` of its nodes sees it. Nobody agreed on it yet: its epoch is 0.
    ///
    /// # Errors
    /// A keyspace's replication can't be understood.
    pub fn new(
        ring: Arc<Ring>,
        local: NodeIndex,
        schema: Arc<Schema>,
    ) -> Result<ClusterMetadata, MetadataError> {
        let cluster = ClusterIdentity { id: Uuid::nil(), name: String::new() };
        let state = ClusterState { epoch: 0, cluster, members: BTreeSet::new(), ring, schema };
        ClusterMetadata::placed(local, Arc::new(state))
    }

    /// What was agreed on, as the node of that host id sees it.
    ///
    /// # Errors
    /// It is not among the nodes; a keyspace's replication can't be understood.
    pub fn of(state: Arc<ClusterState>, host: Uuid) -> Result<ClusterMetadata, MetadataError> {
        let mut nodes = (0..).zip(state.ring.nodes());
        let local = nodes.find(|(_, node)| node.host_id == host).map(|(index, _)| index);
        ClusterMetadata::placed(local.ok_or(MetadataError::UnknownNode(host))?, state)
    }

    fn placed(
        local: NodeIndex,
        state: Arc<ClusterState>,
    ) -> Result<ClusterMetadata, MetadataError> {
        let placements = placements(&state.ring, local, &state.schema)?;
        Ok(ClusterMetadata { local, state, placements })
    }

    /// How many entries led here.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// What all nodes agree on.
    pub fn state(&self) -> &Arc<ClusterState> {
        &self.state
    }

    /// Which of the nodes sees it so.
    pub fn local(&self) -> NodeIndex {
        self.local
    }

    /// The nodes and their tokens.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.state.ring
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.state.schema
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
        self.with(Arc::new(self.state.after(entry)?))
    }

    /// The metadata of a later value. What is the same is shared.
    ///
    /// # Errors
    /// A keyspace's replication can't be understood.
    pub fn with(&self, state: Arc<ClusterState>) -> Result<ClusterMetadata, MetadataError> {
        // Most entries are about tables, which leave the placements as they are. Nodes keep their numbers.
        let stay = Arc::ptr_eq(&self.state.ring, &state.ring)
            && same_replication(&self.state.schema, &state.schema);
        if !stay {
            return ClusterMetadata::placed(self.local, state);
        }
        Ok(ClusterMetadata { local: self.local, state, placements: self.placements.clone() })
    }
}

fn same_replication(one: &Schema, other: &Schema) -> bool {
    one.keyspaces.len() == other.keyspaces.len()
        && one.keyspaces.iter().zip(&other.keyspaces).all(|((name, one), (other_name, other))| {
            name == other_name && (Arc::ptr_eq(one, other) || one.replication == other.replication)
        })
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
    use tholos_storage::schema::SchemaChange;
    use tholos_storage::schema::error::SchemaError;

    use super::*;
    use crate::testing::{description, keyspace, node};

    fn metadata() -> ClusterMetadata {
        let node = |number: u16| node(number, "dc1", i64::from(number) * 100);
        let ring = Arc::new(Ring::new((1..=3).map(node).collect()).unwrap());
        ClusterMetadata::new(ring, 0, Arc::default()).unwrap()
    }

    fn schema(base: u64, changes: Vec<SchemaChange>) -> Entry {
        Entry::Schema { base, changes }
    }

    #[test]
    fn a_keyspace_is_placed_with_the_entry_that_makes_it() {
        let before = metadata();
        let entry = schema(0, vec![keyspace("a", "1"), keyspace("b", "3")]);
        let after = before.after(&entry).unwrap();
        assert_eq!((before.epoch(), after.epoch()), (0, 1));
        assert_eq!(after.placement("a").replicas(Token(50)), [0]);
        assert_eq!(after.placement("b").replicas(Token(50)).len(), 3);
        let dropped = after.after(&schema(2, vec![SchemaChange::DropKeyspace("b".into())]));
        let dropped = dropped.unwrap();
        assert!(!dropped.schema().keyspaces.contains_key("b"));
        assert_eq!(dropped.placement("b").factor(), 1, "as of one that was never there");
    }

    #[test]
    fn an_entry_that_does_not_fit_changes_nothing() {
        let before = metadata();
        let missing = SchemaChange::DropKeyspace("c".into());
        let refused = before.after(&schema(0, vec![keyspace("a", "1"), missing]));
        assert!(matches!(refused, Err(MetadataError::Schema(SchemaError::NoKeyspace(_)))));
        let refused = before.after(&schema(0, vec![keyspace("a", "many")]));
        let message = refused.unwrap_err().to_string();
        assert!(message.starts_with("keyspace a: replication option"), "{message}");
        assert_eq!((before.epoch(), before.schema().keyspaces.len()), (0, 0));
    }

    #[test]
    fn what_was_agreed_on_is_seen_by_its_nodes_and_shares_what_stays() {
        let nodes = [1, 2, 3].map(description);
        let cluster = ClusterIdentity { id: Uuid::from_u128(9), name: "zoo".to_string() };
        let first = ClusterState::first(cluster, &nodes[..2], Arc::default()).unwrap();
        let stranger = ClusterMetadata::of(Arc::new(first.clone()), nodes[2].host_id);
        assert_eq!(stranger.unwrap_err(), MetadataError::UnknownNode(nodes[2].host_id));
        let one = ClusterMetadata::of(Arc::new(first), nodes[1].host_id).unwrap();
        let more = one.after(&Entry::Register(nodes[2].clone())).unwrap();
        let made = more.after(&schema(0, vec![keyspace("a", "2"), keyspace("b", "1")])).unwrap();
        let other = made.after(&schema(2, vec![keyspace("b", "1")])).unwrap();
        assert!(Arc::ptr_eq(made.placement("a"), other.placement("a")), "nothing moves");
        let wider = other.after(&schema(3, vec![keyspace("b", "3")])).unwrap();
        assert_eq!(wider.placement("b").replicas(Token(5)).len(), 3);
        let dropped = wider.after(&schema(4, vec![SchemaChange::DropKeyspace("a".into())]));
        assert_eq!(dropped.unwrap().placement("a").factor(), 1);
        assert_eq!((one.epoch(), wider.epoch()), (1, 5));
    }

    #[test]
    fn the_same_entries_give_the_same_value_on_every_node() {
        let entries = [
            schema(0, vec![keyspace("a", "2")]),
            schema(1, vec![keyspace("b", "1"), SchemaChange::DropKeyspace("a".into())]),
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
