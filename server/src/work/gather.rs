//! One operation of a client that has several parts: answered when all of them are through, or the first has failed.

use std::sync::Weak;

use parking_lot::Mutex;
use tholos_cluster::request::read::Rows;

use super::mailbox::Mailbox;
use crate::error::QueryError;
use crate::session::step::{Outcome, Reply};

/// The parts of one operation.
#[derive(Debug)]
pub(super) struct Gather {
    operation: u64,
    reply_to: Weak<Mailbox<Reply>>,
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    left: usize,
    /// What came of reads, by part.
    rows: Vec<Rows>,
    reads: bool,
    is_over: bool,
}

impl Gather {
    /// Of an operation whose outcome goes there.
    pub(super) fn new(
        operation: u64,
        reply_to: Weak<Mailbox<Reply>>,
        parts: usize,
        reads: bool,
    ) -> Gather {
        let rows = if reads { vec![Rows::default(); parts] } else { Vec::new() };
        let parts = Mutex::new(Parts { left: parts, rows, reads, is_over: false });
        Gather { operation, reply_to, parts }
    }

    /// Whether anybody still waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.reply_to.strong_count() > 0 && !self.parts.lock().is_over
    }

    /// A part is through.
    pub(super) fn done(&self, part: usize, result: Result<Rows, QueryError>) {
        let outcome = {
            let mut parts = self.parts.lock();
            if parts.is_over {
                return;
            }
            let outcome = match result {
                Ok(rows) => {
                    if let Some(place) = parts.rows.get_mut(part) {
                        *place = rows;
                    }
                    parts.left -= 1;
                    if parts.left > 0 {
                        return;
                    }
                    Ok(match parts.reads {
                        true => Outcome::Read(std::mem::take(&mut parts.rows)),
                        false => Outcome::Written,
                    })
                }
                Err(error) => Err(error),
            };
            parts.is_over = true;
            outcome
        };
        if let Some(mailbox) = self.reply_to.upgrade() {
            mailbox.push((self.operation, outcome));
        }
    }
}
