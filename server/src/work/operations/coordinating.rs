//! The coordinator's side: machines are told what happened, and what they say is done.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tholos_cluster::consistency::Shortage;
use tholos_cluster::message::{Message, Request, RequestId};
use tholos_cluster::placement::Placement;
use tholos_cluster::request::read::{self, Part, Rows};
use tholos_cluster::request::write;
use tholos_cluster::request::{Refusal, RequestError};
use tholos_cluster::ring::NodeIndex;
use tholos_grammar::consistency::Consistency;
use tholos_storage::commitlog::LogPosition;

use super::{Asker, Done, Input, Inputs, Machine, Operations};
use crate::error::QueryError;

/// What it means that too few replicas wrote, or answered, and what to do.
const WRITE_ADVICE: &str =
    "the write may be there, or take effect later: send it again if that does no harm";
const READ_ADVICE: &str = "send it again, or read at a lower consistency level";

impl Operations {
    /// Tells machines what happened, and does what they say, until there is nothing more.
    pub(super) fn feed(self: &Arc<Self>, mut inputs: Inputs) {
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

    pub(super) fn write_effects(
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

    pub(super) fn read_effects(
        self: &Arc<Self>,
        number: u64,
        effects: read::Effects,
        inputs: &mut Inputs,
    ) {
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
    pub(super) fn told(self: &Arc<Self>, id: RequestId, from: NodeIndex, done: Done) {
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

/// Nothing was done, unless this node has written already what it alone has a say in.
pub(super) fn too_few_alive(level: Consistency, short: Shortage, own: LogPosition) -> QueryError {
    let Shortage { required, present } = short;
    let error = match own == LogPosition::default() {
        true => RequestError::Unavailable { level, required, alive: present },
        false => RequestError::Timeout { level, required, received: 0, data_present: false },
    };
    QueryError::of_replicas(error, WRITE_ADVICE, |_| None)
}

/// Where the nodes of a placement's ring are.
fn address(placement: &Placement) -> impl Fn(NodeIndex) -> Option<IpAddr> + '_ {
    |node| placement.ring().node(node).map(|node| node.address.ip())
}
