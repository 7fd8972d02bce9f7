//! The manifest: which SSTables a table consists of, and up to where its part of the commit log is in them.
//!
//! A journal (see [`crate::journal`]) named `manifest` in the table's directory. One record is one edit, so an edit
//! happens whole or not at all: operations of a tag byte and fields, varints unless said otherwise. *Add*: number, run,
//! slices, repaired-at (zigzag), statistics. *Remove*: number. *Flushed*: segment, offset. *Truncated*: segment, offset,
//! timestamp (zigzag). *Next*: numbers below this were given out. When long, the journal is replaced by one edit from
//! nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::StorageError;
use crate::commitlog::LogPosition;
use crate::fs::{Fs, create_dir_durably};
use crate::journal::{Journal, JournalFormat, read_file, read_records};
use crate::layout;
use crate::model::Timestamp;
use crate::sstable::Statistics;
use crate::varint::{decode_i64, decode_u64, encode_i64, encode_u64};

const FORMAT: JournalFormat = JournalFormat::new(*b"THLSmani", 3);
/// A manifest is rewritten when it is longer than this and than four times what it would then be.
const MAX_BYTES: u64 = 64 << 10;
const MAX_GROWTH: u64 = 4;

const ADD: u8 = 1;
const REMOVE: u8 = 2;
const FLUSHED: u8 = 3;
const TRUNCATED: u8 = 4;
const NEXT: u8 = 5;

/// A file's number within its table: never reused.
pub type FileNumber = u64;

/// An SSTable as the manifest knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableFile {
    /// Its number: the file is `<table dir>/<number>.sst`.
    pub number: FileNumber,
    /// Files of one run do not overlap; a flush makes a run of one, a compaction a run of its outputs.
    pub run: u64,
    /// Into how many slices of the ring the run was cut: a power of two.
    pub slices: u32,
    /// When its data was repaired, in seconds since 1970; 0 if it was not.
    pub repaired_at: i64,
    /// What is in it.
    pub statistics: Statistics,
}

/// One change of a table's files: happens whole or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestEdit {
    /// Files that come.
    pub add: Vec<TableFile>,
    /// Files that go.
    pub remove: Vec<FileNumber>,
    /// All records of the table strictly before this are in SSTables.
    pub flushed: Option<LogPosition>,
    /// The table was emptied: records strictly before this position are void, and all files so far gone (list them in
    /// `remove`). Also when, in microseconds.
    pub truncated: Option<(LogPosition, Timestamp)>,
}

/// A table's files and positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableFiles {
    /// Files by number.
    pub files: BTreeMap<FileNumber, TableFile>,
    /// Replay skips records strictly before this.
    pub flushed: LogPosition,
    /// The last truncation.
    pub truncated: Option<(LogPosition, Timestamp)>,
}

/// The manifest of one table.
#[derive(Debug)]
pub struct Manifest {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    journal: Journal,
    files: TableFiles,
    /// Numbers below this are, or were, in use.
    next: FileNumber,
    /// Length of the journal when it was last rewritten.
    rewritten_bytes: u64,
}

impl Manifest {
    /// Opens the manifest in the table's directory, or makes an empty one (and the directory).
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<Manifest, StorageError> {
        create_dir_durably(&*fs, dir).map_err(|error| StorageError::io("create", dir, error))?;
        let path = dir.join(layout::MANIFEST);
        refuse_if_lost(&*fs, dir, &path)?;
        let (mut files, mut next) = (TableFiles::default(), 1);
        let journal = Journal::open_or_create(fs.clone(), &path, FORMAT, &mut |offset, record| {
            apply_record(&mut files, &mut next, record).ok_or_else(|| malformed(&path, offset))
        })?;
        let mut manifest =
            Manifest { fs, dir: dir.to_path_buf(), journal, files, next, rewritten_bytes: 0 };
        // A file that was being written when a crash came has a number that the journal has not heard of.
        for number in manifest.numbers_in_dir()? {
            manifest.next = manifest.next.max(number.saturating_add(1));
        }
        Ok(manifest)
    }

    /// What the table consists of.
    pub fn files(&self) -> &TableFiles {
        &self.files
    }

    /// The next free file number; it is not given out twice.
    pub fn next_number(&mut self) -> FileNumber {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Path of a file.
    pub fn path(&self, number: FileNumber) -> PathBuf {
        file_path(&self.dir, number)
    }

    /// Writes a manifest of the same files into another directory, durably, and returns the checksum of its bytes.
    ///
    /// # Errors
    /// `Io` and `DiskFull`.
    pub fn write_copy(&self, dir: &Path) -> Result<u32, StorageError> {
        let path = dir.join(layout::MANIFEST);
        let record = checkpoint(&self.files, self.next);
        Journal::create(Arc::clone(&self.fs), &path, FORMAT, [record.as_slice()])?;
        Ok(crc32fast::hash(&read_file(&*self.fs, &path)?))
    }

    /// Makes an edit durable, then visible in [`files`](Self::files). Files that it adds must be synced already.
    ///
    /// # Errors
    /// `Unusable` if it adds a file that is there or removes one that is not; `Fenced` after a failed sync. The edit is
    /// then not visible, but after a failed sync it may be there after a restart.
    pub fn apply(&mut self, edit: ManifestEdit) -> Result<(), StorageError> {
        let refused = |what: String| {
            StorageError::Unusable(format!("{}: {what}", self.journal.path().display()))
        };
        if let Some(file) = edit.add.iter().find(|file| self.files.files.contains_key(&file.number))
        {
            return Err(refused(format!("file {} is added twice", file.number)));
        }
        if let Some(number) =
            edit.remove.iter().find(|number| !self.files.files.contains_key(number))
        {
            return Err(refused(format!("file {number} is removed but not part of the table")));
        }
        let mut record = Vec::new();
        encode_edit(&edit, &mut record);
        if record.is_empty() {
            return Ok(());
        }
        let (mut files, mut next) = (self.files.clone(), self.next);
        apply_record(&mut files, &mut next, &record)
            .ok_or_else(|| refused("an edit does not decode".into()))?;
        if self.journal.bytes() > MAX_BYTES.max(self.rewritten_bytes * MAX_GROWTH) {
            self.journal.rewrite([checkpoint(&files, next).as_slice()])?;
            self.rewritten_bytes = self.journal.bytes();
        } else {
            self.journal.append(&record)?;
        }
        (self.files, self.next) = (files, next);
        Ok(())
    }

    /// Whether a sync failed, so that the last edit may be on disk although [`apply`](Self::apply) refused it.
    pub fn is_fenced(&self) -> bool {
        self.journal.is_fenced()
    }

    /// SSTables in the directory that the manifest does not know: left over from a crash, to be removed. Only to be
    /// asked before any file is written.
    pub fn orphans(&self) -> Result<Vec<PathBuf>, StorageError> {
        let numbers = self.numbers_in_dir()?;
        let unknown = numbers.into_iter().filter(|number| !self.files.files.contains_key(number));
        Ok(unknown.map(|number| self.path(number)).collect())
    }

    fn numbers_in_dir(&self) -> Result<Vec<FileNumber>, StorageError> {
        numbers_in(&*self.fs, &self.dir)
    }
}

/// Path of a file in a table's directory.
pub fn file_path(dir: &Path, number: FileNumber) -> PathBuf {
    dir.join(format!("{number}.sst"))
}

fn numbers_in(fs: &dyn Fs, dir: &Path) -> Result<Vec<FileNumber>, StorageError> {
    let names = fs.list(dir).map_err(|error| StorageError::io("list", dir, error))?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".sst")?.parse().ok()).collect())
}

/// A manifest is there before the first SSTable. To begin with an empty one beside SSTables would remove them all.
fn refuse_if_lost(fs: &dyn Fs, dir: &Path, path: &Path) -> Result<(), StorageError> {
    let exists = fs.exists(path).map_err(|error| StorageError::io("look up", path, error))?;
    if exists || numbers_in(fs, dir)?.is_empty() {
        return Ok(());
    }
    let what = "it is missing, although there are SSTables beside it".into();
    Err(StorageError::Corrupt { file: path.to_path_buf(), offset: 0, what })
}

/// What the bytes of a manifest say, as [`Manifest::open`] would read them: for tools and fuzzing.
pub fn read_manifest(path: &Path, bytes: &[u8]) -> Result<TableFiles, StorageError> {
    let (mut files, mut next) = (TableFiles::default(), 1);
    for record in read_records(path, FORMAT, bytes)? {
        apply_record(&mut files, &mut next, &record).ok_or_else(|| malformed(path, 0))?;
    }
    Ok(files)
}

fn malformed(path: &Path, offset: u64) -> StorageError {
    let what = "a record of the manifest is malformed".into();
    StorageError::Corrupt { file: path.to_path_buf(), offset, what }
}

fn encode_edit(edit: &ManifestEdit, out: &mut Vec<u8>) {
    for number in &edit.remove {
        out.push(REMOVE);
        encode_u64(out, *number);
    }
    for file in &edit.add {
        encode_file(file, out);
    }
    if let Some(position) = edit.flushed {
        out.push(FLUSHED);
        encode_position(position, out);
    }
    if let Some((position, at)) = edit.truncated {
        out.push(TRUNCATED);
        encode_position(position, out);
        encode_i64(out, at);
    }
}

fn checkpoint(files: &TableFiles, next: FileNumber) -> Vec<u8> {
    let edit = ManifestEdit {
        add: files.files.values().cloned().collect(),
        remove: Vec::new(),
        flushed: Some(files.flushed),
        truncated: files.truncated,
    };
    let mut record = vec![NEXT];
    encode_u64(&mut record, next);
    encode_edit(&edit, &mut record);
    record
}

fn encode_file(file: &TableFile, out: &mut Vec<u8>) {
    out.push(ADD);
    encode_u64(out, file.number);
    encode_u64(out, file.run);
    encode_u64(out, u64::from(file.slices));
    encode_i64(out, file.repaired_at);
    file.statistics.encode(out);
}

fn encode_position(position: LogPosition, out: &mut Vec<u8>) {
    encode_u64(out, position.segment);
    encode_u64(out, u64::from(position.offset));
}

fn decode_position(input: &mut &[u8]) -> Option<LogPosition> {
    Some(LogPosition {
        segment: decode_u64(input)?,
        offset: u32::try_from(decode_u64(input)?).ok()?,
    })
}

/// Applies a record; `None` if it is malformed or does not fit what is there.
fn apply_record(files: &mut TableFiles, next: &mut FileNumber, mut input: &[u8]) -> Option<()> {
    while let Some((tag, rest)) = input.split_first() {
        input = rest;
        match *tag {
            ADD => {
                let (number, run) = (decode_u64(&mut input)?, decode_u64(&mut input)?);
                let slices = u32::try_from(decode_u64(&mut input)?).ok()?;
                let repaired_at = decode_i64(&mut input)?;
                let file = TableFile {
                    number,
                    run,
                    slices,
                    repaired_at,
                    statistics: Statistics::decode(&mut input)?,
                };
                *next = (*next).max(number.checked_add(1)?);
                if files.files.insert(number, file).is_some() {
                    return None;
                }
            }
            REMOVE => drop(files.files.remove(&decode_u64(&mut input)?)?),
            // An older position never comes after a newer one.
            FLUSHED => files.flushed = files.flushed.max(decode_position(&mut input)?),
            TRUNCATED => {
                files.truncated = Some((decode_position(&mut input)?, decode_i64(&mut input)?))
            }
            NEXT => *next = (*next).max(decode_u64(&mut input)?),
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
