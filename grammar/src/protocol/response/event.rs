//! EVENT (native protocol v5, section 4.2.6): what changed in the cluster or the schema.
//!
//! The schema change is also the body of a RESULT of that kind (section 4.2.5.5).

use std::net::SocketAddr;

use crate::protocol::error::NotationError;
use crate::protocol::primitive::{
    read_inet, read_string, read_string_list, write_inet, write_string, write_string_list,
};

/// A kind of event, as REGISTER names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// Nodes join, leave and move.
    TopologyChange,
    /// Nodes go up and down.
    StatusChange,
    /// Keyspaces, tables, types, functions and aggregates change.
    SchemaChange,
}

/// EVENT. Its envelope's stream is [`Event::STREAM`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node joined, left or moved.
    TopologyChange {
        /// What it did.
        change: TopologyChange,
        /// The address that clients reach it at.
        address: SocketAddr,
    },
    /// A node went up or down.
    StatusChange {
        /// What it did.
        change: StatusChange,
        /// The address that clients reach it at.
        address: SocketAddr,
    },
    /// The schema changed.
    SchemaChange(SchemaChange),
}

/// What a node did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the change of that name
pub enum TopologyChange {
    NewNode,
    RemovedNode,
    MovedNode,
}

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the change of that name
pub enum StatusChange {
    Up,
    Down,
}

/// A change of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// Created, updated or dropped.
    pub change: ChangeType,
    /// The keyspace changed, or that of what changed.
    pub keyspace: String,
    /// What in the keyspace changed.
    pub target: SchemaTarget,
}

/// Created, updated or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the change of that name
pub enum ChangeType {
    Created,
    Updated,
    Dropped,
}

/// What in a keyspace changed. An index or a view counts as its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaTarget {
    /// The keyspace itself.
    Keyspace,
    /// A table.
    Table(String),
    /// A user type.
    Type(String),
    /// A function.
    Function {
        /// Its name.
        name: String,
        /// Types of its arguments, as CQL.
        argument_types: Vec<String>,
    },
    /// An aggregate.
    Aggregate {
        /// Its name.
        name: String,
        /// Types of its arguments, as CQL.
        argument_types: Vec<String>,
    },
}

/// Reads a \[string\] that names one of `all`.
fn read_name<T: Copy>(
    body: &mut &[u8],
    what: &'static str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, NotationError> {
    let start = *body;
    let read = read_string(body)?;
    all.iter().copied().find(|&item| name(item) == read).ok_or_else(|| {
        *body = start;
        NotationError::UnknownName { what, name: read.to_string() }
    })
}

impl EventType {
    /// All kinds.
    pub const ALL: [EventType; 3] =
        [EventType::TopologyChange, EventType::StatusChange, EventType::SchemaChange];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            EventType::TopologyChange => "TOPOLOGY_CHANGE",
            EventType::StatusChange => "STATUS_CHANGE",
            EventType::SchemaChange => "SCHEMA_CHANGE",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<EventType> {
        EventType::ALL.into_iter().find(|event| event.name() == name)
    }
}

impl TopologyChange {
    const ALL: [TopologyChange; 3] =
        [TopologyChange::NewNode, TopologyChange::RemovedNode, TopologyChange::MovedNode];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            TopologyChange::NewNode => "NEW_NODE",
            TopologyChange::RemovedNode => "REMOVED_NODE",
            TopologyChange::MovedNode => "MOVED_NODE",
        }
    }
}

impl StatusChange {
    const ALL: [StatusChange; 2] = [StatusChange::Up, StatusChange::Down];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            StatusChange::Up => "UP",
            StatusChange::Down => "DOWN",
        }
    }
}

impl ChangeType {
    const ALL: [ChangeType; 3] = [ChangeType::Created, ChangeType::Updated, ChangeType::Dropped];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            ChangeType::Created => "CREATED",
            ChangeType::Updated => "UPDATED",
            ChangeType::Dropped => "DROPPED",
        }
    }
}

impl SchemaTarget {
    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            SchemaTarget::Keyspace => "KEYSPACE",
            SchemaTarget::Table(_) => "TABLE",
            SchemaTarget::Type(_) => "TYPE",
            SchemaTarget::Function { .. } => "FUNCTION",
            SchemaTarget::Aggregate { .. } => "AGGREGATE",
        }
    }
}

impl SchemaChange {
    /// Reads change, target and options.
    pub fn decode(body: &mut &[u8]) -> Result<SchemaChange, NotationError> {
        let change = read_name(body, "schema change", &ChangeType::ALL, ChangeType::name)?;
        let targets = ["KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE"];
        let target = read_name(body, "target of a schema change", &targets, |name| name)?;
        let keyspace = read_string(body)?.to_string();
        let target = if target == "KEYSPACE" {
            SchemaTarget::Keyspace
        } else {
            let name = read_string(body)?.to_string();
            match target {
                "TABLE" => SchemaTarget::Table(name),
                "TYPE" => SchemaTarget::Type(name),
                "FUNCTION" => SchemaTarget::Function { name, argument_types: read_types(body)? },
                _ => SchemaTarget::Aggregate { name, argument_types: read_types(body)? },
            }
        };
        Ok(SchemaChange { change, keyspace, target })
    }

    /// Appends change, target and options.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_string(out, self.change.name());
        write_string(out, self.target.name());
        write_string(out, &self.keyspace);
        match &self.target {
            SchemaTarget::Keyspace => {}
            SchemaTarget::Table(name) | SchemaTarget::Type(name) => write_string(out, name),
            SchemaTarget::Function { name, argument_types }
            | SchemaTarget::Aggregate { name, argument_types } => {
                write_string(out, name);
                write_string_list(out, argument_types);
            }
        }
    }
}

fn read_types(body: &mut &[u8]) -> Result<Vec<String>, NotationError> {
    Ok(read_string_list(body)?.into_iter().map(str::to_string).collect())
}

impl Event {
    /// The stream of an event's envelope.
    pub const STREAM: i16 = -1;

    /// The kind that a client registers for to hear of it.
    pub fn event_type(&self) -> EventType {
        match self {
            Event::TopologyChange { .. } => EventType::TopologyChange,
            Event::StatusChange { .. } => EventType::StatusChange,
            Event::SchemaChange(_) => EventType::SchemaChange,
        }
    }

    /// Reads the body.
    pub fn decode(body: &mut &[u8]) -> Result<Event, NotationError> {
        Ok(match read_name(body, "event type", &EventType::ALL, EventType::name)? {
            EventType::TopologyChange => Event::TopologyChange {
                change: read_name(
                    body,
                    "topology change",
                    &TopologyChange::ALL,
                    TopologyChange::name,
                )?,
                address: read_inet(body)?,
            },
            EventType::StatusChange => Event::StatusChange {
                change: read_name(body, "status change", &StatusChange::ALL, StatusChange::name)?,
                address: read_inet(body)?,
            },
            EventType::SchemaChange => Event::SchemaChange(SchemaChange::decode(body)?),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_string(out, self.event_type().name());
        match self {
            Event::TopologyChange { change, address } => {
                write_string(out, change.name());
                write_inet(out, *address);
            }
            Event::StatusChange { change, address } => {
                write_string(out, change.name());
                write_inet(out, *address);
            }
            Event::SchemaChange(change) => change.encode(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::header::Version;
    use crate::protocol::response::Response;
    use crate::protocol::tests::check_response;

    #[test]
    fn bytes_of_the_spec() {
        let address = ([127, 0, 0, 1], 9042).into();
        let up = Event::StatusChange { change: StatusChange::Up, address };
        let body = "000d5354415455535f4348414e4745 00025550 047f000001 00002352";
        check_response(&Response::Event(up), Version::V4, body);
        let address = (std::net::Ipv6Addr::LOCALHOST, 9042).into();
        let new = Event::TopologyChange { change: TopologyChange::NewNode, address };
        let body = "000f544f504f4c4f47595f4348414e4745 00084e45575f4e4f4445 1000000000000000000000000000000001 00002352";
        check_response(&Response::Event(new), Version::V5, body);
        let (change, keyspace) = (ChangeType::Created, "ks".to_string());
        let target = SchemaTarget::Table("t".into());
        let created = Event::SchemaChange(SchemaChange { change, keyspace, target });
        let body =
            "000d534348454d415f4348414e4745 000743524541544544 00055441424c45 00026b73 000174";
        check_response(&Response::Event(created), Version::V4, body);
    }
}
