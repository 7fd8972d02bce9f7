//! `kill -9` at random moments under writers: nothing acknowledged is lost, nothing appears that was never written, and
//! every start is quick. `THOLOS_KILL_ROUNDS` sets the number of rounds, `THOLOS_SEED` the moments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::values::ValueList;
use tholos_shell::client::{
    ClientError, ConnectOptions, Connection, PreparedStatement, RequestOptions,
};
use tholos_tests::server::Start;

const WRITERS: i32 = 16;
const START_GOAL: Duration = Duration::from_secs(1);
/// Every so many writes a writer deletes one of its earlier rows instead.
const DELETE_EVERY: i64 = 5;

/// What one writer knows of its rows after a round.
#[derive(Debug, Default)]
struct Ledger {
    /// Sequence numbers and the value acknowledged, or `None` for an acknowledged deletion.
    acknowledged: BTreeMap<i64, Option<String>>,
    /// The one statement that was not answered when the server was killed: it may have happened.
    unknown: Option<(i64, Option<String>)>,
    next: i64,
}

struct Writer {
    connection: Connection,
    insert: PreparedStatement,
    delete: PreparedStatement,
}

fn connect(address: SocketAddr) -> Result<Connection, ClientError> {
    Connection::connect(&address.to_string(), &ConnectOptions::default())
}

fn values(of: &[&[u8]]) -> ValueList {
    let mut list = ValueList::positional();
    for value in of {
        list.push(RawValue::Bytes(value)).expect("fewer than 65,536 values");
    }
    list
}

impl Writer {
    fn open(address: SocketAddr) -> Result<Writer, ClientError> {
        let mut connection = connect(address)?;
        let insert =
            connection.prepare("INSERT INTO killed.rows (writer, seq, value) VALUES (?, ?, ?)")?;
        let delete = connection.prepare("DELETE FROM killed.rows WHERE writer = ? AND seq = ?")?;
        Ok(Writer { connection, insert, delete })
    }

    /// Writes until the server is gone. The ledger says what is certain and what is not.
    fn write(&mut self, writer: i32, round: u64, ledger: &mut Ledger) {
        loop {
            ledger.next += 1;
            let (seq, value) = if ledger.next % DELETE_EVERY == 0 {
                (ledger.next - DELETE_EVERY + 1, None)
            } else {
                (ledger.next, Some(format!("round {round} writer {writer} seq {}", ledger.next)))
            };
            ledger.unknown = Some((seq, value.clone()));
            let (writer_bytes, seq_bytes) = (writer.to_be_bytes(), seq.to_be_bytes());
            let options = RequestOptions::default();
            let answer = match &value {
                Some(text) => {
                    let list = values(&[&writer_bytes, &seq_bytes, text.as_bytes()]);
                    self.connection.execute(&mut self.insert, &list, &options)
                }
                None => self.connection.execute(
                    &mut self.delete,
                    &values(&[&writer_bytes, &seq_bytes]),
                    &options,
                ),
            };
            match answer {
                Ok(_) => {
                    ledger.unknown = None;
                    ledger.acknowledged.insert(seq, value);
                }
                Err(error) => {
                    assert!(
                        !error.is_connection_usable(),
                        "a write failed while the server lived: {error}"
                    );
                    return;
                }
            }
        }
    }
}

/// All rows of a writer, as the server tells them.
fn read(connection: &mut Connection, writer: i32) -> BTreeMap<i64, String> {
    let text = format!("SELECT seq, value FROM killed.rows WHERE writer = {writer}");
    let mut rows = BTreeMap::new();
    let mut options = RequestOptions { page_size: Some(5_000), ..RequestOptions::default() };
    loop {
        let page = connection
            .query(&text, &options)
            .expect("readable after a restart")
            .into_rows()
            .expect("rows");
        for row in page.rows {
            let [Some(seq), Some(value)] = row.as_slice() else {
                panic!("a row with null: {row:?}")
            };
            let seq = i64::from_be_bytes(seq.as_slice().try_into().expect("8 bytes of bigint"));
            rows.insert(seq, String::from_utf8(value.clone()).expect("text"));
        }
        match page.metadata.paging_state {
            Some(state) => options.paging_state = Some(state),
            None => return rows,
        }
    }
}

/// What was acknowledged is there; what was not answered is there or not; nothing else is.
fn check(writer: i32, ledger: &mut Ledger, mut rows: BTreeMap<i64, String>, round: u64) {
    if let Some((seq, value)) = ledger.unknown.take() {
        let there = rows.get(&seq).cloned();
        let before = ledger.acknowledged.get(&seq).cloned().flatten();
        assert!(
            there == value || there == before,
            "round {round}, writer {writer}, seq {seq}: {there:?}, not {value:?}"
        );
        ledger.acknowledged.insert(seq, there);
    }
    for (seq, expected) in &ledger.acknowledged {
        let there = rows.remove(seq);
        assert_eq!(
            &there, expected,
            "round {round}: writer {writer}, seq {seq}: an acknowledged write is lost"
        );
    }
    assert!(
        rows.is_empty(),
        "round {round}: writer {writer}: rows that were never written: {rows:?}"
    );
}

fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn number_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let rounds = number_from_env("THOLOS_KILL_ROUNDS", 12);
    let mut random = number_from_env("THOLOS_SEED", 0x0074_0105);
    let data = tempfile::tempdir().expect("a temporary directory");
    let config = data.path().join("tholos.toml");
    // Small memtables and segments: rounds then also hit flushes, compactions and recycled segments.
    std::fs::write(
        &config,
        "[memory]\nmemtable_mib = 1\n[commit_log]\nsegment_mib = 1\ntotal_mib = 4\n",
    )
    .expect("config");
    let config = config.to_string_lossy().into_owned();
    let node = data.path().join("data");
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(|_| Ledger::default()).collect();
    let mut slowest = Duration::ZERO;
    for round in 0..=rounds {
        let start = Start { arguments: &["--config", &config], ..Start::new(&node) };
        let server = start.run().unwrap_or_else(|error| panic!("round {round}: {error}"));
        slowest = slowest.max(server.time_to_ready);
        assert!(
            server.time_to_ready < START_GOAL,
            "round {round}: {:?} to start",
            server.time_to_ready
        );
        let mut control = connect(server.address).expect("a connection");
        if round == 0 {
            for statement in [
                "CREATE KEYSPACE killed WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
                "CREATE TABLE killed.rows (writer int, seq bigint, value text, PRIMARY KEY (writer, seq))",
            ] {
                control.query(statement, &RequestOptions::default()).expect("schema");
            }
        }
        for (writer, ledger) in (0..).zip(&mut ledgers) {
            check(writer, ledger, read(&mut control, writer), round);
        }
        if round == rounds {
            break;
        }
        let pause = Duration::from_micros(10_000 + next_random(&mut random) % 250_000);
        let killed = AtomicBool::new(false);
        let address = server.address;
        std::thread::scope(|scope| {
            for (writer, ledger) in (0..).zip(&mut ledgers) {
                let killed = &killed;
                scope.spawn(move || match Writer::open(address) {
                    Ok(mut open) => open.write(writer, round, ledger),
                    Err(error) => assert!(killed.load(Ordering::SeqCst), "no connection: {error}"),
                });
            }
            std::thread::sleep(pause);
            killed.store(true, Ordering::SeqCst);
            server.kill();
        });
    }
    let written: usize = ledgers.iter().map(|ledger| ledger.acknowledged.len()).sum();
    assert!(written > 0, "no writer got anything done");
    println!("{rounds} rounds, {written} rows acknowledged, slowest start {slowest:?}");
}
