//! The hints of a node, in files: segments per target, and a ledger that says which there are.
//!
//! A hint is in memory when it is [appended](HintStore::append) and durable after the next [`sync`](HintStore::sync), which
//! writes what has gathered for a target as records of its segment: one journal each (`<target>-<number>.hints`). A
//! segment that is full is sealed: the ledger then has its end, its ages and its tokens, so that its loss can be noticed
//! and what was in it is known without reading it. Nothing is appended to what an earlier run wrote.
//!
//! ```text
//! append a, b; sync      b7..-1.hints: [a b]                  durable
//! append c; sync         b7..-1.hints: [a b] [c]
//! read, advance to c     the ledger has the cursor            c alone is read after a restart
//! advance past c         b7..-1.hints is removed
//! ```
//!
//! Invariant: a hint that was taken is delivered, or its token is marked as one that its target may lack, or its table or
//! its target is gone. The mark is durable before, or with, the removal of the hint.

mod open;
mod read;
mod write;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tholos_storage::fs::Fs;
use tholos_storage::journal::{Journal, JournalFormat};
use tholos_storage::model::Timestamp;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::token_range::TokenRanges;
use uuid::Uuid;

pub use self::read::{Chunk, Verdict};
use super::ledger::{Kept, Ledger, Op};
use super::marks::Marks;
use super::record::{Summary, encode_hint, token};
use crate::planted::planted;

pub(super) const SEGMENT_FORMAT: JournalFormat = JournalFormat::new(*b"THLShint", 1);
/// Ranges of tokens that a target may lack; more become fewer larger ones.
const MAX_DIRTY_RANGES: usize = 64;
/// A record of a segment is not begun anew for every hint, but when the last is larger than this.
const RECORD_BYTES: usize = 256 << 10;
/// What a hint counts beside its own bytes: more than the headers that it may need.
const OVERHEAD_BYTES: u64 = 24;

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintLimits {
    /// A segment is sealed before it is longer, unless a single record is.
    pub segment_bytes: u64,
    /// Bytes kept for one target.
    pub target_bytes: u64,
    /// Bytes kept for all targets.
    pub total_bytes: u64,
    /// Bytes in memory that are not synced.
    pub buffer_bytes: u64,
    /// Microseconds after which a hint is not delivered any more.
    pub window: i64,
}

impl Default for HintLimits {
    fn default() -> HintLimits {
        HintLimits {
            segment_bytes: 32 << 20,
            target_bytes: 1 << 30,
            total_bytes: 4 << 30,
            buffer_bytes: 16 << 20,
            window: 3 * 3600 * 1_000_000,
        }
    }
}

/// A hint was not taken: there is no room for it. Its token is marked as one that the target may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// For this target.
    #[error(
        "hints for node {target} take all of the {limit} bytes they may: the write is not kept for it, and its range needs a repair"
    )]
    Target {
        /// The target.
        target: Uuid,
        /// Bytes that are kept for one target.
        limit: u64,
    },
    /// For any target.
    #[error(
        "hints take all of the {limit} bytes they may: the write is not kept for node {target}, and its range needs a repair"
    )]
    Total {
        /// The target.
        target: Uuid,
        /// Bytes that are kept for all.
        limit: u64,
    },
    /// In memory: more hints come than the disk takes, or it takes none.
    #[error(
        "{pending} bytes of hints wait for the disk: the write is not kept for node {target}, and its range needs a repair"
    )]
    Behind {
        /// The target.
        target: Uuid,
        /// Bytes that are not synced.
        pending: u64,
    },
}

/// Which of its target's hints one is, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintPosition {
    target: Uuid,
    number: u64,
}

/// Numbers of one target's hints. The counts are since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HintFigures {
    /// Hints that wait to be delivered.
    pub pending: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// When the oldest of them was made, or one before it.
    pub oldest: Option<Timestamp>,
    /// Ranges that the target may lack.
    pub dirty_ranges: u64,
    /// Hints that the target took.
    pub delivered: u64,
    /// Hints that became too old; their tokens were marked.
    pub expired: u64,
    /// Hints that there was no room for; their tokens were marked.
    pub overflowed: u64,
    /// Hints of tables that are gone, or were emptied since.
    pub dropped: u64,
    /// Segments that could not be read; their tokens were marked.
    pub damaged: u64,
}

/// The hints of a node. See the module.
#[derive(Debug)]
pub struct HintStore {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    limits: HintLimits,
    ledger: Ledger,
    targets: BTreeMap<Uuid, Target>,
    next_segment: u64,
    /// The time on the wall that was told last.
    wall: Timestamp,
    /// The latest time that was told or given to a mark.
    clock: Timestamp,
    /// Bytes of all targets.
    total_bytes: u64,
    /// Bytes that are not synced, of all targets.
    pending_bytes: u64,
    /// Files that are removed once the ledger does not name them.
    finished: Vec<PathBuf>,
}

/// What is in memory of a target.
#[derive(Debug, Default)]
struct Target {
    /// Records that are to be written.
    pending: VecDeque<Pending>,
    active: Option<Active>,
    appended: u64,
    durable: u64,
    /// Bytes of its segments and of what is pending.
    bytes: u64,
    /// The record that was read last.
    cached: Option<(u64, u64, Arc<Vec<u8>>)>,
    figures: HintFigures,
}

/// A record to be written.
#[derive(Debug, Default)]
struct Pending {
    payload: Vec<u8>,
    summary: Summary,
    /// What it counts against the limits until it is written.
    charged: u64,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Active {
    segment: u64,
    journal: Journal,
    summary: Summary,
}

impl HintStore {
    /// Takes a hint for a target. It is durable when [`is_durable`](Self::is_durable) says so.
    ///
    /// # Errors
    /// There is no room; what the target may lack is marked then, durably with the next [`sync`](Self::sync).
    pub fn append(
        &mut self,
        wall: Timestamp,
        target: Uuid,
        mutation: &Mutation,
    ) -> Result<HintPosition, Overflow> {
        self.see(wall);
        self.append_again(target, wall, mutation)
    }

    /// Takes a hint that was made then for another target, and keeps its age: for hints of a node that left, which go to
    /// those that have its tokens now.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_again(
        &mut self,
        target: Uuid,
        created: Timestamp,
        mutation: &Mutation,
    ) -> Result<HintPosition, Overflow> {
        let mut hint = Vec::new();
        let charged = encode_hint(&mut hint, created, mutation) as u64 + OVERHEAD_BYTES;
        if let Err(overflow) = self.room_for(target, charged) {
            self.target(target).figures.overflowed += 1;
            if !planted!(HintLostOnOverflow) {
                self.mark_token(target, token(mutation));
            }
            return Err(overflow);
        }
        let of = self.target(target);
        if of.pending.back().is_none_or(|last| last.payload.len() >= RECORD_BYTES) {
            of.pending.push_back(Pending::default());
        }
        if let Some(last) = of.pending.back_mut() {
            last.payload.extend_from_slice(&hint);
            last.summary.add(created, token(mutation));
            last.charged += charged;
        }
        of.appended += 1;
        of.bytes += charged;
        let number = of.appended;
        self.pending_bytes += charged;
        self.total_bytes += charged;
        Ok(HintPosition { target, number })
    }

    fn room_for(&self, target: Uuid, charged: u64) -> Result<(), Overflow> {
        let HintLimits { target_bytes, total_bytes, buffer_bytes, .. } = self.limits;
        let pending = self.pending_bytes;
        // One that is larger than the buffer alone is taken when there is nothing else.
        if pending > 0 && pending + charged > buffer_bytes {
            return Err(Overflow::Behind { target, pending });
        }
        let of_target = self.targets.get(&target).map_or(0, |target| target.bytes);
        if of_target + charged > target_bytes {
            return Err(Overflow::Target { target, limit: target_bytes });
        }
        if self.total_bytes + charged > total_bytes {
            return Err(Overflow::Total { target, limit: total_bytes });
        }
        Ok(())
    }

    /// Whether a hint is on disk, and so are those of its target before it. Never, once the target was forgotten.
    pub fn is_durable(&self, position: HintPosition) -> bool {
        let of = self.targets.get(&position.target);
        of.is_some_and(|target| target.durable >= position.number)
    }

    /// Whether there is something for [`sync`](Self::sync) to write.
    pub fn has_unsynced(&self) -> bool {
        self.pending_bytes > 0
    }

    /// What a target may lack that no hint brings it, and when it was marked.
    pub fn dirty(&self, target: Uuid) -> Marks {
        self.ledger.kept(target).map(|kept| kept.dirty.clone()).unwrap_or_default()
    }

    /// The moment to be told to [`clear_dirty`](Self::clear_dirty) by a repair that begins now.
    pub fn repair_begins(&mut self, wall: Timestamp) -> Timestamp {
        self.see(wall)
    }

    /// A repair that began then has brought a target these tokens: they are unmarked, but where marks were made since.
    /// Durable with the next [`sync`](Self::sync).
    pub fn clear_dirty(&mut self, target: Uuid, tokens: &TokenRanges, begun: Timestamp) {
        if self.ledger.kept(target).is_some_and(|kept| !kept.dirty.is_empty()) {
            self.ledger.mark(target, |marks| marks.remove(tokens, begun));
        }
    }

    /// Targets for which something is kept: hints, or marks.
    pub fn targets(&self) -> impl Iterator<Item = Uuid> {
        let is_idle = |target: &Uuid| {
            let kept = self.ledger.kept(*target);
            let has_pending = self.targets.get(target).is_some_and(|of| !of.pending.is_empty());
            !has_pending
                && kept.is_none_or(|kept| kept.segments.is_empty() && kept.dirty.is_empty())
        };
        self.targets.keys().copied().filter(move |target| !is_idle(target))
    }

    /// Numbers of every target that is known.
    pub fn figures(&self) -> BTreeMap<Uuid, HintFigures> {
        self.targets.iter().map(|(target, of)| (*target, self.figures_of(*target, of))).collect()
    }

    fn figures_of(&self, target: Uuid, of: &Target) -> HintFigures {
        let kept = self.ledger.kept(target);
        let summaries = kept.iter().flat_map(|kept| kept.segments.values()).flatten();
        let active = of.active.iter().map(|active| &active.summary);
        let pending = of.pending.iter().map(|pending| &pending.summary);
        let parts = || summaries.clone().chain(active.clone()).chain(pending.clone());
        let passed = kept.map_or(0, passed_of_first);
        let hints: u64 = parts().map(|part| part.hints).sum();
        let oldest = parts().filter(|part| part.hints > 0).map(|part| part.oldest).min();
        let pending = hints.saturating_sub(passed);
        HintFigures {
            pending,
            bytes: of.bytes,
            oldest: oldest.filter(|_| pending > 0),
            dirty_ranges: kept.map_or(0, |kept| kept.dirty.len() as u64),
            ..of.figures
        }
    }

    /// A target has left the cluster: its hints and marks are gone. Durable with the next [`sync`](Self::sync). To bring its
    /// hints to the nodes that have its tokens now, [`read`](Self::read) them before, and
    /// [append](Self::append_again) them for those.
    pub fn forget(&mut self, target: Uuid) {
        if let Some(kept) = self.ledger.kept(target) {
            let paths = kept.segments.keys().map(|segment| path_of(&self.dir, target, *segment));
            self.finished.extend(paths);
            self.ledger.note(target, Op::Gone);
        }
        if let Some(of) = self.targets.remove(&target) {
            self.total_bytes -= of.bytes;
            self.pending_bytes -= of.pending.iter().map(|pending| pending.charged).sum::<u64>();
        }
    }

    fn target(&mut self, target: Uuid) -> &mut Target {
        self.targets.entry(target).or_default()
    }

    /// Marks of later are later, also when the clock on the wall goes back.
    fn see(&mut self, wall: Timestamp) -> Timestamp {
        self.wall = wall;
        self.clock = self.clock.max(wall);
        self.clock
    }

    fn mark_token(&mut self, target: Uuid, token: i64) {
        self.clock = self.clock.saturating_add(1);
        let at = self.clock;
        self.ledger.mark(target, |marks| marks.add_token(token, at, MAX_DIRTY_RANGES));
    }

    fn mark_all(&mut self, target: Uuid, tokens: &Marks) {
        self.clock = self.clock.saturating_add(1);
        let at = self.clock;
        self.ledger.mark(target, |marks| marks.add_all(tokens, at, MAX_DIRTY_RANGES));
    }

    /// Counts a target's bytes anew after its segments have changed.
    fn count(&mut self, target: Uuid) {
        let kept = self.ledger.kept(target);
        let sealed = kept.iter().flat_map(|kept| kept.segments.values()).flatten();
        let sealed: u64 = sealed.map(|summary| summary.end).sum();
        let of = self.targets.entry(target).or_default();
        let active = of.active.as_ref().map_or(0, |active| active.summary.end);
        let pending: u64 = of.pending.iter().map(|pending| pending.charged).sum();
        let before = std::mem::replace(&mut of.bytes, sealed + active + pending);
        self.total_bytes = self.total_bytes - before + of.bytes;
    }

    fn path(&self, target: Uuid, segment: u64) -> PathBuf {
        path_of(&self.dir, target, segment)
    }
}

fn path_of(dir: &Path, target: Uuid, segment: u64) -> PathBuf {
    dir.join(format!("{target}-{segment}.hints"))
}

/// Hints of the first segment that are before the cursor.
fn passed_of_first(kept: &Kept) -> u64 {
    let first = kept.segments.keys().next();
    if first == Some(&kept.cursor.segment) { kept.cursor.hints } else { 0 }
}

#[cfg(test)]
mod tests;
