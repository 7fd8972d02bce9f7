//! Whatever is in the tables, whichever ranges: afterwards the receiver reads as both, and its files are sound.

use proptest::collection::vec;
use proptest::prelude::*;
use smallvec::SmallVec;
use tholos_storage::manifest::TableFile;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_of, token_prefix};
use tholos_storage::model::token_range::{TokenRange, TokenRanges};
use tholos_storage::model::{Liveness, Row};
use tholos_storage::sstable::{Compression, Inspector};

use super::{End, dir, roomy, within};
use crate::cases;
use crate::database::encoded;
use crate::generate::{STILL, TABLE, all_partitions, mutations};
use crate::history::{Op, Shape};

fn steps() -> impl Strategy<Value = Vec<Op>> {
    let step = prop_oneof![
        10 => mutations(STILL).prop_map(Op::Write),
        2 => Just(Op::Flush(TABLE)),
        1 => Just(Op::Step),
    ];
    vec(step, 0..40)
}

/// At tokens that there are, just before and after them, and at the ring's ends.
fn tokens() -> impl Strategy<Value = i64> {
    let tokens: Vec<i64> = all_partitions().iter().map(|key| token_of(key)).collect();
    let near =
        (prop::sample::select(tokens), -1..2_i64).prop_map(|(token, by)| token.saturating_add(by));
    prop_oneof![6 => near, 1 => Just(i64::MIN), 1 => Just(0)]
}

fn ranges() -> impl Strategy<Value = TokenRanges> {
    let range = (tokens(), tokens()).prop_map(|(start, end)| TokenRange { start, end });
    prop_oneof![
        8 => vec(range, 0..4).prop_map(TokenRanges::of),
        1 => Just(TokenRanges::all()),
    ]
}

fn shapes() -> impl Strategy<Value = Shape> {
    let compression = vec![Compression::Lz4, Compression::None, Compression::Zstd { level: 1 }];
    (prop::sample::select(vec![48_usize, 120, 16 << 10]), prop::sample::select(compression))
        .prop_map(|(block_bytes, compression)| Shape {
            block_bytes,
            compression,
            ..Shape::default()
        })
}

fn is_in_one_slice(file: &TableFile) -> bool {
    let slice = |key: &[u8]| {
        let bits = file.slices.trailing_zeros();
        if bits == 0 { 0 } else { ((token_of(key) ^ i64::MIN) as u64) >> (64 - bits) }
    };
    slice(&file.statistics.min_key) == slice(&file.statistics.max_key)
}

fn assert_sound(end: &End) -> Result<(), TestCaseError> {
    for (number, file) in end.manifest().files {
        let damage = end.engine.verify_file(TABLE, number).unwrap().unwrap();
        prop_assert!(damage.is_empty(), "file {}: {:?}", number, damage);
        prop_assert!(is_in_one_slice(&file), "file {} of {} slices", number, file.slices);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn the_receiver_reads_as_both(
        theirs in steps(),
        ours in steps(),
        ranges in ranges(),
        shapes in (shapes(), shapes()),
        chunk_bytes in prop::sample::select(vec![0_usize, 70, 1_000, 1 << 20]),
    ) {
        let (mut from, mut to) = (End::new(&shapes.0), End::new(&shapes.1));
        theirs.iter().for_each(|op| from.step(op));
        ours.iter().for_each(|op| to.step(op));
        let mut expected = to.model.clone();
        for op in &theirs {
            if let Op::Write(write) = op && ranges.contains(token_of(&write.partition)) {
                expected.write(write);
            }
        }
        let (chunks, sent) = from.send(&ranges, chunk_bytes);
        let received = to.receive(&ranges, &chunks).unwrap();
        prop_assert_eq!(Some(received.totals), sent.totals);
        prop_assert!(received.copied_blocks <= sent.copied_blocks + sent.cut_blocks);
        for at in [STILL.now, STILL.now + 1, STILL.now + 4] {
            prop_assert_eq!(to.rows(at), expected.live(&[], &[], at), "at {}", at);
            prop_assert_eq!(from.rows(at), from.model.live(&[], &[], at), "at {}", at);
        }
        assert_sound(&to)?;
        // Deletions came too, and merge with what there was as any others.
        to.engine.compact(TABLE).unwrap();
        prop_assert_eq!(to.rows(STILL.now), expected.live(&[], &[], STILL.now));
    }
}

/// A row in each of many partitions, so that blocks are many.
fn many(end: &mut End, timestamp: i64) {
    rows_at(end, timestamp, (0..2_000).map(|number| number * 10));
}

fn rows_at(end: &mut End, timestamp: i64, tokens: impl Iterator<Item = i64>) {
    for token in tokens {
        let partition = [&token_prefix(token)[..], &[1, 1]].concat();
        let liveness = Some(Liveness { timestamp, ttl: 0, expires_at: 0 });
        let row = encoded(&Row { liveness, ..Row::default() });
        let position = [COMPONENT, 0, COMPONENT, 0, ROW][..].into();
        let updates = [Update::Row { position, row }].into_iter().collect();
        let write = Mutation { table: TABLE, partition: SmallVec::from_vec(partition), updates };
        end.step(&Op::Write(write));
    }
}

#[test]
fn blocks_are_copied_but_at_the_edges() {
    let (mut from, to) = (End::new(&roomy()), End::new(&roomy()));
    for timestamp in [7, 8] {
        many(&mut from, timestamp);
        from.engine.flush(TABLE).unwrap();
    }
    let numbers: Vec<u64> = from.manifest().files.into_keys().collect();
    let blocks = |end: &End, number: u64| {
        let path = dir().join(format!("{number}.sst"));
        let mut inspector = Inspector::open(&end.fs, &path).unwrap();
        assert!(inspector.count_blocks().unwrap().is_empty());
        inspector.overview().data.blocks
    };
    let all: u64 = numbers.iter().map(|number| blocks(&from, *number)).sum();
    assert!(numbers.len() == 2 && all > 100, "{all} blocks");

    let (chunks, sent) = from.send(&TokenRanges::all(), 1 << 16);
    assert_eq!((sent.copied_blocks, sent.cut_blocks), (all, 0), "all of it needs no cut");
    let received = End::new(&roomy()).receive(&TokenRanges::all(), &chunks).unwrap();
    assert_eq!((received.copied_blocks, received.cut_blocks, received.files), (all, 0, 2));
    assert_eq!((received.rows, received.partitions), (4_000, 4_000));

    // Two spans: at most four edges in each file.
    let ranges = TokenRanges::of([super::range(15_000, 1_000), super::range(5_004, 9_996)]);
    let (chunks, sent) = from.send(&ranges, 1 << 16);
    assert!(sent.cut_blocks <= 8, "{sent:?}");
    assert!(sent.copied_blocks * 10 > all * 5, "{sent:?}");
    let received = to.receive(&ranges, &chunks).unwrap();
    let came = sent.copied_blocks + sent.cut_blocks;
    assert_eq!((received.copied_blocks, received.cut_blocks), (came, 0));
    let stored: u64 = to.manifest().files.keys().map(|number| blocks(&to, *number)).sum();
    assert_eq!(stored, came);
    assert_eq!(to.rows(STILL.now), within(&from.rows(STILL.now), &ranges));
    assert_eq!(received.rows, 2 * (101 + 499 + 499));
}

#[test]
fn files_end_where_others_of_the_table_do() {
    let large = Shape { block_bytes: 16 << 10, ..roomy() };
    let small = Shape { memtable_bytes: 1 << 20, ..Shape::default() };
    let (mut from, to) = (End::new(&large), End::new(&small));
    rows_at(&mut from, 7, (-1_000..1_000).map(|number| number * (i64::MAX / 1_000)));
    let ranges = TokenRanges::all();
    let (chunks, sent) = from.send(&ranges, 1 << 16);
    let received = to.receive(&ranges, &chunks).unwrap();
    let files = to.manifest().files;
    assert!(received.cut_blocks > sent.copied_blocks && files.len() > 8, "{received:?}");
    assert!(files.values().all(|file| file.slices > 2), "as many slices as its size asks for");
    assert_sound(&to).unwrap();
    let mut runs: Vec<u64> = files.values().map(|file| file.run).collect();
    runs.dedup();
    assert_eq!(runs, [*files.keys().next().unwrap()], "one run, of the number of its first file");
    assert_eq!(to.rows(STILL.now), from.rows(STILL.now));
}

#[test]
fn what_is_sent_stays_on_the_disk_until_it_is_sent() {
    let mut from = End::new(&roomy());
    many(&mut from, 7);
    let (expected, before) = (from.rows(STILL.now), from.send(&TokenRanges::all(), 500).0);
    let mut sender = from.sender(&TokenRanges::all(), 500);
    let first = sender.next_chunk().unwrap().unwrap();
    many(&mut from, 8);
    from.engine.compact(TABLE).unwrap();
    from.engine.truncate(TABLE).unwrap();
    assert_eq!(from.names().len(), 2, "the sender has the file: {:?}", from.names());
    let mut chunks = vec![first];
    chunks.extend(super::drained(&mut sender).unwrap());
    assert_eq!(chunks.len(), before.len());
    drop(sender);
    from.engine.background_step().unwrap();
    assert_eq!(from.names(), ["manifest"]);
    let to = End::new(&roomy());
    to.receive(&TokenRanges::all(), &chunks).unwrap();
    assert_eq!(to.rows(STILL.now), expected);
}
