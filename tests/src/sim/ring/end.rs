//! The end of a history: everybody is there again, and all say the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::header::Version as Protocol;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::request::query::Query;
use tholos_server::session::Session;
use tholos_server::session::step::{Reply, Step};
use tholos_server::work::mailbox::Mailbox;

use super::super::world::{Outcome, Violation, violation};
use super::clients::rows_of;
use super::nodes::Ring;
use super::rows::Key;

impl Ring {
    /// All nodes run and hear each other, and what was under way comes to its end.
    ///
    /// # Errors
    /// A node does not start; an answer is wrong.
    pub fn heal(&mut self) -> Outcome {
        (self.lost, self.twice) = (0, 0);
        {
            let mut wires = self.wires.get();
            wires.cut.clear();
            wires.dead.clear();
        }
        for index in 0..self.members.len() {
            if self.members[index].running.is_none() {
                self.start_again(index)?;
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> Outcome {
        for _ in 0..40 {
            loop {
                for index in 0..self.members.len() {
                    if let Some(running) = &self.members[index].running {
                        let synced = running.node.engine().sync_log();
                        synced.map_err(|error| Violation(format!("node {index}: {error}")))?;
                    }
                }
                self.settle()?;
                if self.wires.get().letters.is_empty() {
                    break;
                }
                self.deliver_one(0, false, false)?;
            }
            if self.clients.iter().all(|client| client.waits.is_none()) {
                return Ok(());
            }
            self.wall.advance(1_000_000);
        }
        violation("a request does not end")
    }

    /// After a read of everything at ALL all nodes have the same, and nothing is under way any more.
    ///
    /// # Errors
    /// They differ.
    pub fn check(&mut self) -> Outcome {
        let cql = "SELECT p, c, v, writetime(v) FROM k.t";
        let mut first: Option<BTreeMap<Key, (i32, i64)>> = None;
        let nodes = self.members.len();
        for (level, on) in [(Consistency::All, 0)]
            .into_iter()
            .chain((0..nodes).map(|on| (Consistency::One, on)))
            .chain((0..nodes).map(|on| (Consistency::Quorum, on)))
        {
            let seen = self.read_alone(on, cql, level)?;
            match &first {
                None => first = Some(seen),
                Some(first) if *first != seen => {
                    return violation(format!(
                        "node {on} at {level} has {seen:?}, and all had {first:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        // Writes that clients were told of long ago are given up too.
        self.wall.advance(11_000_000);
        self.settle()?;
        for (index, member) in self.members.iter().enumerate() {
            let pending = member.running.as_ref().map_or(0, |r| r.operations.pending());
            if pending > 0 {
                return violation(format!("{pending} operations of node {index} never end"));
            }
        }
        Ok(())
    }

    /// A read that nothing comes between, by the first client.
    fn read_alone(
        &mut self,
        on: usize,
        cql: &str,
        level: Consistency,
    ) -> Outcome<BTreeMap<Key, (i32, i64)>> {
        let Some(running) = &self.members[on].running else { return violation("it runs") };
        let operations = Arc::clone(&running.operations);
        let mut session = Session::new(Arc::clone(&running.node), Protocol::V5);
        let mailbox: Arc<Mailbox<Reply>> = Arc::default();
        let parameters = QueryParameters { consistency: level, ..QueryParameters::default() };
        let query = Query { text: cql, parameters };
        let mut body = Vec::new();
        let mut steps = session.query(&query, session.node().clock().instant(), &mut body);
        loop {
            match steps {
                Ok(Step::Answer(_)) => return rows_of(&body),
                Ok(Step::Wait(operation, continuation)) => {
                    operations.begin(operation, &mailbox);
                    self.finish()?;
                    let mut cx = Context::from_waker(Waker::noop());
                    let Poll::Ready((_, outcome)) = mailbox.poll(&mut cx) else {
                        return violation(format!("{cql} at {level} does not end"));
                    };
                    steps = session.resume(continuation, outcome, &mut body);
                }
                Ok(Step::PutOff { why, .. }) => return violation(format!("{cql}: {why:?}")),
                Err(failure) => {
                    return violation(format!("{cql} at {level}: {}", failure.error));
                }
            }
        }
    }
}
