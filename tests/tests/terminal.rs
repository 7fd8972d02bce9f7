//! The shell in a pseudo-terminal: what is typed, what is pasted, what is shown.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use tholos_tests::server::binary;

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', \
                        'replication_factor': 1};\nUSE k;\n";

/// Lines and columns of a terminal in which nothing wraps.
const WIDE: (u16, u16) = (50, 160);

/// A shell in a pseudo-terminal.
struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    output: mpsc::Receiver<Vec<u8>>,
    /// What came and is not waited for yet.
    seen: String,
}

impl Terminal {
    /// A shell on a node in memory, at its first prompt.
    fn open(home: &Path, (lines, columns): (u16, u16)) -> Terminal {
        let (pty, child_side) = open().expect("a pseudo-terminal");
        pty.resize(Size::new(lines, columns)).expect("a size");
        let child = Command::new(binary().expect("the program"))
            .arg("--memory")
            // Where rows go that COPY could not write.
            .current_dir(home)
            .env("HOME", home)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("PAGER")
            .spawn(child_side)
            .expect("the program starts");
        let pty = Arc::new(pty);
        let reader = Arc::clone(&pty);
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = (&*reader).read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Terminal { child, pty, output, seen: String::new() };
        terminal.wait_for("tholos> ");
        terminal
    }

    /// A shell that uses a keyspace with `table`.
    fn with_table(home: &Path, size: (u16, u16), table: &str) -> Terminal {
        let mut terminal = Terminal::open(home, size);
        for line in KEYSPACE.lines().chain([table]) {
            terminal.run(line);
        }
        terminal
    }

    fn type_keys(&mut self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).expect("the shell reads");
    }

    /// Types a statement that has no rows, and waits for the prompt behind it.
    fn run(&mut self, line: &str) {
        self.type_keys(&format!("{line}\r"));
        self.wait_for("(done");
        self.wait_for("> ");
    }

    /// Waits until the text is shown; what was shown up to its end.
    fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(120);
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

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_session_in_a_terminal() {
    let home = tempfile::tempdir().expect("a directory");
    let mut terminal = Terminal::open(home.path(), WIDE);
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
    assert_eq!(terminal.exit_code(), Some(0));

    let history = fs::read_to_string(home.path().join(".tholos_history")).expect("a history");
    assert!(history.contains("select count(*) from t;"), "{history}");
    assert!(!history.contains("secret"), "{history}");
}

/// What comes as fast as the terminal takes it, as pastes do where the terminal does not bracket them.
#[test]
fn all_lines_of_a_paste_are_run() {
    let home = tempfile::tempdir().expect("a directory");
    let mut terminal =
        Terminal::with_table(home.path(), WIDE, "CREATE TABLE t (a int PRIMARY KEY, b text);");
    let mut rows = 0;
    for lines in [2, 20, 100, 1000] {
        let paste: String = (rows..rows + lines)
            .map(|row| format!("INSERT INTO t (a, b) VALUES ({row}, 'some text of row {row}');\n"))
            .collect();
        rows += lines;
        terminal.type_keys(&format!("{paste}SELECT count(*) AS pasted{lines} FROM t;\n"));
        let shown = terminal.wait_for("(1 row");
        let total = format!("pasted{lines}\r\n");
        assert!(shown.contains(&total), "{shown}");
        assert!(!shown.contains("error"), "{shown}");
        assert_eq!(shown.matches("(done").count(), lines, "{shown}");
        let counted = shown.trim_end().lines().rev().nth(2).map(str::trim);
        assert_eq!(counted, Some(rows.to_string().as_str()), "{shown}");
        terminal.wait_for("tholos:k> ");
    }
}

/// Questions are answered by people; what was pasted behind the statement that asks is run in its turn.
#[test]
fn a_paste_goes_on_behind_questions() {
    let home = tempfile::tempdir().expect("a directory");
    let mut terminal =
        Terminal::with_table(home.path(), (12, 100), "CREATE TABLE t (a int PRIMARY KEY, b text);");
    terminal.type_keys("TRUNCATE t;\nINSERT INTO t (a) VALUES (7);\nSELECT a FROM t;\n");
    terminal.wait_for("Go on? [y/N] ");
    terminal.wait_for("not done");
    terminal.wait_for("(done");
    terminal.wait_for("(1 row");
    // Rows that are pasted behind COPY FROM STDIN are its rows.
    for (begin, end) in [("", ""), ("\u{1b}[200~", "\u{1b}[201~\r")] {
        terminal.wait_for("tholos:k> ");
        let yes = if begin.is_empty() { "y\n" } else { "" };
        terminal.type_keys(&format!(
            "{begin}TRUNCATE TABLE t;\n{yes}SELECT typo FROM t;\nCOPY t (a, b) FROM STDIN;\n1,one\n2,SELECT\n\\.\n\
             SELECT count(*) FROM t;\n{end}"
        ));
        if !begin.is_empty() {
            // In a bracketed paste all is one text, and the person at the terminal is asked.
            terminal.wait_for("Go on? [y/N] ");
            terminal.type_keys("y\r");
        }
        terminal.wait_for("2 rows of STDIN to t");
        let shown = terminal.wait_for("(1 row");
        assert!(shown.contains(" 2\r\n"), "{shown}");
    }
}

#[test]
fn what_begins_no_statement_is_answered_at_once() {
    let home = tempfile::tempdir().expect("a directory");
    let mut terminal = Terminal::open(home.path(), WIDE);
    for (typed, answer) in [
        ("HLEP", "did you mean `HELP`?"),
        (".tables", "short forms begin with a backslash here"),
        ("SELCT * FROM t", "did you mean `SELECT`?"),
        ("use zoo", "zoo"),
    ] {
        terminal.type_keys(&format!("{typed}\r"));
        terminal.wait_for("error: ");
        terminal.wait_for(answer);
        terminal.wait_for("tholos> ");
    }
    terminal.type_keys("SELECT *\r");
    terminal.wait_for("...> ");
    terminal.type_keys("FROM system.local\r");
    terminal.wait_for("...> ");
    terminal.type_keys("\\?\r");
    terminal.wait_for("describe a table");
    terminal.wait_for("...> ");
    terminal.type_keys("help\r");
    terminal.wait_for("this is inside a statement");
    terminal.wait_for("is a ; missing at the end of line 2?");
    terminal.wait_for("...> ");
    terminal.type_keys("\\q\r");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn results_stop_where_the_screen_is_full() {
    let home = tempfile::tempdir().expect("a directory");
    let table = "CREATE TABLE t (a int, b int, PRIMARY KEY (a, b));";
    let mut terminal = Terminal::with_table(home.path(), (40, 100), table);
    let rows: String =
        (0..60).map(|b| format!("INSERT INTO t (a, b) VALUES (0, {b});\n")).collect();
    terminal.type_keys(&format!("{rows}SELECT b FROM t;\n"));
    let screen = terminal.wait_for("--More-- Space");
    let shown = screen.rsplit("SELECT b FROM t;").next().unwrap_or_default();
    assert!(shown.contains("33\r\n") && !shown.contains("34\r\n"), "{shown}");
    terminal.type_keys(" ");
    let rest = terminal.wait_for("(60 rows");
    assert!(rest.contains("34\r\n") && rest.contains("59\r\n"), "{rest}");
}
