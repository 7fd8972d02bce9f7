//! Cases of the store; histories are in `model`.

mod model;

use smallvec::{SmallVec, smallvec};
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs, Operation};
use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::Update;
use tholos_storage::model::position::token_prefix;
use tholos_storage::model::token_range::TokenRange;
use tholos_storage::schema::TableId;

use super::*;
use crate::hints::Hint;

const DIR: &str = "/data/hints";

fn node(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

/// A write to a table, of a partition with that token, of about so many bytes; `id` tells it from others.
fn mutation(table: u128, token: i64, id: u64, bytes: usize) -> Mutation {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(bytes.max(8), 7);
    Mutation {
        table: TableId(Uuid::from_u128(table)),
        partition: SmallVec::from_slice(&token_prefix(token)),
        updates: smallvec![Update::Row {
            position: SmallVec::new(),
            row: RowBuf { head: SmallVec::new(), body },
        }],
    }
}

fn id_of(hint: &Hint) -> u64 {
    match hint.mutation.updates.first() {
        Some(Update::Row { row, .. }) => {
            u64::from_le_bytes(row.body[..8].try_into().expect("8 bytes"))
        }
        _ => panic!("{hint:?}"),
    }
}

fn limits() -> HintLimits {
    HintLimits {
        segment_bytes: 600,
        target_bytes: 3_000,
        total_bytes: 5_000,
        buffer_bytes: 1_000,
        window: 1_000,
    }
}

fn open(fs: &FaultyFs) -> HintStore {
    let others = [1, 2, 3].map(node);
    HintStore::open(Arc::new(fs.clone()), Path::new(DIR), limits(), 0, others).unwrap()
}

fn deliver_all(_: &Hint) -> Verdict {
    Verdict::Deliver
}

/// What is read of a target from its start, all of it or a part.
fn read(store: &mut HintStore, target: u8, max_bytes: usize) -> Chunk {
    let from = store.start(node(target));
    store.read(0, node(target), from, max_bytes, &deliver_all).unwrap()
}

fn ids(chunk: &Chunk) -> Vec<u64> {
    chunk.hints.iter().map(id_of).collect()
}

fn append(store: &mut HintStore, target: u8, ids: std::ops::Range<u64>) -> HintPosition {
    let append = |id: u64| store.append(0, node(target), &mutation(1, id as i64, id, 50)).unwrap();
    ids.map(append).last().unwrap()
}

#[test]
fn hints_come_back_in_order_after_a_restart() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    let position = append(&mut store, 1, 0..4);
    append(&mut store, 2, 4..6);
    assert!(!store.is_durable(position));
    assert!(read(&mut store, 1, 9_999).hints.is_empty(), "not on disk yet");
    store.sync().unwrap();
    assert!(store.is_durable(position));
    let mut store = open(&fs.crash(Crash::KeepSynced));
    assert_eq!(store.figures()[&node(1)].pending, 4);
    assert_eq!(ids(&read(&mut store, 1, 9_999)), [0, 1, 2, 3]);
    assert_eq!(ids(&read(&mut store, 2, 9_999)), [4, 5]);
    append(&mut store, 1, 6..8);
    store.sync().unwrap();
    assert_eq!(ids(&read(&mut store, 1, 9_999)), [0, 1, 2, 3, 6, 7], "in a new segment");
}

#[test]
fn what_is_delivered_is_not_read_again_and_its_files_go() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    append(&mut store, 1, 0..8);
    store.sync().unwrap();
    append(&mut store, 1, 8..16);
    store.sync().unwrap();
    let first = read(&mut store, 1, 150);
    let count = first.hints.len() as u64;
    assert!(count > 0 && count < 8 && !first.at_end);
    store.advance(node(1), &first, count);
    store.sync().unwrap();
    let mut store = open(&fs.crash(Crash::KeepSynced));
    assert_eq!(store.figures()[&node(1)].pending, 16 - count);
    let rest = read(&mut store, 1, 9_999);
    assert_eq!(ids(&rest), (count..16).collect::<Vec<u64>>());
    store.advance(node(1), &rest, 16 - count);
    store.sync().unwrap();
    let figures = store.figures()[&node(1)];
    assert_eq!((figures.pending, figures.bytes, figures.oldest), (0, 0, None));
    let files = store.fs.list(Path::new(DIR)).unwrap();
    assert_eq!(files, ["ledger"], "nothing else is left");
    assert_eq!(store.targets().count(), 0);
}

#[test]
fn what_there_is_no_room_for_is_marked_durably() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    let mut taken = 0;
    let refused = loop {
        match store.append(5, node(1), &mutation(1, taken, taken as u64, 50)) {
            Ok(_) => taken += 1,
            Err(Overflow::Behind { .. }) => store.sync().unwrap(),
            Err(overflow) => break overflow,
        }
    };
    assert_eq!(refused, Overflow::Target { target: node(1), limit: 3_000 });
    assert!(taken > 10);
    assert!(store.figures()[&node(1)].bytes <= 3_000);
    store.sync().unwrap();
    let store = open(&fs.crash(Crash::KeepSynced));
    assert!(store.dirty(node(1)).tokens().contains(taken));
    assert!(store.dirty(node(2)).is_empty());
}

#[test]
fn old_hints_are_marked_and_not_delivered() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    append(&mut store, 1, 0..2);
    store.append(900, node(1), &mutation(1, 70, 70, 50)).unwrap();
    append(&mut store, 2, 5..6);
    store.sync().unwrap();
    store.expire(1_500);
    let figures = store.figures();
    assert_eq!(figures[&node(1)].pending, 3, "one of the segment is not too old");
    assert_eq!((figures[&node(2)].pending, figures[&node(2)].expired), (0, 1));
    assert!(store.dirty(node(2)).tokens().contains(5));
    let from = store.start(node(1));
    let chunk = store.read(1_500, node(1), from, 9_999, &deliver_all).unwrap();
    assert_eq!((ids(&chunk), chunk.expired), (vec![70], 2));
    store.advance(node(1), &chunk, 1);
    let tokens = store.dirty(node(1)).tokens();
    assert!(tokens.contains(0) && tokens.contains(1) && !tokens.contains(70));
}

#[test]
fn hints_of_tables_that_are_gone_are_dropped_and_counted() {
    let mut store = open(&FaultyFs::new());
    for (id, table) in [(0, 1), (1, 2), (2, 1)] {
        store.append(0, node(1), &mutation(table, 0, id, 50)).unwrap();
    }
    store.sync().unwrap();
    let only_two = |hint: &Hint| match hint.mutation.table.0.as_u128() {
        2 => Verdict::Deliver,
        _ => Verdict::Drop,
    };
    let from = store.start(node(1));
    let chunk = store.read(0, node(1), from, 9_999, &only_two).unwrap();
    assert_eq!((ids(&chunk), chunk.dropped), (vec![1], 2));
    assert!(store.dirty(node(1)).is_empty());
}

#[test]
fn a_target_that_left_takes_no_room_any_more() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    append(&mut store, 1, 0..4);
    store.sync().unwrap();
    let position = append(&mut store, 1, 4..8);
    store.forget(node(1));
    assert!(!store.is_durable(position) && !store.has_unsynced());
    assert_eq!((store.total_bytes, store.pending_bytes), (0, 0));
    store.sync().unwrap();
    assert_eq!(fs.list(Path::new(DIR)).unwrap(), ["ledger"]);
    let mut store = open(&fs.crash(Crash::KeepSynced));
    assert!(read(&mut store, 1, 9_999).hints.is_empty());
}

#[test]
fn hints_of_a_target_that_left_go_to_others_with_their_ages() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    append(&mut store, 1, 0..4);
    store.sync().unwrap();
    let from = store.start(node(1));
    let chunk = store.read(700, node(1), from, 9_999, &deliver_all).unwrap();
    for hint in &chunk.hints {
        let target = if hint.token() % 2 == 0 { node(2) } else { node(3) };
        store.append_again(target, hint.created, &hint.mutation).unwrap();
    }
    store.forget(node(1));
    store.sync().unwrap();
    let mut store = open(&fs.crash(Crash::KeepSynced));
    assert_eq!(ids(&read(&mut store, 2, 9_999)), [0, 2]);
    assert_eq!(ids(&read(&mut store, 3, 9_999)), [1, 3]);
    assert_eq!(store.figures()[&node(2)].oldest, Some(0));
    store.expire(1_001);
    assert!(store.dirty(node(3)).tokens().contains(3));
}

#[test]
fn a_mark_that_is_made_during_a_repair_stays() {
    let mut store = open(&FaultyFs::new());
    store.mark_token(node(1), 5);
    store.mark_token(node(1), 50);
    let begun = store.repair_begins(0);
    store.mark_token(node(1), 5);
    store.clear_dirty(node(1), &TokenRanges::all(), begun);
    assert!(store.dirty(node(1)).tokens().contains(5));
    assert!(!store.dirty(node(1)).tokens().contains(50));
    let begun = store.repair_begins(0);
    let range = TokenRange { start: 4, end: 5 };
    store.clear_dirty(node(1), &TokenRanges::of([range]), begun);
    assert!(store.dirty(node(1)).is_empty());
}

#[test]
fn damage_costs_one_segment_whose_tokens_are_marked() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    for batch in 0..4 {
        append(&mut store, 1, batch * 5..batch * 5 + 5);
        store.sync().unwrap();
    }
    let segments: Vec<u64> = store.ledger.kept(node(1)).unwrap().segments.keys().copied().collect();
    assert!(segments.len() > 2, "{segments:?}");
    // While it is in use, in a segment that is sealed.
    fs.damage(&store.path(node(1), segments[0]), |bytes| bytes[60] ^= 1);
    let left = ids(&read(&mut store, 1, 9_999));
    assert_eq!(left.last(), Some(&19));
    let tokens = store.dirty(node(1)).tokens();
    for id in 0..20 {
        assert!(left.contains(&id) != tokens.contains(id as i64), "{id}: {left:?} {tokens:?}");
    }
    assert_eq!(store.figures()[&node(1)].damaged, 1);
    // At a start, in the one that was appended to: nobody knows what it had.
    fs.damage(&store.path(node(1), *segments.last().unwrap()), |bytes| bytes[60] ^= 1);
    let mut store = open(&fs.crash(Crash::KeepAll));
    assert_eq!(store.dirty(node(1)).tokens(), TokenRanges::all());
    assert!(store.dirty(node(2)).is_empty());
    assert!(!read(&mut store, 1, 9_999).hints.is_empty(), "what is between is there");
    let aside = |name: &String| name.starts_with("damaged-");
    assert_eq!(fs.list(Path::new(DIR)).unwrap().iter().filter(|name| aside(name)).count(), 1);
}

#[test]
fn without_a_ledger_all_is_delivered_and_all_is_marked() {
    for is_damaged in [false, true] {
        let fs = FaultyFs::new();
        let mut store = open(&fs);
        append(&mut store, 1, 0..3);
        store.sync().unwrap();
        let fs = fs.crash(Crash::KeepAll);
        let ledger = Path::new(DIR).join("ledger");
        if is_damaged {
            fs.damage(&ledger, |bytes| bytes[20] ^= 1);
        } else {
            fs.remove(&ledger).unwrap();
        }
        let mut store = open(&fs);
        assert_eq!(ids(&read(&mut store, 1, 9_999)), [0, 1, 2]);
        for other in [1, 2, 3] {
            assert_eq!(store.dirty(node(other)).tokens(), TokenRanges::all());
        }
        let mut store = open(&fs.crash(Crash::KeepSynced));
        assert_eq!(ids(&read(&mut store, 1, 9_999)), [0, 1, 2]);
        assert_eq!(store.dirty(node(3)).tokens(), TokenRanges::all());
    }
}

#[test]
fn a_failed_sync_is_made_good_in_another_file() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    append(&mut store, 1, 0..2);
    store.sync().unwrap();
    let position = append(&mut store, 1, 2..4);
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    store.sync().unwrap_err();
    assert!(!store.is_durable(position));
    store.sync().unwrap();
    assert!(store.is_durable(position));
    let mut store = open(&fs.crash(Crash::KeepSynced));
    assert_eq!(ids(&read(&mut store, 1, 9_999)), [0, 1, 2, 3]);
}

#[test]
fn a_full_disk_keeps_hints_in_memory_until_there_is_room() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    fs.fill_up(0);
    let position = append(&mut store, 1, 0..4);
    store.sync().unwrap_err();
    let mut id = 4;
    let behind = loop {
        match store.append(0, node(1), &mutation(1, id, id as u64, 50)) {
            Ok(_) => id += 1,
            Err(overflow) => break overflow,
        }
    };
    assert!(matches!(behind, Overflow::Behind { .. }), "{behind}");
    assert!(store.dirty(node(1)).tokens().contains(id));
    fs.heal();
    store.sync().unwrap();
    assert!(store.is_durable(position));
    let mut store = open(&fs.crash(Crash::KeepSynced));
    assert_eq!(read(&mut store, 1, 9_999).hints.len() as i64, id);
    assert!(store.dirty(node(1)).tokens().contains(id));
}

#[test]
fn the_format_is_this() {
    let fs = FaultyFs::new();
    let mut store = open(&fs);
    let written = Mutation { updates: SmallVec::new(), ..mutation(2, 5, 0, 8) };
    store.append(300, node(1), &written).unwrap();
    store.sync().unwrap();
    let payload = |name: &str, offset: usize| {
        let bytes = fs.content(&Path::new(DIR).join(name)).unwrap();
        let len = u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap()) as usize;
        (bytes[..12].to_vec(), bytes[offset + 12..offset + 12 + len].to_vec())
    };
    let id = |last: u8| [vec![0; 15], vec![last]].concat();
    let token = token_prefix(5).to_vec();
    // 29 bytes: made at 300 (zigzag), table 2, 8 bytes of partition, no updates.
    let hint = [vec![29, 0xd8, 4, 1], id(2), vec![8], token, vec![0]].concat();
    let (header, record) = payload(&format!("{}-1.hints", node(1)), 12);
    assert_eq!((&header[..], record), (&b"THLShint\x01\0\0\0"[..], hint));
    let open_1 = [vec![1], id(1), vec![1]].concat();
    let (header, record) = payload("ledger", 12);
    assert_eq!((&header[..], record), (&b"THLShled\x01\0\0\0"[..], open_1));
}
