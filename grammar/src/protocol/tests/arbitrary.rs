//! Any message, for property tests. Requests borrow, so what they borrow from is made first.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::consistency::Consistency;
use crate::name::Name;
use crate::protocol::primitive::RawValue;
use crate::protocol::request::parameters::QueryParameters;
use crate::protocol::response::error::{
    ErrorKind, ErrorMessage, FailureReason, Failures, WriteType,
};
use crate::protocol::response::event::{
    ChangeType, Event, SchemaChange, SchemaTarget, StatusChange, TopologyChange,
};
use crate::protocol::response::metadata::{ColumnSpec, PreparedMetadata, ResultMetadata};
use crate::protocol::values::ValueList;
use crate::types::{CqlType, Native, UserType};

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_0-9]{0,12}", "\\PC{0,8}"]
}

pub(super) fn blob() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

pub(super) fn level() -> impl Strategy<Value = Consistency> {
    select(Consistency::ALL.to_vec())
}

pub(super) fn serial_level() -> impl Strategy<Value = Consistency> {
    select(vec![Consistency::Serial, Consistency::LocalSerial])
}

#[derive(Clone, Debug)]
pub(super) enum OwnedValue {
    Bytes(Vec<u8>),
    Null,
    NotSet,
}

fn value() -> impl Strategy<Value = OwnedValue> {
    prop_oneof![
        blob().prop_map(OwnedValue::Bytes),
        Just(OwnedValue::Null),
        Just(OwnedValue::NotSet)
    ]
}

pub(super) fn positional_values() -> impl Strategy<Value = ValueList> {
    vec(value(), 0..5).prop_map(|values| {
        let mut list = ValueList::positional();
        for value in &values {
            list.push(value.borrowed()).unwrap();
        }
        list
    })
}

pub(super) fn values() -> impl Strategy<Value = ValueList> {
    let named = vec((text(), value()), 1..5).prop_map(|values| {
        let mut list = ValueList::named();
        for (name, value) in &values {
            list.push_named(name, value.borrowed()).unwrap();
        }
        list
    });
    prop_oneof![positional_values(), named]
}

impl OwnedValue {
    pub(super) fn borrowed(&self) -> RawValue<'_> {
        match self {
            OwnedValue::Bytes(bytes) => RawValue::Bytes(bytes),
            OwnedValue::Null => RawValue::Null,
            OwnedValue::NotSet => RawValue::NotSet,
        }
    }
}

/// What [`QueryParameters`] borrow from.
#[derive(Clone, Debug)]
pub(super) struct OwnedParameters {
    consistency: Consistency,
    values: ValueList,
    skip_metadata: bool,
    page_size: Option<i32>,
    paging_state: Option<Vec<u8>>,
    serial_consistency: Option<Consistency>,
    timestamp: Option<i64>,
    keyspace: Option<String>,
    now_in_seconds: Option<i32>,
}

impl OwnedParameters {
    /// `v5`: with what v4 has no place for.
    pub(super) fn borrowed(&self, v5: bool) -> QueryParameters<'_> {
        QueryParameters {
            consistency: self.consistency,
            values: self.values.as_values(),
            skip_metadata: self.skip_metadata,
            page_size: self.page_size,
            paging_state: self.paging_state.as_deref(),
            serial_consistency: self.serial_consistency,
            timestamp: self.timestamp,
            keyspace: self.keyspace.as_deref().filter(|_| v5),
            now_in_seconds: self.now_in_seconds.filter(|_| v5),
        }
    }
}

pub(super) fn parameters() -> impl Strategy<Value = OwnedParameters> {
    let paging = (any::<bool>(), option::of(any::<i32>()), option::of(blob()));
    let times = (option::of(any::<i64>()), option::of(any::<i32>()));
    (level(), values(), paging, option::of(serial_level()), times, option::of(text())).prop_map(
        |(consistency, values, paging, serial_consistency, times, keyspace)| OwnedParameters {
            consistency,
            values,
            skip_metadata: paging.0,
            page_size: paging.1,
            paging_state: paging.2,
            serial_consistency,
            timestamp: times.0,
            keyspace,
            now_in_seconds: times.1,
        },
    )
}

fn failures(v5: bool) -> BoxedStrategy<Failures> {
    if v5 {
        vec((any::<IpAddr>(), any::<u16>().prop_map(FailureReason)), 0..4)
            .prop_map(Failures::Reasons)
            .boxed()
    } else {
        any::<i32>().prop_map(Failures::Count).boxed()
    }
}

fn error_kind(v5: bool) -> impl Strategy<Value = ErrorKind> {
    let plain = select(vec![
        ErrorKind::Server,
        ErrorKind::Protocol,
        ErrorKind::BadCredentials,
        ErrorKind::Overloaded,
        ErrorKind::Bootstrapping,
        ErrorKind::Truncate,
        ErrorKind::CdcWriteFailure,
        ErrorKind::Syntax,
        ErrorKind::Unauthorized,
        ErrorKind::Invalid,
        ErrorKind::Config,
        ErrorKind::Other { code: 0x7777 },
    ]);
    let counts = || (level(), any::<i32>(), any::<i32>());
    let write_type = || select(WriteType::ALL.to_vec());
    prop_oneof![
        plain,
        counts().prop_map(|(consistency, required, alive)| ErrorKind::Unavailable {
            consistency,
            required,
            alive
        }),
        (counts(), write_type(), any::<u16>()).prop_map(
            move |((consistency, received, required), write_type, contentions)| {
                let contentions = if v5 && write_type == WriteType::Cas { contentions } else { 0 };
                ErrorKind::WriteTimeout { consistency, received, required, write_type, contentions }
            }
        ),
        (counts(), any::<bool>()).prop_map(|((consistency, received, required), data_present)| {
            ErrorKind::ReadTimeout { consistency, received, required, data_present }
        }),
        (counts(), failures(v5), any::<bool>()).prop_map(
            |((consistency, received, required), failures, data_present)| ErrorKind::ReadFailure {
                consistency,
                received,
                required,
                failures,
                data_present
            }
        ),
        (counts(), failures(v5), write_type()).prop_map(
            |((consistency, received, required), failures, write_type)| ErrorKind::WriteFailure {
                consistency,
                received,
                required,
                failures,
                write_type
            }
        ),
        counts().prop_map(|(consistency, received, required)| ErrorKind::CasWriteUnknown {
            consistency,
            received,
            required
        }),
        (text(), text(), vec(text(), 0..3)).prop_map(|(keyspace, function, argument_types)| {
            ErrorKind::FunctionFailure { keyspace, function, argument_types }
        }),
        (text(), text()).prop_map(|(keyspace, table)| ErrorKind::AlreadyExists { keyspace, table }),
        blob().prop_map(|id| ErrorKind::Unprepared { id }),
    ]
}

pub(super) fn error(v5: bool) -> impl Strategy<Value = ErrorMessage> {
    (error_kind(v5), text()).prop_map(|(kind, message)| ErrorMessage::new(kind, message))
}

pub(super) fn schema_change() -> impl Strategy<Value = SchemaChange> {
    let target = prop_oneof![
        Just(SchemaTarget::Keyspace),
        text().prop_map(SchemaTarget::Table),
        text().prop_map(SchemaTarget::Type),
        (text(), vec(text(), 0..3))
            .prop_map(|(name, argument_types)| SchemaTarget::Function { name, argument_types }),
        (text(), vec(text(), 0..3))
            .prop_map(|(name, argument_types)| SchemaTarget::Aggregate { name, argument_types }),
    ];
    let change = select(vec![ChangeType::Created, ChangeType::Updated, ChangeType::Dropped]);
    (change, text(), target).prop_map(|(change, keyspace, target)| SchemaChange {
        change,
        keyspace,
        target,
    })
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let address =
        || (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port));
    let topology = select(vec![
        TopologyChange::NewNode,
        TopologyChange::RemovedNode,
        TopologyChange::MovedNode,
    ]);
    prop_oneof![
        (topology, address())
            .prop_map(|(change, address)| Event::TopologyChange { change, address }),
        (select(vec![StatusChange::Up, StatusChange::Down]), address())
            .prop_map(|(change, address)| Event::StatusChange { change, address }),
        schema_change().prop_map(Event::SchemaChange),
    ]
}

/// Types as they are read from the wire: frozen nowhere, but inside vectors, whose class names say so.
pub(super) fn cql_type() -> impl Strategy<Value = CqlType> {
    let vector = (nested(any::<bool>().boxed()), 1..2000_u32).prop_map(|(element, dimensions)| {
        CqlType::Vector { element: Box::new(as_announced(element, false)), dimensions }
    });
    prop_oneof![4 => nested(Just(false).boxed()), 1 => vector]
}

/// Inside something frozen and inside tuples everything is.
fn as_announced(ty: CqlType, inside: bool) -> CqlType {
    let boxed = |ty: Box<CqlType>, inside| Box::new(as_announced(*ty, inside));
    match ty {
        CqlType::List { element, frozen } => {
            let frozen = frozen || inside;
            CqlType::List { element: boxed(element, frozen), frozen }
        }
        CqlType::Set { element, frozen } => {
            let frozen = frozen || inside;
            CqlType::Set { element: boxed(element, frozen), frozen }
        }
        CqlType::Map { key, value, frozen } => {
            let frozen = frozen || inside;
            CqlType::Map { key: boxed(key, frozen), value: boxed(value, frozen), frozen }
        }
        CqlType::Tuple(elements) => {
            CqlType::Tuple(elements.into_iter().map(|ty| as_announced(ty, true)).collect())
        }
        CqlType::Udt { definition, frozen } => {
            let frozen = frozen || inside;
            let UserType { keyspace, name, fields } = (*definition).clone();
            let fields = fields.into_iter().map(|(name, ty)| (name, as_announced(ty, frozen)));
            let fields = fields.collect();
            CqlType::Udt { definition: Arc::new(UserType { keyspace, name, fields }), frozen }
        }
        other => other,
    }
}

fn nested(frozen: BoxedStrategy<bool>) -> BoxedStrategy<CqlType> {
    let native = select(Native::ALL.to_vec()).prop_map(CqlType::Native);
    native
        .prop_recursive(3, 12, 3, move |inner| {
            let frozen = frozen.clone();
            let boxed = || inner.clone().prop_map(Box::new);
            let name = || text().prop_map(|name| Name::exact(&name));
            let keyspace = "[a-z][a-z0-9_]{0,8}".prop_map(|name| Name::exact(&name));
            let fields = vec((name(), inner.clone()), 1..3).prop_map(|mut fields| {
                // The decoder refuses a type with two fields of one name.
                let mut seen = BTreeSet::new();
                fields.retain(|(name, _)| seen.insert(name.clone()));
                fields
            });
            let definition = (keyspace, name(), fields)
                .prop_map(|(keyspace, name, fields)| Arc::new(UserType { keyspace, name, fields }));
            prop_oneof![
                (boxed(), frozen.clone())
                    .prop_map(|(element, frozen)| CqlType::List { element, frozen }),
                (boxed(), frozen.clone())
                    .prop_map(|(element, frozen)| CqlType::Set { element, frozen }),
                (boxed(), boxed(), frozen.clone()).prop_map(|(key, value, frozen)| CqlType::Map {
                    key,
                    value,
                    frozen
                }),
                vec(inner.clone(), 1..3).prop_map(CqlType::Tuple),
                (definition, frozen)
                    .prop_map(|(definition, frozen)| CqlType::Udt { definition, frozen }),
            ]
        })
        .boxed()
}

pub(super) fn columns() -> impl Strategy<Value = Vec<ColumnSpec>> {
    let name = || "[ab]{1,2}".prop_map(|name| Name::exact(&name));
    let column =
        (name(), name(), text(), cql_type()).prop_map(|(keyspace, table, name, column_type)| {
            ColumnSpec { keyspace, table, name, column_type }
        });
    (vec(column, 0..4), any::<bool>()).prop_map(|(mut columns, of_one_table)| {
        if let Some(first) = columns.first().cloned().filter(|_| of_one_table) {
            for column in &mut columns {
                column.keyspace = first.keyspace.clone();
                column.table = first.table.clone();
            }
        }
        columns
    })
}

pub(super) fn result_metadata(v5: bool) -> impl Strategy<Value = ResultMetadata> {
    (columns(), option::of(blob()), option::of(blob()), 0..3_usize).prop_map(
        move |(columns, paging_state, new_metadata_id, left_out)| ResultMetadata {
            column_count: if columns.is_empty() { left_out } else { columns.len() },
            columns,
            paging_state,
            new_metadata_id: new_metadata_id.filter(|_| v5),
        },
    )
}

pub(super) fn prepared_metadata() -> impl Strategy<Value = PreparedMetadata> {
    (columns(), vec(any::<u16>(), 0..3)).prop_map(|(columns, partition_key_indexes)| {
        PreparedMetadata { columns, partition_key_indexes }
    })
}
