//! System tables that are stored: written by the node, read by everyone, there again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::Value as Json;
use tholos_cluster::ring::{Node as RingNode, Weight};
use tholos_grammar::consistency::Consistency;
use tholos_grammar::token::Token;
use tholos_storage::fs::faulty::{Operation, Watch};
use tholos_storage::fs::real::RealFs;
use tholos_storage::journal::{Journal, JournalFormat, read_file, read_records};
use tholos_storage::model::entry::RowBuf;
use tholos_storage::schema::{Schema, Table};
use uuid::Uuid;

use super::*;
use crate::commands::sstable::dump;
use crate::commands::verify::verify;
use crate::metrics::Exporter;
use crate::node::{Restored, Which, table_settings};
use crate::query::catalogue::Catalogue;
use crate::query::context::PlanContext;
use crate::query::functions::CallContext;
use crate::query::modify::elements::ListPaths;
use crate::query::modify::mutation::{Existing, WriteRequest, mutations};
use crate::query::plan::Plan;
use crate::query::planner::plan;
use crate::query::values::{RequestTime, TimestampWatch};
use crate::system::schema::stored_schema;

const BALLOT: &str = "13814000-1dd2-11b2-8080-808080808080";
const SYSTEM_DIR: &str = "/data/storage/data/system";

/// No row is read.
struct Nothing;

impl Existing for Nothing {
    fn row(&self, _: &Table, _: &[u8], _: &[u8]) -> Result<Option<RowBuf>, QueryError> {
        Ok(None)
    }
}

/// What the node does when it writes for itself, past what users may: the statement says what. It is on disk then.
fn write(session: &Session, cql: &str) {
    let node = session.node();
    let catalogue = Catalogue::new(Arc::new(stored_schema()), Arc::new(Schema::default()));
    let statement = tholos_parser::parse_statement(cql).unwrap();
    let context = PlanContext { catalogue: &catalogue, keyspace: None, effort: None };
    let Plan::Modify(plan) = plan(statement, context).unwrap().plan else { panic!("{cql}") };
    let time = RequestTime { micros: NOON, seconds: NOON / 1_000_000 };
    let timestamps = TimestampWatch::default();
    let call = CallContext { time, random: node.random(), timestamps: &timestamps };
    let request = WriteRequest { values: &[], call, timestamp: time.micros };
    for mutation in mutations(&plan, request, &mut ListPaths::default(), &Nothing).unwrap() {
        let position = node.engine().apply(&mutation).unwrap();
        node.engine().wait_durable(position).unwrap();
    }
}

fn write_some(session: &Session) {
    let promise = format!(
        "UPDATE system.paxos SET in_progress_ballot = {BALLOT}, proposal_version = 13, proposal = 0xbeef \
         WHERE row_key = 0x0a AND cf_id = 00000000-0000-0000-0000-000000000007"
    );
    write(session, &promise);
    let batch = format!(
        "INSERT INTO system.batches (id, mutations, version) VALUES ({BALLOT}, [0x01, 0x02], 12)"
    );
    write(session, &batch);
}

/// Rows as text, without the quotes of literals.
fn select(session: &mut Session, cql: &str) -> Vec<Vec<String>> {
    match session.execute_text(cql).unwrap_or_else(|error| panic!("{cql}: {error}")).0 {
        TextOutcome::Rows(rows) => {
            let bare = |value: String| value.trim_matches('\'').to_string();
            rows.text().into_iter().map(|row| row.into_iter().map(bare).collect()).collect()
        }
        other => panic!("{other}"),
    }
}

fn check_some(session: &mut Session) {
    let promise = "SELECT in_progress_ballot, proposal, most_recent_commit FROM system.paxos WHERE row_key = 0x0a \
                   AND cf_id = 00000000-0000-0000-0000-000000000007";
    let found = select(session, promise);
    assert_eq!(found, [[BALLOT, "0xbeef", "null"]]);
    let batches = select(session, "SELECT * FROM system.batches");
    assert_eq!(batches, [[BALLOT, "[0x01, 0x02]", "12"]]);
    assert_eq!(select(session, "SELECT count(*) FROM system.paxos"), [["1"]]);
    let absent = "SELECT * FROM system.paxos WHERE row_key = 0x0b";
    assert!(select(session, absent).is_empty());
}

#[test]
fn what_the_node_wrote_is_there_after_a_restart() {
    let mut runs = Runs::new();
    let mut session = runs.start();
    assert!(select(&mut session, "SELECT * FROM system.paxos").is_empty());
    write_some(&session);
    check_some(&mut session);
    // From the log.
    runs.fs = runs.fs.crash(Crash::KeepSynced);
    drop(session);
    let mut session = runs.start();
    check_some(&mut session);
    // From SSTables.
    session.node().close().unwrap();
    runs.kill(session);
    let mut session = runs.start();
    check_some(&mut session);
    for table in ["batches", "paxos"] {
        let files = format!(
            "SELECT number FROM system_views.sstables WHERE keyspace_name = 'system' AND table_name = '{table}'"
        );
        assert_eq!(select(&mut session, &files).len(), 1, "{table}");
    }
    write(&session, "DELETE FROM system.batches WHERE id = 13814000-1dd2-11b2-8080-808080808080");
    assert!(select(&mut session, "SELECT * FROM system.batches").is_empty());
}

/// Whatever the ring is like: the other node of this one can't be reached.
#[test]
fn they_are_on_the_node_alone() {
    let runs = Runs::new();
    let other = RingNode {
        host_id: Uuid::from_u128(7),
        address: ([127, 0, 0, 2], 7000).into(),
        data_center: "dc1".to_string(),
        rack: "r1".to_string(),
        weight: Weight::ONE,
        tokens: (-8..8).map(|at| Token(at << 60)).collect(),
    };
    let node = Node::open(NodeOptions { others: vec![other], ..runs.options() }).unwrap();
    let mut session = Session::new(Arc::new(node), Version::V5);
    for key in 0..16 {
        let key = format!("row_key = 0x{key:02x} AND cf_id = 00000000-0000-0000-0000-000000000007");
        write(&session, &format!("UPDATE system.paxos SET proposal_version = 13 WHERE {key}"));
    }
    for consistency in [Consistency::One, Consistency::Quorum, Consistency::All] {
        let level = QueryParameters { consistency, ..Default::default() };
        let cql = "SELECT * FROM system.paxos";
        match session.execute_text_with(cql, &level).unwrap().0 {
            TextOutcome::Rows(rows) => assert_eq!(rows.rows.len(), 16, "{consistency:?}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn users_read_them_and_do_not_change_them() {
    let runs = Runs::new();
    let mut session = runs.with_table();
    write_some(&session);
    let epoch = session.node().metadata().catalogue.schema.epoch;
    let row = "row_key = 0x0a AND cf_id = 00000000-0000-0000-0000-000000000007";
    for cql in [
        &*format!("UPDATE system.paxos SET proposal = null WHERE {row}"),
        "INSERT INTO system.batches (id) VALUES (now())",
        "DELETE FROM system.paxos WHERE row_key = 0x0a",
        "BEGIN BATCH INSERT INTO k.t (p, v) VALUES (1, 1); DELETE FROM system.paxos WHERE row_key = 0x0a; APPLY BATCH",
        "TRUNCATE system.paxos",
        "ALTER TABLE system.paxos ADD more int",
        "ALTER TABLE system.batches WITH comment = 'mine'",
        "DROP TABLE system.paxos",
        "DROP KEYSPACE system",
        "CREATE TABLE system.paxos (k int PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS system.other (k int PRIMARY KEY)",
    ] {
        let refused = session.execute_text(cql).err();
        assert!(matches!(refused, Some(QueryError::Unauthorized(_))), "{cql}: {refused:?}");
    }
    run(&mut session, "USE system");
    let refused = session.execute_text("TRUNCATE paxos").err();
    assert!(matches!(refused, Some(QueryError::Unauthorized(_))), "{refused:?}");
    check_some(&mut session);
    assert!(values(&mut session).is_empty(), "nothing of the batch was done");
    assert_eq!(session.node().metadata().catalogue.schema.epoch, epoch);
}

#[test]
fn they_are_told_of_as_tables_are() {
    let runs = Runs::new();
    let mut session = runs.with_table();
    let told = select(&mut session, "DESCRIBE TABLE system.batches").concat();
    let statement = told.last().unwrap();
    assert!(statement.starts_with("CREATE TABLE system.batches ("), "{statement}");
    assert!(statement.contains("''min_threshold'': ''2''"), "{statement}");
    let virtual_one = select(&mut session, "DESCRIBE TABLE system.local").concat();
    assert!(virtual_one.last().unwrap().contains("is a virtual table"), "{virtual_one:?}");
    let listed = "SELECT table_name, gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = 'system' AND \
                  table_name IN ('batches', 'local', 'paxos')";
    assert_eq!(select(&mut session, listed), [["batches", "0"], ["local", "0"], ["paxos", "0"]]);
    // Estimates are of tables that others read, too.
    let estimates = "SELECT DISTINCT keyspace_name FROM system.size_estimates";
    assert_eq!(select(&mut session, estimates), [["k"]]);
    let strategy = "SELECT strategy FROM system_views.pending_compactions WHERE keyspace_name = 'system' AND table_name = \
                    'paxos'";
    assert_eq!(select(&mut session, strategy), [["LeveledCompactionStrategy"]]);
    let node = Arc::clone(session.node());
    let metrics = Exporter::new(Arc::clone(node.metrics()), node).text();
    assert!(metrics.contains("tholos_tables 1\n"), "they are of users: {metrics}");
}

/// Makes the directory what it was before there were stored system tables.
fn forget_system_tables(fs: &FaultyFs) {
    remove_tree(fs, Path::new(SYSTEM_DIR));
    let path = Path::new("/data/node.journal");
    let format = JournalFormat::new(*b"THOLNODE", 2);
    let records = read_records(path, format, &read_file(fs, path).unwrap()).unwrap();
    let mut record: Json = serde_json::from_slice(records.last().unwrap()).unwrap();
    let known = record.as_object_mut().unwrap().remove("system_tables").unwrap();
    assert_eq!(known.as_array().unwrap().len(), 2);
    let bytes = serde_json::to_vec(&record).unwrap();
    Journal::create(Arc::new(fs.clone()), path, format, [bytes.as_slice()]).unwrap();
}

fn remove_tree(fs: &FaultyFs, dir: &Path) {
    for path in fs.list(dir).unwrap().into_iter().map(|name| dir.join(name)) {
        match fs.list(&path) {
            Ok(_) => remove_tree(fs, &path),
            Err(_) => fs.remove(&path).unwrap(),
        }
    }
    fs.remove_dir(dir).unwrap();
}

fn system_dirs(fs: &FaultyFs) -> Vec<PathBuf> {
    let names = fs.list(Path::new(SYSTEM_DIR)).unwrap();
    names.into_iter().map(|name| Path::new(SYSTEM_DIR).join(name)).collect()
}

/// A directory of an earlier release, whose last run was ended by `kill -9`: rows of `k.t` are in the log.
fn earlier() -> Runs {
    let mut runs = Runs::new();
    let mut session = runs.with_table();
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (1, 1)");
    runs.kill(session);
    forget_system_tables(&runs.fs);
    runs.fs.forget_record();
    runs
}

#[test]
fn a_directory_of_an_earlier_release_gets_them() {
    let mut runs = earlier();
    let mut session = runs.start();
    assert_eq!(values(&mut session), ["1"]);
    assert!(select(&mut session, "SELECT * FROM system.paxos").is_empty());
    write_some(&session);
    runs.kill(session);
    check_some(&mut runs.start());
}

#[test]
fn a_directory_in_which_nothing_was_ever_made_gets_them() {
    let mut runs = Runs::new();
    let session = runs.start();
    runs.kill(session);
    forget_system_tables(&runs.fs);
    remove_tree(&runs.fs, Path::new("/data/storage/data"));
    let session = runs.start();
    write_some(&session);
    runs.kill(session);
    check_some(&mut runs.start());
}

/// Whatever was done of them when the power went, the next start makes what is missing, and none is missing later.
#[test]
fn the_start_that_makes_them_may_end_at_any_point() {
    let runs = earlier();
    drop(runs.start());
    let mut without = BTreeSet::new();
    for prefix in 0..=runs.fs.recorded() {
        let crash = match prefix % 2 {
            0 => Crash::KeepSynced,
            _ => Crash::Random { seed: prefix as u64 },
        };
        let fs = runs.fs.crash_at(prefix, crash);
        without.insert(fs.list(Path::new(SYSTEM_DIR)).map_or(0, |names| names.len()));
        let mut again = Runs { fs, wall: Arc::clone(&runs.wall), config: runs.config.clone() };
        let mut session = again.start();
        assert_eq!(values(&mut session), ["1"], "at {prefix}");
        write_some(&session);
        again.kill(session);
        check_some(&mut again.start());
    }
    assert_eq!(without, [0, 1, 2].into(), "the crashes were not before, between and after");
}

#[test]
fn one_that_was_made_is_missed() {
    let mut runs = Runs::new();
    let session = runs.start();
    write_some(&session);
    runs.kill(session);
    let opened = |runs: &Runs, recreate_missing: bool| {
        let options = NodeOptions { recreate_missing, ..runs.options() };
        Node::open(options)
    };
    for dir in system_dirs(&runs.fs) {
        let mut broken =
            Runs { fs: runs.fs.copy(), wall: Arc::clone(&runs.wall), config: runs.config.clone() };
        remove_tree(&broken.fs, &dir);
        let refused = opened(&broken, false).unwrap_err().to_string();
        assert!(refused.contains(&*dir.to_string_lossy()), "{refused}");
        assert!(refused.contains("--recreate-missing"), "{refused}");
        let node = opened(&broken, true).unwrap();
        node.close().unwrap();
        drop(node);
        broken.fs = broken.fs.crash(Crash::KeepAll);
        // What the log has of it is there: only files were lost.
        check_some(&mut broken.start());
    }
}

#[test]
fn snapshots_are_of_users_tables() {
    let runs = Runs::new();
    let mut session = runs.with_table();
    write_some(&session);
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (1, 1)");
    let node = session.node();
    let all = node.create_snapshot(Some("all"), Which::default()).unwrap();
    let names: Vec<&str> = all.tables.iter().map(|table| &*table.name).collect();
    assert_eq!(names, ["t"]);
    let of_system = Which { keyspace: Some("system"), table: Some("paxos") };
    let refused = node.create_snapshot(Some("own"), of_system).unwrap_err().to_string();
    assert!(refused.contains("keyspace system"), "{refused}");
    // One that has them all the same.
    let epoch = node.metadata().catalogue.schema.epoch;
    let mut schema = Schema::clone(&node.metadata().catalogue.schema);
    schema.keyspaces.extend(stored_schema().keyspaces);
    node.engine().snapshot("whole", schema).unwrap();
    let dir = node.engine().snapshots_dir().join("whole");
    for which in [Which::default(), of_system] {
        let refused = node.restore(&dir, which).unwrap_err().to_string();
        assert!(refused.contains("system."), "{refused}");
    }
    assert_eq!(
        node.metadata().catalogue.schema.epoch,
        epoch,
        "a refused restore changed something"
    );
    let users = Which { keyspace: Some("k"), table: None };
    let restored = node.restore(&dir, users).unwrap();
    assert_eq!(restored, [Restored { table: "k.t".to_string(), files: 1, created: false }]);
    check_some(&mut session);
}

/// Calls below the tables' directories, by kind.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<Operation, u32>>);

impl Watch for Counts {
    fn called(&self, operation: Operation, path: &Path, _: usize) {
        if path.starts_with("/data/storage/data") {
            *self.0.lock().entry(operation).or_default() += 1;
        }
    }
}

#[test]
fn empty_ones_cost_a_start_few_syncs() {
    let mut runs = Runs::new();
    let tables = u32::try_from(table_settings(&stored_schema()).len()).unwrap();
    // Of each its directory's name, its manifest and that one's name; and once the keyspace's directory.
    let first = (2 * tables + 1, tables);
    let later = (tables, tables);
    for (dirs, files) in [first, later] {
        let counts = Arc::new(Counts::default());
        runs.fs.watch(Arc::clone(&counts) as Arc<dyn Watch>);
        let session = runs.start();
        let of_tables = |operation| counts.0.lock().get(&operation).map_or(0, |calls| *calls);
        let syncs = (of_tables(Operation::SyncDir), of_tables(Operation::Sync));
        assert!(syncs.0 <= dirs && syncs.1 <= files, "{syncs:?}, not {dirs} and {files}");
        assert!(syncs.1 > 0, "nothing was counted");
        runs.kill(session);
    }
}

#[test]
fn commands_know_them() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let config = Config { data_dir: data.clone(), ..Config::default() };
    let start = || {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let node = Node::open(NodeOptions::real(config.clone(), nowhere)).unwrap();
        Session::new(Arc::new(node), Version::V5)
    };
    let session = start();
    write_some(&session);
    drop(session);
    assert_eq!(verify(&data).unwrap(), 0, "of tables of which the log has records");
    let session = start();
    session.node().close().unwrap();
    drop(session);
    assert_eq!(verify(&data).unwrap(), 0);
    let tables = std::fs::read_dir(data.join("storage/data/system")).unwrap();
    let mut dirs = tables.map(|entry| entry.unwrap().path());
    let paxos = dirs.find(|path| path.to_string_lossy().contains("/paxos-")).unwrap();
    let mut dumped = Vec::new();
    let damages = dump(&RealFs, &paxos.join("1.sst"), false, &mut dumped).unwrap();
    let dumped = String::from_utf8(dumped).unwrap();
    assert!(damages.is_empty() && dumped.contains("row_key=0x0a"), "{dumped}");
    std::fs::rename(&paxos, dir.path().join("away")).unwrap();
    assert_eq!(verify(&data).unwrap(), 1, "it is missing");
}
