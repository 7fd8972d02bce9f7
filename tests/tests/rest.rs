//! A node that nobody asks anything does nothing: it takes next to no processor time and writes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tholos_tests::client::{connect, run};
use tholos_tests::server::{Server, Start};

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(5);
/// How long it may take to finish what it has begun.
const SETTLED_WITHIN: u32 = 20;
/// Processor time of all threads meanwhile: a few looks at the clock per second.
const MOST_CPU_MICROS: u64 = 15_000;

/// Bytes that a process wrote: to files, pipes and sockets.
fn written(server: &Server) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", server.pid())).expect("its own child");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("wchar");
    line.trim().parse().expect("a number")
}

/// All files below a directory, with lengths and times.
fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let meta = entry.metadata().expect("it is there");
        if meta.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), (meta.len(), meta.modified().expect("a time")));
        }
    }
    found
}

#[test]
fn a_node_at_rest_does_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let server = Start::new(&data).run().unwrap_or_else(|error| panic!("{error}"));
    let mut client = connect(&server);
    let mut run = |cql: &str| run(&mut client, cql);
    run(
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    for table in 0..20 {
        run(&format!("CREATE TABLE ks.t{table} (k int PRIMARY KEY, v int)"));
        for k in 0..10 {
            run(&format!("INSERT INTO ks.t{table} (k, v) VALUES ({k}, 1)"));
        }
        run(&format!("TRUNCATE ks.t{table}"));
        run(&format!("INSERT INTO ks.t{table} (k, v) VALUES (1, 1)"));
    }
    let mut before = written(&server);
    for _ in 0..SETTLED_WITHIN {
        std::thread::sleep(Duration::from_secs(1));
        let now = written(&server);
        if now == before {
            break;
        }
        before = now;
    }
    let (before, seen, cpu) = (written(&server), files(&data), server.cpu_micros());
    std::thread::sleep(WATCHED);
    let cpu = server.cpu_micros() - cpu;
    assert_eq!(written(&server) - before, 0, "bytes written");
    assert_eq!(files(&data), seen);
    assert!(cpu <= MOST_CPU_MICROS, "{cpu} microseconds of processor time in {WATCHED:?}");
    // The client is still there.
    assert_eq!(run("SELECT v FROM ks.t3 WHERE k = 1"), 1);
}
