//! Starts of a node whose data directory is not what it was: something is missing, or the schema is an older one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tholos_tests::server::{Server, Start, binary};

fn tholos(arguments: &[&str]) -> Output {
    Command::new(binary().expect("the program")).args(arguments).output().expect("it runs")
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn start(data: &Path) -> Server {
    Start::new(data).run().unwrap_or_else(|error| panic!("{error}"))
}

fn start_with(data: &Path, arguments: &[&str]) -> Server {
    let start = Start { arguments, ..Start::new(data) };
    start.run().unwrap_or_else(|error| panic!("{error}"))
}

/// What a start that must fail says.
fn refusal(data: &Path) -> String {
    let data = data.to_string_lossy();
    let output = tholos(&["serve", "--port", "0", "--admin-port", "0", "--data", &data]);
    assert!(!output.status.success(), "it started: {}", told(&output));
    told(&output)
}

fn cql(server: &Server, text: &str) -> String {
    let address = server.address.to_string();
    let output = tholos(&["shell", &address, "--yes", "--format", "csv", "-e", text]);
    assert!(output.status.success(), "{text}: {}", told(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn verify(data: &Path) -> (bool, String) {
    let output = tholos(&["verify", "--data", &data.to_string_lossy()]);
    (output.status.success(), told(&output))
}

const SCHEMA: &str = "CREATE KEYSPACE zoo WITH replication = \
                      {'class': 'SimpleStrategy', 'replication_factor': 1}; \
                      CREATE TABLE zoo.animals (name text PRIMARY KEY);\
                      CREATE TABLE zoo.keepers (name text PRIMARY KEY);";

fn insert(server: &Server, names: &[&str]) {
    for name in names {
        cql(server, &format!("INSERT INTO zoo.animals (name) VALUES ('{name}')"));
    }
}

fn names(server: &Server) -> Vec<String> {
    let csv = cql(server, "SELECT name FROM zoo.animals");
    let mut names: Vec<String> = csv.lines().skip(1).map(str::to_string).collect();
    names.sort();
    names
}

/// A stopped node with rows in a file and rows in the log.
fn stopped_with_data(data: &Path) {
    let server = start(data);
    cql(&server, SCHEMA);
    insert(&server, &["ada", "bob"]);
    server.stop().expect("it stops");
    let server = start(data);
    insert(&server, &["cleo"]);
    server.kill();
}

fn table_dir(data: &Path, table: &str) -> PathBuf {
    dir_of(data, "zoo", table)
}

fn dir_of(data: &Path, keyspace: &str, table: &str) -> PathBuf {
    let keyspace = data.join("storage/data").join(keyspace);
    let mut dirs = fs::read_dir(keyspace).expect("a keyspace").map(|dir| dir.expect("dir").path());
    dirs.find(|dir| dir.to_string_lossy().contains(&format!("/{table}-"))).expect("a table")
}

/// All files below a directory with their bytes: what is there.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(content(&path));
        } else {
            found.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}

fn signal(server: &Server, signal: rustix::process::Signal) {
    let pid = i32::try_from(server.pid()).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it can be sent");
}

#[test]
fn signals_that_mean_nothing_do_not_end_a_node() {
    use rustix::process::Signal;

    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let server = start(&data);
    cql(&server, SCHEMA);
    for number in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::PIPE] {
        signal(&server, number);
        insert(&server, &["ada"]);
    }
    assert_eq!(names(&server), ["ada"]);
    assert_eq!(get(&server, "/ready"), "ready\n");
    signal(&server, Signal::INT);
    server.wait().expect("it drains and ends");
    let log = content(&data.join("storage/data"));
    assert!(log.iter().any(|(path, _)| path.to_string_lossy().ends_with(".sst")));
}

fn get(server: &Server, path: &str) -> String {
    use std::io::{Read, Write};

    let mut stream = std::net::TcpStream::connect(server.admin).expect("the admin port");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").expect("a body").1.to_string()
}

#[test]
fn a_start_refuses_what_is_missing_and_goes_on_when_it_is_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    stopped_with_data(&data);
    let animals = table_dir(&data, "animals");
    let system = dir_of(&data, "system", "paxos");
    let segment = fs::read_dir(data.join("storage/commitlog")).expect("a log");
    let segment = segment.map(|entry| entry.expect("entry").path());
    let segment = segment.filter(|path| path.extension().is_some_and(|it| it == "log")).min();
    let away = dir.path().join("away");
    for missing in [
        data.join("node.journal"),
        data.join("schema.journal"),
        data.join("storage"),
        data.join("storage/data"),
        data.join("storage/data/zoo"),
        data.join("storage/data/system"),
        system.clone(),
        system.join("manifest"),
        animals.clone(),
        animals.join("manifest"),
        data.join("storage/commitlog"),
        data.join("storage/commitlog/segments"),
        segment.expect("a segment"),
    ] {
        fs::rename(&missing, &away).expect("it can be moved");
        let before = content(&data);
        let refused = refusal(&data);
        let named = format!("{} is missing", missing.display());
        let is_manifest = missing.ends_with("manifest");
        assert!(refused.contains(&named), "{named}: {refused}");
        assert_eq!(content(&data), before, "{named}: something was changed");
        let (is_sound, report) = verify(&data);
        let file = missing.to_string_lossy();
        assert!(!is_sound && report.contains(&*file), "{named}: {report}");
        fs::rename(&away, &missing).expect("it can be put back");
        assert!(!is_manifest || animals.join("manifest").exists());
    }
    let (is_sound, report) = verify(&data);
    assert!(is_sound, "{report}");
    let server = start(&data);
    assert_eq!(names(&server), ["ada", "bob", "cleo"]);
    server.stop().expect("it stops");
}

#[test]
fn what_is_lost_for_good_is_made_anew_on_demand_and_takes_writes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    stopped_with_data(&data);
    // Without the log, the positions up to which tables are flushed must not hide what is written from now on.
    fs::remove_dir_all(data.join("storage/commitlog")).expect("it can be removed");
    fs::remove_dir_all(table_dir(&data, "keepers")).expect("it can be removed");
    refusal(&data);
    let server = start_with(&data, &["--recreate-missing"]);
    assert_eq!(names(&server), ["ada", "bob"]);
    insert(&server, &["dora"]);
    server.kill();
    let server = start(&data);
    assert_eq!(names(&server), ["ada", "bob", "dora"]);
    assert_eq!(cql(&server, "SELECT name FROM zoo.keepers"), "name\n");
    server.stop().expect("it stops");
}

#[test]
fn records_of_a_table_that_the_schema_has_lost_are_not_thrown_away() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let journal = data.join("schema.journal");
    let server = start(&data);
    server.stop().expect("it stops");
    let older = fs::read(&journal).expect("a journal");
    let server = start(&data);
    cql(&server, SCHEMA);
    insert(&server, &["ada"]);
    server.kill();
    let newer = fs::read(&journal).expect("a journal");
    fs::write(&journal, &older).expect("it can be replaced");
    let refused = refusal(&data);
    assert!(refused.contains("does not know and did not drop"), "{refused}");
    let (is_sound, report) = verify(&data);
    assert!(!is_sound && report.contains("does not know and did not drop"), "{report}");
    fs::write(&journal, &newer).expect("it can be put back");
    let server = start(&data);
    assert_eq!(names(&server), ["ada"]);
    server.kill();

    // On demand it goes on without them; they are kept.
    fs::write(&journal, &older).expect("it can be replaced");
    let server = start_with(&data, &["--set-aside-damaged-log"]);
    server.stop().expect("it stops");
    let kept = content(&data.join("storage/commitlog"));
    assert!(kept.iter().any(|(path, _)| path.to_string_lossy().contains("damaged-segment-")));
}

#[test]
fn records_of_dropped_tables_do_not_disturb_a_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let server = start_with(&data, &["--log", "warn"]);
    cql(&server, SCHEMA);
    insert(&server, &["ada"]);
    cql(&server, "INSERT INTO zoo.keepers (name) VALUES ('grace'); DROP TABLE zoo.keepers");
    server.kill();
    let server = start(&data);
    assert_eq!(names(&server), ["ada"]);
    cql(&server, "DROP KEYSPACE zoo");
    server.kill();
    let server = start(&data);
    assert!(!server.errors().contains("left out"), "{}", server.errors());
    server.stop().expect("it stops");
}

#[test]
fn a_node_that_is_to_connect_to_others_says_that_it_can_t() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, data) = (dir.path().join("tholos.toml"), dir.path().join("data"));
    fs::write(&config, "[cluster]\nseeds = [\"127.0.0.1:7000\"]\n").expect("it is written");
    let (path, data_path) = (config.to_string_lossy(), data.to_string_lossy());
    let output = tholos(&["serve", "--config", &path, "--data", &data_path, "--port", "0"]);
    assert!(!output.status.success());
    assert!(told(&output).contains("cluster.seeds names other nodes"), "{}", told(&output));
    assert!(!data.exists(), "nothing was started");
}
