//! Trees against `BTreeMap`, with snapshots that must not change.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;

use super::slots::{SLOTS, common_prefix};
use super::{Bounds, Node, Tree, Walk};
use crate::memtable::record::Record;
use crate::model::entry::Direction;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: Vec<u8>,
        payload: Vec<u8>,
    },
    /// Puts that many records in a row from a key on, ascending or descending.
    Series {
        key: Vec<u8>,
        rows: u8,
        descending: bool,
    },
    Remove(Vec<u8>),
    /// Removes all between two keys.
    Clear(Vec<u8>, Vec<u8>),
    Snapshot,
    Range(Vec<u8>, Vec<u8>),
}

/// Keys that are often equal, often have equal heads, and are sometimes shorter than a head.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = || prop_oneof![Just(0u8), Just(1), Just(0x40), Just(0xFF)];
    prop_oneof![
        2 => (0u8..4, any::<u16>()).prop_map(|(partition, row)| {
            [&[partition; 12][..], &row.to_be_bytes(), &[0x38]].concat()
        }),
        2 => any::<[u8; 10]>().prop_map(|bytes| bytes.to_vec()),
        1 => vec(byte(), 0..12),
        1 => (vec(byte(), 8), vec(any::<u8>(), 0..3)).prop_map(|(head, rest)| [head, rest].concat()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (key(), vec(any::<u8>(), 0..4)).prop_map(|(key, payload)| Step::Put { key, payload }),
        4 => (key(), 1u8..200, any::<bool>())
            .prop_map(|(key, rows, descending)| Step::Series { key, rows, descending }),
        2 => key().prop_map(Step::Remove),
        1 => (key(), key()).prop_map(|(from, to)| Step::Clear(from, to)),
        1 => Just(Step::Snapshot),
        4 => (key(), key()).prop_map(|(from, to)| Step::Range(from, to)),
    ]
}

fn put(tree: &mut Tree, key: &[u8], payload: &[u8]) {
    tree.upsert(key, |record| match record {
        Some(record) => {
            record.set_payload(&[payload]);
            None
        }
        None => Some(Record::new(key, 0, &[payload])),
    });
}

fn pair(record: &Record) -> (Vec<u8>, Vec<u8>) {
    (record.key().to_vec(), record.payload().to_vec())
}

fn walk(tree: &Tree, lower: &[u8], upper: &[u8], direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut walk = Walk::new(tree.clone(), lower, upper, direction);
    let mut seen = Vec::new();
    while let Some(record) = walk.current() {
        seen.push(pair(record));
        walk.advance(lower, upper);
    }
    seen
}

fn check_range(tree: &Tree, model: &Model, lower: &[u8], upper: &[u8]) {
    let below = if upper.is_empty() { Bound::Unbounded } else { Bound::Excluded(upper) };
    let range = model.range::<[u8], _>((Bound::Included(lower), below));
    let mut expected: Vec<_> = range.map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(walk(tree, lower, upper, Direction::Forward), expected);
    expected.reverse();
    assert_eq!(walk(tree, lower, upper, Direction::Reverse), expected);
}

fn check_neighbours(tree: &Tree, model: &Model, key: &[u8]) {
    let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    assert_eq!(tree.get(key).map(|record| record.payload()), model.get(key).map(Vec::as_slice));
    let before = (Bound::Unbounded, Bound::Excluded(key));
    let last = model.range::<[u8], _>(before).next_back();
    assert_eq!(tree.last_before(key).map(pair), last.map(owned));
    let from = (Bound::Included(key), Bound::Unbounded);
    let first = model.range::<[u8], _>(from).next();
    assert_eq!(tree.first_from(key).map(pair), first.map(owned));
}

/// Checks the invariants, and returns how deep the leaves are and how many nodes there are.
fn check_node(node: &Node, bounds: Bounds<'_>) -> (usize, usize) {
    let skip = bounds.upper.map_or(0, |upper| common_prefix(bounds.lower, upper));
    let lies_within = |key: &[u8]| key >= bounds.lower && bounds.upper.is_none_or(|to| key < to);
    match node {
        Node::Leaf(leaf) => {
            assert!(!leaf.items.is_empty());
            leaf.check(skip);
            assert!(leaf.items.iter().all(|record| lies_within(record.key())));
            (1, 1)
        }
        Node::Branch(branch) => {
            assert!(!branch.items.is_empty());
            branch.check(skip);
            assert!(branch.items[0].bound.is_empty());
            let (mut depths, mut nodes) = (Vec::new(), 1);
            for (index, child) in branch.items.iter().enumerate() {
                let lower = if index == 0 { bounds.lower } else { &child.bound };
                let upper = branch.items.get(index + 1).map(|next| &*next.bound).or(bounds.upper);
                let (depth, below) = check_node(&child.node, Bounds { lower, upper });
                depths.push(depth);
                nodes += below;
            }
            depths.dedup();
            assert_eq!(depths.len(), 1, "leaves are equally deep");
            (depths[0] + 1, nodes)
        }
    }
}

fn check(tree: &Tree, model: &Model) -> (usize, usize) {
    assert_eq!(tree.is_empty(), model.is_empty());
    check_range(tree, model, &[], &[]);
    match &tree.root {
        Some(root) => check_node(root, Bounds { lower: &[], upper: None }),
        None => (0, 0),
    }
}

fn remove(tree: &mut Tree, model: &mut Model, key: &[u8]) {
    assert_eq!(tree.remove(key).map(|record| record.payload().to_vec()), model.remove(key));
}

fn run(steps: &[Step]) {
    let (mut tree, mut model) = (Tree::default(), Model::new());
    let mut snapshots: Vec<(Tree, Model)> = Vec::new();
    for step in steps {
        match step {
            Step::Put { key, payload } => {
                put(&mut tree, key, payload);
                model.insert(key.clone(), payload.clone());
            }
            Step::Series { key, rows, descending } => {
                for row in 0..*rows {
                    let row = if *descending { u8::MAX - row } else { row };
                    let key = [&key[..], &[row, 0x38]].concat();
                    put(&mut tree, &key, &[row]);
                    model.insert(key, vec![row]);
                }
            }
            Step::Remove(key) => {
                remove(&mut tree, &mut model, key);
                if let Some(key) = tree.first_from(key).map(|record| record.key().to_vec()) {
                    remove(&mut tree, &mut model, &key);
                }
            }
            Step::Clear(from, to) if from < to => {
                let keys = model.range(from.clone()..to.clone()).map(|(key, _)| key.clone());
                for key in keys.collect::<Vec<_>>() {
                    remove(&mut tree, &mut model, &key);
                }
                check(&tree, &model);
            }
            Step::Snapshot => snapshots.push((tree.clone(), model.clone())),
            Step::Range(lower, upper) => {
                if upper.is_empty() || lower < upper {
                    check_range(&tree, &model, lower, upper);
                }
                check_neighbours(&tree, &model, lower);
            }
            Step::Clear(..) => {}
        }
    }
    check(&tree, &model);
    for (tree, model) in &snapshots {
        check(tree, model);
    }
    for key in model.keys() {
        check_neighbours(&tree, &model, key);
    }
    for key in model.clone().keys() {
        remove(&mut tree, &mut model, key);
    }
    check(&tree, &model);
}

proptest! {
    #[test]
    fn is_a_sorted_map(steps in vec(step(), 1..80)) {
        run(&steps);
    }
}

/// The rows of three partitions between others, in the given order.
fn series(rows: u32, order: impl Fn(u32) -> u32) -> (usize, usize) {
    let (mut tree, mut model) = (Tree::default(), Model::new());
    for partition in [1u8, 3, 5, 2, 4] {
        let rows = if partition % 2 == 1 { 3 } else { rows };
        for row in 0..rows {
            let key = [&[partition; 14][..], &order(row).to_be_bytes()].concat();
            put(&mut tree, &key, &[]);
            model.insert(key, Vec::new());
        }
    }
    check(&tree, &model)
}

#[test]
fn rows_that_come_in_order_fill_their_nodes() {
    let full = 20_000usize.div_ceil(SLOTS);
    for (order, nodes) in [
        ("ascending", series(10_000, |row| row).1),
        ("descending", series(10_000, |row| u32::MAX - row).1),
    ] {
        assert!(nodes < full + full / 10, "{nodes} nodes for {order} keys, {full} leaves would do");
    }
    let (depth, nodes) = series(10_000, |row| row.wrapping_mul(0x9E37_79B1));
    assert!(nodes < full * 8 / 5, "{nodes} nodes for random keys");
    assert_eq!(depth, 3);
}

#[test]
fn an_overwrite_is_in_place_unless_a_snapshot_reads_it() {
    let mut tree = Tree::default();
    put(&mut tree, b"key", b"one");
    let place = |tree: &Tree| tree.get(b"key").map(|record| record.payload().as_ptr());
    let first = place(&tree);
    put(&mut tree, b"key", b"two");
    assert_eq!(place(&tree), first);
    let snapshot = tree.clone();
    put(&mut tree, b"key", b"six");
    assert_ne!(place(&tree), first);
    assert_eq!(snapshot.get(b"key").map(Record::payload), Some(&b"two"[..]));
    assert_eq!(tree.get(b"key").map(Record::payload), Some(&b"six"[..]));
}

#[test]
fn a_walk_that_is_done_keeps_no_memory() {
    let mut tree = Tree::default();
    put(&mut tree, b"key", b"one");
    let mut walk = Walk::new(tree.clone(), b"a", b"z", Direction::Forward);
    walk.advance(b"a", b"z");
    assert!(walk.current().is_none());
    let first = tree.get(b"key").map(|record| record.payload().as_ptr());
    put(&mut tree, b"key", b"two");
    assert_eq!(tree.get(b"key").map(|record| record.payload().as_ptr()), first);
}
