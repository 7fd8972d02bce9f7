//! An SSTable against a sorted vector: everything that can be asked of the one is computed from the other.

mod damage;
mod inspect;
mod shape;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tholos_grammar::token::Token;
use tholos_grammar::types::Native;

use super::*;
use crate::StorageError;
use crate::fs::memory::MemoryFs;
use crate::fs::{Fs, create_dir_durably};
use crate::key::encode_component;
use crate::model::entry::{Content, Cursor, Direction, Entry, RowRef};
use crate::model::{Deletion, Timestamp, position};

/// What the tests take for a row's body: 8 bytes of timestamp, then anything.
fn opaque(row: RowRef<'_>, base: Timestamp, out: &mut Vec<u8>) -> Result<RowSummary, String> {
    let (timestamp, rest) = row.body.split_first_chunk::<8>().ok_or("a row is too short")?;
    let timestamp = i64::from_be_bytes(*timestamp).wrapping_add(row.base);
    out.extend_from_slice(&timestamp.wrapping_sub(base).to_be_bytes());
    out.extend_from_slice(rest);
    Ok(RowSummary {
        min_timestamp: timestamp,
        max_timestamp: timestamp,
        min_live_timestamp: timestamp,
        min_deleted_at: i64::MAX,
        max_deleted_at: i64::MAX,
        last_tombstone: 0,
        cells: 1,
        tombstones: 0,
    })
}

fn row(timestamp: Timestamp, rest: &[u8]) -> Vec<u8> {
    [&timestamp.to_be_bytes(), rest].concat()
}

/// Heads are few, so that rows often have that of the row before.
fn head_of(body: &[u8]) -> &'static [u8] {
    const HEADS: [&[u8]; 3] = [&[], &[1, 2], &[3, 4, 5]];
    HEADS[body.len() % HEADS.len()]
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Header(Deletion),
    Row(Vec<u8>),
    Marker(Deletion, Deletion),
}

impl Value {
    fn of(stored: RowRef<'_>) -> Value {
        let mut body = Vec::new();
        opaque(stored, 0, &mut body).unwrap();
        assert_eq!(stored.head, head_of(&body));
        Value::Row(body)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Item {
    key: Vec<u8>,
    partition_len: usize,
    value: Value,
}

impl Item {
    fn entry(&self) -> Entry<'_> {
        let content = match &self.value {
            Value::Header(deletion) => Content::Partition(*deletion),
            Value::Row(body) => Content::Row(RowRef { head: head_of(body), body, base: 0 }),
            Value::Marker(before, after) => Content::Marker { before: *before, after: *after },
        };
        Entry { key: &self.key, partition_len: self.partition_len, content }
    }

    fn of(entry: Entry<'_>) -> Item {
        let value = match entry.content {
            Content::Partition(deletion) => Value::Header(deletion),
            Content::Row(stored) => Value::of(stored),
            Content::Marker { before, after } => Value::Marker(before, after),
        };
        Item { key: entry.key.to_vec(), partition_len: entry.partition_len, value }
    }
}

fn deletion(timestamp: Timestamp) -> Deletion {
    Deletion { timestamp, deleted_at: timestamp / 10 }
}

/// Partitions of rows with range deletions among them; all rows are newer than all deletions.
fn items() -> impl Strategy<Value = Vec<Item>> {
    let row = (any::<u16>(), prop::collection::vec(any::<u8>(), 0..20));
    let partition = (
        prop::option::weighted(0.3, 1i64..100),
        any::<bool>(),
        prop::collection::vec(row, 0..40),
        prop::collection::btree_map(
            (any::<u16>(), any::<bool>()),
            prop::option::of(100i64..110),
            0..8,
        ),
    );
    prop::collection::btree_map(
        prop::collection::vec(0u8..4, 0..3),
        (any::<bool>(), partition),
        1..40,
    )
    .prop_map(|partitions| {
        let mut items = Vec::new();
        for (name, (has_own_token, (header, is_static, rows, markers))) in partitions {
            // Only where the token is the key's has the prefix a short form.
            let token = if has_own_token { Token::of(&name).0 } else { name.len() as i64 };
            let prefix = prefix_of(token, &name);
            items.extend(partition_items(&prefix, header, is_static, rows, markers));
        }
        items.sort_by(|left: &Item, right: &Item| left.key.cmp(&right.key));
        items
    })
    .prop_filter("not empty", |items| !items.is_empty())
}

fn prefix_of(token: i64, blob: &[u8]) -> Vec<u8> {
    let mut prefix = position::token_prefix(token).to_vec();
    encode_component(&Native::Blob.into(), blob, false, &mut prefix).unwrap();
    prefix
}

fn partition_items(
    prefix: &[u8],
    header: Option<i64>,
    is_static: bool,
    rows: Vec<(u16, Vec<u8>)>,
    markers: std::collections::BTreeMap<(u16, bool), Option<i64>>,
) -> Vec<Item> {
    let item = |position: &[u8], value| Item {
        key: [prefix, position].concat(),
        partition_len: prefix.len(),
        value,
    };
    let clustered = |number: u16, weight: u8| {
        let [high, low] = number.to_be_bytes();
        [position::COMPONENT, high, low, weight]
    };
    let mut items = Vec::new();
    items.extend(
        header.map(|timestamp| item(&[position::HEADER], Value::Header(deletion(timestamp)))),
    );
    if is_static {
        items.push(item(&[position::STATIC], Value::Row(row(1000, b"static"))));
    }
    for (number, rest) in rows {
        items.push(item(
            &clustered(number, position::ROW),
            Value::Row(row(1000 + i64::from(number), &rest)),
        ));
    }
    let mut before = Deletion::NONE;
    for ((number, is_after), timestamp) in markers {
        let after = timestamp.map_or(Deletion::NONE, deletion);
        if after != before {
            let weight = if is_after { position::AFTER } else { position::BEFORE };
            items.push(item(&clustered(number, weight), Value::Marker(before, after)));
            before = after;
        }
    }
    if !before.is_none() {
        items.push(item(&[position::AFTER], Value::Marker(before, Deletion::NONE)));
    }
    items.sort_by(|left, right| left.key.cmp(&right.key));
    items.dedup_by(|left, right| left.key == right.key);
    items
}

const PATH: &str = "/t/1.sst";

fn write_to(
    fs: Arc<dyn Fs>,
    items: &[Item],
    options: SsTableOptions,
) -> Result<Statistics, StorageError> {
    create_dir_durably(&*fs, Path::new("/t"))
        .map_err(|error| StorageError::io("create", "/t", error))?;
    let mut writer = SsTableWriter::create(fs, PathBuf::from(PATH), options)?;
    for item in items {
        writer.add(item.entry())?;
    }
    writer.finish()
}

fn open_in(fs: Arc<dyn Fs>) -> Arc<SsTable> {
    SsTable::new(fs, PathBuf::from(PATH), Arc::new(BlockCache::new(1 << 20)))
}

fn options(block_bytes: usize, compression: Compression) -> SsTableOptions {
    let key_types = KeyTypes::of([&Native::Blob.into()]);
    SsTableOptions { block_bytes, compression, key_types, ..SsTableOptions::new(7, opaque) }
}

fn table(items: &[Item], options: SsTableOptions) -> Arc<SsTable> {
    let fs = Arc::new(MemoryFs::new());
    write_to(fs.clone(), items, options).unwrap();
    open_in(fs)
}

/// Partitions of rows, all alike.
fn plain_items(partitions: i64, rows: u16) -> Vec<Item> {
    let mut items = Vec::new();
    for partition in 0..partitions {
        let prefix = position::token_prefix(partition);
        for number in 0..rows {
            let [high, low] = number.to_be_bytes();
            let key = [&prefix[..], &[position::COMPONENT, high, low, position::ROW]].concat();
            let value = Value::Row(row(1000 + i64::from(number), &[number as u8; 20]));
            items.push(Item { key, partition_len: prefix.len(), value });
        }
    }
    items
}

fn walk(mut cursor: SsTableCursor) -> Result<Vec<Item>, StorageError> {
    let mut found = Vec::new();
    while let Some(entry) = cursor.advance()? {
        found.push(Item::of(entry));
    }
    assert!(cursor.current().is_none());
    Ok(found)
}

/// The deletions in force just before `bound`, in its partition: (of the partition, of a range, key of the header).
fn state_before(items: &[Item], bound: &[u8]) -> (Deletion, Deletion, Vec<u8>) {
    let mut state = (Deletion::NONE, Deletion::NONE, Vec::new());
    for item in items.iter().filter(|item| item.key.as_slice() < bound) {
        if bound.starts_with(&item.key[..item.partition_len]) {
            match &item.value {
                Value::Header(deletion) => (state.0, state.2) = (*deletion, item.key.clone()),
                Value::Marker(_, after) => state.1 = *after,
                Value::Row(_) => {}
            }
        }
    }
    state
}

fn check_slice(table: &Arc<SsTable>, items: &[Item], lower: &[u8], upper: Option<&[u8]>) {
    let within = |item: &&Item| {
        item.key.as_slice() >= lower && upper.is_none_or(|upper| item.key.as_slice() < upper)
    };
    let mut expected: Vec<Item> = items.iter().filter(within).cloned().collect();
    let forward = table.cursor(lower, upper, Direction::Forward).unwrap();
    let (partition, range, _) = state_before(items, lower);
    assert_eq!((forward.partition_deletion(), forward.open_deletion()), (partition, range));
    assert_eq!(walk(forward).unwrap(), expected);
    let reverse = table.cursor(lower, upper, Direction::Reverse).unwrap();
    let none = (Deletion::NONE, Deletion::NONE, Vec::new());
    let (partition, range, header) = upper.map_or(none, |upper| state_before(items, upper));
    let partition = if header.as_slice() >= lower { Deletion::NONE } else { partition };
    assert_eq!((reverse.partition_deletion(), reverse.open_deletion()), (partition, range));
    expected.reverse();
    assert_eq!(walk(reverse).unwrap(), expected);
}

/// A row is found, or not, as a search through all items finds it; so are the deletions above it.
fn check_row(table: &Arc<SsTable>, items: &[Item], key: &[u8], partition_len: usize) {
    let found = table.row(key, partition_len).unwrap().expect("the partition is there");
    let row = found.row.as_ref().map(|row| Value::of(row.row()));
    let expected = items
        .iter()
        .find(|item| item.key == key && matches!(item.value, Value::Row(_)))
        .map(|item| item.value.clone());
    assert_eq!(row, expected);
    let (partition, range, _) = state_before(items, key);
    let is_static = key[partition_len..] == [position::STATIC];
    let above = if is_static { partition } else { partition.max(range) };
    assert_eq!(found.deletion, above);
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::None),
        Just(Compression::Lz4),
        Just(Compression::Zstd { level: 1 })
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn slices_are_those_of_the_sorted_vector_in_both_directions(
        items in items(),
        block_bytes in prop_oneof![Just(1usize), 40usize..400, Just(16 << 10)],
        compression in compressions(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..6), 1..30),
    ) {
        let table = table(&items, options(block_bytes, compression));
        check_slice(&table, &items, &[], None);
        for (first, second, change) in picks {
            let bound = |index: prop::sample::Index, change: u8| {
                let item = &items[index.index(items.len())];
                let mut key = item.key.clone();
                match change {
                    0 => key.push(0),
                    1 => key.truncate(item.partition_len),
                    2 => { key.truncate(item.partition_len); key.push(0xff); }
                    3 => { key.pop(); }
                    _ => {}
                }
                key
            };
            let (one, two) = (bound(first, change), bound(second, 5 - change));
            let (lower, upper) = if one <= two { (one, two) } else { (two, one) };
            check_slice(&table, &items, &lower, Some(&upper));
            check_slice(&table, &items, &lower, None);
            let item = &items[first.index(items.len())];
            prop_assert!(table.may_contain(&item.key[..item.partition_len]).unwrap());
            check_row(&table, &items, &item.key, item.partition_len);
            let other = bound(first, change);
            if other.len() >= item.partition_len {
                check_row(&table, &items, &other, item.partition_len);
            }
        }
        table.verify().unwrap();
    }
}
