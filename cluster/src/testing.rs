//! Rings for the tests of this crate.

use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_grammar::token::Token;
use tholos_storage::schema::SchemaChange;
use uuid::Uuid;

use crate::metadata::entry::NodeDescription;
use crate::ring::{Node, Ring, Weight};

/// A node of that number, in a data centre, with one token.
pub(crate) fn node(number: u16, data_center: impl Into<String>, token: i64) -> Node {
    Node {
        host_id: Uuid::from_u128(u128::from(number)),
        address: ([127, 0, 0, 1], number).into(),
        data_center: data_center.into(),
        rack: "r".to_string(),
        weight: Weight::ONE,
        tokens: vec![Token(token)],
    }
}

/// A node of that number before it has tokens.
pub(crate) fn description(number: u16) -> NodeDescription {
    let Node { host_id, address, data_center, rack, .. } = node(number, "dc1", 0);
    NodeDescription { host_id, address, data_center, rack, weight: 1 }
}

/// A change that makes a keyspace.
pub(crate) fn keyspace(name: &str, factor: &str) -> SchemaChange {
    let option = |key: &str, value: &str| (key.to_string(), value.to_string());
    SchemaChange::PutKeyspace {
        name: Name::exact(name),
        replication: [option("class", "SimpleStrategy"), option("replication_factor", factor)]
            .into(),
        durable_writes: true,
    }
}

/// So many nodes in each of the data centres `dc0`, `dc1`, ..., numbered through; the tokens ascend.
pub(crate) fn ring(counts: &[u16]) -> Arc<Ring> {
    let data_centers = counts.iter().enumerate();
    let data_centers = data_centers.flat_map(|(at, count)| (0..*count).map(move |_| at));
    let nodes = data_centers.zip(1..).map(|(data_center, number)| {
        node(number, format!("dc{data_center}"), i64::from(number) * 1000)
    });
    Arc::new(Ring::new(nodes.collect()).expect("distinct tokens"))
}
