//! A client: requests as they come from the protocol, to a session that may not wait for the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::batch::{Batch, BatchKind, BatchStatement, StatementRef};
use tholos_grammar::protocol::request::execute::Execute;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::prepare::Prepare;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_grammar::protocol::values::ValueList;
use tholos_server::clock::{ManualWall, Wall};
use tholos_server::error::QueryError;
use tholos_server::halt::{Halt, PutOff};
use tholos_server::node::Node;
use tholos_server::session::Session;
use tholos_server::session::step::{Continuation, Operation, Outcome, Step, Steps};
use tholos_storage::commitlog::LogPosition;

use super::text::Text;

/// A client with a session of its own.
#[derive(Debug)]
pub struct Client {
    session: Session,
    version: Version,
    /// By their text: the ids of what was prepared, and the schema's age then.
    prepared: BTreeMap<String, Prepared>,
    wall: Arc<ManualWall>,
    /// When its last request was carried out: it took its time from the clock then.
    pub began: i64,
    /// Writes that are not acknowledged yet.
    waiting: Vec<(LogPosition, Continuation)>,
    /// How many of its requests met the cold disk.
    pub cold: u64,
}

#[derive(Clone, Debug)]
struct Prepared {
    id: Vec<u8>,
    metadata_id: Vec<u8>,
    age: u64,
}

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// As text.
    Plain,
    /// As text with values beside it.
    Bound,
    /// Prepared.
    Prepared,
}

/// A row of an answer: bytes of its cells.
pub type RowBytes = Vec<Option<Vec<u8>>>;

/// What a request came to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A write, which is acknowledged when it is durable.
    Written,
    /// A page of rows, and where the next one begins.
    Rows(Vec<RowBytes>, Option<Vec<u8>>),
    /// Anything else.
    Done,
}

/// How a page of rows is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The level.
    pub consistency: Consistency,
    /// Rows in a page.
    pub page_size: Option<i32>,
    /// Where it begins.
    pub from: Option<Vec<u8>>,
}

impl Client {
    /// A client of that node.
    pub fn new(node: &Arc<Node>, wall: &Arc<ManualWall>, version: Version) -> Client {
        let session = Session::without_waiting(Arc::clone(node), version);
        let wall = Arc::clone(wall);
        Client {
            session,
            version,
            prepared: BTreeMap::new(),
            wall,
            began: 0,
            waiting: Vec::new(),
            cold: 0,
        }
    }

    /// The version of the protocol that it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Runs a request; all over in a session that may wait, if it is put off to one.
    fn run(
        &mut self,
        request: impl Fn(&mut Session, &mut Vec<u8>) -> Steps,
    ) -> Result<Answer, Halt> {
        let mut body = Vec::new();
        self.begin();
        let mut step = request(&mut self.session, &mut body);
        if let Ok(Step::PutOff { why: PutOff::Disk | PutOff::Long, .. }) = step {
            self.cold += 1;
            self.begin();
            step = request(&mut self.session.twin(), &mut body);
        }
        match step.map_err(|failure| failure.error)? {
            Step::Answer(_) => Ok(decode(&body, self.version)?),
            Step::Wait(Operation::Durable(position), continuation) => {
                self.waiting.push((position, continuation));
                Ok(Answer::Written)
            }
            Step::Wait(operation, _) => {
                let what = format!("there is one node alone: {operation:?}");
                Err(QueryError::Internal(what).into())
            }
            Step::PutOff { why, .. } => Err(why.into()),
        }
    }

    /// Once the log is on disk, what waits for it is answered.
    ///
    /// # Errors
    /// Something still waits, or is answered with something else than VOID.
    pub fn acknowledge(&mut self, durable: impl Fn(LogPosition) -> bool) -> Result<(), String> {
        for (position, continuation) in self.waiting.drain(..) {
            if !durable(position) {
                return Err(format!("the log was synced, and {position:?} is not durable"));
            }
            let mut body = Vec::new();
            let resumed = self.session.resume(continuation, Ok(Outcome::Written), &mut body);
            resumed.map_err(|failure| failure.error.to_string())?;
            match decode(&body, self.version) {
                Ok(Answer::Done) => {}
                other => return Err(format!("a write was answered with {other:?}")),
            }
        }
        Ok(())
    }

    /// No two requests are carried out in one microsecond, so that it is known which timestamp each gets.
    fn begin(&mut self) {
        self.wall.advance(1);
        self.began = self.wall.micros();
    }

    /// Runs one statement. `age` is that of the schema and the node: what was prepared before may be unknown.
    pub fn statement(
        &mut self,
        text: &Text,
        form: Form,
        asked: &Asked,
        age: u64,
    ) -> Result<Answer, Halt> {
        let bound = text.bound();
        match form {
            Form::Plain => self.query(&text.plain, &ValueList::positional(), asked),
            Form::Bound => self.query(&text.marked, &bound, asked),
            Form::Prepared => self.execute(&text.marked, &bound, asked, age),
        }
    }

    fn query(&mut self, text: &str, values: &ValueList, asked: &Asked) -> Result<Answer, Halt> {
        let query = Query { text, parameters: parameters(values, asked) };
        self.run(|session, out| session.query(&query, session.node().clock().instant(), out))
    }

    fn execute(
        &mut self,
        text: &str,
        values: &ValueList,
        asked: &Asked,
        age: u64,
    ) -> Result<Answer, Halt> {
        loop {
            let prepared = self.prepare(text, age)?;
            let parameters = QueryParameters { skip_metadata: true, ..parameters(values, asked) };
            let (id, result_metadata_id) = (&prepared.id, &prepared.metadata_id);
            let execute = Execute { id, result_metadata_id, parameters };
            match self.run(|session, out| {
                session.execute(&execute, session.node().clock().instant(), out)
            }) {
                Err(Halt::Failed(QueryError::Unprepared { .. })) if prepared.age < age => {
                    self.prepared.remove(text);
                }
                answer => return answer,
            }
        }
    }

    fn prepare(&mut self, text: &str, age: u64) -> Result<Prepared, QueryError> {
        if let Some(prepared) = self.prepared.get(text) {
            return Ok(prepared.clone());
        }
        let mut body = Vec::new();
        let prepare = Prepare { text, keyspace: None };
        self.session.prepare(&prepare, &mut body).map_err(|failure| failure.error)?;
        let QueryResult::Prepared(result) = result(&body, self.version)? else {
            return Err(QueryError::Internal("PREPARE was answered with something else".into()));
        };
        let (id, metadata_id) = (result.id.to_vec(), result.result_metadata_id.to_vec());
        let prepared = Prepared { id, metadata_id, age };
        self.prepared.insert(text.to_string(), prepared.clone());
        Ok(prepared)
    }

    /// Runs a batch of statements, each as text or prepared.
    pub fn batch(
        &mut self,
        kind: BatchKind,
        statements: &[(Text, Form)],
        consistency: Consistency,
        age: u64,
    ) -> Result<Answer, Halt> {
        let values: Vec<ValueList> = statements
            .iter()
            .map(|(text, form)| match form {
                Form::Plain => ValueList::positional(),
                _ => text.bound(),
            })
            .collect();
        loop {
            let mut ids = Vec::new();
            for (text, form) in statements {
                ids.push(match form {
                    Form::Prepared => Some(self.prepare(&text.marked, age)?),
                    _ => None,
                });
            }
            let mut parts = Vec::new();
            for ((text, form), (values, prepared)) in statements.iter().zip(values.iter().zip(&ids))
            {
                let statement = match (prepared, form) {
                    (Some(prepared), _) => StatementRef::Prepared(&prepared.id),
                    (None, Form::Plain) => StatementRef::Text(&text.plain),
                    (None, _) => StatementRef::Text(&text.marked),
                };
                parts.push(BatchStatement { statement, values: values.as_values() });
            }
            let batch = Batch {
                kind,
                statements: parts,
                consistency,
                serial_consistency: None,
                timestamp: None,
                keyspace: None,
                now_in_seconds: None,
            };
            let outcome = self
                .run(|session, out| session.batch(&batch, session.node().clock().instant(), out));
            let is_old = ids.iter().flatten().any(|prepared| prepared.age < age);
            match outcome {
                Err(Halt::Failed(QueryError::Unprepared { id })) if is_old => {
                    self.prepared.retain(|_, prepared| prepared.id != id);
                }
                outcome => return outcome,
            }
        }
    }
}

fn parameters<'a>(values: &'a ValueList, asked: &'a Asked) -> QueryParameters<'a> {
    QueryParameters {
        consistency: asked.consistency,
        values: values.as_values(),
        page_size: asked.page_size,
        paging_state: asked.from.as_deref(),
        ..QueryParameters::default()
    }
}

fn result(body: &[u8], version: Version) -> Result<QueryResult<'_>, QueryError> {
    let mut rest = body;
    QueryResult::decode(&mut rest, version)
        .map_err(|error| QueryError::Internal(format!("the answer is not readable: {error}")))
}

fn decode(body: &[u8], version: Version) -> Result<Answer, QueryError> {
    let QueryResult::Rows(rows) = result(body, version)? else { return Ok(Answer::Done) };
    let state = rows.metadata().paging_state.clone();
    let rows = rows.iter().map(|row| row.map(|cell| cell.map(<[u8]>::to_vec)).collect());
    Ok(Answer::Rows(rows.collect(), state))
}
