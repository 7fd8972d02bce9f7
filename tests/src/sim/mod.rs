//! A simulated node: one thread, a clock and a disk that a seed moves, clients that send what drivers send, and a model that
//! says what each answer must be.
//!
//! A history is a few hundred statements of several sessions, CQL text and prepared: writes with and without timestamps and
//! times to live, batches, counters, reads whole and by pages, changes of the schema. Between them anything else happens:
//! the log is synced, memtables are flushed and files compacted, time passes, the disk is slow, cold, full or fails, the
//! node is closed or killed, and the machine loses power, after any call that changes its disk. A flush or a compaction is
//! stopped between two of its writes, and clients go on meanwhile.
//!
//! - [`world`] is the node and what it lives in; [`client`] a session and its requests.
//! - [`table`], [`value`], [`model`], [`select`], [`mod@write`] are the model: it uses nothing of the storage engine.
//! - [`generate`] makes tables and statements; [`statements`], [`schema`] and [`crash`] do what may happen and check it.
//!
//! - [`ring`]: several nodes, and a network between them.
//!
//! Equal seeds make equal traces: a hash of every statement, answer, fault and call of the disk. What the model can't tell
//! is not generated, so nothing is checked loosely.

pub mod client;
pub mod crash;
pub mod generate;
pub mod model;
pub mod random;
pub mod ring;
pub mod schema;
pub mod select;
pub mod statements;
pub mod table;
pub mod text;
pub mod trace;
pub mod value;
pub mod world;
pub mod write;

use self::world::{Outcome, Violation, World};

/// Statements in a history, unless it is said otherwise.
pub const STATEMENTS: u64 = 200;

/// What a history came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Statements that were sent.
    pub statements: u64,
    /// Crashes, failing calls, full disks, cold reads, writes without room.
    pub faults: u64,
    /// The hash of its trace.
    pub hash: u64,
    /// What was wrong, if anything was.
    pub violation: Option<String>,
    /// Its trace, if that was asked for.
    pub lines: Vec<String>,
}

/// Runs the history of a seed with so many nodes, of about so many statements.
pub fn run(seed: u64, nodes: u8, statements: u64, keeps_lines: bool) -> Report {
    if nodes > 1 {
        return ring::run(seed, nodes, statements, keeps_lines);
    }
    let mut world = match World::new(seed, keeps_lines) {
        Ok(world) => world,
        Err(Violation(what)) => {
            let violation = Some(what);
            let (statements, faults, hash) = (0, 0, 0);
            return Report { seed, statements, faults, hash, violation, lines: Vec::new() };
        }
    };
    let outcome = history(&mut world, statements);
    if let Err(Violation(what)) = &outcome {
        world.note(format!("VIOLATION: {what}"));
    }
    Report {
        seed,
        statements: world.statements,
        faults: world.faults,
        hash: world.trace.hash(),
        violation: outcome.err().map(|Violation(what)| what),
        lines: world.trace.into_lines(),
    }
}

fn history(world: &mut World, statements: u64) -> Outcome {
    world.begin()?;
    while world.statements < statements {
        statement(world)?;
        between(world)?;
        if world.trouble.is_none() && world.random.percent(5) {
            incident(world)?;
        }
        if let Some((trouble, turns)) = world.trouble {
            world.trouble = Some((trouble, turns.saturating_sub(1)));
            if turns <= 1 {
                world.end_trouble()?;
            }
        }
    }
    if world.trouble.is_some() {
        world.end_trouble()?;
    }
    while world.background()? {}
    world.check()?;
    world.crash()
}

/// A client does something.
fn statement(world: &mut World) -> Outcome {
    match world.random.weighted(&[48, 30, 8, 8, 6]) {
        0 => world.write(),
        1 => world.read(),
        2 => world.read_pages(meanwhile),
        3 if world.trouble.is_none() => world.batch(),
        4 if world.trouble.is_none() => match world.any_change() {
            Some(ddl) if world.random.percent(50) => world.change(&ddl),
            _ => world.write(),
        },
        _ => world.read(),
    }
}

/// What happens between two statements, and between two pages.
fn between(world: &mut World) -> Outcome {
    let short = world.random.between(1, 3_000);
    world.pass(short);
    if world.random.percent(25) {
        world.sync()?;
    }
    match world.random.below(10) {
        0 if world.trouble.is_none() => {
            world.background_in_slices(halfway)?;
        }
        0 | 1 => {
            world.background()?;
        }
        _ => {}
    }
    if world.random.percent(10) {
        let seconds = world.random.between(1, 15);
        world.pass(seconds * 1_000_000);
    }
    Ok(())
}

/// What happens between two pages: time passes, others write.
fn meanwhile(world: &mut World) -> Outcome {
    between(world)?;
    if world.random.percent(50) { world.write() } else { Ok(()) }
}

/// What happens in the middle of a flush or a compaction: anything but another.
fn halfway(world: &mut World) -> Outcome {
    for _ in 0..world.random.below(3) {
        match world.random.weighted(&[40, 30, 10, 10, 10]) {
            0 if world.has_room() => world.write()?,
            2 if world.has_room() => world.batch()?,
            3 => {
                world.sync()?;
            }
            4 => match world.any_change() {
                Some(ddl) => world.change(&ddl)?,
                None => world.read()?,
            },
            _ => world.read()?,
        }
    }
    Ok(())
}

/// What rarely happens.
fn incident(world: &mut World) -> Outcome {
    match world.random.weighted(&[20, 15, 15, 20, 8, 10, 12]) {
        0 => world.crash_within(),
        1 => world.crash(),
        2 => world.restart(),
        3 => {
            world.fs.chill();
            world.note("the disk is cold".to_string());
            Ok(())
        }
        4 => {
            let micros = *world.random.pick(&[0, 100, 2_000]);
            world.slow_down(micros);
            world.note(format!("the disk takes {micros} µs a call"));
            Ok(())
        }
        5 => {
            // Tombstones may be purged from then on.
            let seconds = world.random.between(60, 400);
            world.sync()?;
            world.pass(seconds * 1_000_000);
            world.note(format!("{seconds} s pass"));
            Ok(())
        }
        _ => {
            world.begin_trouble();
            Ok(())
        }
    }
}
