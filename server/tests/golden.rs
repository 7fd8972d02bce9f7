//! Golden scripts: statements in, what clients are told out, on an in-memory node.
//!
//! Scripts are in `golden/cql`, one test each; `UPDATE_GOLDENFILES=1 cargo test -p tholos-server --test golden` writes
//! their expected output anew. A command is one of:
//!
//! - `> STATEMENT`: runs one statement, and shows its answer; errors and warnings too. A prefix (`b: > ...`) names the
//!   session; without one it is the same session throughout.
//! - `page SIZE STATEMENT VALUE...`: all pages of a SELECT, of that many rows each.
//! - `first SIZE STATEMENT VALUE...`: the first page of a SELECT, whose paging state is kept; `next`, with the same
//!   arguments, goes on from there.
//! - `bind STATEMENT VALUE...`: one statement with values for its markers: `null`, `unset`, `int/5` (four bytes) or
//!   `text/abc`.
//! - `consistency LEVEL STATEMENT`: one statement at that level.
//! - `at MICROSECONDS STATEMENT`: one statement with that client timestamp.
//! - `clock MICROSECONDS`: sets the clock; it stands still by itself, but every request gets a later timestamp.
//! - `flush`: writes memtables to SSTables. `restart`: closes the node and opens it on the same files.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use goldenscript::{Command, Context};
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::values::ValueList;
use tholos_server::clock::ManualWall;
use tholos_server::config::Config;
use tholos_server::error::QueryError;
use tholos_server::node::{Node, NodeOptions};
use tholos_server::query::functions::Random;
use tholos_server::session::Session;
use tholos_server::session::text::TextOutcome;
use tholos_storage::fs::Fs;
use tholos_storage::fs::memory::MemoryFs;

/// Counts: the same ids in every run.
#[derive(Debug)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

struct Runner {
    fs: Arc<dyn Fs>,
    wall: Arc<ManualWall>,
    node: Option<Arc<Node>>,
    sessions: BTreeMap<String, Session>,
    /// Where the last `first` or `next` ended.
    state: Option<Vec<u8>>,
}

impl Runner {
    fn new() -> Runner {
        let fs = Arc::new(MemoryFs::new());
        let wall = Arc::new(ManualWall::at(1_700_000_000_000_000));
        Runner { fs, wall, node: None, sessions: BTreeMap::new(), state: None }
    }

    fn node(&mut self) -> Arc<Node> {
        if let Some(node) = &self.node {
            return Arc::clone(node);
        }
        let config = Config { data_dir: PathBuf::from("/data"), ..Config::default() };
        let mut options = NodeOptions::real(config, ([127, 0, 0, 1], 9042).into());
        options.fs = Arc::clone(&self.fs);
        options.wall = Arc::clone(&self.wall) as _;
        options.random = Box::new(Counting(AtomicU64::new(1)));
        let node = Arc::new(Node::open(options).expect("the node opens"));
        self.node = Some(Arc::clone(&node));
        node
    }

    fn session(&mut self, name: &str) -> &mut Session {
        let node = self.node();
        let new = || Session::new(node, Version::V5);
        self.sessions.entry(name.to_string()).or_insert_with(new)
    }

    fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        self.sessions.clear();
        if let Some(node) = self.node.take() {
            node.close()?;
        }
        Ok(())
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let name = context.prefix.clone().unwrap_or_default();
        let mut args = command.consume_args();
        let mut next = |what: &str| args.next_pos().map(str::to_string).ok_or(what.to_string());
        Ok(match command.name.as_str() {
            "page" => {
                let size = next("no size")?.parse()?;
                let statement = next("no statement")?;
                let values = values(&mut args)?;
                pages(self.session(&name), size, &statement, &values)?
            }
            command @ ("first" | "next") => {
                let size = next("no size")?.parse()?;
                let statement = next("no statement")?;
                let values = values(&mut args)?;
                let state = self.state.take().filter(|_| command == "next");
                let parameters = QueryParameters {
                    page_size: Some(size),
                    paging_state: state.as_deref(),
                    values: values.as_values(),
                    ..QueryParameters::default()
                };
                let outcome = self.session(&name).execute_text_with(&statement, &parameters);
                self.state = paging_state(&outcome);
                told(outcome)
            }
            "bind" => {
                let statement = next("no statement")?;
                let values = values(&mut args)?;
                let values = values.as_values();
                let parameters = QueryParameters { values, ..QueryParameters::default() };
                told(self.session(&name).execute_text_with(&statement, &parameters))
            }
            "consistency" => {
                let consistency = next("no level")?.parse()?;
                let statement = next("no statement")?;
                let parameters = QueryParameters { consistency, ..QueryParameters::default() };
                told(self.session(&name).execute_text_with(&statement, &parameters))
            }
            "at" => {
                let timestamp = Some(next("no timestamp")?.parse()?);
                let statement = next("no statement")?;
                let parameters = QueryParameters { timestamp, ..QueryParameters::default() };
                told(self.session(&name).execute_text_with(&statement, &parameters))
            }
            "clock" => {
                self.wall.set(next("no time")?.parse()?);
                String::new()
            }
            "flush" => {
                self.node().engine().flush_all()?;
                String::new()
            }
            "restart" => {
                self.restart()?;
                String::new()
            }
            statement => told(self.session(&name).execute_text(statement)),
        })
    }
}

/// Values as they are written in scripts.
fn values(written: &mut goldenscript::ArgumentConsumer<'_>) -> Result<ValueList, Box<dyn Error>> {
    let mut list = ValueList::positional();
    while let Some(value) = written.next_pos() {
        match value.split_once('/') {
            Some(("int", number)) => {
                list.push(RawValue::Bytes(&number.parse::<i32>()?.to_be_bytes()))?;
            }
            Some(("text", text)) => list.push(RawValue::Bytes(text.as_bytes()))?,
            None if value == "null" => list.push(RawValue::Null)?,
            None if value == "unset" => list.push(RawValue::NotSet)?,
            _ => return Err(format!("{value} is no value").into()),
        }
    }
    Ok(list)
}

fn paging_state(outcome: &Result<(TextOutcome, Vec<String>), QueryError>) -> Option<Vec<u8>> {
    match outcome {
        Ok((TextOutcome::Rows(rows), _)) => rows.paging_state.clone(),
        _ => None,
    }
}

fn pages(
    session: &mut Session,
    size: i32,
    statement: &str,
    values: &ValueList,
) -> Result<String, Box<dyn Error>> {
    let mut output = String::new();
    let mut state: Option<Vec<u8>> = None;
    loop {
        let parameters = QueryParameters {
            page_size: Some(size),
            paging_state: state.as_deref(),
            values: values.as_values(),
            ..QueryParameters::default()
        };
        let outcome = session.execute_text_with(statement, &parameters);
        state = paging_state(&outcome);
        output.push_str(&told(outcome));
        if state.is_none() {
            return Ok(output);
        }
    }
}

fn told(outcome: Result<(TextOutcome, Vec<String>), QueryError>) -> String {
    let mut output = String::new();
    match outcome {
        Ok((outcome, warnings)) => {
            for warning in warnings {
                writeln!(output, "warning: {warning}").expect("writing to a String");
            }
            writeln!(output, "{outcome}").expect("writing to a String");
        }
        Err(error) => {
            let kind = format!("{error:?}");
            let kind = kind.split(['(', ' ', '{']).next().unwrap_or_default();
            writeln!(output, "{kind}: {error}").expect("writing to a String");
        }
    }
    output
}

#[test]
fn scripts() {
    let directory = Path::new("tests/golden/cql");
    let mut scripts: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    for script in scripts {
        println!("{}", script.display());
        goldenscript::run(&mut Runner::new(), &script).unwrap();
    }
}
