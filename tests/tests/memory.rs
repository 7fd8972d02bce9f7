//! Reads of any kind take memory for a page of their answer and a few blocks, not for the rows that they walk over: the
//! process's peak is watched while it reads a table that is larger than what it may take.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::values::ValueList;
use tholos_shell::client::{ConnectOptions, Connection, RequestOptions};
use tholos_tests::server::{Server, Start};

/// Rows of the one wide partition, and of the many narrow ones; a KiB each.
const WIDE_ROWS: i32 = 40_000;
const NARROW_ROWS: i32 = 30_000;
const ROWS_PER_PARTITION: i32 = 10;
/// Deleted rows of another partition.
const TOMBSTONES: i32 = 40_000;
const VALUE_BYTES: usize = 1_024;
const PAGE_ROWS: i32 = 500;
/// What all reads together may add to the memory of a node that has just started: 8 MiB of it are the block cache.
const MOST_KIB: u64 = 28 << 10;

const CONFIG: &str = "
[memory]
memtable_mib = 32
block_cache_mib = 8
[limits]
request_timeout_ms = 120000
";

/// Reads, and how many rows they have.
fn reads() -> Vec<(String, i32)> {
    let all = WIDE_ROWS + NARROW_ROWS;
    let partitions = 1 + NARROW_ROWS / ROWS_PER_PARTITION;
    let some =
        format!("p IN (0, {})", (1..50).map(|p| p.to_string()).collect::<Vec<_>>().join(","));
    let in_some = WIDE_ROWS + 49 * ROWS_PER_PARTITION;
    [
        ("* FROM ks.t", all),
        ("JSON * FROM ks.t WHERE p = 0", WIDE_ROWS),
        ("* FROM ks.t WHERE p = 0 AND c > 99 AND c < 39000", 38_900),
        ("* FROM ks.t WHERE p = 0 ORDER BY c DESC", WIDE_ROWS),
        ("count(*) FROM ks.t", 1),
        ("count(v), min(v), max(v) FROM ks.t", 1),
        ("p, count(*), max(v) FROM ks.t GROUP BY p", partitions),
        ("p, c, max(v) FROM ks.t WHERE p = 0 GROUP BY p, c", WIDE_ROWS),
        ("DISTINCT p FROM ks.t", partitions),
        ("* FROM ks.t PER PARTITION LIMIT 1", partitions),
        ("* FROM ks.t WHERE n = 7 ALLOW FILTERING", all / 100),
        ("* FROM ks.t WHERE n = -1 ALLOW FILTERING", 0),
        ("* FROM ks.t WHERE c = 5 ALLOW FILTERING", partitions),
        ("c FROM ks.t WHERE p = -1", 0),
        ("c FROM ks.t WHERE p = -1 ORDER BY c DESC", 0),
    ]
    .map(|(read, rows)| (format!("SELECT {read}"), rows))
    .into_iter()
    .chain([
        (format!("SELECT * FROM ks.t WHERE {some}"), in_some),
        (format!("SELECT * FROM ks.t WHERE {some} ORDER BY c DESC"), in_some),
        (format!("SELECT count(*) FROM ks.t WHERE {some}"), 1),
    ])
    .collect()
}

fn start(dir: &Path) -> (Server, Connection) {
    let config = dir.join("tholos.toml");
    fs::write(&config, CONFIG).expect("a file");
    let config = config.to_string_lossy().into_owned();
    let data = dir.join("data");
    let start = Start { arguments: &["--config", &config], ..Start::new(&data) };
    let server = start.run().unwrap_or_else(|error| panic!("{error}"));
    let options =
        ConnectOptions { request_timeout: Duration::from_secs(120), ..ConnectOptions::default() };
    let client = Connection::connect(&server.address.to_string(), &options).expect("it serves");
    (server, client)
}

fn run(client: &mut Connection, cql: &str) {
    let done = client.query(cql, &RequestOptions::default());
    done.unwrap_or_else(|error| panic!("{cql}: {error}"));
}

/// Executes a statement with many lists of values.
fn execute(client: &mut Connection, cql: &str, lists: &[Vec<Vec<u8>>]) {
    let statement = client.prepare(cql).expect("it is right");
    for lists in lists.chunks(2_000) {
        let values = |values: &Vec<Vec<u8>>| {
            let mut list = ValueList::positional();
            for value in values {
                list.push(RawValue::Bytes(value)).expect("few values");
            }
            list
        };
        let lists: Vec<ValueList> = lists.iter().map(values).collect();
        let done = client.execute_many(&statement, &lists, &RequestOptions::default());
        for answer in done.expect("the server answers") {
            answer.unwrap_or_else(|error| panic!("{cql}: {error:?}"));
        }
    }
}

/// Bytes that don't compress.
fn noise(seed: i32) -> Vec<u8> {
    let mut state = u64::from(seed.unsigned_abs()) + 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..VALUE_BYTES).map(next).collect()
}

fn load(client: &mut Connection) {
    run(
        client,
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    run(
        client,
        // What compaction takes is none of this.
        "CREATE TABLE ks.t (p int, c int, n int, v blob, PRIMARY KEY (p, c))
         WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}",
    );
    let int = |number: i32| number.to_be_bytes().to_vec();
    let row = |p: i32, c: i32, n: i32| vec![int(p), int(c), int(n % 100), noise(n)];
    let insert = "INSERT INTO ks.t (p, c, n, v) VALUES (?, ?, ?, ?)";
    for from in (0..WIDE_ROWS).step_by(2_000) {
        let rows: Vec<_> = (from..from + 2_000).map(|c| row(0, c, c)).collect();
        execute(client, insert, &rows);
    }
    for from in (0..NARROW_ROWS).step_by(2_000) {
        let place = |n: i32| (1 + n / ROWS_PER_PARTITION, n % ROWS_PER_PARTITION);
        let rows: Vec<_> = (from..from + 2_000).map(|n| row(place(n).0, place(n).1, n)).collect();
        execute(client, insert, &rows);
    }
    let deleted: Vec<_> = (0..TOMBSTONES).map(|c| vec![int(-1), int(c)]).collect();
    execute(client, "DELETE FROM ks.t WHERE p = ? AND c = ?", &deleted);
}

/// Rows of all pages.
fn rows(client: &mut Connection, cql: &str) -> i32 {
    let mut options = RequestOptions { page_size: Some(PAGE_ROWS), ..RequestOptions::default() };
    let mut count = 0;
    loop {
        let reply = client.query(cql, &options).unwrap_or_else(|error| panic!("{cql}: {error}"));
        let rows = reply.into_rows().expect("rows");
        count += i32::try_from(rows.rows.len()).expect("a page");
        match rows.metadata.paging_state {
            Some(state) => options.paging_state = Some(state),
            None => return count,
        }
    }
}

/// The most memory that the process had since the last call.
fn peak_kib(server: &Server) -> u64 {
    let proc = format!("/proc/{}", server.pid());
    let status = fs::read_to_string(format!("{proc}/status")).expect("its own child");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let peak = line.trim().trim_end_matches(" kB").parse().expect("a number");
    fs::write(format!("{proc}/clear_refs"), "5").expect("its own child");
    peak
}

#[test]
fn reads_take_memory_for_a_page_whatever_they_walk_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (server, mut client) = start(dir.path());
    load(&mut client);
    drop(client);
    server.stop().unwrap_or_else(|error| panic!("{error}"));
    let (server, mut client) = start(dir.path());
    assert_eq!(rows(&mut client, "SELECT c FROM ks.t WHERE p = 1"), ROWS_PER_PARTITION);
    let before = peak_kib(&server).min(server.resident_kib());
    let mut told = Vec::new();
    for (read, expected) in reads() {
        assert_eq!(rows(&mut client, &read), expected, "{read}");
        told.push((peak_kib(&server).saturating_sub(before), read));
    }
    for (kib, read) in &told {
        assert!(*kib <= MOST_KIB, "{read}: {kib} KiB more than {before}, of all: {told:#?}");
    }
    server.stop().unwrap_or_else(|error| panic!("{error}"));
}
