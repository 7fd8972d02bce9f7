//! Reading hints in order, and letting go of those that are delivered or too old.

use std::io;
use std::sync::Arc;

use tholos_storage::StorageError;
use tholos_storage::journal::{bytes_of_record, read_record};
use tholos_storage::model::Timestamp;
use uuid::Uuid;

use super::{HintStore, SEGMENT_FORMAT};
use crate::hints::ledger::Cursor;
use crate::hints::record::{Hint, Summary, decode_hint};
use crate::planted::planted;

/// So many hints are looked at in a turn, though most may have to be passed over.
const MAX_HINTS_OF_CHUNK: u64 = 10_000;

/// What the schema says of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its table is there.
    Deliver,
    /// Its table was dropped, or truncated after the hint was made: nobody wants it.
    Drop,
    /// It is older than the table's tombstones are kept, so it could bring back what was deleted: a repair must do it.
    Expired,
}

/// Some hints of a target, in the order in which they were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The hints.
    pub hints: Vec<Hint>,
    /// Bytes that they take.
    pub bytes: usize,
    /// The place after them.
    pub next: Cursor,
    /// Whether there are no more, of those that are synced.
    pub at_end: bool,
    /// How many were passed over because they are too old: their tokens are marked.
    pub expired: u64,
    /// How many were passed over because their table is gone.
    pub dropped: u64,
}

impl HintStore {
    /// Where the first hint is that is not known to be delivered.
    pub fn start(&self, target: Uuid) -> Cursor {
        self.ledger.kept(target).map_or(Cursor::start_of(0), |kept| kept.cursor)
    }

    /// Reads hints of a target from a place on, until they take so many bytes. It waits for the disk.
    ///
    /// # Errors
    /// A file could not be read now. Damage is no error: what it may have cost is marked, and the rest is read.
    pub fn read(
        &mut self,
        wall: Timestamp,
        target: Uuid,
        from: Cursor,
        max_bytes: usize,
        judge: &dyn Fn(&Hint) -> Verdict,
    ) -> Result<Chunk, StorageError> {
        self.see(wall);
        let (hints, bytes, at_end) = (Vec::new(), 0, false);
        let mut chunk = Chunk { hints, bytes, next: from, at_end, expired: 0, dropped: 0 };
        let mut looked_at = 0;
        while chunk.bytes < max_bytes && looked_at < MAX_HINTS_OF_CHUNK {
            let Some(payload) = self.record_at(target, &mut chunk.next)? else {
                chunk.at_end = true;
                break;
            };
            let mut rest = payload.get(chunk.next.inside as usize..).unwrap_or_default();
            while !rest.is_empty() && chunk.bytes < max_bytes && looked_at < MAX_HINTS_OF_CHUNK {
                let before = rest.len();
                let Some(hint) = decode_hint(&mut rest) else {
                    self.damaged(target, chunk.next.segment, "a record is not one of hints");
                    break;
                };
                let bytes = before - rest.len();
                looked_at += 1;
                chunk.next.inside += bytes as u64;
                chunk.next.hints += 1;
                self.take(target, hint, bytes, judge, &mut chunk);
            }
            if rest.is_empty() {
                chunk.next.offset += bytes_of_record(payload.len());
                chunk.next.inside = 0;
            }
        }
        Ok(chunk)
    }

    fn take(
        &mut self,
        target: Uuid,
        mut hint: Hint,
        bytes: usize,
        judge: &dyn Fn(&Hint) -> Verdict,
        chunk: &mut Chunk,
    ) {
        if planted!(HintOfAnotherTable)
            && let Some(before) = chunk.hints.last()
        {
            hint.mutation.table = before.mutation.table;
        }
        let is_old = self.is_old(hint.created);
        match judge(&hint) {
            Verdict::Drop => chunk.dropped += 1,
            Verdict::Deliver if !is_old => {
                chunk.bytes += bytes;
                chunk.hints.push(hint);
            }
            Verdict::Deliver | Verdict::Expired => {
                chunk.expired += 1;
                if !planted!(HintExpiresUnnoticed) {
                    self.mark_token(target, hint.token());
                }
            }
        }
    }

    fn is_old(&self, created: Timestamp) -> bool {
        self.wall.saturating_sub(created) > self.limits.window
    }

    /// The record at a place, which moves on over what is not there any more; `None` at the end of what is synced.
    fn record_at(
        &mut self,
        target: Uuid,
        at: &mut Cursor,
    ) -> Result<Option<Arc<Vec<u8>>>, StorageError> {
        loop {
            let Some((segment, end)) = self.segment_from(target, at.segment) else {
                return Ok(None);
            };
            if segment != at.segment {
                *at = Cursor::start_of(segment);
            }
            if at.offset >= end {
                let Some((next, _)) = self.segment_from(target, segment + 1) else {
                    return Ok(None);
                };
                *at = Cursor::start_of(next);
                continue;
            }
            match self.load(target, segment, at.offset) {
                Ok(payload) => return Ok(Some(payload)),
                Err(error) if is_damage(&error) => {
                    self.damaged(target, segment, &error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The first segment from a number on, and where it ends.
    fn segment_from(&self, target: Uuid, from: u64) -> Option<(u64, u64)> {
        let (segment, summary) = self.ledger.kept(target)?.segments.range(from..).next()?;
        let end = summary.as_ref().or_else(|| self.active_summary(target, *segment));
        Some((*segment, end.map_or(0, |summary| summary.end)))
    }

    fn active_summary(&self, target: Uuid, segment: u64) -> Option<&Summary> {
        let active = self.targets.get(&target)?.active.as_ref()?;
        (active.segment == segment).then_some(&active.summary)
    }

    fn load(
        &mut self,
        target: Uuid,
        segment: u64,
        offset: u64,
    ) -> Result<Arc<Vec<u8>>, StorageError> {
        if let Some((of, at, payload)) = &self.target(target).cached
            && (*of, *at) == (segment, offset)
        {
            return Ok(Arc::clone(payload));
        }
        let path = self.path(target, segment);
        let payload = Arc::new(read_record(&*self.fs, &path, SEGMENT_FORMAT, offset)?);
        self.target(target).cached = Some((segment, offset, Arc::clone(&payload)));
        Ok(payload)
    }

    fn damaged(&mut self, target: Uuid, segment: u64, why: &str) {
        let sealed = self.ledger.kept(target).and_then(|kept| kept.segments.get(&segment));
        let sealed = sealed.cloned().flatten();
        let summary = sealed.or_else(|| self.active_summary(target, segment).cloned());
        let of = self.target(target);
        of.active.take_if(|active| active.segment == segment);
        self.set_aside(target, segment, summary.as_ref(), why);
        self.count(target);
    }

    /// Everything before a place is delivered or passed over: it is not read again, after the next [`sync`](Self::sync)
    /// not even by another run. So many hints of it were `delivered`.
    pub fn advance(&mut self, target: Uuid, passed: &Chunk, delivered: u64) {
        if self.ledger.kept(target).is_none() {
            return;
        }
        let figures = &mut self.target(target).figures;
        figures.delivered += delivered;
        figures.expired += passed.expired;
        figures.dropped += passed.dropped;
        self.ledger.move_to(target, passed.next);
        self.let_go(target);
    }

    /// Lets go of segments that are passed.
    fn let_go(&mut self, target: Uuid) {
        let cursor = self.start(target);
        while let Some((segment, end)) = self.segment_from(target, 0) {
            let is_passed =
                segment < cursor.segment || (segment == cursor.segment && cursor.offset >= end);
            let of = self.target(target);
            let is_active = of.active.as_ref().is_some_and(|active| active.segment == segment);
            if !is_passed || (is_active && !of.pending.is_empty()) {
                break;
            }
            of.active.take_if(|_| is_active);
            of.cached = None;
            self.finish(target, segment);
        }
        self.count(target);
    }

    /// Lets go of segments whose hints are all too old, and marks their tokens: also of targets that nobody hears of.
    pub fn expire(&mut self, wall: Timestamp) {
        self.see(wall);
        let targets: Vec<Uuid> = self.targets.keys().copied().collect();
        for target in targets {
            while let Some((segment, summary)) = self.first_segment(target)
                && self.is_old(summary.newest)
            {
                let cursor = self.start(target);
                let passed = if cursor.segment == segment { cursor.hints } else { 0 };
                if !planted!(HintExpiresUnnoticed) {
                    self.mark_all(target, &summary.tokens);
                }
                let of = self.target(target);
                of.figures.expired += summary.hints.saturating_sub(passed);
                of.active.take_if(|active| active.segment == segment);
                of.cached = None;
                self.finish(target, segment);
                self.count(target);
            }
        }
    }

    fn first_segment(&self, target: Uuid) -> Option<(u64, Summary)> {
        let (segment, summary) = self.ledger.kept(target)?.segments.iter().next()?;
        let summary = summary.as_ref().or_else(|| self.active_summary(target, *segment))?;
        (summary.hints > 0).then(|| (*segment, summary.clone()))
    }
}

/// Whether a segment is lost, rather than not to be read now.
fn is_damage(error: &StorageError) -> bool {
    match error {
        StorageError::Corrupt { .. } => true,
        StorageError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
