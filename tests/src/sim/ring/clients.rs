//! What clients of a simulated ring ask for, and whether what they are answered may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::header::Version as Protocol;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::query::Query;
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_server::error::QueryError;
use tholos_server::session::Session;
use tholos_server::session::step::{Step, Steps};

use super::super::world::{Outcome, Violation, violation};
use super::nodes::{Asked, Ring, Waits, What};
use super::rows::{Key, Seen, Version};

const PARTITIONS: u64 = 3;
const ROWS: u64 = 4;

impl Ring {
    /// A client that has nothing under way asks for something.
    ///
    /// # Errors
    /// The answer is wrong.
    pub fn statement(&mut self) -> Outcome {
        let idle: Vec<usize> = (0..self.clients.len())
            .filter(|number| self.clients[*number].waits.is_none())
            .collect();
        if idle.is_empty() {
            return self.deliver();
        }
        let number = *self.random.pick(&idle);
        let on = self.random.below(self.members.len() as u64) as usize;
        let Some(running) = &self.members[on].running else { return Ok(()) };
        let session = Session::new(Arc::clone(&running.node), Protocol::V5);
        let client = &mut self.clients[number];
        (client.on, client.session) = (on, Some(session));
        let asked = if self.random.percent(50) { self.any_write() } else { self.any_read() };
        self.statements += 1;
        self.note(format!("client {number} to node {on}: {} at {}", asked.cql, asked.level));
        if let What::Write(writes) = &asked.what {
            writes.iter().for_each(|(key, version)| self.rows.begin(*key, *version));
        }
        let client = &mut self.clients[number];
        let Some(session) = &mut client.session else { return Ok(()) };
        let parameters = QueryParameters { consistency: asked.level, ..QueryParameters::default() };
        let query = Query { text: &asked.cql, parameters };
        let mut body = Vec::new();
        let steps = session.query(&query, session.node().clock().instant(), &mut body);
        self.stepped(number, asked, steps, &body)
    }

    fn any_level(&mut self) -> Consistency {
        let levels = [Consistency::One, Consistency::Quorum, Consistency::Quorum, Consistency::All];
        *self.random.pick(&levels)
    }

    fn any_write(&mut self) -> Asked {
        let (p, c) = (self.random.below(PARTITIONS), self.random.below(ROWS));
        let at = 1 + self.random.below(5_000) as i64;
        let value = self.random.below(1_000) as i32;
        let put = Version { at, deletes: false, value };
        let delete = Version { at, deletes: true, value: 0 };
        let (cql, writes) = match self.random.weighted(&[40, 25, 15, 10, 10]) {
            0 => {
                let cql = format!(
                    "INSERT INTO k.t (p, c, v) VALUES ({p}, {c}, {value}) USING TIMESTAMP {at}"
                );
                (cql, vec![((p, c), put)])
            }
            1 => {
                let cql = format!(
                    "UPDATE k.t USING TIMESTAMP {at} SET v = {value} WHERE p = {p} AND c = {c}"
                );
                (cql, vec![((p, c), put)])
            }
            2 => {
                let cql = format!("DELETE FROM k.t USING TIMESTAMP {at} WHERE p = {p} AND c = {c}");
                (cql, vec![((p, c), delete)])
            }
            3 => {
                let cql =
                    format!("DELETE FROM k.t USING TIMESTAMP {at} WHERE p = {p} AND c >= {c}");
                (cql, (c..ROWS).map(|c| ((p, c), delete)).collect())
            }
            _ => {
                let insert =
                    |p: u64| format!("INSERT INTO k.t (p, c, v) VALUES ({p}, {c}, {value});");
                let inserts: String = (0..PARTITIONS).map(insert).collect();
                let cql =
                    format!("BEGIN UNLOGGED BATCH USING TIMESTAMP {at} {inserts} APPLY BATCH");
                (cql, (0..PARTITIONS).map(|p| ((p, c), put)).collect())
            }
        };
        Asked { cql, level: self.any_level(), what: What::Write(writes) }
    }

    fn any_read(&mut self) -> Asked {
        let (p, c) = (self.random.below(PARTITIONS), self.random.below(ROWS));
        let shown = "SELECT p, c, v, writetime(v) FROM k.t";
        let (cql, keys): (String, Vec<Key>) = match self.random.weighted(&[40, 30, 15, 15]) {
            0 => (format!("{shown} WHERE p = {p} AND c = {c}"), vec![(p, c)]),
            1 => (format!("{shown} WHERE p = {p}"), (0..ROWS).map(|c| (p, c)).collect()),
            2 => {
                let cql = format!("{shown} WHERE p IN (0, 1, 2) AND c <= {c} ORDER BY c DESC");
                (cql, all_rows().filter(|key| key.1 <= c).collect())
            }
            _ => (shown.to_string(), all_rows().collect()),
        };
        let floors = keys.into_iter().map(|key| (key, self.rows.floor(key))).collect();
        Asked { cql, level: self.any_level(), what: What::Read(floors) }
    }

    /// What becomes of a client's request.
    pub(super) fn stepped(
        &mut self,
        number: usize,
        asked: Asked,
        steps: Steps,
        body: &[u8],
    ) -> Outcome {
        let client = &mut self.clients[number];
        match steps {
            Ok(Step::Answer(_)) => self.answered(number, &asked, body),
            Ok(Step::Wait(operation, continuation)) => {
                let Some(running) = &self.members[client.on].running else { return Ok(()) };
                let operation = running.operations.begin(operation, &client.mailbox);
                client.waits = Some(Waits { operation, continuation, asked });
                Ok(())
            }
            Ok(Step::PutOff { why, .. }) => {
                violation(format!("{} is put off in a session that may wait: {why:?}", asked.cql))
            }
            Err(failure) => self.failed(number, &asked, &failure.error),
        }
    }

    fn failed(&mut self, number: usize, asked: &Asked, error: &QueryError) -> Outcome {
        self.note(format!("client {number}: {error}"));
        match (error, &asked.what) {
            // Nothing of it was done.
            (QueryError::Unavailable { .. } | QueryError::Overloaded(_), What::Write(writes)) => {
                writes.iter().for_each(|(key, version)| self.rows.refuse(*key, *version));
                Ok(())
            }
            (QueryError::Unavailable { .. } | QueryError::Replicas { .. }, _) => Ok(()),
            _ => violation(format!("{} failed with {error}", asked.cql)),
        }
    }

    fn answered(&mut self, number: usize, asked: &Asked, body: &[u8]) -> Outcome {
        let at_quorum = matches!(asked.level, Consistency::Quorum | Consistency::All);
        match &asked.what {
            What::Write(writes) => {
                self.note(format!("client {number}: written"));
                let by_all = asked.level == Consistency::All;
                for (key, version) in writes.iter().filter(|_| at_quorum) {
                    self.rows.acknowledge(*key, *version, by_all);
                }
                Ok(())
            }
            What::Read(floors) => {
                let seen = rows_of(body)?;
                self.note(format!("client {number}: {seen:?}"));
                if let Some(key) = seen.keys().find(|key| !floors.contains_key(key)) {
                    return violation(format!("{} shows row {key:?}", asked.cql));
                }
                for (key, floor) in floors {
                    let seen: Seen = seen.get(key).copied();
                    let checked = self.rows.check(*key, seen, *floor, at_quorum);
                    checked.map_err(|what| {
                        Violation(format!("{} at {}: {what}", asked.cql, asked.level))
                    })?;
                }
                Ok(())
            }
        }
    }
}

fn all_rows() -> impl Iterator<Item = Key> {
    (0..PARTITIONS).flat_map(|p| (0..ROWS).map(move |c| (p, c)))
}

/// The rows of an answer.
pub(super) fn rows_of(body: &[u8]) -> Outcome<BTreeMap<Key, (i32, i64)>> {
    let result = QueryResult::decode(&mut &*body, Protocol::V5);
    let Ok(QueryResult::Rows(rows)) = result else {
        return violation("an answer that is not readable");
    };
    let mut seen = BTreeMap::new();
    for row in rows.iter() {
        let cells: Vec<i64> = row.map(|cell| cell.map_or(i64::MIN, number)).collect();
        let [p, c, value, at] = cells[..] else { return violation("a row of four cells") };
        let key = (p as u64, c as u64);
        if seen.insert(key, (value as i32, at)).is_some() {
            return violation(format!("row {key:?} is shown twice"));
        }
    }
    Ok(seen)
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}
