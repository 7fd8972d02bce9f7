//! Requests of several replicas: those of this node's clients, and what other nodes ask of this one.
//!
//! The machines of `cluster/request` say what is to be done; here it is done, and they are told what came of it. Nobody
//! blocks: a message goes out, a write waits for the log, a read for a thread. Somebody has to look when the log is further
//! or a time is over: [`Operations::turn`].
//!
//! ```text
//! begin(Write)   -> Send(this node), Send(1), Send(2)    applied here; two messages
//! turn           the log is on disk                      Ack(this node)
//! receive(1, Response Written)                           Ack(1): QUORUM is met, the client's mailbox has the outcome
//! receive(2, Response Written)                           Ack(2): over
//! ```

mod coordinating;
mod serving;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::Mutex;
use tholos_cluster::message::{Message, RequestId, Response};
use tholos_cluster::placement::Placement;
use tholos_cluster::request::Refusal;
use tholos_cluster::request::range::RangeRead;
use tholos_cluster::request::read::{self, Micros, ReadContext, Rows};
use tholos_cluster::request::write::{self, Write};
use tholos_cluster::ring::NodeIndex;
use tholos_storage::commitlog::LogPosition;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::read::page::Answer;
use uuid::Uuid;

use self::coordinating::too_few_alive;
use super::gather::Gather;
use super::log_acks::{Ack, LogAcks};
use super::mailbox::Mailbox;
use super::pool::Pool;
use crate::error::QueryError;
use crate::execute::modify::Replicated;
use crate::execute::reaches;
use crate::node::Node;
use crate::session::step::{Operation, ReadOperation, Reply, WriteOperation};

/// What is under way between a node and others.
pub struct Operations {
    node: Arc<Node>,
    pool: Arc<Pool>,
    /// Moments are counted from here.
    began: Instant,
    next: AtomicU64,
    pending: DashMap<u64, Pending>,
    due: Mutex<BTreeSet<(Instant, u64)>>,
    log: LogAcks,
    /// Who takes turns, while nothing is to be done.
    driver: Mutex<Option<Waker>>,
}

/// A part of an operation that is under way.
struct Pending {
    machine: Machine,
    placement: Arc<Placement>,
    deadline: Instant,
    gather: Arc<Gather>,
    part: usize,
}

enum Machine {
    Write(Write, Arc<[Mutation]>),
    Read(RangeRead),
}

/// What a machine is told.
enum Input {
    Write(write::Input),
    Read(read::Input),
    Time,
}

/// What is to be done, and then to be told.
type Inputs = VecDeque<(u64, Input)>;

/// Whom a request came from.
#[derive(Clone, Copy, Debug)]
enum Asker {
    /// This node itself.
    Own(RequestId),
    Other(Uuid, RequestId),
}

/// What this node did as a replica.
enum Done {
    Written,
    Answer(Answer),
    Refused(Refusal),
}

impl Operations {
    /// Of a node; what takes its time is done by the pool.
    pub fn new(node: Arc<Node>, pool: Arc<Pool>) -> Operations {
        // Answers to what was asked before a restart may come yet: they must find nothing.
        let first = node.random().bits() >> 1;
        Operations {
            began: node.clock().instant(),
            node,
            pool,
            next: AtomicU64::new(first),
            pending: DashMap::new(),
            due: Mutex::default(),
            log: LogAcks::default(),
            driver: Mutex::default(),
        }
    }

    /// Threads that may take their time.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Begins an operation, whose outcome goes into the mailbox by the number that it gets.
    pub fn begin(self: &Arc<Self>, operation: Operation, reply_to: &Arc<Mailbox<Reply>>) -> u64 {
        let reply_to = Arc::downgrade(reply_to);
        match operation {
            Operation::Write(write) => self.begin_write(write, reply_to),
            Operation::Read(read) => self.begin_read(read, reply_to),
            Operation::Durable(position) => {
                let number = self.number(1);
                let gather = Arc::new(Gather::new(number, reply_to, 1, false));
                self.await_log(position, Ack::Part(gather, 0));
                number
            }
        }
    }

    fn begin_write(
        self: &Arc<Self>,
        operation: WriteOperation,
        reply_to: Weak<Mailbox<Reply>>,
    ) -> u64 {
        let WriteOperation { writes, level, position, deadline } = operation;
        let first = self.number(writes.len());
        let gather = Arc::new(Gather::new(first, reply_to, writes.len() + 1, false));
        // What this node alone has a say in is one part more.
        let own = writes.len();
        if position == LogPosition::default() || self.node.engine().is_durable_at_once() {
            gather.done(own, Ok(Rows::default()));
        } else {
            self.await_log(position, Ack::Part(Arc::clone(&gather), own));
        }
        let mut begun = Vec::with_capacity(writes.len());
        for Replicated { placement, token, mutations } in writes {
            let mut effects = Vec::new();
            let is_alive = |node| self.is_alive(&placement, node);
            let write = Write::begin(Arc::clone(&placement), token, level, is_alive, &mut effects);
            match write {
                Ok(write) => begun.push((write, effects, placement, mutations)),
                // Those that were alive a moment ago are not any more; nothing was sent to anybody.
                Err(short) => {
                    gather.done(0, Err(too_few_alive(level, short, position)));
                    return first;
                }
            }
        }
        for (part, (write, effects, placement, mutations)) in begun.into_iter().enumerate() {
            let (machine, gather) = (Machine::Write(write, mutations), Arc::clone(&gather));
            let number = first + part as u64;
            self.add(number, Pending { machine, placement, deadline, gather, part });
            let mut inputs = Inputs::new();
            self.write_effects(number, effects, &mut inputs);
            self.feed(inputs);
        }
        first
    }

    fn begin_read(
        self: &Arc<Self>,
        operation: ReadOperation,
        reply_to: Weak<Mailbox<Reply>>,
    ) -> u64 {
        let ReadOperation { reads, level, deadline } = operation;
        let first = self.number(reads.len());
        let gather = Arc::new(Gather::new(first, reply_to, reads.len(), true));
        for (part, read) in reads.iter().enumerate() {
            let placement = Arc::clone(&read.placement);
            let context = ReadContext {
                placement: Arc::clone(&placement),
                level,
                deadline: self.micros(deadline),
            };
            let mut effects = Vec::new();
            let order = |replicas: &[NodeIndex]| self.in_order(&placement, replicas);
            let begun = RangeRead::begin(context, read.command.clone(), &order, &mut effects);
            let (machine, gather) = (Machine::Read(begun), Arc::clone(&gather));
            let number = first + part as u64;
            self.add(number, Pending { machine, placement, deadline, gather, part });
            let mut inputs = Inputs::new();
            self.read_effects(number, effects, &mut inputs);
            self.feed(inputs);
        }
        first
    }

    /// Takes a request, or an answer, of another node. Other protocols' messages are not for here.
    pub fn receive(self: &Arc<Self>, from: Uuid, message: Message) {
        match message {
            Message::Request { id, time_left, request } => {
                let until = self.now() + Duration::from_micros(time_left.into());
                self.carry_out(Asker::Other(from, id), until, request);
            }
            Message::Response { id, response } => {
                let Some(node) = self.node_of(id.operation, from) else { return };
                let done = match response {
                    Response::Written => Done::Written,
                    Response::Answer(answer) => Done::Answer(answer),
                    Response::Refused(refusal) => Done::Refused(refusal),
                };
                self.told(id, node, done);
            }
            Message::Peer { .. } => {}
        }
    }

    /// Looks how far the log is and what time it is; says when to look again at the latest. The task is woken before, if
    /// there is something to be done.
    pub fn turn(self: &Arc<Self>, cx: &mut Context<'_>) -> Option<Instant> {
        *self.driver.lock() = Some(cx.waker().clone());
        for (ack, is_durable) in self.log.poll(self.node.engine(), cx) {
            let done = if is_durable { Done::Written } else { Done::Refused(Refusal::Failed) };
            match ack {
                Ack::Own(id) => self.finish(Asker::Own(id), done),
                Ack::Other(host, id) => self.finish(Asker::Other(host, id), done),
                Ack::Part(gather, part) if is_durable => gather.done(part, Ok(Rows::default())),
                Ack::Part(gather, part) => {
                    let what = "the commit log can't be written: the write is visible, and may or may not survive a crash";
                    gather.done(part, Err(QueryError::WriteTimeout(what.to_string())));
                }
            }
        }
        let now = self.now();
        loop {
            let (at, number) = self.due.lock().first().copied()?;
            if at > now {
                return Some(at);
            }
            self.feed(Inputs::from([(number, Input::Time)]));
            self.due.lock().remove(&(at, number));
        }
    }

    /// How many parts of operations are under way.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

/// Numbers, times, and who is where.
impl Operations {
    fn number(&self, count: usize) -> u64 {
        self.next.fetch_add(count.max(1) as u64, Ordering::Relaxed)
    }

    fn now(&self) -> Instant {
        self.node.clock().instant()
    }

    fn micros(&self, at: Instant) -> Micros {
        let since = at.saturating_duration_since(self.began).as_micros();
        Micros::try_from(since).unwrap_or(Micros::MAX)
    }

    fn is_own(&self, placement: &Placement, node: NodeIndex) -> bool {
        let host_id = self.node.identity().host_id;
        placement.ring().node(node).is_some_and(|node| node.host_id == host_id)
    }

    fn is_alive(&self, placement: &Placement, node: NodeIndex) -> bool {
        self.is_own(placement, node) || reaches(self.node.network(), placement, node)
    }

    /// Replicas that are alive, the nearest first: this node, its rack, its data centre.
    fn in_order(&self, placement: &Placement, replicas: &[NodeIndex]) -> Vec<NodeIndex> {
        let config = self.node.config();
        let alive = replicas.iter().copied().filter(|node| self.is_alive(placement, *node));
        let mut order: Vec<NodeIndex> = alive.collect();
        order.sort_by_key(|index| {
            let node = placement.ring().node(*index);
            let is_near = node.is_some_and(|node| node.data_center == config.data_center);
            let is_nearer = is_near && node.is_some_and(|node| node.rack == config.rack);
            (!self.is_own(placement, *index), !is_nearer, !is_near)
        });
        order
    }

    /// Which node of the ring that an operation was begun with has that host id.
    fn node_of(&self, operation: u64, host: Uuid) -> Option<NodeIndex> {
        let pending = self.pending.get(&operation)?;
        let nodes = pending.placement.ring().nodes();
        let place = nodes.iter().position(|node| node.host_id == host)?;
        NodeIndex::try_from(place).ok()
    }

    fn add(&self, number: u64, pending: Pending) {
        let at = pending.deadline;
        self.pending.insert(number, pending);
        let is_first = {
            let mut due = self.due.lock();
            due.insert((at, number));
            due.first() == Some(&(at, number))
        };
        if is_first {
            self.wake();
        }
    }

    fn await_log(&self, position: LogPosition, ack: Ack) {
        if self.log.push(position, ack) {
            self.wake();
        }
    }

    fn wake(&self) {
        let driver = self.driver.lock().take();
        driver.into_iter().for_each(Waker::wake);
    }
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operations({} pending)", self.pending.len())
    }
}
