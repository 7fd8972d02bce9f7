//! Metadata as bytes, in records on disk and in messages.
//!
//! ```text
//! version 1 | crc32 of the rest, little-endian | JSON
//! 01        | 9b 3c 51 e0                      | {"pull":{"epoch":7}}
//! ```
//!
//! It is written seldom and is small: JSON can be read by people, and by later releases that know more fields.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tholos_grammar::token::Token;
use tholos_storage::schema::Schema;
use uuid::Uuid;

use super::state::{ClusterIdentity, ClusterState};
use crate::ring::{Node, Ring, Weight};

/// The version that is written.
const VERSION: u8 = 1;

/// Bytes that are no metadata.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Of a later release, or something else.
    #[error(
        "metadata has version {0}, and this release reads up to {VERSION}: use a newer release"
    )]
    Version(u8),
    /// Not what was written.
    #[error("metadata is damaged: it does not match its checksum")]
    Checksum,
    /// Not the JSON that is expected.
    #[error("metadata can't be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// The bytes of a record or message.
///
/// # Errors
/// It has no JSON, which is a defect of its type.
pub fn encode(what: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let json = serde_json::to_vec(what)?;
    let mut bytes = Vec::with_capacity(json.len() + 5);
    bytes.push(VERSION);
    bytes.extend_from_slice(&crc32fast::hash(&json).to_le_bytes());
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

/// The record or message of some bytes.
///
/// # Errors
/// They are none.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let (version, rest) = bytes.split_first().ok_or(RecordError::Checksum)?;
    if *version != VERSION {
        return Err(RecordError::Version(*version));
    }
    let (sum, json) = rest.split_first_chunk().ok_or(RecordError::Checksum)?;
    if crc32fast::hash(json) != u32::from_le_bytes(*sum) {
        return Err(RecordError::Checksum);
    }
    Ok(serde_json::from_slice(json)?)
}

#[derive(Serialize, Deserialize)]
struct StateRecord {
    epoch: u64,
    cluster_id: Uuid,
    cluster_name: String,
    members: BTreeSet<Uuid>,
    nodes: Vec<NodeRecord>,
    schema: Schema,
}

#[derive(Serialize, Deserialize)]
struct NodeRecord {
    host_id: Uuid,
    address: SocketAddr,
    data_center: String,
    rack: String,
    weight: u32,
    tokens: Vec<i64>,
}

impl Serialize for ClusterState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nodes = self.ring.nodes().iter().map(|node| NodeRecord {
            host_id: node.host_id,
            address: node.address,
            data_center: node.data_center.clone(),
            rack: node.rack.clone(),
            weight: node.weight.get(),
            tokens: node.tokens.iter().map(|token| token.0).collect(),
        });
        let record = StateRecord {
            epoch: self.epoch,
            cluster_id: self.cluster.id,
            cluster_name: self.cluster.name.clone(),
            members: self.members.clone(),
            nodes: nodes.collect(),
            schema: self.schema.by_name(),
        };
        record.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ClusterState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ClusterState, D::Error> {
        use serde::de::Error;
        let record = StateRecord::deserialize(deserializer)?;
        let nodes = record.nodes.into_iter().map(|node| {
            Ok(Node {
                host_id: node.host_id,
                address: node.address,
                data_center: node.data_center,
                rack: node.rack,
                weight: Weight::new(node.weight).map_err(D::Error::custom)?,
                tokens: node.tokens.into_iter().map(Token).collect(),
            })
        });
        let nodes = nodes.collect::<Result<Vec<_>, D::Error>>()?;
        Ok(ClusterState {
            epoch: record.epoch,
            cluster: ClusterIdentity { id: record.cluster_id, name: record.cluster_name },
            members: record.members,
            ring: Arc::new(Ring::new(nodes).map_err(D::Error::custom)?),
            schema: Arc::new(record.schema.resolved().map_err(D::Error::custom)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metadata::entry::Entry;
    use crate::metadata::log::{Message, Proposal, Record};
    use crate::paxos::{AcceptorState, Ballot, Reply, Request};
    use crate::testing::{description, keyspace};

    fn state(nodes: u16, keyspaces: u64) -> ClusterState {
        let cluster = ClusterIdentity { id: Uuid::from_u128(9), name: "zoo \"1\"".to_string() };
        let nodes: Vec<_> = (1..=nodes).map(description).collect();
        let first = ClusterState::first(cluster, &nodes, Arc::default()).unwrap();
        (0..keyspaces).fold(first, |state, base| {
            let changes = vec![keyspace(&format!("k{base}"), "3")];
            state.after(&Entry::Schema { base, changes }).unwrap()
        })
    }

    fn proposal() -> impl Strategy<Value = Proposal> {
        let entry = prop_oneof![
            (any::<u64>(), "[a-zA-Z\"\\\\é]{0,20}", 0..3_usize).prop_map(|(base, name, count)| {
                Entry::Schema { base, changes: vec![keyspace(&name, "1"); count] }
            }),
            any::<u16>().prop_map(|number| Entry::Register(description(number))),
            proptest::collection::btree_set(any::<u128>().prop_map(Uuid::from_u128), 0..8)
                .prop_map(Entry::Members),
        ];
        (any::<u128>(), entry).prop_map(|(id, entry)| Proposal { id: Uuid::from_u128(id), entry })
    }

    fn ballot() -> impl Strategy<Value = Ballot> {
        (i64::MIN..1 << 62, any::<u128>())
            .prop_map(|(time, node)| Ballot { time, node: Uuid::from_u128(node) })
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            (any::<u64>(), ballot()).prop_map(|(epoch, ballot)| Message::Request {
                epoch,
                request: Request::Prepare(ballot)
            }),
            (any::<u64>(), ballot(), proposal()).prop_map(|(epoch, ballot, proposal)| {
                Message::Request { epoch, request: Request::Accept(ballot, proposal) }
            }),
            (any::<u64>(), ballot(), proptest::option::of((ballot(), proposal()))).prop_map(
                |(epoch, ballot, accepted)| Message::Reply {
                    epoch,
                    reply: Reply::Promised { ballot, accepted }
                }
            ),
            (any::<u64>(), ballot(), ballot()).prop_map(|(epoch, ballot, promised)| {
                Message::Reply { epoch, reply: Reply::Refused { ballot, promised } }
            }),
            (any::<u64>(), proptest::collection::vec(proposal(), 0..5))
                .prop_map(|(first, entries)| Message::Entries { first, entries, epoch: first }),
            (1..4_u16, 0..4_u64).prop_map(|(nodes, keyspaces)| {
                Message::Snapshot(Arc::new(state(nodes, keyspaces)))
            }),
            any::<u64>().prop_map(|epoch| Message::Pull { epoch }),
            any::<u64>().prop_map(|epoch| Message::Have { epoch }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_whole_or_not_at_all(
            message in message(),
            cut in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let bytes = encode(&message).unwrap();
            prop_assert_eq!(&decode::<Message>(&bytes).unwrap(), &message);
            let cut = cut.index(bytes.len());
            prop_assert!(decode::<Message>(&bytes[..cut]).is_err());
            let mut flipped = bytes;
            let at = flip.index(flipped.len());
            flipped[at] ^= 1 << bit;
            prop_assert!(decode::<Message>(&flipped).is_err());
        }

        #[test]
        fn any_bytes_are_refused_and_no_more(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "\\PC{0,100}",
        ) {
            prop_assert!(decode::<Message>(&bytes).is_err());
            prop_assert!(decode::<ClusterState>(&encode(&text).unwrap()).is_err());
        }

        #[test]
        fn records_are_read_again(epoch: u64, proposal in proposal(), ballot in ballot()) {
            let accepted = Some((ballot, proposal.clone()));
            let promised = Some(ballot);
            for record in [
                Record::Entry { epoch, proposal },
                Record::Acceptor { epoch, state: AcceptorState { promised, accepted } },
                Record::Snapshot(Arc::new(state(3, 2))),
            ] {
                let bytes = encode(&record).unwrap();
                prop_assert_eq!(decode::<Record>(&bytes).unwrap(), record);
            }
        }
    }

    #[test]
    fn a_later_version_and_nonsense_within_are_told_apart_from_damage() {
        let mut bytes = encode(&Message::Pull { epoch: 7 }).unwrap();
        bytes[0] = 2;
        let error = decode::<Message>(&bytes).unwrap_err();
        let said = "metadata has version 2, and this release reads up to 1: use a newer release";
        assert_eq!(error.to_string(), said);
        assert!(matches!(decode::<Message>(&[]), Err(RecordError::Checksum)));
        let mut nodes = serde_json::to_value(state(2, 0)).unwrap();
        nodes["nodes"][0]["tokens"] = nodes["nodes"][1]["tokens"].clone();
        let error = decode::<ClusterState>(&encode(&nodes).unwrap()).unwrap_err();
        assert!(error.to_string().contains("belongs to two nodes"), "{error}");
    }

    #[test]
    fn a_ballot_that_leaves_none_above_it_is_refused() {
        for (time, is_read) in [((1 << 62) - 1, true), (1 << 62, false), (i64::MAX, false)] {
            let request = Request::Prepare(Ballot { time, node: Uuid::nil() });
            let bytes = encode(&Message::Request { epoch: 1, request }).unwrap();
            assert_eq!(decode::<Message>(&bytes).is_ok(), is_read, "{time}");
        }
    }

    #[test]
    fn what_a_later_release_adds_is_left_alone() {
        let mut record = serde_json::to_value(state(2, 1)).unwrap();
        record["witnesses"] = serde_json::json!(["a"]);
        let read: ClusterState = decode(&encode(&record).unwrap()).unwrap();
        assert_eq!(read, state(2, 1));
    }
}
