//! The shell as a process: exit codes, what goes to which stream, COPY there and back, and a session in a
//! pseudo-terminal (by util-linux's `script`; without it that test says so and does nothing).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tholos_tests::server::binary;

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', \
                        'replication_factor': 1};\nUSE k;\n";

fn tholos(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary().expect("the program"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that ends on its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let fine = tholos(&["--memory"], "SELECT key FROM system.local;\n");
    assert_eq!((code(&fine), text(&fine.stderr)), (0, String::new()));
    assert_eq!(text(&fine.stdout), " key\n-------\n local\n\n(1 row)\n");

    let script = format!(
        "{KEYSPACE}CREATE TABLE t (a int PRIMARY KEY);\n  SELECT * FORM t;\nSELECT * FROM t;"
    );
    let failed = tholos(&["--memory"], &script);
    assert_eq!((code(&failed), text(&failed.stdout)), (1, String::new()));
    let told = text(&failed.stderr);
    assert!(told.contains("\n --> <stdin>:4:12\n"), "{told}");
    assert!(told.contains("\n4 |   SELECT * FORM t;\n  |            ^^^^\n"), "{told}");

    let goes_on = tholos(&["--memory", "--on-error", "continue", "--format", "csv"], &script);
    assert_eq!((code(&goes_on), text(&goes_on.stdout)), (1, "a\n".to_string()));

    for usage in [&["--memroy"][..], &["run", "/no/such/file.cql"], &["shell", "localhost:x"]] {
        assert_eq!(code(&tholos(usage, "")), 2, "{usage:?}");
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let nobody = port.expect("a free port").to_string();
    let refused = tholos(&["shell", &nobody, "-e", "USE k"], "");
    assert_eq!(code(&refused), 3);
    assert!(text(&refused.stderr).contains(&format!("cannot connect to {nobody}")));
}

/// A row with a value of every type and hard ones among them, a row of nulls, and rows of text that CSV must quote.
const EVERY_TYPE: &str = "\
CREATE TYPE address (street text, zip int);
CREATE TABLE every (id int PRIMARY KEY, asci ascii, big bigint, bin blob, bit boolean, day date, dec decimal,
  dbl double, dur duration, flt float, ip inet, sml smallint, txt text, at time, ts timestamp, tu timeuuid,
  tny tinyint, uid uuid, vi varint, l list<text>, s set<int>, m map<text, frozen<list<int>>>,
  tup tuple<int, text>, adr frozen<address>, adrs list<frozen<address>>, v vector<float, 3>);
INSERT INTO every (id, asci, big, bin, bit, day, dec, dbl, dur, flt, ip, sml, txt, at, ts, tu, tny, uid, vi, l, s, m,
  tup, adr, adrs, v) VALUES (1, 'a,b', -9223372036854775808, 0x00ff, true, '-0044-03-15', -12.3400, 1e-300,
  -1mo2d3ns, 3.4e38, '::1', -32768, 'it''s \"one\", two', '23:59:59.999999999', '1969-12-31 23:59:59.999+0000',
  8bd55720-0d5a-11ee-be56-0242ac120002, -128, 123e4567-e89b-12d3-a456-426655440000,
  -123456789012345678901234567890, ['it''s', '', 'a,\"b\"'], {3, -1}, {'k,': [1, 2], '': []}, (7, null),
  {street: 'Öl''s', zip: null}, [{street: 'x', zip: 1}], [1.5, -0.0, 3.0E10]);
INSERT INTO every (id) VALUES (2);
INSERT INTO every (id, txt, dbl, flt) VALUES (3, 'two
lines', NaN, -Infinity);
INSERT INTO every (id, txt, dbl) VALUES (4, '日本語 👩‍👩‍👧 \\n', Infinity);
";

#[test]
fn copy_there_and_back_keeps_values_of_every_type() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("every.csv");
    let copy = |direction: &str| {
        format!(
            "COPY every {direction} '{}' WITH HEADER = true AND NULL = '<null>';\n",
            file.display()
        )
    };
    let select = "SELECT * FROM every;\n";
    let script = [
        KEYSPACE,
        EVERY_TYPE,
        select,
        &copy("TO"),
        "TRUNCATE every;\n",
        "SELECT id FROM every;\n",
        &copy("FROM"),
        select,
    ]
    .concat();
    let output = tholos(&["--memory", "--format", "expanded"], &script);
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    let shown = text(&output.stdout);
    let parts: Vec<&str> = shown.split("rows)\n").collect();
    assert_eq!(parts.len(), 4, "{shown}");
    let first_rows = parts[0].trim_start().to_string();
    assert!(first_rows.contains("-123456789012345678901234567890"), "{first_rows}");
    assert!(parts[1].contains("4 rows of") && parts[1].ends_with("(0 "), "{shown}");
    let back = parts[2].split_once('\n').expect("the summary of COPY").1;
    assert_eq!(back, first_rows);
}

#[test]
fn copy_tells_bad_rows_with_their_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let (rows, rejected) = (directory.path().join("rows.csv"), directory.path().join("rows.err"));
    fs::write(&rows, "1|a\r\n2|\"two\r\nlines\"\r\nx|c\r\n4\r\n5|e\r\n").expect("a file");
    let script = format!(
        "{KEYSPACE}CREATE TABLE t (id int PRIMARY KEY, b text);\n\
         COPY t (id, b) FROM '{}' WITH DELIMITER = '|' AND ERRFILE = '{}';",
        rows.display(),
        rejected.display()
    );
    let output = tholos(&["--memory"], &script);
    let told = text(&output.stderr);
    assert_eq!(code(&output), 1, "{told}");
    assert!(told.contains("rows.csv:4: column id: x is no value of type int"), "{told}");
    assert!(told.contains("rows.csv:5: 1 field where 2 are expected"), "{told}");
    assert!(told.contains("2 of 5 rows were not written"), "{told}");
    assert_eq!(fs::read_to_string(&rejected).expect("the rejected rows"), "x|c\n4\n");
}

/// A shell in a pseudo-terminal.
struct Terminal {
    child: std::process::Child,
    stdin: std::process::ChildStdin,
    output: mpsc::Receiver<Vec<u8>>,
    /// What came and is not waited for yet, without escape sequences.
    seen: String,
}

impl Terminal {
    fn open(home: &Path) -> Option<Terminal> {
        let command = format!("{} --memory", binary().expect("the program").display());
        let mut child = Command::new("script")
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .env("HOME", home)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (stdin, mut stdout) = (child.stdin.take()?, child.stdout.take()?);
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Terminal { child, stdin, output, seen: String::new() })
    }

    fn type_keys(&mut self, keys: &str) {
        self.stdin.write_all(keys.as_bytes()).expect("the shell reads");
    }

    /// Waits until the text is shown; what was shown up to its end.
    fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(chunk) => self.seen.push_str(&String::from_utf8_lossy(&chunk)),
                Err(_) => panic!("{text:?} is not shown, but {:?}", self.seen),
            }
        }
    }
}

#[test]
fn a_session_in_a_terminal() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(mut terminal) = Terminal::open(home.path()) else {
        eprintln!("skipped: there is no program `script` to make a pseudo-terminal");
        return;
    };
    terminal.wait_for("tholos> ");
    // Each line is typed when the prompt for it is there.
    for line in KEYSPACE.lines() {
        terminal.type_keys(&format!("{line}\r"));
        terminal.wait_for("(done");
        terminal.wait_for("> ");
    }
    terminal.type_keys("CREATE TABLE t (a int,\r");
    terminal.wait_for("...> ");
    terminal.type_keys(" b int, PRIMARY KEY (a, b));\r");
    terminal.wait_for("(done");
    terminal.wait_for("tholos:k> ");
    for row in 0..5 {
        terminal.type_keys(&format!("INSERT INTO t (a, b) VALUES (0, {row});\r"));
        terminal.wait_for("(done");
        terminal.wait_for("tholos:k> ");
    }
    terminal.type_keys("PAGING 2\r");
    terminal.wait_for("2 rows a page");
    terminal.wait_for("tholos:k> ");
    terminal.type_keys("SELECT b FROM t;\r");
    terminal.wait_for("--More-- 2 rows");
    terminal.type_keys(" ");
    let page = terminal.wait_for("--More-- 4 rows");
    assert!(page.contains(" 2\r\n") && page.contains(" 3\r\n"), "{page:?}");
    terminal.type_keys("q");
    terminal.wait_for("(4 rows so far; stopped)");
    terminal.wait_for("tholos:k> ");
    terminal.type_keys("DROP TABLE t;\r");
    terminal.wait_for("This drops table t with all its rows. Go on? [y/N] ");
    terminal.type_keys("n\r");
    terminal.wait_for("not done");
    terminal.wait_for("tholos:k> ");
    terminal.type_keys("SELECT 'never finished\r");
    terminal.wait_for("'> ");
    terminal.type_keys("\u{3}");
    terminal.wait_for("tholos:k> ");
    terminal.type_keys("CREATE ROLE r WITH PASSWORD = 'secret';\r");
    terminal.wait_for("error: ");
    terminal.wait_for("tholos:k> ");
    terminal.type_keys("select count(*) from t;\r");
    terminal.wait_for("(1 row");
    terminal.wait_for("tholos:k> ");
    terminal.type_keys("\u{4}");
    assert_eq!(terminal.child.wait().expect("it ends").code(), Some(0));

    let history = fs::read_to_string(home.path().join(".tholos_history")).expect("a history");
    assert!(history.contains("select count(*) from t;"), "{history}");
    assert!(!history.contains("secret"), "{history}");
}
