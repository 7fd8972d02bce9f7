//! The replica's side: what is asked of this node, by itself or by others, is done, and whoever asked is told.

use std::sync::Arc;
use std::time::Instant;

use tholos_cluster::message::{Message, Request, Response};
use tholos_cluster::request::Refusal;
use tholos_storage::StorageError;
use tholos_storage::commitlog::LogPosition;
use tholos_storage::fs::nowait::without_waiting;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::ReadCommand;
use tholos_storage::read::page::Answer;

use super::super::log_acks::Ack;
use super::super::pool::Class;
use super::{Asker, Done, Operations};

impl Operations {
    /// Does what is asked of this node, now or in a thread that may wait; whoever asked is told.
    pub(super) fn carry_out(self: &Arc<Self>, asker: Asker, until: Instant, request: Request) {
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

    pub(super) fn finish(self: &Arc<Self>, asker: Asker, done: Done) {
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

fn read_done(answer: Result<Answer, StorageError>) -> Done {
    match answer {
        Ok(answer) => Done::Answer(answer),
        Err(error) => {
            tracing::warn!(%error, "a read of several replicas failed here");
            Done::Refused(Refusal::Failed)
        }
    }
}
