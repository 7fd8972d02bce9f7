//! Replay: reading what the last run left.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogPosition;
use super::accounting::Accounting;
use super::batch::{Batch, Replayer, malformed};
use super::frame::{
    End, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, Frame, MAGIC, VERSION, file_header, seal_frame,
    walk,
};
use super::options::{CommitLogOptions, ReplayReport, SetAside};
use super::segments::Segments;
use crate::StorageError;
use crate::fs::{File, Fs};
use crate::model::mutation::Mutation;
use crate::schema::TableId;

/// A replay in progress.
pub(super) struct Replay<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) options: CommitLogOptions,
    pub(super) replayer: &'a mut dyn Replayer,
    pub(super) report: ReplayReport,
    /// Tables whose records were applied, by segment.
    pub(super) accounting: Accounting,
    /// What was applied from segments that are set aside: it must be logged anew.
    pub(super) rescued: Vec<(u64, Mutation)>,
}

/// What is known of a segment after reading it.
struct Read {
    segment: u64,
    path: PathBuf,
    end: End,
    has_frames: bool,
    tables: BTreeSet<TableId>,
    /// It has records of a table that is lost.
    has_lost: bool,
    /// Its last bytes, which no frame says to be on disk, and where they begin. Of the last segment with frames alone.
    unsure: (u32, Vec<u8>),
}

impl Replay<'_> {
    /// Reads all segments. Returns the ids of those that are damaged and to be set aside.
    pub(super) fn run(&mut self, segments: &Segments) -> Result<Vec<u64>, StorageError> {
        let mut reads: Vec<Read> = Vec::new();
        for (segment, path) in segments.live() {
            let read = self.read_segment(segment, path)?;
            if read.has_frames {
                // A segment is whole on disk before the next one begins.
                reads.iter_mut().for_each(|earlier| earlier.unsure = (0, Vec::new()));
            }
            reads.push(read);
            self.report.segments += 1;
        }
        self.replayer.finish()?;
        let last_with_frames = reads.iter().rposition(|read| read.has_frames).unwrap_or(0);
        let mut damaged = Vec::new();
        for (index, read) in reads.into_iter().enumerate() {
            let at = match read.end {
                _ if read.has_lost => 0,
                End::Sealed => {
                    // Killed before its sync: the next segment must not begin, while this one may still lose its end.
                    if index == last_with_frames {
                        self.sync(&read)?;
                    }
                    continue;
                }
                End::Open(offset) if index >= last_with_frames => {
                    self.seal(&read, offset)?;
                    continue;
                }
                // The log goes on in a later segment, so this one was whole once.
                End::Open(offset) | End::Damaged(offset) => offset,
            };
            if !self.options.set_aside_damaged {
                return Err(damage(&read.path, at));
            }
            let why = if read.has_lost {
                "it has writes to tables that are not known"
            } else {
                "it is damaged"
            };
            tracing::error!(file = %read.path.display(), offset = at, "a commit log segment is set aside: {why}");
            self.accounting.forget(read.segment);
            damaged.push(read.segment);
            let tables = read.tables.into_iter().filter(|id| !self.replayer.is_lost(*id)).collect();
            self.report.set_aside.push(SetAside { file: read.path, offset: u64::from(at), tables });
        }
        self.rescued.retain(|(segment, _)| damaged.contains(segment));
        Ok(damaged)
    }

    fn read_segment(&mut self, segment: u64, path: PathBuf) -> Result<Read, StorageError> {
        let set_aside = self.options.set_aside_damaged;
        let (file, header_is_whole) = match read_file(self.fs, &path) {
            Err(StorageError::Io { source, .. })
                if set_aside && source.kind() == io::ErrorKind::NotFound =>
            {
                (Vec::new(), false)
            }
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(lost_segment(&path));
            }
            file => {
                let file = file?;
                let checked = check_file_header(&path, &file);
                if !set_aside {
                    checked?;
                    (file, true)
                } else {
                    (file, checked.is_ok())
                }
            }
        };
        let file = Arc::new(file);
        let mut frames = Vec::new();
        let Ok(end) = walk(&file, segment, set_aside, &mut |frame| {
            frames.push(frame);
            Ok::<_, Infallible>(())
        });
        let end = if header_is_whole { end } else { End::Damaged(0) };
        if let (End::Damaged(offset), false) = (end, set_aside) {
            return Err(damage(&path, offset));
        }
        let has_frames = end == End::Sealed || !frames.is_empty();
        let is_lost = |frame: &Frame<'_>| {
            frame.encoded().flatten().any(|record| self.replayer.is_lost(record.table))
        };
        let has_lost = set_aside && frames.iter().any(is_lost);
        let unsure = unsure(&file, &frames, end);
        let tables = BTreeSet::new();
        let mut read = Read { segment, path, end, has_frames, tables, has_lost, unsure };
        let mut batch = Batch::new(segment, Arc::from(read.path.as_path()), Arc::clone(&file));
        for frame in frames {
            self.replay_frame(&mut read, &mut batch, frame)?;
        }
        self.hand_out(&mut batch)?;
        self.report.tables.extend(&read.tables);
        Ok(read)
    }

    fn replay_frame(
        &mut self,
        read: &mut Read,
        batch: &mut Batch,
        frame: Frame<'_>,
    ) -> Result<(), StorageError> {
        self.report.bytes += u64::from(frame.end() - frame.offset);
        // A segment that is moved away: what is applied of it must be logged anew.
        let may_be_moved =
            self.options.set_aside_damaged && (read.end != End::Sealed || read.has_lost);
        let mut last_table = None;
        for record in frame.encoded() {
            let record = record.map_err(|offset| malformed(&read.path, offset))?;
            let table = record.table;
            if last_table != Some(table) {
                if read.tables.insert(table) && !read.has_lost && self.replayer.is_lost(table) {
                    return Err(StorageError::UnknownInLog { file: read.path.clone(), table });
                }
                last_table = Some(table);
            }
            self.report.records += 1;
            let position = LogPosition { segment: read.segment, offset: record.offset };
            if !self.replayer.wants(table, position) {
                continue;
            }
            self.accounting.appended(table, position);
            if may_be_moved {
                self.rescued.push((read.segment, batch.decode(&record)?));
            }
            batch.push(record);
            if batch.bytes() >= self.replayer.batch_bytes() {
                self.hand_out(batch)?;
            }
        }
        Ok(())
    }

    fn hand_out(&mut self, batch: &mut Batch) -> Result<(), StorageError> {
        if batch.records().is_empty() {
            return Ok(());
        }
        self.replayer.apply(batch.take())
    }

    /// Seals a segment that a crash left open, so that a later replay knows that it was whole.
    fn seal(&self, read: &Read, offset: u32) -> Result<(), StorageError> {
        let file = self
            .fs
            .open(&read.path, false)
            .map_err(|error| StorageError::io("open", &read.path, error))?;
        // The seal says that all before it is on disk.
        write_anew(&*file, read)?;
        let seal = seal_frame(read.segment, offset, offset);
        file.write_all_at(&seal, u64::from(offset))
            .map_err(|error| StorageError::io("write", &read.path, error))?;
        file.sync_data().map_err(|error| StorageError::io("sync", &read.path, error))
    }

    fn sync(&self, read: &Read) -> Result<(), StorageError> {
        let file = self
            .fs
            .open(&read.path, false)
            .map_err(|error| StorageError::io("open", &read.path, error))?;
        write_anew(&*file, read)
    }
}

/// What is at the end of a segment, and was not synced as far as its frames know.
fn unsure(file: &[u8], frames: &[Frame<'_>], end: End) -> (u32, Vec<u8>) {
    let Some(last) = frames.last() else { return (0, Vec::new()) };
    let end = match end {
        End::Open(offset) => offset as usize,
        End::Sealed => last.end() as usize + FRAME_HEADER_BYTES,
        End::Damaged(_) => return (0, Vec::new()),
    };
    (last.synced, file.get(last.synced as usize..end).unwrap_or_default().to_vec())
}

/// Makes durable what was read. To sync it is not enough: if a sync failed in the last run, the system has forgotten that
/// these bytes are not on disk, and only what is written again gets there.
fn write_anew(file: &dyn File, read: &Read) -> Result<(), StorageError> {
    let failed = |operation| move |error| StorageError::io(operation, &read.path, error);
    let (from, bytes) = &read.unsure;
    file.write_all_at(bytes, u64::from(*from)).map_err(failed("write"))?;
    file.sync_data().map_err(failed("sync"))
}

/// How the frames of a segment file end.
pub(super) fn find_end(file: &[u8], segment: u64) -> End {
    let Ok(end) = walk(file, segment, false, &mut |_| Ok::<_, Infallible>(()));
    end
}

/// The mutations in the bytes of one segment file, as a replay would yield them: for tools and fuzzing.
pub fn read_segment(
    path: &Path,
    segment: u64,
    file: &[u8],
) -> Result<Vec<(LogPosition, Mutation)>, StorageError> {
    check_file_header(path, file)?;
    let mut found = Vec::new();
    let end = walk(file, segment, false, &mut |frame: Frame<'_>| {
        for record in frame.records() {
            let (offset, mutation) = record.map_err(|offset| damage(path, offset))?;
            found.push((LogPosition { segment, offset }, mutation));
        }
        Ok::<_, StorageError>(())
    })?;
    match end {
        End::Sealed | End::Open(_) => Ok(found),
        End::Damaged(offset) => Err(damage(path, offset)),
    }
}

fn damage(path: &Path, offset: u32) -> StorageError {
    let what = "a commit log frame is not what was written, and the log goes on after it";
    StorageError::Corrupt { file: path.to_path_buf(), offset: u64::from(offset), what: what.into() }
}

fn lost_segment(path: &Path) -> StorageError {
    StorageError::Missing {
        file: path.to_path_buf(),
        holds: "it is a segment of the commit log, with writes that are in no SSTable yet"
            .to_string(),
        instead: "start with --set-aside-damaged-log: the writes that were only in it are lost",
    }
}

pub(super) fn read_file(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, StorageError> {
    let file = fs.open(path, true).map_err(|error| StorageError::io("open", path, error))?;
    let len = file.len().map_err(|error| StorageError::io("size", path, error))?;
    // Offsets are 32 bits: nothing beyond them was ever written.
    let mut bytes = vec![0; len.min(u64::from(u32::MAX)) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(|error| StorageError::io("read", path, error))?;
    Ok(bytes)
}

pub(super) fn check_file_header(path: &Path, file: &[u8]) -> Result<(), StorageError> {
    let found = file.get(..FILE_HEADER_BYTES as usize).unwrap_or_default();
    if found == file_header() {
        return Ok(());
    }
    match found.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk::<4>()) {
        Some(version) if *version != VERSION.to_le_bytes() && found.ends_with(&[0; 4]) => {
            let version = u32::from_le_bytes(*version);
            Err(StorageError::Unusable(format!(
                "{} has commit log format version {version}, this release reads {VERSION}: use the release that wrote it",
                path.display()
            )))
        }
        _ => Err(damage(path, 0)),
    }
}
