//! Entry points for fuzzing: each takes any bytes as a file of one kind and reads it in every way there is. Errors are
//! fine; a panic, or memory out of proportion to the input, is a bug. What nodes say to each other is in [`replica`].

pub mod replica;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tholos_grammar::token::Token;
use tholos_grammar::types::Native;
use uuid::Uuid;

use crate::StorageError;
use crate::commitlog::{CommitLogOptions, SyncDriver, read_segment};
use crate::engine::{
    BackgroundDriver, Clock, Engine, EngineOptions, ReceivedStream, TableSettings,
};
use crate::fs::memory::MemoryFs;
use crate::key::encode_component;
use crate::manifest::read_manifest;
use crate::model::entry::{Cursor, Direction};
use crate::model::mutation::{Mutation, Update};
use crate::model::mutation_codec::decode_mutation;
use crate::model::position::{AFTER, BEFORE, COMPONENT, ROW, token_prefix};
use crate::model::row::RowBuilder;
use crate::model::token_range::TokenRanges;
use crate::model::{Deletion, Liveness};
use crate::schema::TableId;
use crate::sstable::{BlockCache, KeyTypes, SsTable, StoredBlock};
use crate::stream::{
    ChunkWriter, Header, Record, Run, SchemaFingerprint, StreamError, split_chunk,
};
use crate::varint::encode_u64;

/// Reads the bytes as an SSTable: whole in both directions, slices, the filter, and verification.
pub fn sstable(bytes: &[u8]) {
    let path = PathBuf::from("/fuzz/1.sst");
    let fs = MemoryFs::new();
    fs.put(&path, bytes.to_vec());
    read_through(&SsTable::new(Arc::new(fs), path, Arc::new(BlockCache::new(1 << 20))));
}

/// Reads a table in every way there is.
pub(crate) fn read_through(table: &Arc<SsTable>) {
    let mut keys = vec![Vec::new()];
    for direction in [Direction::Forward, Direction::Reverse] {
        walk(table, &[], None, direction, &mut keys);
    }
    for pair in keys.windows(2).step_by(keys.len() / 16 + 1) {
        if let [lower, upper] = pair {
            walk(table, lower, Some(upper), Direction::Forward, &mut Vec::new());
            walk(table, lower, Some(upper), Direction::Reverse, &mut Vec::new());
        }
    }
    // Errors are as good an answer as any here.
    let _ = (table.may_contain(b"12345678"), table.statistics(), table.verify());
}

fn walk(
    table: &Arc<SsTable>,
    lower: &[u8],
    upper: Option<&[u8]>,
    direction: Direction,
    keys: &mut Vec<Vec<u8>>,
) {
    let Ok(mut cursor) = table.cursor(lower, upper, direction) else { return };
    while let Ok(Some(entry)) = cursor.advance() {
        keys.push(entry.key.to_vec());
    }
}

/// Reads the bytes as a commit log segment with the id 1, and as one mutation.
pub fn commit_log_segment(bytes: &[u8]) {
    let _ = (read_segment(Path::new("/fuzz/1.log"), 1, bytes), decode_mutation(bytes, None));
}

/// Reads the bytes as a manifest.
pub fn manifest(bytes: &[u8]) {
    let _ = read_manifest(Path::new("/fuzz/manifest"), bytes);
}

/// Takes the bytes as a stream into an empty table; by the first byte as chunks, as records in sound chunks, or as one
/// block in a sound record. What is taken must be sound.
///
/// # Panics
/// If a file that was made of a stream is not as it should be.
pub fn stream(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let Some(chunks) = chunks(*mode, bytes) else { return };
    let Ok(engine) = empty_engine() else { return };
    let taken = receive(&engine, &chunks);
    let files = engine.stats().tables.into_iter().flat_map(|table| table.files);
    for (number, _) in files {
        let damage = engine.verify_file(STREAMED, number);
        assert!(matches!(&damage, Ok(Some(found)) if found.is_empty()), "{taken:?}: {damage:?}");
        for direction in [Direction::Forward, Direction::Reverse] {
            let table = engine.table(STREAMED).expect("the engine was opened with it");
            let Ok(mut rows) = table.scan(&[], &[], direction, 0) else { continue };
            while let Ok(Some(_)) = rows.next() {}
        }
    }
}

const STREAMED: TableId = TableId(Uuid::from_u128(1));
const COLUMNS: SchemaFingerprint = SchemaFingerprint(0);

/// Chunks as the first byte of the input says.
fn chunks(mode: u8, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    if mode.is_multiple_of(3) {
        let (mut rest, mut chunks) = (bytes, Vec::new());
        while let Ok(Some((chunk, after))) = split_chunk(rest) {
            chunks.push(chunk.to_vec());
            rest = after;
        }
        chunks.extend((!rest.is_empty()).then(|| rest.to_vec()));
        return Some(chunks);
    }
    let ranges = TokenRanges::all();
    let header = Header { table: STREAMED, fingerprint: COLUMNS, ranges, created_at: 0 };
    let (mut writer, first) = ChunkWriter::begin(&header, 1 << 16);
    let mut chunks = vec![first];
    if mode % 3 == 1 {
        writer.add_encoded(bytes);
    } else {
        let run = Run { base: 5, file_bytes: 1 << 10, slices: 1 << (mode / 3 % 4) };
        writer.add(&Record::Run(run)).ok()?;
        let mut block = Vec::from([0]);
        encode_u64(&mut block, bytes.len() as u64);
        block.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        block.extend_from_slice(bytes);
        writer.add(&Record::Block(StoredBlock::decode(&block).ok()?)).ok()?;
    }
    while let Some(chunk) = writer.full_chunk() {
        chunks.push(chunk);
    }
    chunks.extend(writer.last_chunk());
    chunks.push(writer.end().0);
    Some(chunks)
}

fn receive(engine: &Engine, chunks: &[Vec<u8>]) -> Result<ReceivedStream, StreamError> {
    let mut receiver = engine.receive_stream(STREAMED, COLUMNS, &TokenRanges::all())?;
    chunks.iter().try_for_each(|chunk| receiver.receive(chunk))?;
    receiver.finish()
}

/// An engine of one empty table.
fn empty_engine() -> Result<Engine, StorageError> {
    struct Never;
    impl Clock for Never {
        fn now_micros(&self) -> i64 {
            0
        }
    }
    let commit_log = CommitLogOptions {
        segment_bytes: 1 << 12,
        driver: SyncDriver::Caller,
        zero_fill: false,
        ..CommitLogOptions::default()
    };
    let options = EngineOptions {
        commit_log,
        shards: 1,
        block_cache_bytes: 1 << 16,
        background: BackgroundDriver::Caller,
        ..EngineOptions::new("/fuzz")
    };
    let key_types = KeyTypes::of([&Native::Int.into()]);
    let table = TableSettings { key_types, ..TableSettings::new(STREAMED, "ks", "t") };
    Engine::open(Arc::new(MemoryFs::new()), Arc::new(Never), options, [table])
}

/// Four partitions of that table, each deleted, with two rows that are newer and a deleted range.
fn partitions() -> Vec<Mutation> {
    let deletion = |timestamp| Deletion { timestamp, deleted_at: 2 };
    let partition = |key: i32| {
        let mut row = RowBuilder::new();
        row.liveness(Liveness { timestamp: 7, ttl: 0, expires_at: 0 });
        let row = row.finish();
        let insert = |clustering| Update::Row {
            position: [COMPONENT, clustering, ROW][..].into(),
            row: row.clone(),
        };
        let range = Update::Range {
            start: [COMPONENT, 2, BEFORE][..].into(),
            end: [COMPONENT, 4, AFTER][..].into(),
            deletion: deletion(6),
        };
        let updates = [Update::Partition(deletion(4)), insert(1), insert(5), range];
        let mut partition = token_prefix(Token::of(&key.to_be_bytes()).0).to_vec();
        encode_component(&Native::Int.into(), &key.to_be_bytes(), false, &mut partition)
            .expect("an int has four bytes");
        let partition = partition[..].into();
        Mutation { table: STREAMED, partition, updates: updates.into_iter().collect() }
    };
    (0..4).map(partition).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sstable::Compression;
    use crate::stream::ChunkReader;

    thread_local! {
        static SOUND: [Vec<u8>; 3] = streams();
    }

    /// A sound stream in each of the ways that the target takes bytes: as chunks, as records, as a block.
    fn streams() -> [Vec<u8>; 3] {
        let engine = empty_engine().unwrap();
        for mutation in partitions() {
            engine.apply(&mutation).unwrap();
        }
        let all = TokenRanges::all();
        let mut sender = engine.send_stream(STREAMED, COLUMNS, &all, 1 << 16).unwrap();
        let (mut reader, mut whole, mut records) = (ChunkReader::new(), vec![0], vec![1]);
        let mut stored = None;
        while let Some(chunk) = sender.next_chunk().unwrap() {
            whole.extend_from_slice(&chunk);
            reader.add(&chunk).unwrap();
            while let Some(record) = reader.next_record().unwrap() {
                record.encode(&mut records).unwrap();
                if let Record::Block(block) = record {
                    stored = Some(block);
                }
            }
        }
        let decoded = stored.unwrap().into_decoded().unwrap();
        let raw = decoded.cut(&[], None, Compression::None).unwrap().unwrap();
        let mut encoded = Vec::new();
        raw.encode(&mut encoded);
        let head = encoded.len() - raw.stored_bytes() as usize;
        [whole, records, [&[2], &encoded[head..]].concat()]
    }

    /// The target begins from streams that are taken. `THOLOS_WRITE_CORPUS=1` writes them anew.
    #[test]
    fn the_corpus_has_sound_streams() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/stream");
        for (name, bytes) in
            ["seed-chunks", "seed-records", "seed-block"].into_iter().zip(streams())
        {
            let engine = empty_engine().unwrap();
            let received = receive(&engine, &chunks(bytes[0], &bytes[1..]).unwrap()).unwrap();
            assert_eq!((received.files, received.partitions, received.rows), (1, 4, 8), "{name}");
            let path = corpus.join(name);
            if std::env::var_os("THOLOS_WRITE_CORPUS").is_some() {
                std::fs::write(&path, &bytes).unwrap();
            }
            assert!(std::fs::read(&path).unwrap() == bytes, "{name} is of another format version");
        }
    }

    proptest! {
        #[test]
        fn a_bent_stream_is_refused_or_sound(
            kind in 1..3_usize,
            bent in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = SOUND.with(|sound| sound[kind].clone());
            for (place, byte) in bent {
                // Not the first: it says what the rest is.
                let place = 1 + place.index(bytes.len() - 1);
                bytes[place] = byte;
            }
            super::stream(&bytes);
        }

        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            super::sstable(&bytes);
            super::commit_log_segment(&bytes);
            super::manifest(&bytes);
            super::stream(&bytes);
        }
    }
}
