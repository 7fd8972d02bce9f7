//! A whole server over TCP, spoken to in frames.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

mod client;
mod contention;
mod hostile;
mod metadata;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::compression::Compression;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::request::Request;
use tholos_grammar::protocol::request::batch::{Batch, BatchKind, BatchStatement, StatementRef};
use tholos_grammar::protocol::request::execute::Execute;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::prepare::Prepare;
use tholos_grammar::protocol::request::register::Register;
use tholos_grammar::protocol::response::Response;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::response::event::{ChangeType, Event, EventType, SchemaTarget};
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_grammar::protocol::values::{ValueList, Values};
use tholos_server::config::CommitLogMode;

use crate::client::{Client, Running, query};

const KEYSPACE: &str =
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

/// What a prepared statement's clients know.
struct Known {
    id: Vec<u8>,
    metadata_id: Vec<u8>,
}

fn prepare(client: &mut Client, text: &str) -> Known {
    client.send(1, &Request::Prepare(Prepare { text, keyspace: None }));
    client.answer(|_, message| match message.response {
        Response::Result(QueryResult::Prepared(prepared)) => {
            Known { id: prepared.id.to_vec(), metadata_id: prepared.result_metadata_id.to_vec() }
        }
        other => panic!("{other:?}"),
    })
}

fn execute<'a>(known: &'a Known, values: &'a ValueList) -> Request<'a> {
    Request::Execute(Execute {
        id: &known.id,
        result_metadata_id: &known.metadata_id,
        parameters: QueryParameters {
            values: values.as_values(),
            skip_metadata: true,
            ..QueryParameters::default()
        },
    })
}

fn ints(values: &[i32]) -> ValueList {
    let mut list = ValueList::positional();
    for value in values {
        list.push(RawValue::Bytes(&value.to_be_bytes())).unwrap();
    }
    list
}

fn rows(result: QueryResult<'_>) -> Vec<Vec<Option<Vec<u8>>>> {
    let QueryResult::Rows(rows) = result else { panic!("{result:?}") };
    rows.iter().map(|row| row.map(|cell| cell.map(<[u8]>::to_vec)).collect()).collect()
}

fn schema(running: &Running) {
    let mut client = running.client(Version::V4);
    client.effect(KEYSPACE);
    client.effect("CREATE TABLE k.t (a int PRIMARY KEY, b int)");
}

#[test]
fn an_unknown_version_is_told_which_are_spoken() {
    let running = Running::start(|_| ());
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&[66, 0, 0, 5, 5, 0, 0, 0, 0]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..5], [0x84, 0, 0, 5, 0], "an ERROR of v4 on stream 5");
    assert_eq!(answer[9..13], [0, 0, 0, 0x0A]);
    let text = String::from_utf8_lossy(&answer[15..]);
    let expected =
        "Invalid or unsupported protocol version (66); supported versions are (4/v4, 5/v5)";
    assert_eq!(text, expected);
}

#[test]
fn both_versions_with_and_without_compression() {
    let running = Running::start(|_| ());
    schema(&running);
    let long = "x".repeat(200_000);
    running.client(Version::V4).effect("CREATE TABLE k.long (a int PRIMARY KEY, b text)");
    for version in Version::ALL {
        for compression in [None, Some(Compression::Lz4)] {
            let mut client = Client::connect(running.address, version);
            client.send(7, &Request::Options);
            client.answer(|stream, message| {
                let Response::Supported(supported) = message.response else { panic!() };
                assert_eq!(stream, 7);
                assert_eq!(supported.values("COMPRESSION"), ["lz4"]);
                assert!(!supported.values("CQL_VERSION").is_empty());
            });
            client.open(compression);
            client.effect(&format!("INSERT INTO k.long (a, b) VALUES (1, '{long}')"));
            let read = client.run("SELECT b FROM k.long", rows);
            assert_eq!(read, [[Some(long.clone().into_bytes())]], "{version:?} {compression:?}");
        }
    }
}

#[test]
fn writes_beyond_memory_wait_and_reads_go_on() {
    let running = Running::start(|config| {
        config.memory.memtable_mib = 1;
        config.commit_log.mode = CommitLogMode::Periodic;
    });
    let mut client = running.client(Version::V5);
    client.effect(KEYSPACE);
    client.effect("CREATE TABLE k.large (a int PRIMARY KEY, b blob)");
    let insert = prepare(&mut client, "INSERT INTO k.large (a, b) VALUES (?, ?)");
    let select = prepare(&mut client, "SELECT a FROM k.large WHERE a = ?");
    let value = vec![0; 64 << 10];
    let stalled = || running.node.metrics().stalled_writes.load(Ordering::Relaxed);
    // A writer is slowed down between its turns: only many at once are ahead of that. Compressed, their writes come in
    // few turns.
    let mut writers: Vec<Client> =
        (0..16).map(|_| running.client_with(Version::V5, Some(Compression::Lz4))).collect();
    // Flushes are quick here: it may take some rounds until one of them is too slow.
    for round in 0.. {
        assert!(round < 50, "no write had to wait");
        for (first, writer) in (0..).step_by(25).zip(&mut writers) {
            for i in 0..25_i16 {
                let mut values = ValueList::positional();
                values.push(RawValue::Bytes(&(first + i32::from(i)).to_be_bytes())).unwrap();
                values.push(RawValue::Bytes(&value)).unwrap();
                writer.queue(i, &execute(&insert, &values));
                writer.queue(1_000 + i, &execute(&select, &ints(&[-1])));
            }
        }
        writers.iter_mut().for_each(Client::flush);
        for writer in &mut writers {
            for _ in 0..50 {
                writer.answer(|stream, message| {
                    let Response::Result(result) = message.response else { panic!("{message:?}") };
                    assert_eq!(matches!(result, QueryResult::Void), stream < 1_000);
                });
            }
        }
        if stalled() > 0 {
            break;
        }
    }
    for i in 0..400 {
        client.queue(1, &execute(&select, &ints(&[i])));
    }
    client.flush();
    for _ in 0..400 {
        client.answer(|_, message| {
            let Response::Result(result) = message.response else { panic!("{message:?}") };
            assert_eq!(rows(result).len(), 1);
        });
    }
}

#[test]
fn requests_in_one_write_are_all_answered_on_their_streams() {
    for mode in [CommitLogMode::Group, CommitLogMode::Batch, CommitLogMode::Periodic] {
        let running = Running::start(|config| config.commit_log.mode = mode);
        schema(&running);
        let mut client = running.client(Version::V5);
        let insert = prepare(&mut client, "INSERT INTO k.t (a, b) VALUES (?, ?)");
        let select = prepare(&mut client, "SELECT b FROM k.t WHERE a = ?");
        for i in 0..500 {
            client.queue(i * 2, &execute(&insert, &ints(&[i.into(), 7])));
            client.queue(i * 2 + 1, &execute(&select, &ints(&[i.into()])));
        }
        client.flush();
        let mut seen = vec![false; 1000];
        for _ in 0..1000 {
            client.answer(|stream, message| {
                let Response::Result(result) = message.response else { panic!("{message:?}") };
                if stream % 2 == 0 {
                    assert_eq!(result, QueryResult::Void);
                } else {
                    assert_eq!(rows(result), [[Some(7i32.to_be_bytes().to_vec())]]);
                }
                assert!(!std::mem::replace(&mut seen[stream as usize], true));
            });
        }
    }
}

#[test]
fn statements_before_startup_and_second_startups_are_refused() {
    let running = Running::start(|_| ());
    let mut client = Client::connect(running.address, Version::V4);
    let error = client.fails(&query("SELECT * FROM system.local"));
    assert_eq!(error.kind, ErrorKind::Protocol);
    client.open(None);
    let options = vec![("CQL_VERSION", "3.0.0")];
    let startup = tholos_grammar::protocol::request::startup::Startup { options };
    assert_eq!(client.fails(&Request::Startup(startup)).kind, ErrorKind::Protocol);
    client.effect(KEYSPACE);
}

#[test]
fn a_frame_too_large_is_refused_by_its_header() {
    let running = Running::start(|_| ());
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&[4, 0, 0, 3, 1, 0, 2, 0, 0]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!((answer[0], answer[3], answer[4], answer[12]), (0x84, 3, 0, 0x0A));
}

#[test]
fn a_client_that_does_not_start_is_cut_off() {
    let running = Running::start(|config| config.limits.startup_timeout_ms = 200);
    let started = Instant::now();
    let mut idle = Client::connect(running.address, Version::V4);
    idle.stream.write_all(&[4, 0, 0]).unwrap();
    assert!(idle.is_closed());
    assert!(started.elapsed() >= Duration::from_millis(200));
    let mut client = running.client(Version::V4);
    std::thread::sleep(Duration::from_millis(400));
    client.effect(KEYSPACE);
}

#[test]
fn more_connections_than_allowed_are_closed() {
    let running = Running::start(|config| config.limits.max_connections = 2);
    let _first = running.client(Version::V4);
    let second = running.client(Version::V4);
    assert!(Client::connect(running.address, Version::V4).is_closed());
    drop(second);
    let deadline = Instant::now() + Duration::from_secs(20);
    while running.node.metrics().connections.load(std::sync::atomic::Ordering::Relaxed) > 1 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    running.client(Version::V4).effect(KEYSPACE);
}

#[test]
fn a_malformed_body_concerns_its_request_alone() {
    let running = Running::start(|_| ());
    let mut client = running.client(Version::V4);
    // QUERY whose text announces more bytes than the body has.
    client.stream.write_all(&[4, 0, 0, 9, 7, 0, 0, 0, 4, 0, 0, 1, 0]).unwrap();
    client.answer(|stream, message| {
        let Response::Error(error) = message.response else { panic!() };
        assert_eq!((stream, error.kind), (9, ErrorKind::Protocol));
    });
    client.effect(KEYSPACE);
}

#[test]
fn an_unknown_id_is_unprepared() {
    let running = Running::start(|_| ());
    schema(&running);
    let mut client = running.client(Version::V4);
    let unknown = Known { id: vec![1; 16], metadata_id: Vec::new() };
    let error = client.fails(&execute(&unknown, &ints(&[])));
    assert_eq!(error.kind, ErrorKind::Unprepared { id: vec![1; 16] });
    let select = prepare(&mut client, "SELECT * FROM k.t");
    client.effect("DROP TABLE k.t");
    let error = client.fails(&execute(&select, &ints(&[])));
    assert_eq!(error.kind, ErrorKind::Unprepared { id: select.id.clone() });
    let again = Request::Prepare(Prepare { text: "SELECT * FROM k.t", keyspace: None });
    assert_eq!(client.fails(&again).kind, ErrorKind::Invalid);
}

/// How many columns the rows of a statement are said to have, and the new id of its metadata.
fn told(client: &mut Client, known: &Known) -> (usize, Option<Vec<u8>>) {
    client.send(1, &execute(known, &ints(&[])));
    client.answer(|_, message| {
        let Response::Result(QueryResult::Rows(rows)) = message.response else { panic!() };
        let metadata = rows.metadata();
        (metadata.columns.len(), metadata.new_metadata_id.clone())
    })
}

#[test]
fn a_statement_whose_columns_changed_is_prepared_again() {
    let running = Running::start(|_| ());
    schema(&running);
    let text = "SELECT * FROM k.t";
    for (version, column) in [(Version::V4, "c"), (Version::V5, "d")] {
        let (mut one, mut other) = (running.client(version), running.client(version));
        let (mut of_one, mut of_other) = (prepare(&mut one, text), prepare(&mut other, text));
        assert_eq!(told(&mut one, &of_one), (0, None), "skipped as asked");
        one.effect("ALTER TABLE k.t WITH comment = 'the columns are the same'");
        assert_eq!(told(&mut one, &of_one), (0, None));
        one.effect(&format!("ALTER TABLE k.t ADD {column} int"));
        for _ in 0..2 {
            let error = one.fails(&execute(&of_one, &ints(&[])));
            assert_eq!(error.kind, ErrorKind::Unprepared { id: of_one.id.clone() }, "{version:?}");
        }
        let again = prepare(&mut one, text);
        assert_eq!(again.id, of_one.id, "drivers refuse another id");
        of_one = again;
        // In v4 rows may come with their columns even so.
        assert!(version == Version::V4 || told(&mut one, &of_one) == (0, None));
        // The other client has the old columns in mind, although the statement is prepared now.
        match version {
            Version::V4 => {
                let error = other.fails(&execute(&of_other, &ints(&[])));
                assert_eq!(error.kind, ErrorKind::Unprepared { id: of_other.id.clone() });
                of_other = prepare(&mut other, text);
                assert!(told(&mut other, &of_other).0 > 2);
            }
            Version::V5 => {
                let (count, id) = told(&mut other, &of_other);
                assert!(count > 2 && id == Some(of_one.metadata_id.clone()));
            }
        }
        assert!(told(&mut running.client(version), &of_one).0 != 2);
    }
}

#[test]
fn schema_changes_are_told_to_those_who_registered() {
    let running = Running::start(|_| ());
    let mut told: Vec<Client> = Version::ALL.map(|version| running.client(version)).into();
    for client in &mut told {
        let events = vec![EventType::SchemaChange, EventType::StatusChange];
        client.send(3, &Request::Register(Register { events }));
        client.answer(|stream, message| {
            assert_eq!((stream, message.response), (3, Response::Ready));
        });
    }
    schema(&running);
    for client in &mut told {
        let mut event = || {
            client.answer(|stream, message| {
                assert_eq!(stream, -1);
                match message.response {
                    Response::Event(Event::SchemaChange(change)) => change,
                    other => panic!("{other:?}"),
                }
            })
        };
        let (keyspace, table) = (event(), event());
        assert_eq!(
            (keyspace.change, keyspace.target),
            (ChangeType::Created, SchemaTarget::Keyspace)
        );
        assert_eq!(table.target, SchemaTarget::Table("t".to_string()));
    }
}

#[test]
fn a_batch_takes_texts_and_prepared_statements() {
    let running = Running::start(|_| ());
    schema(&running);
    let mut client = running.client(Version::V4);
    let insert = prepare(&mut client, "INSERT INTO k.t (a, b) VALUES (?, ?)");
    let values = ints(&[5, 6]);
    let batch = |second| {
        Request::Batch(Batch {
            kind: BatchKind::Logged,
            statements: vec![
                BatchStatement {
                    statement: StatementRef::Prepared(&insert.id),
                    values: values.as_values(),
                },
                BatchStatement { statement: StatementRef::Text(second), values: Values::EMPTY },
            ],
            consistency: Consistency::Quorum,
            serial_consistency: None,
            timestamp: None,
            keyspace: None,
            now_in_seconds: None,
        })
    };
    client.send(1, &batch("DELETE FROM k.t WHERE a = 9"));
    client.answer(|_, message| {
        assert_eq!(message.response, Response::Result(QueryResult::Void));
    });
    assert_eq!(client.fails(&batch("SELECT * FROM k.t")).kind, ErrorKind::Invalid);
    let read = client.run("SELECT b FROM k.t", rows);
    assert_eq!(read, [[Some(6i32.to_be_bytes().to_vec())]]);
}

/// The warnings that an answer comes with, or its error.
fn warnings(client: &mut Client, text: &str) -> Result<Vec<String>, ErrorMessage> {
    client.send(1, &query(text));
    client.answer(|_, message| match message.response {
        Response::Result(_) => Ok(message.warnings.iter().map(ToString::to_string).collect()),
        Response::Error(error) => Err(error),
        other => panic!("{other:?}"),
    })
}

/// A batch of `count` rows of `bytes` bytes each, over as many partitions as are said.
fn batch_text(kind: &str, count: usize, bytes: usize, partitions: usize) -> String {
    let value = "x".repeat(bytes);
    let inserts: String = (0..count)
        .map(|n| format!("INSERT INTO k.w (p, c, v) VALUES ({}, {n}, '{value}'); ", n % partitions))
        .collect();
    format!("BEGIN {kind} BATCH {inserts}APPLY BATCH")
}

#[test]
fn large_batches_of_several_partitions_come_with_warnings_or_are_refused() {
    let running = Running::start(|_| ());
    let mut client = running.client(Version::V4);
    client.effect(KEYSPACE);
    client.effect("CREATE TABLE k.w (p int, c int, v text, PRIMARY KEY (p, c))");
    let none: Vec<String> = Vec::new();
    assert_eq!(warnings(&mut client, &batch_text("", 2, 2_000, 2)).unwrap(), none);
    assert_eq!(
        warnings(&mut client, &batch_text("", 2, 30_000, 1)).unwrap(),
        none,
        "one partition is one write"
    );
    for kind in ["", "UNLOGGED"] {
        let told = warnings(&mut client, &batch_text(kind, 2, 3_000, 2)).unwrap();
        let [warning] = told.as_slice() else { panic!("{told:?}") };
        assert!(warning.starts_with("Batch for [k.w] is of size 60"), "{warning}");
        assert!(warning.contains("exceeding specified threshold of 5120 by 9"), "{warning}");
        let error = warnings(&mut client, &batch_text(kind, 2, 30_000, 2)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.starts_with("Batch too large: 600"), "{}", error.message);
        let kept = client.run("SELECT v FROM k.w WHERE p = 1 AND c = 1", rows);
        assert_eq!(kept[0][0].as_ref().map(Vec::len), Some(3_000), "nothing of it was written");
    }
    assert_eq!(warnings(&mut client, &batch_text("UNLOGGED", 20, 1, 10)).unwrap(), none);
    assert_eq!(warnings(&mut client, &batch_text("", 11, 1, 11)).unwrap(), none);
    let told = warnings(&mut client, &batch_text("UNLOGGED", 11, 1, 11)).unwrap();
    assert!(
        told[0].starts_with("Unlogged batch covering 11 partitions detected against table [k.w]")
    );
}

#[test]
fn a_batch_appends_in_the_order_of_its_statements() {
    let running = Running::start(|_| ());
    schema(&running);
    let mut client = running.client(Version::V5);
    client.effect("CREATE TABLE k.l (a int PRIMARY KEY, l list<int>)");
    let append = prepare(&mut client, "UPDATE k.l SET l = l + [?, ?] WHERE a = ?");
    let values: Vec<_> = [[0, 1, 7], [2, 3, 7], [4, 5, 7]].iter().map(|v| ints(v)).collect();
    let statements = values.iter().map(|values| BatchStatement {
        statement: StatementRef::Prepared(&append.id),
        values: values.as_values(),
    });
    let batch = Request::Batch(Batch {
        kind: BatchKind::Unlogged,
        statements: statements.collect(),
        consistency: Consistency::Quorum,
        serial_consistency: None,
        timestamp: None,
        keyspace: None,
        now_in_seconds: None,
    });
    client.send(1, &batch);
    client.answer(|_, message| {
        assert_eq!(message.response, Response::Result(QueryResult::Void));
    });
    let read = client.run("SELECT l FROM k.l", rows);
    let length = |n: i32| n.to_be_bytes().to_vec();
    let elements = (0..6).flat_map(|n| [length(4), length(n)].concat());
    let list: Vec<u8> = length(6).into_iter().chain(elements).collect();
    assert_eq!(read, [[Some(list)]]);
}

#[test]
fn what_was_acknowledged_is_there_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Running::start_on(false, |config| config.data_dir = dir.path().join("data"));
    let running = start();
    schema(&running);
    let mut client = running.client(Version::V5);
    for i in 0..100 {
        client.effect(&format!("INSERT INTO k.t (a, b) VALUES ({i}, {i})"));
    }
    running.stop();
    let running = start();
    let mut client = running.client(Version::V4);
    assert_eq!(client.run("SELECT a FROM k.t", rows).len(), 100);
}

/// After a restart no file is open, so the first reads have to wait for the disk: in threads that may.
#[test]
fn what_is_cold_is_read_elsewhere_and_then_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Running::start_on(false, |config| config.data_dir = dir.path().join("data"));
    let running = start();
    let mut client = running.client(Version::V5);
    client.effect(KEYSPACE);
    client.effect("CREATE TABLE k.t (a int PRIMARY KEY, b int)");
    client.effect("CREATE TABLE k.l (a int PRIMARY KEY, b list<int>)");
    client.effect("CREATE TABLE k.c (a int PRIMARY KEY, b counter)");
    for i in 0..100 {
        client.effect(&format!("INSERT INTO k.t (a, b) VALUES ({i}, {i})"));
    }
    client.effect("INSERT INTO k.l (a, b) VALUES (1, [1, 2, 3])");
    client.effect("UPDATE k.c SET b = b + 5 WHERE a = 1");
    running.stop();

    let running = start();
    let cold = || running.node.metrics().cold_requests.load(Ordering::Relaxed);
    let mut client = running.client(Version::V5);
    let select = prepare(&mut client, "SELECT b FROM k.t WHERE a = ?");
    for i in 0..100 {
        client.queue(i, &execute(&select, &ints(&[i.into()])));
    }
    client.flush();
    for _ in 0..100 {
        client.answer(|stream, message| {
            let Response::Result(result) = message.response else { panic!("{message:?}") };
            assert_eq!(rows(result), [[Some(i32::from(stream).to_be_bytes().to_vec())]]);
        });
    }
    assert!(cold() > 0, "nothing was cold");
    let before = cold();
    assert_eq!(client.run("SELECT a FROM k.t WHERE a = 7", rows).len(), 1);
    assert_eq!(cold(), before, "it is warm now");
    // What reads before it writes is done once, wherever it is done.
    client.effect("UPDATE k.l SET b[1] = 7 WHERE a = 1");
    client.effect("UPDATE k.c SET b = b + 1 WHERE a = 1");
    client.effect("UPDATE k.c SET b = b + 1 WHERE a = 1");
    assert!(cold() > before, "lists and counters were cold too");
    let counted = client.run("SELECT b FROM k.c WHERE a = 1", rows);
    assert_eq!(counted, [[Some(7_i64.to_be_bytes().to_vec())]]);
    let list = client.run("SELECT b FROM k.l WHERE a = 1 AND b CONTAINS 7 ALLOW FILTERING", rows);
    assert_eq!(list.len(), 1);
}

#[test]
fn health_and_metrics_are_served_over_http() {
    let running = Running::start(|_| ());
    schema(&running);
    let get = |path: &str| {
        let mut stream = TcpStream::connect(running.admin.unwrap()).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/health").starts_with("HTTP/1.1 200"));
    assert!(get("/ready").starts_with("HTTP/1.1 200"));
    let metrics = get("/metrics");
    assert!(
        metrics.contains("tholos_requests_total{kind=\"schema\",outcome=\"ok\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("tholos_memtable_bytes"), "{metrics}");
}
