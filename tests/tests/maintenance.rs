//! Snapshots, restores, verification and inspection with the program itself, on a running node and beside none.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tholos_tests::server::{Server, Start, binary};

struct Node {
    server: Option<Server>,
    data: PathBuf,
}

impl Node {
    fn start(data: &Path) -> Node {
        let server = Start::new(data).run().unwrap_or_else(|error| panic!("{error}"));
        Node { server: Some(server), data: data.to_path_buf() }
    }

    fn stop(&mut self) {
        self.server.take().expect("it runs").stop().expect("it stops");
    }

    fn cql(&self, text: &str) -> String {
        let address = self.server.as_ref().expect("it runs").address.to_string();
        let output = tholos(&["shell", &address, "--yes", "--format", "csv", "-e", text]);
        assert!(output.status.success(), "{text}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A command on the data directory that must succeed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        let data = self.data.to_string_lossy().into_owned();
        tholos(&[arguments, &["--data", &data]].concat())
    }

    fn snapshots(&self) -> PathBuf {
        self.data.join("storage/snapshots")
    }
}

fn tholos(arguments: &[&str]) -> Output {
    let program = binary().expect("the program");
    Command::new(program).args(arguments).output().expect("it runs")
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn fill(node: &Node) {
    node.cql(
        "CREATE KEYSPACE zoo WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
         CREATE TYPE zoo.size (height int);
         CREATE TABLE zoo.animals (kind text, name text, size size, PRIMARY KEY (kind, name));
         CREATE TABLE zoo.keepers (name text PRIMARY KEY);
         INSERT INTO zoo.animals (kind, name, size) VALUES ('otter', 'Ada', {height: 60});
         INSERT INTO zoo.animals (kind, name, size) VALUES ('otter', 'Bob', {height: 70});
         INSERT INTO zoo.keepers (name) VALUES ('Grace');",
    );
}

const ANIMALS: &str = "SELECT name, size FROM zoo.animals WHERE kind = 'otter'";

#[test]
fn snapshots_are_taken_listed_restored_and_deleted_on_a_running_node() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::start(&dir.path().join("data"));
    fill(&node);
    let before = node.cql(ANIMALS);
    assert!(node.run(&["snapshot", "list"]).contains("no snapshots"));
    assert!(node.run(&["snapshot", "create", "s1"]).contains("snapshot s1: 2 tables, 2 files"));
    let refused = node.try_run(&["snapshot", "create", "s1"]);
    assert!(!refused.status.success() && told(&refused).contains("already"), "{}", told(&refused));
    let one = node.run(&["snapshot", "create", "s2", "--keyspace", "zoo", "--table", "keepers"]);
    assert!(one.contains("table zoo.keepers"), "{one}");
    let none = node.try_run(&["snapshot", "create", "s3", "--keyspace", "nowhere"]);
    assert!(told(&none).contains("nowhere"), "{}", told(&none));

    // Rows that came later stay, rows that were overwritten stay overwritten, what was emptied is back.
    node.cql("INSERT INTO zoo.animals (kind, name) VALUES ('otter', 'Cleo')");
    node.cql("ALTER TABLE zoo.animals ADD born date; ALTER TYPE zoo.size ADD weight int");
    node.cql("TRUNCATE zoo.animals");
    let s1 = node.snapshots().join("s1").to_string_lossy().into_owned();
    let restored = node.run(&["restore", &s1, "--keyspace", "zoo", "--table", "animals"]);
    assert!(restored.contains("restored zoo.animals: 1 file\n"), "{restored}");
    assert_eq!(node.cql(ANIMALS).lines().count(), before.lines().count());
    // The automatic snapshot of TRUNCATE has Cleo too.
    let listed = node.run(&["snapshot", "list"]);
    let automatic = listed.lines().find(|line| line.starts_with("truncated-")).expect("listed");
    let automatic = automatic.split(':').next().expect("a name");
    node.run(&["restore", &node.snapshots().join(automatic).to_string_lossy()]);
    assert!(node.cql(ANIMALS).contains("Cleo"));

    // A dropped table comes back, with its definition.
    node.cql("DROP TABLE zoo.keepers");
    let listed = node.run(&["snapshot", "list"]);
    assert!(listed.lines().any(|line| line.starts_with("dropped-")), "{listed}");
    let restored = node.run(&["restore", &s1, "--keyspace", "zoo", "--table", "keepers"]);
    assert!(restored.contains("restored zoo.keepers: 1 file, created"), "{restored}");
    assert!(node.cql("SELECT name FROM zoo.keepers").contains("Grace"));

    // A table of another shape is refused.
    node.cql("DROP TABLE zoo.keepers; CREATE TABLE zoo.keepers (name int PRIMARY KEY)");
    let refused = node.try_run(&["restore", &s1]);
    assert!(
        !refused.status.success() && told(&refused).contains("key column name"),
        "{}",
        told(&refused)
    );

    node.run(&["snapshot", "delete", "s2"]);
    assert!(!node.run(&["snapshot", "list"]).contains("s2:"));
    let refused = node.try_run(&["snapshot", "delete", "s2"]);
    assert!(told(&refused).contains("no snapshot s2"), "{}", told(&refused));
    node.stop();
    assert!(!node.data.join("admin.json").exists());
    // Without a node the program opens the directory itself.
    assert!(node.run(&["snapshot", "list"]).contains("s1:"));

    // And into an empty directory, all of it.
    let copy = dir.path().join("copy");
    let output = tholos(&["restore", &s1, "--data", &copy.to_string_lossy()]);
    assert!(output.status.success(), "{}", told(&output));
    let mut other = Node::start(&copy);
    assert_eq!(other.cql(ANIMALS), before);
    assert!(other.cql("SELECT name FROM zoo.keepers").contains("Grace"));
    other.stop();
}

#[test]
fn only_who_can_read_the_data_directory_may_ask_for_maintenance() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::start(&dir.path().join("data"));
    let admin = node.server.as_ref().expect("it runs").admin;
    use std::io::{Read, Write};
    for request in [
        "POST /snapshots",
        "GET /snapshots",
        "DELETE /snapshots/x",
        "POST /restore",
        "POST /verify",
    ] {
        let mut stream = std::net::TcpStream::connect(admin).expect("a connection");
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-tholos-token: guess\r\nContent-Length: 2\r\n\r\n{{}}"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 403"), "{request}: {answer}");
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(node.data.join("admin.json")).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    node.stop();
}

fn sstables(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sstables(&path));
        } else if path.extension().is_some_and(|extension| extension == "sst") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn damage_is_found_told_and_listed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::start(&dir.path().join("data"));
    fill(&node);
    assert!(node.run(&["verify"]).contains(": 0 problems"));
    node.stop();
    // Two of them are of the system.
    assert!(node.run(&["verify"]).contains("verified 4 tables, 2 SSTables"));
    let files = sstables(&node.data.join("storage/data"));
    let animals =
        files.iter().find(|file| file.to_string_lossy().contains("animals-")).expect("it");
    let shown = tholos(&["sstable", "dump", &animals.to_string_lossy()]);
    assert!(told(&shown).contains("name='Ada'"), "{}", told(&shown));
    let shown = tholos(&["sstable", "stats", &animals.to_string_lossy()]);
    assert!(told(&shown).contains("zoo.animals"), "{}", told(&shown));

    let mut bytes = std::fs::read(animals).expect("readable");
    bytes[12] ^= 1;
    std::fs::write(animals, &bytes).expect("writable");
    let verified = node.try_run(&["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let text = told(&verified);
    assert!(
        text.contains(&animals.display().to_string()) && text.contains("at offset 8"),
        "{text}"
    );
    assert!(text.contains("zoo.animals, tokens") && text.contains("tholos restore"), "{text}");
    let shown = tholos(&["sstable", "dump", &animals.to_string_lossy()]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(told(&shown).contains("damaged at offset 8"), "{}", told(&shown));

    node = Node::start(&node.data.clone());
    let listed =
        "SELECT keyspace_name, table_name, offset, first_token FROM system_views.damaged_ranges";
    assert!(!node.cql(listed).contains("zoo"), "nobody has looked yet");
    let verified = node.try_run(&["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{}", told(&verified));
    assert!(node.cql(listed).contains("zoo,animals,8,"), "{}", node.cql(listed));
    assert!(node.cql("SELECT name FROM zoo.keepers").contains("Grace"), "all else goes on");
    node.stop();
}

#[test]
fn a_directory_that_no_table_has_is_named_at_start_and_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::start(&dir.path().join("data"));
    fill(&node);
    node.stop();
    let left = node.data.join("storage/data/zoo/gone-00000000000000000000000000000001");
    std::fs::create_dir(&left).expect("made");
    node = Node::start(&node.data.clone());
    let errors = node.server.as_ref().expect("it runs").errors();
    assert!(node.cql("SELECT name FROM zoo.keepers").contains("Grace"));
    assert!(errors.contains("gone-0000") && errors.contains("no table of the schema"), "{errors}");
    node.stop();
    assert!(left.is_dir());
}
