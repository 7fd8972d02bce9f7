//! `tholos sstable`: golden output for a file made of fixed statements at fixed times. `UPDATE_GOLDENFILES=1` writes the
//! expected output anew.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tholos_grammar::protocol::header::Version;
use tholos_server::clock::ManualWall;
use tholos_server::commands::sstable::{dump, stats};
use tholos_server::config::Config;
use tholos_server::node::{Node, NodeOptions};
use tholos_server::query::functions::Random;
use tholos_server::session::Session;
use tholos_storage::fs::Fs;
use tholos_storage::fs::memory::MemoryFs;

const SCRIPT: &str = "
CREATE KEYSPACE zoo WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TYPE zoo.size (height int, weight double);
CREATE TABLE zoo.animals (kind text, house int, name text, born date, food set<text>, notes map<text, text>,
    measures size, keeper text static, gone int, PRIMARY KEY ((kind, house), name)) WITH CLUSTERING ORDER BY (name DESC);
INSERT INTO zoo.animals (kind, house, name, born, food, measures) VALUES ('otter', 1, 'Ada', '2021-05-04',
    {'fish', 'crab'}, {height: 60, weight: 8.5}) USING TIMESTAMP 1700000000000100;
INSERT INTO zoo.animals (kind, house, name, gone) VALUES ('otter', 1, 'Bob', 3) USING TIMESTAMP 1700000000000200 AND TTL 3600;
UPDATE zoo.animals USING TIMESTAMP 1700000000000300 SET keeper = 'Grace', notes['diet'] = 'none' WHERE kind = 'otter'
    AND house = 1 AND name = 'Cleo';
UPDATE zoo.animals USING TIMESTAMP 1700000000000310 SET keeper = 'Grace' WHERE kind = 'otter' AND house = 1;
DELETE born FROM zoo.animals USING TIMESTAMP 1700000000000400 WHERE kind = 'otter' AND house = 1 AND name = 'Ada';
DELETE FROM zoo.animals USING TIMESTAMP 1700000000000500 WHERE kind = 'otter' AND house = 1 AND name = 'Dan';
DELETE FROM zoo.animals USING TIMESTAMP 1700000000000600 WHERE kind = 'otter' AND house = 1 AND name > 'M' AND name <= 'S';
DELETE FROM zoo.animals USING TIMESTAMP 1700000000000700 WHERE kind = 'stoat' AND house = 2;
INSERT INTO zoo.animals (kind, house, name) VALUES ('stoat', 2, 'It''s') USING TIMESTAMP 1700000000000800;
ALTER TABLE zoo.animals DROP gone;
";

struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// The one SSTable of a node that ran the script.
fn sample() -> (Arc<MemoryFs>, PathBuf) {
    let fs = Arc::new(MemoryFs::new());
    let config = Config { data_dir: PathBuf::from("/data"), ..Config::default() };
    let mut options = NodeOptions::real(config, ([127, 0, 0, 1], 9042).into());
    options.fs = Arc::clone(&fs) as _;
    options.wall = Arc::new(ManualWall::at(1_700_000_000_000_000));
    options.random = Box::new(Counting(AtomicU64::new(1)));
    let node = Arc::new(Node::open(options).unwrap());
    let mut session = Session::new(Arc::clone(&node), Version::V5);
    for statement in SCRIPT.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        session.execute_text(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    node.close().unwrap();
    let dir = Path::new("/data/storage/data/zoo");
    let table = dir.join(fs.list(dir).unwrap().remove(0));
    let file = fs.list(&table).unwrap().into_iter().find(|name| name.ends_with(".sst")).unwrap();
    (fs, table.join(file))
}

fn golden(name: &str, found: &[u8]) {
    let path = Path::new("tests/golden/sstable").join(name);
    let found = String::from_utf8(found.to_vec()).unwrap();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn a_file_is_printed_whole() {
    let (fs, path) = sample();
    for (name, json) in [("dump.txt", false), ("dump.ndjson", true)] {
        let mut out = Vec::new();
        assert_eq!(dump(&*fs, &path, json, &mut out).unwrap(), []);
        golden(name, &out);
    }
    for (name, json) in [("stats.txt", false), ("stats.json", true)] {
        let mut out = Vec::new();
        assert_eq!(stats(&*fs, &path, json, &mut out).unwrap(), []);
        golden(name, &out);
    }
}

#[test]
fn without_a_schema_keys_and_values_are_bytes() {
    let (fs, path) = sample();
    let elsewhere = Path::new("/tmp/1.sst");
    fs.put(elsewhere, fs.content(&path).unwrap());
    let mut out = Vec::new();
    assert_eq!(dump(&*fs, elsewhere, false, &mut out).unwrap(), []);
    golden("dump-without-schema.txt", &out);
}

#[test]
fn a_damaged_file_is_printed_as_far_as_it_can_be_read() {
    let (fs, path) = sample();
    let mut bytes = fs.content(&path).unwrap();
    bytes[12] ^= 1;
    fs.put(&path, bytes);
    let mut out = Vec::new();
    let damages = dump(&*fs, &path, false, &mut out).unwrap();
    let [damage] = damages.as_slice() else { panic!("{damages:?}") };
    assert_eq!(damage.offset, 8);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("# damaged at offset 8: a checksum does not match"), "{out}");
    let error = dump(&*fs, Path::new("/data/schema.journal"), false, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("schema.journal is damaged at offset 0"), "{error}");
}
