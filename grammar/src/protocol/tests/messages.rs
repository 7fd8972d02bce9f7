//! Every message comes back as it was, in both versions, and no beginning of one passes for a message.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::arbitrary::*;
use super::{check_truncations, envelope};
use crate::protocol::encoder::Encoder;
use crate::protocol::envelope::Extras;
use crate::protocol::header::{Flags, HEADER_LENGTH, Header, Opcode, Version};
use crate::protocol::option::{decode_type, encode_type};
use crate::protocol::primitive::write_bytes;
use crate::protocol::request::Request;
use crate::protocol::request::auth_response::AuthResponse;
use crate::protocol::request::batch::{Batch, BatchKind, BatchStatement, StatementRef};
use crate::protocol::request::execute::Execute;
use crate::protocol::request::prepare::Prepare;
use crate::protocol::request::query::Query;
use crate::protocol::request::register::Register;
use crate::protocol::request::startup::Startup;
use crate::protocol::response::Response;
use crate::protocol::response::auth::AuthToken;
use crate::protocol::response::event::EventType;
use crate::protocol::response::metadata::EncodedColumns;
use crate::protocol::response::result::{Prepared, QueryResult, Rows};
use crate::protocol::response::rows_writer::RowsWriter;
use crate::protocol::response::supported::Supported;

fn version() -> impl Strategy<Value = Version> {
    select(Version::ALL.to_vec())
}

fn round_trip_request(request: &Request<'_>, version: Version) {
    let mut body = Vec::new();
    request.encode(&mut body, version);
    let opcode = request.opcode();
    assert_eq!(&envelope(opcode, version, &body).request().unwrap().request, request);
    check_truncations(&body, |body| envelope(opcode, version, body).request().map(|_| ()));
    // What a later version may add at the end is ignored.
    body.push(7);
    assert_eq!(&envelope(opcode, version, &body).request().unwrap().request, request);
}

fn round_trip_response(response: &Response<'_>, version: Version) {
    let mut body = Vec::new();
    response.encode(&mut body, version);
    let opcode = response.opcode();
    assert_eq!(&envelope(opcode, version, &body).response().unwrap().response, response);
    check_truncations(&body, |body| envelope(opcode, version, body).response().map(|_| ()));
    body.push(7);
    assert_eq!(&envelope(opcode, version, &body).response().unwrap().response, response);
}

proptest! {
    #[test]
    fn startup_supported_and_tokens(
        options in vec((text(), text()), 0..4),
        offers in vec((text(), vec(text(), 0..3)), 0..4),
        token in option::of(blob()),
        events in vec(select(EventType::ALL.to_vec()), 0..4),
        version in version(),
    ) {
        let options = options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        round_trip_request(&Request::Startup(Startup { options }), version);
        round_trip_request(&Request::Options, version);
        round_trip_request(&Request::AuthResponse(AuthResponse { token: token.as_deref() }), version);
        round_trip_request(&Request::Register(Register { events }), version);
        let options = offers
            .iter()
            .map(|(key, values)| (key.as_str(), values.iter().map(String::as_str).collect()))
            .collect();
        round_trip_response(&Response::Supported(Supported { options }), version);
        round_trip_response(&Response::AuthChallenge(AuthToken(token.as_deref())), version);
        round_trip_response(&Response::AuthSuccess(AuthToken(token.as_deref())), version);
        round_trip_response(&Response::Ready, version);
    }

    #[test]
    fn statements(text in text(), id in blob(), metadata_id in blob(), owned in parameters(), version in version()) {
        let v5 = version == Version::V5;
        let parameters = owned.borrowed(v5);
        round_trip_request(&Request::Query(Query { text: &text, parameters }), version);
        let result_metadata_id = if v5 { metadata_id.as_slice() } else { &[] };
        round_trip_request(&Request::Execute(Execute { id: &id, result_metadata_id, parameters }), version);
        let keyspace = parameters.keyspace;
        round_trip_request(&Request::Prepare(Prepare { text: &text, keyspace }), version);
    }

    #[test]
    fn batches(
        kind in select(vec![BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter]),
        statements in vec((any::<bool>(), text(), positional_values()), 0..4),
        consistency in level(),
        owned in parameters(),
        version in version(),
    ) {
        let tail = owned.borrowed(version == Version::V5);
        let statements = statements
            .iter()
            .map(|(prepared, text, values)| BatchStatement {
                statement: if *prepared {
                    StatementRef::Prepared(text.as_bytes())
                } else {
                    StatementRef::Text(text)
                },
                values: values.as_values(),
            })
            .collect();
        let batch = Batch {
            kind,
            statements,
            consistency,
            serial_consistency: tail.serial_consistency,
            timestamp: tail.timestamp,
            keyspace: tail.keyspace,
            now_in_seconds: tail.now_in_seconds,
        };
        round_trip_request(&Request::Batch(batch), version);
    }

    #[test]
    fn errors_v4(error in error(false)) {
        round_trip_response(&Response::Error(error), Version::V4);
    }

    #[test]
    fn errors_v5(error in error(true)) {
        round_trip_response(&Response::Error(error), Version::V5);
    }

    #[test]
    fn events(event in event(), change in schema_change(), name in text(), version in version()) {
        round_trip_response(&Response::Event(event), version);
        round_trip_response(&Response::Result(QueryResult::SchemaChange(change)), version);
        round_trip_response(&Response::Result(QueryResult::SetKeyspace(&name)), version);
        round_trip_response(&Response::Result(QueryResult::Void), version);
        round_trip_response(&Response::Authenticate(&name), version);
    }

    #[test]
    fn types(cql_type in cql_type()) {
        let mut bytes = Vec::new();
        encode_type(&mut bytes, &cql_type, Version::V4);
        let mut input = bytes.as_slice();
        prop_assert_eq!(decode_type(&mut input).unwrap(), cql_type);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn prepared(
        id in blob(),
        metadata_id in blob(),
        markers in prepared_metadata(),
        result in result_metadata(false),
        version in version(),
    ) {
        let result_metadata_id = if version == Version::V5 { metadata_id.as_slice() } else { &[] };
        let prepared = Prepared { id: &id, result_metadata_id, markers, result };
        round_trip_response(&Response::Result(QueryResult::Prepared(prepared)), version);
    }

    #[test]
    fn rows(metadata in result_metadata(true), cells in vec(option::of(blob()), 0..12)) {
        let row_count = cells.len().checked_div(metadata.column_count).unwrap_or(0);
        let cells = &cells[..row_count * metadata.column_count];
        let mut content = Vec::new();
        for cell in cells {
            write_bytes(&mut content, cell.as_deref());
        }
        let rows = Rows::new(metadata, row_count, &content).unwrap();
        let read: Vec<Option<Vec<u8>>> = rows.iter().flatten().map(|cell| cell.map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(read, cells);
        round_trip_response(&Response::Result(QueryResult::Rows(rows)), Version::V5);
    }

    /// The server's way of writing rows gives the very bytes of the message.
    #[test]
    fn rows_writer(metadata in result_metadata(true), cells in vec(option::of(blob()), 0..12), skip in any::<bool>()) {
        let mut metadata = metadata;
        metadata.column_count = metadata.columns.len();
        let row_count = cells.len().checked_div(metadata.column_count).unwrap_or(0);
        let columns = EncodedColumns::new(&metadata.columns);
        // Something stands in the buffer already.
        let mut out = b"before".to_vec();
        let skip = skip || metadata.columns.is_empty();
        let mut writer = RowsWriter::begin(&mut out, Version::V5, &columns, skip, metadata.new_metadata_id.as_deref());
        let mut content = Vec::new();
        for row in cells.chunks_exact(metadata.column_count.max(1)).take(row_count) {
            for (i, cell) in row.iter().enumerate() {
                match cell {
                    Some(bytes) if i % 2 == 0 => writer.cell_with(&mut out, |out| out.extend_from_slice(bytes)),
                    cell => writer.cell(&mut out, cell.as_deref()),
                }
                write_bytes(&mut content, cell.as_deref());
            }
            writer.end_row();
        }
        writer.finish(&mut out, metadata.paging_state.as_deref());
        if skip {
            metadata.columns.clear();
        }
        let rows = Rows::new(metadata, row_count, &content).unwrap();
        let mut expected = b"before".to_vec();
        Response::Result(QueryResult::Rows(rows)).encode(&mut expected, Version::V5);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn extras(
        id in option::of(any::<u128>()),
        warnings in vec(text(), 0..3),
        payload in vec((text(), option::of(blob())), 0..3),
        tracing in any::<bool>(),
        version in version(),
    ) {
        let payload: Vec<(&str, Option<&[u8]>)> =
            payload.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let tracing_id = id.map(Uuid::from_u128);
        let extras = Extras { tracing_id, warnings: &warnings, payload: &payload };
        let mut encoder = Encoder::new();
        encoder.response(version, 3, &extras, &Response::Authenticate("a")).unwrap();
        let message = whole(encoder.finished(), Opcode::Authenticate).response().unwrap();
        prop_assert_eq!(message.tracing_id, tracing_id);
        prop_assert_eq!(&message.warnings, &warnings);
        prop_assert_eq!(&message.payload, &payload);
        prop_assert_eq!(message.response, Response::Authenticate("a"));

        let mut encoder = Encoder::new();
        encoder.request(version, 3, tracing, &payload, &Request::Register(Register { events: vec![] })).unwrap();
        let message = whole(encoder.finished(), Opcode::Register).request().unwrap();
        prop_assert_eq!(message.tracing, tracing);
        prop_assert_eq!(message.payload, payload);
    }

    /// No bytes, whatever they are, do more harm than an error.
    #[test]
    fn any_bytes_are_survived(
        opcode in select(Opcode::ALL.to_vec()),
        flags in any::<u8>(),
        body in vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..80),
        version in version(),
    ) {
        let mut envelope = envelope(opcode, version, &body);
        envelope.header.flags = Flags(flags);
        let _ = envelope.request();
        let _ = envelope.response();
    }
}

fn whole(bytes: &[u8], opcode: Opcode) -> crate::protocol::envelope::Envelope<'_> {
    let header = Header::decode(bytes, opcode.direction(), usize::MAX).unwrap().unwrap();
    assert_eq!(header.length, bytes.len() - HEADER_LENGTH);
    crate::protocol::envelope::Envelope { header, body: &bytes[HEADER_LENGTH..] }
}
