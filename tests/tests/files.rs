//! Files of a table are as many as their data asks for, not as there were flushes: through a node that is served.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tholos_tests::client::{connect, run};
use tholos_tests::server::{Start, binary};

const FLUSHES: usize = 150;
/// Once nothing is left to be merged: a few of each tier of sizes.
const MOST_FILES: usize = 12;
/// How often it is looked at, while compactions go on.
const LOOKS: usize = 300;

const CLASSES: [&str; 4] = [
    "SizeTieredCompactionStrategy",
    "LeveledCompactionStrategy",
    "UnifiedCompactionStrategy",
    "TimeWindowCompactionStrategy",
];

/// Writes what is in memory to files: a snapshot does.
fn flush(data: &Path, number: usize) {
    let name = format!("flush{number}");
    let mut command = Command::new(binary().expect("the program"));
    command.args(["snapshot", "create", name.as_str(), "--data"]).arg(data);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// How many files each table has.
fn files(data: &Path) -> Vec<usize> {
    let tables = std::fs::read_dir(data.join("storage/data/ks")).expect("a keyspace").flatten();
    let is_sstable = |name: &Path| name.extension().is_some_and(|extension| extension == "sst");
    let count = |table: std::fs::DirEntry| {
        let names = std::fs::read_dir(table.path()).expect("a table").flatten();
        names.filter(|name| is_sstable(&name.path())).count()
    };
    tables.map(count).collect()
}

#[test]
fn a_new_partition_per_flush_makes_few_files() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let server = Start::new(&data).run().unwrap_or_else(|error| panic!("{error}"));
    let mut client = connect(&server);
    run(
        &mut client,
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    for (table, class) in CLASSES.iter().enumerate() {
        let options = format!("compaction = {{'class': '{class}'}}");
        let columns = "(k int PRIMARY KEY, v int)";
        run(&mut client, &format!("CREATE TABLE ks.t{table} {columns} WITH {options}"));
    }
    for number in 0..FLUSHES {
        for table in 0..CLASSES.len() {
            run(&mut client, &format!("INSERT INTO ks.t{table} (k, v) VALUES ({number}, 1)"));
        }
        flush(&data, number);
    }
    let are_few = |files: &[usize]| files.iter().all(|count| (1..=MOST_FILES).contains(count));
    for _ in 0..LOOKS {
        if are_few(&files(&data)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let files = files(&data);
    assert!(files.len() == CLASSES.len() && are_few(&files), "{files:?}");
    for table in 0..CLASSES.len() {
        assert_eq!(run(&mut client, &format!("SELECT k FROM ks.t{table}")), FLUSHES);
    }
    drop(client);
    server.stop().unwrap_or_else(|error| panic!("{error}"));
}
