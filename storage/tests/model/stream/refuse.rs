//! A stream that is not what was sent, or not for this table, is refused and leaves nothing.

use tholos_storage::fs::Fs;
use tholos_storage::model::token_range::TokenRanges;
use tholos_storage::sstable::Inspector;
use tholos_storage::stream::{
    ChunkReader, ChunkWriter, Header, Record, SchemaFingerprint, StreamError, split_chunk,
};

use super::{COLUMNS, End, dir, drained, range, roomy, within};
use crate::engine::{TestClock, open_shape};
use crate::generate::{OTHER, STILL, TABLE};
use crate::history::Shape;

fn sample() -> (End, TokenRanges, Vec<Vec<u8>>) {
    let from = End::of_history(&Shape { block_bytes: 200, ..Shape::default() }, 5);
    let ranges = TokenRanges::of([range(0, i64::MIN + 10)]);
    let chunks = from.send(&ranges, 600).0;
    assert!(chunks.len() > 3, "{}", chunks.len());
    (from, ranges, chunks)
}

/// Nothing of a stream is there, nor will be.
fn assert_nothing(to: &End) {
    assert_eq!(to.names(), ["manifest"]);
    assert!(to.rows(STILL.now).is_empty());
}

#[test]
fn every_flipped_bit_is_refused() {
    let (_, ranges, chunks) = sample();
    let to = End::new(&Shape::default());
    let mut flips = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        for bit in 0..chunk.len() * 8 {
            // Each of the other chunks is whole: taking them again and again would prove nothing more.
            let mut flipped = chunk.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let mut receiver = to.receiver(&ranges);
            if bit % 97 == 0 {
                chunks[..index].iter().for_each(|chunk| receiver.receive(chunk).unwrap());
            }
            let error = receiver.receive(&flipped).unwrap_err();
            assert!(matches!(error, StreamError::Chunk { .. }), "chunk {index} bit {bit}: {error}");
            let error = receiver.receive(chunk).unwrap_err();
            assert!(matches!(error, StreamError::Failed), "{error}");
            assert!(matches!(receiver.finish(), Err(StreamError::Failed)));
            flips += 1;
        }
    }
    assert!(flips > 4_000, "{flips}");
    assert_nothing(&to);
}

#[test]
fn a_stream_that_is_cut_off_or_out_of_order_is_refused() {
    let (_, ranges, chunks) = sample();
    let to = End::new(&Shape::default());
    for len in 0..chunks.len() {
        let error = to.receive(&ranges, &chunks[..len]).unwrap_err();
        assert!(matches!(error, StreamError::CutOff { .. }), "{len}: {error}");
        assert_nothing(&to);
    }
    for (index, chunk) in chunks.iter().enumerate() {
        for len in 0..chunk.len() {
            let error = to.receiver(&ranges).receive(&chunk[..len]).unwrap_err();
            assert!(matches!(error, StreamError::Chunk { .. }), "{index} {len}: {error}");
        }
    }
    for index in 1..chunks.len() {
        let mut missing = chunks.clone();
        missing.remove(index);
        let mut twice = chunks.clone();
        twice.insert(index, chunks[index - 1].clone());
        let mut swapped = chunks.clone();
        swapped.swap(index - 1, index);
        for wrong in [missing, twice, swapped] {
            let error = to.receive(&ranges, &wrong).unwrap_err();
            let is_told =
                matches!(error, StreamError::OutOfOrder { .. } | StreamError::CutOff { .. });
            assert!(is_told, "{index}: {error}");
        }
    }
    let mut more = chunks.clone();
    more.push(chunks[1].clone());
    assert!(to.receive(&ranges, &more).is_err());
    assert_nothing(&to);
    let dropped = to.receiver(&ranges);
    drop(dropped);
    to.receive(&ranges, &chunks).unwrap();
    assert!(!to.rows(STILL.now).is_empty());
}

#[test]
fn chunks_of_two_streams_do_not_mix() {
    let (from, ranges, chunks) = sample();
    let other = from.send(&TokenRanges::all(), 600).0;
    let to = End::new(&Shape::default());
    let mut receiver = to.receiver(&ranges);
    receiver.receive(&chunks[0]).unwrap();
    let error = receiver.receive(&other[1]).unwrap_err();
    assert!(error.to_string().contains("another stream"), "{error}");
    assert_nothing(&to);
}

#[test]
fn a_file_of_chunks_falls_into_them_again() {
    let (_, ranges, chunks) = sample();
    let file = chunks.concat();
    let (mut rest, mut found) = (file.as_slice(), Vec::new());
    while let Some((chunk, after)) = split_chunk(rest).unwrap() {
        found.push(chunk.to_vec());
        rest = after;
    }
    assert!(rest.is_empty() && found == chunks);
    assert!(split_chunk(&file[..10]).unwrap().is_none());
    assert!(split_chunk(&file[1..]).is_err());
    End::new(&Shape::default()).receive(&ranges, &found).unwrap();
}

#[test]
fn a_stream_for_another_table_schema_or_range_is_refused() {
    let (_, ranges, chunks) = sample();
    let to = End::new(&Shape::default());
    let refused = |id, columns, ranges: &TokenRanges| {
        let mut receiver = to.engine.receive_stream(id, columns, ranges).unwrap();
        receiver.receive(&chunks[0]).unwrap_err()
    };
    let error = refused(OTHER, COLUMNS, &ranges);
    assert!(matches!(error, StreamError::OtherTable { expected: OTHER, found: TABLE }), "{error}");
    let error = refused(TABLE, SchemaFingerprint(1), &ranges);
    assert!(matches!(error, StreamError::OtherSchema { table: TABLE }), "{error}");
    let error = refused(TABLE, COLUMNS, &TokenRanges::all());
    assert!(matches!(error, StreamError::OtherRanges), "{error}");
    assert_nothing(&to);
}

/// The stream as a sender would send it that thinks otherwise of some of it.
fn changed(
    chunks: &[Vec<u8>],
    header: impl FnOnce(Header) -> Header,
    records: impl FnOnce(Vec<Record>) -> Vec<Record>,
) -> Vec<Vec<u8>> {
    let (mut reader, mut first, mut found) = (ChunkReader::new(), None, Vec::new());
    for chunk in chunks {
        first = first.or(reader.add(chunk).unwrap());
        while let Some(record) = reader.next_record().unwrap() {
            found.push(record);
        }
    }
    let (mut writer, chunk) = ChunkWriter::begin(&header(first.unwrap()), 600);
    let mut out = vec![chunk];
    for record in records(found) {
        writer.add(&record).unwrap();
        while let Some(chunk) = writer.full_chunk() {
            out.push(chunk);
        }
    }
    out.extend(writer.last_chunk());
    out.push(writer.end().0);
    out
}

#[test]
fn a_sender_that_is_at_fault_is_told_so() {
    let (from, ranges, chunks) = sample();
    let to = End::new(&Shape::default());
    to.receive(&ranges, &changed(&chunks, |header| header, |records| records)).unwrap();
    assert_eq!(to.rows(STILL.now), within(&from.rows(STILL.now), &ranges));

    let to = End::new(&Shape::default());
    let narrow = TokenRanges::of([range(0, 10)]);
    let wrong = changed(&chunks, |header| Header { ranges: narrow.clone(), ..header }, |all| all);
    let error = to.receive(&narrow, &wrong).unwrap_err();
    assert!(matches!(error, StreamError::Outside { .. }), "{error}");
    assert_nothing(&to);

    type Change = fn(Vec<Record>) -> Vec<Record>;
    let changes: [(&str, Change); 4] = [
        ("no run", |all| all.into_iter().filter(|r| matches!(r, Record::Block(_))).collect()),
        ("blocks in reverse", |mut all| {
            all[1..].reverse();
            all
        }),
        ("a block twice", |mut all| {
            all.insert(2, all[1].clone());
            all
        }),
        ("one run of two", |all| {
            let mut runs = 0;
            let is_first = |record: &Record| {
                runs += usize::from(matches!(record, Record::Run(_)));
                runs <= 1 || matches!(record, Record::Block(_))
            };
            all.into_iter().filter(is_first).collect()
        }),
    ];
    for (what, change) in changes {
        let wrong = changed(&chunks, |header| header, change);
        let error = to.receive(&ranges, &wrong).unwrap_err();
        assert!(matches!(error, StreamError::Malformed(_)), "{what}: {error}");
        assert_nothing(&to);
    }
}

#[test]
fn a_table_that_was_emptied_or_dropped_meanwhile_stays_so() {
    let (_, ranges, chunks) = sample();
    let to = End::new(&Shape::default());
    let mut receiver = to.receiver(&ranges);
    chunks.iter().for_each(|chunk| receiver.receive(chunk).unwrap());
    to.engine.truncate(TABLE).unwrap();
    assert!(matches!(receiver.finish(), Err(StreamError::Truncated(TABLE))));
    assert_nothing(&to);
    let mut receiver = to.receiver(&ranges);
    chunks.iter().for_each(|chunk| receiver.receive(chunk).unwrap());
    to.engine.drop_table(TABLE).unwrap();
    assert!(receiver.finish().unwrap_err().to_string().contains("unknown"));
    // The directory may stay, since files were still in it.
    assert!(to.fs.list(&dir()).unwrap_or_default().is_empty());
}

#[test]
fn damaged_bytes_never_travel() {
    let shape = Shape { block_bytes: 100, ..roomy() };
    let from = End::of_history(&shape, 5);
    from.engine.compact(TABLE).unwrap();
    let ranges = TokenRanges::all();
    let (number, _) = from.manifest().files.pop_last().unwrap();
    let path = dir().join(format!("{number}.sst"));
    let mut inspector = Inspector::open(&from.fs, &path).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = inspector.next_block().unwrap() {
        let block = block.unwrap();
        blocks.push((block.offset(), block.stored_bytes()));
    }
    assert!(blocks.len() > 4, "{}", blocks.len());
    let (offset, len) = blocks[blocks.len() / 2];
    for byte in offset..offset + len {
        from.fs.damage(&path, |bytes| bytes[byte as usize] ^= 0x10);
        let mut sender = match from.engine.send_stream(TABLE, COLUMNS, &ranges, 600) {
            // Known from the byte before.
            Err(error) => {
                assert!(byte > offset, "{error}");
                check_damage(&error, &path, offset);
                from.fs.damage(&path, |bytes| bytes[byte as usize] ^= 0x10);
                continue;
            }
            Ok(sender) => sender,
        };
        assert_eq!(byte, offset);
        let error = drained(&mut sender).unwrap_err();
        let (first, last) = check_damage(&error, &path, offset);
        assert!(matches!(sender.next_chunk(), Err(StreamError::Failed)));
        // The rest of the ring can be sent.
        let rest = TokenRanges::of([range(last, first.saturating_sub(1))]);
        let (chunks, _) = from.send(&rest, 600);
        let to = End::new(&shape);
        to.receive(&rest, &chunks).unwrap();
        from.fs.damage(&path, |bytes| bytes[byte as usize] ^= 0x10);
        assert_eq!(to.rows(STILL.now), within(&from.rows(STILL.now), &rest));
        assert!(!to.rows(STILL.now).is_empty());
    }
}

/// Whichever byte of a file is damaged, index and all: it is noticed, or makes no difference.
#[test]
fn a_damaged_file_is_sent_as_it_was_or_not_at_all() {
    let shape = Shape { block_bytes: 100, ..roomy() };
    let from = End::of_history(&shape, 5);
    from.engine.compact(TABLE).unwrap();
    let ranges = TokenRanges::all();
    let (sound, _) = from.send(&ranges, 600);
    let (number, _) = from.manifest().files.pop_last().unwrap();
    let path = dir().join(format!("{number}.sst"));
    drop(from.engine);
    let (mut noticed, mut harmless) = (0, 0);
    for byte in 0..from.fs.content(&path).unwrap().len() {
        let fs = from.fs.copy();
        fs.damage(&path, |bytes| bytes[byte] ^= 1 << (byte % 8));
        let engine = open_shape(&fs, &TestClock::at(STILL.now), &shape).unwrap();
        let sent = engine
            .send_stream(TABLE, COLUMNS, &ranges, 600)
            .and_then(|mut sender| drained(&mut sender));
        match sent {
            Ok(chunks) => {
                assert!(chunks == sound, "byte {byte} was sent damaged");
                harmless += 1;
            }
            Err(StreamError::Damaged { file, .. }) => {
                assert_eq!(file, path);
                noticed += 1;
            }
            Err(error) => panic!("byte {byte}: {error}"),
        }
    }
    assert!(noticed > 500 && harmless > 20, "{noticed} noticed, {harmless} harmless");
}

fn check_damage(error: &StreamError, path: &std::path::Path, at: u64) -> (i64, i64) {
    let StreamError::Damaged { file, offset, tokens, .. } = error else { panic!("{error}") };
    assert!(file == path && *offset == at, "{error}");
    let text = error.to_string();
    assert!(text.contains("tokens") && text.contains("another replica"), "{text}");
    *tokens
}
