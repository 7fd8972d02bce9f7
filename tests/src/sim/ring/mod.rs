//! Several simulated nodes: whole ones, with their disks, sessions and operations, in one thread, and a network that loses,
//! repeats, delays and reorders what they say.
//!
//! Clients write and read a few rows at all levels while nodes crash and lose what they had not synced, messages are lost,
//! and parts of the ring can't reach each other. All writes have timestamps of their own, so what the newest of some writes
//! is follows from the law of merging alone, and every answer can be checked:
//!
//! - a read never invents: what it shows was written, by a write that was not refused for good;
//! - what ALL acknowledged every later read sees, or something newer; what QUORUM acknowledged every later read at QUORUM;
//! - a read at QUORUM is not older than an earlier one, unless a node crashed: what is read may not be synced yet where it
//!   was read, and is lost with that node if nobody was told that it is written;
//! - success means that as many nodes as the level says have the write (that is what the two above find);
//! - in the end, when everybody is there and has been read at ALL, all nodes answer the same.
//!
//! - [`nodes`] is the ring and what it lives in, [`network`] what is on its way, [`rows`] what is known of each row.
//! - [`clients`] ask and check; [`end`] is the end.

pub mod clients;
pub mod end;
pub mod network;
pub mod nodes;
pub mod rows;

use super::Report;
use super::world::{Outcome, Violation};
use nodes::Ring;

/// Runs the history of a seed with so many nodes, of about so many statements.
pub fn run(seed: u64, nodes: u8, statements: u64, keeps_lines: bool) -> Report {
    let mut ring = Ring::new(seed, nodes, keeps_lines);
    let outcome = history(&mut ring, statements);
    if let Err(Violation(what)) = &outcome {
        ring.note(format!("VIOLATION: {what}"));
    }
    Report {
        seed,
        statements: ring.statements,
        faults: ring.faults,
        hash: ring.trace.hash(),
        violation: outcome.err().map(|Violation(what)| what),
        lines: ring.trace.into_lines(),
    }
}

fn history(ring: &mut Ring, statements: u64) -> Outcome {
    ring.begin()?;
    while ring.statements < statements {
        match ring.random.weighted(&[30, 40, 16, 6, 4]) {
            0 => ring.statement()?,
            1 => ring.deliver()?,
            2 => ring.sync_one()?,
            3 => ring.pass()?,
            _ => ring.fault()?,
        }
    }
    ring.heal()?;
    ring.check()
}
