//! Reads over a million tombstones: pages end early, nobody else waits, the rows are right, and the client, the log, the
//! metrics and the virtual tables tell of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::values::ValueList;
use tholos_shell::client::{ConnectOptions, Connection, RequestOptions};
use tholos_tests::server::{Server, Start};

const TOMBSTONES: i32 = 1_000_000;
/// The one row behind them.
const ROW: i32 = 2_000_000;
/// Rows of as many partitions that are deleted, in a table beside.
const PARTITIONS: i32 = 200_000;
/// Between two requests of the other client.
const PAUSE: Duration = Duration::from_millis(1);

fn connect(address: SocketAddr) -> Connection {
    let options =
        ConnectOptions { request_timeout: Duration::from_secs(60), ..ConnectOptions::default() };
    Connection::connect(&address.to_string(), &options).unwrap_or_else(|error| panic!("{error}"))
}

fn run(connection: &mut Connection, cql: &str) {
    let done = connection.query(cql, &RequestOptions::default());
    done.unwrap_or_else(|error| panic!("{cql}: {error}"));
}

/// Executes a statement for all numbers, thousands at a time.
fn for_each(connection: &mut Connection, cql: &str, numbers: std::ops::Range<i32>) {
    let statement = connection.prepare(cql).expect("it is right");
    let numbers: Vec<i32> = numbers.collect();
    for numbers in numbers.chunks(8_000) {
        let values = |number: &i32| {
            let mut list = ValueList::positional();
            list.push(RawValue::Bytes(&number.to_be_bytes())).expect("one value");
            list
        };
        let values: Vec<ValueList> = numbers.iter().map(values).collect();
        let done = connection.execute_many(&statement, &values, &RequestOptions::default());
        for answer in done.expect("the server answers") {
            answer.unwrap_or_else(|error| panic!("{cql}: {error:?}"));
        }
    }
}

/// All pages of a read.
struct Pages {
    /// The first column, an int.
    rows: Vec<i32>,
    pages: usize,
    warnings: Vec<String>,
    longest: Duration,
}

fn pages(connection: &mut Connection, cql: &str, page_size: Option<i32>) -> Pages {
    let mut all =
        Pages { rows: Vec::new(), pages: 0, warnings: Vec::new(), longest: Duration::ZERO };
    let mut options = RequestOptions { page_size, ..RequestOptions::default() };
    loop {
        let began = Instant::now();
        let reply = connection.query(cql, &options);
        let mut reply = reply.unwrap_or_else(|error| panic!("{cql}: {error}"));
        all.longest = all.longest.max(began.elapsed());
        all.warnings.append(&mut reply.warnings);
        all.pages += 1;
        let rows = reply.into_rows().expect("rows");
        for row in &rows.rows {
            let bytes = row.first().and_then(Option::as_deref).expect("a value");
            let (_, last) = bytes.split_at(bytes.len() - 4);
            all.rows.push(i32::from_be_bytes(last.try_into().expect("four bytes")));
        }
        match rows.metadata.paging_state {
            Some(state) => options.paging_state = Some(state),
            None => return all,
        }
    }
}

/// What others wait for a row while `work` is done.
fn waits_during(address: SocketAddr, work: impl FnOnce()) -> Vec<Duration> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut connection = connect(address);
            let mut waits = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                let found = pages(&mut connection, "SELECT a FROM zoo.other WHERE k = 1", None);
                assert_eq!(found.rows, [5]);
                waits.push(began.elapsed());
                std::thread::sleep(PAUSE);
            }
            waits
        });
        work();
        over.store(true, Ordering::Relaxed);
        other.join().expect("the other client")
    })
}

#[test]
fn a_million_tombstones_hold_nobody_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server =
        Start::new(&dir.path().join("data")).run().unwrap_or_else(|error| panic!("{error}"));
    let mut connection = connect(server.address);
    for cql in [
        "CREATE KEYSPACE zoo WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE zoo.wide (k int, a int, PRIMARY KEY (k, a))",
        "CREATE TABLE zoo.many (a int PRIMARY KEY)",
        "CREATE TABLE zoo.other (k int PRIMARY KEY, a int)",
        "INSERT INTO zoo.other (k, a) VALUES (1, 5)",
        "INSERT INTO zoo.wide (k, a) VALUES (1, 2000000)",
        "INSERT INTO zoo.wide (k, a) VALUES (2, 2000000)",
        "INSERT INTO zoo.many (a) VALUES (2000000)",
    ] {
        run(&mut connection, cql);
    }
    for_each(&mut connection, "DELETE FROM zoo.wide WHERE k = 1 AND a = ?", 0..TOMBSTONES);
    for_each(&mut connection, "DELETE FROM zoo.many WHERE a = ?", 0..PARTITIONS);

    // Pages: short or empty ones, and in the end all rows.
    for (cql, rows, at_least) in [
        ("SELECT a FROM zoo.wide WHERE k = 1", &[ROW][..], 10),
        ("SELECT a FROM zoo.wide WHERE k = 1 ORDER BY a DESC", &[ROW], 10),
        ("SELECT a FROM zoo.wide WHERE k IN (1, 2) ORDER BY a", &[ROW, ROW], 10),
        ("SELECT a FROM zoo.wide", &[ROW, ROW], 10),
        ("SELECT a FROM zoo.many", &[ROW], 2),
    ] {
        let read = pages(&mut connection, cql, Some(100));
        assert_eq!(read.rows, rows, "{cql}");
        assert!(read.pages >= at_least, "{cql}: {} pages", read.pages);
        assert!(read.longest < Duration::from_secs(5), "{cql}: a page took {:?}", read.longest);
        assert!(read.warnings.len() + 1 >= at_least, "{cql}: {:?}", read.warnings.len());
        let first = &read.warnings[0];
        let wide = cql.contains("wide");
        let named = if wide { "zoo.wide" } else { "zoo.many" };
        assert!(first.contains(named) && first.contains("100000 tombstones"), "{first}");
        assert!(!wide || first.contains("at k = 1"), "{first}");
    }

    // Without pages it is one read; several of them at once leave the others their turn.
    let waits = waits_during(server.address, || {
        std::thread::scope(|scope| {
            for table in ["wide", "wide", "many", "wide", "wide", "many"] {
                scope.spawn(move || {
                    let mut connection = connect(server.address);
                    let cql = format!("SELECT count(*) FROM zoo.{table}");
                    let rows = if table == "wide" { 2 } else { 1 };
                    for _ in 0..3 {
                        assert_eq!(pages(&mut connection, &cql, None).rows, [rows], "{table}");
                    }
                });
            }
        });
    });
    let (count, longest) = (waits.len(), waits.iter().max());
    // How long they wait is for the machine to say: that long reads leave their threads is counted, in `told`.
    println!("{count} other reads meanwhile, the longest took {longest:?}");
    assert!(count > 0);

    told(&server, &mut connection);
    server.stop().expect("it stops");
}

/// The log, metrics and virtual tables tell of it.
fn told(server: &Server, connection: &mut Connection) {
    let metrics = server.metrics().expect("the admin port");
    let metric = |name: &str| metrics.value(name).unwrap_or_else(|error| panic!("{error}"));
    let wide = r#"{keyspace="zoo",table="wide"}"#;
    assert!(metric("tholos_long_reads_total") >= 18.0);
    let warnings = metric("tholos_tombstone_warnings_total");
    assert!(warnings >= 50.0, "{warnings}");
    assert!(metric(&format!("tholos_table_tombstones_per_read_sum{wide}")) >= 7e6);
    let all = metric(&format!("tholos_table_tombstones_per_read_count{wide}"));
    let few = r#"tholos_table_tombstones_per_read_bucket{le="4096.0",keyspace="zoo",table="wide"}"#;
    assert!(metric(few) < all, "long ones are in the upper buckets");
    assert!(metric(&format!("tholos_table_writes_total{wide}")) > f64::from(TOMBSTONES));
    assert!(metric("tholos_commitlog_sync_duration_seconds_sum") > 0.0);
    assert!(metric("tholos_commitlog_syncs_total") > 0.0);
    assert!(metric("tholos_commitlog_written_bytes_total") > 1e6);
    assert!(metric("tholos_commitlog_segments") >= 1.0);

    let log = server.errors();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("walked over many tombstones")).collect();
    assert!(lines.iter().any(|line| line.contains("zoo.wide") && line.contains("k = 1")), "{log}");
    assert!((lines.len() as f64) < warnings / 2.0, "{} of {warnings}", lines.len());

    let found = connection.query(
        "SELECT max FROM system_views.tombstones_per_read WHERE keyspace_name = 'zoo' AND table_name = 'wide'",
        &RequestOptions::default(),
    );
    let rows = found.expect("it is there").into_rows().expect("rows").rows;
    let max = rows[0][0].as_deref().expect("a value");
    assert!(f64::from_be_bytes(max.try_into().expect("eight bytes")) >= 1e6);
}
