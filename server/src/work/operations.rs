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

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::Mutex;
use tholos_cluster::consistency::Shortage;
use tholos_cluster::message::{Message, Request, RequestId, Response};
use tholos_cluster::placement::Placement;
use tholos_cluster::request::range::RangeRead;
use tholos_cluster::request::read::{self, Micros, Part, ReadContext, Rows};
use tholos_cluster::request::write::{self, Write};
use tholos_cluster::request::{Refusal, RequestError};
use tholos_cluster::ring::NodeIndex;
use tholos_grammar::consistency::Consistency;
use tholos_storage::StorageError;
use tholos_storage::commitlog::LogPosition;
use tholos_storage::fs::nowait::without_waiting;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::ReadCommand;
use tholos_storage::read::page::Answer;
use uuid::Uuid;

use super::gather::Gather;
use super::log_acks::{Ack, LogAcks};
use super::mailbox::Mailbox;
use super::pool::{Class, Pool};
use crate::error::QueryError;
use crate::execute::modify::Replicated;
use crate::execute::reaches;
use crate::node::Node;
use crate::session::step::{Operation, ReadOperation, Reply, WriteOperation};

/// What it means that too few replicas wrote, or answered, and what to do.
const WRITE_ADVICE: &str =
    "the write may be there, or take effect later: send it again if that does no harm";
const READ_ADVICE: &str = "send it again, or read at a lower consistency level";

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
        Operations {
            began: node.clock().instant(),
            node,
            pool,
            next: AtomicU64::new(1),
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

/// The coordinator's side.
impl Operations {
    /// Tells machines what happened, and does what they say, until there is nothing more.
    fn feed(self: &Arc<Self>, mut inputs: Inputs) {
        while let Some((number, input)) = inputs.pop_front() {
            let Some(mut pending) = self.pending.get_mut(&number) else { continue };
            let now = self.micros(self.now());
            let is_wanted = pending.gather.is_wanted();
            match (&mut pending.machine, input) {
                (Machine::Write(write, _), input) => {
                    let mut effects = Vec::new();
                    match input {
                        Input::Write(input) => write.on(input, &mut effects),
                        Input::Time => write.on(write::Input::Deadline, &mut effects),
                        Input::Read(_) => {}
                    }
                    let is_over = write.is_over();
                    drop(pending);
                    self.write_effects(number, effects, &mut inputs);
                    if is_over {
                        self.forget(number);
                    }
                }
                (Machine::Read(read), input) => {
                    let mut effects = Vec::new();
                    match input {
                        Input::Read(input) => read.on(now, input, &mut effects),
                        Input::Time => read.on(now, read::Input::Tick, &mut effects),
                        Input::Write(_) => {}
                    }
                    let is_over = effects.iter().any(|e| matches!(e, read::Effect::Done(_)));
                    drop(pending);
                    // Nobody waits for what its client does not want any more.
                    if is_wanted {
                        self.read_effects(number, effects, &mut inputs);
                    }
                    if is_over || !is_wanted {
                        self.forget(number);
                    }
                }
            }
        }
    }

    fn forget(&self, number: u64) {
        if let Some((_, pending)) = self.pending.remove(&number) {
            self.due.lock().remove(&(pending.deadline, number));
        }
    }

    fn write_effects(
        self: &Arc<Self>,
        number: u64,
        effects: Vec<write::Effect>,
        inputs: &mut Inputs,
    ) {
        for effect in effects {
            let Some(pending) = self.pending.get(&number) else { return };
            let Machine::Write(_, mutations) = &pending.machine else { return };
            let (mutations, deadline) = (Arc::clone(mutations), pending.deadline);
            let (placement, gather) = (Arc::clone(&pending.placement), Arc::clone(&pending.gather));
            let part = pending.part;
            drop(pending);
            match effect {
                write::Effect::Send(node) => {
                    let id = RequestId { operation: number, part: 0 };
                    let sent = self.ask(&placement, node, id, deadline, Request::Write(mutations));
                    if let Err(refusal) = sent {
                        let input = write::Input::Refused(node, refusal);
                        inputs.push_back((number, Input::Write(input)));
                    }
                }
                write::Effect::Hint(node) => {
                    if let Some(node) = placement.ring().node(node) {
                        self.node.network().hint(node.host_id, &mutations);
                    }
                }
                write::Effect::Answer(result) => {
                    let error =
                        |error| QueryError::of_replicas(error, WRITE_ADVICE, address(&placement));
                    gather.done(part, result.map(|()| Rows::default()).map_err(error));
                }
            }
        }
    }

    fn read_effects(self: &Arc<Self>, number: u64, effects: read::Effects, inputs: &mut Inputs) {
        for effect in effects {
            let Some(pending) = self.pending.get(&number) else { return };
            let (placement, gather) = (Arc::clone(&pending.placement), Arc::clone(&pending.gather));
            let (deadline, own_part) = (pending.deadline, pending.part);
            drop(pending);
            let (part, to, request) = match effect {
                read::Effect::Read { part, to, command } => (part, to, Request::Read(command)),
                read::Effect::Repair { part, to, mutations } => {
                    (part, to, Request::Write(mutations))
                }
                read::Effect::Done(result) => {
                    let error =
                        |error| QueryError::of_replicas(error, READ_ADVICE, address(&placement));
                    gather.done(own_part, result.map_err(error));
                    continue;
                }
            };
            let id = RequestId { operation: number, part };
            if let Err(reason) = self.ask(&placement, to, id, deadline, request) {
                let failed = read::Input::Failed { part, from: to, reason };
                inputs.push_back((number, Input::Read(failed)));
            }
        }
    }

    /// Asks a replica, which may be this node.
    fn ask(
        self: &Arc<Self>,
        placement: &Placement,
        node: NodeIndex,
        id: RequestId,
        deadline: Instant,
        request: Request,
    ) -> Result<(), Refusal> {
        let Some(to) = placement.ring().node(node) else { return Err(Refusal::Unreachable) };
        if to.host_id == self.node.identity().host_id {
            self.carry_out(Asker::Own(id), deadline, request);
            return Ok(());
        }
        let left = deadline.saturating_duration_since(self.now()).as_micros();
        let time_left = u32::try_from(left).unwrap_or(u32::MAX);
        let message = Message::Request { id, time_left, request };
        let sent = self.node.network().send(to.host_id, message);
        if sent { Ok(()) } else { Err(Refusal::Unreachable) }
    }

    /// A replica did what an operation wanted of it.
    fn told(self: &Arc<Self>, id: RequestId, from: NodeIndex, done: Done) {
        let Some(pending) = self.pending.get(&id.operation) else { return };
        let is_write = matches!(pending.machine, Machine::Write(..));
        drop(pending);
        let part: Part = id.part;
        let input = match (done, is_write) {
            (Done::Written, true) => Input::Write(write::Input::Ack(from)),
            (Done::Refused(why), true) => Input::Write(write::Input::Refused(from, why)),
            // It was not asked to read anything.
            (Done::Answer(_), true) => return,
            (Done::Written, false) => Input::Read(read::Input::Written { part, from }),
            (Done::Answer(answer), false) => {
                Input::Read(read::Input::Answered { part, from, answer })
            }
            (Done::Refused(reason), false) => {
                Input::Read(read::Input::Failed { part, from, reason })
            }
        };
        self.feed(Inputs::from([(id.operation, input)]));
    }
}

/// The replica's side.
impl Operations {
    /// Does what is asked of this node, now or in a thread that may wait; whoever asked is told.
    fn carry_out(self: &Arc<Self>, asker: Asker, until: Instant, request: Request) {
        match request {
            Request::Write(mutations) => self.write(asker, &mutations),
            Request::Read(command) => {
                let class = match without_waiting(|| self.read(&command)) {
                    Err(StorageError::WouldWait { .. }) => Class::Disk,
                    Err(StorageError::WouldTakeLong) => Class::Long,
                    answer => return self.finish(asker, read_done(answer)),
                };
                let operations = Arc::clone(self);
                let job = move || {
                    let done = operations.read_in_time(&command, until);
                    operations.finish(asker, done);
                };
                self.pool.submit(class, Box::new(job));
            }
        }
    }

    fn write(self: &Arc<Self>, asker: Asker, mutations: &[Mutation]) {
        let engine = self.node.engine();
        if !engine.admits_writes() {
            return self.finish(asker, Done::Refused(Refusal::Overloaded));
        }
        let mut position = LogPosition::default();
        for mutation in mutations {
            match engine.apply(mutation) {
                Ok(at) => position = position.max(at),
                Err(error) => {
                    tracing::warn!(%error, "a write of another node's client failed here");
                    return self.finish(asker, Done::Refused(Refusal::Failed));
                }
            }
        }
        if engine.is_durable_at_once() {
            return self.finish(asker, Done::Written);
        }
        self.await_log(
            position,
            match asker {
                Asker::Own(id) => Ack::Own(id),
                Asker::Other(host, id) => Ack::Other(host, id),
            },
        );
    }

    fn read(&self, command: &ReadCommand) -> Result<Answer, StorageError> {
        self.node.engine().table(command.table)?.answer(command)
    }

    /// What nobody waits for any more is not read.
    fn read_in_time(&self, command: &ReadCommand, until: Instant) -> Done {
        if self.now() >= until {
            return Done::Refused(Refusal::Overloaded);
        }
        read_done(self.read(command))
    }

    fn finish(self: &Arc<Self>, asker: Asker, done: Done) {
        match asker {
            Asker::Own(id) => {
                let host = self.node.identity().host_id;
                if let Some(node) = self.node_of(id.operation, host) {
                    self.told(id, node, done);
                }
            }
            Asker::Other(host, id) => {
                let response = match done {
                    Done::Written => Response::Written,
                    Done::Answer(answer) => Response::Answer(answer),
                    Done::Refused(refusal) => Response::Refused(refusal),
                };
                // If it can't be told, its time will be over.
                self.node.network().send(host, Message::Response { id, response });
            }
        }
    }
}

/// Nothing was done, unless this node has written already what it alone has a say in.
fn too_few_alive(level: Consistency, short: Shortage, own: LogPosition) -> QueryError {
    let Shortage { required, present } = short;
    let error = match own == LogPosition::default() {
        true => RequestError::Unavailable { level, required, alive: present },
        false => RequestError::Timeout { level, required, received: 0, data_present: false },
    };
    QueryError::of_replicas(error, WRITE_ADVICE, |_| None)
}

fn read_done(answer: Result<Answer, StorageError>) -> Done {
    match answer {
        Ok(answer) => Done::Answer(answer),
        Err(error) => {
            tracing::warn!(%error, "a read of several replicas failed here");
            Done::Refused(Refusal::Failed)
        }
    }
}

/// Where the nodes of a placement's ring are.
fn address(placement: &Placement) -> impl Fn(NodeIndex) -> Option<IpAddr> + '_ {
    |node| placement.ring().node(node).map(|node| node.address.ip())
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operations({} pending)", self.pending.len())
    }
}
