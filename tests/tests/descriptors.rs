//! A node with fewer descriptors than tables: it starts, serves, and starts again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tholos_shell::client::Connection;
use tholos_tests::client::{connect, run};
use tholos_tests::server::{Server, Start, binary};

const DESCRIPTORS: usize = 100;
const TABLES: usize = 150;

/// A program that is `tholos` with a lower limit of descriptors, which it can't raise.
fn limited(dir: &Path) -> PathBuf {
    let program = binary().unwrap_or_else(|error| panic!("{error}"));
    let script = dir.join("limited");
    let text = format!("#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec '{}' \"$@\"\n", program.display());
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    script
}

fn start(dir: &Path) -> (Server, Connection) {
    let data = dir.join("data");
    let start = Start { program: Some(limited(dir)), ..Start::new(&data) };
    let server = start.run().unwrap_or_else(|error| panic!("{error}"));
    let client = connect(&server);
    (server, client)
}

fn open_now(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its own child").count()
}

#[test]
fn more_tables_than_descriptors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (server, mut client) = start(dir.path());
    assert!(server.errors().contains("few files may be open at once"), "{}", server.errors());
    run(
        &mut client,
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    for table in 0..TABLES {
        run(&mut client, &format!("CREATE TABLE ks.t{table} (k int PRIMARY KEY)"));
        run(&mut client, &format!("INSERT INTO ks.t{table} (k) VALUES (1)"));
    }
    drop(client);
    // To stop is to write each table to a file.
    server.stop().unwrap_or_else(|error| panic!("{error}"));
    let (server, mut client) = start(dir.path());
    for table in 0..TABLES {
        assert_eq!(run(&mut client, &format!("SELECT k FROM ks.t{table}")), 1);
    }
    assert!(open_now(&server) < DESCRIPTORS);
    run(&mut client, "CREATE TABLE ks.another (k int PRIMARY KEY)");
    drop(client);
    server.stop().unwrap_or_else(|error| panic!("{error}"));
}
