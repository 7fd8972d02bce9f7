//! A node over several runs, on a clock and a disk that the test has in its hand.

use std::net::SocketAddr;
use std::sync::Arc;

use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::response::error::ErrorKind;
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs};

use super::{Node, NodeOptions};
use crate::clock::ManualWall;
use crate::config::Config;
use crate::error::{Attempt, QueryError};
use crate::session::Session;
use crate::session::text::TextOutcome;

const DAY_MICROS: i64 = 86_400_000_000;
const NOON: i64 = 20_000 * DAY_MICROS;

struct Runs {
    fs: FaultyFs,
    wall: Arc<ManualWall>,
    config: Config,
}

impl Runs {
    fn new() -> Runs {
        let mut config = Config { data_dir: "/data".into(), ..Config::default() };
        // The file system remembers all that is written to it.
        config.commit_log.segment_mib = 1;
        Runs { fs: FaultyFs::new(), wall: Arc::new(ManualWall::at(NOON)), config }
    }

    fn options(&self) -> NodeOptions {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        NodeOptions {
            fs: Arc::new(self.fs.clone()) as Arc<dyn Fs>,
            wall: Arc::clone(&self.wall) as _,
            ..NodeOptions::real(self.config.clone(), nowhere)
        }
    }

    fn start(&self) -> Session {
        let node = Node::open(self.options()).unwrap_or_else(|error| panic!("{error}"));
        Session::new(Arc::new(node), Version::V5)
    }

    /// Ends a run as `kill -9` does.
    fn kill(&mut self, session: Session) {
        self.fs = self.fs.crash(Crash::KeepAll);
        drop(session);
    }

    /// A node with a table `k.t (p, v)`.
    fn with_table(&self) -> Session {
        let mut session = self.start();
        run(
            &mut session,
            "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
        run(&mut session, "CREATE TABLE k.t (p int PRIMARY KEY, v int)");
        session
    }
}

/// Runs a statement; its warnings.
fn run(session: &mut Session, cql: &str) -> Vec<String> {
    session.execute_text(cql).unwrap_or_else(|error| panic!("{cql}: {error}")).1
}

fn values(session: &mut Session) -> Vec<String> {
    match session.execute_text("SELECT v FROM k.t").unwrap().0 {
        TextOutcome::Rows(rows) => rows.text().concat(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_make_new_writes_lose() {
    let mut runs = Runs::new();
    let mut session = runs.with_table();
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (1, 1)");
    session.node().close().unwrap();
    for value in ["2", "3"] {
        runs.kill(session);
        runs.wall.advance(-2 * 3_600_000_000);
        session = runs.start();
        run(&mut session, &format!("UPDATE k.t SET v = {value} WHERE p = 1"));
        assert_eq!(values(&mut session), [value]);
    }
    runs.kill(session);
    // Years back.
    runs.wall.set(DAY_MICROS);
    session = runs.start();
    run(&mut session, "DELETE FROM k.t WHERE p = 1");
    assert!(values(&mut session).is_empty());
    // Once the clock has caught up, it is followed again.
    runs.wall.set(2 * NOON);
    assert_eq!(session.node().clock().next().micros, 2 * NOON);
}

#[test]
fn a_clients_timestamp_does_not_set_the_clock() {
    let mut runs = Runs::new();
    runs.config.timestamps.refuse_ahead_s = 0;
    let mut session = runs.with_table();
    let far = NOON + 1000 * DAY_MICROS;
    run(&mut session, &format!("INSERT INTO k.t (p, v) VALUES (1, 1) USING TIMESTAMP {far}"));
    runs.kill(session);
    let session = runs.start();
    let ahead = session.node().clock().next().micros - NOON;
    assert!(ahead <= crate::clock::STEP_MICROS + 1, "{ahead}");
}

#[test]
fn timestamps_far_ahead_are_warned_of_and_refused() {
    let runs = Runs::new();
    let mut session = runs.with_table();
    let insert = |ahead: i64| {
        format!("INSERT INTO k.t (p, v) VALUES (1, 1) USING TIMESTAMP {}", NOON + ahead)
    };
    assert!(run(&mut session, &insert(599_000_000)).is_empty());
    let warnings = run(&mut session, &insert(700_000_000));
    assert!(warnings.concat().contains("700 s ahead"), "{warnings:?}");
    let refused = session.execute_text(&insert(DAY_MICROS + 1_000_000)).unwrap_err();
    assert!(matches!(refused, QueryError::Invalid(_)), "{refused:?}");
    let nanoseconds = format!("DELETE FROM k.t USING TIMESTAMP {} WHERE p = 1", NOON * 1000);
    let refused = session.execute_text(&nanoseconds).unwrap_err().to_string();
    assert!(refused.contains("timestamps.refuse_ahead_s"), "{refused}");
    let batch = format!(
        "BEGIN BATCH USING TIMESTAMP {} INSERT INTO k.t (p, v) VALUES (2, 2); APPLY BATCH",
        NOON + 3 * DAY_MICROS
    );
    session.execute_text(&batch).unwrap_err();
    let driver = QueryParameters { timestamp: Some(NOON + 3 * DAY_MICROS), ..Default::default() };
    session.execute_text_with("INSERT INTO k.t (p, v) VALUES (2, 2)", &driver).unwrap_err();
    let driver = QueryParameters { timestamp: Some(NOON + DAY_MICROS / 2), ..Default::default() };
    let warned =
        session.execute_text_with("INSERT INTO k.t (p, v) VALUES (1, 2)", &driver).unwrap().1;
    assert!(warned.concat().contains("12 h ahead"), "{warned:?}");
    assert_eq!(values(&mut session), ["2"]);
}

#[test]
fn automatic_snapshots_expire_and_named_ones_do_not() {
    let mut runs = Runs::new();
    runs.config.auto_snapshot_max_mib = 1;
    let mut session = runs.with_table();
    let names = |session: &Session| -> Vec<String> {
        let found = session.node().engine().snapshots().unwrap();
        found.into_iter().map(|(name, _)| name).collect()
    };
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (1, 1)");
    session.node().create_snapshot(Some("mine"), super::Which::default()).unwrap();
    let told = run(&mut session, "TRUNCATE k.t").concat();
    assert!(told.contains("tholos restore /data/storage/snapshots/truncated-"), "{told}");
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (1, 1)");
    let told = run(&mut session, "DROP TABLE k.t").concat();
    assert!(told.contains("tholos restore /data/storage/snapshots/dropped-"), "{told}");
    assert!(told.contains("k.t") && told.contains("for 7 days"), "{told}");
    session.node().expire_snapshots();
    assert_eq!(names(&session).len(), 3, "they are young and small");
    runs.wall.advance(7 * DAY_MICROS + 1_000_000);
    session.node().expire_snapshots();
    assert_eq!(names(&session), ["mine"]);
}

#[test]
fn a_schema_change_that_storage_refuses_is_a_server_error() {
    let runs = Runs::new();
    let mut session = runs.with_table();
    runs.fs.fail_from(None, 0, Failure::Full);
    for cql in ["CREATE TABLE k.u (p int PRIMARY KEY)", "ALTER TABLE k.t ADD w int"] {
        let error = session.execute_text(cql).unwrap_err();
        let message = error.to_message(Attempt::OTHER, [127, 0, 0, 1].into());
        assert!(matches!(message.kind, ErrorKind::Server), "{cql}: {message:?}");
        assert!(message.message.contains("full"), "{cql}: {message:?}");
    }
    runs.fs.heal();
    run(&mut session, "CREATE TABLE k.u (p int PRIMARY KEY)");
    run(&mut session, "ALTER TABLE k.t ADD w int");
}

#[test]
fn hostile_types_are_refused_or_read_again() {
    let mut runs = Runs::new();
    let mut session = runs.with_table();
    let nested = |levels: usize, inner: &str| {
        format!("{}{inner}{}", "frozen<tuple<".repeat(levels), ">>".repeat(levels))
    };
    // Each twelve levels, one in the other: the third is too deep.
    let mut field = "int".to_string();
    let mut refused = None;
    for name in ["a", "b", "c"] {
        let cql = format!("CREATE TYPE k.{name} (f {})", nested(12, &field));
        refused = session.execute_text(&cql).err();
        field = format!("frozen<{name}>");
    }
    let refused = refused.expect("the third is too deep").to_string();
    assert!(refused.contains("k.c") && refused.contains("32 levels"), "{refused}");
    // A chain, each of the one before twice: its parts double.
    let mut last = 0;
    run(&mut session, "CREATE TYPE k.t0 (x int, y int)");
    for level in 1..26 {
        let before = level - 1;
        let cql = format!("CREATE TYPE k.t{level} (x frozen<t{before}>, y frozen<t{before}>)");
        match session.execute_text(&cql) {
            Ok(_) => last = level,
            Err(error) => {
                assert!(error.to_string().contains("parts"), "{error}");
                break;
            }
        }
    }
    run(&mut session, &format!("CREATE TABLE k.deep (p int PRIMARY KEY, v t{last}, w frozen<b>)"));
    let schema = Arc::clone(&session.node().metadata().catalogue.schema);
    run(&mut session, "INSERT INTO k.deep (p) VALUES (1)");
    let metadata = session.node().create_snapshot(Some("deep"), super::Which::default()).unwrap();
    runs.kill(session);
    let mut session = runs.start();
    assert_eq!(session.node().metadata().catalogue.schema, schema);
    run(&mut session, "DROP TABLE k.deep");
    let dir = session.node().engine().snapshots_dir().join(&metadata.name);
    session.node().restore(&dir, super::Which::default()).unwrap();
    let rows = session.execute_text("SELECT p FROM k.deep").unwrap().0;
    assert!(matches!(rows, TextOutcome::Rows(rows) if rows.rows.len() == 1));
}

/// Whatever was done when the power went, the next start finds all that must be there.
#[test]
fn a_first_start_a_create_and_a_drop_may_end_at_any_point() {
    let runs = Runs::new();
    let mut session = runs.with_table();
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (1, 1)");
    run(&mut session, "CREATE TABLE k.u (p int PRIMARY KEY)");
    run(&mut session, "INSERT INTO k.u (p) VALUES (1)");
    run(&mut session, "DROP TABLE k.u");
    run(&mut session, "INSERT INTO k.t (p, v) VALUES (2, 2)");
    for prefix in 0..=runs.fs.recorded() {
        let crash = match prefix % 2 {
            0 => Crash::KeepSynced,
            _ => Crash::Random { seed: prefix as u64 },
        };
        let fs = runs.fs.crash_at(prefix, crash);
        let again = Runs { fs, wall: Arc::clone(&runs.wall), config: runs.config.clone() };
        let mut session = again.start();
        let schema = Arc::clone(&session.node().metadata().catalogue.schema);
        if schema.keyspaces.values().any(|keyspace| keyspace.tables.contains_key("t")) {
            run(&mut session, "INSERT INTO k.t (p, v) VALUES (3, 3)");
            assert!(values(&mut session).contains(&"3".to_string()), "at {prefix}");
        }
    }
    let rows = values(&mut session);
    assert_eq!(rows.len(), 2);
}

mod stored;
