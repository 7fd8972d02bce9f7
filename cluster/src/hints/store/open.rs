//! Finding what the last run left.
//!
//! The ledger names the segments. One that it does not name is void: it was delivered, or nothing in it was durable. A sealed
//! one must be there; one that is not sealed is read and sealed, up to its torn end if it has one. Without a ledger all
//! segments count from their beginning, and as nobody knows what was marked, everything is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tholos_storage::StorageError;
use tholos_storage::fs::{Fs, create_dir_durably};
use tholos_storage::journal::Journal;
use tholos_storage::model::Timestamp;
use tholos_storage::model::token_range::TokenSpan;
use uuid::Uuid;

use super::{HintLimits, HintStore, MAX_DIRTY_RANGES, SEGMENT_FORMAT, Target, path_of};
use crate::hints::ledger::{Found, Kept, Ledger, Op};
use crate::hints::marks::{Mark, Marks};
use crate::hints::record::{MAX_COUNT, Summary, decode_record};
use crate::planted::planted;

impl HintStore {
    /// Opens the hints of a directory, which is made if it is not there. `others` are the other nodes of the cluster.
    ///
    /// # Errors
    /// What the file system meets; files of another version. Damage is none: what it may have cost is marked.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        limits: HintLimits,
        wall: Timestamp,
        others: impl IntoIterator<Item = Uuid>,
    ) -> Result<HintStore, StorageError> {
        create_dir_durably(&*fs, dir).map_err(|error| StorageError::io("create", dir, error))?;
        let names = fs.list(dir).map_err(|error| StorageError::io("list", dir, error))?;
        let files: BTreeSet<(Uuid, u64)> =
            names.iter().filter_map(|name| parse_name(name)).collect();
        let ledger = match Ledger::open(&fs, dir)? {
            Found::Ledger(ledger) => ledger,
            Found::Nothing(None) if files.is_empty() => Ledger::create(&fs, dir, BTreeMap::new())?,
            Found::Nothing(error) => {
                let error = error.map_or("it is missing".to_string(), |error| error.to_string());
                tracing::error!(dir = %dir.display(), error, "the ledger of the hints is lost: what other nodes may lack is unknown, so all of them need a repair");
                Ledger::create(&fs, dir, all_dirty(&files, others, wall))?
            }
        };
        let kept = ledger.targets().iter();
        let latest = kept.clone().filter_map(|(_, kept)| kept.dirty.latest()).max();
        let known =
            kept.flat_map(|(_, kept)| kept.segments.keys().copied().chain([kept.cursor.segment]));
        let in_use = files.iter().map(|(_, segment)| *segment).chain(known).max();
        let mut store = HintStore {
            fs,
            dir: dir.to_path_buf(),
            limits,
            targets: ledger.targets().keys().map(|id| (*id, Target::default())).collect(),
            ledger,
            next_segment: in_use.map_or(1, |segment| segment + 1),
            wall,
            clock: latest.map_or(wall, |latest| latest.max(wall)),
            total_bytes: 0,
            pending_bytes: 0,
            finished: Vec::new(),
        };
        store.check_segments(&files)?;
        store.remove_void(&names, &files);
        // It holds in memory, and is tried again: a full disk stops no start.
        if let Err(error) = store.sync() {
            tracing::warn!(%error, "what was found of the hints could not be written yet");
        }
        Ok(store)
    }

    fn check_segments(&mut self, files: &BTreeSet<(Uuid, u64)>) -> Result<(), StorageError> {
        for (target, kept) in self.ledger.targets().clone() {
            for (segment, summary) in kept.segments {
                if !files.contains(&(target, segment)) {
                    self.set_aside(target, segment, summary.as_ref(), "it is missing");
                } else if summary.is_none() {
                    self.seal_found(target, segment)?;
                }
            }
            self.count(target);
        }
        Ok(())
    }

    /// Reads and seals a segment that was appended to when the last run ended.
    fn seal_found(&mut self, target: Uuid, segment: u64) -> Result<(), StorageError> {
        if planted!(HintsLostOnRestart) {
            self.finish(target, segment);
            return Ok(());
        }
        let path = self.path(target, segment);
        let mut summary = Summary::default();
        let journal =
            Journal::open(self.fs.clone(), &path, SEGMENT_FORMAT, &mut |offset, record| {
                let malformed = || StorageError::Corrupt {
                    file: path.clone(),
                    offset,
                    what: "a record is not one of hints".into(),
                };
                let hints = decode_record(record).ok_or_else(malformed)?;
                hints.iter().for_each(|hint| summary.add(hint.created, hint.token()));
                Ok(())
            });
        match journal {
            Ok(_) if summary.hints == 0 => self.finish(target, segment),
            Ok(journal) => {
                summary.end = journal.bytes();
                self.ledger.note(target, Op::Seal(segment, summary));
            }
            Err(error @ StorageError::Corrupt { .. }) => {
                self.set_aside(target, segment, None, &error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A segment can't be read: what it had, and so every token if that is not known, is marked. The file gets another name.
    pub(super) fn set_aside(
        &mut self,
        target: Uuid,
        segment: u64,
        summary: Option<&Summary>,
        why: &str,
    ) {
        let path = self.path(target, segment);
        tracing::error!(file = %path.display(), why, "hints for node {target} can't be read: what it may lack needs a repair");
        let tokens = summary.map_or_else(every_token, |summary| summary.tokens.clone());
        if !planted!(DamagedHintsUnnoticed) {
            self.mark_all(target, &tokens);
        }
        self.ledger.note(target, Op::Done(segment));
        let of = self.target(target);
        of.figures.damaged += 1;
        of.cached = None;
        let aside = self.dir.join(format!("damaged-{target}-{segment}"));
        match self.fs.rename(&path, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "a damaged file of hints keeps its name until the next start, which removes it");
            }
            _ => {}
        }
    }

    /// Removes files that the ledger does not name.
    fn remove_void(&mut self, names: &[String], files: &BTreeSet<(Uuid, u64)>) {
        let is_named = |target: &Uuid, segment: &u64| {
            self.ledger.kept(*target).is_some_and(|kept| kept.segments.contains_key(segment))
        };
        let void = files.iter().filter(|(target, segment)| !is_named(target, segment));
        let void: Vec<PathBuf> =
            void.map(|(target, segment)| path_of(&self.dir, *target, *segment)).collect();
        let drafts = names.iter().filter(|name| name.ends_with(".hints.new"));
        let drafts: Vec<PathBuf> = drafts.map(|name| self.dir.join(name)).collect();
        self.finished.extend(void.into_iter().chain(drafts));
    }
}

fn parse_name(name: &str) -> Option<(Uuid, u64)> {
    let (target, segment) = name.strip_suffix(".hints")?.rsplit_once('-')?;
    let segment = segment.parse().ok().filter(|segment| *segment <= MAX_COUNT)?;
    Some((Uuid::try_parse(target).ok()?, segment))
}

fn every_token() -> Marks {
    let mut marks = Marks::default();
    let span = TokenSpan { first: i64::MIN, last: i64::MAX };
    marks.add(Mark { span, at: 0 }, 1);
    marks
}

/// All segments, and for all targets the mark of every token.
fn all_dirty(
    files: &BTreeSet<(Uuid, u64)>,
    others: impl IntoIterator<Item = Uuid>,
    wall: Timestamp,
) -> BTreeMap<Uuid, Kept> {
    let mut targets: BTreeMap<Uuid, Kept> = BTreeMap::new();
    for target in others.into_iter().chain(files.iter().map(|(target, _)| *target)) {
        let dirty = &mut targets.entry(target).or_default().dirty;
        dirty.add_all(&every_token(), wall, MAX_DIRTY_RANGES);
    }
    for (target, segment) in files {
        if let Some(kept) = targets.get_mut(target) {
            kept.segments.insert(*segment, None);
        }
    }
    targets
}
