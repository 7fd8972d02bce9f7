//! The format without an engine: it comes back as it went, its bytes stay what they are, limits hold.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tholos_grammar::types::{CqlType, Native};
use uuid::Uuid;

use super::chunk::{Chunk, Kind};
use super::record::MAX_SPANS;
use super::*;
use crate::model::token_range::{TokenRange, TokenRanges};
use crate::schema::options::TableOptions;
use crate::schema::{ColumnKind, TableId};
use crate::sstable::StoredBlock;
use crate::varint::encode_u64;

fn header(ranges: impl IntoIterator<Item = (i64, i64)>) -> Header {
    let ranges = ranges.into_iter().map(|(start, end)| TokenRange { start, end });
    Header {
        table: TableId(Uuid::from_u128(0x0102)),
        fingerprint: SchemaFingerprint(0x0304),
        ranges: TokenRanges::of(ranges),
        created_at: 5,
    }
}

/// A block as it is stored raw, whatever is in it.
fn block(bytes: &[u8]) -> StoredBlock {
    let mut encoded = vec![0];
    encode_u64(&mut encoded, bytes.len() as u64);
    encoded.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    encoded.extend_from_slice(bytes);
    StoredBlock::decode(&encoded).unwrap()
}

fn run(base: i64) -> Record {
    Record::Run(Run { base, file_bytes: 1_000, slices: 4 })
}

fn written(header: &Header, records: &[Record], chunk_bytes: usize) -> (Vec<Vec<u8>>, Totals) {
    let (mut writer, first) = ChunkWriter::begin(header, chunk_bytes);
    let mut chunks = vec![first];
    for record in records {
        writer.add(record).unwrap();
        chunks.extend(std::iter::from_fn(|| writer.full_chunk()));
    }
    chunks.extend(writer.last_chunk());
    let (trailer, totals) = writer.end();
    chunks.push(trailer);
    (chunks, totals)
}

fn read(chunks: &[Vec<u8>]) -> Result<(Option<Header>, Vec<Record>, Totals), StreamError> {
    let (mut reader, mut header, mut records) = (ChunkReader::new(), None, Vec::new());
    for chunk in chunks {
        header = header.or(reader.add(chunk)?);
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
    }
    Ok((header, records, reader.totals()?))
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let record = prop_oneof![
        any::<i64>().prop_map(run),
        bytes.prop_map(|bytes| Record::Block(block(&bytes))),
    ];
    prop::collection::vec(record, 0..12)
}

proptest! {
    #[test]
    fn what_went_comes_back(
        ranges in prop::collection::vec((any::<i64>(), any::<i64>()), 0..4),
        records in records(),
        chunk_bytes in 0..600_usize,
    ) {
        let header = header(ranges);
        let (chunks, totals) = written(&header, &records, chunk_bytes);
        prop_assert!(chunks.iter().skip(1).all(|chunk| chunk.len() <= chunk_bytes.max(42)));
        let (found, again, said) = read(&chunks).unwrap();
        prop_assert_eq!((found, again, said), (Some(header), records, totals));
    }
}

/// The bytes of the format: a change here is a change of [`VERSION`].
#[test]
fn the_bytes_are_those_of_version_1() {
    let records = [run(-3), Record::Block(block(b"block"))];
    let (chunks, totals) = written(&header([(-1, 9)]), &records, 1 << 10);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = chunks.iter().map(|chunk| hex(chunk)).collect();
    let golden: Vec<&str> = include_str!("golden.hex").lines().collect();
    assert_eq!(lines, golden);
    assert_eq!((totals.runs, totals.blocks), (1, 1));
}

fn first_chunk(payload: &[u8]) -> Vec<u8> {
    let stream = crc32fast::hash(payload);
    Chunk { kind: Kind::Header, stream, sequence: 0, payload }.encode()
}

#[test]
fn another_version_is_refused_and_named() {
    let mut payload = header([(1, 2)]).encode();
    payload[0] = 2;
    let error = ChunkReader::new().add(&first_chunk(&payload)).unwrap_err();
    assert!(matches!(error, StreamError::Version { found: 2 }), "{error}");
    let mut payload = header([(1, 2)]).encode();
    payload[4] = 0xff;
    let error = ChunkReader::new().add(&first_chunk(&payload)).unwrap_err();
    assert!(matches!(error, StreamError::BlockVersion { found: 0xff }), "{error}");
}

#[test]
fn a_header_is_whole_and_canonical() {
    let sound = header([(1, 2), (5, 9)]).encode();
    assert!(ChunkReader::new().add(&first_chunk(&sound)).is_ok());
    for len in 0..sound.len() {
        let error = ChunkReader::new().add(&first_chunk(&sound[..len])).unwrap_err();
        assert!(matches!(error, StreamError::Malformed(_)), "{len}: {error}");
    }
    // Spans in another order, and more of them than any node asks for.
    let spans = sound.len() - 32;
    let swapped = [&sound[..spans], &sound[spans + 16..], &sound[spans..spans + 16]].concat();
    assert!(ChunkReader::new().add(&first_chunk(&swapped)).is_err());
    let many = header((0..MAX_SPANS as i64 + 1).map(|at| (at * 10, at * 10 + 1))).encode();
    assert!(ChunkReader::new().add(&first_chunk(&many)).is_err());
}

#[test]
fn lengths_are_checked_before_they_are_believed() {
    let huge = vec![0; MAX_CHUNK_BYTES + 1];
    assert!(ChunkReader::new().add(&huge).unwrap_err().to_string().contains("larger"));
    let (mut writer, first) = ChunkWriter::begin(&header([]), 1 << 10);
    writer.add_encoded(&[2, 0xff, 0xff, 0xff, 0xff]);
    let (mut reader, chunk) = (ChunkReader::new(), writer.last_chunk().unwrap());
    reader.add(&first).unwrap();
    reader.add(&chunk).unwrap();
    assert!(reader.next_record().unwrap_err().to_string().contains("too large"));
    // A block that claims to be much larger than it is stored.
    let mut bomb = vec![1];
    encode_u64(&mut bomb, 1 << 29);
    bomb.extend_from_slice(&crc32fast::hash(b"tiny").to_le_bytes());
    bomb.extend_from_slice(b"tiny");
    assert_eq!(StoredBlock::decode(&bomb), Err("a block has an impossible length"));
}

#[test]
fn a_trailer_says_what_there_was() {
    let (mut chunks, _) = written(&header([(1, 2)]), &[run(1)], 1 << 10);
    let (other, _) = written(&header([(1, 2)]), &[run(2)], 1 << 10);
    // Of one header, so of one stream to all appearances.
    chunks[1] = other[1].clone();
    let error = read(&chunks).unwrap_err();
    assert!(error.to_string().contains("trailer"), "{error}");
}

fn table() -> Table {
    let column = |id, name: &str, kind| Column {
        id,
        name: name.into(),
        cql_type: Native::Int.into(),
        kind,
        descending: false,
    };
    Table {
        id: TableId(Uuid::from_u128(1)),
        keyspace: "ks".into(),
        name: "t".into(),
        partition_key: vec![column(0, "p", ColumnKind::PartitionKey)],
        clustering: vec![column(1, "c", ColumnKind::Clustering)],
        statics: vec![],
        regulars: vec![column(2, "v", ColumnKind::Regular)],
        dropped: BTreeMap::new(),
        next_column_id: 3,
        options: TableOptions::default(),
    }
}

#[test]
fn a_fingerprint_is_of_what_is_stored() {
    let of = |change: fn(&mut Table)| {
        let mut table = table();
        change(&mut table);
        SchemaFingerprint::of(&table)
    };
    let same = of(|_| {});
    assert_eq!(of(|table| table.partition_key[0].name = "renamed".into()), same);
    assert_eq!(of(|table| table.options.gc_grace_seconds = 1), same);
    let others = [
        of(|table| table.regulars[0].cql_type = Native::Text.into()),
        of(|table| table.regulars[0].id = 7),
        of(|table| table.clustering[0].descending = true),
        of(|table| table.regulars[0].kind = ColumnKind::Static),
        of(|table| table.regulars.clear()),
        of(|table| {
            let element = Box::new(CqlType::from(Native::Int));
            table.regulars[0].cql_type = CqlType::List { element, frozen: true };
        }),
    ];
    for other in others {
        assert_ne!(other, same);
    }
}
