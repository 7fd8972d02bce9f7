//! The ledger: which segments there are for which target, how far each target's are delivered, and which ranges it may
//! lack. A journal; what changed since the last write goes there as one record, so all of it is durable or none.
//!
//! One record is one or more operations, each a tag byte, the target (16 bytes) and its fields as varints:
//!
//! ```text
//! Open 3            segment 3 begins           its file is there before
//! Seal 3 summary    nothing more is added to it, and this is what it has
//! Cursor 3 12 57 2  everything before byte 57 of the record at 12 is delivered: 2 hints of the segment
//! Done 3            it is not needed any more  its file is removed afterwards
//! Dirty marks       these ranges, instead of those before
//! Gone              nothing is kept for that target
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::journal::{FIRST_RECORD, Journal, JournalFormat};
use tholos_storage::layout::HINTS_LEDGER;
use tholos_storage::varint::encode_u64;
use uuid::Uuid;

use super::marks::Marks;
use super::record::{Summary, decode_count};

pub(super) const FORMAT: JournalFormat = JournalFormat::new(*b"THLShled", 1);
/// A damaged ledger is kept under this name.
const SET_ASIDE: &str = "damaged-ledger";
/// More than this is not written as operations, but as a new ledger.
const MAX_UNWRITTEN_BYTES: usize = 64 << 10;

const OPEN: u8 = 1;
const SEAL: u8 = 2;
const CURSOR: u8 = 3;
const DONE: u8 = 4;
const DIRTY: u8 = 5;
const GONE: u8 = 6;

/// A place between two hints of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The segment.
    pub(super) segment: u64,
    /// Where its record begins.
    pub(super) offset: u64,
    /// Bytes of the record's payload before it.
    pub(super) inside: u64,
    /// Hints of the segment before it.
    pub(super) hints: u64,
}

impl Cursor {
    /// The beginning of a segment.
    pub(super) fn start_of(segment: u64) -> Cursor {
        Cursor { segment, offset: FIRST_RECORD, inside: 0, hints: 0 }
    }
}

/// What is kept for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Segments, oldest first; one without a summary is not sealed.
    pub(super) segments: BTreeMap<u64, Option<Summary>>,
    /// Everything before is delivered.
    pub(super) cursor: Cursor,
    /// What the target may lack, and no hint brings it.
    pub(super) dirty: Marks,
}

impl Default for Kept {
    fn default() -> Kept {
        let (segments, dirty) = (BTreeMap::new(), Marks::default());
        Kept { segments, cursor: Cursor::start_of(0), dirty }
    }
}

/// An operation on what is kept for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Open(u64),
    Seal(u64, Summary),
    Cursor(Cursor),
    Done(u64),
    Dirty(Marks),
    Gone,
}

/// The ledger, and what it will say after its next write.
#[derive(Debug)]
pub(super) struct Ledger {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    journal: Journal,
    targets: BTreeMap<Uuid, Kept>,
    /// Operations that are not on disk yet.
    unwritten: Vec<u8>,
    /// Targets whose cursor or marks changed.
    moved: BTreeSet<Uuid>,
    marked: BTreeSet<Uuid>,
    /// The whole is to be written anew.
    rewrite: bool,
    /// So long was it when it was written as a whole.
    compact_bytes: u64,
}

/// What was found in the place of a ledger.
pub(super) enum Found {
    Ledger(Ledger),
    /// None, or one that can't be read, and why.
    Nothing(Option<StorageError>),
}

impl Ledger {
    /// Opens the ledger of a directory.
    ///
    /// # Errors
    /// All but `Corrupt`.
    pub(super) fn open(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Found, StorageError> {
        let path = dir.join(HINTS_LEDGER);
        let mut targets = BTreeMap::new();
        let journal = Journal::open(fs.clone(), &path, FORMAT, &mut |offset, record| {
            let malformed = || StorageError::Corrupt {
                file: path.clone(),
                offset,
                what: "a record is malformed".into(),
            };
            apply_record(&mut targets, record).ok_or_else(malformed)
        });
        match journal {
            Ok(journal) => Ok(Found::Ledger(Ledger::of(fs, path, journal, targets))),
            Err(error @ StorageError::Corrupt { .. }) => Ok(Found::Nothing(Some(error))),
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Found::Nothing(None))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a ledger that says this, in the place of one that can't be read, which is kept under another name.
    ///
    /// # Errors
    /// Those of writing it: the old one is as it was.
    pub(super) fn create(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        targets: BTreeMap<Uuid, Kept>,
    ) -> Result<Ledger, StorageError> {
        let (path, aside) = (dir.join(HINTS_LEDGER), dir.join(SET_ASIDE));
        let failed = |operation| {
            let path = path.clone();
            move |error| StorageError::io(operation, path, error)
        };
        if fs.exists(&path).map_err(failed("look up"))? {
            match fs.remove(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io("remove", aside, error));
                }
                _ => fs.hard_link(&path, &aside).map_err(failed("set aside"))?,
            }
        }
        let whole = checkpoint(&targets);
        let records = Some(whole.as_slice()).filter(|record| !record.is_empty());
        let journal = Journal::create(fs.clone(), &path, FORMAT, records)?;
        Ok(Ledger::of(fs, path, journal, targets))
    }

    fn of(
        fs: &Arc<dyn Fs>,
        path: PathBuf,
        journal: Journal,
        targets: BTreeMap<Uuid, Kept>,
    ) -> Ledger {
        let compact_bytes = journal.bytes();
        Ledger {
            fs: fs.clone(),
            path,
            journal,
            targets,
            unwritten: Vec::new(),
            moved: BTreeSet::new(),
            marked: BTreeSet::new(),
            rewrite: false,
            compact_bytes,
        }
    }

    pub(super) fn targets(&self) -> &BTreeMap<Uuid, Kept> {
        &self.targets
    }

    /// What is kept for a target; nothing, if it is not known.
    pub(super) fn kept(&self, target: Uuid) -> Option<&Kept> {
        self.targets.get(&target)
    }

    /// Lets an operation hold from now on. It is durable after the next write.
    pub(super) fn note(&mut self, target: Uuid, op: Op) {
        encode_op(&mut self.unwritten, target, &op);
        apply(&mut self.targets, target, op);
        if self.unwritten.len() > MAX_UNWRITTEN_BYTES {
            self.rewrite = true;
            self.unwritten.clear();
        }
    }

    /// Everything of a target before a cursor is delivered.
    pub(super) fn move_to(&mut self, target: Uuid, cursor: Cursor) {
        if let Some(kept) = self.targets.get_mut(&target)
            && kept.cursor < cursor
        {
            kept.cursor = cursor;
            self.moved.insert(target);
        }
    }

    /// Changes the marks of a target.
    pub(super) fn mark(&mut self, target: Uuid, change: impl FnOnce(&mut Marks)) {
        change(&mut self.targets.entry(target).or_default().dirty);
        self.marked.insert(target);
    }

    /// Makes durable what was noted.
    ///
    /// # Errors
    /// It is not, and will be tried again with the next write.
    pub(super) fn write(&mut self) -> Result<(), StorageError> {
        let mut record = self.unwritten.clone();
        for (target, kept) in &self.targets {
            if self.marked.contains(target) {
                encode_op(&mut record, *target, &Op::Dirty(kept.dirty.clone()));
            }
            if self.moved.contains(target) {
                encode_op(&mut record, *target, &Op::Cursor(kept.cursor));
            }
        }
        let is_long = self.journal.bytes() > MAX_UNWRITTEN_BYTES as u64 + 2 * self.compact_bytes;
        if self.journal.is_fenced() || self.rewrite || is_long {
            self.write_whole()?;
        } else if record.is_empty() {
            return Ok(());
        } else {
            self.journal.append(&record)?;
        }
        self.rewrite = false;
        self.unwritten.clear();
        self.moved.clear();
        self.marked.clear();
        Ok(())
    }

    fn write_whole(&mut self) -> Result<(), StorageError> {
        let whole = checkpoint(&self.targets);
        let records = Some(whole.as_slice()).filter(|record| !record.is_empty());
        // What a failed sync left of the old file is unknown. The new one is another file.
        self.journal = Journal::create(self.fs.clone(), &self.path, FORMAT, records)?;
        self.compact_bytes = self.journal.bytes();
        Ok(())
    }
}

fn checkpoint(targets: &BTreeMap<Uuid, Kept>) -> Vec<u8> {
    let mut record = Vec::new();
    for (target, kept) in targets {
        for (segment, summary) in &kept.segments {
            encode_op(&mut record, *target, &Op::Open(*segment));
            if let Some(summary) = summary {
                encode_op(&mut record, *target, &Op::Seal(*segment, summary.clone()));
            }
        }
        encode_op(&mut record, *target, &Op::Cursor(kept.cursor));
        encode_op(&mut record, *target, &Op::Dirty(kept.dirty.clone()));
    }
    record
}

fn encode_op(out: &mut Vec<u8>, target: Uuid, op: &Op) {
    let (tag, numbers): (u8, Vec<u64>) = match op {
        Op::Open(segment) => (OPEN, vec![*segment]),
        Op::Seal(segment, _) => (SEAL, vec![*segment]),
        Op::Cursor(Cursor { segment, offset, inside, hints }) => {
            (CURSOR, vec![*segment, *offset, *inside, *hints])
        }
        Op::Done(segment) => (DONE, vec![*segment]),
        Op::Dirty(_) => (DIRTY, vec![]),
        Op::Gone => (GONE, vec![]),
    };
    out.push(tag);
    out.extend_from_slice(target.as_bytes());
    numbers.into_iter().for_each(|number| encode_u64(out, number));
    match op {
        Op::Seal(_, summary) => summary.encode(out),
        Op::Dirty(marks) => marks.encode(out),
        _ => {}
    }
}

fn decode_op(input: &mut &[u8]) -> Option<(Uuid, Op)> {
    let (tag, rest) = input.split_first()?;
    let (target, rest) = rest.split_first_chunk::<16>()?;
    *input = rest;
    let op = match *tag {
        OPEN => Op::Open(decode_count(input)?),
        SEAL => Op::Seal(decode_count(input)?, Summary::decode(input)?),
        CURSOR => Op::Cursor(Cursor {
            segment: decode_count(input)?,
            offset: decode_count(input)?,
            inside: decode_count(input)?,
            hints: decode_count(input)?,
        }),
        DONE => Op::Done(decode_count(input)?),
        DIRTY => Op::Dirty(Marks::decode(input)?),
        GONE => Op::Gone,
        _ => return None,
    };
    Some((Uuid::from_bytes(*target), op))
}

fn apply_record(targets: &mut BTreeMap<Uuid, Kept>, mut record: &[u8]) -> Option<()> {
    while !record.is_empty() {
        let (target, op) = decode_op(&mut record)?;
        apply(targets, target, op);
    }
    Some(())
}

fn apply(targets: &mut BTreeMap<Uuid, Kept>, target: Uuid, op: Op) {
    if op == Op::Gone {
        targets.remove(&target);
        return;
    }
    let kept = targets.entry(target).or_default();
    match op {
        Op::Open(segment) => drop(kept.segments.insert(segment, None)),
        Op::Seal(segment, summary) => drop(kept.segments.insert(segment, Some(summary))),
        Op::Done(segment) => drop(kept.segments.remove(&segment)),
        Op::Cursor(cursor) => kept.cursor = cursor,
        Op::Dirty(marks) => kept.dirty = marks,
        Op::Gone => {}
    }
}

#[cfg(test)]
mod tests;
