//! What all nodes of a cluster agree on: one immutable value per epoch, the same on every node.

use std::collections::BTreeSet;
use std::sync::Arc;

use tholos_storage::schema::{Schema, SchemaChange};
use uuid::Uuid;

use super::entry::{Entry, MetadataError, NodeDescription};
use super::members::{MAX_MEMBERS, extended};
use crate::allocation::{ASSUMED_FACTOR, Member, allocate, genesis};
use crate::placement::Replication;
use crate::ring::{Node, Ring, Weight};

/// Which cluster it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// Chosen when it begins.
    pub id: Uuid,
    /// As configured.
    pub name: String,
}

/// The metadata at one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterState {
    /// How many entries were decided: the first value has epoch 1, and every entry makes one more, whether it fits or not.
    pub epoch: u64,
    /// Which cluster it is.
    pub cluster: ClusterIdentity,
    /// The nodes that decide the next entry.
    pub members: BTreeSet<Uuid>,
    /// All nodes and their tokens. Who joins comes last.
    pub ring: Arc<Ring>,
    /// The schema.
    pub schema: Arc<Schema>,
}

impl ClusterState {
    /// The first value of a cluster, at epoch 1: its first nodes, which may have a schema already if there is only one.
    ///
    /// # Errors
    /// They make no ring.
    pub fn first(
        cluster: ClusterIdentity,
        nodes: &[NodeDescription],
        schema: Arc<Schema>,
    ) -> Result<ClusterState, MetadataError> {
        let mut ring = nodes.iter().try_fold(Vec::new(), with_node)?;
        let joining: Vec<Member<'_>> = ring.iter().map(Member::from).collect();
        let tokens = genesis(&joining, ASSUMED_FACTOR, bits_of(cluster.id));
        ring.iter_mut().zip(tokens).for_each(|(node, tokens)| node.tokens = tokens);
        let members = extended(&BTreeSet::new(), &ring);
        Ok(ClusterState { epoch: 1, cluster, members, ring: Arc::new(Ring::new(ring)?), schema })
    }

    /// The value after an entry. What the entry does not touch is shared.
    ///
    /// # Errors
    /// The entry does not fit.
    pub fn after(&self, entry: &Entry) -> Result<ClusterState, MetadataError> {
        let mut after = self.clone();
        after.epoch += 1;
        match entry {
            Entry::Schema { base, changes } => {
                after.schema = Arc::new(self.changed_schema(*base, changes)?);
            }
            Entry::Register(node) => {
                let nodes = self.registered(node)?;
                after.members = extended(&self.members, &nodes);
                after.ring = Arc::new(Ring::new(nodes)?);
            }
            Entry::Members(members) => {
                let count = members.len();
                if count > MAX_MEMBERS || count.is_multiple_of(2) {
                    return Err(MetadataError::MemberCount { count });
                }
                if let Some(unknown) = members.iter().find(|host| self.node(**host).is_none()) {
                    return Err(MetadataError::UnknownNode(*unknown));
                }
                after.members = members.clone();
            }
        }
        Ok(after)
    }

    /// The value after an entry that was decided. One that does not fit changes nothing but the epoch, on every node.
    pub fn decided(&self, entry: &Entry) -> (ClusterState, Result<(), MetadataError>) {
        match self.after(entry) {
            Ok(after) => (after, Ok(())),
            Err(error) => (ClusterState { epoch: self.epoch + 1, ..self.clone() }, Err(error)),
        }
    }

    /// The node of that host id.
    pub fn node(&self, host: Uuid) -> Option<&Node> {
        self.ring.nodes().iter().find(|node| node.host_id == host)
    }

    /// The schema after changes, which are for it alone.
    fn changed_schema(&self, base: u64, changes: &[SchemaChange]) -> Result<Schema, MetadataError> {
        if base != self.schema.epoch {
            return Err(MetadataError::Stale { planned: base, current: self.schema.epoch });
        }
        let apply = |schema: Schema, change| schema.apply(change);
        let schema = changes.iter().try_fold(Schema::clone(&self.schema), apply)?;
        changes.iter().try_for_each(|change| change.check_types(&schema))?;
        let data_centers: BTreeSet<&String> =
            self.ring.nodes().iter().map(|node| &node.data_center).collect();
        let data_centers: Vec<String> = data_centers.into_iter().cloned().collect();
        for change in changes {
            if let SchemaChange::PutKeyspace { name, replication, .. } = change {
                Replication::parse(replication, &data_centers).map_err(|error| {
                    MetadataError::Replication { keyspace: name.clone(), error }
                })?;
            }
        }
        Ok(schema)
    }

    /// The nodes with one that joins, or that is reached elsewhere from now on.
    fn registered(&self, node: &NodeDescription) -> Result<Vec<Node>, MetadataError> {
        let host_id = node.host_id;
        let mut nodes = self.ring.nodes().to_vec();
        let Some(known) = nodes.iter_mut().find(|known| known.host_id == host_id) else {
            if !self.schema.keyspaces.is_empty() {
                let names = self.schema.keyspaces.keys().take(3).map(ToString::to_string);
                let keyspaces = names.collect::<Vec<_>>().join(", ");
                return Err(MetadataError::HasKeyspaces { address: node.address, keyspaces });
            }
            let mut nodes = with_node(nodes, node)?;
            if let Some(new) = nodes.last_mut() {
                let member = Member::from(&*new);
                new.tokens = allocate(&self.ring, member, ASSUMED_FACTOR, bits_of(host_id));
            }
            return Ok(nodes);
        };
        let Node { data_center, rack, address, .. } = known.clone();
        if data_center != node.data_center || rack != node.rack {
            return Err(MetadataError::Moved { host_id, data_center, rack });
        }
        if address == node.address {
            return Err(MetadataError::Registered(host_id));
        }
        known.address = node.address;
        check_addresses(&nodes, node)?;
        Ok(nodes)
    }
}

/// Nodes with one more, which has no tokens yet.
fn with_node(mut nodes: Vec<Node>, new: &NodeDescription) -> Result<Vec<Node>, MetadataError> {
    let NodeDescription { host_id, address, weight, .. } = *new;
    if nodes.iter().any(|node| node.host_id == host_id) {
        return Err(MetadataError::Registered(host_id));
    }
    let weight = Weight::new(weight).map_err(|_| MetadataError::Weight { address, weight })?;
    check_addresses(&nodes, new)?;
    let NodeDescription { data_center, rack, .. } = new.clone();
    nodes.push(Node { host_id, address, data_center, rack, weight, tokens: Vec::new() });
    Ok(nodes)
}

fn check_addresses(nodes: &[Node], new: &NodeDescription) -> Result<(), MetadataError> {
    let NodeDescription { host_id, address, .. } = *new;
    let other = nodes.iter().find(|node| node.address == address && node.host_id != host_id);
    match other {
        Some(node) => Err(MetadataError::AddressTaken { address, owner: node.host_id, host_id }),
        None => Ok(()),
    }
}

/// What an id's chance comes to, for choices that must be the same everywhere.
fn bits_of(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    high ^ low
}

#[cfg(test)]
mod tests {
    use tholos_grammar::name::Name;

    use super::*;
    use crate::testing::{description, keyspace};

    fn state(nodes: u16) -> ClusterState {
        let nodes: Vec<_> = (1..=nodes).map(description).collect();
        let cluster = ClusterIdentity { id: Uuid::from_u128(99), name: "zoo".to_string() };
        ClusterState::first(cluster, &nodes, Arc::default()).unwrap()
    }

    fn schema(base: u64, changes: Vec<SchemaChange>) -> Entry {
        Entry::Schema { base, changes }
    }

    #[test]
    fn nodes_join_while_there_is_no_keyspace() {
        let first = state(1);
        assert_eq!((first.epoch, first.members.len()), (1, 1));
        let two = first.after(&Entry::Register(description(2))).unwrap();
        let heavy = NodeDescription { weight: 3, ..description(3) };
        let three = two.after(&Entry::Register(heavy)).unwrap();
        let tokens: Vec<usize> = three.ring.nodes().iter().map(|node| node.tokens.len()).collect();
        assert_eq!((three.epoch, tokens), (3, vec![16, 16, 48]));
        assert_eq!((two.members.len(), three.members.len()), (1, 3));
        let with_data = three.after(&schema(0, vec![keyspace("zoo", "1")])).unwrap();
        let (refused, why) = with_data.decided(&Entry::Register(description(4)));
        let said = "node 127.0.0.1:4 can't join: nodes join only while the cluster has no keyspace, and this one has zoo";
        assert_eq!(why.unwrap_err().to_string(), said);
        assert_eq!(refused, ClusterState { epoch: with_data.epoch + 1, ..with_data });
    }

    #[test]
    fn a_node_may_change_its_address_and_nothing_else() {
        let state = state(2).after(&schema(0, vec![keyspace("zoo", "1")])).unwrap();
        let again = state.after(&Entry::Register(description(2)));
        assert_eq!(again, Err(MetadataError::Registered(description(2).host_id)));
        let elsewhere = NodeDescription { address: description(9).address, ..description(2) };
        let after = state.after(&Entry::Register(elsewhere)).unwrap();
        assert_eq!(after.ring.nodes()[1].address, description(9).address);
        assert_eq!(after.ring.tokens(), state.ring.tokens());
        let taken = NodeDescription { address: description(1).address, ..description(2) };
        let refused = state.after(&Entry::Register(taken));
        assert!(matches!(refused, Err(MetadataError::AddressTaken { .. })), "{refused:?}");
        let moved = NodeDescription { rack: "other".to_string(), ..description(2) };
        let refused = state.after(&Entry::Register(moved));
        assert!(matches!(refused, Err(MetadataError::Moved { .. })), "{refused:?}");
    }

    #[test]
    fn what_was_planned_for_another_schema_changes_nothing() {
        let before = state(1);
        let one = before.after(&schema(0, vec![keyspace("a", "1")])).unwrap();
        let refused = one.after(&schema(0, vec![keyspace("b", "1")]));
        assert_eq!(refused, Err(MetadataError::Stale { planned: 0, current: 1 }));
        let two = one.after(&schema(1, vec![keyspace("b", "1"), keyspace("c", "1")])).unwrap();
        assert_eq!((two.epoch, two.schema.epoch), (3, 3));
        let missing = SchemaChange::DropKeyspace(Name::exact("d"));
        assert!(two.after(&schema(3, vec![missing])).is_err());
    }

    #[test]
    fn members_are_an_odd_number_of_nodes() {
        let state = state(4);
        let hosts = |numbers: &[u16]| numbers.iter().map(|it| description(*it).host_id).collect();
        let after = state.after(&Entry::Members(hosts(&[2, 3, 4]))).unwrap();
        assert_eq!((after.epoch, after.members), (2, hosts(&[2, 3, 4])));
        for (wrong, count) in [(&[][..], 0), (&[1, 2], 2)] {
            let refused = state.after(&Entry::Members(hosts(wrong)));
            assert_eq!(refused, Err(MetadataError::MemberCount { count }));
        }
        let refused = state.after(&Entry::Members(hosts(&[1, 2, 9])));
        assert_eq!(refused, Err(MetadataError::UnknownNode(description(9).host_id)));
    }

    #[test]
    fn a_weight_has_bounds() {
        for weight in [0, Weight::MAX + 1] {
            let entry = Entry::Register(NodeDescription { weight, ..description(5) });
            assert!(matches!(state(1).after(&entry), Err(MetadataError::Weight { .. })));
        }
    }
}
