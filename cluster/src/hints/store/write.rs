//! Writing what has gathered.

use std::io;

use tholos_storage::StorageError;
use tholos_storage::journal::{FIRST_RECORD, Journal, bytes_of_record};
use uuid::Uuid;

use super::{Active, HintStore, SEGMENT_FORMAT};
use crate::hints::ledger::Op;
use crate::hints::record::Summary;
use crate::planted::planted;

impl HintStore {
    /// Makes durable what was appended, marked, unmarked, delivered and forgotten. It waits for the disk.
    ///
    /// # Errors
    /// The first that was met. What is not durable is kept, and tried again with the next sync, in other files if need be.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        let has_pending =
            |(target, of): (&Uuid, &super::Target)| (!of.pending.is_empty()).then_some(*target);
        let targets: Vec<Uuid> = self.targets.iter().filter_map(has_pending).collect();
        let mut result = Ok(());
        for target in targets {
            if planted!(HintDurableBeforeSync) {
                let of = self.target(target);
                of.durable = of.appended;
            }
            result = result.and(self.write_pending(target));
            self.count(target);
        }
        let settled = self.settle();
        result.and(settled)
    }

    fn write_pending(&mut self, target: Uuid) -> Result<(), StorageError> {
        while let Some(pending) = self.target(target).pending.front() {
            let record_bytes = bytes_of_record(pending.payload.len());
            self.make_room(target, record_bytes)?;
            let of = self.target(target);
            let (Some(pending), Some(active)) = (of.pending.front(), of.active.as_mut()) else {
                break;
            };
            active.journal.append(&pending.payload)?;
            active.summary.add_all(&pending.summary);
            active.summary.end = active.journal.bytes();
            let Some(written) = of.pending.pop_front() else { break };
            of.durable += written.summary.hints;
            self.pending_bytes -= written.charged;
        }
        Ok(())
    }

    /// Begins a segment if there is none that takes so many bytes more.
    fn make_room(&mut self, target: Uuid, bytes: u64) -> Result<(), StorageError> {
        let limit = self.limits.segment_bytes;
        if let Some(active) = &self.target(target).active {
            let is_full = active.summary.hints > 0 && active.journal.bytes() + bytes > limit;
            if !is_full && !active.journal.is_fenced() {
                return Ok(());
            }
        }
        let segment = self.next_segment;
        self.next_segment += 1;
        let path = self.path(target, segment);
        let journal = match Journal::create(self.fs.clone(), &path, SEGMENT_FORMAT, []) {
            Ok(journal) => journal,
            Err(error) => {
                // It may be there all the same.
                self.finished.push(path);
                return Err(error);
            }
        };
        self.seal(target);
        self.ledger.note(target, Op::Open(segment));
        if let Err(error) = self.ledger.write() {
            // Nothing is durable in a segment that the ledger does not name.
            self.ledger.note(target, Op::Done(segment));
            self.finished.push(path);
            return Err(error);
        }
        let summary = Summary { end: FIRST_RECORD, ..Summary::default() };
        self.target(target).active = Some(Active { segment, journal, summary });
        Ok(())
    }

    /// Nothing more is appended to the target's segment.
    pub(super) fn seal(&mut self, target: Uuid) {
        let Some(Active { segment, summary, .. }) = self.target(target).active.take() else {
            return;
        };
        if summary.hints == 0 {
            self.finish(target, segment);
        } else {
            self.ledger.note(target, Op::Seal(segment, summary));
        }
    }

    /// A segment is not needed any more.
    pub(super) fn finish(&mut self, target: Uuid, segment: u64) {
        self.ledger.note(target, Op::Done(segment));
        self.finished.push(self.path(target, segment));
    }

    /// Writes the ledger, and removes what it does not name any more.
    fn settle(&mut self) -> Result<(), StorageError> {
        self.ledger.write()?;
        let (fs, mut result) = (self.fs.clone(), Ok(()));
        self.finished.retain(|path| match fs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                result = Err(StorageError::io("remove", path, error));
                true
            }
            _ => false,
        });
        result
    }
}
