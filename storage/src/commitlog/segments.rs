//! Which segments there are, and in which files: files are recycled, ids are not.
//!
//! The journal `segments` in the log's directory tells. One record is one or more operations, each a tag byte and
//! varints: *reserve* (ids below this bound may be in use: new ones begin there after a restart), *activate* (segment
//! id, file number: what was in the file before is void), *release* (segment id: all its data is in SSTables).
//! Segment files are `<number>.log`; one that the journal does not name is free.
//!
//! ```text
//!                                  records of the journal
//! a new log                        reserve 65; activate 1 1     writes go to segment 1, in 1.log
//! segment 1 is full                activate 2 2                 and on in segment 2, in 2.log
//! all tables are flushed past 1    none yet                     1.log is free; its bytes stay as they are
//! segment 2 is full                release 1, activate 3 1      segment 3 overwrites 1.log
//! a stop, and a start              reserve 129; activate 65 3   2 and 3 are replayed; 4 to 64 are never given out
//! ```
//!
//! Ids are not used again since a frame's checksum covers its segment's: so what 1.log still has of segment 1 is never
//! taken for a part of segment 3.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{FILE_HEADER_BYTES, file_header};
use super::options::CommitLogOptions;
use crate::StorageError;
use crate::fs::{File, Fs, create_dir_durably};
use crate::journal::{Journal, JournalFormat, read_file, read_records};
use crate::layout;
use crate::varint::{decode_u64, encode_u64};

pub(super) const JOURNAL_FORMAT: JournalFormat = JournalFormat::new(*b"THLSsegs", 2);
/// So many ids are reserved at once.
const RESERVED_AHEAD: u64 = 64;
/// Free files beyond this number are removed.
const MAX_FREE_FILES: usize = 4;
/// The journal is rewritten when it is longer than this.
const MAX_JOURNAL_BYTES: u64 = 64 << 10;
/// Zeros are written in pieces of this size.
const ZERO_FILL_BYTES: usize = 1 << 20;

const RESERVE: u8 = 1;
const ACTIVATE: u8 = 2;
const RELEASE: u8 = 3;

/// The segments of a log.
#[derive(Debug)]
pub(super) struct Segments {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: CommitLogOptions,
    journal: Journal,
    state: State,
    free: Vec<u64>,
    next_file: u64,
    /// Whether a file is being made, or could not be.
    preparing: bool,
    /// Operations that need no sync of their own: they go with the next that does.
    unwritten: Vec<u8>,
}

/// A segment file and the number in its name.
type NumberedFile = (u64, Arc<dyn File>);

/// What the journal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Ids below this may be in use.
    pub(super) reserved: u64,
    /// Segment id to file number.
    pub(super) live: BTreeMap<u64, u64>,
}

impl State {
    /// Applies a record of the journal; false if it is malformed.
    pub(super) fn apply(&mut self, mut record: &[u8]) -> bool {
        while let Some((tag, rest)) = record.split_first() {
            record = rest;
            let Some(number) = decode_u64(&mut record) else { return false };
            match *tag {
                RESERVE => self.reserved = self.reserved.max(number),
                ACTIVATE => {
                    let Some(file) = decode_u64(&mut record) else { return false };
                    self.live.retain(|_, used| *used != file);
                    self.live.insert(number, file);
                }
                RELEASE => {
                    self.live.remove(&number);
                }
                _ => return false,
            }
        }
        true
    }
}

impl Segments {
    pub(super) fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: CommitLogOptions,
    ) -> Result<Segments, StorageError> {
        create_dir_durably(&*fs, dir).map_err(|error| StorageError::io("create", dir, error))?;
        let mut state = State { reserved: 1, live: BTreeMap::new() };
        let path = dir.join(layout::LOG_SEGMENTS);
        refuse_if_lost(&*fs, dir, &path)?;
        let journal =
            Journal::open_or_create(fs.clone(), &path, JOURNAL_FORMAT, &mut |offset, record| {
                let malformed = || StorageError::Corrupt {
                    file: path.clone(),
                    offset,
                    what: "a record is malformed".into(),
                };
                state.apply(record).then_some(()).ok_or_else(malformed)
            })?;
        let files = files_in(&*fs, dir)?;
        let free = files
            .iter()
            .copied()
            .filter(|file| !state.live.values().any(|live| live == file))
            .collect();
        let next_file = files.iter().chain(state.live.values()).max().map_or(1, |file| file + 1);
        let unwritten = Vec::new();
        Ok(Segments {
            fs,
            dir: dir.to_path_buf(),
            options,
            journal,
            state,
            free,
            next_file,
            preparing: false,
            unwritten,
        })
    }

    /// Live segments and their files, oldest first.
    pub(super) fn live(&self) -> Vec<(u64, PathBuf)> {
        self.state.live.iter().map(|(segment, file)| (*segment, self.path(*file))).collect()
    }

    /// Ids below this may be in use.
    pub(super) fn reserved(&self) -> u64 {
        self.state.reserved
    }

    /// Reserves ids so that `next` and some after it may be given out; returns the new bound.
    pub(super) fn reserve(&mut self, next: u64) -> Result<u64, StorageError> {
        if next + RESERVED_AHEAD / 2 > self.state.reserved {
            let bound = next + RESERVED_AHEAD;
            self.write(RESERVE, &[bound])?;
        }
        Ok(self.state.reserved)
    }

    /// Gives a segment a file, durably, before anything is written to it.
    pub(super) fn activate(&mut self, segment: u64) -> Result<Arc<dyn File>, StorageError> {
        let (number, file) = match self.take_free_file()? {
            Some(found) => found,
            None => {
                let job = self.new_file();
                (job.number, job.run()?)
            }
        };
        match self.write(ACTIVATE, &[segment, number]) {
            Ok(()) => {
                self.preparing = false;
                Ok(file)
            }
            Err(error) => {
                self.free.push(number);
                Err(error)
            }
        }
    }

    /// If there is no free file for the next segment, the job of making one, to be run without holding the log up and
    /// handed back to [`end_preparing`](Self::end_preparing).
    pub(super) fn begin_preparing(&mut self) -> Option<FileJob> {
        if self.preparing || !self.free.is_empty() {
            return None;
        }
        self.preparing = true;
        Some(self.new_file())
    }

    /// A job is done; the file is free if it succeeded. If not, the next is not begun before it is needed.
    pub(super) fn end_preparing(&mut self, job: &FileJob, succeeded: bool) {
        self.preparing = !succeeded;
        if succeeded {
            self.free.push(job.number);
        }
    }

    /// A segment is no longer needed. Becomes durable with the next activation: until then a restart merely replays it.
    pub(super) fn release(&mut self, segment: u64) {
        let Some(number) = self.state.live.remove(&segment) else { return };
        encode_operation(&mut self.unwritten, RELEASE, &[segment]);
        self.free.push(number);
        if self.free.len() > MAX_FREE_FILES
            && let Err(error) = self.remove_free_file()
        {
            tracing::warn!(%error, "a surplus commit log file could not be removed");
        }
    }

    /// Makes releases durable now, so that a restart need not replay them.
    pub(super) fn settle(&mut self) -> Result<(), StorageError> {
        if self.unwritten.is_empty() { Ok(()) } else { self.write_record(self.unwritten.clone()) }
    }

    fn remove_free_file(&mut self) -> Result<(), StorageError> {
        // A file that the journal on disk still names must not be missing after a crash.
        self.settle()?;
        let number = self.free.swap_remove(0);
        let path = self.path(number);
        self.fs.remove(&path).map_err(|error| StorageError::io("remove", &path, error))
    }

    /// Moves the file of a segment away, under a name that no log looks at.
    pub(super) fn set_aside(&mut self, segment: u64) -> Result<PathBuf, StorageError> {
        let number = self.state.live.get(&segment).copied().unwrap_or_default();
        let (from, to) = (self.path(number), self.dir.join(format!("damaged-segment-{segment}")));
        match self.fs.rename(&from, &to) {
            // It was missing to begin with, or this start was tried before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(|error| StorageError::io("rename", &from, error))?,
        }
        self.fs.sync_dir(&self.dir).map_err(|error| StorageError::io("sync", &self.dir, error))?;
        self.write(RELEASE, &[segment])?;
        Ok(to)
    }

    fn path(&self, file: u64) -> PathBuf {
        self.dir.join(format!("{file}.log"))
    }

    fn take_free_file(&mut self) -> Result<Option<NumberedFile>, StorageError> {
        let Some(number) = self.free.last().copied() else { return Ok(None) };
        let path = self.path(number);
        let file =
            self.fs.open(&path, false).map_err(|error| StorageError::io("open", &path, error))?;
        // Also what a crash left of a file that was being created.
        fill(&*file, &self.options)?;
        self.free.pop();
        Ok(Some((number, file)))
    }

    fn new_file(&mut self) -> FileJob {
        let number = self.next_file;
        self.next_file += 1;
        FileJob { fs: self.fs.clone(), path: self.path(number), number, options: self.options }
    }

    /// Writes an operation, and those that waited for one.
    fn write(&mut self, tag: u8, numbers: &[u64]) -> Result<(), StorageError> {
        let mut record = self.unwritten.clone();
        encode_operation(&mut record, tag, numbers);
        self.write_record(record)
    }

    fn write_record(&mut self, record: Vec<u8>) -> Result<(), StorageError> {
        let mut state = self.state.clone();
        state.apply(&record);
        if self.journal.bytes() > MAX_JOURNAL_BYTES {
            self.journal.rewrite([state.checkpoint().as_slice()])?;
        } else {
            self.journal.append(&record)?;
        }
        self.state = state;
        self.unwritten.clear();
        Ok(())
    }
}

fn files_in(fs: &dyn Fs, dir: &Path) -> Result<Vec<u64>, StorageError> {
    let names = fs.list(dir).map_err(|error| StorageError::io("list", dir, error))?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect())
}

/// The journal is there before the first segment. To begin with an empty one would take all segments for free.
fn refuse_if_lost(fs: &dyn Fs, dir: &Path, path: &Path) -> Result<(), StorageError> {
    let exists = fs.exists(path).map_err(|error| StorageError::io("look up", path, error))?;
    if exists || files_in(fs, dir)?.is_empty() {
        return Ok(());
    }
    let what = "it is missing, although there are segments beside it".into();
    Err(StorageError::Corrupt { file: path.to_path_buf(), offset: 0, what })
}

/// The making of a new segment file.
#[derive(Debug)]
pub(super) struct FileJob {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    number: u64,
    options: CommitLogOptions,
}

impl FileJob {
    /// Creates the file, full size and durable.
    pub(super) fn run(&self) -> Result<Arc<dyn File>, StorageError> {
        let file = self
            .fs
            .create(&self.path)
            .map_err(|error| StorageError::io("create", &self.path, error))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let synced = fill(&*file, &self.options).and_then(|()| {
            self.fs.sync_dir(dir).map_err(|error| StorageError::io("sync", dir, error))
        });
        if let Err(error) = synced {
            // What it takes of a full disk would otherwise never be free again.
            if let Err(error) = self.fs.remove(&self.path) {
                tracing::warn!(file = %self.path.display(), %error, "an unfinished commit log file could not be removed");
            }
            return Err(error);
        }
        Ok(file)
    }
}

/// Brings a segment file to its full size and header, if it is not.
fn fill(file: &dyn File, options: &CommitLogOptions) -> Result<(), StorageError> {
    let failed = |operation| move |error| StorageError::io(operation, file.path(), error);
    let wanted = u64::from(options.segment_bytes);
    let mut header = vec![0; FILE_HEADER_BYTES as usize];
    let len = file.len().map_err(failed("size"))?;
    if len >= wanted && file.read_exact_at(&mut header, 0).is_ok() && header == file_header() {
        return Ok(());
    }
    if len < wanted {
        file.set_len(wanted).map_err(failed("grow"))?;
    }
    if options.zero_fill {
        let zeros = vec![0; ZERO_FILL_BYTES];
        let mut offset = 0;
        while offset < wanted {
            let piece = (wanted - offset).min(ZERO_FILL_BYTES as u64) as usize;
            file.write_all_at(&zeros[..piece], offset).map_err(failed("write"))?;
            offset += piece as u64;
        }
    }
    file.write_all_at(&file_header(), 0).map_err(failed("write"))?;
    file.sync_data().map_err(failed("sync"))
}

impl State {
    fn checkpoint(&self) -> Vec<u8> {
        let mut record = Vec::new();
        encode_operation(&mut record, RESERVE, &[self.reserved]);
        for (segment, file) in &self.live {
            encode_operation(&mut record, ACTIVATE, &[*segment, *file]);
        }
        record
    }
}

/// Live segments and their files, oldest first, as the journal in a log's directory has them: for tools. Changes
/// nothing.
pub(super) fn live_segments(fs: &dyn Fs, dir: &Path) -> Result<Vec<(u64, PathBuf)>, StorageError> {
    let path = dir.join(layout::LOG_SEGMENTS);
    let mut state = State::default();
    for record in read_records(&path, JOURNAL_FORMAT, &read_file(fs, &path)?)? {
        if !state.apply(&record) {
            let what = "a record is malformed".into();
            return Err(StorageError::Corrupt { file: path, offset: 0, what });
        }
    }
    let file = |(segment, number): (u64, u64)| (segment, dir.join(format!("{number}.log")));
    Ok(state.live.into_iter().map(file).collect())
}

fn encode_operation(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    out.push(tag);
    for number in numbers {
        encode_u64(out, *number);
    }
}
